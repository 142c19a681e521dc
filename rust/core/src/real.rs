//! The two element types that losses, optimisers and products are generic over.

use crate::simd::{Kernels, Table};

/// `f32` or `f64`, with its SIMD kernels.
///
/// Storage and products use the type itself; totals that run over many items are added in `f64`.
pub trait Real:
    Default
    + num_traits::Float
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

    /// `exp(self)` for a value of at most 0, in code that vectorises.
    fn exp_of_negative(self) -> Self;

    /// Whether no value is NaN or infinite, in code that vectorises and therefore reads all.
    fn block_is_finite(values: &[Self]) -> bool;
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

    /// Cephes' `expf`: 2ⁿ by exponent bits times a polynomial, within 2 units in the last place.
    /// Below -87, where the result would leave the normal numbers, exactly 0.
    #[inline(always)]
    fn exp_of_negative(self) -> Self {
        // Adding 1.5 · 2²³ rounds to an integer and leaves it in the low bits.
        const ROUND: f32 = 12_582_912.0;
        let x = if self < -87.0 { -87.0 } else { self };
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
        let mut y = 1.987_569_2e-4;
        for c in [
            1.398_2e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            0.5,
        ] {
            y = y * r + c;
        }
        let y = y * r * r + r + 1.0;
        let power = Self::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
        if self < -87.0 { 0.0 } else { y * power }
    }

    // By exponents, as integers: a maximum of floating-point numbers need not tell of NaN.
    #[inline(always)]
    fn block_is_finite(values: &[Self]) -> bool {
        let magnitude = |x: &Self| x.to_bits() & (u32::MAX >> 1);
        let largest = values.iter().fold(0, |most, x| magnitude(x).max(most));
        largest < Self::INFINITY.to_bits()
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

    /// As for `f32` with Taylor's polynomial, within 2 units in the last place. Below -708, where
    /// the result would leave the normal numbers, exactly 0.
    #[inline(always)]
    fn exp_of_negative(self) -> Self {
        // 1.5 · 2⁵²
        const ROUND: f64 = 6_755_399_441_055_744.0;
        let x = if self < -708.0 { -708.0 } else { self };
        let shifted = x * std::f64::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * 6.931_471_803_691_238e-1 - n * 1.908_214_929_270_587_7e-10;
        let mut y = 1.0 / 6_227_020_800.0;
        for factorial in [
            479_001_600.0,
            39_916_800.0,
            3_628_800.0,
            362_880.0,
            40_320.0,
            5_040.0,
            720.0,
            120.0,
            24.0,
            6.0,
            2.0,
        ] {
            y = y * r + 1.0 / factorial;
        }
        let y = y * r * r + r + 1.0;
        let power = Self::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
        if self < -708.0 { 0.0 } else { y * power }
    }

    #[inline(always)]
    fn block_is_finite(values: &[Self]) -> bool {
        let magnitude = |x: &Self| x.to_bits() & (u64::MAX >> 1);
        let largest = values.iter().fold(0, |most, x| magnitude(x).max(most));
        largest < Self::INFINITY.to_bits()
    }
}
