//! Softplus and the logistic function, without overflow and without a floor under the logarithm.

use crate::real::Real;
use crate::simd::{Elementwise, elementwise};

/// Independent sums, one AVX-512 register of `f32`.
const LANES: usize = 16;

/// `ln(1 + exp(x))`.
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `1 / (1 + exp(-x))`, the derivative of [`softplus`].
pub fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x >= 0.0 {
        1.0 / (1.0 + e)
    } else {
        e / (1.0 + e)
    }
}

/// Binary cross-entropy of a logit against a target in 0 to 1, positives counted `positive` times,
/// and its derivative to the logit.
pub fn binary_cross_entropy(logit: f64, target: f64, positive: f64) -> (f64, f64) {
    let (up, down) = (positive * target, 1.0 - target);
    let value = up * softplus(-logit) + down * softplus(logit);
    (value, down * sigmoid(logit) - up * sigmoid(-logit))
}

/// Replaces each value x by `factor · sigmoid(x)` and returns the sum of `softplus(x)`; minus
/// infinity gives 0 for both.
pub fn softplus_sum<T: Real>(factor: T, values: &mut [T]) -> T {
    elementwise(SoftplusSum { factor, values })
}

struct SoftplusSum<'a, T> {
    factor: T,
    values: &'a mut [T],
}

impl<T: Real> Elementwise for SoftplusSum<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run(self) -> T {
        let mut sums = [T::zero(); LANES];
        let (blocks, rest) = self.values.as_chunks_mut::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                sums[lane] += step(self.factor, &mut block[lane]);
            }
        }
        let head = sums.into_iter().fold(T::zero(), |sum, lane| sum + lane);
        rest.iter_mut()
            .fold(head, |sum, value| sum + step(self.factor, value))
    }
}

#[inline(always)]
fn step<T: Real>(factor: T, value: &mut T) -> T {
    let x = *value;
    let e = (-x.abs()).exp_of_negative();
    let top = if x > T::zero() { x } else { T::zero() };
    let over = factor / (T::one() + e);
    *value = if x > T::zero() { over } else { over * e };
    top + ln_1p(e)
}

/// `ln(1 + e)` for e in 0 to 1, to the type's precision relative to the result.
#[inline(always)]
fn ln_1p<T: Real>(e: T) -> T {
    if size_of::<T>() == 8 {
        return T::of(e.wide().ln_1p());
    }
    // 2 artanh(s) for s = e / (2 + e) of at most 1/3; vectorises where a call would not.
    let s = e / (e + T::of(2.0));
    let z = s * s;
    let mut sum = T::of(1.0 / 17.0);
    for c in [15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * z + T::of(1.0 / c);
    }
    T::of(2.0) * s * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Real>(tolerance: f64) {
        let points: Vec<f64> = (-120..=120).map(|i| f64::from(i) * 0.5).collect();
        for &x in &points {
            let mut value = [T::of(x)];
            let sum = softplus_sum(T::of(2.0), &mut value).wide();
            assert!((sum - softplus(x)).abs() <= tolerance * softplus(x), "{x}");
            let want = 2.0 * sigmoid(x);
            assert!((value[0].wide() - want).abs() <= tolerance * want, "{x}");
        }
        let mut all: Vec<T> = points.iter().map(|&x| T::of(x)).collect();
        let want: f64 = points.iter().map(|&x| softplus(x)).sum();
        assert!((softplus_sum(T::one(), &mut all).wide() - want).abs() <= tolerance * want);
    }

    #[test]
    fn small_and_large_logits_keep_their_digits() {
        check::<f32>(2e-6);
        check::<f64>(1e-14);
        let mut nothing = [f32::NEG_INFINITY; 3];
        assert_eq!(softplus_sum(1.0, &mut nothing), 0.0);
        assert_eq!(nothing, [0.0; 3]);
        assert_eq!((softplus(1e4), softplus(-1e4)), (1e4, 0.0));
    }

    #[test]
    fn the_derivative_equals_a_difference() {
        for (logit, target, positive) in [(0.3, 1.0, 1.0), (-2.0, 0.25, 3.0), (30.0, 0.0, 2.0)] {
            let at = |x| binary_cross_entropy(x, target, positive).0;
            let slope = (at(logit + 1e-6) - at(logit - 1e-6)) / 2e-6;
            assert!((slope - binary_cross_entropy(logit, target, positive).1).abs() < 1e-7);
        }
        assert_eq!(binary_cross_entropy(-100.0, 1.0, 1.0), (100.0, -1.0));
    }
}
