//! Walking the graph towards a query.

use crate::index::rows::Rows;
use crate::simd::prefetch;

use super::candidate::Candidate;
use super::count::{Count, Uncounted};
use super::graph::{EMPTY, Graph};
use super::scratch::{Entry, Scratch};

/// Vectors asked for ahead of the one being compared.
const AHEAD: usize = 4;

/// Cache lines asked for of each; the processor's own prefetcher follows on.
const LINES: usize = 16;

/// What becomes of a row that is near enough for the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Enter,
    Ignore,
    Stop,
}

/// A graph whose first `linked` rows can be walked.
#[derive(Clone, Copy)]
pub struct Walk<'a, C = Uncounted> {
    pub rows: &'a Rows,
    pub graph: &'a Graph,
    pub count: C,
}

impl<C: Count> Walk<'_, C> {
    #[inline(always)]
    fn distance(&self, query: &[f32], node: u32) -> f32 {
        self.count.compare(1);
        self.rows
            .space
            .distance(query, self.rows.stored(node as usize))
    }

    #[inline(always)]
    fn ask_for(&self, node: u32) {
        prefetch(self.rows.stored(node as usize), LINES);
    }

    /// From the entry point, the row on `level` + 1 and above that no neighbour is nearer than.
    pub fn descend(&self, query: &[f32], entry: u32, level: u8) -> Candidate {
        let mut best = Candidate::new(self.distance(query, entry), entry);
        for above in (level + 1..=self.graph.level(entry)).rev() {
            loop {
                let before = best;
                self.count.hop();
                let links = self.graph.links(above, before.node());
                links.iter().for_each(|&link| self.ask_for(link));
                for &link in links {
                    best = best.min(Candidate::new(self.distance(query, link), link));
                }
                if best == before {
                    break;
                }
            }
        }
        best
    }

    /// Leaves in the scratch's pool the `ef` nearest rows found on `level` from `start`, of those
    /// that `judge` lets in, and hidden ones beside them. False if it stopped the walk.
    #[inline(always)]
    pub fn beam(
        &self,
        query: &[f32],
        start: Candidate,
        mut ef: usize,
        level: u8,
        scratch: &mut Scratch,
        judge: impl Fn(&mut Vec<Entry>, Candidate) -> Verdict,
    ) -> bool {
        scratch.start(self.rows.len());
        scratch.see(start.node());
        if judge(&mut scratch.pool, start) == Verdict::Stop {
            return false;
        }
        // A hidden row leads on but takes no place.
        ef += usize::from(self.rows.is_hidden(start.node() as usize));
        scratch.pool.push(Entry {
            candidate: start,
            expanded: false,
        });
        let mut cursor = 0;
        while let Some(entry) = scratch.pool.get_mut(cursor) {
            entry.expanded = true;
            self.count.hop();
            let node = entry.candidate.node();
            let mut fresh = std::mem::take(&mut scratch.fresh);
            fresh.clear();
            for &link in self.graph.place(level, node) {
                if link == EMPTY {
                    break;
                }
                if scratch.see(link) {
                    fresh.push(link);
                }
            }
            fresh
                .iter()
                .take(AHEAD)
                .for_each(|&link| self.ask_for(link));
            cursor += 1;
            for (i, &link) in fresh.iter().enumerate() {
                if let Some(&next) = fresh.get(i + AHEAD) {
                    self.ask_for(next);
                }
                let candidate = Candidate::new(self.distance(query, link), link);
                if scratch.pool.len() >= ef
                    && scratch
                        .pool
                        .last()
                        .is_some_and(|last| last.candidate <= candidate)
                {
                    continue;
                }
                match judge(&mut scratch.pool, candidate) {
                    Verdict::Enter => {
                        ef += usize::from(self.rows.is_hidden(link as usize));
                        let position = enter(&mut scratch.pool, candidate, ef);
                        cursor = cursor.min(position);
                    }
                    Verdict::Ignore => {}
                    Verdict::Stop => return false,
                }
            }
            scratch.fresh = fresh;
            while scratch.pool.get(cursor).is_some_and(|e| e.expanded) {
                cursor += 1;
            }
        }
        true
    }

    /// Lets in the oldest of several equal rows alone, of those that stay if there are any. So
    /// copies cannot fill the pool and hide what lies around them, and rows around them agree on
    /// whom to link to.
    pub fn oldest_copy(&self, pool: &mut Vec<Entry>, candidate: Candidate) -> Verdict {
        let ties = pool.partition_point(|e| e.candidate.distance() < candidate.distance());
        let copy = pool[ties..]
            .iter()
            .take_while(|e| e.candidate.distance() == candidate.distance())
            .position(|e| self.equal(e.candidate.node(), candidate.node()));
        let Some(copy) = copy.map(|copy| ties + copy) else {
            return Verdict::Enter;
        };
        let rank = |c: Candidate| (!self.rows.stays(c.node() as usize), c);
        if rank(pool[copy].candidate) < rank(candidate) {
            return Verdict::Ignore;
        }
        pool.remove(copy);
        Verdict::Enter
    }

    /// Whether two rows hold the same vector.
    pub fn equal(&self, a: u32, b: u32) -> bool {
        a == b || self.rows.stored(a as usize) == self.rows.stored(b as usize)
    }
}

/// Puts a candidate in its place among the `ef` nearest; the last makes room.
#[inline(always)]
fn enter(pool: &mut Vec<Entry>, candidate: Candidate, ef: usize) -> usize {
    if pool.len() >= ef {
        pool.pop();
    }
    let position = pool.partition_point(|entry| entry.candidate < candidate);
    pool.insert(
        position,
        Entry {
            candidate,
            expanded: false,
        },
    );
    position
}
