//! Threads, SIMD level and build of this process.

use pyo3::prelude::*;
use ruvector_core::pool;
use ruvector_core::simd::{self, Kernels, Level};

use crate::errors::to_python;

#[pyfunction]
fn set_num_threads(py: Python<'_>, num_threads: usize) -> PyResult<()> {
    pool::set_num_threads(num_threads).map_err(|error| to_python(py, error))
}

#[pyfunction]
fn use_threads(py: Python<'_>, num_threads: usize) -> PyResult<usize> {
    pool::use_threads(num_threads).map_err(|error| to_python(py, error))
}

#[pyfunction]
fn get_num_threads() -> usize {
    pool::num_threads()
}

#[pyfunction]
fn simd_level() -> &'static str {
    Kernels::get().level.name()
}

#[pyfunction]
fn simd_levels() -> Vec<&'static str> {
    Level::available().map(Level::name).collect()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Misspelt environment variables are told at import, not ignored.
    simd::requested().map_err(|error| to_python(module.py(), error))?;
    pool::requested_threads().map_err(|error| to_python(module.py(), error))?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("MAX_THREADS", pool::MAX_THREADS)?;
    module.add_function(wrap_pyfunction!(set_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(use_threads, module)?)?;
    module.add_function(wrap_pyfunction!(get_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(simd_level, module)?)?;
    module.add_function(wrap_pyfunction!(simd_levels, module)?)?;
    Ok(())
}
