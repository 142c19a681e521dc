//! What a search returns.

use crate::error::{Error, Result};
use crate::pool::Workers;

/// A call returns at most this many results, `queries × k`: 3 GiB.
pub use crate::linalg::top::MAX_RESULTS;

/// One result of one query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub distance: f32,
    pub id: i64,
}

/// Stands where a query has fewer than k hits.
pub const NONE: Hit = Hit {
    distance: f32::INFINITY,
    id: -1,
};

/// Results of several queries: `queries × k`, nearest first, ties by id.
#[derive(Clone, Debug, PartialEq)]
pub struct Hits {
    pub ids: Vec<i64>,
    pub distances: Vec<f32>,
    /// How many of a query's k results are hits.
    pub counts: Vec<i64>,
}

impl Hits {
    /// Fills the results of `queries` queries, `chunk` of them at a time; `fill` is given a range
    /// of queries and their `k` places each.
    pub fn collect(
        queries: usize,
        k: usize,
        chunk: usize,
        workers: &Workers<'_>,
        fill: impl Fn(std::ops::Range<usize>, &mut [Hit]) -> Result<()> + Sync,
    ) -> Result<Self> {
        let size = check(queries, k)?;
        let mut hits = Vec::new();
        hits.try_reserve_exact(size)
            .map_err(|_| Error::out_of_memory())?;
        hits.resize(size, NONE);
        workers.for_each_piece(&mut hits, chunk * k, |i, piece| {
            let start = i * chunk;
            fill(start..start + piece.len() / k, piece)
        })?;
        Ok(Self {
            ids: hits.iter().map(|hit| hit.id).collect(),
            distances: hits.iter().map(|hit| hit.distance).collect(),
            counts: hits
                .chunks(k)
                .map(|of| of.iter().filter(|hit| hit.id != NONE.id).count() as i64)
                .collect(),
        })
    }
}

/// The number of results, if it is sane.
pub fn check(queries: usize, k: usize) -> Result<usize> {
    if k == 0 {
        return Err(Error::invalid("k", "is 0 but must be at least 1"));
    }
    queries
        .max(1)
        .checked_mul(k)
        .filter(|&size| size <= MAX_RESULTS)
        .map(|_| queries * k)
        .ok_or_else(|| {
            Error::invalid(
                "k",
                format!(
                    "is {k}, and with {queries} queries the results exceed {MAX_RESULTS}; ask for \
                     fewer or search in parts"
                ),
            )
        })
}
