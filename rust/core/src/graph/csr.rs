//! A sparse matrix in compressed rows.

use crate::error::{Error, Result};

/// A read-only sparse matrix whose entries are stored row after row.
///
/// Row `i` has its entries at `indptr[i]..indptr[i + 1]`. Without values every entry is 1.
/// Indices are 32-bit: a product is limited by memory traffic, and no dimension here nears 2³¹.
#[derive(Clone, Copy, Debug)]
pub struct Csr<'a, T> {
    indptr: &'a [i64],
    indices: &'a [i32],
    values: Option<&'a [T]>,
    cols: usize,
}

impl<'a, T> Csr<'a, T> {
    /// Fails unless offsets rise from 0 to the number of entries and columns lie in `0..cols`.
    pub fn new(
        indptr: &'a [i64],
        indices: &'a [i32],
        values: Option<&'a [T]>,
        cols: usize,
    ) -> Result<Self> {
        let entries = indices.len();
        if indptr.first() != Some(&0) {
            return Err(Error::invalid(
                "indptr",
                "must start with 0 and have one entry more than there are rows",
            ));
        }
        if let Some(row) = indptr.windows(2).position(|pair| pair[0] > pair[1]) {
            return Err(Error::invalid(
                "indptr",
                format!(
                    "falls from {} to {} after row {row} but must not decrease",
                    indptr[row],
                    indptr[row + 1]
                ),
            ));
        }
        if indptr.last().copied() != i64::try_from(entries).ok() {
            return Err(Error::invalid(
                "indptr",
                format!(
                    "ends with {} but indices has {entries} entries",
                    indptr[indptr.len() - 1]
                ),
            ));
        }
        if let Some(values) = values
            && values.len() != entries
        {
            return Err(Error::invalid(
                "data",
                format!("has {} entries but indices has {entries}", values.len()),
            ));
        }
        // As unsigned numbers negative indices are large, so one maximum finds both mistakes.
        let largest = indices
            .iter()
            .fold(0, |most, &index| most.max(index as u32));
        if entries > 0 && largest as usize >= cols {
            let wrong = indices.iter().find(|&&index| index as u32 as usize >= cols);
            return Err(Error::invalid(
                "indices",
                format!(
                    "holds column {} but there are {cols} columns",
                    wrong.copied().unwrap_or_default()
                ),
            ));
        }
        Ok(Self {
            indptr,
            indices,
            values,
            cols,
        })
    }

    /// A matrix whose parts were checked by [`Csr::new`] before and have not changed since.
    ///
    /// Looks at the ends of the offsets alone: drawing a few nodes must not cost a pass over all
    /// edges. Where that promise is broken, later calls panic as slices do.
    pub fn known(
        indptr: &'a [i64],
        indices: &'a [i32],
        values: Option<&'a [T]>,
        cols: usize,
    ) -> Result<Self> {
        let entries = indices.len();
        if indptr.first() != Some(&0)
            || indptr.last().copied() != i64::try_from(entries).ok()
            || values.is_some_and(|values| values.len() != entries)
        {
            return Self::new(indptr, indices, values, cols);
        }
        Ok(Self {
            indptr,
            indices,
            values,
            cols,
        })
    }

    pub fn rows(&self) -> usize {
        self.indptr.len() - 1
    }

    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The number of stored entries.
    pub fn entries(&self) -> usize {
        self.indices.len()
    }

    pub fn indptr(&self) -> &'a [i64] {
        self.indptr
    }

    pub fn values(&self) -> Option<&'a [T]> {
        self.values
    }

    /// The columns of row `i`. Panics if there is no such row, as slices do.
    pub fn columns(&self, i: usize) -> &'a [i32] {
        &self.indices[self.indptr[i] as usize..self.indptr[i + 1] as usize]
    }

    /// The columns and values of row `i`.
    pub fn row(&self, i: usize) -> (&'a [i32], Option<&'a [T]>) {
        let range = self.indptr[i] as usize..self.indptr[i + 1] as usize;
        let values = self.values.map(|values| &values[range.clone()]);
        (&self.indices[range], values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(indptr: &[i64], indices: &[i32], values: usize) -> String {
        let values = vec![1.0f32; values];
        Csr::new(indptr, indices, Some(&values), 3)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn malformed_matrices_are_refused_with_their_reason() {
        assert!(message(&[], &[], 0).contains("must start with 0"));
        assert!(message(&[1, 1], &[0], 1).contains("must start with 0"));
        assert!(message(&[0, 2, 1], &[0], 1).contains("falls from 2 to 1 after row 1"));
        assert!(message(&[0, 2], &[0], 1).contains("ends with 2 but indices has 1"));
        assert!(message(&[0, 1], &[0], 2).contains("has 2 entries but indices has 1"));
        assert!(message(&[0, 1], &[3], 1).contains("holds column 3 but there are 3"));
        assert!(message(&[0, 1], &[-1], 1).contains("holds column -1"));
    }

    #[test]
    fn known_parts_must_still_fit_each_other() {
        let refused = |indptr: &[i64]| Csr::<f32>::known(indptr, &[0, 1], None, 2).is_err();
        assert!(refused(&[]) && refused(&[0, 1]) && refused(&[1, 2]));
        assert!(Csr::known(&[0, 2], &[0, 1], Some(&[1.0f32]), 2).is_err());
        assert!(!refused(&[0, 1, 2]));
    }

    #[test]
    fn rows_come_with_their_values() {
        let matrix = Csr::new(&[0, 2, 2, 3], &[0, 2, 1], Some(&[1.0f32, 2.0, 3.0]), 3).unwrap();
        assert_eq!(matrix.row(0), (&[0, 2][..], Some(&[1.0, 2.0][..])));
        assert_eq!(matrix.row(1), (&[][..], Some(&[][..])));
        assert_eq!(matrix.columns(2), &[1]);
    }
}
