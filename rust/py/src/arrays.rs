//! NumPy arrays as the core's views.

use numpy::{
    Element, PyArrayDescrMethods, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray1,
    PyReadwriteArray2, PyUntypedArray, PyUntypedArrayMethods, dtype,
};
use pyo3::prelude::*;
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
    let shape = [array.as_array().nrows(), array.as_array().ncols()];
    let data = array
        .as_slice()
        .map_err(|_| not_contiguous(array.py(), argument))?;
    Matrix::new(data, shape[0], shape[1]).map_err(|error| to_python(array.py(), error))
}

/// A two-dimensional array to be written to.
pub fn matrix_mut<'a, T: Element>(
    array: &'a mut PyReadwriteArray2<'_, T>,
    argument: &'static str,
) -> PyResult<MatrixMut<'a, T>> {
    let py = array.py();
    let shape = [array.as_array().nrows(), array.as_array().ncols()];
    let data = array
        .as_slice_mut()
        .map_err(|_| not_contiguous(py, argument))?;
    MatrixMut::new(data, shape[0], shape[1]).map_err(|error| to_python(py, error))
}

/// Whether this is an array of `f64`; functions for two element types take it for `f32` if not.
pub fn is_double(array: &Bound<'_, PyAny>) -> bool {
    array
        .cast::<PyUntypedArray>()
        .is_ok_and(|array| array.dtype().is_equiv_to(&dtype::<f64>(array.py())))
}
