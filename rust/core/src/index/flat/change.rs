//! Rows of a flat index that change or go. Nothing links to them, so they go at once.

use super::Flat;
use crate::error::Result;
use crate::index::changes::{Existing, Missing};
use crate::matrix::Matrix;

impl Flat {
    /// Appends vectors, or puts them in the place of those with the same ids, and returns their
    /// ids; nothing is changed on failure.
    pub fn store(
        &mut self,
        vectors: Matrix<'_, f32>,
        ids: Option<&[i64]>,
        existing: Existing,
    ) -> Result<Vec<i64>> {
        let (added, replaced) = self.rows.append_over(vectors, ids, existing)?;
        let added = self.rows.ids()[added].to_vec();
        if !replaced.is_empty() {
            self.sweep();
        }
        Ok(added)
    }

    /// Forgets the rows with these ids and returns how many; nothing is changed on failure.
    pub fn remove(&mut self, ids: &[i64], missing: Missing) -> Result<usize> {
        let numbers = self.rows.numbers_of(ids, missing)?;
        numbers.iter().for_each(|&row| self.rows.hide(row));
        if !numbers.is_empty() {
            self.sweep();
        }
        Ok(numbers.len())
    }

    /// Gives unused memory back.
    pub fn compact(&mut self) {
        self.rows.shrink();
    }

    fn sweep(&mut self) {
        let moves = self.rows.moves();
        self.rows.sweep(&moves);
    }
}
