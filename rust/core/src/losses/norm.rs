//! Rows should have a given length: `(‖z‖ - target)²` a row.

use super::contract::*;
use super::rows::each_row;
use crate::error::Result;
use crate::metric::norm;
use crate::pool::Workers;
use crate::real::Real;

pub struct Norm {
    target: f64,
}

impl Loss for Norm {
    const SPEC: &'static Spec = &Spec {
        name: "norm",
        inputs: &[Input::required("embeddings", Kind::Embeddings, &[2])],
        by_number: ByNumber::Rows,
        options: &[Setting::new("target", Domain::NonNegative)],
        reductions: Reduction::ALL,
    };

    const FINDS_NAN: bool = true;

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            target: options.real("target")?,
        })
    }

    fn evaluate<T: Real>(&self, call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        each_row(call, "embeddings", workers, |row, gradient| {
            let length = norm(row);
            let excess = length - self.target;
            if let Some((gradient, weight)) = gradient {
                // A zero row has no direction to go.
                let factor = if length > 0.0 {
                    2.0 * weight * excess / length
                } else {
                    0.0
                };
                for (to, x) in gradient.iter_mut().zip(row) {
                    *to = T::of(factor * x.wide());
                }
            }
            excess * excess
        })
    }
}
