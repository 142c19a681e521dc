//! The k nearest of some rows.

use super::{Flat, exact};
use crate::error::Result;
use crate::index::bitmap::Bitmap;
use crate::index::hits::Hits;
use crate::matrix::Matrix;
use crate::pool::Workers;

impl Flat {
    /// The `k` nearest of the `allowed` rows for every query.
    pub fn search_among(
        &self,
        queries: Matrix<'_, f32>,
        k: usize,
        allowed: &Bitmap,
        workers: &Workers<'_>,
    ) -> Result<Hits> {
        let prepared = self.rows.space.prepare(queries, workers)?;
        exact(
            &self.rows,
            &prepared,
            queries.rows(),
            k,
            Some(allowed),
            workers,
        )
    }
}
