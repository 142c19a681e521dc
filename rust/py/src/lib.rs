//! The Python module `ruvector._core`: converts, releases the GIL, calls the core, maps errors.
//!
//! Signatures, defaults and documentation live in the Python package; nothing here is public.

mod arrays;
mod batch;
mod enter;
mod errors;
mod filter;
mod graph;
mod index;
mod linalg;
mod losses;
mod mining;
mod optim;
mod pooling;
mod runtime;
mod sampling;
mod segments;
mod similarity;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    runtime::register(module)?;
    linalg::register(module)?;
    graph::register(module)?;
    segments::register(module)?;
    filter::register(module)?;
    index::register(module)?;
    mining::register(module)?;
    optim::register(module)?;
    sampling::register(module)?;
    similarity::register(module)?;
    batch::register(module)?;
    losses::register(module)?;
    pooling::register(module)?;
    Ok(())
}
