//! Dense products.

pub mod gemm;
mod pack;
