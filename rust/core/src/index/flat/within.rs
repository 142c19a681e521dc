//! All rows within a radius.

use super::Flat;
use crate::error::Result;
use crate::index::bitmap::Bitmap;
use crate::index::ranges::{Ranges, Reach};
use crate::matrix::Matrix;
use crate::pool::Workers;

impl Flat {
    /// All rows within `reach` of every query, of those `allowed` if that is given.
    pub fn within(
        &self,
        queries: Matrix<'_, f32>,
        reach: Reach,
        allowed: Option<&Bitmap>,
        workers: &Workers<'_>,
    ) -> Result<Ranges> {
        let prepared = self.rows.space.prepare(queries, workers)?;
        let among = self.rows.among(allowed);
        Ranges::scan(
            &self.rows,
            &among,
            &prepared,
            queries.rows(),
            reach,
            workers,
        )
    }
}
