//! Dense products, rows of length one, similarities.

pub mod bytes;
mod compare;
pub mod dots;
pub mod gemm;
pub mod layer_norm;
mod pack;
pub mod panels;
pub mod similarity;
pub mod stored;
pub mod top;
pub mod unit;
