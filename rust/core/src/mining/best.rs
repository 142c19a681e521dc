//! The largest of a stream of scores.

use std::cmp::Ordering;

use super::eligible::Eligible;
use crate::real::Real;
use crate::simd::{Elementwise, elementwise};

/// Scores that are passed over together when the largest of them will not do.
pub(super) const RUN: usize = 128;

/// A pool row and its score; for weighted draws the score is a random key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scored {
    pub score: f64,
    pub row: u32,
}

/// Largest score first, ties by row.
pub(super) fn order(a: &Scored, b: &Scored) -> Ordering {
    b.score.total_cmp(&a.score).then(a.row.cmp(&b.row))
}

struct LargestBelow<'a, T>(&'a [T], T);

impl<T: Real> Elementwise for LargestBelow<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run(self) -> T {
        const LANES: usize = 32;
        let Self(scores, limit) = self;
        let larger = |most: T, x: T| if x > most && x < limit { x } else { most };
        let mut lanes = [T::neg_infinity(); LANES];
        let (blocks, rest) = scores.as_chunks::<LANES>();
        for block in blocks {
            for (lane, &x) in lanes.iter_mut().zip(block) {
                *lane = larger(*lane, x);
            }
        }
        let most = rest.iter().fold(T::neg_infinity(), |a, &x| larger(a, x));
        lanes.into_iter().fold(most, larger)
    }
}

/// The largest score below `limit`, or minus infinity.
pub(super) fn largest_below<T: Real>(scores: &[T], limit: T) -> T {
    elementwise(LargestBelow(scores, limit))
}

/// Keeps the `capacity` first in [`order`].
///
/// Takes about twice as many before it selects, so that a value costs constant time on average.
pub(super) struct Best {
    kept: Vec<Scored>,
    capacity: usize,
    threshold: f64,
}

impl Best {
    pub fn new(capacity: usize) -> Self {
        Self {
            kept: Vec::new(),
            capacity,
            threshold: if capacity == 0 {
                f64::INFINITY
            } else {
                f64::NEG_INFINITY
            },
        }
    }

    /// Takes those scores of pool rows `start..` that are eligible and lie strictly between
    /// `above` and `below`. Rows must come in rising order.
    pub fn offer<T: Real>(
        &mut self,
        eligible: &Eligible<'_>,
        start: usize,
        scores: &[T],
        above: T,
        below: T,
    ) {
        for (i, run) in scores.chunks(RUN).enumerate() {
            if self.threshold >= largest_below(run, below).wide() {
                continue;
            }
            for (j, &score) in run.iter().enumerate() {
                let row = (start + i * RUN + j) as u32;
                if score > above
                    && score < below
                    && score.wide() > self.threshold
                    && eligible.contains(row)
                {
                    self.push(Scored {
                        score: score.wide(),
                        row,
                    });
                }
            }
        }
    }

    /// Takes an eligible row, if it is large enough. Rows must come in rising order.
    pub fn offer_row(&mut self, row: u32, score: f64) {
        if score > self.threshold {
            self.push(Scored { score, row });
        }
    }

    /// What a score must exceed to be kept.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether nothing can be kept.
    pub fn is_closed(&self) -> bool {
        self.capacity == 0
    }

    fn push(&mut self, candidate: Scored) {
        self.kept.push(candidate);
        // Selects as soon as it is full for the first time: from then on there is a threshold.
        let first = self.threshold == f64::NEG_INFINITY && self.kept.len() == self.capacity;
        if first || self.kept.len() >= self.capacity + self.capacity.max(16) {
            self.select();
        }
    }

    fn select(&mut self) {
        if self.kept.len() < self.capacity {
            return;
        }
        let (_, last, _) = self.kept.select_nth_unstable_by(self.capacity - 1, order);
        self.threshold = last.score;
        self.kept.truncate(self.capacity);
    }

    /// What was kept, in order.
    pub fn into_sorted(mut self) -> Vec<Scored> {
        if self.capacity > 0 {
            self.select();
        }
        self.kept.sort_unstable_by(order);
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn agrees_with_a_full_sort() {
        let mut stream = Stream::new(5, 0);
        for capacity in [0, 1, 2, 7, 40, 500] {
            let all: Vec<Scored> = (0..300)
                .map(|row| Scored {
                    // Few distinct scores, so that ties occur.
                    score: stream.below(40) as f64,
                    row,
                })
                .collect();
            let mut best = Best::new(capacity);
            for &candidate in &all {
                if candidate.score > best.threshold {
                    best.push(candidate);
                }
            }
            let mut sorted = all;
            sorted.sort_by(order);
            sorted.truncate(capacity);
            assert_eq!(best.into_sorted(), sorted);
        }
    }
}
