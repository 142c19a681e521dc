//! Checked views of row-major data that somebody else owns.

use crate::error::{Error, Result};
use crate::real::Real;
use crate::simd::maps;

/// A read-only matrix: `rows × cols` values, row after row, without gaps.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Fails unless `data` holds exactly `rows × cols` values.
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Result<Self> {
        if rows.checked_mul(cols) != Some(data.len()) {
            return Err(Error::invalid(
                "matrix",
                format!("has {} values but shape ({rows}, {cols})", data.len()),
            ));
        }
        Ok(Self { data, rows, cols })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn cols(&self) -> usize {
        self.cols
    }

    pub fn data(&self) -> &'a [T] {
        self.data
    }

    /// Row `i`. Panics if there is none, as slices do.
    pub fn row(&self, i: usize) -> &'a [T] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// Rows `start..end` as a matrix of their own.
    pub fn slice(&self, start: usize, end: usize) -> Self {
        Self {
            data: &self.data[start * self.cols..end * self.cols],
            rows: end - start,
            cols: self.cols,
        }
    }
}

impl<T: Real> Matrix<'_, T> {
    /// Fails with the first row that holds a NaN or an infinity.
    pub fn check_finite(&self, argument: &'static str) -> Result<()> {
        if maps::all_finite(self.data) {
            return Ok(());
        }
        let row = (0..self.rows)
            .find(|&i| self.row(i).iter().any(|value| !value.is_finite()))
            .unwrap_or(0);
        Err(Error::invalid(
            argument,
            format!("has NaN or infinity in row {row}; remove or replace such rows"),
        ))
    }
}

/// A matrix that is written to.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
}

impl<'a, T> MatrixMut<'a, T> {
    /// Fails unless `data` holds exactly `rows × cols` values.
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Result<Self> {
        Matrix::new(&*data, rows, cols)?;
        Ok(Self { data, rows, cols })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn cols(&self) -> usize {
        self.cols
    }

    pub fn data(&mut self) -> &mut [T] {
        self.data
    }

    pub fn row(&mut self, i: usize) -> &mut [T] {
        &mut self.data[i * self.cols..(i + 1) * self.cols]
    }

    pub fn as_ref(&self) -> Matrix<'_, T> {
        Matrix {
            data: self.data,
            rows: self.rows,
            cols: self.cols,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_needs_exactly_its_values() {
        assert!(Matrix::new(&[0.0f32; 6], 2, 3).is_ok());
        assert!(Matrix::new(&[0.0f32; 5], 2, 3).is_err());
        assert!(Matrix::new(&[0.0f32; 0], usize::MAX, 2).is_err());
    }

    #[test]
    fn the_offending_row_is_named() {
        let data = [1.0, 2.0, f64::NAN, 3.0];
        let error = Matrix::new(&data, 2, 2)
            .unwrap()
            .check_finite("x")
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("x has NaN or infinity in row 1")
        );
    }
}
