//! NumPy arrays as the core's views.

use numpy::{
    Element, PyArray1, PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray1,
    PyReadonlyArray2, PyReadwriteArray1, PyReadwriteArray2, PyUntypedArray, PyUntypedArrayMethods,
    dtype,
};
use pyo3::prelude::*;
use pyo3::types::PyInt;
use ruvector_core::Error;
use ruvector_core::matrix::{Matrix, MatrixMut};

use crate::errors::to_python;

fn not_contiguous(py: Python<'_>, argument: &'static str) -> PyErr {
    to_python(
        py,
        Error::invalid(
            argument,
            "must be C-contiguous; use numpy.ascontiguousarray",
        ),
    )
}

/// The values of a one-dimensional array.
pub fn slice<'a, T: Element>(
    array: &'a PyReadonlyArray1<'_, T>,
    argument: &'static str,
) -> PyResult<&'a [T]> {
    array
        .as_slice()
        .map_err(|_| not_contiguous(array.py(), argument))
}

/// The values of a one-dimensional array, to be written to.
pub fn slice_mut<'a, T: Element>(
    array: &'a mut PyReadwriteArray1<'_, T>,
    argument: &'static str,
) -> PyResult<&'a mut [T]> {
    let py = array.py();
    array
        .as_slice_mut()
        .map_err(|_| not_contiguous(py, argument))
}

/// A two-dimensional array as a matrix.
pub fn matrix<'a, T: Element>(
    array: &'a PyReadonlyArray2<'_, T>,
    argument: &'static str,
) -> PyResult<Matrix<'a, T>> {
    let &[rows, cols] = array.shape() else {
        return Err(not_contiguous(array.py(), argument));
    };
    // A Fortran array is a slice too, but of other rows.
    let data = array.as_slice().ok().filter(|_| array.is_c_contiguous());
    let data = data.ok_or_else(|| not_contiguous(array.py(), argument))?;
    Matrix::new(data, rows, cols).map_err(|error| to_python(array.py(), error))
}

/// Rows that can be read as they are.
pub enum Plain<'py> {
    One(PyReadonlyArray1<'py, f32>),
    Many(PyReadonlyArray2<'py, f32>),
}

impl<'py> Plain<'py> {
    /// C-contiguous `f32` of one or two dimensions; nothing else, however little it lacks.
    pub fn of(value: &Bound<'py, PyAny>) -> Option<Self> {
        if let Ok(row) = value.cast::<PyArray1<f32>>() {
            return row.try_readonly().ok().map(Self::One);
        }
        let rows = value.cast::<PyArray2<f32>>().ok()?;
        rows.try_readonly().ok().map(Self::Many)
    }

    /// One row as a matrix of one; none where the values have gaps.
    pub fn matrix(&self) -> Option<Matrix<'_, f32>> {
        match self {
            Self::One(row) => Matrix::new(row.as_slice().ok()?, 1, row.len()).ok(),
            Self::Many(rows) if rows.is_c_contiguous() => matrix(rows, "queries").ok(),
            Self::Many(_) => None,
        }
    }
}

/// An integer between 1 and `high`, of Python's own type.
pub fn plain_int(value: &Bound<'_, PyAny>, high: usize) -> Option<usize> {
    let number = value.cast_exact::<PyInt>().ok()?.extract().ok()?;
    (1..=high).contains(&number).then_some(number)
}

/// Fewer results than this are copied to arrays of their own; more are handed over.
const FEW: usize = 4096;

/// Values as a fresh array.
pub fn array<T: Element + Copy>(
    py: Python<'_>,
    values: Vec<T>,
    shape: [usize; 2],
) -> PyResult<Bound<'_, PyArray2<T>>> {
    if values.len() > FEW || values.len() != shape[0] * shape[1] {
        return PyArray1::from_vec(py, values).reshape(shape);
    }
    // SAFETY: the array is C-contiguous, nobody else has it yet, and it is as long as `values`,
    // whose type is plain.
    unsafe {
        let array = PyArray2::<T>::new(py, shape, false);
        array
            .data()
            .copy_from_nonoverlapping(values.as_ptr(), values.len());
        Ok(array)
    }
}

/// A two-dimensional array to be written to.
pub fn matrix_mut<'a, T: Element>(
    array: &'a mut PyReadwriteArray2<'_, T>,
    argument: &'static str,
) -> PyResult<MatrixMut<'a, T>> {
    let py = array.py();
    let &[rows, cols] = array.shape() else {
        return Err(not_contiguous(array.py(), argument));
    };
    let data = array
        .as_slice_mut()
        .map_err(|_| not_contiguous(py, argument))?;
    MatrixMut::new(data, rows, cols).map_err(|error| to_python(py, error))
}

/// Whether this is an array of `f64`; functions for two element types take it for `f32` if not.
pub fn is_double(array: &Bound<'_, PyAny>) -> bool {
    array
        .cast::<PyUntypedArray>()
        .is_ok_and(|array| array.dtype().is_equiv_to(&dtype::<f64>(array.py())))
}
