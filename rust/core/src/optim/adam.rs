//! Adam (Kingma and Ba 2015), AMSGrad (Reddi et al. 2018) and AdamW (Loshchilov and Hutter 2019).

use super::sweep::{check_lengths, head, pieces, pieces_mut, sweep};
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{Elementwise, elementwise};

/// What all parameters share.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    pub betas: (f64, f64),
    pub eps: f64,
    /// AdamW: decay multiplies the weights instead of joining the gradient.
    pub decoupled: bool,
}

/// One parameter, flat, with its state.
pub struct Parameter<'a, T> {
    pub weights: &'a mut [T],
    pub gradient: &'a [T],
    pub first_moment: &'a mut [T],
    pub second_moment: &'a mut [T],
    /// AMSGrad's running maximum of the raw second moment.
    pub largest_moment: Option<&'a mut [T]>,
    pub lr: f64,
    pub weight_decay: f64,
}

/// Scalars of one step, rounded once.
#[derive(Clone, Copy)]
pub(super) struct Scalars<T> {
    beta1: T,
    rest1: T,
    beta2: T,
    rest2: T,
    eps: T,
    /// `lr / (1 - β₁ᵗ)`.
    step: T,
    /// `1 / √(1 - β₂ᵗ)`.
    root: T,
    coupled: T,
    keep: T,
}

impl<T: Real> Scalars<T> {
    pub(super) fn new(rule: &Adam, steps: i64, lr: f64, weight_decay: f64) -> Self {
        let (beta1, beta2) = rule.betas;
        // In f64: in f32, 1 - β₂ᵗ of the first step is off by 1e-5.
        let correction = |beta: f64| 1.0 - beta.powf(steps as f64);
        Self {
            beta1: T::of(beta1),
            rest1: T::of(1.0 - beta1),
            beta2: T::of(beta2),
            rest2: T::of(1.0 - beta2),
            eps: T::of(rule.eps),
            step: T::of(lr / correction(beta1)),
            root: T::of(1.0 / correction(beta2).sqrt()),
            coupled: T::of(if rule.decoupled { 0.0 } else { weight_decay }),
            keep: T::of(if rule.decoupled {
                1.0 - lr * weight_decay
            } else {
                1.0
            }),
        }
    }
}

struct Piece<'a, T> {
    weights: &'a mut [T],
    gradient: &'a [T],
    first: &'a mut [T],
    second: &'a mut [T],
    largest: Option<&'a mut [T]>,
    scalars: Scalars<T>,
}

impl<T: Real> Elementwise for &mut Piece<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Piece {
            weights,
            gradient,
            first,
            second,
            largest,
            scalars,
        } = self;
        match largest {
            None => update(weights, gradient, first, second, scalars),
            Some(largest) => update_amsgrad(weights, gradient, first, second, largest, scalars),
        }
    }
}

#[inline(always)]
fn moments<T: Real>(w: T, g: T, m: &mut T, v: &mut T, s: &Scalars<T>) {
    let g = g + s.coupled * w;
    *m = s.beta1 * *m + s.rest1 * g;
    *v = s.beta2 * *v + s.rest2 * g * g;
}

#[inline(always)]
fn moved<T: Real>(w: T, m: T, v: T, s: &Scalars<T>) -> T {
    w * s.keep - s.step * m / (v.sqrt() * s.root + s.eps)
}

// The slices come as arguments because only those are known not to overlap; as fields of a
// structure they are not, and the loop stays scalar.
#[inline(always)]
pub(super) fn update<T: Real>(w: &mut [T], g: &[T], m: &mut [T], v: &mut [T], s: &Scalars<T>) {
    for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
        moments(*w, g, m, v, s);
        *w = moved(*w, *m, *v, s);
    }
}

#[inline(always)]
fn update_amsgrad<T: Real>(
    w: &mut [T],
    g: &[T],
    m: &mut [T],
    v: &mut [T],
    largest: &mut [T],
    s: &Scalars<T>,
) {
    for ((((w, &g), m), v), largest) in w.iter_mut().zip(g).zip(m).zip(v).zip(largest) {
        moments(*w, g, m, v, s);
        *largest = if *v > *largest { *v } else { *largest };
        *w = moved(*w, *m, *largest, s);
    }
}

pub(super) fn check_steps(steps: i64) -> Result<()> {
    if steps < 1 {
        return Err(Error::invalid(
            "steps",
            format!("is {steps} but steps are counted from 1"),
        ));
    }
    Ok(())
}

