//! Indexes that several threads share: searched while one of them changes them.

use std::path::PathBuf;

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use ruvector_core::index::flat::{self, Flat};
use ruvector_core::index::hits::Hits;
use ruvector_core::index::hnsw::{self, DEFAULT_EF, Hnsw, Params};
use ruvector_core::index::shared::{Change, Reading, Shared};
use ruvector_core::matrix::Matrix;
use ruvector_core::metric::Metric;
use ruvector_core::{Error, Result};

use crate::arrays::{Plain, array, matrix, plain_int, slice};
use crate::enter::{LONG_WORK, enter};
use crate::errors::to_python;

/// Larger `k` and `ef` are left to Python, which says what they may be.
const MOST: usize = (1 << 31) - 1;

type Answer<'py> = (
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray2<f32>>,
    Bound<'py, PyArray1<i64>>,
);

/// The index as it stands. Never waited for with the GIL held: whoever keeps others waiting may
/// want it.
fn reading<I>(shared: &Shared<I>) -> Result<Reading<'_, I>> {
    shared.read()
}

/// Makes a change while others search. `work` is what [`enter`] wants to know.
fn change<I: Send + Sync, C: Change<I, Done: Send> + Send>(
    py: Python<'_>,
    work: usize,
    shared: &Shared<I>,
    change: C,
) -> PyResult<C::Done> {
    match enter(py, work, |workers| shared.try_change(change, workers))? {
        Ok(done) => Ok(done),
        // However small it is, waiting for the changes before it can take long.
        Err(change) => enter(py, LONG_WORK, |workers| shared.change(change, workers)),
    }
}

fn answer(py: Python<'_>, hits: Hits, k: usize) -> PyResult<Answer<'_>> {
    let shape = [hits.counts.len(), k];
    Ok((
        array(py, hits.ids, shape)?,
        array(py, hits.distances, shape)?,
        PyArray1::from_slice(py, &hits.counts),
    ))
}

/// The methods of one kind of index: its own, and those that all have over `inner: Shared<_>`.
///
/// A class can have one block of methods alone, so its own are passed in.
macro_rules! methods {
    ($class:ident, $index:ty, { $($own:tt)* }) => {
        #[pymethods]
        impl $class {
            $($own)*

            fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
                enter(py, 0, |_| Ok(reading(&self.inner)?.rows.visible()))
            }

            fn contains(&self, py: Python<'_>, number: i64) -> PyResult<bool> {
                enter(py, 0, |_| Ok(reading(&self.inner)?.rows.number(number).is_some()))
            }

            fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
                let ids = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.visible_ids().to_vec()))?;
                Ok(PyArray1::from_vec(py, ids))
            }

            fn get<'py>(
                &self,
                py: Python<'py>,
                ids: PyReadonlyArray1<'py, i64>,
            ) -> PyResult<Bound<'py, PyArray2<f32>>> {
                let ids = slice(&ids, "ids")?;
                let values = enter(py, 0, |_| reading(&self.inner)?.rows.get(ids))?;
                PyArray1::from_vec(py, values).reshape([ids.len(), self.dim])
            }

            fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
                enter(py, 0, |_| reading(&self.inner)?.save(&path))
            }

            #[staticmethod]
            fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
                enter(py, 0, |_| <$index>::load(&path)).map(Self::from)
            }

            fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
                let bytes = enter(py, 0, |_| reading(&self.inner)?.to_bytes())?;
                Ok(PyBytes::new(py, &bytes))
            }

            #[staticmethod]
            fn from_bytes(py: Python<'_>, state: &[u8]) -> PyResult<Self> {
                enter(py, 0, |_| <$index>::from_bytes(state)).map(Self::from)
            }
        }
    };
}

#[pyclass(frozen, name = "Flat", module = "ruvector._core")]
struct PyFlat {
    inner: Shared<Flat>,
    #[pyo3(get)]
    dim: usize,
    #[pyo3(get)]
    metric: &'static str,
}

impl From<Flat> for PyFlat {
    fn from(index: Flat) -> Self {
        Self {
            dim: index.rows.space.dim,
            metric: index.rows.space.metric.name(),
            inner: Shared::new(index),
        }
    }
}

methods!(PyFlat, Flat, {
    #[new]
    fn new(py: Python<'_>, dim: usize, metric: &str) -> PyResult<Self> {
        Metric::parse(metric)
            .and_then(|metric| Flat::new(dim, metric))
            .map(Self::from)
            .map_err(|error| to_python(py, error))
    }

    fn add<'py>(
        &self,
        py: Python<'py>,
        vectors: PyReadonlyArray2<'py, f32>,
        ids: Option<PyReadonlyArray1<'py, i64>>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let vectors = matrix(&vectors, "vectors")?;
        let ids = ids.as_ref().map(|ids| slice(ids, "ids")).transpose()?;
        let work = vectors.data().len();
        let added = change(py, work, &self.inner, flat::Adding::new(vectors, ids))?;
        Ok(PyArray1::from_vec(py, added))
    }

    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        k: usize,
    ) -> PyResult<Answer<'py>> {
        self.find(py, matrix(&queries, "queries")?, k)
    }

    /// What `search` does with arguments that need no conversion; `None` for others.
    fn query<'py>(
        &self,
        py: Python<'py>,
        queries: &Bound<'py, PyAny>,
        k: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Answer<'py>>> {
        let queries = Plain::of(queries);
        let queries = queries.as_ref().and_then(Plain::matrix);
        let (Some(queries), Some(k)) = (queries, plain_int(k, MOST)) else {
            return Ok(None);
        };
        self.find(py, queries, k).map(Some)
    }
});

