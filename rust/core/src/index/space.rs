//! What nearness means in one index: its metric, its dimensions and how rows are stored for it.

use crate::error::{Error, Result};
use crate::index::lines::Lines;
use crate::matrix::Matrix;
use crate::metric::Metric;
use crate::pool::Workers;
use crate::simd::fours::Fours;
use crate::simd::{self, Table};

/// Rows longer than this are refused under l2 and ip, whose float32 distances could overflow.
pub const MAX_NORM: f64 = 1e18;

/// Rows of a smaller sum of squares are shorter for certain, and finite.
const PLAIN: f32 = 1e35;

/// Values a thread checks at a time.
const CHECKED: usize = 1 << 15;

/// More dimensions than this are refused.
pub const MAX_DIM: usize = 1 << 20;

/// A metric on vectors of one length.
#[derive(Clone, Copy)]
pub struct Space {
    pub metric: Metric,
    pub dim: usize,
    kernels: &'static Table<f32>,
}

impl Space {
    pub fn new(dim: usize, metric: Metric) -> Result<Self> {
        if dim == 0 || dim > MAX_DIM {
            return Err(Error::invalid(
                "dim",
                format!("is {dim} but must be between 1 and {MAX_DIM}"),
            ));
        }
        Ok(Self {
            metric,
            dim,
            kernels: simd::table(),
        })
    }

    /// The metric as files name it.
    pub fn code(&self) -> u64 {
        match self.metric {
            Metric::Cosine => 1,
            Metric::L2 => 2,
            Metric::InnerProduct => 3,
        }
    }

    /// The space that a file describes, if there is such a one.
    pub fn of_code(code: u64, dim: u64) -> Option<Self> {
        let dim = usize::try_from(dim).ok()?;
        Metric::ALL
            .into_iter()
            .filter_map(|metric| Self::new(dim, metric).ok())
            .find(|space| space.code() == code)
    }

    /// The distance of two rows as [`Space::store`] wrote them; smaller is nearer.
    ///
    /// Under cosine a rounding error may carry it a little outside 0 to 2.
    #[inline(always)]
    pub fn distance(&self, a: &[f32], b: &[f32]) -> f32 {
        match self.metric {
            Metric::Cosine => 1.0 - self.kernels.dot(a, b),
            Metric::L2 => self.kernels.squared_l2(a, b),
            Metric::InnerProduct => -self.kernels.dot(a, b),
        }
    }

    /// What a part of two rows adds to [`Space::total`].
    #[inline(always)]
    pub fn part(&self, a: &[f32], b: &[f32]) -> f32 {
        match self.metric {
            Metric::L2 => self.kernels.squared_l2(a, b),
            Metric::Cosine | Metric::InnerProduct => self.kernels.dot(a, b),
        }
    }

    /// The distance of two rows whose parts these are.
    #[inline(always)]
    pub fn total(&self, parts: impl Iterator<Item = f32>) -> f32 {
        let total: f32 = parts.sum();
        match self.metric {
            Metric::Cosine => 1.0 - total,
            Metric::L2 => total,
            Metric::InnerProduct => -total,
        }
    }

    /// [`Space::distance`] of a row from four queries, the same bits.
    #[inline]
    pub fn four_distances(&self, queries: [&[f32]; 4], row: &[f32]) -> [f32; 4] {
        match self.metric {
            Metric::Cosine => Fours::get().dot(row, queries).map(|dot| 1.0 - dot),
            Metric::L2 => Fours::get().squared_l2(row, queries),
            Metric::InnerProduct => Fours::get().dot(row, queries).map(|dot| -dot),
        }
    }

    /// A distance as users see it: a cosine distance within 0 to 2.
    #[inline]
    pub fn shown(&self, distance: f32) -> f32 {
        match self.metric {
            Metric::Cosine => distance.clamp(0.0, 2.0),
            _ => distance,
        }
    }

    /// Fails unless every row can be stored or searched for.
    pub fn check(
        &self,
        vectors: Matrix<'_, f32>,
        argument: &'static str,
        workers: &Workers<'_>,
    ) -> Result<()> {
        if vectors.cols() != self.dim {
            return Err(Error::invalid(
                argument,
                format!(
                    "has shape ({}, {}) but the index holds {} dimensions",
                    vectors.rows(),
                    vectors.cols(),
                    self.dim
                ),
            ));
        }
        // Sums of squares take a tenth of what the checks one by one take, and NaN does not pass.
        let plain = |row: &[f32]| self.kernels.dot(row, row) < PLAIN;
        let rows = (CHECKED / self.dim).max(1);
        let parts = workers.map(vectors.rows().div_ceil(rows), |part| {
            let range = part * rows..vectors.rows().min((part + 1) * rows);
            Ok(range.into_iter().all(|i| plain(vectors.row(i))))
        })?;
        if parts.into_iter().all(|plain| plain) {
            return Ok(());
        }
        vectors.check_finite(argument)?;
        if self.metric == Metric::Cosine {
            return Ok(());
        }
        for i in 0..vectors.rows() {
            let length = norm(vectors.row(i));
            if length > MAX_NORM {
                return Err(Error::invalid(
                    argument,
                    format!(
                        "has length {length:e} in row {i} but must be at most {MAX_NORM:e}, beyond \
                         which float32 distances overflow; scale the data down"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Writes `row` as it is stored and returns its length: divided by it under cosine (a zero
    /// row stays zero and is at distance 1 from everything).
    pub fn store(&self, row: &[f32], stored: &mut [f32]) -> f64 {
        let length = norm(row);
        let (values, _) = stored.split_at_mut(row.len());
        if self.metric == Metric::Cosine && length > 0.0 {
            for (value, &x) in values.iter_mut().zip(row) {
                *value = (f64::from(x) / length) as f32;
            }
        } else {
            values.copy_from_slice(row);
        }
        length
    }

    /// Queries as [`Space::distance`] wants them.
    pub fn prepare(&self, queries: Matrix<'_, f32>, workers: &Workers<'_>) -> Result<Lines> {
        self.check(queries, "queries", workers)?;
        self.lay_out(queries)
    }

    /// The same of queries that were checked.
    pub fn lay_out(&self, queries: Matrix<'_, f32>) -> Result<Lines> {
        let mut lines = Lines::new(self.dim);
        lines.resize(queries.rows())?;
        for i in 0..queries.rows() {
            let row = queries.row(i);
            match self.metric {
                Metric::Cosine => {
                    self.store(row, lines.row_mut(i));
                }
                _ => lines.row_mut(i)[..row.len()].copy_from_slice(row),
            }
        }
        Ok(lines)
    }
}

/// The Euclidean length, which no `f32` row overflows in `f64`.
pub fn norm(row: &[f32]) -> f64 {
    squares(row).sqrt()
}

/// The sum of squares, in several sums: one would wait for itself.
pub fn squares(row: &[f32]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (blocks, rest) = row.as_chunks::<8>();
    for block in blocks {
        for (sum, &x) in sums.iter_mut().zip(block) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    let rest: f64 = rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    sums.iter().sum::<f64>() + rest
}
