//! CCA-SSG: correlate two views, decorrelate the columns of each (Zhang et al. 2021).
//!
//! With columns standardised over the n rows, `Z₁` and `Z₂`, the loss is
//! `-Σ Z₁∘Z₂ / n + λ (‖Z₁ᵀZ₁/n - I‖² + ‖Z₂ᵀZ₂/n - I‖²)`: n·d² time, d² memory beside the views.

use super::columns::{Standard, column_sums};
use super::contract::*;
use super::inputs::Inputs;
use crate::error::{Error, Result};
use crate::linalg::gemm::{Strided, gemm_parallel};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

/// Rows a worker handles at a time.
const PIECE: usize = 128;

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
        by_number: ByNumber::Rows,
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
        let mut penalty: f64 = excess.iter().flatten().map(|c| c.wide() * c.wide()).sum();
        if count == 0 {
            // No rows have no correlations that could differ from the identity.
            penalty = 0.0;
        }
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
