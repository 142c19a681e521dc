//! Softmax and maximum over the entries of each row of a sparse pattern, with their derivatives.

use crate::error::Result;
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{Elementwise, elementwise};

use super::blocks::{ROWS, check_values, row_blocks};
use super::csr::Csr;

/// Overwrites one row's scores by their softmax, each head for itself.
struct Softmax<'a, T> {
    values: &'a mut [T],
    tops: &'a mut [T],
    sums: &'a mut [f64],
}

impl<T: Real> Elementwise for Softmax<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let heads = self.tops.len();
        self.tops.fill(T::neg_infinity());
        self.sums.fill(0.0);
        for entry in self.values.chunks_exact(heads) {
            for (top, &value) in self.tops.iter_mut().zip(entry) {
                *top = if value > *top { value } else { *top };
            }
        }
        for entry in self.values.chunks_exact_mut(heads) {
            for ((value, &top), sum) in entry.iter_mut().zip(&*self.tops).zip(&mut *self.sums) {
                *value = (*value - top).exp_of_negative();
                *sum += value.wide();
            }
        }
        for entry in self.values.chunks_exact_mut(heads) {
            for (value, &sum) in entry.iter_mut().zip(&*self.sums) {
                *value = T::of(value.wide() / sum);
            }
        }
    }
}

/// Calls `row` with each row's part of `data`, which has `heads` values an entry.
fn each_row<T: Real>(
    workers: &Workers<'_>,
    pattern: Csr<'_, T>,
    heads: usize,
    data: &mut [T],
    row: impl Fn(usize, &mut [T]) + Sync,
) -> Result<()> {
    let mut blocks = row_blocks(pattern, heads, data);
    workers.for_each_piece(&mut blocks, 1, |number, block| {
        let first = number * ROWS;
        let mut rest: &mut [T] = block.first_mut().map_or(&mut [], |block| block);
        for i in first..(first + ROWS).min(pattern.rows()) {
            let (own, later) = rest.split_at_mut(pattern.columns(i).len() * heads);
            row(i, own);
            rest = later;
        }
        Ok(())
    })
}

/// Replaces the scores of each row's entries by their softmax over the row, head by head.
pub fn segment_softmax<T: Real>(
    workers: &Workers<'_>,
    pattern: Csr<'_, T>,
    heads: usize,
    scores: &mut [T],
) -> Result<()> {
    check_values("scores", scores.len(), pattern.entries(), heads)?;
    if heads == 0 {
        return Ok(());
    }
    each_row(workers, pattern, heads, scores, |_, values| {
        let (mut tops, mut sums) = (vec![T::zero(); heads], vec![0.0; heads]);
        elementwise(Softmax {
            values,
            tops: &mut tops,
            sums: &mut sums,
        });
    })
}

/// Replaces the gradient of shares, `softmax`'s result, by that of the scores:
/// `share · (gradient - Σ share · gradient)`.
pub fn segment_softmax_backward<T: Real>(
    workers: &Workers<'_>,
    pattern: Csr<'_, T>,
    shares: Matrix<'_, T>,
    gradient: &mut [T],
) -> Result<()> {
    let heads = shares.cols();
    check_values("shares", shares.data().len(), pattern.entries(), heads)?;
    check_values("gradient", gradient.len(), pattern.entries(), heads)?;
    if heads == 0 {
        return Ok(());
    }
    each_row(workers, pattern, heads, gradient, |i, values| {
        let first = pattern.indptr()[i] as usize * heads;
        let shares = &shares.data()[first..first + values.len()];
        let mut along = vec![0.0; heads];
        for (values, shares) in values.chunks_exact(heads).zip(shares.chunks_exact(heads)) {
            for ((along, &g), &y) in along.iter_mut().zip(values).zip(shares) {
                *along += (g * y).wide();
            }
        }
        for (values, shares) in values
            .chunks_exact_mut(heads)
            .zip(shares.chunks_exact(heads))
        {
            for ((g, &y), &along) in values.iter_mut().zip(shares).zip(&along) {
                *g = y * (*g - T::of(along));
            }
        }
    })
}

/// One row: the largest value of each column among the named rows of `x`, and which row has it.
struct Largest<'a, T> {
    columns: &'a [i32],
    x: Matrix<'a, T>,
    y: &'a mut [T],
    which: &'a mut [i32],
}

impl<T: Real> Elementwise for Largest<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Some((&first, others)) = self.columns.split_first() else {
            self.y.fill(T::zero());
            self.which.fill(-1);
            return;
        };
        self.y.copy_from_slice(self.x.row(first as usize));
        self.which.fill(first);
        for &column in others {
            let x = self.x.row(column as usize);
            for ((y, which), &x) in self.y.iter_mut().zip(&mut *self.which).zip(x) {
                let larger = x > *y;
                *which = if larger { column } else { *which };
                *y = if larger { x } else { *y };
            }
        }
    }
}

