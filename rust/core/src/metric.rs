//! How near two vectors are. Every index works with distances: smaller is nearer.

use crate::error::{Error, Result};
use crate::real::Real;
use crate::simd;

/// The product of two norms below which a cosine divides by this instead, as PyTorch documents.
pub const COSINE_EPS: f64 = 1e-8;

/// A distance between vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// `1 - cos(a, b)`, in 0 to 2; 1 where a vector is zero.
    Cosine,
    /// Squared Euclidean distance.
    L2,
    /// `-a·b`: the negated inner product, so that smaller is nearer.
    InnerProduct,
}

impl Metric {
    pub const ALL: [Self; 3] = [Self::Cosine, Self::L2, Self::InnerProduct];

    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::L2 => "l2",
            Self::InnerProduct => "ip",
        }
    }

    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|metric| metric.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join("', '");
                Error::invalid(
                    "metric",
                    format!("is {name:?} but must be one of '{names}'"),
                )
            })
    }
}

/// `a·b / max(|a||b|, 1e-8)`, never beyond ±1.
pub fn cosine<T: Real>(a: &[T], b: &[T]) -> T {
    let kernels = simd::table::<T>();
    let norms = (kernels.dot(a, a) * kernels.dot(b, b)).sqrt();
    let floor = T::of(COSINE_EPS);
    (kernels.dot(a, b) / norms.max(floor))
        .max(-T::one())
        .min(T::one())
}

/// A vector and its length.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, T> {
    pub values: &'a [T],
    pub norm: f64,
}

impl<'a, T: Real> Row<'a, T> {
    pub fn new(values: &'a [T]) -> Self {
        Self {
            values,
            norm: norm(values),
        }
    }

    /// As [`Self::new`] where the sum of squares is known.
    pub fn with_square(values: &'a [T], square: T) -> Self {
        let fast = square.wide().sqrt();
        Self {
            values,
            norm: if ordinary(fast) { fast } else { norm(values) },
        }
    }

    /// Whether squares, inverses and products of such lengths are far from the limits of `f32`.
    pub fn is_ordinary(&self) -> bool {
        ordinary(self.norm)
    }

    /// Whether the cosine with `other` divides by [`COSINE_EPS`] instead of by the lengths.
    pub fn is_floored(&self, other: &Self) -> bool {
        // Written so that a NaN length is not floored and stays visible.
        self.norm * other.norm <= COSINE_EPS
    }

    /// `a·b / max(|a||b|, 1e-8)` in `f64`. NaN where a value is NaN or infinite.
    pub fn cosine(&self, other: &Self) -> f64 {
        self.cosine_by(other, || simd::table::<T>().dot(self.values, other.values))
    }

    /// As [`Self::cosine`] where the dot product is known or cheap.
    pub fn cosine_by(&self, other: &Self, dot: impl FnOnce() -> T) -> f64 {
        if self.is_floored(other) {
            return dot_wide(self, other) / COSINE_EPS;
        }
        if self.is_ordinary() && other.is_ordinary() {
            return dot().wide() / (self.norm * other.norm);
        }
        dot_unit(self, other)
    }

    /// Sends `weight · d cos(self, other)` back: overwrites `to_other`, adds to `to_self`, except
    /// for the part along `self`. That part's factor is returned; the caller sums it over all
    /// partners and takes `factor · self` from `to_self` once.
    pub fn pull(
        &self,
        other: &Self,
        cosine: f64,
        weight: f64,
        to_self: &mut [T],
        to_other: &mut [T],
    ) -> f64 {
        let floored = self.is_floored(other);
        if !floored && self.is_ordinary() && other.is_ordinary() {
            let alpha = weight / (self.norm * other.norm);
            let beta = -weight * cosine / (other.norm * other.norm);
            simd::maps::pull(
                T::of(alpha),
                T::of(beta),
                self.values,
                other.values,
                to_self,
                to_other,
            );
            return weight * cosine / (self.norm * self.norm);
        }
        let pairs = self.values.iter().zip(other.values);
        for (((&a, &b), to_a), to_b) in pairs.zip(to_self).zip(to_other) {
            let (a, b) = (a.wide(), b.wide());
            let (on_a, on_b) = if floored {
                (b / COSINE_EPS, a / COSINE_EPS)
            } else {
                let (ua, ub) = (a / self.norm, b / other.norm);
                (
                    (ub - cosine * ua) / self.norm,
                    (ua - cosine * ub) / other.norm,
                )
            };
            *to_a += T::of(weight * on_a);
            *to_b = T::of(weight * on_b);
        }
        0.0
    }
}

