//! The k nearest rows by comparing with all of them.

use std::collections::BinaryHeap;

use super::Flat;
use crate::error::Result;
use crate::index::hits::{Hit, Hits};
use crate::index::key;
use crate::index::lines::Lines;
use crate::index::rows::Rows;
use crate::matrix::Matrix;
use crate::pool::Workers;

/// Queries that pass over the rows together, so that a row read once serves all of them.
const QUERIES: usize = 16;

/// Rows between two looks at whether to stop.
const BLOCK: usize = 4096;

impl Flat {
    /// The `k` nearest rows of every query.
    pub fn search(
        &self,
        queries: Matrix<'_, f32>,
        k: usize,
        workers: &Workers<'_>,
    ) -> Result<Hits> {
        let prepared = self.rows.space.prepare(queries)?;
        Hits::collect(queries.rows(), k, QUERIES, workers, |range, places| {
            nearest(&self.rows, &prepared, range, places, workers)
        })
    }
}

/// Fills the `k` places of each query in `range` with its nearest rows.
pub fn nearest(
    rows: &Rows,
    queries: &Lines,
    range: std::ops::Range<usize>,
    places: &mut [Hit],
    workers: &Workers<'_>,
) -> Result<()> {
    let k = places.len() / range.len().max(1);
    let kept = k.min(rows.live());
    let ids = rows.ids();
    // The furthest kept is on top, the larger id above among equals.
    let mut heaps: Vec<BinaryHeap<(u32, i64)>> = range.clone().map(|_| BinaryHeap::new()).collect();
    for block in (0..rows.len()).step_by(BLOCK) {
        workers.check()?;
        for (i, &id) in (block..).zip(&ids[block..rows.len().min(block + BLOCK)]) {
            if !rows.is_live(i) {
                continue;
            }
            let row = rows.stored(i);
            for (heap, query) in heaps.iter_mut().zip(range.clone()) {
                let distance = rows.space.distance(queries.row(query), row);
                let candidate = (key::ordered(rows.space.shown(distance)), id);
                if heap.len() < kept {
                    heap.push(candidate);
                } else if let Some(mut worst) = heap.peek_mut()
                    && candidate < *worst
                {
                    *worst = candidate;
                }
            }
        }
    }
    for (heap, places) in heaps.into_iter().zip(places.chunks_mut(k)) {
        for (place, (distance, id)) in places.iter_mut().zip(heap.into_sorted_vec()) {
            *place = Hit {
                distance: key::distance(distance),
                id,
            };
        }
    }
    Ok(())
}
