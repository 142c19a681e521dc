//! The k nearest of some rows.

use super::Flat;
use crate::error::Result;
use crate::index::bitmap::Bitmap;
use crate::index::hits::{Hit, Hits};
use crate::index::scan::nearest_among;
use crate::matrix::Matrix;
use crate::pool::Workers;

/// Queries that pass over the rows together, so that a row read once serves all of them.
const QUERIES: usize = 16;

impl Flat {
    /// The `k` nearest of the `allowed` rows for every query.
    pub fn search_among(
        &self,
        queries: Matrix<'_, f32>,
        k: usize,
        allowed: &Bitmap,
        workers: &Workers<'_>,
    ) -> Result<Hits> {
        let prepared = self.rows.space.prepare(queries)?;
        let among = self.rows.among(Some(allowed));
        Hits::collect(queries.rows(), k, QUERIES, workers, |range, places| {
            let mut places: Vec<&mut [Hit]> = places.chunks_mut(k).collect();
            let numbers: Vec<usize> = range.collect();
            nearest_among(
                &self.rows,
                &among,
                &prepared,
                &numbers,
                k,
                &mut places,
                workers,
            )
        })
    }
}
