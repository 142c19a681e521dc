//! The exact index.

use std::path::PathBuf;

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ruvector_core::index::allowed::{Filter, Wanted};
use ruvector_core::index::changes::Existing;
use ruvector_core::index::flat::{self, Flat};
use ruvector_core::index::ranges::Reach;
use ruvector_core::index::shared::Shared;
use ruvector_core::index::slices::in_slices;
use ruvector_core::matrix::Matrix;
use ruvector_core::metric::Metric;

use crate::arrays::{Plain, matrix, plain_int, slice};
use crate::enter::{LONG_WORK, enter};
use crate::errors::to_python;
use crate::filter::{PyFilter, Where};

use super::answers::{Answer, Rows, Spans, answer, rows, spans};
use super::common::{MOST, WORK_A_BYTE, change, existing, methods, missing, reading};

#[pyclass(frozen, name = "Flat", module = "ruvector._core")]
pub struct PyFlat {
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
            in_slices(&self.inner, space, queries, k, workers, |index, part| {
                index.search(part, k, workers)
            })
        })?;
        answer(py, hits, k)
    }
}
