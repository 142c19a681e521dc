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
}

impl Nearest {
    pub fn start(&mut self, size: usize, spare: usize) {
        self.entries.clear();
        (self.size, self.spare) = (size, spare);
        self.cursor = 0;
    }

    /// Makes room for up to `size` to expand.
    pub fn widen(&mut self, size: usize) {
        self.size = self.size.max(size);
    }

    /// Whether there are as many as are expanded.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.size
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
        if self.entries.len() >= self.size + self.spare {
            if self.entries.last().is_none_or(|last| candidate >= last.0) {
                return;
            }
            self.entries.pop();
        }
        let position = self.entries.partition_point(|entry| entry.0 < candidate);
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
