//! The most similar of the nodes that pass by.

use std::cmp::Ordering;

use crate::real::Real;
use crate::simd::{Elementwise, elementwise};

/// A node and its similarity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Similar<T> {
    pub score: T,
    pub node: u32,
}

/// Most similar first, ties by node.
fn order<T: Real>(a: &Similar<T>, b: &Similar<T>) -> Ordering {
    let by_score = b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal);
    by_score.then(a.node.cmp(&b.node))
}

/// Nodes of a word, and words whose largest scores are found together.
const WORD: usize = 64;
const WORDS: usize = 16;

/// The largest score of each word.
struct Largest<'a, T>(&'a [T]);

impl<T: Real> Elementwise for Largest<'_, T> {
    type Output = [T; WORDS];

    #[inline(always)]
    fn run(self) -> [T; WORDS] {
        const LANES: usize = 16;
        let larger = |a: T, b: &T| if *b > a { *b } else { a };
        let mut largest = [T::neg_infinity(); WORDS];
        for (largest, scores) in largest.iter_mut().zip(self.0.chunks(WORD)) {
            let mut lanes = [T::neg_infinity(); LANES];
            let (blocks, rest) = scores.as_chunks::<LANES>();
            for block in blocks {
                for (lane, score) in lanes.iter_mut().zip(block) {
                    *lane = larger(*lane, score);
                }
            }
            let most = rest.iter().fold(T::neg_infinity(), larger);
            *largest = lanes.iter().fold(most, larger);
        }
        largest
    }
}

/// Keeps the `capacity` most similar. Takes up to twice as many before it selects.
pub(super) struct Shortlist<T> {
    kept: Vec<Similar<T>>,
    capacity: usize,
    threshold: T,
}

impl<T: Real> Shortlist<T> {
    pub fn new(capacity: usize) -> Self {
        Self {
            kept: Vec::new(),
            capacity,
            threshold: if capacity == 0 {
                T::infinity()
            } else {
                T::neg_infinity()
            },
        }
    }

    /// Nodes must come in rising order: of equal scores the first stays.
    #[inline]
    pub fn offer(&mut self, node: u32, score: T) {
        if score > self.threshold {
            self.push(Similar { score, node });
        }
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// What a score must exceed to be kept.
    pub fn threshold(&self) -> T {
        self.threshold
    }

    /// Takes the allowed of the nodes from `start` on, 64 of them a word of `allowed`.
    pub fn offer_tile(&mut self, start: usize, scores: &[T], allowed: &[u64]) {
        let runs = scores.chunks(WORDS * WORD).zip(allowed.chunks(WORDS));
        for (r, (scores, allowed)) in runs.enumerate() {
            let largest = elementwise(Largest(scores));
            for (i, (scores, &word)) in scores.chunks(WORD).zip(allowed).enumerate() {
                let mut word = word;
                if word == 0 || largest[i] <= self.threshold {
                    continue;
                }
                while word != 0 {
                    let bit = word.trailing_zeros() as usize;
                    word &= word - 1;
                    let node = start + (r * WORDS + i) * WORD + bit;
                    self.offer(node as u32, scores[bit]);
                }
            }
        }
    }

    fn push(&mut self, candidate: Similar<T>) {
        self.kept.push(candidate);
        let first = self.threshold == T::neg_infinity() && self.kept.len() == self.capacity;
        if first || self.kept.len() >= 2 * self.capacity.max(32) {
            self.select();
        }
    }

    fn select(&mut self) {
        if self.kept.len() < self.capacity || self.capacity == 0 {
            return;
        }
        let (_, last, _) = self.kept.select_nth_unstable_by(self.capacity - 1, order);
        self.threshold = last.score;
        self.kept.truncate(self.capacity);
    }

    /// What was kept, most similar first.
    pub fn into_sorted(mut self) -> Vec<Similar<T>> {
        self.select();
        self.kept.sort_unstable_by(order);
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn a_tile_gives_what_a_full_sort_gives() {
        let mut stream = Stream::new(5, 0);
        for capacity in [0, 1, 5, 40, 300] {
            for nodes in [1usize, 63, 200, 256] {
                let scores: Vec<f32> = (0..nodes).map(|_| stream.below(30) as f32).collect();
                let words = nodes.div_ceil(64);
                let mut allowed: Vec<u64> = (0..words).map(|_| stream.next_u64()).collect();
                if nodes % 64 != 0 {
                    allowed[words - 1] &= !0 >> (64 - nodes % 64);
                }
                let mut expected: Vec<_> = (0..nodes)
                    .filter(|i| allowed[i / 64] >> (i % 64) & 1 == 1)
                    .map(|i| Similar {
                        score: scores[i],
                        node: i as u32,
                    })
                    .collect();
                expected.sort_by(order);
                expected.truncate(capacity);
                let mut list = Shortlist::new(capacity);
                list.offer_tile(0, &scores, &allowed);
                assert_eq!(list.into_sorted(), expected);
            }
        }
    }
}
