//! Sparse matrices and graphs.

mod blocks;
pub mod csr;
pub mod curvature;
pub mod segments;
pub mod spmm;
pub mod transpose;
pub mod weighted;
