//! Making sure that new rows are found.
//!
//! A row on the rim of the data is near nobody's heart: every row it links to has nearer ones and
//! drops the link back, but for the spanning tree's, and a walk may pass by that. So each new row
//! is searched for once, and if it is missed, a row that the walk came to keeps a link to it.

use std::ops::Range;

use crate::error::Result;
use crate::metric::Metric;
use crate::pool::Workers;

use super::Hnsw;
use super::journal::Journal;
use super::scratch::Entry;
use super::walk::Verdict;
use crate::index::candidate::Candidate;

/// The pool of the walk that looks for a row: smaller than searches use, to be on the safe side.
const EF: usize = 48;

/// Rows looked for before links are added for those missed.
const CHUNK: usize = 1024;

/// Links added for one row may displace what led to another: looks at most this often.
const ROUNDS: usize = 4;

impl Hnsw {
    /// Looks for each of the rows `added` and adds links for those that are missed.
    ///
    /// Not under inner products, where a row need not be its own nearest.
    pub(super) fn guard(
        &mut self,
        added: Range<usize>,
        workers: &Workers<'_>,
        journal: &mut Journal,
    ) -> Result<()> {
        if self.rows.space.metric == Metric::InnerProduct || self.rows.len() <= EF {
            return Ok(());
        }
        let mut rows: Vec<u32> = added.map(|row| row as u32).collect();
        for _ in 0..ROUNDS {
            let mut missed = Vec::new();
            for chunk in rows.chunks(CHUNK) {
                let seen = workers.map(chunk.len(), |i| Ok(self.look_for(chunk[i])))?;
                for (&row, seen) in chunk.iter().zip(seen) {
                    if let Some(seen) = seen {
                        missed.push(row);
                        self.guard_one(row, &seen, journal);
                    }
                }
            }
            rows = missed;
        }
        Ok(())
    }

    /// What a walk towards a row comes to, if not the row or a copy of it.
    fn look_for(&self, row: u32) -> Option<Vec<Candidate>> {
        let walk = self.walk();
        let query = self.rows.stored(row as usize);
        let own = self.rows.between(row as usize, row as usize);
        let entry = self.graph.entry()?;
        self.scratches.with(|scratch| {
            self.rows.aim(row as usize, &mut scratch.query);
            let start = walk.descend(query, entry, 0, scratch);
            let judge = |_: &mut Vec<Entry>, seen: Candidate| {
                if seen.distance() == own && walk.equal(seen.node(), row) {
                    return Verdict::Stop;
                }
                Verdict::Enter
            };
            let missed = walk.beam(query, start, EF, 0, scratch, judge);
            missed.then(|| scratch.pool.iter().map(|entry| entry.candidate()).collect())
        })
    }

    /// The nearest of `seen` that can becomes the guard of `row`.
    fn guard_one(&mut self, row: u32, seen: &[Candidate], journal: &mut Journal) {
        let guard = seen.iter().find(|other| self.graph.can_guard(other.node()));
        let Some(guard) = guard else {
            return;
        };
        if self.graph.links(0, guard.node()).contains(&row) {
            return;
        }
        let source = Candidate::new(guard.distance(), row);
        self.graph.set_guard(row, guard.node());
        journal.note(&self.graph, 0, guard.node());
        let links = self.merge(0, guard.node(), &[source]);
        self.graph.set(0, guard.node(), links.into_iter());
    }
}
