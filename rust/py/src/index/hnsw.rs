//! The graph.

use std::path::PathBuf;

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use ruvector_core::index::allowed::{Filter, Wanted};
use ruvector_core::index::changes::Existing;
use ruvector_core::index::hnsw::{self, DEFAULT_EF, Effort, Hnsw, Params};
use ruvector_core::index::packed::Storage;
use ruvector_core::index::ranges::Reach;
use ruvector_core::index::shared::Shared;
use ruvector_core::index::slices::in_slices;
use ruvector_core::matrix::Matrix;
use ruvector_core::metric::Metric;

use crate::arrays::{Plain, matrix, plain_int, slice};
use crate::enter::{LONG_WORK, enter};
use crate::errors::to_python;
use crate::filter::{PyFilter, Where};

use super::answers::{Answer, Efforts, Links, Rows, Spans, answer, rows, spans};
use super::common::{MOST, WORK_A_BYTE, change, existing, methods, missing, reading};

#[pyclass(frozen, name = "Hnsw", module = "ruvector._core")]
pub struct PyHnsw {
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
            in_slices(&self.inner, space, queries, k, workers, |index, part| {
                index.search(part, k, ef, workers)
            })
        })?;
        answer(py, hits, k)
    }
}
