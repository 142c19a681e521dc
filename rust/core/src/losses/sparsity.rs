//! Few entries should differ from 0: `Σ |x|` a row, or its Huber form, which is smooth at 0.

use super::contract::*;
use super::rows::each_row;
use crate::error::Result;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{Elementwise, elementwise};

pub struct Sparsity {
    /// Where the parabola ends; 0 for L1.
    delta: f64,
}

impl Loss for Sparsity {
    const SPEC: &'static Spec = &Spec {
        name: "sparsity",
        inputs: &[Input::required("embeddings", Kind::Embeddings, &[2])],
        by_number: ByNumber::Rows,
        options: &[
            Setting::new("form", Domain::Choice(&["l1", "huber"])),
            Setting::new("delta", Domain::Positive),
        ],
        reductions: Reduction::ALL,
    };

    const FINDS_NAN: bool = true;

    fn parse(options: &Options<'_>) -> Result<Self> {
        let delta = options.real("delta")?;
        Ok(Self {
            delta: if options.text("form")? == "l1" {
                0.0
            } else {
                delta
            },
        })
    }

    fn evaluate<T: Real>(&self, call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        each_row(call, "embeddings", workers, |row, gradient| {
            if let Some((to, weight)) = gradient {
                elementwise(Slopes {
                    row,
                    weight: T::of(weight),
                    delta: T::of(self.delta),
                    to,
                });
            }
            elementwise(Lengths {
                row,
                delta: self.delta,
            })
        })
    }
}

/// Independent sums, which the compiler keeps in registers.
const LANES: usize = 8;

struct Lengths<'a, T> {
    row: &'a [T],
    delta: f64,
}

impl<T: Real> Elementwise for Lengths<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let length = |x: T| {
            let x = x.wide().abs();
            if x > self.delta || self.delta == 0.0 {
                x - 0.5 * self.delta
            } else {
                // NaN comes here and stays.
                0.5 * x * (x / self.delta)
            }
        };
        let mut sums = [0.0; LANES];
        let (blocks, rest) = self.row.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                sums[lane] += length(block[lane]);
            }
        }
        let head: f64 = sums.into_iter().sum();
        rest.iter().fold(head, |sum, &x| sum + length(x))
    }
}

struct Slopes<'a, T> {
    row: &'a [T],
    weight: T,
    delta: T,
    to: &'a mut [T],
}

impl<T: Real> Elementwise for Slopes<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (to, &x) in self.to.iter_mut().zip(self.row) {
            let sign = if x > T::zero() {
                T::one()
            } else if x < T::zero() {
                -T::one()
            } else {
                T::zero()
            };
            let slope = if x.abs() > self.delta {
                sign
            } else if self.delta > T::zero() {
                x / self.delta
            } else {
                T::zero()
            };
            *to = self.weight * slope;
        }
    }
}
