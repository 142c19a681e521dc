//! Indexes behind a lock: many searches at once, or one change.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use ruvector_core::index::allowed::Filter;
use ruvector_core::index::flat::Flat;
use ruvector_core::index::hits::Hits;
use ruvector_core::index::hnsw::{DEFAULT_EF, Effort, Hnsw, Params};
use ruvector_core::index::ranges::{Ranges, Reach};
use ruvector_core::index::rows::Rows;
use ruvector_core::metric::Metric;
use ruvector_core::{Error, Result};

use crate::arrays::{matrix, slice};
use crate::enter::enter;
use crate::errors::to_python;
use crate::filter::{PyFilter, Where};

type Answer<'py> = (
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray2<f32>>,
    Bound<'py, PyArray1<i64>>,
);

type Spans<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<f32>>,
);

type Efforts<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>);

type Links<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i32>>);

/// A change that panicked may have left anything behind.
fn poisoned<G>(_: PoisonError<G>) -> Error {
    Error::corrupt("the index was left half-changed by an internal failure; load it again")
}

fn reading<I>(lock: &RwLock<I>) -> Result<RwLockReadGuard<'_, I>> {
    lock.read().map_err(poisoned)
}

/// For changes, which a mapped index refuses.
fn writing<I: HasRows>(lock: &RwLock<I>) -> Result<RwLockWriteGuard<'_, I>> {
    let index = lock.write().map_err(poisoned)?;
    index.rows().check_writable()?;
    Ok(index)
}

trait HasRows {
    fn rows(&self) -> &Rows;
}

impl HasRows for Flat {
    fn rows(&self) -> &Rows {
        &self.rows
    }
}

impl HasRows for Hnsw {
    fn rows(&self) -> &Rows {
        &self.rows
    }
}

/// Work of writing, reading or checking a byte: a file of some megabytes can be interrupted.
const WORK_A_BYTE: usize = 8;

