//! The rows that may be among a query's nearest, as far as their closeness tells.

use crate::index::rows::Rows;

use super::best::Best;
use super::bounds::Query;

/// Room beside the k rows sought, so that a list is thinned out rarely.
const SPARE: usize = 64;

/// Rows ahead that are fetched while distances are computed.
const AHEAD: usize = 2;

/// Cache lines of a row that are fetched ahead; the processor guesses the rest.
const LINES: usize = 8;

#[derive(Clone, Copy)]
struct Entry {
    closeness: f32,
    /// A row less close than this is further than this one.
    sure: f32,
    row: u32,
}

/// One query's candidates.
///
/// Rows below `least` are further than `kept` others. The others wait with their bounds; where
/// bounds cannot tell them apart, their distances are computed and those in `best` remain.
pub struct Shortlist {
    query: Query,
    entries: Vec<Entry>,
    least: f32,
    kept: usize,
    best: Best,
    /// Distances computed before the end.
    pub computed: usize,
}

impl Shortlist {
    /// Bytes that a list of `kept` rows takes.
    pub fn bytes(kept: usize) -> usize {
        (2 * kept + SPARE) * size_of::<Entry>() + kept * size_of::<(u32, i64)>()
    }

    pub fn new(query: Query, kept: usize) -> Self {
        Self {
            query,
            entries: Vec::with_capacity(2 * kept + SPARE),
            least: f32::MIN,
            kept,
            best: Best::new(kept),
            computed: 0,
        }
    }

    /// The closeness that a row must have to enter.
    pub fn least(&self) -> f32 {
        self.least
    }

    /// Takes a row; `values` are the query's own, for when the list has to be thinned out.
    #[inline]
    pub fn push(&mut self, rows: &Rows, values: &[f32], row: usize, closeness: f32, offset: f32) {
        if closeness < self.least {
            return;
        }
        if self.entries.len() == 2 * self.kept + SPARE {
            self.thin(rows, values);
            if closeness < self.least {
                return;
            }
        }
        let sure = self.query.least(self.query.most(closeness, offset));
        self.entries.push(Entry {
            closeness,
            sure,
            row: row as u32,
        });
    }

    fn thin(&mut self, rows: &Rows, values: &[f32]) {
        if self.kept > 0 {
            let (_, entry, _) = self
                .entries
                .select_nth_unstable_by(self.kept - 1, |a, b| b.sure.total_cmp(&a.sure));
            self.least = self.least.max(entry.sure);
        }
        let least = self.least;
        self.entries.retain(|entry| entry.closeness >= least);
        if self.entries.len() > self.kept + SPARE / 2 + self.kept / 2 {
            self.computed += self.entries.len();
            self.resolve(rows, values);
        }
    }

    /// Computes the distances of the rows that wait.
    fn resolve(&mut self, rows: &Rows, values: &[f32]) {
        for (i, entry) in self.entries.iter().enumerate() {
            if let Some(next) = self.entries.get(i + AHEAD) {
                rows.ask_for(next.row as usize, LINES);
            }
            if entry.closeness >= self.least {
                self.best.offer(rows, values, entry.row as usize);
            }
        }
        self.entries.clear();
        if let Some(worst) = self.best.worst() {
            self.least = self.least.max(self.query.least(f64::from(worst)));
        }
    }

    /// The nearest of all rows that were pushed.
    pub fn finish(mut self, rows: &Rows, values: &[f32]) -> Best {
        if self.entries.len() > self.kept {
            self.thin(rows, values);
        }
        self.resolve(rows, values);
        self.best
    }
}
