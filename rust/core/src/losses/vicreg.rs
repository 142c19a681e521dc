//! VICReg (Bardes et al. 2022): views agree, columns keep their spread and do not covary.

use super::barlow::views;
use super::columns::column_sums;
use super::contract::*;
use super::inputs::*;
use crate::error::Result;
use crate::linalg::gemm::{Strided, gemm_parallel};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;

/// Rows a worker handles at a time.
const PIECE: usize = 128;

/// Added to a variance before its root.
const EPS: f64 = 1e-4;

pub struct VicReg {
    invariance: f64,
    variance: f64,
    covariance: f64,
    deviation: f64,
}

impl Loss for VicReg {
    const SPEC: &'static Spec = &Spec {
        name: "vicreg",
        inputs: &[
            Input::required("first", Kind::Embeddings, &[2]),
            Input::required("second", Kind::Embeddings, &[2]),
        ],
        by_number: ByNumber::Rows,
        options: &[
            Setting::new("invariance", Domain::NonNegative),
            Setting::new("variance", Domain::NonNegative),
            Setting::new("covariance", Domain::NonNegative),
            Setting::new("deviation", Domain::Positive),
        ],
        reductions: &[Reduction::Mean],
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            invariance: options.real("invariance")?,
            variance: options.real("variance")?,
            covariance: options.real("covariance")?,
            deviation: options.real("deviation")?,
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let cols = inputs.floats("first").map_or(0, |array| array.cols());
        inputs.values().saturating_mul(2 * cols)
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let views = views(call.inputs)?;
        let (rows, cols) = (views[0].rows(), views[0].cols());
        let mut value = 0.0;
        if rows > 0 {
            let mut gradients = call.gradients.take();
            let [a, b] = views.map(|view| view.data());
            let gap = |i: usize, x: T| (x.wide() - b[i].wide()).powi(2);
            let gaps: f64 = column_sums(a, cols, gap, workers)?.into_iter().sum();
            let each = 1.0 / (rows * cols) as f64;
            value += self.invariance * each * gaps;
            for (this, name) in ["first", "second"].into_iter().enumerate() {
                let out = gradients.as_mut().map(|gradients| gradients.take(name));
                let agree = 2.0 * self.invariance * each;
                value += self.spread(views[this], views[1 - this], agree, out, workers)?;
            }
        }
        Ok(Outcome {
            values: Values::Total(value),
            counted: 1,
            active: rows,
        })
    }
}

impl VicReg {
    /// Variance and covariance terms of one view; writes the whole loss's gradient to it, with
    /// `agree` for the factor of the difference of the views.
    fn spread<T: Real>(
        &self,
        view: Matrix<'_, T>,
        other: Matrix<'_, T>,
        agree: f64,
        out: Option<&mut [T]>,
        workers: &Workers<'_>,
    ) -> Result<f64> {
        let (rows, cols) = (view.rows(), view.cols());
        // One row has no variance; its columns are penalised as constant ones.
        let degrees = rows.saturating_sub(1).max(1) as f64;
        let mut means = column_sums(view.data(), cols, |_, x| x.wide(), workers)?;
        means.iter_mut().for_each(|mean| *mean /= rows as f64);
        let mut centred = view.data().to_vec();
        workers.for_each_piece(&mut centred, PIECE * cols, |_, piece| {
            for row in piece.chunks_exact_mut(cols) {
                row.iter_mut()
                    .zip(&means)
                    .for_each(|(x, &mean)| *x = T::of(x.wide() - mean));
            }
            Ok(())
        })?;
        let x = Strided::rows(&centred, rows, cols);
        let mut slopes = vec![T::zero(); cols * cols];
        let scale = T::of(1.0 / degrees);
        gemm_parallel(workers, scale, x.transposed(), x, T::zero(), &mut slopes)?;
        let each = 1.0 / cols as f64;
        let mut value = 0.0;
        for (i, row) in slopes.chunks_exact_mut(cols).enumerate() {
            for (j, covariance) in row.iter_mut().enumerate() {
                let c = covariance.wide();
                // Derivatives to centred columns are 2 / degrees times these, c being symmetric.
                *covariance = T::of(if i == j {
                    let deviation = (c + EPS).sqrt();
                    let missing = self.deviation - deviation;
                    if missing > 0.0 {
                        value += self.variance * each * missing;
                        -self.variance * each / (2.0 * deviation)
                    } else {
                        0.0
                    }
                } else {
                    value += self.covariance * each * c * c;
                    2.0 * self.covariance * each * c
                });
            }
        }
        if let Some(out) = out {
            // Centred columns times anything have mean zero: centring needs no way back.
            let slopes = Strided::rows(&slopes, cols, cols);
            gemm_parallel(workers, T::of(2.0 / degrees), x, slopes, T::zero(), out)?;
            let agree = T::of(agree);
            workers.for_each_piece(out, PIECE * cols, |piece, out| {
                let start = piece * PIECE * cols;
                let pairs = view.data()[start..].iter().zip(&other.data()[start..]);
                for (to, (&own, &other)) in out.iter_mut().zip(pairs) {
                    *to += agree * (own - other);
                }
                Ok(())
            })?;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Setup, check_gradient, normal};

    #[test]
    fn gradients_equal_differences() {
        for deviation in [0.5, 2.0] {
            let setup = Setup::new("vicreg")
                .floats(normal(300 * 4, 1), &[300, 4])
                .floats(normal(300 * 4, 2), &[300, 4])
                .real("invariance", 2.0)
                .real("variance", 3.0)
                .real("covariance", 5.0);
            check_gradient(&setup.real("deviation", deviation));
        }
    }
}
