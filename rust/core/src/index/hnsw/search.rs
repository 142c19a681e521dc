//! The approximate k nearest rows.

use crate::error::{Error, Result};
use crate::index::flat::nearest;
use crate::index::hits::{Hit, Hits};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::simd::prefetch;

use super::Hnsw;
use super::scratch::{Entry, Scratch};
use super::walk::Verdict;

/// Queries a thread takes at a time.
const QUERIES: usize = 8;

/// Vectors asked for ahead of the one being compared.
const AHEAD: usize = 2;

/// The least `ef` where none is asked for.
pub const DEFAULT_EF: usize = 64;

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
        if ef == Some(0) {
            return Err(Error::invalid("ef", "is 0 but must be at least 1"));
        }
        let ef = ef.unwrap_or(DEFAULT_EF).max(k);
        let prepared = self.rows.space.prepare(queries)?;
        let codes = self.rows.coding.codes.as_ref();
        let codes = codes.filter(|_| ef < self.rows.len());
        let coded = codes.map(|codes| codes.of(&prepared, queries.rows(), workers));
        let coded = coded.transpose()?;
        Hits::collect(queries.rows(), k, QUERIES, workers, |range, places| {
            if ef >= self.rows.len() {
                return nearest(&self.rows, &prepared, range, places, workers);
            }
            self.scratches.with(|scratch| {
                let mut hits = Vec::with_capacity(ef);
                for (query, places) in range.zip(places.chunks_mut(k)) {
                    workers.check()?;
                    if let Some(coded) = &coded {
                        scratch.query.set(coded.code(query));
                    }
                    self.search_one(prepared.row(query), places, ef, scratch, &mut hits);
                }
                Ok(())
            })
        })
    }

    fn search_one(
        &self,
        query: &[f32],
        places: &mut [Hit],
        ef: usize,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) {
        let Some(entry) = self.graph.entry() else {
            return;
        };
        let walk = self.walk();
        let start = walk.descend(query, entry, 0, scratch);
        walk.beam(query, start, ef, 0, scratch, |_, _| Verdict::Enter);
        hits.clear();
        if self.rows.coding.codes.is_some() {
            self.rerank(query, scratch);
        }
        hits.extend(scratch.pool.iter().map(|entry| Hit {
            distance: self.rows.space.shown(entry.distance()),
            id: self.rows.ids()[entry.node() as usize],
        }));
        // The pool is in order but for ties, which it breaks by row number.
        hits.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id)));
        for (place, &hit) in places.iter_mut().zip(&*hits) {
            *place = hit;
        }
    }

    /// Replaces the distances of codes by those of the vectors.
    fn rerank(&self, query: &[f32], scratch: &mut Scratch) {
        let pool = &mut scratch.pool;
        for i in 0..pool.len() {
            if let Some(next) = pool.get(i + AHEAD) {
                prefetch(self.rows.stored(next.node() as usize), usize::MAX);
            }
            let node = pool[i].node();
            let stored = self.rows.stored(node as usize);
            pool[i] = Entry::new(self.rows.space.distance(query, stored), node);
        }
    }
}
