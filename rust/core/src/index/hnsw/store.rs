//! Adding rows beside or in the place of others.

use crate::error::Result;
use crate::index::changes::Existing;
use crate::index::shared::make;
use crate::matrix::Matrix;
use crate::pool::Workers;

use super::{Adding, Hnsw};

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
        make(self, Adding::new(vectors, ids).over(existing), workers)
    }
}
