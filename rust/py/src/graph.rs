//! Sparse matrices: validation, products and transposes.

use numpy::{Element, IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use ruvector_core::graph::csr::Csr;
use ruvector_core::graph::curvature;
use ruvector_core::graph::spmm::spmm;
use ruvector_core::graph::transpose::transpose;
use ruvector_core::real::Real;

use crate::arrays::{matrix, matrix_mut, slice};
use crate::enter::enter;
use crate::errors::to_python;

type Indptr<'py> = PyReadonlyArray1<'py, i64>;
type Indices<'py> = PyReadonlyArray1<'py, i32>;
type Values<'py, T> = PyReadonlyArray1<'py, T>;

/// What a transpose is made of: `indptr`, `indices`, `data`.
type Parts<'py, T> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i32>>,
    Option<Bound<'py, PyArray1<T>>>,
);

fn optional<'a, T: Element>(
    array: &'a Option<Values<'_, T>>,
    argument: &'static str,
) -> PyResult<Option<&'a [T]>> {
    array
        .as_ref()
        .map(|array| slice(array, argument))
        .transpose()
}

fn product<'py, T: Real + Element>(
    indptr: &Indptr<'py>,
    indices: &Indices<'py>,
    data: &Option<Values<'py, T>>,
    cols: usize,
    dense: &PyReadonlyArray2<'py, T>,
    row_scale: &Option<Values<'py, T>>,
) -> PyResult<Bound<'py, PyArray2<T>>> {
    let py = dense.py();
    let indptr = slice(indptr, "indptr")?;
    let indices = slice(indices, "indices")?;
    let data = optional(data, "data")?;
    let scale = optional(row_scale, "row_scale")?;
    let x = matrix(dense, "dense")?;
    let out = PyArray2::<T>::zeros(py, [indptr.len().saturating_sub(1), x.cols()], false);
    {
        let mut out = out.readwrite();
        let y = matrix_mut(&mut out, "out")?;
        let work = indices.len().saturating_mul(x.cols());
        enter(py, work, |workers| {
            spmm(workers, Csr::new(indptr, indices, data, cols)?, x, scale, y)
        })?;
    }
    Ok(out)
}

fn transposed<'py, T: Real + Element>(
    py: Python<'py>,
    indptr: &Indptr<'py>,
    indices: &Indices<'py>,
    data: &Option<Values<'py, T>>,
    cols: usize,
) -> PyResult<Parts<'py, T>> {
    let indptr = slice(indptr, "indptr")?;
    let indices = slice(indices, "indices")?;
    let data = optional(data, "data")?;
    let result = enter(py, indices.len(), |workers| {
        transpose(workers, Csr::new(indptr, indices, data, cols)?)
    })?;
    Ok((
        result.indptr.into_pyarray(py),
        result.indices.into_pyarray(py),
        result.values.map(|values| values.into_pyarray(py)),
    ))
}

/// Fails unless the parts form a matrix with `cols` columns.
#[pyfunction]
fn csr_check(
    py: Python<'_>,
    indptr: Indptr<'_>,
    indices: Indices<'_>,
    cols: usize,
) -> PyResult<()> {
    let (indptr, indices) = (slice(&indptr, "indptr")?, slice(&indices, "indices")?);
    Csr::<f32>::new(indptr, indices, None, cols)
        .map(|_| ())
        .map_err(|error| to_python(py, error))
}

/// Forman's curvature of the edges of a symmetric matrix, upper ends after lower ones.
#[pyfunction]
fn forman_curvature<'py>(
    py: Python<'py>,
    indptr: Indptr<'py>,
    indices: Indices<'py>,
    triangles: bool,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (indptr, indices) = (slice(&indptr, "indptr")?, slice(&indices, "indices")?);
    let rows = indptr.len().saturating_sub(1);
    let values = enter(py, 64 * indices.len(), |workers| {
        curvature::forman(Csr::new(indptr, indices, None, rows)?, triangles, workers)
    })?;
    Ok(values.into_pyarray(py))
}

/// Ollivier's curvature of the edges of a symmetric matrix, upper ends after lower ones.
#[pyfunction]
fn ollivier_curvature<'py>(
    py: Python<'py>,
    indptr: Indptr<'py>,
    indices: Indices<'py>,
    laziness: f64,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (indptr, indices) = (slice(&indptr, "indptr")?, slice(&indices, "indices")?);
    let rows = indptr.len().saturating_sub(1);
    let values = enter(py, 4096 * indices.len(), |workers| {
        curvature::ollivier(Csr::new(indptr, indices, None, rows)?, laziness, workers)
    })?;
    Ok(values.into_pyarray(py))
}

/// One Python function for each element type.
macro_rules! typed {
    ($scalar:ty, $matmul:ident, $transpose:ident) => {
        #[pyfunction]
        #[pyo3(signature = (indptr, indices, data, cols, dense, row_scale=None))]
        fn $matmul<'py>(
            indptr: Indptr<'py>,
            indices: Indices<'py>,
            data: Option<Values<'py, $scalar>>,
            cols: usize,
            dense: PyReadonlyArray2<'py, $scalar>,
            row_scale: Option<Values<'py, $scalar>>,
        ) -> PyResult<Bound<'py, PyArray2<$scalar>>> {
            product(&indptr, &indices, &data, cols, &dense, &row_scale)
        }

        #[pyfunction]
        fn $transpose<'py>(
            py: Python<'py>,
            indptr: Indptr<'py>,
            indices: Indices<'py>,
            data: Option<Values<'py, $scalar>>,
            cols: usize,
        ) -> PyResult<Parts<'py, $scalar>> {
            transposed(py, &indptr, &indices, &data, cols)
        }
    };
}

typed!(f32, csr_matmul_f32, csr_transpose_f32);
typed!(f64, csr_matmul_f64, csr_transpose_f64);

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(csr_check, module)?)?;
    module.add_function(wrap_pyfunction!(csr_matmul_f32, module)?)?;
    module.add_function(wrap_pyfunction!(csr_matmul_f64, module)?)?;
    module.add_function(wrap_pyfunction!(csr_transpose_f32, module)?)?;
    module.add_function(wrap_pyfunction!(csr_transpose_f64, module)?)?;
    module.add_function(wrap_pyfunction!(forman_curvature, module)?)?;
    module.add_function(wrap_pyfunction!(ollivier_curvature, module)?)?;
    Ok(())
}
