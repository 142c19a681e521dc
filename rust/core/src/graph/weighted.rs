//! Products of a sparse pattern whose entries carry weights to be differentiated, one for each head.
//!
//! Columns belong to heads in equal shares: with `heads` weights an entry, head `h` weighs columns
//! `h · width` to `(h + 1) · width`. [`weighted_sum`] and [`sampled_products`] are each other's
//! derivatives, so the two and a transpose are all that attention needs in either direction.

use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{self, Elementwise, elementwise};

use super::blocks::{ROWS, check_values, head_width, row_blocks};
use super::csr::Csr;

/// One row of the result: `y[h] = Σ_e weights[e, h] · x[column e, h]`.
struct Row<'a, T> {
    columns: &'a [i32],
    first: usize,
    order: Option<&'a [i64]>,
    weights: &'a [T],
    heads: usize,
    width: usize,
    x: Matrix<'a, T>,
    y: &'a mut [T],
}

impl<T: Real> Elementwise for Row<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.y.fill(T::zero());
        for (k, &column) in self.columns.iter().enumerate() {
            let entry = self.first + k;
            let entry = self.order.map_or(entry, |order| order[entry] as usize);
            let weights = &self.weights[entry * self.heads..(entry + 1) * self.heads];
            let x = self.x.row(column as usize).chunks_exact(self.width);
            for ((&weight, x), y) in weights
                .iter()
                .zip(x)
                .zip(self.y.chunks_exact_mut(self.width))
            {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y += weight * x;
                }
            }
        }
    }
}

/// `y[i, h] = Σ_e weights[e, h] · x[column e, h]` over the entries `e` of row `i`.
///
/// With `order`, entry `e` has its weights in row `order[e]` of `weights`, as the entries of a
/// transpose have. Each value is summed in the order of its row's entries.
pub fn weighted_sum<T: Real>(
    workers: &Workers<'_>,
    pattern: Csr<'_, T>,
    order: Option<&[i64]>,
    weights: Matrix<'_, T>,
    x: Matrix<'_, T>,
    y: &mut [T],
) -> Result<()> {
    let (entries, cols, heads) = (pattern.entries(), x.cols(), weights.cols());
    check_values("x", x.data().len(), pattern.cols(), cols)?;
    check_values("out", y.len(), pattern.rows(), cols)?;
    check_values("weights", weights.data().len(), entries, heads)?;
    let width = head_width(cols, heads)?;
    if let Some(order) = order {
        check_values("order", order.len(), entries, 1)?;
        if order.iter().any(|&e| e < 0 || e >= entries as i64) {
            return Err(Error::invalid(
                "order",
                format!("must hold positions below {entries}"),
            ));
        }
    }
    if width == 0 {
        return Ok(());
    }
    workers.for_each_piece(y, ROWS * cols, |piece, block| {
        for (offset, y) in block.chunks_exact_mut(cols).enumerate() {
            let i = piece * ROWS + offset;
            elementwise(Row {
                columns: pattern.columns(i),
                first: pattern.indptr()[i] as usize,
                order,
                weights: weights.data(),
                heads,
                width,
                x,
                y,
            });
        }
        Ok(())
    })
}

