//! Rows of a table by index, and gradients back to it.

use numpy::{Element, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray2};
use pyo3::prelude::*;
use ruvector_core::batch;
use ruvector_core::real::Real;

use crate::arrays::{is_double, matrix, matrix_mut, slice};
use crate::enter::enter;

/// Copies row `indices[i]` of `table` to row i of `out`.
#[pyfunction]
fn gather<'py>(
    table: Bound<'py, PyAny>,
    indices: PyReadonlyArray1<'py, i64>,
    out: Bound<'py, PyAny>,
) -> PyResult<()> {
    if is_double(&table) {
        gather_as::<f64>(&table, &indices, &out)
    } else {
        gather_as::<f32>(&table, &indices, &out)
    }
}

fn gather_as<T: Real + Element>(
    table: &Bound<'_, PyAny>,
    indices: &PyReadonlyArray1<'_, i64>,
    out: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = table.py();
    let table: PyReadonlyArray2<'_, T> = table.extract()?;
    let mut out: PyReadwriteArray2<'_, T> = out.extract()?;
    let (table, indices) = (matrix(&table, "table")?, slice(indices, "indices")?);
    let mut out = matrix_mut(&mut out, "out")?;
    let out = out.data();
    enter(py, out.len(), |workers| {
        batch::gather(table, indices, out, workers)
    })
}

/// Adds row i of `rows` to row `indices[i]` of `out`.
#[pyfunction]
fn scatter_add<'py>(
    indices: PyReadonlyArray1<'py, i64>,
    rows: Bound<'py, PyAny>,
    out: Bound<'py, PyAny>,
) -> PyResult<()> {
    if is_double(&rows) {
        scatter_add_as::<f64>(&indices, &rows, &out)
    } else {
        scatter_add_as::<f32>(&indices, &rows, &out)
    }
}

fn scatter_add_as<T: Real + Element>(
    indices: &PyReadonlyArray1<'_, i64>,
    rows: &Bound<'_, PyAny>,
    out: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = rows.py();
    let rows: PyReadonlyArray2<'_, T> = rows.extract()?;
    let mut out: PyReadwriteArray2<'_, T> = out.extract()?;
    let (rows, indices) = (matrix(&rows, "rows")?, slice(indices, "indices")?);
    let mut out = matrix_mut(&mut out, "out")?;
    let out = out.data();
    enter(py, rows.data().len(), |workers| {
        batch::scatter_add(indices, rows, out, workers)
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(gather, module)?)?;
    module.add_function(wrap_pyfunction!(scatter_add, module)?)?;
    Ok(())
}