/// Moves every parameter by step number `steps`, counted from 1.
///
/// Gradients must be finite: see [`super::first_not_finite`].
pub fn step<T: Real>(
    workers: &Workers<'_>,
    rule: &Adam,
    steps: i64,
    parameters: Vec<Parameter<'_, T>>,
) -> Result<()> {
    check_steps(steps)?;
    for p in &parameters {
        let largest = p
            .largest_moment
            .as_ref()
            .map_or(p.weights.len(), |values| values.len());
        let others = [
            p.gradient.len(),
            p.first_moment.len(),
            p.second_moment.len(),
            largest,
        ];
        check_lengths(p.weights.len(), &others)?;
    }
    let mut all = Vec::new();
    for p in parameters {
        let scalars = Scalars::new(rule, steps, p.lr, p.weight_decay);
        let head = head(p.weights);
        let mut largest = p.largest_moment.map(|values| pieces_mut(values, head));
        let arrays = pieces_mut(p.weights, head)
            .zip(pieces(p.gradient, head))
            .zip(pieces_mut(p.first_moment, head))
            .zip(pieces_mut(p.second_moment, head));
        for (((weights, gradient), first), second) in arrays {
            all.push(Piece {
                weights,
                gradient,
                first,
                second,
                largest: largest.as_mut().and_then(Iterator::next),
                scalars,
            });
        }
    }
    sweep(workers, all, |piece| elementwise(piece))
}

#[cfg(test)]
mod tests {
    use super::super::sweep::PIECE;
    use super::*;
    use crate::rng::Stream;

    fn run(threads: usize, amsgrad: bool) -> Vec<f32> {
        let n = 3 * PIECE + 11;
        let mut stream = Stream::new(1, 0);
        let mut draw = || -> Vec<f32> { (0..n).map(|_| stream.uniform() as f32 - 0.5).collect() };
        let mut weights = draw();
        let (mut m, mut v, mut largest) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let rule = Adam {
            betas: (0.9, 0.999),
            eps: 1e-8,
            decoupled: true,
        };
        for steps in 1..=3 {
            let gradient = draw();
            let parameter = Parameter {
                weights: &mut weights,
                gradient: &gradient,
                first_moment: &mut m,
                second_moment: &mut v,
                largest_moment: amsgrad.then_some(&mut largest[..]),
                lr: 0.01,
                weight_decay: 0.1,
            };
            step(&Workers::of(threads), &rule, steps, vec![parameter]).unwrap();
        }
        weights
    }

    #[test]
    fn threads_do_not_change_bits() {
        for amsgrad in [false, true] {
            assert_eq!(run(1, amsgrad), run(3, amsgrad));
        }
    }

    #[test]
    fn where_arrays_begin_does_not_change_bits() {
        let n = PIECE + 5;
        let gradient: Vec<f32> = (0..n).map(|i| (i as f32).sin()).collect();
        let rule = Adam {
            betas: (0.9, 0.999),
            eps: 1e-8,
            decoupled: false,
        };
        let run = |skipped: usize| {
            let (mut w, mut m, mut v) = (vec![0.5f32; n + 16], vec![0.0; n], vec![0.0; n]);
            let weights = &mut w[skipped..skipped + n];
            let parameter = Parameter {
                weights,
                gradient: &gradient,
                first_moment: &mut m,
                second_moment: &mut v,
                largest_moment: None,
                lr: 0.5,
                weight_decay: 0.1,
            };
            step(&Workers::serial(), &rule, 1, vec![parameter]).unwrap();
            w[skipped..skipped + n].to_vec()
        };
        for skipped in 1..16 {
            assert_eq!(run(0), run(skipped));
        }
    }

    #[test]
    fn the_first_step_moves_by_the_learning_rate() {
        let (mut w, mut m, mut v) = ([1.0f64], [0.0], [0.0]);
        let rule = Adam {
            betas: (0.9, 0.999),
            eps: 1e-8,
            decoupled: false,
        };
        let parameter = Parameter {
            weights: &mut w,
            gradient: &[-4.0],
            first_moment: &mut m,
            second_moment: &mut v,
            largest_moment: None,
            lr: 0.5,
            weight_decay: 0.0,
        };
        step(&Workers::serial(), &rule, 1, vec![parameter]).unwrap();
        assert!((w[0] - 1.5).abs() < 1e-8);
    }

    #[test]
    fn unequal_lengths_and_step_zero_are_refused() {
        let rule = Adam {
            betas: (0.9, 0.999),
            eps: 1e-8,
            decoupled: false,
        };
        for (steps, length) in [(0, 2), (1, 3)] {
            let (mut w, mut m, mut v) = (vec![1.0f32; 2], vec![0.0; 2], vec![0.0; 2]);
            let parameter = Parameter {
                weights: &mut w,
                gradient: &vec![1.0; length],
                first_moment: &mut m,
                second_moment: &mut v,
                largest_moment: None,
                lr: 0.5,
                weight_decay: 0.0,
            };
            assert!(step(&Workers::serial(), &rule, steps, vec![parameter]).is_err());
            assert_eq!(w, [1.0; 2]);
        }
    }
}
