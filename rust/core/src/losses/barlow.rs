//! Barlow Twins (Zbontar et al. 2021): the correlation of two views' columns is the identity.

use super::columns::Standard;
use super::contract::*;
use super::inputs::*;
use crate::error::{Error, Result};
use crate::linalg::gemm::{Strided, gemm_parallel};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;

pub struct BarlowTwins {
    redundancy: f64,
}

/// Both inputs `first` and `second`, of equal shape.
pub fn views<'a, T: Real>(inputs: &Inputs<'a, T>) -> Result<[Matrix<'a, T>; 2]> {
    let first = inputs.floats("first")?;
    let second = inputs.floats("second")?;
    second.check_count("second", &first, "first")?;
    second.check_cols("second", &first, "first")?;
    if first.cols() == 0 {
        return Err(Error::invalid("first", "needs at least one column"));
    }
    Ok([first.matrix()?, second.matrix()?])
}

impl Loss for BarlowTwins {
    const SPEC: &'static Spec = &Spec {
        name: "barlow_twins",
        inputs: &[
            Input::required("first", Kind::Embeddings, &[2]),
            Input::required("second", Kind::Embeddings, &[2]),
        ],
        by_number: ByNumber::Rows,
        options: &[Setting::new("redundancy", Domain::NonNegative)],
        reductions: &[Reduction::Mean],
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            redundancy: options.real("redundancy")?,
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let cols = inputs.floats("first").map_or(0, |array| array.cols());
        inputs.values().saturating_mul(2 * cols)
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let [first, second] = views(call.inputs)?;
        let (rows, cols) = (first.rows(), first.cols());
        let outcome = |value| Outcome {
            values: Values::Total(value),
            counted: 1,
            active: rows,
        };
        if rows == 0 {
            return Ok(outcome(0.0));
        }
        let first = Standard::new(first, workers)?;
        let second = Standard::new(second, workers)?;
        let [z1, z2] = [&first, &second].map(|view| Strided::rows(&view.values, rows, cols));
        let each = T::of(1.0 / rows as f64);
        let mut slopes = vec![T::zero(); cols * cols];
        gemm_parallel(workers, each, z1.transposed(), z2, T::zero(), &mut slopes)?;
        let mut value = 0.0;
        for (i, row) in slopes.chunks_exact_mut(cols).enumerate() {
            for (j, correlation) in row.iter_mut().enumerate() {
                let (weight, wanted) = if i == j {
                    (1.0, 1.0)
                } else {
                    (self.redundancy, 0.0)
                };
                let excess = correlation.wide() - wanted;
                value += weight * excess * excess;
                *correlation = T::of(2.0 * weight * excess);
            }
        }
        if let Some(mut gradients) = call.gradients.take() {
            let slopes = Strided::rows(&slopes, cols, cols);
            let out = gradients.take("first");
            gemm_parallel(workers, each, z2, slopes.transposed(), T::zero(), out)?;
            first.pull_back(out, workers)?;
            let out = gradients.take("second");
            gemm_parallel(workers, each, z1, slopes, T::zero(), out)?;
            second.pull_back(out, workers)?;
        }
        Ok(outcome(value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Setup, check_gradient, normal};
    use super::*;

    #[test]
    fn gradients_equal_differences_and_equal_views_correlate() {
        let setup = Setup::new("barlow_twins")
            .floats(normal(300 * 4, 1), &[300, 4])
            .floats(normal(300 * 4, 2), &[300, 4]);
        check_gradient(&setup.real("redundancy", 0.3));
        let same = Setup::new("barlow_twins")
            .floats(normal(12, 1), &[12, 1])
            .floats(normal(12, 1), &[12, 1]);
        assert!(same.real("redundancy", 1.0).run(Reduction::Mean, 1).0[0] < 1e-24);
    }
}
