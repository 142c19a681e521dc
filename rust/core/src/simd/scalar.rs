//! Plain code for every processor.

use super::{Kernels, Level, Table};

pub(super) static KERNELS: Kernels = Kernels {
    level: Level::Scalar,
    f32: Table {
        dot: dot::<f32>,
        squared_l2: squared_l2::<f32>,
        axpy: axpy::<f32>,
        sum_rows: sum_rows::<f32>,
    },
    f64: Table {
        dot: dot::<f64>,
        squared_l2: squared_l2::<f64>,
        axpy: axpy::<f64>,
        sum_rows: sum_rows::<f64>,
    },
};

/// Independent sums that the compiler may keep in one vector register.
const LANES: usize = 8;

#[inline(always)]
fn reduce<T: num_traits::Float>(a: &[T], b: &[T], term: impl Fn(T, T) -> T) -> T {
    let mut sums = [T::zero(); LANES];
    let (a_head, a_tail) = a.as_chunks::<LANES>();
    let (b_head, b_tail) = b.as_chunks::<LANES>();
    for (x, y) in a_head.iter().zip(b_head) {
        for lane in 0..LANES {
            sums[lane] = sums[lane] + term(x[lane], y[lane]);
        }
    }
    let head = sums.into_iter().fold(T::zero(), |sum, lane| sum + lane);
    a_tail
        .iter()
        .zip(b_tail)
        .fold(head, |sum, (&x, &y)| sum + term(x, y))
}

pub(super) fn dot<T: num_traits::Float>(a: &[T], b: &[T]) -> T {
    reduce(a, b, |x, y| x * y)
}

pub(super) fn squared_l2<T: num_traits::Float>(a: &[T], b: &[T]) -> T {
    reduce(a, b, |x, y| (x - y) * (x - y))
}

pub(super) fn axpy<T: num_traits::Float>(scale: T, x: &[T], y: &mut [T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = *y + scale * x;
    }
}

/// `y = Σₖ weightsₖ · x[indicesₖ]`.
pub(super) fn sum_rows<T: num_traits::Float>(
    indices: &[i32],
    weights: Option<&[T]>,
    x: &[T],
    y: &mut [T],
) {
    y.fill(T::zero());
    let cols = y.len();
    for (k, &index) in indices.iter().enumerate() {
        let weight = weights.map_or(T::one(), |weights| weights[k]);
        let start = index as usize * cols;
        axpy(weight, &x[start..start + cols], y);
    }
}
