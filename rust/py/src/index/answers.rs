//! Results as arrays.

use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use ruvector_core::index::hits::Hits;
use ruvector_core::index::ranges::Ranges;

use crate::arrays::array;

pub type Answer<'py> = (
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray2<f32>>,
    Bound<'py, PyArray1<i64>>,
);

pub type Spans<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<f32>>,
);

pub type Efforts<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
);

pub type Links<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i32>>);

pub type Rows<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray2<f32>>);

pub fn rows<'py>(
    py: Python<'py>,
    ids: Vec<i64>,
    values: Vec<f32>,
    dim: usize,
) -> PyResult<Rows<'py>> {
    let shape = [ids.len(), dim];
    Ok((
        PyArray1::from_vec(py, ids),
        PyArray1::from_vec(py, values).reshape(shape)?,
    ))
}

pub fn answer(py: Python<'_>, hits: Hits, k: usize) -> PyResult<Answer<'_>> {
    let shape = [hits.counts.len(), k];
    Ok((
        array(py, hits.ids, shape)?,
        array(py, hits.distances, shape)?,
        PyArray1::from_slice(py, &hits.counts),
    ))
}

pub fn spans(py: Python<'_>, ranges: Ranges) -> Spans<'_> {
    (
        PyArray1::from_vec(py, ranges.indptr),
        PyArray1::from_vec(py, ranges.ids),
        PyArray1::from_vec(py, ranges.distances),
    )
}
