//! The rows whose links to others are kept because walks did not find those otherwise.

use std::collections::HashMap;

use crate::index::bitmap::Bitmap;
use crate::index::memory::table;

use super::graph::EMPTY;

/// The guards of the rows that have one: few do. Pruning asks for every link, so that a bit tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Guards {
    guarded: Bitmap,
    by_row: HashMap<u32, u32>,
}

impl Guards {
    /// From each row's guard, or [`EMPTY`].
    pub fn of(guards: &[u32]) -> Self {
        let mut all = Self::default();
        all.resize(guards.len());
        for (row, &guard) in (0..).zip(guards) {
            if guard != EMPTY {
                all.set(row, guard);
            }
        }
        all
    }

    /// Each row's guard, or [`EMPTY`].
    pub fn all(&self) -> Vec<u32> {
        let rows = 0..self.guarded.len() as u32;
        rows.map(|row| self.get(row)).collect()
    }

    /// The guard of a row, or [`EMPTY`].
    #[inline(always)]
    pub fn get(&self, row: u32) -> u32 {
        match self.guarded.contains(row as usize) {
            true => self.look_up(row),
            false => EMPTY,
        }
    }

    #[cold]
    fn look_up(&self, row: u32) -> u32 {
        self.by_row.get(&row).copied().unwrap_or(EMPTY)
    }

    /// Gives a row a guard and returns the one it had, or [`EMPTY`].
    pub fn set(&mut self, row: u32, guard: u32) -> u32 {
        self.guarded.insert(row as usize);
        self.by_row.insert(row, guard).unwrap_or(EMPTY)
    }

    /// The guards of the rows from number `from` on that have one, in any order.
    pub fn values(&self, from: usize) -> impl Iterator<Item = u32> + '_ {
        let all = self.by_row.iter();
        all.filter(move |&(&row, _)| row as usize >= from)
            .map(|(_, &guard)| guard)
    }

    /// Changes how many rows there are; new ones have none.
    pub fn resize(&mut self, rows: usize) {
        if rows < self.guarded.len() {
            self.by_row.retain(|&row, _| (row as usize) < rows);
        }
        self.guarded.resize(rows);
    }

    /// Gives unused memory back.
    pub fn shrink(&mut self) {
        self.by_row.shrink_to_fit();
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.guarded.words()) + table(&self.by_row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_was_set() {
        let mut guards = Guards::of(&[EMPTY, 0, EMPTY, 2]);
        assert_eq!(guards.set(1, 3), 0);
        assert_eq!(guards.set(0, 2), EMPTY);
        guards.resize(70);
        assert_eq!(guards.set(69, 1), EMPTY);
        assert_eq!(guards.all().len(), 70);
        assert_eq!(guards.all()[..5], [2, 3, EMPTY, 2, EMPTY]);
        let mut last: Vec<u32> = guards.values(3).collect();
        last.sort_unstable();
        assert_eq!(last, [1, 2]);
        guards.resize(3);
        guards.resize(4);
        assert_eq!(guards.all(), [2, 3, EMPTY, EMPTY]);
        assert_eq!(guards.values(0).count(), 2);
    }
}