/// `products[e, h] = ⟨a[row e, h], b[column e, h]⟩` for every entry `e`.
pub fn sampled_products<T: Real>(
    workers: &Workers<'_>,
    pattern: Csr<'_, T>,
    heads: usize,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    products: &mut [T],
) -> Result<()> {
    let cols = a.cols();
    check_values("a", a.data().len(), pattern.rows(), cols)?;
    check_values("b", b.data().len(), pattern.cols(), cols)?;
    check_values("out", products.len(), pattern.entries(), heads)?;
    let width = head_width(cols, heads)?;
    if width == 0 {
        products.fill(T::zero());
        return Ok(());
    }
    let table = simd::table::<T>();
    let mut blocks = row_blocks(pattern, heads, products);
    workers.for_each_piece(&mut blocks, 1, |number, block| {
        let first = number * ROWS;
        let mut products = block.iter_mut().flat_map(|block| block.iter_mut());
        for i in first..(first + ROWS).min(pattern.rows()) {
            for &column in pattern.columns(i) {
                let pairs = a.row(i).chunks_exact(width);
                let pairs = pairs.zip(b.row(column as usize).chunks_exact(width));
                for ((a, b), product) in pairs.zip(&mut products) {
                    *product = table.dot(a, b);
                }
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::transpose::transpose;
    use crate::rng::Stream;

    fn random(count: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, 0);
        (0..count).map(|_| stream.uniform() - 0.5).collect()
    }

    fn pattern(rows: usize, cols: usize) -> (Vec<i64>, Vec<i32>) {
        let mut stream = Stream::new(7, 0);
        let (mut indptr, mut indices) = (vec![0], Vec::new());
        for _ in 0..rows {
            indices.extend((0..cols as i32).filter(|_| stream.uniform() < 0.1));
            indptr.push(indices.len() as i64);
        }
        (indptr, indices)
    }

    #[test]
    fn sums_and_products_follow_their_definition_on_any_number_of_threads() {
        let (rows, cols, heads, width) = (100, 70, 3, 5);
        let (indptr, indices) = pattern(rows, cols);
        let a = Csr::<f64>::new(&indptr, &indices, None, cols).unwrap();
        let (w, x, g) = (
            random(heads * indices.len(), 1),
            random(cols * heads * width, 2),
            random(rows * heads * width, 3),
        );
        let w = Matrix::new(&w, indices.len(), heads).unwrap();
        let x = Matrix::new(&x, cols, heads * width).unwrap();
        let g = Matrix::new(&g, rows, heads * width).unwrap();
        let run = |threads| {
            let workers = Workers::of(threads);
            let mut y = vec![f64::NAN; rows * heads * width];
            weighted_sum(&workers, a, None, w, x, &mut y).unwrap();
            let mut s = vec![f64::NAN; indices.len() * heads];
            sampled_products(&workers, a, heads, g, x, &mut s).unwrap();
            (y, s)
        };
        let (y, s) = run(1);
        assert_eq!((y.clone(), s.clone()), run(3));
        for i in 0..rows {
            for h in 0..heads {
                for k in h * width..(h + 1) * width {
                    let entries = indptr[i] as usize..indptr[i + 1] as usize;
                    let want: f64 = entries
                        .map(|e| w.row(e)[h] * x.row(indices[e] as usize)[k])
                        .sum();
                    assert!((y[i * heads * width + k] - want).abs() < 1e-14);
                }
                for e in indptr[i] as usize..indptr[i + 1] as usize {
                    let columns = h * width..(h + 1) * width;
                    let want: f64 = columns
                        .map(|k| g.row(i)[k] * x.row(indices[e] as usize)[k])
                        .sum();
                    assert!((s[e * heads + h] - want).abs() < 1e-14);
                }
            }
        }
    }

    #[test]
    fn a_transpose_reads_its_weights_by_order() {
        let (indptr, indices) = pattern(9, 6);
        let places: Vec<f64> = (0..indices.len()).map(|e| e as f64).collect();
        let a = Csr::new(&indptr, &indices, Some(&places), 6).unwrap();
        let t = transpose(&Workers::serial(), a).unwrap();
        let order: Vec<i64> = t
            .values
            .as_ref()
            .unwrap()
            .iter()
            .map(|&e| e as i64)
            .collect();
        let t = Csr::<f64>::new(&t.indptr, &t.indices, None, 9).unwrap();
        let (w, g) = (random(indices.len(), 1), random(9, 2));
        let w = Matrix::new(&w, indices.len(), 1).unwrap();
        let g = Matrix::new(&g, 9, 1).unwrap();
        let mut y = vec![0.0; 6];
        weighted_sum(&Workers::serial(), t, Some(&order), w, g, &mut y).unwrap();
        let mut want = vec![0.0; 6];
        for i in 0..9 {
            for e in indptr[i] as usize..indptr[i + 1] as usize {
                want[indices[e] as usize] += w.row(e)[0] * g.row(i)[0];
            }
        }
        for (y, want) in y.iter().zip(want) {
            assert!((y - want).abs() < 1e-15);
        }
    }

    #[test]
    fn heads_that_do_not_divide_the_columns_are_refused() {
        let a = Csr::<f32>::new(&[0, 1], &[0], None, 1).unwrap();
        let x = Matrix::new(&[1.0, 2.0, 3.0], 1, 3).unwrap();
        let w = Matrix::new(&[1.0, 2.0], 1, 2).unwrap();
        let serial = Workers::serial();
        assert!(weighted_sum(&serial, a, None, w, x, &mut [0.0; 3]).is_err());
        assert!(sampled_products(&serial, a, 2, x, x, &mut [0.0; 2]).is_err());
        let w = Matrix::new(&[1.0, 2.0, 3.0], 1, 3).unwrap();
        assert!(weighted_sum(&serial, a, Some(&[1]), w, x, &mut [0.0; 3]).is_err());
        assert!(weighted_sum(&serial, a, Some(&[0]), w, x, &mut [0.0; 3]).is_ok());
    }
}
