//! Mining of negatives.

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use ruvector_core::Result;
use ruvector_core::mining::hard::{self, Mined};
use ruvector_core::mining::triplets::{self, Choice, Distance, Selection, Triplets};
use ruvector_core::mining::{Lists, Positives, Question, Settings, Similarity, Skip, Strategy};
use ruvector_core::real::Real;

use crate::arrays::{matrix, slice};
use crate::enter::enter;
use crate::errors::to_python;

type Ids<'py> = PyReadonlyArray1<'py, i64>;

/// Anchors, pool (none: the anchors), positive vectors.
type Vectors<'py, T> = (
    PyReadonlyArray2<'py, T>,
    Option<PyReadonlyArray2<'py, T>>,
    Option<PyReadonlyArray2<'py, T>>,
);

#[derive(FromPyObject)]
enum AnyVectors<'py> {
    F32(Vectors<'py, f32>),
    F64(Vectors<'py, f64>),
}

/// Positive rows, labels of anchors and pool, indptr and indices of forbidden rows.
type Limits<'py> = (
    Option<PyReadonlyArray2<'py, i64>>,
    Option<(Ids<'py>, Ids<'py>)>,
    Option<(Ids<'py>, Ids<'py>)>,
);

fn mine<T: Real + numpy::Element>(
    py: Python<'_>,
    (anchors, pool, positives): &Vectors<'_, T>,
    (rows, labels, exclude): &Limits<'_>,
    settings: Settings,
) -> PyResult<Mined> {
    let anchors = matrix(anchors, "anchors")?;
    let given = pool.as_ref().map(|pool| matrix(pool, "pool")).transpose()?;
    let pool = given.unwrap_or(anchors);
    let positives = match (positives, rows) {
        (Some(vectors), _) => Positives::Vectors(matrix(vectors, "positives")?),
        (None, Some(rows)) => Positives::Rows(matrix(rows, "positives")?),
        (None, None) => Positives::Unknown,
    };
    let labels = match labels {
        Some((own, pool)) => Some((slice(own, "labels")?, slice(pool, "pool_labels")?)),
        None => None,
    };
    let exclude = match exclude {
        Some((indptr, indices)) => Some((slice(indptr, "exclude")?, slice(indices, "exclude")?)),
        None => None,
    };
    let work = anchors
        .data()
        .len()
        .saturating_mul(pool.rows())
        .max(anchors.rows().saturating_mul(settings.k));
    enter(py, work, move |workers| -> Result<Mined> {
        let exclude = exclude
            .map(|(indptr, indices)| {
                Lists::new(indptr, indices, anchors.rows(), pool.rows(), "exclude")
            })
            .transpose()?;
        let question = Question {
            anchors,
            pool,
            pool_is_anchors: given.is_none(),
            positives,
            labels,
            exclude,
        };
        hard::mine(workers, &question, &settings)
    })
}

/// The band: a share, or without one a number.
fn passed_over(rows: usize, share: f64) -> Skip {
    if share > 0.0 {
        Skip::Share(share)
    } else {
        Skip::Count(rows)
    }
}

/// Indices, similarities and counts.
type Arrays<'py> = (
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray2<f32>>,
    Bound<'py, PyArray1<i64>>,
);

/// `choice` is the strategy, k, how many and which share to skip, hard share, alpha, margin.
#[pyfunction]
fn mine_negatives<'py>(
    py: Python<'py>,
    vectors: AnyVectors<'py>,
    limits: Limits<'py>,
    choice: (String, usize, usize, f64, f64, f64, f64),
    cosine: bool,
    seed: u64,
) -> PyResult<Arrays<'py>> {
    let (strategy, k, skip, skip_share, hard_share, alpha, margin) = choice;
    let settings = Settings {
        strategy: Strategy::parse(&strategy).map_err(|error| to_python(py, error))?,
        similarity: if cosine {
            Similarity::Cosine
        } else {
            Similarity::Dot
        },
        k,
        skip: passed_over(skip, skip_share),
        hard_share,
        alpha,
        margin,
        seed,
    };
    let mined = match &vectors {
        AnyVectors::F32(vectors) => mine(py, vectors, &limits, settings)?,
        AnyVectors::F64(vectors) => mine(py, vectors, &limits, settings)?,
    };
    let shape = [mined.counts.len(), k];
    Ok((
        PyArray1::from_vec(py, mined.indices).reshape(shape)?,
        PyArray1::from_vec(py, mined.similarities).reshape(shape)?,
        PyArray1::from_vec(py, mined.counts),
    ))
}

