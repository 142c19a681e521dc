//! Triplets within a batch: an anchor, a row of its class, a row of another.
//!
//! Rows are sorted by class, so that a class is a range of places and no pair needs its labels
//! looked up. Larger values are nearer throughout: cosines, or negated squared distances.

mod classes;
mod closest;
mod listed;
mod sweep;

use super::eligible::Lists;
use super::question::Skip;
use crate::error::{Error, Result};
use crate::linalg::panels::Panels;
use crate::linalg::unit::normalise_rows;
use crate::matrix::Matrix;
use crate::metric::norm;
use crate::pool::Workers;
use crate::real::Real;

use classes::Classes;

/// Which triplets are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Of each anchor the farthest positive and the nearest negative.
    BatchHard,
    /// Of each pair the nearest negative that is farther than the positive.
    SemiHard,
    /// Every negative that is farther than the positive.
    AllSemiHard,
}

impl Selection {
    pub const ALL: [(&'static str, Self); 3] = [
        ("batch_hard", Self::BatchHard),
        ("semi_hard", Self::SemiHard),
        ("all_semi_hard", Self::AllSemiHard),
    ];

    pub fn parse(name: &str) -> Result<Self> {
        find(&Self::ALL, name, "strategy")
    }
}

/// What rows are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    Euclidean,
    Squared,
    /// One less the cosine; a row of zeros has distance 1 to everything.
    Cosine,
}

impl Distance {
    pub const ALL: [(&'static str, Self); 3] = [
        ("euclidean", Self::Euclidean),
        ("squared", Self::Squared),
        ("cosine", Self::Cosine),
    ];

    pub fn parse(name: &str) -> Result<Self> {
        find(&Self::ALL, name, "distance")
    }

    /// The distance of rows of this closeness.
    fn of(self, closeness: f64) -> f64 {
        match self {
            Self::Euclidean => (-closeness).max(0.0).sqrt(),
            Self::Squared => (-closeness).max(0.0),
            Self::Cosine => 1.0 - closeness.clamp(-1.0, 1.0),
        }
    }

    /// The closeness of rows `margin` farther than those of this closeness.
    fn beyond(self, closeness: f64, margin: f64) -> f64 {
        match self {
            Self::Euclidean => -(self.of(closeness) + margin).powi(2),
            Self::Squared | Self::Cosine => closeness - margin,
        }
    }
}

fn find<V: Copy>(all: &[(&'static str, V)], name: &str, argument: &'static str) -> Result<V> {
    let known = all.iter().find(|(known, _)| *known == name);
    known
        .map(|&(_, value)| value)
        .ok_or_else(|| Error::invalid(argument, format!("is {name:?}, which is unknown")))
}

/// How triplets are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    pub selection: Selection,
    pub distance: Distance,
    /// How much farther than the positive a semi-hard negative may be.
    pub margin: f64,
    /// Of an anchor's negatives the nearest that are passed over.
    pub skip: Skip,
}

/// Rows of triplets, by anchor, then positive, then negative.
#[derive(Debug, Default, PartialEq)]
pub struct Triplets {
    pub anchors: Vec<i64>,
    pub positives: Vec<i64>,
    pub negatives: Vec<i64>,
    pub positive_distances: Vec<f32>,
    pub negative_distances: Vec<f32>,
    /// Rows that no other row shares a class with.
    pub without_positive: usize,
    /// Rows with a positive but without a negative: their class is the whole batch, or what is
    /// left of it is excluded or passed over.
    pub without_negative: usize,
    /// Pairs of an anchor and a positive without a semi-hard negative.
    pub unmatched: usize,
}

/// Rows in the order of their classes, as they are compared.
struct Space<T> {
    rows: Vec<T>,
    cols: usize,
    distance: Distance,
}

impl<T: Real> Space<T> {
    fn new(
        rows: Matrix<'_, T>,
        classes: &Classes,
        distance: Distance,
        workers: &Workers<'_>,
    ) -> Result<Self> {
        rows.check_finite("embeddings")?;
        if distance != Distance::Cosine {
            // A squared distance is at most four times the larger square.
            let most = (T::max_value().wide() / 8.0).sqrt();
            if let Some(row) = (0..rows.rows()).find(|&i| norm(rows.row(i)) > most) {
                return Err(Error::invalid(
                    "embeddings",
                    format!(
                        "has length {:.3e} in row {row}, whose squared distances overflow; \
                         scale the rows down",
                        norm(rows.row(row))
                    ),
                ));
            }
        }
        let cols = rows.cols();
        let mut sorted = Vec::new();
        sorted
            .try_reserve_exact(rows.data().len())
            .map_err(|_| Error::out_of_memory())?;
        for &row in &classes.order {
            sorted.extend_from_slice(rows.row(row as usize));
        }
        if distance == Distance::Cosine {
            normalise_rows(&mut sorted, rows.rows(), workers)?;
        }
        Ok(Self {
            rows: sorted,
            cols,
            distance,
        })
    }

    fn len(&self) -> usize {
        self.rows.len() / self.cols
    }

    fn row(&self, place: usize) -> &[T] {
        &self.rows[place * self.cols..(place + 1) * self.cols]
    }

    /// Rows as the left side of products that give closeness.
    fn packed(&self, rows: &[&[T]]) -> Panels<T> {
        match self.distance {
            Distance::Cosine => Panels::new(rows),
            Distance::Euclidean | Distance::Squared => Panels::of_distances(rows),
        }
    }
}

/// Chooses triplets among rows with these labels; a negative label stands for no class. `exclude`
/// lists rows that are no negatives of each row.
///
/// The same for any number of threads. Ties go to the smaller label, rows without one last, and
/// then to the lower row.
pub fn mine<T: Real>(
    workers: &Workers<'_>,
    rows: Matrix<'_, T>,
    labels: &[i64],
    exclude: Option<Lists<'_>>,
    choice: Choice,
) -> Result<Triplets> {
    if labels.len() != rows.rows() {
        return Err(Error::invalid(
            "labels",
            format!(
                "has {} entries but embeddings has {} rows",
                labels.len(),
                rows.rows()
            ),
        ));
    }
    if rows.cols() == 0 || rows.rows() > u32::MAX as usize {
        return Err(Error::invalid(
            "embeddings",
            "must have a column, and fewer than 2³² rows",
        ));
    }
    let classes = Classes::new(labels);
    let space = Space::new(rows, &classes, choice.distance, workers)?;
    // Who is passed over differs by anchor, so a distance would no longer serve both of its rows.
    let is_limited = exclude.is_some() || !matches!(choice.skip, Skip::Count(0) | Skip::Share(0.0));
    let mut found = match choice.selection {
        Selection::BatchHard if !is_limited => sweep::batch_hard(workers, &space, &classes)?,
        Selection::SemiHard if !is_limited && classes.most_positives() <= sweep::MOST_BOUNDS => {
            sweep::semi_hard(workers, &space, &classes, choice.margin)?
        }
        _ => listed::mine(workers, &space, &classes, exclude, choice)?,
    };
    for range in &classes.ranges {
        found.without_positive += usize::from(range.len() == 1);
        if range.len() > 1 && range.len() == rows.rows() {
            found.without_negative = range.len();
            found.unmatched = 0;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
