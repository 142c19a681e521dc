//! Elementwise kernels: plain loops that the compiler vectorises once it may use a level's
//! instructions. Each is written once and compiled for every level.

#[cfg(target_arch = "x86_64")]
use super::{Kernels, Level};
use crate::real::Real;

/// Independent accumulators, one AVX-512 register of `f32`.
const LANES: usize = 16;

/// Compiles a body for each level and picks the one in use.
macro_rules! every_level {
    ($(#[$meta:meta])* $name:ident, $body:ident,
     ($($argument:ident: $type:ty),*) $(-> $result:ty)?) => {
        $(#[$meta])*
        pub fn $name<T: Real>($($argument: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2<T: Real>($($argument: $type),*) $(-> $result)? {
                    $body($($argument),*)
                }
                #[target_feature(enable = "avx512f")]
                fn avx512<T: Real>($($argument: $type),*) $(-> $result)? {
                    $body($($argument),*)
                }
                match Kernels::get().level {
                    // SAFETY: the level in use is available.
                    Level::Avx512 => return unsafe { avx512($($argument),*) },
                    // SAFETY: the level in use is available.
                    Level::Avx2 => return unsafe { avx2($($argument),*) },
                    _ => {}
                }
            }
            $body($($argument),*)
        }
    };
}

every_level!(
    /// The largest value, minus infinity where there is none. No value may be NaN.
    max, max_body, (values: &[T]) -> T
);
every_level!(
    /// `sums += factor · values`, in `f64`.
    add_wide, add_wide_body, (factor: f64, values: &[T], sums: &mut [f64])
);
every_level!(
    /// The sum, in `f64`.
    sum, sum_body, (values: &[T]) -> f64
);
every_level!(
    /// Replaces each value `x` by `exp(x - shift)` and returns their sum. No value may exceed
    /// `shift` by more than rounding; minus infinity gives exactly 0.
    exp_sum, exp_sum_body, (shift: T, values: &mut [T]) -> T
);
every_level!(
    /// `to_x = alpha · a + beta · x` and `to_a += alpha · x` in one sweep: what one pair of a
    /// cosine or a dot product sends back to its two vectors.
    pull, pull_body, (alpha: T, beta: T, a: &[T], x: &[T], to_a: &mut [T], to_x: &mut [T])
);
every_level!(
    /// `y += factor · (a - b)`.
    add_difference, add_difference_body, (factor: T, a: &[T], b: &[T], y: &mut [T])
);
every_level!(
    /// `y = factor · y + along · x`.
    scale_away, scale_away_body, (factor: T, along: T, x: &[T], y: &mut [T])
);
every_level!(
    /// Multiplies every value by `factor`.
    scale, scale_body, (factor: T, values: &mut [T])
);
every_level!(
    /// Multiplies each value by `factor` plus the factor at its place in `factors`.
    scale_by_sum, scale_by_sum_body, (factor: T, factors: &[T], values: &mut [T])
);
every_level!(
    /// Whether no value is NaN or infinite.
    all_finite, all_finite_body, (values: &[T]) -> bool
);

#[inline(always)]
fn max_body<T: Real>(values: &[T]) -> T {
    let larger = |a: T, b: T| if b > a { b } else { a };
    let mut tops = [T::neg_infinity(); LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            tops[lane] = larger(tops[lane], block[lane]);
        }
    }
    tops.into_iter()
        .chain(rest.iter().copied())
        .fold(T::neg_infinity(), larger)
}

#[inline(always)]
fn add_wide_body<T: Real>(factor: f64, values: &[T], sums: &mut [f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += factor * value.wide();
    }
}

#[inline(always)]
fn sum_body<T: Real>(values: &[T]) -> f64 {
    let mut sums = [0.0; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            sums[lane] += block[lane].wide();
        }
    }
    sums.into_iter()
        .chain(rest.iter().map(|value| value.wide()))
        .sum()
}

