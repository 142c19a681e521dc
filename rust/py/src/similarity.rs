//! Similarities of vectors.

use numpy::{Element, PyArray1, PyReadonlyArray2, PyReadwriteArray2};
use pyo3::prelude::*;
use ruvector_core::linalg::similarity::{self, Similarity};
use ruvector_core::real::Real;

use crate::arrays::{is_double, matrix, matrix_mut};
use crate::enter::enter;
use crate::errors::to_python;

/// The similarity of each row of `a` with the same row of `b`.
#[pyfunction]
fn similarity_pairs<'py>(
    name: &str,
    a: Bound<'py, PyAny>,
    b: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    if is_double(&a) {
        pairs_as::<f64>(name, &a, &b)
    } else {
        pairs_as::<f32>(name, &a, &b)
    }
}

fn pairs_as<'py, T: Real + Element>(
    name: &str,
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = a.py();
    let similarity = Similarity::parse(name).map_err(|error| to_python(py, error))?;
    let (a, b): (PyReadonlyArray2<'_, T>, PyReadonlyArray2<'_, T>) = (a.extract()?, b.extract()?);
    let (a, b) = (matrix(&a, "a")?, matrix(&b, "b")?);
    let values = enter(py, a.data().len(), |workers| {
        similarity::pairs(similarity, a, b, workers)
    })?;
    Ok(PyArray1::from_vec(py, values).into_any())
}

/// The similarity of each row of `a` with each row of `b`, into `out`.
#[pyfunction]
fn similarity_matrix<'py>(
    name: &str,
    a: Bound<'py, PyAny>,
    b: Bound<'py, PyAny>,
    out: Bound<'py, PyAny>,
) -> PyResult<()> {
    if is_double(&a) {
        matrix_as::<f64>(name, &a, &b, &out)
    } else {
        matrix_as::<f32>(name, &a, &b, &out)
    }
}

fn matrix_as<T: Real + Element>(
    name: &str,
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
    out: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = a.py();
    let similarity = Similarity::parse(name).map_err(|error| to_python(py, error))?;
    let (a, b): (PyReadonlyArray2<'_, T>, PyReadonlyArray2<'_, T>) = (a.extract()?, b.extract()?);
    let mut out: PyReadwriteArray2<'_, T> = out.extract()?;
    let (a, b) = (matrix(&a, "a")?, matrix(&b, "b")?);
    let mut out = matrix_mut(&mut out, "out")?;
    let out = out.data();
    let work = a.rows().saturating_mul(b.data().len());
    enter(py, work, |workers| {
        similarity::all_pairs(similarity, a, b, out, workers)
    })
}

/// The cosine of each pair of rows; its gradients go to `to_a` and `to_b`.
#[pyfunction]
fn cosine_gradients<'py>(
    a: Bound<'py, PyAny>,
    b: Bound<'py, PyAny>,
    to_a: Bound<'py, PyAny>,
    to_b: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    if is_double(&a) {
        gradients_as::<f64>(&a, &b, &to_a, &to_b)
    } else {
        gradients_as::<f32>(&a, &b, &to_a, &to_b)
    }
}

fn gradients_as<'py, T: Real + Element>(
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
    to_a: &Bound<'py, PyAny>,
    to_b: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = a.py();
    let (a, b): (PyReadonlyArray2<'_, T>, PyReadonlyArray2<'_, T>) = (a.extract()?, b.extract()?);
    let (mut to_a, mut to_b): (PyReadwriteArray2<'_, T>, PyReadwriteArray2<'_, T>) =
        (to_a.extract()?, to_b.extract()?);
    let (a, b) = (matrix(&a, "a")?, matrix(&b, "b")?);
    let (mut to_a, mut to_b) = (
        matrix_mut(&mut to_a, "to_a")?,
        matrix_mut(&mut to_b, "to_b")?,
    );
    let (to_a, to_b) = (to_a.data(), to_b.data());
    let values = enter(py, a.data().len(), |_| {
        similarity::cosine_gradients(a, b, to_a, to_b)
    })?;
    Ok(PyArray1::from_vec(py, values).into_any())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(similarity_pairs, module)?)?;
    module.add_function(wrap_pyfunction!(similarity_matrix, module)?)?;
    module.add_function(wrap_pyfunction!(cosine_gradients, module)?)?;
    Ok(())
}
