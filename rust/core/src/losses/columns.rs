//! Columns of a view: sums, and their standard form with its gradient.

use crate::error::Result;
use crate::linalg::gemm::{Strided, gemm_parallel};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;

/// Rows a worker handles at a time.
const PIECE: usize = 128;

/// A deviation of less than this part of the mean is what rounding makes of a constant column,
/// which becomes zero and gets no gradient.
const ROUNDING: f64 = 256.0 * f64::EPSILON;

/// Columns of mean 0 and variance 1.
pub struct Standard<T> {
    pub values: Vec<T>,
    /// One over each column's deviation; 0 for a constant column.
    inverse: Vec<T>,
    pub rows: usize,
}

impl<T: Real> Standard<T> {
    pub fn new(view: Matrix<'_, T>, workers: &Workers<'_>) -> Result<Self> {
        let (rows, cols) = (view.rows(), view.cols());
        let mut values = view.data().to_vec();
        let count = rows.max(1) as f64;
        let mut means = column_sums(&values, cols, |_, x| x.wide(), workers)?;
        means.iter_mut().for_each(|mean| *mean /= count);
        workers.for_each_piece(&mut values, PIECE * cols, |_, piece| {
            for row in piece.chunks_exact_mut(cols) {
                row.iter_mut()
                    .zip(&means)
                    .for_each(|(x, &mean)| *x = T::of(x.wide() - mean));
            }
            Ok(())
        })?;
        let squares = column_sums(&values, cols, |_, x| x.wide() * x.wide(), workers)?;
        let inverse: Vec<T> = squares
            .into_iter()
            .zip(&means)
            .map(|(sum, mean)| {
                let deviation = (sum / count).sqrt();
                let varies = deviation > ROUNDING * mean.abs();
                T::of(if varies { 1.0 / deviation } else { 0.0 })
            })
            .collect();
        workers.for_each_piece(&mut values, PIECE * cols, |_, piece| {
            for row in piece.chunks_exact_mut(cols) {
                row.iter_mut()
                    .zip(&inverse)
                    .for_each(|(x, &inverse)| *x *= inverse);
            }
            Ok(())
        })?;
        Ok(Self {
            values,
            inverse,
            rows,
        })
    }

    pub fn cols(&self) -> usize {
        self.inverse.len()
    }

    /// `ZᵀZ / n - I`, the correlations that should vanish.
    pub fn excess_correlation(&self, workers: &Workers<'_>) -> Result<Vec<T>> {
        let cols = self.cols();
        let z = Strided::rows(&self.values, self.rows, cols);
        let mut excess = vec![T::zero(); cols * cols];
        let scale = T::of(1.0 / self.rows.max(1) as f64);
        gemm_parallel(workers, scale, z.transposed(), z, T::zero(), &mut excess)?;
        excess
            .iter_mut()
            .step_by(cols + 1)
            .for_each(|diagonal| *diagonal -= T::one());
        Ok(excess)
    }

    /// Turns a gradient to the standardised columns into one to the raw ones, in place.
    pub fn pull_back(&self, gradient: &mut [T], workers: &Workers<'_>) -> Result<()> {
        let cols = self.cols();
        let count = self.rows as f64;
        let mut means = column_sums(gradient, cols, |_, g| g.wide(), workers)?;
        let along = |i: usize, g: T| g.wide() * self.values[i].wide();
        let mut slopes = column_sums(gradient, cols, along, workers)?;
        means
            .iter_mut()
            .chain(&mut slopes)
            .for_each(|sum| *sum /= count);
        workers.for_each_piece(gradient, PIECE * cols, |piece, out| {
            let z = &self.values[piece * PIECE * cols..];
            for (row, z) in out.chunks_exact_mut(cols).zip(z.chunks_exact(cols)) {
                for (j, (g, &z)) in row.iter_mut().zip(z).enumerate() {
                    *g = (*g - T::of(means[j]) - z * T::of(slopes[j])) * self.inverse[j];
                }
            }
            Ok(())
        })
    }
}

/// Sums of `term(position, value)` over each column, in an order that threads do not change.
pub fn column_sums<T: Real>(
    values: &[T],
    cols: usize,
    term: impl Fn(usize, T) -> f64 + Sync,
    workers: &Workers<'_>,
) -> Result<Vec<f64>> {
    let rows = values.len() / cols;
    let parts = workers.map(rows.div_ceil(PIECE), |piece| {
        let start = piece * PIECE * cols;
        let end = values.len().min(start + PIECE * cols);
        let mut sums = vec![0.0; cols];
        for (i, row) in values[start..end].chunks_exact(cols).enumerate() {
            for (j, (sum, &value)) in sums.iter_mut().zip(row).enumerate() {
                *sum += term(start + i * cols + j, value);
            }
        }
        Ok(sums)
    })?;
    let mut sums = vec![0.0; cols];
    for part in parts {
        sums.iter_mut()
            .zip(part)
            .for_each(|(sum, part)| *sum += part);
    }
    Ok(sums)
}