#[inline(always)]
fn exp_sum_body<T: Real>(shift: T, values: &mut [T]) -> T {
    let mut sums = [T::zero(); LANES];
    let (blocks, rest) = values.as_chunks_mut::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            let value = (block[lane] - shift).exp_of_negative();
            block[lane] = value;
            sums[lane] += value;
        }
    }
    let head = sums.into_iter().fold(T::zero(), |sum, lane| sum + lane);
    rest.iter_mut().fold(head, |sum, value| {
        *value = (*value - shift).exp_of_negative();
        sum + *value
    })
}

#[inline(always)]
fn pull_body<T: Real>(alpha: T, beta: T, a: &[T], x: &[T], to_a: &mut [T], to_x: &mut [T]) {
    for (((&a, &x), to_a), to_x) in a.iter().zip(x).zip(to_a).zip(to_x) {
        *to_x = alpha * a + beta * x;
        *to_a += alpha * x;
    }
}

#[inline(always)]
fn add_difference_body<T: Real>(factor: T, a: &[T], b: &[T], y: &mut [T]) {
    for ((&a, &b), y) in a.iter().zip(b).zip(y) {
        *y += factor * (a - b);
    }
}

#[inline(always)]
fn scale_away_body<T: Real>(factor: T, along: T, x: &[T], y: &mut [T]) {
    for (&x, y) in x.iter().zip(y) {
        *y = factor * *y + along * x;
    }
}

#[inline(always)]
fn scale_body<T: Real>(factor: T, values: &mut [T]) {
    values.iter_mut().for_each(|value| *value *= factor);
}

#[inline(always)]
fn scale_by_sum_body<T: Real>(factor: T, factors: &[T], values: &mut [T]) {
    for (value, &other) in values.iter_mut().zip(factors) {
        *value *= factor + other;
    }
}

#[inline(always)]
fn all_finite_body<T: Real>(values: &[T]) -> bool {
    values.chunks(4096).all(T::block_is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Real>(tolerance: f64) {
        for n in [0, 1, 15, 16, 17, 100] {
            let start: Vec<f64> = (0..n).map(|i| -0.37 * i as f64).collect();
            let mut values: Vec<T> = start.iter().map(|&x| T::of(x)).collect();
            let want: f64 = start.iter().map(|x| x.exp()).sum();
            let sum = exp_sum(T::zero(), &mut values).wide();
            assert!((sum - want).abs() <= tolerance * want);
            for (value, x) in values.iter().zip(&start) {
                assert!((value.wide() - x.exp()).abs() <= tolerance * x.exp());
            }
        }
    }

    #[test]
    fn exponentials_are_good_to_a_few_units() {
        check::<f32>(3e-6);
        check::<f64>(1e-14);
        let mut values = [f32::NEG_INFINITY, -200.0, 0.0];
        assert_eq!(exp_sum(0.0, &mut values), 1.0);
        assert_eq!(values, [0.0, 0.0, 1.0]);
    }

    #[test]
    fn sums_are_those_of_one_value_after_the_other() {
        for n in 0..=257 {
            let values: Vec<f32> = (0..n).map(|i| (i * i % 97) as f32 - 31.5).collect();
            let want: f64 = values.iter().map(|&x| f64::from(x)).sum();
            assert_eq!(sum(&values), want);
        }
    }

    #[test]
    fn the_largest_of_none_is_minus_infinity() {
        assert_eq!(max::<f32>(&[]), f32::NEG_INFINITY);
        let values: Vec<f32> = (0..37).map(|i| ((i * 17) % 37) as f32).collect();
        assert_eq!(max(&values), 36.0);
    }

    #[test]
    fn one_bad_value_is_enough() {
        for n in [1, 16, 33, 5000] {
            let mut values = vec![f32::MAX; n];
            assert!(all_finite(&values));
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                values[n - 1] = bad;
                assert!(!all_finite(&values));
            }
        }
    }
}
