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
            Input::required("theta", Kind::Embeddings, &[1, 2, 3, 4]),
            Input::required("theta_star", Kind::Floats, &[1, 2, 3, 4]),
            Input::required("fisher", Kind::Floats, &[1, 2, 3, 4]),
        ],
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
