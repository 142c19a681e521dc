//! Sparse matrices and graphs.

pub mod csr;
pub mod spmm;
pub mod transpose;
