//! Indexes behind a lock: many searches at once, or one change.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use ruvector_core::index::changes::{Existing, Missing};
use ruvector_core::index::flat::Flat;
use ruvector_core::index::hits::Hits;
use ruvector_core::index::hnsw::{DEFAULT_EF, Hnsw, Params};
use ruvector_core::matrix::Matrix;
use ruvector_core::metric::Metric;
use ruvector_core::{Error, Result};

use crate::arrays::{matrix, slice};
use crate::enter::enter;
use crate::errors::to_python;

type Answer<'py> = (
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray2<f32>>,
    Bound<'py, PyArray1<i64>>,
);

/// A change that panicked may have left anything behind.
fn poisoned<G>(_: PoisonError<G>) -> Error {
    Error::corrupt("the index was left half-changed by an internal failure; load it again")
}

fn reading<I>(lock: &RwLock<I>) -> Result<RwLockReadGuard<'_, I>> {
    lock.read().map_err(poisoned)
}

fn writing<I>(lock: &RwLock<I>) -> Result<RwLockWriteGuard<'_, I>> {
    lock.write().map_err(poisoned)
}

fn existing(replace: bool) -> Existing {
    if replace {
        Existing::Replace
    } else {
        Existing::Refuse
    }
}

fn missing(ignore: bool) -> Missing {
    if ignore {
        Missing::Ignore
    } else {
        Missing::Refuse
    }
}

type Rows<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray2<f32>>);

fn rows<'py>(py: Python<'py>, ids: Vec<i64>, values: Vec<f32>, dim: usize) -> PyResult<Rows<'py>> {
    let shape = [ids.len(), dim];
    Ok((
        PyArray1::from_vec(py, ids),
        PyArray1::from_vec(py, values).reshape(shape)?,
    ))
}

fn answer(py: Python<'_>, hits: Hits, k: usize) -> PyResult<Answer<'_>> {
    let shape = [hits.counts.len(), k];
    Ok((
        PyArray1::from_vec(py, hits.ids).reshape(shape)?,
        PyArray1::from_vec(py, hits.distances).reshape(shape)?,
        PyArray1::from_vec(py, hits.counts),
    ))
}

/// The methods of one kind of index: its own, and those that all have over `inner: RwLock<_>`.
///
/// A class can have one block of methods alone, so its own are passed in.
macro_rules! methods {
    ($class:ident, $index:ty, { $($own:tt)* }) => {
        #[pymethods]
        impl $class {
            $($own)*

            fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
                enter(py, 0, |_| Ok(reading(&self.inner)?.rows.live()))
            }

            fn contains(&self, py: Python<'_>, number: i64) -> PyResult<bool> {
                enter(py, 0, |_| Ok(reading(&self.inner)?.rows.number(number).is_some()))
            }

            fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
                let ids = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.live_ids()))?;
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

            /// Those of `ids` that are stored, with their vectors.
            fn pick<'py>(
                &self,
                py: Python<'py>,
                ids: PyReadonlyArray1<'py, i64>,
            ) -> PyResult<Rows<'py>> {
                let ids = slice(&ids, "ids")?;
                let (ids, values) = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.pick(ids)))?;
                rows(py, ids, values, self.dim)
            }

            /// All ids and vectors at one moment.
            fn export<'py>(&self, py: Python<'py>) -> PyResult<Rows<'py>> {
                let (ids, values) = enter(py, 0, |_| {
                    let index = reading(&self.inner)?;
                    Ok(index.rows.pick(&index.rows.live_ids()))
                })?;
                rows(py, ids, values, self.dim)
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
    inner: RwLock<Flat>,
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
            inner: RwLock::new(index),
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

    #[pyo3(signature = (vectors, ids, replace = false))]
    fn add<'py>(
        &self,
        py: Python<'py>,
        vectors: PyReadonlyArray2<'py, f32>,
        ids: Option<PyReadonlyArray1<'py, i64>>,
        replace: bool,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let vectors = matrix(&vectors, "vectors")?;
        let ids = ids.as_ref().map(|ids| slice(ids, "ids")).transpose()?;
        let added = enter(py, vectors.data().len(), |_| {
            writing(&self.inner)?.store(vectors, ids, existing(replace))
        })?;
        Ok(PyArray1::from_vec(py, added))
    }

    fn update<'py>(
        &self,
        py: Python<'py>,
        ids: PyReadonlyArray1<'py, i64>,
        vectors: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<()> {
        let vectors = matrix(&vectors, "vectors")?;
        let ids = slice(&ids, "ids")?;
        enter(py, vectors.data().len(), |_| {
            let mut index = writing(&self.inner)?;
            index.store(vectors, Some(ids), Existing::Require)?;
            Ok(())
        })
    }

    fn remove(
        &self,
        py: Python<'_>,
        ids: PyReadonlyArray1<'_, i64>,
        ignore_missing: bool,
    ) -> PyResult<usize> {
        let ids = slice(&ids, "ids")?;
        enter(py, 0, |_| {
            writing(&self.inner)?.remove(ids, missing(ignore_missing))
        })
    }

    fn compact(&self, py: Python<'_>) -> PyResult<()> {
        enter(py, 0, |_| {
            writing(&self.inner)?.compact();
            Ok(())
        })
    }

    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        k: usize,
    ) -> PyResult<Answer<'py>> {
        let queries = matrix(&queries, "queries")?;
        let rows = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.len()))?;
        let work = queries.data().len().saturating_mul(rows);
        let hits = enter(py, work, |workers| {
            reading(&self.inner)?.search(queries, k, workers)
        })?;
        answer(py, hits, k)
    }
});

