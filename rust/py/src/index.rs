//! Indexes that several threads share: searched while one of them changes them.

use std::path::PathBuf;

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use ruvector_core::Result;
use ruvector_core::index::allowed::{Filter, Wanted};
use ruvector_core::index::changes::{Existing, Missing};
use ruvector_core::index::flat::{self, Flat};
use ruvector_core::index::hits::Hits;
use ruvector_core::index::hnsw::{self, DEFAULT_EF, Effort, Hnsw, Params};
use ruvector_core::index::packed::Storage;
use ruvector_core::index::ranges::{Ranges, Reach};
use ruvector_core::index::shared::{Change, Reading, Shared};
use ruvector_core::index::slices::in_slices;
use ruvector_core::matrix::Matrix;
use ruvector_core::metric::Metric;

use crate::arrays::{Plain, array, matrix, plain_int, slice};
use crate::enter::{LONG_WORK, enter};
use crate::errors::to_python;
use crate::filter::{PyFilter, Where};

/// Larger `k` and `ef` are left to Python, which says what they may be.
const MOST: usize = (1 << 31) - 1;

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

type Efforts<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
);

type Links<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i32>>);

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

/// Work of writing, reading or checking a byte: a file of some megabytes can be interrupted.
const WORK_A_BYTE: usize = 8;

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
        array(py, hits.ids, shape)?,
        array(py, hits.distances, shape)?,
        PyArray1::from_slice(py, &hits.counts),
    ))
}

fn spans(py: Python<'_>, ranges: Ranges) -> Spans<'_> {
    (
        PyArray1::from_vec(py, ranges.indptr),
        PyArray1::from_vec(py, ranges.ids),
        PyArray1::from_vec(py, ranges.distances),
    )
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

            fn memory(&self, py: Python<'_>) -> PyResult<Vec<(&'static str, usize)>> {
                enter(py, 0, |_| Ok(reading(&self.inner)?.memory()))
            }

            fn filter(&self, py: Python<'_>, r#where: Where<'_>) -> PyResult<PyFilter> {
                let wanted = r#where.wanted()?;
                let ids = enter(py, 0, |_| reading(&self.inner)?.rows.wanted(wanted))?;
                Ok(Filter::new(ids).into())
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
        let adding = flat::Adding::new(vectors, ids).over(existing(replace));
        let added = change(py, vectors.data().len(), &self.inner, adding)?;
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
        let adding = flat::Adding::new(vectors, Some(ids)).over(Existing::Require);
        change(py, vectors.data().len(), &self.inner, adding).map(|_| ())
    }

    fn remove(
        &self,
        py: Python<'_>,
        ids: PyReadonlyArray1<'_, i64>,
        ignore_missing: bool,
    ) -> PyResult<usize> {
        let ids = slice(&ids, "ids")?;
        // Rows are moved at memory speed, so those who search wait for all of it.
        enter(py, LONG_WORK, |workers| {
            let mut index = self.inner.write(workers)?;
            index.remove(ids, missing(ignore_missing))
        })
    }

    fn compact(&self, py: Python<'_>) -> PyResult<()> {
        enter(py, LONG_WORK, |workers| {
            self.inner.write(workers)?.compact()
        })
    }

    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        k: usize,
        r#where: Option<Where<'py>>,
    ) -> PyResult<Answer<'py>> {
        let wanted = r#where.as_ref().map(Where::wanted).transpose()?;
        self.find(py, matrix(&queries, "queries")?, k, wanted)
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
        self.find(py, queries, k, None).map(Some)
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
        let rows = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.live()))?;
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

