//! Which rows a search may return, as NumPy arrays or as an object kept for many searches.

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use ruvector_core::index::allowed::{Filter, Wanted};

use crate::arrays::slice;

#[pyclass(frozen, name = "Filter", module = "ruvector._core")]
pub struct PyFilter(Filter);

impl From<Filter> for PyFilter {
    fn from(filter: Filter) -> Self {
        Self(filter)
    }
}

#[pymethods]
impl PyFilter {
    fn __len__(&self) -> usize {
        self.0.ids().len()
    }

    fn ids<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_slice(py, self.0.ids())
    }
}

/// What `where=` takes.
#[derive(FromPyObject)]
pub enum Where<'py> {
    Filter(Py<PyFilter>),
    Mask(PyReadonlyArray1<'py, bool>),
    Ids(PyReadonlyArray1<'py, i64>),
}

impl Where<'_> {
    pub fn wanted(&self) -> PyResult<Wanted<'_>> {
        Ok(match self {
            Self::Filter(filter) => Wanted::Filter(&filter.get().0),
            Self::Mask(mask) => Wanted::Mask(slice(mask, "where")?),
            Self::Ids(ids) => Wanted::Ids(slice(ids, "where")?),
        })
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyFilter>()
}
