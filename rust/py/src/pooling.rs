//! Rows of nodes pooled into one row a graph.

use numpy::{Element, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use ruvector_core::losses::pooling::{Graphs, Pooling};
use ruvector_core::real::Real;

use crate::arrays::{array, matrix, matrix_mut, slice};
use crate::enter::enter;

fn pooled<'py, T: Real + Element>(
    rows: &PyReadonlyArray2<'py, T>,
    graphs: &PyReadonlyArray1<'py, i64>,
    count: usize,
    pooling: &str,
) -> PyResult<Bound<'py, PyArray2<T>>> {
    let py = rows.py();
    let (rows, graphs) = (matrix(rows, "embeddings")?, slice(graphs, "graphs")?);
    let pooled = enter(py, rows.data().len(), |workers| {
        Graphs::new(graphs, count)?.pool(Pooling::parse(pooling), rows, workers)
    })?;
    array(py, pooled, [count, rows.cols()])
}

fn spread<'py, T: Real + Element>(
    slopes: &PyReadonlyArray2<'py, T>,
    rows: &PyReadonlyArray2<'py, T>,
    graphs: &PyReadonlyArray1<'py, i64>,
    pooling: &str,
) -> PyResult<Bound<'py, PyArray2<T>>> {
    let py = rows.py();
    let (rows, graphs) = (matrix(rows, "embeddings")?, slice(graphs, "graphs")?);
    let slopes = matrix(slopes, "gradient")?;
    let result = PyArray2::<T>::zeros(py, [rows.rows(), rows.cols()], false);
    {
        let mut result = result.readwrite();
        let mut out = matrix_mut(&mut result, "out")?;
        let out = out.data();
        enter(py, rows.data().len(), |workers| {
            let graphs = Graphs::new(graphs, slopes.rows())?;
            graphs.spread(Pooling::parse(pooling), slopes.data(), rows, out, workers)
        })?;
    }
    Ok(result)
}

/// One Python function for each element type.
macro_rules! typed {
    ($scalar:ty, $pool:ident, $spread:ident) => {
        #[pyfunction]
        fn $pool<'py>(
            rows: PyReadonlyArray2<'py, $scalar>,
            graphs: PyReadonlyArray1<'py, i64>,
            count: usize,
            pooling: &str,
        ) -> PyResult<Bound<'py, PyArray2<$scalar>>> {
            pooled(&rows, &graphs, count, pooling)
        }

        #[pyfunction]
        fn $spread<'py>(
            slopes: PyReadonlyArray2<'py, $scalar>,
            rows: PyReadonlyArray2<'py, $scalar>,
            graphs: PyReadonlyArray1<'py, i64>,
            pooling: &str,
        ) -> PyResult<Bound<'py, PyArray2<$scalar>>> {
            spread(&slopes, &rows, &graphs, pooling)
        }
    };
}

typed!(f32, pool_f32, pool_spread_f32);
typed!(f64, pool_f64, pool_spread_f64);

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(pool_f32, module)?)?;
    module.add_function(wrap_pyfunction!(pool_f64, module)?)?;
    module.add_function(wrap_pyfunction!(pool_spread_f32, module)?)?;
    module.add_function(wrap_pyfunction!(pool_spread_f64, module)?)?;
    Ok(())
}
