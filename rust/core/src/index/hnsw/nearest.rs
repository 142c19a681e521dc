//! The nearest rows a walk has seen, in order, and which of them it has yet to expand.

use crate::index::candidate::Candidate;

/// Candidates, nearest first: those to expand and some further ones.
#[derive(Debug, Default)]
pub struct Nearest {
    entries: Vec<(Candidate, bool)>,
    /// Those to expand at most.
    size: usize,
    /// How many more are kept.
    spare: usize,
    /// All before it are expanded.
    cursor: usize,
    /// Copies that were not let in.
    refused: usize,
}

impl Nearest {
    pub fn start(&mut self, size: usize, spare: usize) {
        self.entries.clear();
        (self.size, self.spare) = (size, spare);
        (self.cursor, self.refused) = (0, 0);
    }

    /// Makes room for up to `size` to expand.
    pub fn widen(&mut self, size: usize) {
        self.size = self.size.max(size);
    }

    /// Whether there are as many as are expanded.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.size
    }

    /// Whether there would be if copies had not been refused.
    pub fn would_be_full(&self) -> bool {
        self.entries.len() + self.refused >= self.size
    }

    /// Whether `candidate` would be expanded, as things are.
    #[inline(always)]
    pub fn admits(&self, candidate: Candidate) -> bool {
        let last = self.size.checked_sub(1);
        let last = last.and_then(|last| self.entries.get(last));
        last.is_none_or(|last| candidate < last.0)
    }

    /// Puts a candidate in its place; the furthest makes room.
    #[inline(always)]
    pub fn enter(&mut self, candidate: Candidate) {
        self.enter_unless(candidate, |_| false);
    }

    /// The same, but refuses one that is as far as another if `is_copied` says that there are as
    /// many equal rows as there may be.
    #[inline(always)]
    pub fn enter_unless(
        &mut self,
        candidate: Candidate,
        is_copied: impl Fn(&[(Candidate, bool)]) -> bool,
    ) {
        let is_filled = self.entries.len() >= self.size + self.spare;
        if is_filled && self.entries.last().is_none_or(|last| candidate >= last.0) {
            return;
        }
        let position = self.entries.partition_point(|entry| entry.0 < candidate);
        let ties = |at: usize| {
            let entry = self.entries.get(at);
            entry.is_some_and(|entry| entry.0.distance() == candidate.distance())
        };
        if (ties(position) || ties(position.wrapping_sub(1))) && is_copied(&self.entries) {
            self.refused += 1;
            return;
        }
        if is_filled {
            self.entries.pop();
        }
        self.entries.insert(position, (candidate, false));
        self.cursor = self.cursor.min(position);
    }

    /// The nearest that was not expanded.
    #[inline(always)]
    pub fn next(&mut self) -> Option<Candidate> {
        while self.cursor < self.size
            && let Some(&(candidate, expanded)) = self.entries.get(self.cursor)
        {
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
