//! Stochastic gradient descent with momentum, dampening and Nesterov's look-ahead.

use super::sweep::{check_lengths, head, pieces, pieces_mut, sweep};
use crate::error::Result;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{Elementwise, elementwise};

/// What all parameters share.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    pub momentum: f64,
    pub dampening: f64,
    pub nesterov: bool,
}

/// One parameter, flat, with its state.
pub struct Parameter<'a, T> {
    pub weights: &'a mut [T],
    pub gradient: &'a [T],
    /// Needed with momentum.
    pub velocity: Option<&'a mut [T]>,
    pub lr: f64,
    pub weight_decay: f64,
}

/// Scalars of one step, rounded once.
#[derive(Clone, Copy)]
struct Scalars<T> {
    lr: T,
    decay: T,
    /// velocity = `old` · velocity + `new` · gradient.
    old: T,
    new: T,
    /// direction = `along` · gradient + `carried` · velocity.
    along: T,
    carried: T,
}

impl<T: Real> Scalars<T> {
    fn new(rule: &Sgd, first: bool, lr: f64, weight_decay: f64) -> Self {
        // The first velocity is the gradient itself, undamped.
        let (old, new) = if first {
            (0.0, 1.0)
        } else {
            (rule.momentum, 1.0 - rule.dampening)
        };
        let (along, carried) = if rule.nesterov {
            (1.0, rule.momentum)
        } else {
            (0.0, 1.0)
        };
        Self {
            lr: T::of(lr),
            decay: T::of(weight_decay),
            old: T::of(old),
            new: T::of(new),
            along: T::of(along),
            carried: T::of(carried),
        }
    }
}

struct Piece<'a, T> {
    weights: &'a mut [T],
    gradient: &'a [T],
    velocity: Option<&'a mut [T]>,
    scalars: Scalars<T>,
}

impl<T: Real> Elementwise for &mut Piece<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Piece {
            weights,
            gradient,
            velocity,
            scalars,
        } = self;
        match velocity {
            None => update(weights, gradient, scalars),
            Some(velocity) => update_momentum(weights, gradient, velocity, scalars),
        }
    }
}

#[inline(always)]
fn update<T: Real>(w: &mut [T], g: &[T], s: &Scalars<T>) {
    for (w, &g) in w.iter_mut().zip(g) {
        *w -= s.lr * (g + s.decay * *w);
    }
}

#[inline(always)]
fn update_momentum<T: Real>(w: &mut [T], g: &[T], velocity: &mut [T], s: &Scalars<T>) {
    for ((w, &g), velocity) in w.iter_mut().zip(g).zip(velocity) {
        let g = g + s.decay * *w;
        *velocity = s.old * *velocity + s.new * g;
        *w -= s.lr * (s.along * g + s.carried * *velocity);
    }
}

/// Moves every parameter; `first` tells the first step, whose velocity is the gradient itself.
///
/// Gradients must be finite: see [`super::first_not_finite`].
pub fn step<T: Real>(
    workers: &Workers<'_>,
    rule: &Sgd,
    first: bool,
    parameters: Vec<Parameter<'_, T>>,
) -> Result<()> {
    for p in &parameters {
        let velocity = p
            .velocity
            .as_ref()
            .map_or(p.weights.len(), |values| values.len());
        check_lengths(p.weights.len(), &[p.gradient.len(), velocity])?;
    }
    let mut all = Vec::new();
    for p in parameters {
        let scalars = Scalars::new(rule, first, p.lr, p.weight_decay);
        let head = head(p.weights);
        let mut velocity = p.velocity.map(|values| pieces_mut(values, head));
        for (weights, gradient) in pieces_mut(p.weights, head).zip(pieces(p.gradient, head)) {
            all.push(Piece {
                weights,
                gradient,
                velocity: velocity.as_mut().and_then(Iterator::next),
                scalars,
            });
        }
    }
    sweep(workers, all, |piece| elementwise(piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_of_momentum_by_hand() {
        let rule = Sgd {
            momentum: 0.5,
            dampening: 0.25,
            nesterov: false,
        };
        let (mut w, mut velocity) = ([1.0f64], [0.0]);
        for first in [true, false] {
            let parameter = Parameter {
                weights: &mut w,
                gradient: &[2.0],
                velocity: Some(&mut velocity),
                lr: 0.1,
                weight_decay: 0.0,
            };
            step(&Workers::serial(), &rule, first, vec![parameter]).unwrap();
        }
        // Velocities 2, then 0.5 · 2 + 0.75 · 2 = 2.5.
        assert!((w[0] - (1.0 - 0.2 - 0.25)).abs() < 1e-15);
    }

    #[test]
    fn unequal_lengths_are_refused_before_any_write() {
        let rule = Sgd {
            momentum: 0.0,
            dampening: 0.0,
            nesterov: false,
        };
        let (mut a, mut b) = ([1.0f32; 2], [1.0f32; 3]);
        let parameters = vec![
            Parameter {
                weights: &mut a,
                gradient: &[1.0; 2],
                velocity: None,
                lr: 0.1,
                weight_decay: 0.0,
            },
            Parameter {
                weights: &mut b,
                gradient: &[1.0; 2],
                velocity: None,
                lr: 0.1,
                weight_decay: 0.0,
            },
        ];
        assert!(step(&Workers::serial(), &rule, true, parameters).is_err());
        assert_eq!(a, [1.0; 2]);
    }
}
