//! Removing rows.
//!
//! A removed row is hidden at once: searches walk through it but do not return it. Once there are
//! enough of them, [`Hnsw::plan_repair`] closes the gaps for all together and their places go to
//! other rows (Singh et al. 2021, FreshDiskANN, where this kept recall under constant change).

use crate::error::Result;
use crate::index::changes::Missing;
use crate::pool::Workers;

use super::Hnsw;
use super::graph::Graph;
use super::repair::Repair;

/// Hidden rows are kept until they are more than this part of all: each repair looks at every
/// link, and walks pass through them meanwhile.
const SHARE: usize = 64;
const MIN_HIDDEN: usize = 64;
const MAX_HIDDEN: usize = 1024;

impl Hnsw {
    /// Removes the rows with these ids and returns how many; nothing is changed on failure.
    pub fn remove(
        &mut self,
        ids: &[i64],
        missing: Missing,
        workers: &Workers<'_>,
    ) -> Result<usize> {
        let numbers = self.rows.numbers_of(ids, missing)?;
        numbers.iter().for_each(|&row| self.rows.hide(row));
        match self.plan_if_due(workers) {
            Ok(Some(repair)) => self.apply(repair, workers),
            Ok(None) => {}
            Err(error) => {
                numbers.into_iter().for_each(|row| self.rows.show(row));
                return Err(error);
            }
        }
        Ok(numbers.len())
    }

    /// Sweeps all removed rows out and gives unused memory back.
    pub fn compact(&mut self, workers: &Workers<'_>) -> Result<()> {
        if self.rows.live() < self.rows.len() {
            let repair = self.plan_repair(workers)?;
            self.apply(repair, workers);
        }
        self.rows.shrink();
        self.graph.shrink();
        self.scratches = Default::default();
        Ok(())
    }

    /// Whether so many rows would be hidden with `more` of them that a repair would follow.
    pub fn is_due(&self, more: usize) -> bool {
        let hidden = self.rows.len() - self.rows.live() + more;
        let bound = (self.rows.len() / SHARE).clamp(MIN_HIDDEN, MAX_HIDDEN);
        hidden > bound || (hidden > 0 && hidden >= self.rows.len())
    }

    pub(super) fn plan_if_due(&self, workers: &Workers<'_>) -> Result<Option<Repair>> {
        match self.is_due(0) {
            true => self.plan_repair(workers).map(Some),
            false => Ok(None),
        }
    }
}

impl Graph {
    fn shrink(&mut self) {
        self.base.shrink_to_fit();
        self.upper.shrink_to_fit();
        self.offsets.shrink_to_fit();
        self.levels.shrink_to_fit();
        self.parents.shrink_to_fit();
        self.guards.shrink_to_fit();
        self.dependants.shrink_to_fit();
    }
}