#[pyclass(frozen, name = "Hnsw", module = "ruvector._core")]
struct PyHnsw {
    inner: RwLock<Hnsw>,
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
            inner: RwLock::new(index),
        }
    }
}

/// Distances that a walk computes for each row of its pool, roughly.
const DISTANCES: usize = 8;

impl PyHnsw {
    /// A rough count of the multiplications that storing vectors takes.
    fn adding(&self, vectors: Matrix<'_, f32>) -> usize {
        let size = vectors.data().len().saturating_mul(self.ef_construction);
        size.saturating_mul(DISTANCES)
    }
}

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

    #[pyo3(signature = (vectors, ids, replace = false))]
    fn add<'py>(
        &self,
        py: Python<'py>,
        vectors: PyReadonlyArray2<'py, f32>,
        ids: Option<PyReadonlyArray1<'py, i64>>,
        replace: bool,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let vectors = matrix(&vectors, "vectors")?;
        let ids = ids.as_ref().map(|ids| slice(ids, "ids")).transpose()?;
        let added = enter(py, self.adding(vectors), |workers| {
            writing(&self.inner)?.store(vectors, ids, existing(replace), workers)
        })?;
        Ok(PyArray1::from_vec(py, added))
    }

    fn update<'py>(
        &self,
        py: Python<'py>,
        ids: PyReadonlyArray1<'py, i64>,
        vectors: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<()> {
        let vectors = matrix(&vectors, "vectors")?;
        let ids = slice(&ids, "ids")?;
        enter(py, self.adding(vectors), |workers| {
            let mut index = writing(&self.inner)?;
            index.store(vectors, Some(ids), Existing::Require, workers)?;
            Ok(())
        })
    }

    fn remove(
        &self,
        py: Python<'_>,
        ids: PyReadonlyArray1<'_, i64>,
        ignore_missing: bool,
    ) -> PyResult<usize> {
        let ids = slice(&ids, "ids")?;
        let due = enter(py, 0, |_| Ok(reading(&self.inner)?.is_due(ids.len())))?;
        enter(py, if due { usize::MAX } else { 0 }, |workers| {
            writing(&self.inner)?.remove(ids, missing(ignore_missing), workers)
        })
    }

    fn compact(&self, py: Python<'_>) -> PyResult<()> {
        enter(py, usize::MAX, |workers| {
            writing(&self.inner)?.compact(workers)
        })
    }

    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        k: usize,
        ef: Option<usize>,
    ) -> PyResult<Answer<'py>> {
        let queries = matrix(&queries, "queries")?;
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

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = enter(py, 0, |_| Ok(reading(&self.inner)?.stats()))?;
        let dict = PyDict::new(py);
        dict.set_item("rows", stats.rows)?;
        dict.set_item("tombstones", stats.tombstones)?;
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

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyFlat>()?;
    module.add_class::<PyHnsw>()?;
    Ok(())
}