#[pyfunction]
fn mining_strategies() -> Vec<&'static str> {
    Strategy::ALL.map(Strategy::name).to_vec()
}

#[derive(FromPyObject)]
enum AnyRows<'py> {
    F32(PyReadonlyArray2<'py, f32>),
    F64(PyReadonlyArray2<'py, f64>),
}

fn triplets_of<T: Real + numpy::Element>(
    py: Python<'_>,
    rows: &PyReadonlyArray2<'_, T>,
    labels: &Ids<'_>,
    exclude: Option<&(Ids<'_>, Ids<'_>)>,
    choice: Choice,
) -> PyResult<Triplets> {
    let (rows, labels) = (matrix(rows, "embeddings")?, slice(labels, "labels")?);
    let exclude = match exclude {
        Some((indptr, indices)) => Some((slice(indptr, "exclude")?, slice(indices, "exclude")?)),
        None => None,
    };
    let work = rows.data().len().saturating_mul(rows.rows());
    enter(py, work, move |workers| {
        let lists =
            |(indptr, indices)| Lists::new(indptr, indices, rows.rows(), rows.rows(), "exclude");
        let exclude = exclude.map(lists).transpose()?;
        triplets::mine(workers, rows, labels, exclude, choice)
    })
}

/// Rows of anchors, positives, negatives; distances of positives and negatives; rows without a
/// positive and without a negative, pairs without a semi-hard one.
type TripletArrays<'py> = (
    [Bound<'py, PyArray1<i64>>; 3],
    [Bound<'py, PyArray1<f32>>; 2],
    [usize; 3],
);

/// `choice` is the strategy, the distance, the margin, how many and which share to skip.
#[pyfunction]
fn mine_triplets<'py>(
    py: Python<'py>,
    embeddings: AnyRows<'py>,
    labels: Ids<'py>,
    exclude: Option<(Ids<'py>, Ids<'py>)>,
    choice: (String, String, f64, usize, f64),
) -> PyResult<TripletArrays<'py>> {
    let (strategy, distance, margin, skip, skip_share) = choice;
    let exclude = exclude.as_ref();
    let choice = Choice {
        selection: Selection::parse(&strategy).map_err(|error| to_python(py, error))?,
        distance: Distance::parse(&distance).map_err(|error| to_python(py, error))?,
        margin,
        skip: passed_over(skip, skip_share),
    };
    let found = match &embeddings {
        AnyRows::F32(rows) => triplets_of(py, rows, &labels, exclude, choice)?,
        AnyRows::F64(rows) => triplets_of(py, rows, &labels, exclude, choice)?,
    };
    let rows = [found.anchors, found.positives, found.negatives];
    let distances = [found.positive_distances, found.negative_distances];
    Ok((
        rows.map(|rows| PyArray1::from_vec(py, rows)),
        distances.map(|values| PyArray1::from_vec(py, values)),
        [
            found.without_positive,
            found.without_negative,
            found.unmatched,
        ],
    ))
}

#[pyfunction]
fn triplet_strategies() -> Vec<&'static str> {
    Selection::ALL.map(|(name, _)| name).to_vec()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(mine_negatives, module)?)?;
    module.add_function(wrap_pyfunction!(mining_strategies, module)?)?;
    module.add_function(wrap_pyfunction!(mine_triplets, module)?)?;
    module.add_function(wrap_pyfunction!(triplet_strategies, module)?)?;
    Ok(())
}
