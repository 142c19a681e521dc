//! Draws without replacement with probability ∝ exp(α · similarity), from one pass over scores.
//!
//! Taking the largest of `α · s + G`, G standard Gumbel, is such a draw (Gumbel-top-k; Kool et
//! al. 2019), but a random number for every score costs more than the scores. Once enough keys
//! are held, a score's key beats the threshold with probability `1 - exp(-exp(α · s - threshold))`:
//! that of at least one arrival of a Poisson process of this rate. The process of a whole run of
//! scores is thinned from one at the rate of its largest score (Lewis and Shedler 1979), so that
//! random numbers are drawn for the few proposals alone. The outcome has the same law.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::best::{RUN, Scored, largest_below, order};
use super::eligible::Eligible;
use crate::real::Real;
use crate::rng::Stream;

/// Proposals a score above which each score is drawn on its own: thinning would propose more.
const DENSE: f64 = 0.25;

/// A row with its key; the greatest is the one to give up first.
struct Keyed {
    key: Scored,
    similarity: f64,
}

impl Ord for Keyed {
    fn cmp(&self, other: &Self) -> Ordering {
        order(&self.key, &other.key)
    }
}

impl PartialOrd for Keyed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Keyed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Keyed {}

/// The rows of the largest keys so far.
pub(super) struct Reservoir {
    stream: Stream,
    alpha: f64,
    capacity: usize,
    held: BinaryHeap<Keyed>,
}

/// A draw from the exponential distribution of rate 1.
fn exponential(stream: &mut Stream) -> f64 {
    -(-stream.uniform()).ln_1p()
}

impl Reservoir {
    pub fn new(stream: Stream, alpha: f64, capacity: usize) -> Self {
        Self {
            stream,
            alpha,
            capacity,
            held: BinaryHeap::new(),
        }
    }

    /// Whether nothing can be drawn.
    pub fn is_closed(&self) -> bool {
        self.capacity == 0
    }

    /// The smallest key held, once there are enough.
    fn threshold(&self) -> Option<f64> {
        if self.held.len() < self.capacity {
            return None;
        }
        self.held.peek().map(|last| last.key.score)
    }

    fn hold(&mut self, key: f64, row: u32, similarity: f64) {
        if self.held.len() == self.capacity {
            self.held.pop();
        }
        self.held.push(Keyed {
            key: Scored { score: key, row },
            similarity,
        });
    }

    /// Takes the scores of pool rows `start..`.
    pub fn offer<T: Real>(&mut self, eligible: &Eligible<'_>, start: usize, scores: &[T]) {
        if self.capacity == 0 {
            return;
        }
        for (i, run) in scores.chunks(RUN).enumerate() {
            self.offer_run(eligible, start + i * RUN, run);
        }
    }

    fn offer_run<T: Real>(&mut self, eligible: &Eligible<'_>, start: usize, scores: &[T]) {
        let mut bound = f64::NAN;
        let mut at = 0;
        while at < scores.len() {
            if let Some(threshold) = self.threshold() {
                if bound.is_nan() {
                    bound = self.alpha * self.extreme(&scores[at..]);
                }
                if (bound - threshold).exp() < DENSE {
                    return self.thin(eligible, start, scores, at, bound);
                }
            }
            self.offer_one(eligible, (start + at) as u32, scores[at].wide());
            at += 1;
        }
    }

    /// The score of the largest key to be expected.
    fn extreme<T: Real>(&self, scores: &[T]) -> f64 {
        if self.alpha >= 0.0 {
            return largest_below(scores, T::infinity()).wide();
        }
        scores.iter().fold(f64::INFINITY, |a, b| a.min(b.wide()))
    }

    /// Draws one row's key outright.
    fn offer_one(&mut self, eligible: &Eligible<'_>, row: u32, similarity: f64) {
        if !eligible.contains(row) {
            return;
        }
        let gumbel = -exponential(&mut self.stream).ln();
        let key = self.alpha * similarity + gumbel;
        if self.threshold().is_none_or(|threshold| key > threshold) {
            self.hold(key, row, similarity);
        }
    }

    /// Draws from position `at` on, where few of the scores will do. Thresholds only rise, so
    /// from here on ever fewer will.
    fn thin<T: Real>(
        &mut self,
        eligible: &Eligible<'_>,
        start: usize,
        scores: &[T],
        at: usize,
        bound: f64,
    ) {
        let mut place = at as f64;
        while let Some(threshold) = self.threshold() {
            place += exponential(&mut self.stream) / (bound - threshold).exp();
            let item = place as usize;
            // A rate of 0 leaves an infinite place, or none at all.
            if item >= scores.len() || place.is_nan() {
                return;
            }
            let row = (start + item) as u32;
            let similarity = scores[item].wide();
            let level = self.alpha * similarity;
            if self.stream.uniform() < (level - bound).exp() && eligible.contains(row) {
                let key = threshold + self.excess(level - threshold);
                self.hold(key, row, similarity);
                place = (item + 1) as f64;
            }
        }
    }

    /// How far a key lies above the threshold, given that it does: -ln of the first arrival
    /// before time 1 of a process of rate `exp(log_rate)`.
    fn excess(&mut self, log_rate: f64) -> f64 {
        let uniform = self.stream.uniform();
        log_rate - (-(uniform * (-log_rate.exp()).exp_m1()).ln_1p()).ln()
    }

    /// Rows with their similarities, in the order of the draw.
    pub fn into_drawn(self) -> impl Iterator<Item = Scored> {
        self.held.into_sorted_vec().into_iter().map(|held| Scored {
            score: held.similarity,
            row: held.key.row,
        })
    }
}
