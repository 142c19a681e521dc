//! The k nearest rows by comparing with all of them.

use std::ops::Range;

use super::Flat;
use super::best::Best;
use super::numbers::Numbers;
use super::{direct, product};
use crate::error::Result;
use crate::index::bitmap::Bitmap;
use crate::index::hits::{Hit, Hits, NONE};
use crate::index::lines::Lines;
use crate::index::rows::Rows;
use crate::matrix::Matrix;
use crate::pool::Workers;

/// Multiplications that are worth another thread.
const WORK: usize = 1 << 20;

/// Results that threads with parts of the rows may keep until they are merged.
const MERGED: usize = 1 << 17;

impl Flat {
    /// The `k` nearest rows of every query.
    pub fn search(
        &self,
        queries: Matrix<'_, f32>,
        k: usize,
        workers: &Workers<'_>,
    ) -> Result<Hits> {
        let prepared = self.rows.space.prepare(queries, workers)?;
        exact(&self.rows, &prepared, queries.rows(), k, None, workers)
    }
}

/// The `k` nearest of the rows that are `allowed` (all without a bitmap), for each of the first
/// `count` queries, on all threads.
///
/// Pending and hidden rows are left out. Distances are those of [`Space::distance`](crate::index::space::Space::distance), and results
/// do not depend on how the work is divided.
pub fn exact(
    rows: &Rows,
    queries: &Lines,
    count: usize,
    k: usize,
    allowed: Option<&Bitmap>,
    workers: &Workers<'_>,
) -> Result<Hits> {
    let mut list = Vec::new();
    let live = match allowed {
        Some(_) => None,
        None => rows.live_rows(),
    };
    let numbers = Numbers::allowed(rows.visible(), allowed.or(live.as_ref()), &mut list);
    let kept = k.min(numbers.len());
    let values = queries.per_row() * 16;
    let work = (values * numbers.len()).saturating_mul(count) / WORK;
    let threads = workers.threads().min(work).max(1);
    let most = most_queries(values, count, numbers.len(), kept);
    let split = threads > 1
        && count <= most
        && threads * count * kept <= MERGED
        && (threads * kept * 8 <= numbers.len());
    if !split {
        // Groups of equal size, as many for each thread.
        let groups = count
            .div_ceil(most)
            .max(threads.min(count.div_ceil(16)))
            .max(1);
        let group = count.div_ceil(groups.next_multiple_of(threads)).max(1);
        let group = group.max(most.min(16));
        return Hits::collect(count, k, group, workers, |range, places| {
            fill(rows, queries, range, places, k, numbers, workers)
        });
    }
    Hits::collect(count, k, count, workers, |range, places| {
        let share = numbers.len().div_ceil(threads);
        let mut found = vec![NONE; threads * count * kept];
        workers.for_each_piece(&mut found, count * kept, |part, places| {
            let start = part * share;
            let numbers = numbers.part(start..numbers.len().min(start + share));
            fill(rows, queries, range.clone(), places, kept, numbers, workers)
        })?;
        for (query, places) in places.chunks_mut(k).enumerate() {
            let mut best = Best::new(kept);
            for part in found.chunks(count * kept) {
                best.merge(&part[query * kept..(query + 1) * kept]);
            }
            best.write(places);
        }
        Ok(())
    })
}

/// Fills the places of each query in `range` with its nearest rows among those that are
/// `allowed`, on the calling thread.
pub fn nearest(
    rows: &Rows,
    queries: &Lines,
    range: Range<usize>,
    places: &mut [Hit],
    allowed: Option<&Bitmap>,
    workers: &Workers<'_>,
) -> Result<()> {
    let mut list = Vec::new();
    let live = match allowed {
        Some(_) => None,
        None => rows.live_rows(),
    };
    let numbers = Numbers::allowed(rows.visible(), allowed.or(live.as_ref()), &mut list);
    let k = places.len() / range.len().max(1);
    if k == 0 {
        return Ok(());
    }
    let values = queries.per_row() * 16;
    let most = most_queries(values, range.len(), numbers.len(), k.min(numbers.len()));
    for (start, places) in range.clone().step_by(most).zip(places.chunks_mut(most * k)) {
        let part = start..range.end.min(start + most);
        fill(rows, queries, part, places, k, numbers, workers)?;
    }
    Ok(())
}

/// Queries that one thread should take at a time.
fn most_queries(values: usize, queries: usize, rows: usize, kept: usize) -> usize {
    if product::pays(queries, rows, kept) {
        product::most_queries(values, kept)
    } else {
        direct::QUERIES
    }
}

fn fill(
    rows: &Rows,
    queries: &Lines,
    range: Range<usize>,
    places: &mut [Hit],
    k: usize,
    numbers: Numbers<'_>,
    workers: &Workers<'_>,
) -> Result<()> {
    let kept = k.min(numbers.len());
    if kept == 0 {
        return Ok(());
    }
    let queries: Vec<&[f32]> = range.map(|query| queries.row(query)).collect();
    let bests = if product::pays(queries.len(), numbers.len(), kept) {
        product::compare(rows, &queries, numbers, kept, workers)?
    } else {
        let mut bests: Vec<Best> = queries.iter().map(|_| Best::new(kept)).collect();
        direct::compare(rows, &queries, numbers.iter(), &mut bests, workers)?;
        bests
    };
    for (best, places) in bests.into_iter().zip(places.chunks_mut(k)) {
        best.write(places);
    }
    Ok(())
}
