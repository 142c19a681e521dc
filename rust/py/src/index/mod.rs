//! Indexes that several threads share: searched while one of them changes them.

mod answers;
mod common;
mod flat;
mod hnsw;

use pyo3::prelude::*;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<flat::PyFlat>()?;
    module.add_class::<hnsw::PyHnsw>()?;
    Ok(())
}