impl PyFlat {
    fn find<'py>(
        &self,
        py: Python<'py>,
        queries: Matrix<'_, f32>,
        k: usize,
    ) -> PyResult<Answer<'py>> {
        let rows = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.visible()))?;
        let work = queries.data().len().saturating_mul(rows);
        let hits = enter(py, work, |workers| {
            reading(&self.inner)?.search(queries, k, workers)
        })?;
        answer(py, hits, k)
    }
}

#[pyclass(frozen, name = "Hnsw", module = "ruvector._core")]
struct PyHnsw {
    inner: Shared<Hnsw>,
    #[pyo3(get)]
    dim: usize,
    #[pyo3(get)]
    metric: &'static str,
    #[pyo3(get)]
    m: usize,
    #[pyo3(get)]
    ef_construction: usize,
    #[pyo3(get)]
    seed: u64,
}

impl From<Hnsw> for PyHnsw {
    fn from(index: Hnsw) -> Self {
        let Params {
            m,
            ef_construction,
            seed,
        } = index.params();
        Self {
            dim: index.rows.space.dim,
            metric: index.rows.space.metric.name(),
            m,
            ef_construction,
            seed,
            inner: Shared::new(index),
        }
    }
}

/// Distances that a walk computes for each row of its pool, roughly.
const DISTANCES: usize = 8;

methods!(PyHnsw, Hnsw, {
    #[new]
    fn new(
        py: Python<'_>,
        dim: usize,
        metric: &str,
        m: usize,
        ef_construction: usize,
        seed: u64,
    ) -> PyResult<Self> {
        Metric::parse(metric)
            .and_then(|metric| Hnsw::new(dim, metric, Params::new(m, ef_construction, seed)?))
            .map(Self::from)
            .map_err(|error| to_python(py, error))
    }

    fn add<'py>(
        &self,
        py: Python<'py>,
        vectors: PyReadonlyArray2<'py, f32>,
        ids: Option<PyReadonlyArray1<'py, i64>>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let vectors = matrix(&vectors, "vectors")?;
        let ids = ids.as_ref().map(|ids| slice(ids, "ids")).transpose()?;
        let work = vectors
            .data()
            .len()
            .saturating_mul(self.ef_construction)
            .saturating_mul(DISTANCES);
        let added = change(py, work, &self.inner, hnsw::Adding::new(vectors, ids))?;
        Ok(PyArray1::from_vec(py, added))
    }

    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        k: usize,
        ef: Option<usize>,
    ) -> PyResult<Answer<'py>> {
        self.find(py, matrix(&queries, "queries")?, k, ef)
    }

    /// What `search` does with arguments that need no conversion; `None` for others.
    fn query<'py>(
        &self,
        py: Python<'py>,
        queries: &Bound<'py, PyAny>,
        k: &Bound<'py, PyAny>,
        ef: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Answer<'py>>> {
        let queries = Plain::of(queries);
        let queries = queries.as_ref().and_then(Plain::matrix);
        let given = ef.and_then(|ef| plain_int(ef, MOST));
        let (Some(queries), Some(k)) = (queries, plain_int(k, MOST)) else {
            return Ok(None);
        };
        if given.is_none() && ef.is_some() {
            return Ok(None);
        }
        self.find(py, queries, k, given).map(Some)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = enter(py, 0, |_| Ok(reading(&self.inner)?.stats()))?;
        let dict = PyDict::new(py);
        dict.set_item("rows", stats.rows)?;
        dict.set_item("level_counts", stats.level_counts)?;
        dict.set_item("degree_min", stats.degree_min)?;
        dict.set_item("degree_mean", stats.degree_mean)?;
        dict.set_item("degree_max", stats.degree_max)?;
        dict.set_item("unreachable", stats.unreachable)?;
        dict.set_item("bytes_vectors", stats.bytes_vectors)?;
        dict.set_item("bytes_ids", stats.bytes_ids)?;
        dict.set_item("bytes_links", stats.bytes_links)?;
        dict.set_item("bytes_upper", stats.bytes_upper)?;
        dict.set_item("bytes_nodes", stats.bytes_nodes)?;
        Ok(dict)
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        enter(py, 0, |_| {
            let index = reading(&self.inner)?;
            index.check().map_err(|problem| {
                Error::corrupt(format!("the index is damaged: {problem}; build it again"))
            })
        })
    }
});

impl PyHnsw {
    fn find<'py>(
        &self,
        py: Python<'py>,
        queries: Matrix<'_, f32>,
        k: usize,
        ef: Option<usize>,
    ) -> PyResult<Answer<'py>> {
        let work = queries
            .data()
            .len()
            .saturating_mul(ef.unwrap_or(DEFAULT_EF).max(k))
            .saturating_mul(DISTANCES);
        // One query is walked by one thread, and handing it over would cost more than it.
        let work = if queries.rows() == 1 { 0 } else { work };
        let hits = enter(py, work, |workers| {
            reading(&self.inner)?.search(queries, k, ef, workers)
        })?;
        answer(py, hits, k)
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyFlat>()?;
    module.add_class::<PyHnsw>()?;
    Ok(())
}
