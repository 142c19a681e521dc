//! One anchor's search: what it keeps of the similarities that pass by, and what it makes of it.

use std::collections::HashMap;

use super::Strategy;
use super::best::{Best, Scored, order};
use super::draw::uniform;
use super::eligible::Eligible;
use super::ground::Keeper;
use super::question::{Question, Settings, Skip};
use super::weighted::Reservoir;
use crate::real::Real;
use crate::rng::Stream;

/// What one anchor keeps of the similarities that pass by.
pub(super) struct Search<'a, T> {
    eligible: Eligible<'a>,
    skip: usize,
    /// The most similar: those passed over, then those that may be taken.
    top: Best,
    /// The most similar within the semi-hard bounds.
    semi_hard: Best,
    bounds: (T, T),
    weighted: Reservoir,
}

impl<'a, T: Real> Search<'a, T> {
    /// `upper` is the positive's similarity, minus infinity where there is none.
    pub fn new(
        question: &Question<'a, T>,
        settings: &Settings,
        sizes: &HashMap<i64, usize>,
        anchor: usize,
        upper: T,
    ) -> Self {
        let Settings {
            strategy,
            k,
            skip,
            hard_share,
            alpha,
            margin,
            seed,
            ..
        } = *settings;
        let eligible = Eligible::new(question, sizes, anchor);
        let count = eligible.count();
        let skip = match skip {
            Skip::Count(rows) => rows.min(count),
            Skip::Share(share) => ((share * count as f64) as usize).min(count),
        };
        let with_band = |rows: usize| (skip + rows.min(count)).min(count);
        let top = match strategy {
            Strategy::Hardest | Strategy::SemiHard => with_band(k),
            Strategy::Mixed => with_band((hard_share * k as f64).round() as usize),
            Strategy::Random | Strategy::DistanceWeighted => skip,
        };
        let only = |wanted: Strategy| {
            if strategy == wanted { with_band(k) } else { 0 }
        };
        Self {
            skip,
            top: Best::new(top),
            semi_hard: Best::new(only(Strategy::SemiHard)),
            bounds: (upper - T::of(margin), upper),
            weighted: Reservoir::new(
                Stream::new(seed, anchor as u64),
                alpha,
                only(Strategy::DistanceWeighted),
            ),
            eligible,
        }
    }

    /// The negatives; `similarity` is that of a pool row to the anchor.
    pub fn choose(
        self,
        settings: &Settings,
        anchor: usize,
        similarity: impl Fn(u32) -> f64,
    ) -> Vec<Scored> {
        let top = self.top.into_sorted();
        let (band, rest) = top.split_at(self.skip.min(top.len()));
        let mut chosen = rest.to_vec();
        let outside = |candidate: &Scored| {
            band.last()
                .is_none_or(|last| order(candidate, last).is_gt())
        };
        match settings.strategy {
            Strategy::Hardest => {}
            Strategy::SemiHard => {
                let (above, below) = (self.bounds.0.wide(), self.bounds.1.wide());
                let within = |c: &Scored| c.score > above && c.score < below;
                let filling: Vec<_> = chosen.into_iter().filter(|c| !within(c)).collect();
                chosen = self.semi_hard.into_sorted();
                chosen.retain(outside);
                // Filling is needed only where every semi-hard row is already chosen.
                chosen.extend(filling);
            }
            Strategy::DistanceWeighted => {
                chosen = self.weighted.into_drawn().filter(outside).collect();
            }
            Strategy::Mixed | Strategy::Random => {
                let taken: Vec<u32> = top.iter().map(|c| c.row).collect();
                let mut stream = Stream::new(settings.seed, anchor as u64);
                let wanted = settings.k - chosen.len();
                let drawn = uniform(&mut stream, &self.eligible, &taken, wanted);
                chosen.extend(drawn.into_iter().map(|row| Scored {
                    score: similarity(row),
                    row,
                }));
            }
        }
        chosen.truncate(settings.k);
        chosen
    }
}

impl<T: Real> Keeper<T> for Search<'_, T> {
    fn needs_scores(&self) -> bool {
        !(self.top.is_closed() && self.weighted.is_closed())
    }

    fn threshold(&self) -> f64 {
        self.top.threshold()
    }

    fn capacity(&self) -> usize {
        self.top.capacity()
    }

    fn may_have(&self, row: u32) -> bool {
        self.eligible.contains(row)
    }

    fn offer_row(&mut self, row: u32, score: T) {
        self.top.offer_row(row, score.wide());
    }

    fn offer(&mut self, start: usize, scores: &[T]) {
        let everything = (T::neg_infinity(), T::infinity());
        let (eligible, bounds) = (&self.eligible, self.bounds);
        self.top
            .offer(eligible, start, scores, everything.0, everything.1);
        self.semi_hard
            .offer(eligible, start, scores, bounds.0, bounds.1);
        self.weighted.offer(eligible, start, scores);
    }
}
