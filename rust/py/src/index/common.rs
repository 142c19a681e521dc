//! What the classes of all indexes share.

use pyo3::prelude::*;
use ruvector_core::Result;
use ruvector_core::index::changes::{Existing, Missing};
use ruvector_core::index::shared::{Change, Reading, Shared};

use crate::enter::{LONG_WORK, enter};

/// Larger `k` and `ef` are left to Python, which says what they may be.
pub const MOST: usize = (1 << 31) - 1;

/// The index as it stands. Never waited for with the GIL held: whoever keeps others waiting may
/// want it.
pub fn reading<I>(shared: &Shared<I>) -> Result<Reading<'_, I>> {
    shared.read()
}

/// Makes a change while others search. `work` is what [`enter`] wants to know.
pub fn change<I: Send + Sync, C: Change<I, Done: Send> + Send>(
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
pub const WORK_A_BYTE: usize = 8;

pub fn existing(replace: bool) -> Existing {
    if replace {
        Existing::Replace
    } else {
        Existing::Refuse
    }
}

pub fn missing(ignore: bool) -> Missing {
    if ignore {
        Missing::Ignore
    } else {
        Missing::Refuse
    }
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

pub(crate) use methods;
