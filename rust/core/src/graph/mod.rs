//! Sparse matrices and graphs.

pub mod csr;
pub mod curvature;
pub mod spmm;
pub mod transpose;
