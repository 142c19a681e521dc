//! CCA-SSG: correlate two views, decorrelate the columns of each (Zhang et al. 2021).
//!
//! With columns standardised over the n rows, `Z₁` and `Z₂`, the loss is
//! `-Σ Z₁∘Z₂ / n + λ (‖Z₁ᵀZ₁/n - I‖² + ‖Z₂ᵀZ₂/n - I‖²)`: n·d² time, d² memory beside the views.

use super::contract::*;
use super::inputs::Inputs;
use crate::error::{Error, Result};
use crate::linalg::gemm::{Strided, gemm_parallel};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

/// Rows a worker handles at a time.
const PIECE: usize = 128;

/// A deviation of less than this part of the mean is what rounding makes of a constant column,
/// which becomes zero and gets no gradient.
const ROUNDING: f64 = 256.0 * f64::EPSILON;

pub struct CcaSsg {
    decorrelation: f64,
}

impl Loss for CcaSsg {
    const SPEC: &'static Spec = &Spec {
        name: "cca_ssg",
        inputs: &[
            Input::required("first", Kind::Embeddings, &[2]),
            Input::required("second", Kind::Embeddings, &[2]),
        ],
        options: &[Setting::new("decorrelation", Domain::NonNegative)],
        reductions: &[Reduction::Mean],
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            decorrelation: options.real("decorrelation")?,
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let cols = inputs.floats("first").map_or(0, |array| array.cols());
        inputs.values().saturating_mul(2 * cols)
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let first = call.inputs.floats("first")?;
        let second = call.inputs.floats("second")?;
        second.check_count("second", &first, "first")?;
        second.check_cols("second", &first, "first")?;
        if first.cols() == 0 {
            return Err(Error::invalid("first", "needs at least one column"));
        }
        let count = first.count();
        let views = [
            Standard::new(first.matrix()?, workers)?,
            Standard::new(second.matrix()?, workers)?,
        ];
        let mut excess = Vec::with_capacity(2);
        for view in &views {
            excess.push(view.excess_correlation(workers)?);
        }
        let agreement = agreement(&views, workers)? / count.max(1) as f64;
        let penalty: f64 = excess.iter().flatten().map(|c| c.wide() * c.wide()).sum();
        if let Some(mut gradients) = call.gradients.take() {
            for (this, name) in ["first", "second"].into_iter().enumerate() {
                let out = gradients.take(name);
                self.gradient(&views[this], &views[1 - this], &excess[this], out, workers)?;
            }
        }
        Ok(Outcome {
            values: Values::Total(self.decorrelation * penalty - agreement),
            counted: 1,
            active: count,
        })
    }
}

impl CcaSsg {
    /// Writes the gradient to one view: `(4λ Z(C - I) - Z') / n`, pulled back to the raw columns.
    fn gradient<T: Real>(
        &self,
        view: &Standard<T>,
        other: &Standard<T>,
        excess: &[T],
        out: &mut [T],
        workers: &Workers<'_>,
    ) -> Result<()> {
        let (rows, cols) = (view.rows, view.cols());
        if rows == 0 {
            return Ok(());
        }
        gemm_parallel(
            workers,
            T::of(4.0 * self.decorrelation / rows as f64),
            Strided::rows(&view.values, rows, cols),
            Strided::rows(excess, cols, cols),
            T::zero(),
            out,
        )?;
        let scale = T::of(-1.0 / rows as f64);
        workers.for_each_piece(out, PIECE * cols, |piece, out| {
            let start = piece * PIECE * cols;
            simd::table::<T>().axpy(scale, &other.values[start..start + out.len()], out);
            Ok(())
        })?;
        view.pull_back(out, workers)
    }
}

/// Columns of mean 0 and variance 1.
struct Standard<T> {
    values: Vec<T>,
    /// One over each column's deviation; 0 for a constant column.
    inverse: Vec<T>,
    rows: usize,
}

impl<T: Real> Standard<T> {
    fn new(view: Matrix<'_, T>, workers: &Workers<'_>) -> Result<Self> {
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

    fn cols(&self) -> usize {
        self.inverse.len()
    }

    /// `ZᵀZ / n - I`, the correlations that should vanish.
    fn excess_correlation(&self, workers: &Workers<'_>) -> Result<Vec<T>> {
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
    fn pull_back(&self, gradient: &mut [T], workers: &Workers<'_>) -> Result<()> {
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
fn column_sums<T: Real>(
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

/// `Σ Z₁∘Z₂`.
fn agreement<T: Real>(views: &[Standard<T>; 2], workers: &Workers<'_>) -> Result<f64> {
    let [first, second] = views;
    let products = column_sums(
        &first.values,
        first.cols(),
        |i, x| x.wide() * second.values[i].wide(),
        workers,
    )?;
    Ok(products.into_iter().sum())
}
