//! Similarities of vectors.

use numpy::{
    Element, PyArray1, PyArrayDescr, PyArrayDescrMethods, PyReadonlyArray2, PyReadwriteArray2,
    PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use ruvector_core::linalg::bytes;
use ruvector_core::linalg::similarity::{self, Similarity};
use ruvector_core::linalg::stored::Stored;
use ruvector_core::linalg::top::Top;
use ruvector_core::real::Real;

use crate::arrays::{is_double, matrix, matrix_mut};
use crate::enter::enter;
use crate::errors::to_python;

/// Rows in one of the types that they may be stored in; halves come as their bits.
enum Rows<'py, T: Element> {
    Plain(PyReadonlyArray2<'py, T>),
    Halves(PyReadonlyArray2<'py, u16>),
}

impl<'py, T: Real + Element> Rows<'py, T> {
    fn of(array: &Bound<'py, PyAny>) -> PyResult<Self> {
        if is(array, u16::get_dtype) {
            return Ok(Self::Halves(array.extract()?));
        }
        Ok(Self::Plain(array.extract()?))
    }

    fn stored(&self, argument: &'static str) -> PyResult<Stored<'_, T>> {
        Ok(match self {
            Self::Plain(rows) => Stored::Plain(matrix(rows, argument)?),
            Self::Halves(rows) => Stored::Halves(matrix(rows, argument)?),
        })
    }
}

fn is<'py>(
    array: &Bound<'py, PyAny>,
    wanted: impl Fn(Python<'py>) -> Bound<'py, PyArrayDescr>,
) -> bool {
    let array = array.cast::<PyUntypedArray>();
    array.is_ok_and(|array| array.dtype().is_equiv_to(&wanted(array.py())))
}

type Bytes<'py> = PyReadonlyArray2<'py, i8>;

fn parse(py: Python<'_>, name: &str) -> PyResult<Similarity> {
    Similarity::parse(name).map_err(|error| to_python(py, error))
}

/// The similarity of each row of `a` with the same row of `b`.
#[pyfunction]
fn similarity_pairs<'py>(
    name: &str,
    a: Bound<'py, PyAny>,
    b: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    if is_double(&a) || is_double(&b) {
        return pairs_as::<f64>(name, &a, &b);
    }
    if !is(&a, i8::get_dtype) {
        return pairs_as::<f32>(name, &a, &b);
    }
    let py = a.py();
    let similarity = parse(py, name)?;
    let (a, b): (Bytes<'_>, Bytes<'_>) = (a.extract()?, b.extract()?);
    let (a, b) = (matrix(&a, "a")?, matrix(&b, "b")?);
    let values = enter(py, a.data().len(), |workers| {
        bytes::pairs(similarity, a, b, workers)
    })?;
    Ok(PyArray1::from_vec(py, values).into_any())
}

fn pairs_as<'py, T: Real + Element>(
    name: &str,
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = a.py();
    let similarity = parse(py, name)?;
    let (a, b) = (Rows::<T>::of(a)?, Rows::<T>::of(b)?);
    let (a, b) = (a.stored("a")?, b.stored("b")?);
    let values = enter(py, a.rows().saturating_mul(a.cols()), |workers| {
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
    if is_double(&out) {
        return matrix_as::<f64>(name, &a, &b, &out);
    }
    if !is(&a, i8::get_dtype) {
        return matrix_as::<f32>(name, &a, &b, &out);
    }
    let py = a.py();
    let similarity = parse(py, name)?;
    let (a, b): (Bytes<'_>, Bytes<'_>) = (a.extract()?, b.extract()?);
    let mut out: PyReadwriteArray2<'_, f32> = out.extract()?;
    let (a, b) = (matrix(&a, "a")?, matrix(&b, "b")?);
    let mut out = matrix_mut(&mut out, "out")?;
    let out = out.data();
    let work = a.rows().saturating_mul(b.data().len());
    enter(py, work, |workers| {
        bytes::all_pairs(similarity, a, b, out, workers)
    })
}

fn matrix_as<T: Real + Element>(
    name: &str,
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
    out: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = a.py();
    let similarity = parse(py, name)?;
    let (a, b) = (Rows::<T>::of(a)?, Rows::<T>::of(b)?);
    let mut out: PyReadwriteArray2<'_, T> = out.extract()?;
    let (a, b) = (a.stored("a")?, b.stored("b")?);
    let mut out = matrix_mut(&mut out, "out")?;
    let out = out.data();
    let work = a.rows().saturating_mul(b.rows()).saturating_mul(b.cols());
    enter(py, work, |workers| {
        similarity::all_pairs(similarity, a, b, out, workers)
    })
}

/// The `k` rows of `b` nearest to each row of `a`, and how near they are: two flat arrays.
#[pyfunction]
fn similarity_top<'py>(
    name: &str,
    a: Bound<'py, PyAny>,
    b: Bound<'py, PyAny>,
    k: usize,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    if is_double(&a) || is_double(&b) {
        return top_as::<f64>(name, &a, &b, k);
    }
    if !is(&a, i8::get_dtype) {
        return top_as::<f32>(name, &a, &b, k);
    }
    let py = a.py();
    let similarity = parse(py, name)?;
    let (a, b): (Bytes<'_>, Bytes<'_>) = (a.extract()?, b.extract()?);
    let (a, b) = (matrix(&a, "a")?, matrix(&b, "b")?);
    let work = a.rows().saturating_mul(b.data().len());
    let found = enter(py, work, |workers| bytes::top(similarity, a, b, k, workers))?;
    Ok(both(py, found))
}

fn top_as<'py, T: Real + Element>(
    name: &str,
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
    k: usize,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let py = a.py();
    let similarity = parse(py, name)?;
    let (a, b) = (Rows::<T>::of(a)?, Rows::<T>::of(b)?);
    let (a, b) = (a.stored("a")?, b.stored("b")?);
    let work = a.rows().saturating_mul(b.rows()).saturating_mul(b.cols());
    let found = enter(py, work, |workers| {
        similarity::top(similarity, a, b, k, workers)
    })?;
    Ok(both(py, found))
}

fn both<T: Element>(py: Python<'_>, found: Top<T>) -> (Bound<'_, PyAny>, Bound<'_, PyAny>) {
    (
        PyArray1::from_vec(py, found.rows).into_any(),
        PyArray1::from_vec(py, found.scores).into_any(),
    )
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
    module.add_function(wrap_pyfunction!(similarity_top, module)?)?;
    module.add_function(wrap_pyfunction!(cosine_gradients, module)?)?;
    Ok(())
}
