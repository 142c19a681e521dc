//! Dense matrix product.

use crate::real::Real;
use crate::simd;

/// A matrix whose rows and columns lie at fixed strides, so that a transpose is free.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'a, T> {
    pub data: &'a [T],
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl<'a, T> Strided<'a, T> {
    /// Row-major data without gaps.
    pub fn rows(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols);
        Self {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }

    /// The same values with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// `c = alpha · a · b + beta · c` on the calling thread, with `c` row-major without gaps.
///
/// With `beta` zero, `c` is overwritten and may hold anything before, NaN included. Each value is
/// summed in the order of the inner dimension, whatever the shapes of the operands' tiles.
pub fn gemm<T: Real>(alpha: T, a: Strided<'_, T>, b: Strided<'_, T>, beta: T, c: &mut [T]) {
    assert_eq!(a.cols, b.rows);
    assert_eq!(c.len(), a.rows * b.cols);
    let kernels = simd::table::<T>();
    let mut row_of_b = vec![T::zero(); b.cols];
    if beta == T::zero() {
        c.fill(T::zero());
    } else if beta != T::one() {
        c.iter_mut().for_each(|value| *value *= beta);
    }
    for k in 0..a.cols {
        for (j, value) in row_of_b.iter_mut().enumerate() {
            *value = b.data[k * b.row_stride + j * b.col_stride];
        }
        for (i, row) in c.chunks_exact_mut(b.cols.max(1)).enumerate() {
            let scale = alpha * a.data[i * a.row_stride + k * a.col_stride];
            kernels.axpy(scale, &row_of_b, row);
        }
    }
}
