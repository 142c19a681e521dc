//! Dense products.

pub mod gemm;
