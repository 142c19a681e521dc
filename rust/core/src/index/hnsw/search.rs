//! The approximate k nearest rows.

use crate::error::{Error, Result};
use crate::index::flat::exact;
use crate::index::hits::{Hit, Hits};
use crate::matrix::Matrix;
use crate::pool::Workers;

use super::Hnsw;
use super::count::{Count, Uncounted};
use super::scratch::Scratch;
use super::walk::Verdict;

/// Queries a thread takes at a time.
const QUERIES: usize = 8;

/// The least `ef` where none is asked for.
pub const DEFAULT_EF: usize = 64;

/// The pool that is asked for.
pub(super) fn pool_size(ef: Option<usize>, k: usize) -> Result<usize> {
    match ef {
        Some(0) => Err(Error::invalid("ef", "is 0 but must be at least 1")),
        ef => Ok(ef.unwrap_or(DEFAULT_EF).max(k)),
    }
}

impl Hnsw {
    /// The `k` nearest rows of every query that a walk with a pool of `ef` rows finds.
    ///
    /// `ef` is raised to `k`; without one it is the larger of `k` and [`DEFAULT_EF`]. A pool that
    /// would hold every row is filled by comparing with every row.
    pub fn search(
        &self,
        queries: Matrix<'_, f32>,
        k: usize,
        ef: Option<usize>,
        workers: &Workers<'_>,
    ) -> Result<Hits> {
        let ef = pool_size(ef, k)?;
        let prepared = self.rows.space.prepare(queries)?;
        if ef >= self.rows.live() {
            return exact(&self.rows, &prepared, queries.rows(), k, None, workers);
        }
        Hits::collect(queries.rows(), k, QUERIES, workers, |range, places| {
            self.scratches.with(|scratch| {
                let mut hits = Vec::with_capacity(ef);
                for (query, places) in range.zip(places.chunks_mut(k)) {
                    workers.check()?;
                    if self.rows.has_pending() {
                        let query = (&prepared, query);
                        self.search_past_pending(query, places, ef, scratch, workers)?;
                        continue;
                    }
                    let query = prepared.row(query);
                    self.search_one(query, places, ef, scratch, &mut hits, Uncounted);
                }
                Ok(())
            })
        })
    }

    pub(super) fn search_one(
        &self,
        query: &[f32],
        places: &mut [Hit],
        ef: usize,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
        count: impl Count,
    ) {
        let Some(entry) = self.graph.entry() else {
            return;
        };
        let walk = self.walk_counting(count);
        let start = walk.descend(query, entry, 0);
        walk.beam(query, start, ef, 0, scratch, |_, _| Verdict::Enter);
        hits.clear();
        let found = scratch.pool.iter();
        let found = found.filter(|entry| self.rows.is_live(entry.candidate.node() as usize));
        hits.extend(found.map(|entry| Hit {
            distance: self.rows.space.shown(entry.candidate.distance()),
            id: self.rows.ids()[entry.candidate.node() as usize],
        }));
        // The pool is in order but for ties, which it breaks by row number.
        hits.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id)));
        for (place, &hit) in places.iter_mut().zip(&*hits) {
            *place = hit;
        }
    }
}
