//! The two element types that losses, optimisers and products are generic over.

use crate::simd::{Kernels, Table};

/// `f32` or `f64`, with its SIMD kernels.
///
/// Storage and products use the type itself; totals that run over many items are added in `f64`.
pub trait Real:
    num_traits::Float
    + num_traits::NumAssign
    + std::iter::Sum
    + std::fmt::Debug
    + std::fmt::Display
    + bytemuck::Pod
    + Send
    + Sync
    + 'static
{
    /// This type's kernels among those of one SIMD level.
    fn table(kernels: &'static Kernels) -> &'static Table<Self>;

    /// The nearest value of this type.
    fn of(value: f64) -> Self;

    /// The same value in `f64`, in which long sums run.
    fn wide(self) -> f64;
}

impl Real for f32 {
    fn table(kernels: &'static Kernels) -> &'static Table<Self> {
        &kernels.f32
    }

    fn of(value: f64) -> Self {
        value as Self
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn table(kernels: &'static Kernels) -> &'static Table<Self> {
        &kernels.f64
    }

    fn of(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }
}
