//! The transpose of a sparse matrix, which the backward pass multiplies by.

use crate::error::Result;
use crate::pool::Workers;
use crate::real::Real;

use super::csr::Csr;

/// A sparse matrix with storage of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct CsrBuffer<T> {
    pub indptr: Vec<i64>,
    pub indices: Vec<i32>,
    pub values: Option<Vec<T>>,
    pub cols: usize,
}

impl<T> CsrBuffer<T> {
    pub fn view(&self) -> Result<Csr<'_, T>> {
        Csr::new(
            &self.indptr,
            &self.indices,
            self.values.as_deref(),
            self.cols,
        )
    }
}

/// Rows become columns, by a counting sort: columns rise within each row of the result.
pub fn transpose<T: Real>(workers: &Workers<'_>, a: Csr<'_, T>) -> Result<CsrBuffer<T>> {
    let mut indptr = vec![0i64; a.cols() + 1];
    for i in 0..a.rows() {
        for &column in a.columns(i) {
            indptr[column as usize + 1] += 1;
        }
    }
    for i in 0..a.cols() {
        indptr[i + 1] += indptr[i];
    }
    workers.check()?;
    let mut next = indptr.clone();
    let mut indices = vec![0i32; a.entries()];
    let mut values = a.values().map(|_| vec![T::zero(); a.entries()]);
    for i in 0..a.rows() {
        let (columns, row_values) = a.row(i);
        for (k, &column) in columns.iter().enumerate() {
            let place = next[column as usize] as usize;
            next[column as usize] += 1;
            indices[place] = i as i32;
            if let (Some(values), Some(row_values)) = (&mut values, row_values) {
                values[place] = row_values[k];
            }
        }
    }
    Ok(CsrBuffer {
        indptr,
        indices,
        values,
        cols: a.rows(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_swaps_rows_and_columns_and_twice_changes_nothing() {
        let values = [1.0f64, 2.0, 3.0, 4.0];
        let a = Csr::new(&[0, 2, 2, 4], &[0, 3, 1, 3], Some(&values), 4).unwrap();
        let once = transpose(&Workers::serial(), a).unwrap();
        assert_eq!(once.indptr, [0, 1, 2, 2, 4]);
        assert_eq!(once.indices, [0, 2, 0, 2]);
        assert_eq!(once.values.as_deref(), Some(&[1.0, 3.0, 2.0, 4.0][..]));
        let twice = transpose(&Workers::serial(), once.view().unwrap()).unwrap();
        assert_eq!(twice.indptr, a.indptr());
        assert_eq!(twice.values.as_deref(), a.values());
    }

    #[test]
    fn an_empty_matrix_has_an_empty_transpose() {
        let a = Csr::<f32>::new(&[0], &[], None, 3).unwrap();
        let b = transpose(&Workers::serial(), a).unwrap();
        assert_eq!((b.indptr, b.cols), (vec![0; 4], 0));
    }
}
