//! What searches cost, query by query.

use crate::error::Result;
use crate::index::bitmap::Bitmap;
use crate::index::hits::NONE;
use crate::matrix::Matrix;
use crate::pool::Workers;

use super::Hnsw;
use super::count::Tally;
use super::filter::Sieve;
use super::search::pool_size;

/// Steps of each query's walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Rows whose links were looked at, on all levels.
    pub hops: Vec<i64>,
    /// Distances computed, by codes where there are any, those of a scan included.
    pub distances: Vec<i64>,
    /// Distances that were computed once more, from the vectors, because codes gave them. Those of
    /// a scan are not counted: how many it takes depends on what it finds.
    pub remeasured: Vec<i64>,
}

impl Hnsw {
    /// What a search with these arguments costs; the search itself, counted.
    pub fn effort(
        &self,
        queries: Matrix<'_, f32>,
        k: usize,
        ef: Option<usize>,
        allowed: Option<&Bitmap>,
        workers: &Workers<'_>,
    ) -> Result<Effort> {
        let ef = pool_size(ef, k)?;
        let prepared = self.rows.space.prepare(queries, workers)?;
        let sieve = allowed.map(Sieve::new);
        let efforts = workers.map(queries.rows(), |query| {
            let tally = Tally::default();
            let query = prepared.row(query);
            let mut places = vec![NONE; k.min(self.rows.live())];
            match (&sieve, allowed) {
                (Some(sieve), Some(allowed)) => {
                    let few = self.is_few(allowed.count(), ef);
                    let walked = !few
                        && self.filter_scratches.with(|scratch| {
                            self.search_one_among(query, &mut places, ef, sieve, scratch, &tally)
                        });
                    if !walked {
                        tally.scan(allowed.count());
                    }
                }
                _ if ef >= self.rows.live() => tally.scan(self.rows.live()),
                _ => self.scratches.with(|scratch| {
                    let mut hits = Vec::new();
                    self.rows
                        .aim_at(query, &mut scratch.work, &mut scratch.query);
                    self.search_one(query, &mut places, ef, scratch, &mut hits, &tally);
                }),
            }
            let counts = [&tally.hops, &tally.distances, &tally.remeasured];
            Ok(counts.map(|count| count.get() as i64))
        })?;
        let column = |i: usize| efforts.iter().map(|counts| counts[i]).collect();
        Ok(Effort {
            hops: column(0),
            distances: column(1),
            remeasured: column(2),
        })
    }
}
