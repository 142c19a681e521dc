//! The nearest rows seen so far, by their exact distances.

use std::collections::BinaryHeap;

use crate::index::hits::{Hit, NONE};
use crate::index::key;
use crate::index::rows::Rows;

/// Up to `kept` rows; the furthest is on top, the larger id above among equals.
pub struct Best {
    heap: BinaryHeap<(u32, i64)>,
    kept: usize,
}

impl Best {
    pub fn new(kept: usize) -> Self {
        Self {
            heap: BinaryHeap::new(),
            kept,
        }
    }

    /// Compares `query` with row `i`.
    #[inline(always)]
    pub fn offer(&mut self, rows: &Rows, query: &[f32], i: usize) {
        let distance = rows.distance(query, i);
        self.enter((key::ordered(rows.space.shown(distance)), rows.ids()[i]));
    }

    #[inline(always)]
    fn enter(&mut self, candidate: (u32, i64)) {
        if self.heap.len() < self.kept {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }

    /// Takes over what another one found among other rows.
    pub fn merge(&mut self, hits: &[Hit]) {
        for hit in hits.iter().filter(|hit| hit.id != NONE.id) {
            self.enter((key::ordered(hit.distance), hit.id));
        }
    }

    /// The distance that a row must not exceed to enter, once there are `kept` rows.
    pub fn worst(&self) -> Option<f32> {
        let full = self.heap.len() == self.kept;
        let worst = self.heap.peek().filter(|_| full);
        worst.map(|&(distance, _)| key::distance(distance))
    }

    /// Writes the rows to the first of `places`, nearest first.
    pub fn write(self, places: &mut [Hit]) {
        for (place, (distance, id)) in places.iter_mut().zip(self.heap.into_sorted_vec()) {
            *place = Hit {
                distance: key::distance(distance),
                id,
            };
        }
    }
}
