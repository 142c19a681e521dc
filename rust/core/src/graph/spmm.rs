//! Sparse times dense.

use crate::error::{Error, Result};
use crate::matrix::{Matrix, MatrixMut};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

use super::csr::Csr;

/// Rows of the result that one work item computes; small, for degrees are often skewed.
const ROWS: usize = 32;

/// `y = diag(scale) · a · x`; without `scale`, `y = a · x`.
///
/// Each value is summed in the order of its row's entries, by whichever thread.
pub fn spmm<T: Real>(
    workers: &Workers<'_>,
    a: Csr<'_, T>,
    x: Matrix<'_, T>,
    scale: Option<&[T]>,
    mut y: MatrixMut<'_, T>,
) -> Result<()> {
    if x.rows() != a.cols() {
        return Err(Error::invalid(
            "dense",
            format!(
                "has shape ({}, {}) but the sparse matrix has shape ({}, {}), so it needs {} rows",
                x.rows(),
                x.cols(),
                a.rows(),
                a.cols(),
                a.cols()
            ),
        ));
    }
    if (y.rows(), y.cols()) != (a.rows(), x.cols()) {
        return Err(Error::invalid(
            "out",
            format!(
                "has shape ({}, {}) but the product has shape ({}, {})",
                y.rows(),
                y.cols(),
                a.rows(),
                x.cols()
            ),
        ));
    }
    if let Some(scale) = scale
        && scale.len() != a.rows()
    {
        return Err(Error::invalid(
            "row_scale",
            format!(
                "has {} entries but there are {} rows",
                scale.len(),
                a.rows()
            ),
        ));
    }
    let cols = x.cols();
    if cols == 0 {
        return Ok(());
    }
    let kernels = simd::table::<T>();
    workers.for_each_piece(y.data(), ROWS * cols, |piece, block| {
        for (offset, y) in block.chunks_exact_mut(cols).enumerate() {
            let i = piece * ROWS + offset;
            let (indices, values) = a.row(i);
            kernels.sum_rows(indices, values, x.data(), y);
            if let Some(scale) = scale {
                y.iter_mut().for_each(|value| *value *= scale[i]);
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// A random matrix: offsets, columns and values.
    fn random(rows: usize, cols: usize, seed: u64) -> (Vec<i64>, Vec<i32>, Vec<f64>) {
        let mut stream = Stream::new(seed, 0);
        let (mut indptr, mut indices) = (vec![0], Vec::new());
        for _ in 0..rows {
            indices.extend((0..cols as i32).filter(|_| stream.uniform() < 0.2));
            indptr.push(indices.len() as i64);
        }
        let values = indices.iter().map(|_| stream.uniform() - 0.5).collect();
        (indptr, indices, values)
    }

    fn product(threads: usize, a: Csr<'_, f64>, x: Matrix<'_, f64>, scale: &[f64]) -> Vec<f64> {
        let mut y = vec![f64::NAN; a.rows() * x.cols()];
        let out = MatrixMut::new(&mut y, a.rows(), x.cols()).unwrap();
        spmm(&Workers::of(threads), a, x, Some(scale), out).unwrap();
        y
    }

    #[test]
    fn agrees_with_the_definition_for_any_number_of_threads() {
        for (rows, cols, width) in [(0, 3, 2), (100, 70, 33), (65, 1, 1), (5, 40, 0)] {
            let (indptr, indices, values) = random(rows, cols, 1);
            let a = Csr::new(&indptr, &indices, Some(&values), cols).unwrap();
            let mut stream = Stream::new(2, 0);
            let data: Vec<f64> = (0..cols * width).map(|_| stream.uniform()).collect();
            let x = Matrix::new(&data, cols, width).unwrap();
            let scale: Vec<f64> = (0..rows).map(|i| 1.0 / (i + 1) as f64).collect();
            let got = product(1, a, x, &scale);
            for i in 0..rows {
                let (columns, values) = a.row(i);
                for j in 0..width {
                    let want: f64 = columns
                        .iter()
                        .zip(values.unwrap())
                        .map(|(&column, value)| value * x.row(column as usize)[j])
                        .sum();
                    assert!((got[i * width + j] - scale[i] * want).abs() < 1e-13);
                }
            }
            assert_eq!(got, product(3, a, x, &scale));
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let a = Csr::<f32>::new(&[0, 1], &[1], None, 2).unwrap();
        let data = [0.0; 6];
        let serial = Workers::serial();
        let run = |x_rows, y_rows, scale: Option<&[f32]>| {
            let mut y = vec![0.0; y_rows * 2];
            let x = Matrix::new(&data[..x_rows * 2], x_rows, 2).unwrap();
            let y = MatrixMut::new(&mut y, y_rows, 2).unwrap();
            spmm(&serial, a, x, scale, y)
        };
        assert!(run(2, 1, None).is_ok());
        assert!(run(3, 1, None).is_err());
        assert!(run(2, 2, None).is_err());
        assert!(run(2, 1, Some(&[1.0, 1.0])).is_err());
    }
}
