//! What a miner is asked: vectors, who may not be whose negative, and how to choose.

use super::Strategy;
use super::eligible::Lists;
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::real::Real;

/// What vectors are compared by; larger is more similar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Similarity {
    /// A row of zeros has similarity 0 to everything.
    Cosine,
    Dot,
}

/// How many of the most similar eligible rows are passed over.
#[derive(Clone, Copy, Debug)]
pub enum Skip {
    Count(usize),
    /// Of an anchor's eligible rows, rounded down.
    Share(f64),
}

/// How negatives are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub strategy: Strategy,
    pub similarity: Similarity,
    pub k: usize,
    pub skip: Skip,
    /// Of `k`, for [`Strategy::Mixed`].
    pub hard_share: f64,
    /// For [`Strategy::DistanceWeighted`].
    pub alpha: f64,
    /// For [`Strategy::SemiHard`]: how far below the positive a negative may lie.
    pub margin: f64,
    pub seed: u64,
}

/// What is known of the positives.
#[derive(Clone, Copy, Debug)]
pub enum Positives<'a, T> {
    Unknown,
    /// Pool rows, one row an anchor; -1 fills.
    Rows(Matrix<'a, i64>),
    /// One vector an anchor.
    Vectors(Matrix<'a, T>),
}

/// Anchors, the pool, and who may not be whose negative.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a, T> {
    pub anchors: Matrix<'a, T>,
    pub pool: Matrix<'a, T>,
    /// Anchor `i` is pool row `i`.
    pub pool_is_anchors: bool,
    pub positives: Positives<'a, T>,
    /// Classes of anchors and of pool rows; negative stands for none.
    pub labels: Option<(&'a [i64], &'a [i64])>,
    pub exclude: Option<Lists<'a>>,
}

impl<'a, T: Real> Question<'a, T> {
    /// The pool rows of an anchor's positives.
    pub(super) fn positives_of(&self, anchor: usize) -> impl Iterator<Item = &'a i64> {
        let rows = match self.positives {
            Positives::Rows(rows) => rows.row(anchor),
            _ => &[],
        };
        rows.iter().filter(|&&row| row >= 0)
    }

    pub(super) fn check(&self) -> Result<()> {
        let (count, dimensions) = (self.anchors.rows(), self.anchors.cols());
        if self.pool.cols() != dimensions {
            return Err(Error::invalid(
                "pool",
                format!(
                    "has {} columns but anchors have {dimensions}",
                    self.pool.cols()
                ),
            ));
        }
        if self.pool_is_anchors && self.pool.rows() != count {
            return Err(Error::invalid("pool", "must be the anchors themselves"));
        }
        if self.pool.rows() > u32::MAX as usize {
            return Err(Error::invalid(
                "pool",
                format!("has {} rows but 2³² - 1 is the most", self.pool.rows()),
            ));
        }
        self.anchors.check_finite("anchors")?;
        self.pool.check_finite("pool")?;
        self.check_positives()?;
        if let Some((anchors, pool)) = self.labels {
            for (argument, labels, rows) in [
                ("labels", anchors, count),
                ("pool_labels", pool, self.pool.rows()),
            ] {
                if labels.len() != rows {
                    return Err(Error::invalid(
                        argument,
                        format!("has {} entries but there are {rows} rows", labels.len()),
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_positives(&self) -> Result<()> {
        let rows = match self.positives {
            Positives::Unknown => return Ok(()),
            Positives::Rows(rows) => {
                let pool = self.pool.rows();
                let outside = |row: &&i64| !(-1..pool as i64).contains(*row);
                if let Some(row) = rows.data().iter().find(outside) {
                    return Err(Error::invalid(
                        "positives",
                        format!("names row {row} but the pool has {pool} rows"),
                    ));
                }
                rows.rows()
            }
            Positives::Vectors(vectors) => {
                if vectors.cols() != self.anchors.cols() {
                    return Err(Error::invalid(
                        "positives",
                        format!(
                            "has {} columns but anchors have {}",
                            vectors.cols(),
                            self.anchors.cols()
                        ),
                    ));
                }
                vectors.check_finite("positives")?;
                vectors.rows()
            }
        };
        if rows != self.anchors.rows() {
            return Err(Error::invalid(
                "positives",
                format!(
                    "has {rows} rows but there are {} anchors",
                    self.anchors.rows()
                ),
            ));
        }
        Ok(())
    }
}
