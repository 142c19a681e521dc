//! Adding rows beside or in the place of others.

use crate::error::Result;
use crate::index::changes::Existing;
use crate::matrix::Matrix;
use crate::pool::Workers;

use super::Hnsw;
use super::journal::Journal;

impl Hnsw {
    /// Appends vectors, also in the place of rows with the same ids, and returns their
    /// ids; nothing is changed on failure. Rows that were replaced are never found again.
    pub fn store(
        &mut self,
        vectors: Matrix<'_, f32>,
        ids: Option<&[i64]>,
        existing: Existing,
        workers: &Workers<'_>,
    ) -> Result<Vec<i64>> {
        let largest_id = self.rows.largest_id();
        let (added, replaced) = self.rows.append_over(vectors, ids, existing)?;
        let mut journal = Journal::new(&self.graph);
        let outcome = self
            .graph
            .grow(added.len())
            .and_then(|()| self.link(added.clone(), workers, &mut journal))
            .and_then(|()| self.guard(added.clone(), workers, &mut journal))
            .and_then(|()| match replaced.is_empty() {
                true => Ok(None),
                false => self.plan_if_due(workers),
            });
        match outcome {
            Ok(repair) => {
                let ids = self.rows.ids()[added].to_vec();
                if let Some(repair) = repair {
                    self.apply(repair, workers);
                }
                Ok(ids)
            }
            Err(error) => {
                journal.undo(&mut self.graph);
                self.rows.truncate(added.start, largest_id);
                replaced.into_iter().for_each(|row| self.rows.show(row));
                Err(error)
            }
        }
    }
}
