//! Rows of a flat index that change or go. Nothing links to them, so they go at once.

use super::{Adding, Flat};
use crate::error::Result;
use crate::index::changes::{Existing, Missing};
use crate::index::rows::Lookup;
use crate::index::shared::make;
use crate::matrix::Matrix;
use crate::pool::Workers;

impl Flat {
    /// Appends vectors, or puts them in the place of those with the same ids, and returns their
    /// ids; nothing is changed on failure.
    pub fn store(
        &mut self,
        vectors: Matrix<'_, f32>,
        ids: Option<&[i64]>,
        existing: Existing,
    ) -> Result<Vec<i64>> {
        let adding = Adding::new(vectors, ids).over(existing);
        make(self, adding, &Workers::serial())
    }

    /// Forgets the rows with these ids and returns how many; nothing is changed on failure.
    pub fn remove(&mut self, ids: &[i64], missing: Missing) -> Result<usize> {
        self.rows.check_writable()?;
        let numbers = self.rows.numbers_of(ids, missing)?;
        self.rows.leave(&numbers);
        let mut lookup = match self.rows.lookup_after(&self.rows.moves()) {
            Ok(lookup) => lookup,
            Err(error) => {
                self.rows.stay();
                return Err(error);
            }
        };
        self.rows.show();
        self.sweep(&mut lookup);
        Ok(numbers.len())
    }

    /// Gives unused memory back.
    pub fn compact(&mut self) -> Result<()> {
        self.rows.check_writable()?;
        self.rows.shrink();
        Ok(())
    }

    pub(super) fn sweep(&mut self, lookup: &mut Option<Lookup>) {
        if self.rows.live() < self.rows.len() {
            let moves = self.rows.moves();
            self.rows.sweep(&moves, lookup);
        }
    }
}
