//! Rows that go: hidden first, then swept out, so that row numbers stay dense.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::index::bitmap::Bitmap;
use crate::index::room;
use crate::index::rows::{Lookup, Rows};

/// What to do about ids that are stored already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Fail: all must be new.
    Refuse,
    /// Put the new vectors in the place of the old ones.
    Replace,
    /// As [`Existing::Replace`], and fail where an id is not stored.
    Require,
}

/// What to do about ids that are not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Refuse,
    Ignore,
}

/// A row that takes the number of one that went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    pub from: u32,
    pub to: u32,
}

pub(super) fn unknown(id: i64) -> Error {
    Error::invalid("ids", format!("holds {id}, which is not in the index"))
}

impl Rows {
    /// Rows that users see: neither pending nor hidden.
    pub fn live(&self) -> usize {
        self.visible() - self.hidden.count()
    }

    #[inline(always)]
    pub fn is_live(&self, row: usize) -> bool {
        row < self.visible() && !self.is_hidden(row)
    }

    #[inline(always)]
    pub fn is_hidden(&self, row: usize) -> bool {
        self.hidden.count() > 0 && self.hidden.contains(row)
    }

    /// The live rows, or nothing where all that are not pending live.
    pub fn live_rows(&self) -> Option<Bitmap> {
        if self.hidden.count() == 0 {
            return None;
        }
        let mut live = Bitmap::new(self.visible());
        for row in (0..self.visible()).filter(|&row| self.is_live(row)) {
            live.insert(row);
        }
        Some(live)
    }

    /// Whether a row, which may be pending, will be there after the change under way.
    #[inline(always)]
    pub fn stays(&self, row: usize) -> bool {
        !self.is_hidden(row) && (self.leaving.count() == 0 || !self.leaving.contains(row))
    }

    /// How many rows stay.
    pub fn staying(&self) -> usize {
        self.len() - self.hidden.count() - self.leaving.count()
    }

    /// Lets live rows leave when [`Rows::show`] ends the change under way.
    pub fn leave(&mut self, rows: &[usize]) {
        self.leaving.resize(self.len());
        rows.iter().for_each(|&row| _ = self.leaving.insert(row));
    }

    /// Undoes [`Rows::leave`].
    pub fn stay(&mut self) {
        self.leaving = Bitmap::default();
    }

    /// Takes a row's id from it. Its vector stays for those who know its number.
    pub fn hide(&mut self, row: usize) {
        if self.hidden.insert(row) {
            self.lookup.remove(self.ids[row]);
        }
    }

    /// The ids of live rows, in the order of their numbers.
    pub fn live_ids(&self) -> Vec<i64> {
        let live = self.ids[..self.visible()].iter().enumerate();
        live.filter(|(i, _)| self.is_live(*i))
            .map(|(_, &id)| id)
            .collect()
    }

    /// The largest id there ever was, or -1.
    pub fn largest_id(&self) -> i64 {
        self.largest_id
    }

    pub(super) fn hidden_words(&self) -> &[u64] {
        match self.hidden.count() {
            0 => &[],
            _ => &self.hidden.words()[..self.visible().div_ceil(64)],
        }
    }

    /// The numbers of the rows with these ids, each given once.
    pub fn numbers_of(&self, ids: &[i64], missing: Missing) -> Result<Vec<usize>> {
        let mut seen = HashMap::with_capacity(ids.len());
        let mut numbers = Vec::with_capacity(ids.len());
        for (position, &id) in ids.iter().enumerate() {
            let Some(number) = self.number(id) else {
                match missing {
                    Missing::Refuse => return Err(unknown(id)),
                    Missing::Ignore => continue,
                }
            };
            match (seen.insert(id, position), missing) {
                (None, _) => numbers.push(number),
                (Some(_), Missing::Ignore) => {}
                (Some(first), Missing::Refuse) => {
                    return Err(Error::RepeatedId {
                        id,
                        first,
                        second: position,
                    });
                }
            }
        }
        Ok(numbers)
    }

    /// Those of `ids` that are stored, and their vectors as they were added.
    pub fn pick(&self, ids: &[i64]) -> (Vec<i64>, Vec<f32>) {
        let stored = ids.iter().copied().filter(|&id| self.number(id).is_some());
        let stored: Vec<i64> = stored.collect();
        let mut values = Vec::with_capacity(stored.len() * self.space.dim);
        for number in stored.iter().filter_map(|&id| self.number(id)) {
            self.extend_with_original(&mut values, number);
        }
        (stored, values)
    }

    /// Which rows move when the others go: the last that stay, to the freed numbers.
    pub fn moves(&self) -> Vec<Move> {
        let staying = self.staying();
        let mut gone: Vec<usize> = self.hidden.rows().chain(self.leaving.rows()).collect();
        gone.sort_unstable();
        let freed = gone.into_iter().take_while(|&row| row < staying);
        let last = (staying..self.len()).filter(|&row| self.stays(row));
        last.zip(freed)
            .map(|(from, to)| Move {
                from: from as u32,
                to: to as u32,
            })
            .collect()
    }

    /// What [`Rows::sweep`] wants beside the moves.
    pub fn lookup_after(&self, moves: &[Move]) -> Result<Option<Lookup>> {
        if moves.is_empty() {
            return Ok(None);
        }
        self.lookup.moved(|| {
            let mut ids = self.ids[..self.staying()].to_vec();
            for step in moves {
                ids[step.to as usize] = self.ids[step.from as usize];
            }
            ids
        })
    }

    /// Carries out [`Rows::moves`] and forgets the hidden rows. No row may be pending. `lookup` is
    /// left with the one that is replaced.
    pub fn sweep(&mut self, moves: &[Move], lookup: &mut Option<Lookup>) {
        let live = self.live();
        room::swap(&mut self.lookup, lookup);
        for &Move { from, to } in moves {
            let (from, to) = (from as usize, to as usize);
            self.vectors.copy_row(from, to);
            if let Some(codes) = &mut self.coding.codes {
                codes.copy_row(from, to);
            }
            if !self.norms.is_empty() {
                self.norms[to] = self.norms[from];
            }
            self.ids[to] = self.ids[from];
            self.lookup.set(self.ids[to], to);
        }
        self.lookup.truncate(live, &[]);
        self.ids.to_mut().truncate(live);
        self.norms.to_mut().truncate(live);
        self.vectors.truncate(live);
        if let Some(codes) = &mut self.coding.codes {
            codes.truncate(live);
        }
        self.visible = live;
        self.hidden = Default::default();
        self.hidden.resize(live);
    }

    /// Gives unused memory back.
    pub fn shrink(&mut self) {
        self.vectors.shrink();
        if let Some(codes) = &mut self.coding.codes {
            codes.shrink();
        }
        self.norms.to_mut().shrink_to_fit();
        self.ids.to_mut().shrink_to_fit();
        self.lookup.shrink();
    }
}
