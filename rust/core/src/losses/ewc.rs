//! Elastic weight consolidation: `(strength / 2) Σ F (θ - θ*)²` (Kirkpatrick et al. 2017).

use super::contract::*;
use super::inputs::{Array, Inputs, Shape};
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{Elementwise, elementwise};

/// Values that a worker handles at a time.
const PIECE: usize = 1 << 14;

pub struct Ewc {
    strength: f64,
}

impl Loss for Ewc {
    const SPEC: &'static Spec = &Spec {
        name: "ewc",
        inputs: &[
            Input::required("theta", Kind::Parameters, &[1, 2, 3, 4]),
            Input::required("theta_star", Kind::Floats, &[1, 2, 3, 4]),
            Input::required("fisher", Kind::Floats, &[1, 2, 3, 4]),
        ],
        by_number: ByNumber::Never("it penalises parameters, all of them at once"),
        options: &[Setting::new("strength", Domain::NonNegative)],
        reductions: &[Reduction::Sum],
    };

    const FINDS_NAN: bool = true;

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            strength: options.real("strength")?,
        })
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let theta = call.inputs.floats("theta")?;
        let star = same_shape(call.inputs, "theta_star", &theta)?;
        let fisher = same_shape(call.inputs, "fisher", &theta)?;
        let count = theta.data.len();
        let mut totals = vec![0.0; count.div_ceil(PIECE)];
        let gradient = call.gradients.as_mut().map(|to| to.take("theta"));
        let mut places = gradient.map(|gradient| gradient.chunks_mut(PIECE));
        let mut pieces: Vec<_> = totals
            .iter_mut()
            .map(|total| (total, places.as_mut().and_then(Iterator::next)))
            .collect();
        workers.for_each_piece(&mut pieces, 1, |piece, pieces| {
            let range = piece * PIECE..count.min((piece + 1) * PIECE);
            let negative = |bad, &f: &T| bad | (f < T::zero());
            if fisher.data[range.clone()].iter().fold(false, negative) {
                return Err(negative_fisher(fisher.data));
            }
            for (total, place) in pieces {
                if let Some(to) = place {
                    elementwise(Pull {
                        strength: T::of(self.strength),
                        theta: &theta.data[range.clone()],
                        star: &star.data[range.clone()],
                        fisher: &fisher.data[range.clone()],
                        to,
                    });
                }
                **total = elementwise(Energy {
                    theta: &theta.data[range.clone()],
                    star: &star.data[range.clone()],
                    fisher: &fisher.data[range.clone()],
                });
            }
            Ok(())
        })?;
        let total = call.inputs.finite_or(totals.iter().sum())?;
        Ok(Outcome {
            values: Values::Total(0.5 * self.strength * total),
            counted: 1,
            active: count,
        })
    }
}

fn negative_fisher<T: Real>(fisher: &[T]) -> Error {
    let at = fisher.iter().position(|&f| f < T::zero()).unwrap_or(0);
    let problem = format!(
        "holds {} at entry {at} but a mean of squares is not negative",
        fisher[at]
    );
    Error::invalid("fisher", problem)
}

fn same_shape<'a, T: Real>(
    inputs: &Inputs<'a, T>,
    name: &'static str,
    theta: &Array<'_, T>,
) -> Result<Array<'a, T>> {
    let array = inputs.floats(name)?;
    if array.shape == theta.shape {
        return Ok(array);
    }
    Err(Error::invalid(
        name,
        format!(
            "has shape {:?} but theta has shape {:?}; they must be equal",
            Shape(array.shape),
            Shape(theta.shape)
        ),
    ))
}

/// Independent sums, which the compiler keeps in registers.
const LANES: usize = 8;

/// `Σ F (θ - θ*)²`.
struct Energy<'a, T> {
    theta: &'a [T],
    star: &'a [T],
    fisher: &'a [T],
}

impl<T: Real> Elementwise for Energy<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let term = |theta: T, star: T, fisher: T| {
            let away = theta.wide() - star.wide();
            fisher.wide() * away * away
        };
        let (thetas, theta_rest) = self.theta.as_chunks::<LANES>();
        let (stars, star_rest) = self.star.as_chunks::<LANES>();
        let (fishers, fisher_rest) = self.fisher.as_chunks::<LANES>();
        let mut sums = [0.0; LANES];
        for ((theta, star), fisher) in thetas.iter().zip(stars).zip(fishers) {
            for lane in 0..LANES {
                sums[lane] += term(theta[lane], star[lane], fisher[lane]);
            }
        }
        let head: f64 = sums.into_iter().sum();
        theta_rest
            .iter()
            .zip(star_rest)
            .zip(fisher_rest)
            .fold(head, |sum, ((&theta, &star), &fisher)| {
                sum + term(theta, star, fisher)
            })
    }
}

/// `strength · F (θ - θ*)`.
struct Pull<'a, T> {
    strength: T,
    theta: &'a [T],
    star: &'a [T],
    fisher: &'a [T],
    to: &'a mut [T],
}

impl<T: Real> Elementwise for Pull<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let terms = self.theta.iter().zip(self.star).zip(self.fisher);
        for (to, ((&theta, &star), &fisher)) in self.to.iter_mut().zip(terms) {
            *to = self.strength * fisher * (theta - star);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Result;
    use crate::losses::{Argument, Array, Inputs, OptionValue, Reduced, Reduction, find, run};
    use crate::pool::Workers;

    fn evaluate(theta: &[f32], star: &[f32], fisher: &[f32], out: &mut [f32]) -> Result<Reduced> {
        let shape = [theta.len()];
        let floats = |data| {
            Argument::Floats(Array {
                data,
                shape: &shape,
            })
        };
        let arguments = [floats(theta), floats(star), floats(fisher)];
        let entry = find("ewc")?;
        let inputs = Inputs::new(entry.spec, &arguments)?;
        let options = [("strength".into(), OptionValue::Real(4.0))];
        let workers = Workers::of(2);
        run(
            entry,
            &options,
            &inputs,
            Reduction::Sum,
            Some(vec![out]),
            &workers,
        )
    }

    #[test]
    fn pieces_add_up() {
        let count = 3 * super::PIECE + 5;
        let (theta, star) = (vec![1.5; count], vec![1.0; count]);
        let fisher: Vec<f32> = (0..count).map(|i| (i % 3) as f32).collect();
        let mut slopes = vec![f32::NAN; count];
        let got = evaluate(&theta, &star, &fisher, &mut slopes).unwrap();
        let total: f64 = fisher.iter().map(|&f| f64::from(f)).sum();
        assert_eq!(got.values, [2.0 * 0.25 * total]);
        assert!(
            slopes
                .iter()
                .zip(&fisher)
                .all(|(slope, f)| *slope == 2.0 * f)
        );
    }

    #[test]
    fn negative_importance_is_named() {
        let error = evaluate(&[1.0; 3], &[0.0; 3], &[1.0, 0.0, -2.0], &mut [0.0; 3]).unwrap_err();
        assert!(error.to_string().contains("-2 at entry 2"));
    }
}
