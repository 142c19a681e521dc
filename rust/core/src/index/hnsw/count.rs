//! Counting what a walk does, at no cost where nobody counts.

use std::cell::Cell;

use super::Hnsw;
use super::walk::Walk;

/// Told of each step of a walk.
pub trait Count: Copy {
    /// A row's neighbours are looked at.
    fn hop(self);
    /// `rows` distances are computed, by codes where there are any.
    fn compare(self, rows: usize);
    /// `rows` distances that codes gave are computed again, from the vectors.
    fn measure(self, rows: usize);
}

/// Counts nothing.
#[derive(Clone, Copy, Debug)]
pub struct Uncounted;

impl Count for Uncounted {
    #[inline(always)]
    fn hop(self) {}

    #[inline(always)]
    fn compare(self, _: usize) {}

    #[inline(always)]
    fn measure(self, _: usize) {}
}

/// What one query took.
#[derive(Debug, Default)]
pub struct Tally {
    pub hops: Cell<u64>,
    pub distances: Cell<u64>,
    pub remeasured: Cell<u64>,
}

impl Tally {
    /// Rows compared without a walk.
    pub fn scan(&self, rows: usize) {
        self.distances.set(self.distances.get() + rows as u64);
    }
}

impl Count for &Tally {
    fn hop(self) {
        self.hops.set(self.hops.get() + 1);
    }

    fn compare(self, rows: usize) {
        self.distances.set(self.distances.get() + rows as u64);
    }

    fn measure(self, rows: usize) {
        self.remeasured.set(self.remeasured.get() + rows as u64);
    }
}

impl Hnsw {
    /// A walk that tells `count` of its steps.
    pub(super) fn walk_counting<C: Count>(&self, count: C) -> Walk<'_, C> {
        Walk {
            rows: &self.rows,
            graph: &self.graph,
            count,
            exact: false,
            reach: usize::MAX,
            copies: usize::MAX,
        }
    }
}
