//! Softplus and the logistic function, without overflow and without a floor under the logarithm.

use crate::error::{Error, Result};
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

/// Binary cross-entropies of logits against targets in 0 to 1, positives counted `positive` times:
/// overwrites `values` with them and the logits with `factor` times their derivatives.
pub fn cross_entropies<T: Real>(
    positive: f64,
    factor: f64,
    targets: &[T],
    logits: &mut [T],
    values: &mut [T],
) {
    elementwise(CrossEntropies {
        positive: T::of(positive.min(T::max_value().wide())),
        factor: T::of(factor),
        targets,
        logits,
        values,
    });
}

/// The same values, without derivatives.
pub fn cross_entropy_values<T: Real>(positive: f64, targets: &[T], logits: &[T], values: &mut [T]) {
    elementwise(CrossEntropyValues {
        positive: T::of(positive.min(T::max_value().wide())),
        targets,
        logits,
        values,
    });
}

struct CrossEntropyValues<'a, T> {
    positive: T,
    targets: &'a [T],
    logits: &'a [T],
    values: &'a mut [T],
}

impl<T: Real> Elementwise for CrossEntropyValues<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let all = self.logits.iter().zip(self.values).zip(self.targets);
        for ((&logit, value), &target) in all {
            (*value, _) = cross_entropy(self.positive, target, logit);
        }
    }
}

struct CrossEntropies<'a, T> {
    positive: T,
    factor: T,
    targets: &'a [T],
    logits: &'a mut [T],
    values: &'a mut [T],
}

impl<T: Real> Elementwise for CrossEntropies<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let all = self.logits.iter_mut().zip(self.values).zip(self.targets);
        for ((logit, value), &target) in all {
            let (found, slope) = cross_entropy(self.positive, target, *logit);
            *value = found;
            *logit = self.factor * slope;
        }
    }
}

/// The value for one logit, and its derivative; vectorises where it is inlined.
#[inline(always)]
fn cross_entropy<T: Real>(positive: T, target: T, x: T) -> (T, T) {
    let (up, down) = (positive * target, T::one() - target);
    let e = (-x.abs()).exp_of_negative();
    let (far, near) = (T::one() / (T::one() + e), e / (T::one() + e));
    let low = ln_1p(e);
    // Softplus and logistic function of x and of -x; each is exact where it is small.
    let is_up = x > T::zero();
    let (above, below) = if is_up {
        (x, T::zero())
    } else {
        (T::zero(), -x)
    };
    let (of_x, of_minus) = if is_up { (far, near) } else { (near, far) };
    // A share of 0 counts nothing, however large the rest.
    let on_minus = if up == T::zero() {
        T::zero()
    } else {
        up * (below + low)
    };
    let on_x = if down == T::zero() {
        T::zero()
    } else {
        down * (above + low)
    };
    (on_minus + on_x, down * of_x - up * of_minus)
}

/// Fails with the first value that is no probability.
pub fn check_probabilities<T: Real>(values: &[T], argument: &'static str) -> Result<()> {
    if elementwise(AreProbabilities(values)) {
        return Ok(());
    }
    let wrong = |x: &T| !(0.0..=1.0).contains(&x.wide());
    match values.iter().position(wrong) {
        None => Ok(()),
        Some(at) => Err(Error::invalid(
            argument,
            format!(
                "holds {} at position {at} but must be between 0 and 1",
                values[at]
            ),
        )),
    }
}

struct AreProbabilities<'a, T>(&'a [T]);

impl<T: Real> Elementwise for AreProbabilities<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        // Blocks without a branch vectorise.
        self.0.chunks(1024).all(|block| {
            let good = |&x: &T| x >= T::zero() && x <= T::one();
            block.iter().fold(true, |all, x| all & good(x))
        })
    }
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
    // 2 artanh(s) for s = e / (2 + e) of at most 1/3; vectorises where a call would not.
    let s = e / (e + T::of(2.0));
    let z = s * s;
    let mut sum = T::zero();
    if size_of::<T>() == 8 {
        for c in [33.0, 31.0, 29.0, 27.0, 25.0, 23.0, 21.0, 19.0] {
            sum = sum * z + T::of(1.0 / c);
        }
    }
    for c in [17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
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

    /// One value, which both ways give, and its derivative.
    fn one<T: Real>(logit: T, target: T, positive: f64) -> (T, T) {
        let (mut alone, mut value) = ([T::zero()], [T::zero()]);
        cross_entropy_values(positive, &[target], &[logit], &mut alone);
        let mut logit = [logit];
        cross_entropies(positive, 1.0, &[target], &mut logit, &mut value);
        assert_eq!(alone, value);
        (value[0], logit[0])
    }

    #[test]
    fn the_derivative_equals_a_difference() {
        for (logit, target, positive) in [(0.3f64, 1.0, 1.0), (-2.0, 0.25, 3.0), (30.0, 0.0, 2.0)] {
            let at = |x| one(x, target, positive).0;
            let slope = (at(logit + 1e-6) - at(logit - 1e-6)) / 2e-6;
            assert!((slope - one(logit, target, positive).1).abs() < 1e-7);
        }
        assert_eq!(one(-100.0, 1.0, 1.0), (100.0, -1.0));
    }

    #[test]
    fn cross_entropies_of_many_logits_are_those_of_the_formula() {
        fn check<T: Real>(tolerance: f64) {
            for i in -240..=240 {
                let logit = T::of(f64::from(i) * 0.3);
                for target in [0.0, 0.25, 1.0] {
                    let (value, slope) = one(logit, T::of(target), 3.0);
                    let x = logit.wide();
                    let want = 3.0 * target * softplus(-x) + (1.0 - target) * softplus(x);
                    assert!(
                        (value.wide() - want).abs() <= tolerance * want,
                        "{x} {target}"
                    );
                    let want = (1.0 - target) * sigmoid(x) - 3.0 * target * sigmoid(-x);
                    let scale = tolerance * (want.abs() + target * (1.0 - target));
                    assert!((slope.wide() - want).abs() <= scale, "{x} {target}");
                }
            }
        }
        check::<f32>(2e-6);
        check::<f64>(1e-14);
    }

    #[test]
    fn infinite_logits_cost_nothing_on_the_right_side_and_everything_on_the_other() {
        let infinite = f64::INFINITY;
        assert_eq!(one(infinite, 1.0, 1.0), (0.0, 0.0));
        assert_eq!(one(-infinite, 0.0, 1.0), (0.0, 0.0));
        assert_eq!(one(infinite, 0.0, 1.0), (infinite, 1.0));
    }

    #[test]
    fn what_is_no_probability_is_named() {
        let mut values = vec![0.5f32; 3000];
        (values[0], values[1]) = (0.0, 1.0);
        assert!(check_probabilities(&values, "labels").is_ok());
        for bad in [-0.1, 1.1, f32::NAN] {
            values[2999] = bad;
            let error = check_probabilities(&values, "labels").unwrap_err();
            assert!(error.to_string().contains("position 2999"));
        }
    }
}
