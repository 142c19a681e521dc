//! A few values of a product, with the bits that the whole product would have.

use std::any::TypeId;
use std::array;

use super::gemm::DEPTH;
use crate::real::Real;
use crate::simd::sixteens::Sixteens;
use crate::simd::{Elementwise, elementwise};

/// Rows at a time.
pub use crate::simd::sixteens::ROWS;

struct Dots<'a, T>(&'a [T], &'a [&'a [T]; ROWS]);

impl<T: Real> Elementwise for Dots<'_, T> {
    type Output = [T; ROWS];

    #[inline(always)]
    fn run(self) -> [T; ROWS] {
        let Self(left, rows) = self;
        let mut sums = [T::zero(); ROWS];
        for (k, &x) in left.iter().enumerate() {
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = x.mul_add(row[k], *sum);
            }
        }
        sums
    }
}

fn part<T: Real>(left: &[T], rows: &[&[T]; ROWS]) -> [T; ROWS] {
    if TypeId::of::<T>() == TypeId::of::<f32>()
        && let Some(kernel) = Sixteens::get()
    {
        // What has the same type is as large.
        let rows = rows.map(|row| bytemuck::cast_slice(row));
        let sums = kernel.dots(bytemuck::cast_slice(left), &rows);
        return bytemuck::cast(sums);
    }
    elementwise(Dots(left, rows))
}

/// The products of `left` with up to [`ROWS`] rows, one after the other, as
/// [`gemm`](super::gemm::gemm) gives them where its kernel fuses steps, as that of every level but
/// the lowest does. What lies beyond the rows given means nothing.
pub fn dots<T: Real>(left: &[T], right: &[&[T]]) -> [T; ROWS] {
    let rows: [&[T]; ROWS] = array::from_fn(|i| right.get(i).copied().unwrap_or(left));
    let mut totals = [T::zero(); ROWS];
    for start in (0..left.len()).step_by(DEPTH) {
        let end = left.len().min(start + DEPTH);
        let sums = part(&left[start..end], &rows.map(|row| &row[start..end]));
        for (total, sum) in totals.iter_mut().zip(sums) {
            *total = sum + *total;
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::gemm::{Strided, gemm};
    use crate::rng::Stream;
    use crate::simd::{Kernels, Level};

    #[test]
    fn they_have_the_bits_of_the_product() {
        if Kernels::get().level == Level::Scalar {
            return;
        }
        let mut stream = Stream::new(3, 0);
        for dim in [1, 17, 128, 256, 257, 700] {
            let mut draw = |count: usize| -> Vec<f32> {
                (0..count).map(|_| stream.uniform() as f32 - 0.5).collect()
            };
            let (a, b) = (draw(dim), draw(13 * dim));
            let mut want = [0.0; 13];
            gemm(
                1.0,
                Strided::rows(&a, 1, dim),
                Strided::rows(&b, 13, dim).transposed(),
                0.0,
                &mut want,
            );
            let rows: Vec<&[f32]> = b.chunks(dim).collect();
            assert_eq!(dots(&a, &rows)[..13], want);
        }
    }
}
