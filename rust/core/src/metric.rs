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