fn answer(py: Python<'_>, hits: Hits, k: usize) -> PyResult<Answer<'_>> {
    let shape = [hits.counts.len(), k];
    Ok((
        PyArray1::from_vec(py, hits.ids).reshape(shape)?,
        PyArray1::from_vec(py, hits.distances).reshape(shape)?,
        PyArray1::from_vec(py, hits.counts),
    ))
}

fn spans(py: Python<'_>, ranges: Ranges) -> Spans<'_> {
    (
        PyArray1::from_vec(py, ranges.indptr),
        PyArray1::from_vec(py, ranges.ids),
        PyArray1::from_vec(py, ranges.distances),
    )
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
                enter(py, 0, |_| Ok(reading(&self.inner)?.rows.len()))
            }

            fn contains(&self, py: Python<'_>, number: i64) -> PyResult<bool> {
                enter(py, 0, |_| Ok(reading(&self.inner)?.rows.number(number).is_some()))
            }

            fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
                let ids = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.ids().to_vec()))?;
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

            fn memory(&self, py: Python<'_>) -> PyResult<Vec<(&'static str, usize)>> {
                enter(py, 0, |_| Ok(reading(&self.inner)?.memory()))
            }

            fn filter(&self, py: Python<'_>, r#where: Where<'_>) -> PyResult<PyFilter> {
                let wanted = r#where.wanted()?;
                let ids = enter(py, 0, |_| reading(&self.inner)?.rows.wanted(wanted))?;
                Ok(Filter::new(ids).into())
            }

            fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
                let bytes = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.bytes().0))?;
                enter(py, bytes.saturating_mul(WORK_A_BYTE), |workers| {
                    reading(&self.inner)?.save(&path, workers)
                })
            }

            #[staticmethod]
            fn load(py: Python<'_>, path: PathBuf, mmap: bool, verify: bool) -> PyResult<Self> {
                // A file that cannot be looked at fails in the loader, with the better message.
                let bytes = std::fs::metadata(&path).map_or(0, |found| found.len() as usize);
                let index = enter(py, bytes.saturating_mul(WORK_A_BYTE), |workers| {
                    if !mmap {
                        return <$index>::load(&path, workers);
                    }
                    let index = <$index>::map(&path, workers)?;
                    if verify {
                        index.verify(workers)?;
                    }
                    Ok(index)
                })?;
                Ok(Self::from(index))
            }

            #[getter]
            fn mapped(&self, py: Python<'_>) -> PyResult<bool> {
                enter(py, 0, |_| Ok(reading(&self.inner)?.rows.mapping().is_some()))
            }

            fn check(&self, py: Python<'_>) -> PyResult<()> {
                let bytes = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.bytes().0))?;
                enter(py, bytes.saturating_mul(WORK_A_BYTE), |workers| {
                    reading(&self.inner)?.verify(workers)
                })
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

    fn add<'py>(
        &self,
        py: Python<'py>,
        vectors: PyReadonlyArray2<'py, f32>,
        ids: Option<PyReadonlyArray1<'py, i64>>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let vectors = matrix(&vectors, "vectors")?;
        let ids = ids.as_ref().map(|ids| slice(ids, "ids")).transpose()?;
        let added = enter(py, vectors.data().len(), |_| {
            Ok(writing(&self.inner)?.add(vectors, ids)?.to_vec())
        })?;
        Ok(PyArray1::from_vec(py, added))
    }

    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        k: usize,
        r#where: Option<Where<'py>>,
    ) -> PyResult<Answer<'py>> {
        let queries = matrix(&queries, "queries")?;
        let wanted = r#where.as_ref().map(Where::wanted).transpose()?;
        let rows = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.len()))?;
        let work = queries.data().len().saturating_mul(rows);
        let hits = enter(py, work, |workers| {
            let index = reading(&self.inner)?;
            match wanted {
                Some(wanted) => {
                    index.search_among(queries, k, &*index.rows.allowed(wanted)?, workers)
                }
                None => index.search(queries, k, workers),
            }
        })?;
        answer(py, hits, k)
    }

    fn range_search<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        radius: f64,
        r#where: Option<Where<'py>>,
        limit: usize,
    ) -> PyResult<Spans<'py>> {
        let queries = matrix(&queries, "queries")?;
        let wanted = r#where.as_ref().map(Where::wanted).transpose()?;
        let rows = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.len()))?;
        let work = queries.data().len().saturating_mul(rows);
        let ranges = enter(py, work, |workers| {
            let index = reading(&self.inner)?;
            let allowed = wanted
                .map(|wanted| index.rows.allowed(wanted))
                .transpose()?;
            index.within(
                queries,
                Reach { radius, limit },
                allowed.as_deref(),
                workers,
            )
        })?;
        Ok(spans(py, ranges))
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
        let added = enter(py, work, |workers| {
            let mut index = writing(&self.inner)?;
            Ok(index.add(vectors, ids, workers)?.to_vec())
        })?;
        Ok(PyArray1::from_vec(py, added))
    }

    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        k: usize,
        ef: Option<usize>,
        r#where: Option<Where<'py>>,
    ) -> PyResult<Answer<'py>> {
        let queries = matrix(&queries, "queries")?;
        let wanted = r#where.as_ref().map(Where::wanted).transpose()?;
        let work = queries
            .data()
            .len()
            .saturating_mul(ef.unwrap_or(DEFAULT_EF).max(k))
            .saturating_mul(DISTANCES);
        // One query is walked by one thread, and handing it over would cost more than it.
        let work = if queries.rows() == 1 { 0 } else { work };
        let hits = enter(py, work, |workers| {
            let index = reading(&self.inner)?;
            match wanted {
                Some(wanted) => {
                    index.search_among(queries, k, ef, &*index.rows.allowed(wanted)?, workers)
                }
                None => index.search(queries, k, ef, workers),
            }
        })?;
        answer(py, hits, k)
    }

    fn range_search<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        radius: f64,
        ef: Option<usize>,
        r#where: Option<Where<'py>>,
        limit: usize,
    ) -> PyResult<Spans<'py>> {
        let queries = matrix(&queries, "queries")?;
        let wanted = r#where.as_ref().map(Where::wanted).transpose()?;
        let rows = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.len()))?;
        // A radius may take in every row.
        let work = queries.data().len().saturating_mul(rows);
        let ranges = enter(py, work, |workers| {
            let index = reading(&self.inner)?;
            let allowed = wanted
                .map(|wanted| index.rows.allowed(wanted))
                .transpose()?;
            index.within(
                queries,
                Reach { radius, limit },
                ef,
                allowed.as_deref(),
                workers,
            )
        })?;
        Ok(spans(py, ranges))
    }

    fn effort<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        k: usize,
        ef: Option<usize>,
        r#where: Option<Where<'py>>,
    ) -> PyResult<Efforts<'py>> {
        let queries = matrix(&queries, "queries")?;
        let wanted = r#where.as_ref().map(Where::wanted).transpose()?;
        let work = queries
            .data()
            .len()
            .saturating_mul(ef.unwrap_or(DEFAULT_EF).max(k))
            .saturating_mul(DISTANCES);
        let effort = enter(py, work, |workers| {
            let index = reading(&self.inner)?;
            let allowed = wanted
                .map(|wanted| index.rows.allowed(wanted))
                .transpose()?;
            index.effort(queries, k, ef, allowed.as_deref(), workers)
        })?;
        let Effort { hops, distances } = effort;
        Ok((
            PyArray1::from_vec(py, hops),
            PyArray1::from_vec(py, distances),
        ))
    }

    fn layer<'py>(&self, py: Python<'py>, level: usize) -> PyResult<Links<'py>> {
        let (indptr, indices) = enter(py, 0, |_| reading(&self.inner)?.layer(level))?;
        Ok((
            PyArray1::from_vec(py, indptr),
            PyArray1::from_vec(py, indices),
        ))
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
});

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyFlat>()?;
    module.add_class::<PyHnsw>()?;
    Ok(())
}
