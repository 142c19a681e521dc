//! The nearest rows a walk has seen, in order, and which of them it has yet to expand.

use crate::index::candidate::Candidate;

/// Up to `size` candidates, nearest first.
#[derive(Debug, Default)]
pub struct Nearest {
    entries: Vec<(Candidate, bool)>,
    size: usize,
    /// All before it are expanded.
    cursor: usize,
}

impl Nearest {
    pub fn start(&mut self, size: usize) {
        self.entries.clear();
        self.size = size;
        self.cursor = 0;
    }

    /// Makes room for up to `size`.
    pub fn widen(&mut self, size: usize) {
        self.size = self.size.max(size);
    }

    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.size
    }

    /// Whether `candidate` would be kept.
    #[inline(always)]
    pub fn admits(&self, candidate: Candidate) -> bool {
        !self.is_full() || self.entries.last().is_some_and(|last| candidate < last.0)
    }

    /// Puts a candidate in its place; the furthest makes room.
    #[inline(always)]
    pub fn enter(&mut self, candidate: Candidate) {
        if !self.admits(candidate) {
            return;
        }
        if self.is_full() {
            self.entries.pop();
        }
        let position = self.entries.partition_point(|entry| entry.0 < candidate);
        self.entries.insert(position, (candidate, false));
        self.cursor = self.cursor.min(position);
    }

    /// The nearest that was not expanded.
    #[inline(always)]
    pub fn next(&mut self) -> Option<Candidate> {
        while let Some(&(candidate, expanded)) = self.entries.get(self.cursor) {
            if !expanded {
                return Some(candidate);
            }
            self.cursor += 1;
        }
        None
    }

    /// Marks what [`Nearest::next`] gave as expanded.
    #[inline(always)]
    pub fn pass(&mut self) {
        if let Some(entry) = self.entries.get_mut(self.cursor) {
            entry.1 = true;
        }
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(Candidate, bool)>()
    }

    pub fn candidates(&self) -> impl Iterator<Item = Candidate> + '_ {
        self.entries.iter().map(|entry| entry.0)
    }
}
