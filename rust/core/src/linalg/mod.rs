//! Dense products, rows of length one, similarities.

pub mod gemm;
mod pack;
pub mod panels;
pub mod similarity;
pub mod unit;
