//! Adding rows in steps.

use std::ops::Range;

use crate::error::Result;
use crate::index::changes::Existing;
use crate::index::rows::Room;
use crate::index::shared::Change;
use crate::matrix::Matrix;
use crate::pool::Workers;

use super::Flat;

/// Rows appended in one step.
pub const CHUNK: usize = 1024;

/// Vectors on their way into an index.
pub struct Adding<'a> {
    vectors: Matrix<'a, f32>,
    wanted: Option<&'a [i64]>,
    existing: Existing,
    /// Once the vectors are admitted.
    ids: Option<Vec<i64>>,
    /// The number of the first.
    first: usize,
}

pub enum Step {
    /// Room, and the rows to be replaced.
    Room(Box<Room>, Vec<usize>),
    Append(Range<usize>),
}

impl<'a> Adding<'a> {
    /// Without ids they continue from the largest one.
    pub fn new(vectors: Matrix<'a, f32>, ids: Option<&'a [i64]>) -> Self {
        Self {
            vectors,
            wanted: ids,
            existing: Existing::Refuse,
            ids: None,
            first: 0,
        }
    }

    /// What to do about ids that are stored already, instead of refusing them.
    pub fn over(self, existing: Existing) -> Self {
        Self { existing, ..self }
    }
}

impl Change<Flat> for Adding<'_> {
    type Step = Step;
    /// The vectors' ids.
    type Done = Vec<i64>;

    fn plan(&mut self, index: &Flat, workers: &Workers<'_>) -> Result<Option<Step>> {
        workers.check()?;
        if self.ids.is_none() {
            let ids = index
                .rows
                .admit(self.vectors, self.wanted, self.existing, workers)?;
            let replaced = ids.iter().filter_map(|&id| index.rows.number(id)).collect();
            let room = index.rows.room(&ids)?;
            self.ids = Some(ids);
            self.first = index.rows.len();
            return Ok(Some(Step::Room(Box::new(room), replaced)));
        }
        let start = index.rows.len() - self.first;
        let end = self.vectors.rows().min(start + CHUNK);
        Ok((start < end).then_some(Step::Append(start..end)))
    }

    fn apply(&mut self, index: &mut Flat, step: &mut Step) -> Result<()> {
        match step {
            Step::Room(room, replaced) => {
                index.rows.make_room(room);
                index.rows.leave(replaced);
            }
            Step::Append(range) => {
                let ids = self.ids.as_deref().unwrap_or_default();
                let vectors = self.vectors.slice(range.start, range.end);
                index.rows.put(vectors, &ids[range.clone()])?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, index: &mut Flat) -> Vec<i64> {
        index.rows.show();
        // What is replaced has made the lookup one that follows.
        index.sweep(&mut None);
        self.ids.take().unwrap_or_default()
    }

    fn undo(&mut self, index: &mut Flat) {
        if self.ids.is_some() {
            index.rows.truncate(self.first);
        }
    }
}