/// `y[i, k]` is the largest `x[column e, k]` over the entries `e` of row `i`, 0 where there is none;
/// `which` gets the column, the first of equal ones, or -1.
pub fn segment_max<T: Real>(
    workers: &Workers<'_>,
    pattern: Csr<'_, T>,
    x: Matrix<'_, T>,
    y: &mut [T],
    which: &mut [i32],
) -> Result<()> {
    let cols = x.cols();
    check_values("x", x.data().len(), pattern.cols(), cols)?;
    check_values("out", y.len(), pattern.rows(), cols)?;
    check_values("which", which.len(), pattern.rows(), cols)?;
    if cols == 0 {
        return Ok(());
    }
    let mut blocks: Vec<_> = y
        .chunks_mut(ROWS * cols)
        .zip(which.chunks_mut(ROWS * cols))
        .collect();
    workers.for_each_piece(&mut blocks, 1, |number, blocks| {
        for (y, which) in blocks.iter_mut() {
            let rows = y.chunks_exact_mut(cols).zip(which.chunks_exact_mut(cols));
            for (offset, (y, which)) in rows.enumerate() {
                elementwise(Largest {
                    columns: pattern.columns(number * ROWS + offset),
                    x,
                    y,
                    which,
                });
            }
        }
        Ok(())
    })
}

/// One row of the derivative: gradients of the results that this row is the largest of.
struct Returned<'a, T> {
    row: i32,
    results: &'a [i32],
    which: Matrix<'a, i32>,
    gradient: Matrix<'a, T>,
    out: &'a mut [T],
}

impl<T: Real> Elementwise for Returned<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.out.fill(T::zero());
        for &i in self.results {
            let pairs = self
                .which
                .row(i as usize)
                .iter()
                .zip(self.gradient.row(i as usize));
            for (out, (&which, &g)) in self.out.iter_mut().zip(pairs) {
                *out += if which == self.row { g } else { T::zero() };
            }
        }
    }
}

/// The derivative of [`segment_max`]: each result's gradient goes to the row that `which` names.
///
/// `transposed` is the transpose of the pattern, so that every row of `out` is written by one
/// thread, in the order of the results.
pub fn segment_max_backward<T: Real>(
    workers: &Workers<'_>,
    transposed: Csr<'_, T>,
    which: Matrix<'_, i32>,
    gradient: Matrix<'_, T>,
    out: &mut [T],
) -> Result<()> {
    let cols = gradient.cols();
    check_values("gradient", gradient.data().len(), transposed.cols(), cols)?;
    check_values("which", which.data().len(), transposed.cols(), cols)?;
    check_values("out", out.len(), transposed.rows(), cols)?;
    workers.for_each_piece(out, ROWS * cols.max(1), |piece, block| {
        for (offset, out) in block.chunks_exact_mut(cols.max(1)).enumerate() {
            let row = piece * ROWS + offset;
            elementwise(Returned {
                row: row as i32,
                results: transposed.columns(row),
                which,
                gradient,
                out,
            });
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDPTR: [i64; 5] = [0, 2, 2, 5, 6];
    const INDICES: [i32; 6] = [0, 2, 0, 1, 2, 1];

    fn pattern() -> Csr<'static, f64> {
        Csr::new(&INDPTR, &INDICES, None, 3).unwrap()
    }

    #[test]
    fn shares_of_a_row_add_up_to_1_however_large_the_scores() {
        let scores = [
            1e4, -3.0, 1e4, 0.5, 0.0, 1.0, -2.0, 1.0, 7.0, 1.0, -1e4, 5.0,
        ];
        let mut shares = scores;
        segment_softmax(&Workers::of(2), pattern(), 2, &mut shares).unwrap();
        for (row, head) in [(0, 0), (0, 1), (2, 0), (2, 1), (3, 0), (3, 1)] {
            let entries = INDPTR[row] as usize..INDPTR[row + 1] as usize;
            let top = entries
                .clone()
                .map(|e| scores[2 * e + head])
                .fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = entries
                .clone()
                .map(|e| (scores[2 * e + head] - top).exp())
                .sum();
            for e in entries {
                let want = (scores[2 * e + head] - top).exp() / sum;
                assert!((shares[2 * e + head] - want).abs() < 1e-15);
            }
        }
        // Equal gradients change nothing, for the shares of a row add up to 1.
        let mut gradient = [3.0; 12];
        let shares = Matrix::new(&shares, 6, 2).unwrap();
        segment_softmax_backward(&Workers::of(2), pattern(), shares, &mut gradient).unwrap();
        assert!(gradient.iter().all(|g| g.abs() < 1e-14));
        assert!(segment_softmax(&Workers::serial(), pattern(), 2, &mut [0.0; 6]).is_err());
    }

    #[test]
    fn the_first_of_the_largest_gets_the_gradient() {
        let x = [1.0, 5.0, 4.0, 5.0, 1.0, -1.0];
        let x = Matrix::new(&x, 3, 2).unwrap();
        let (mut y, mut which) = ([9.0; 8], [9; 8]);
        segment_max(&Workers::of(2), pattern(), x, &mut y, &mut which).unwrap();
        assert_eq!(y, [1.0, 5.0, 0.0, 0.0, 4.0, 5.0, 4.0, 5.0]);
        assert_eq!(which, [0, 0, -1, -1, 1, 0, 1, 1]);
        let back = Csr::<f64>::new(&[0, 2, 4, 6], &[0, 2, 2, 3, 0, 2], None, 4).unwrap();
        let gradient = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let gradient = Matrix::new(&gradient, 4, 2).unwrap();
        let which = Matrix::new(&which, 4, 2).unwrap();
        let mut out = [9.0; 6];
        segment_max_backward(&Workers::serial(), back, which, gradient, &mut out).unwrap();
        assert_eq!(out, [1.0, 8.0, 12.0, 8.0, 0.0, 0.0]);
    }
}
