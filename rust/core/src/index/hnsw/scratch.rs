//! Working memory of a walk, kept from one to the next.

use std::sync::{Mutex, MutexGuard};

use crate::index::codes::{Query, Work};
use crate::index::key;
use crate::index::rows::MAX_ROWS;

use super::select::Measure;
use crate::index::candidate::Candidate;

/// A candidate that may have been expanded already: its distance's bits, its number, and one bit
/// that tells. Entries order as candidates do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry(u64);

const _: () = assert!(MAX_ROWS < 1 << 31);

impl Entry {
    /// A candidate that has not been expanded.
    #[inline(always)]
    pub fn new(distance: f32, node: u32) -> Self {
        Self(u64::from(key::ordered(distance)) << 32 | u64::from(node) << 1)
    }

    #[inline(always)]
    pub fn node(self) -> u32 {
        self.0 as u32 >> 1
    }

    #[inline(always)]
    pub fn distance(self) -> f32 {
        key::distance((self.0 >> 32) as u32)
    }

    #[inline(always)]
    pub fn candidate(self) -> Candidate {
        Candidate::new(self.distance(), self.node())
    }

    #[inline(always)]
    pub fn is_expanded(self) -> bool {
        self.0 & 1 == 1
    }

    #[inline(always)]
    pub fn expand(&mut self) {
        self.0 |= 1;
    }
}

/// What one walk needs.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The walk that last saw a row.
    visited: Vec<u8>,
    epoch: u8,
    /// The nearest rows seen, nearest first.
    pub pool: Vec<Entry>,
    /// Neighbours not yet seen.
    pub fresh: Vec<u32>,
    /// Their distances.
    pub distances: Vec<f32>,
    /// The code of what is searched for, where rows have codes.
    pub query: Query,
    /// What encoding it needs.
    pub work: Work,
    /// For distances between rows.
    pub measure: Measure,
}

impl Scratch {
    /// Forgets what was seen, for a graph of `rows` rows.
    pub fn start(&mut self, rows: usize) {
        self.pool.clear();
        if self.visited.len() < rows {
            self.visited.resize(rows.next_power_of_two(), 0);
        }
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.visited.fill(0);
            self.epoch = 1;
        }
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.visited.capacity()
            + self.pool.capacity() * size_of::<Entry>()
            + self.fresh.capacity() * size_of::<u32>()
            + self.distances.capacity() * size_of::<f32>()
            + self.query.bytes()
            + self.work.bytes()
            + self.measure.bytes()
    }

    /// Marks a row as seen; false if it was.
    #[inline(always)]
    pub fn see(&mut self, node: u32) -> bool {
        let mark = &mut self.visited[node as usize];
        let fresh = *mark != self.epoch;
        *mark = self.epoch;
        fresh
    }
}

/// Scratches at rest, each behind a lock of its own.
#[derive(Debug)]
pub struct Scratches<S = Scratch>([Mutex<Option<S>>; KEPT]);

/// Scratches kept at rest; more threads than this allocate.
const KEPT: usize = 64;

impl<S> Default for Scratches<S> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(None)))
    }
}

impl<S: Default> Scratches<S> {
    /// Calls `with` with a scratch.
    ///
    /// Never waits: a lock held by another thread when this process was forked is never released.
    pub fn with<R>(&self, with: impl FnOnce(&mut S) -> R) -> R {
        let rested = self.free().find_map(|mut place| place.take());
        let mut scratch = rested.unwrap_or_default();
        let result = with(&mut scratch);
        if let Some(mut place) = self.free().find(|place| place.is_none()) {
            *place = Some(scratch);
        }
        result
    }

    /// Bytes that those at rest hold, `of` each.
    pub fn bytes(&self, of: impl Fn(&S) -> usize) -> usize {
        self.free()
            .filter_map(|place| place.as_ref().map(&of))
            .sum()
    }

    /// The places that nobody holds at the moment.
    fn free(&self) -> impl Iterator<Item = MutexGuard<'_, Option<S>>> {
        self.0.iter().filter_map(|place| place.try_lock().ok())
    }
}