impl PyFlat {
    fn find<'py>(
        &self,
        py: Python<'py>,
        queries: Matrix<'_, f32>,
        k: usize,
        wanted: Option<Wanted<'_>>,
    ) -> PyResult<Answer<'py>> {
        let rows = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.live()))?;
        let work = queries.data().len().saturating_mul(rows);
        let hits = enter(py, work, |workers| {
            // A mask is about the rows of one moment.
            if let Some(wanted) = wanted {
                let index = reading(&self.inner)?;
                let allowed = index.rows.allowed(wanted)?;
                return index.search_among(queries, k, &allowed, workers);
            }
            let space = |index: &Flat| index.rows.space;
            in_slices(&self.inner, space, queries, k, |index, part| {
                index.search(part, k, workers)
            })
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
    #[pyo3(get)]
    storage: &'static str,
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
            storage: index.rows.storage().name(),
            inner: Shared::new(index),
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
        storage: &str,
    ) -> PyResult<Self> {
        let made = || {
            let params = Params::new(m, ef_construction, seed)?;
            let index = Hnsw::new(dim, Metric::parse(metric)?, params)?;
            Ok(index.storing(Storage::parse(storage)?).into())
        };
        made().map_err(|error| to_python(py, error))
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
        let adding = hnsw::Adding::new(vectors, ids).over(existing(replace));
        let added = change(py, self.adding(vectors), &self.inner, adding)?;
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
        let adding = hnsw::Adding::new(vectors, Some(ids)).over(Existing::Require);
        change(py, self.adding(vectors), &self.inner, adding).map(|_| ())
    }

    fn remove(
        &self,
        py: Python<'_>,
        ids: PyReadonlyArray1<'_, i64>,
        ignore_missing: bool,
    ) -> PyResult<usize> {
        let ids = slice(&ids, "ids")?;
        let due = enter(py, 0, |_| Ok(reading(&self.inner)?.is_due(ids.len())))?;
        let removing = hnsw::Removing::new(ids, missing(ignore_missing));
        let work = if due { LONG_WORK } else { 0 };
        change(py, work, &self.inner, removing)
    }

    fn compact(&self, py: Python<'_>) -> PyResult<()> {
        let compacting = hnsw::Removing::compacting();
        change(py, LONG_WORK, &self.inner, compacting).map(|_| ())
    }

    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        k: usize,
        ef: Option<usize>,
        r#where: Option<Where<'py>>,
    ) -> PyResult<Answer<'py>> {
        let wanted = r#where.as_ref().map(Where::wanted).transpose()?;
        self.find(py, matrix(&queries, "queries")?, k, ef, wanted)
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
        self.find(py, queries, k, given, None).map(Some)
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
        let rows = enter(py, 0, |_| Ok(reading(&self.inner)?.rows.live()))?;
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
        let Effort {
            hops,
            distances,
            remeasured,
        } = effort;
        Ok((
            PyArray1::from_vec(py, hops),
            PyArray1::from_vec(py, distances),
            PyArray1::from_vec(py, remeasured),
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
        dict.set_item("tombstones", stats.tombstones)?;
        dict.set_item("level_counts", stats.level_counts)?;
        dict.set_item("degree_min", stats.degree_min)?;
        dict.set_item("degree_mean", stats.degree_mean)?;
        dict.set_item("degree_max", stats.degree_max)?;
        dict.set_item("unreachable", stats.unreachable)?;
        dict.set_item("bytes_vectors", stats.bytes_vectors)?;
        dict.set_item("bytes_codes", stats.bytes_codes)?;
        dict.set_item("bytes_ids", stats.bytes_ids)?;
        dict.set_item("bytes_links", stats.bytes_links)?;
        dict.set_item("bytes_upper", stats.bytes_upper)?;
        dict.set_item("bytes_nodes", stats.bytes_nodes)?;
        Ok(dict)
    }
});

impl PyHnsw {
    fn find<'py>(
        &self,
        py: Python<'py>,
        queries: Matrix<'_, f32>,
        k: usize,
        ef: Option<usize>,
        wanted: Option<Wanted<'_>>,
    ) -> PyResult<Answer<'py>> {
        let work = queries
            .data()
            .len()
            .saturating_mul(ef.unwrap_or(DEFAULT_EF).max(k))
            .saturating_mul(DISTANCES);
        // One query is walked by one thread, and handing it over would cost more than it.
        let work = if queries.rows() == 1 { 0 } else { work };
        let hits = enter(py, work, |workers| {
            // A mask is about the rows of one moment.
            if let Some(wanted) = wanted {
                let index = reading(&self.inner)?;
                let allowed = index.rows.allowed(wanted)?;
                return index.search_among(queries, k, ef, &allowed, workers);
            }
            let space = |index: &Hnsw| index.rows.space;
            in_slices(&self.inner, space, queries, k, |index, part| {
                index.search(part, k, ef, workers)
            })
        })?;
        answer(py, hits, k)
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyFlat>()?;
    module.add_class::<PyHnsw>()?;
    Ok(())
}
