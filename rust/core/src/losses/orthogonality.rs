//! Rows or columns should be orthonormal.
//!
//! `‖ZZᵀ - Iₙ‖² - ‖ZᵀZ - I_d‖²` is `n - d` for every Z, so that each form is computed on the
//! smaller side: `min(n, d)²` memory, and what is added is never negative.

use super::contract::*;
use super::inputs::Inputs;
use crate::error::{Error, Result};
use crate::linalg::gemm::{Strided, gemm_parallel};
use crate::pool::Workers;
use crate::real::Real;

/// Steps of the inner dimension that are summed in the element type, then added in f64.
const DEPTH: usize = 4096;

pub struct Orthogonality {
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `‖ZZᵀ - Iₙ‖² / n²`.
    Rows,
    /// `‖ZᵀZ/n - I_d‖² / d²`.
    Columns,
    /// `‖ZᵀZ - I_d‖² / d²`.
    RawColumns,
}

impl Loss for Orthogonality {
    const SPEC: &'static Spec = &Spec {
        name: "orthogonality",
        inputs: &[Input::required("embeddings", Kind::Embeddings, &[2])],
        by_number: ByNumber::Rows,
        options: &[Setting::new(
            "form",
            Domain::Choice(&["gram_d", "gram_d_raw", "gram_n"]),
        )],
        reductions: &[Reduction::Mean],
    };

    const FINDS_NAN: bool = true;

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            form: match options.text("form")? {
                "gram_n" => Form::Rows,
                "gram_d" => Form::Columns,
                _ => Form::RawColumns,
            },
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let side = inputs
            .floats("embeddings")
            .map_or(0, |array| array.cols().min(array.count()));
        inputs.values().saturating_mul(2 * side)
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let z = call.inputs.floats("embeddings")?.matrix()?;
        let (n, d) = (z.rows(), z.cols());
        if d == 0 {
            return Err(Error::invalid("embeddings", "needs at least one column"));
        }
        let side = n.min(d);
        let (scale, wanted) = match self.form {
            Form::Rows => (1.0, n),
            Form::Columns => (1.0 / n.max(1) as f64, d),
            Form::RawColumns => (1.0, d),
        };
        let share = 1.0 / (wanted.max(1) as f64).powi(2);
        let z = Strided::rows(z.data(), n, d);
        let mut excess = gram(if n < d { z.transposed() } else { z }, workers)?;
        excess.iter_mut().for_each(|value| *value *= scale);
        excess
            .iter_mut()
            .step_by(side + 1)
            .for_each(|diagonal| *diagonal -= 1.0);
        let squares: f64 = excess.iter().map(|value| value * value).sum();
        let total = if n == 0 {
            0.0
        } else {
            call.inputs.finite_or(squares)? + (wanted - side) as f64
        };
        if let Some(mut gradients) = call.gradients.take() {
            let out = gradients.take("embeddings");
            let excess: Vec<T> = excess.into_iter().map(T::of).collect();
            let excess = Strided::rows(&excess, side, side);
            let (a, b) = if n < d { (excess, z) } else { (z, excess) };
            gemm_parallel(workers, T::of(4.0 * scale * share), a, b, T::zero(), out)?;
        }
        Ok(Outcome {
            values: Values::Total(total * share),
            counted: 1,
            active: n,
        })
    }
}

/// `AᵀA`.
fn gram<T: Real>(a: Strided<'_, T>, workers: &Workers<'_>) -> Result<Vec<f64>> {
    let mut totals = vec![0.0; a.cols * a.cols];
    let mut part = vec![T::zero(); totals.len()];
    for start in (0..a.rows).step_by(DEPTH) {
        let block = a.part(start, 0, DEPTH.min(a.rows - start), a.cols);
        let transposed = block.transposed();
        gemm_parallel(workers, T::one(), transposed, block, T::zero(), &mut part)?;
        for (total, part) in totals.iter_mut().zip(&part) {
            *total += part.wide();
        }
    }
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::{Argument, Array, OptionValue, find, run};
    use crate::rng::Stream;

    /// The forms as they are defined, for shapes on both sides of square.
    #[test]
    fn the_smaller_side_gives_what_the_definition_gives() {
        let mut stream = Stream::new(1, 0);
        for (n, d) in [(1, 1), (3, 8), (8, 3), (5, 5), (1, 4), (4, 1)] {
            let z: Vec<f64> = (0..n * d).map(|_| stream.uniform() * 2.0 - 1.0).collect();
            let shape = [n, d];
            let arguments = [Argument::Floats(Array {
                data: &z,
                shape: &shape,
            })];
            let entry = find("orthogonality").unwrap();
            let inputs = Inputs::new(entry.spec, &arguments).unwrap();
            let by_rows = |i: usize, j: usize| (0..d).map(|k| z[i * d + k] * z[j * d + k]).sum();
            let by_columns = |i: usize, j: usize| (0..n).map(|k| z[k * d + i] * z[k * d + j]).sum();
            let loss = |side: usize, scale: f64, gram: &dyn Fn(usize, usize) -> f64| {
                let mut total = 0.0;
                for i in 0..side {
                    for j in 0..side {
                        total += (scale * gram(i, j) - f64::from(u8::from(i == j))).powi(2);
                    }
                }
                total / (side * side) as f64
            };
            for (form, want) in [
                ("gram_n", loss(n, 1.0, &by_rows)),
                ("gram_d", loss(d, 1.0 / n as f64, &by_columns)),
                ("gram_d_raw", loss(d, 1.0, &by_columns)),
            ] {
                let options = [("form".into(), OptionValue::Text(form.into()))];
                let workers = Workers::serial();
                let got = run(entry, &options, &inputs, Reduction::Mean, None, &workers);
                assert!((got.unwrap().values[0] - want).abs() < 1e-12, "{form}");
            }
        }
    }
}
