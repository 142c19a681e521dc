//! Working memory of a walk, kept from one to the next.

use std::sync::Mutex;

use super::candidate::Candidate;

/// A candidate that may have been expanded already.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub candidate: Candidate,
    pub expanded: bool,
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

/// Scratches at rest.
#[derive(Debug, Default)]
pub struct Scratches<S = Scratch>(Mutex<Vec<S>>);

/// Scratches kept at rest; more threads than this allocate.
const KEPT: usize = 64;

impl<S: Default> Scratches<S> {
    /// Calls `with` with a scratch.
    ///
    /// Never waits: a lock held by another thread when this process was forked is never released.
    pub fn with<R>(&self, with: impl FnOnce(&mut S) -> R) -> R {
        let rested = self.0.try_lock().ok().and_then(|mut rest| rest.pop());
        let mut scratch = rested.unwrap_or_default();
        let result = with(&mut scratch);
        if let Ok(mut rest) = self.0.try_lock()
            && rest.len() < KEPT
        {
            rest.push(scratch);
        }
        result
    }

    /// Bytes that those at rest hold, `of` each.
    pub fn bytes(&self, of: impl Fn(&S) -> usize) -> usize {
        let rest = self.0.try_lock();
        rest.map_or(0, |rest| rest.iter().map(of).sum())
    }
}
