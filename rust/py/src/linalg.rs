//! Dense products.

use numpy::{Element, PyArray2, PyArrayMethods, PyReadonlyArray2, PyReadwriteArray2};
use pyo3::prelude::*;
use ruvector_core::Error;
use ruvector_core::linalg::gemm::{Strided, gemm_parallel};
use ruvector_core::linalg::unit::project_to_sphere;
use ruvector_core::matrix::Matrix;
use ruvector_core::real::Real;

use crate::arrays::{matrix, matrix_mut};
use crate::enter::enter;
use crate::errors::to_python;

fn operand<T>(matrix: Matrix<'_, T>, transposed: bool) -> Strided<'_, T> {
    let strided = Strided::rows(matrix.data(), matrix.rows(), matrix.cols());
    if transposed {
        strided.transposed()
    } else {
        strided
    }
}

fn product<'py, T: Real + Element>(
    a: &PyReadonlyArray2<'py, T>,
    b: &PyReadonlyArray2<'py, T>,
    transpose_a: bool,
    transpose_b: bool,
) -> PyResult<Bound<'py, PyArray2<T>>> {
    let py = a.py();
    let (a, b) = (matrix(a, "a")?, matrix(b, "b")?);
    let (a, b) = (operand(a, transpose_a), operand(b, transpose_b));
    if a.cols != b.rows {
        let problem = format!(
            "has {} rows but the left operand has {} columns",
            b.rows, a.cols
        );
        return Err(to_python(py, Error::invalid("b", problem)));
    }
    let out = PyArray2::<T>::zeros(py, [a.rows, b.cols], false);
    {
        let mut out = out.readwrite();
        let mut c = matrix_mut(&mut out, "out")?;
        let work = a.rows.saturating_mul(b.cols).saturating_mul(a.cols);
        enter(py, work, |workers| {
            gemm_parallel(workers, T::one(), a, b, T::zero(), c.data())
        })?;
    }
    Ok(out)
}

fn project<'py, T: Real + Element>(
    rows: &mut PyReadwriteArray2<'py, T>,
    radius: f64,
) -> PyResult<()> {
    let py = rows.py();
    let mut rows = matrix_mut(rows, "rows")?;
    let (work, cols) = (rows.data().len(), rows.cols());
    enter(py, work, |workers| {
        project_to_sphere(rows.data(), cols, radius, workers)
    })
}

/// One Python function for each element type.
macro_rules! typed {
    ($scalar:ty, $matmul:ident, $project:ident) => {
        #[pyfunction]
        fn $project(mut rows: PyReadwriteArray2<'_, $scalar>, radius: f64) -> PyResult<()> {
            project(&mut rows, radius)
        }

        #[pyfunction]
        fn $matmul<'py>(
            a: PyReadonlyArray2<'py, $scalar>,
            b: PyReadonlyArray2<'py, $scalar>,
            transpose_a: bool,
            transpose_b: bool,
        ) -> PyResult<Bound<'py, PyArray2<$scalar>>> {
            product(&a, &b, transpose_a, transpose_b)
        }
    };
}

typed!(f32, matmul_f32, project_to_sphere_f32);
typed!(f64, matmul_f64, project_to_sphere_f64);

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(matmul_f32, module)?)?;
    module.add_function(wrap_pyfunction!(matmul_f64, module)?)?;
    module.add_function(wrap_pyfunction!(project_to_sphere_f32, module)?)?;
    module.add_function(wrap_pyfunction!(project_to_sphere_f64, module)?)?;
    Ok(())
}
