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
use super::select::Measure;
use super::walk::Verdict;
use crate::index::candidate::Candidate;

/// The pool of the walk that looks for a row: smaller than searches use, to be on the safe side.
const EF: usize = 48;

/// Rows looked for before links are added for those missed.
const CHUNK: usize = 1024;

/// Links added for one row may displace what led to another: looks at most this often.
const ROUNDS: usize = 4;

/// A row that was missed, with what was seen instead; `None` for one that was found.
pub type Seen = (u32, Option<Vec<Candidate>>);

/// One look after another at rows that were missed before.
pub struct Round {
    number: usize,
    /// Looked for in this round.
    rows: Vec<u32>,
    /// How many of them have been.
    done: usize,
    /// Looked for in the next.
    missed: Vec<u32>,
}

impl Round {
    /// The first round, for new rows.
    pub fn new(added: Range<usize>) -> Self {
        Self::of(added.map(|row| row as u32).collect())
    }

    /// The first round, for any rows.
    pub fn of(rows: Vec<u32>) -> Self {
        Self {
            number: 0,
            rows,
            done: 0,
            missed: Vec::new(),
        }
    }

    /// Looks for the next chunk of rows, if there is one.
    ///
    /// Not under inner products, where a row need not be its own nearest.
    pub fn plan(&mut self, index: &Hnsw, workers: &Workers<'_>) -> Result<Option<Vec<Seen>>> {
        if index.rows.space.metric == Metric::InnerProduct || index.rows.len() <= EF {
            return Ok(None);
        }
        if self.done == self.rows.len() {
            self.number += 1;
            self.rows = std::mem::take(&mut self.missed);
            self.done = 0;
        }
        if self.number == ROUNDS || self.rows.is_empty() {
            return Ok(None);
        }
        let end = self.rows.len().min(self.done + CHUNK);
        let chunk = &self.rows[self.done..end];
        let seen = workers.map(chunk.len(), |i| Ok((chunk[i], index.look_for(chunk[i]))))?;
        self.done = end;
        Ok(Some(seen))
    }

    /// Adds links for those missed.
    pub fn apply(&mut self, index: &mut Hnsw, seen: &[Seen]) {
        let mut journal = index.pending.take();
        for (row, seen) in seen {
            if let Some(seen) = seen {
                self.missed.push(*row);
                index.guard_one(*row, seen, &mut journal);
            }
        }
        index.pending = journal;
    }
}

impl Hnsw {
    /// What a walk towards a row comes to, if not the row or a copy of it.
    fn look_for(&self, row: u32) -> Option<Vec<Candidate>> {
        let walk = self.walk();
        let mut buffer = Vec::new();
        let query = self.rows.view(row as usize, &mut buffer);
        let own = self.rows.between(row as usize, row as usize);
        let entry = self.graph.entry()?;
        self.scratches.with(|scratch| {
            self.rows.aim(row as usize, &mut scratch.query);
            let start = walk.descend(query, entry, 0, scratch);
            let judge = |_: &mut Vec<Entry>, seen: Candidate| {
                let stays = self.rows.stays(seen.node() as usize);
                if stays && seen.distance() == own && walk.equal(seen.node(), row) {
                    return Verdict::Stop;
                }
                Verdict::Enter
            };
            let missed = walk.beam(query, start, EF, 0, scratch, judge);
            missed.then(|| scratch.pool.iter().map(|entry| entry.candidate()).collect())
        })
    }

    /// The nearest of `seen` that can becomes the guard of `row`.
    fn guard_one(&mut self, row: u32, seen: &[Candidate], journal: &mut Option<Journal>) {
        // A damaged code can hide a row from its own walk.
        let fit = |other: &&Candidate| other.node() != row && self.graph.can_guard(other.node());
        let guard = seen.iter().find(fit);
        let Some(guard) = guard else {
            return;
        };
        if self.graph.links(0, guard.node()).contains(&row) {
            return;
        }
        self.graph.set_guard(row, guard.node());
        if let Some(journal) = journal {
            journal.note(&self.graph, 0, guard.node());
        }
        let (mut links, mut measure) = (Vec::new(), Measure::default());
        let source = std::iter::once(row);
        self.merge((0, guard.node()), source, false, &mut measure, &mut links);
        self.graph.set(0, guard.node(), links.into_iter());
    }
}
