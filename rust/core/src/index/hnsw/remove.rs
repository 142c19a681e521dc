//! Removing rows.
//!
//! A removed row is hidden at once: searches walk through it but do not return it. Once there are
//! enough of them, [`Hnsw::plan_repair`] closes the gaps for all together and their places go to
//! other rows (Singh et al. 2021, FreshDiskANN, where this kept recall under constant change).

use std::mem::take;

use crate::error::Result;
use crate::index::changes::Missing;
use crate::index::shared::{Change, make};
use crate::pool::Workers;

use super::Hnsw;
use super::graph::Graph;
use super::guard::{self, Seen};
use super::repair::Repair;

/// Hidden rows are kept until they are more than this part of all: each repair looks at every
/// link, and walks pass through them meanwhile.
const SHARE: usize = 64;
const MIN_HIDDEN: usize = 64;
const MAX_HIDDEN: usize = 1024;

/// Rows on their way out of an index.
pub struct Removing<'a> {
    ids: &'a [i64],
    missing: Missing,
    compacting: bool,
    removed: usize,
    stage: Stage,
}

/// What the next step is about.
enum Stage {
    Admit,
    Commit,
    /// Rows that the repair may have made hard to find.
    Guard(guard::Round),
    Shrink,
    Done,
}

/// What one step writes.
pub struct Step(Kind);

enum Kind {
    Leave(Vec<usize>),
    Commit(Option<Box<Repair>>),
    Guard(Vec<Seen>),
    Shrink,
}

impl<'a> Removing<'a> {
    pub fn new(ids: &'a [i64], missing: Missing) -> Self {
        Self {
            ids,
            missing,
            compacting: false,
            removed: 0,
            stage: Stage::Admit,
        }
    }

    /// Removes no more rows, but all traces of those that were.
    pub fn compacting() -> Self {
        Self {
            compacting: true,
            ..Self::new(&[], Missing::Ignore)
        }
    }

    /// After the last step that users see.
    fn end(&self) -> Stage {
        match self.compacting {
            true => Stage::Shrink,
            false => Stage::Done,
        }
    }
}

impl Change<Hnsw> for Removing<'_> {
    type Step = Step;
    /// How many rows were removed.
    type Done = usize;

    fn plan(&mut self, index: &Hnsw, workers: &Workers<'_>) -> Result<Option<Step>> {
        if let Stage::Guard(round) = &mut self.stage {
            if let Some(seen) = mend(round, index, workers) {
                return Ok(Some(Step(Kind::Guard(seen))));
            }
            self.stage = self.end();
        }
        Ok(Some(Step(match &self.stage {
            Stage::Admit => {
                workers.check()?;
                index.rows.check_writable()?;
                Kind::Leave(index.rows.numbers_of(self.ids, self.missing)?)
            }
            Stage::Commit => {
                let gone = index.rows.len() - index.rows.staying();
                let repair = match self.compacting && gone > 0 {
                    true => Some(index.plan_repair(workers)?),
                    false => index.plan_if_due(workers)?,
                };
                Kind::Commit(repair.map(Box::new))
            }
            Stage::Shrink => Kind::Shrink,
            Stage::Guard(_) | Stage::Done => return Ok(None),
        })))
    }

    fn apply(&mut self, index: &mut Hnsw, step: &mut Step) -> Result<()> {
        match &mut step.0 {
            Kind::Leave(numbers) => {
                self.removed = numbers.len();
                index.rows.leave(numbers);
                self.stage = Stage::Commit;
            }
            Kind::Commit(repair) => {
                index.commit(repair.as_deref_mut());
                self.stage = match repair {
                    Some(repair) => Stage::Guard(guard::Round::of(take(&mut repair.lost))),
                    None => self.end(),
                };
            }
            Kind::Guard(seen) => {
                if let Stage::Guard(round) = &mut self.stage {
                    round.apply(index, seen);
                }
            }
            // Moves everything, while those who search wait: who compacts has the time.
            Kind::Shrink => {
                index.rows.shrink();
                index.graph.shrink();
                index.scratches = Default::default();
                index.filter_scratches = Default::default();
                self.stage = Stage::Done;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Hnsw) -> usize {
        self.removed
    }

    fn undo(&mut self, index: &mut Hnsw) {
        index.rows.stay();
    }
}

/// Looks for rows after a repair. The change is made by then, and whole without the links that
/// help to find rows: so this is not interrupted, and a thread that cannot be started is no
/// failure.
pub(super) fn mend(
    round: &mut guard::Round,
    index: &Hnsw,
    workers: &Workers<'_>,
) -> Option<Vec<Seen>> {
    let unstoppable = Workers::of(workers.threads());
    round.plan(index, &unstoppable).ok().flatten()
}

impl Hnsw {
    /// Removes the rows with these ids and returns how many; nothing is changed on failure.
    pub fn remove(
        &mut self,
        ids: &[i64],
        missing: Missing,
        workers: &Workers<'_>,
    ) -> Result<usize> {
        make(self, Removing::new(ids, missing), workers)
    }

    /// Sweeps all removed rows out and gives unused memory back.
    pub fn compact(&mut self, workers: &Workers<'_>) -> Result<()> {
        make(self, Removing::compacting(), workers).map(|_| ())
    }

    /// Whether so many rows would be hidden with `more` of them that a repair would follow.
    pub fn is_due(&self, more: usize) -> bool {
        let hidden = self.rows.len() - self.rows.staying() + more;
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
        self.base.to_mut().shrink_to_fit();
        self.upper.to_mut().shrink_to_fit();
        self.uppers.shrink();
        self.levels.to_mut().shrink_to_fit();
        self.parents.to_mut().shrink_to_fit();
        self.guards.shrink();
        self.dependants.shrink_to_fit();
    }
}