fn ordinary(norm: f64) -> bool {
    (1e-12..1e12).contains(&norm)
}

/// Euclidean length. Squares that would leave the type's range are added in `f64` after scaling.
pub fn norm<T: Real>(row: &[T]) -> f64 {
    let fast = simd::table::<T>().dot(row, row).wide().sqrt();
    if ordinary(fast) {
        return fast;
    }
    let largest = row.iter().fold(0.0, |top: f64, x| {
        let size = x.wide().abs();
        // A NaN must survive the search.
        if size > top || size.is_nan() {
            size
        } else {
            top
        }
    });
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    let squares: f64 = row.iter().map(|x| (x.wide() / largest).powi(2)).sum();
    largest * squares.sqrt()
}

/// `a·b`, added in `f64` where the type's own sum leaves its range.
pub fn dot<T: Real>(a: &Row<'_, T>, b: &Row<'_, T>) -> f64 {
    let fast = simd::table::<T>().dot(a.values, b.values).wide();
    if fast.is_finite() {
        return fast;
    }
    dot_wide(a, b)
}

/// `|a - b|`. Squares that would leave the type's range are added in `f64` after scaling.
pub fn distance<T: Real>(a: &[T], b: &[T]) -> f64 {
    let fast = simd::table::<T>().squared_l2(a, b).wide().sqrt();
    if ordinary(fast) {
        return fast;
    }
    let differences = || a.iter().zip(b).map(|(x, y)| x.wide() - y.wide());
    let largest = differences().fold(0.0, |top: f64, x| {
        if x.abs() > top || x.is_nan() {
            x.abs()
        } else {
            top
        }
    });
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    let squares: f64 = differences().map(|x| (x / largest).powi(2)).sum();
    largest * squares.sqrt()
}

fn dot_wide<T: Real>(a: &Row<'_, T>, b: &Row<'_, T>) -> f64 {
    let pairs = a.values.iter().zip(b.values);
    pairs.map(|(x, y)| x.wide() * y.wide()).sum()
}

fn dot_unit<T: Real>(a: &Row<'_, T>, b: &Row<'_, T>) -> f64 {
    let pairs = a.values.iter().zip(b.values);
    pairs
        .map(|(x, y)| (x.wide() / a.norm) * (y.wide() / b.norm))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_survive_extreme_values() {
        for scale in [1e-30f32, 1e-20, 1.0, 1e20, 1e30] {
            let row = [3.0 * scale, 4.0 * scale];
            let want = 5.0 * f64::from(scale);
            assert!((norm(&row) - want).abs() < 1e-6 * want, "{scale}");
        }
        assert_eq!(norm(&[0.0f32; 3]), 0.0);
        assert!(!norm(&[f32::NAN, 1.0]).is_finite());
        assert!(!norm(&[1.0, f32::INFINITY, 2.0]).is_finite());
        assert!((norm(&[3e200, 4e200]) - 5e200).abs() < 1e190);
    }

    #[test]
    fn distances_and_products_survive_extreme_values() {
        for scale in [0.0, 1e-30f32, 1e-3, 1.0, 1e30] {
            let (a, b) = ([4.0 * scale, scale], [scale, 5.0 * scale]);
            let want = 5.0 * f64::from(scale);
            assert!((distance(&a, &b) - want).abs() <= 1e-6 * want);
            let product = dot(&Row::new(&a), &Row::new(&b));
            assert!((product - 9.0 * f64::from(scale).powi(2)).abs() <= 1e-6 * product + 1e-38);
        }
        assert!(distance(&[f32::NAN, 1.0], &[0.0, 1.0]).is_nan());
    }

    #[test]
    fn a_gradient_leaves_the_length_alone() {
        for scale in [1e-15f64, 1.0, 1e15] {
            let (a, b) = ([1.0 * scale, 2.0 * scale, -scale], [0.5, 1.0, 4.0]);
            let (left, right) = (Row::new(&a), Row::new(&b));
            let cosine = left.cosine(&right);
            let (mut to_a, mut to_b) = ([0.0; 3], [0.0; 3]);
            let along = left.pull(&right, cosine, 2.0, &mut to_a, &mut to_b);
            let onto: f64 = a.iter().zip(&to_a).map(|(a, g)| a * (g - along * a)).sum();
            assert!(left.is_floored(&right) || onto.abs() < 1e-12, "{scale}");
        }
    }
}
