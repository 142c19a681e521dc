//! What a search for everything within a radius returns.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};
use crate::index::hits::{Hit, MAX_RESULTS};
use crate::index::lines::Lines;
use crate::index::rows::Rows;
use crate::index::scan::compare;
use crate::pool::Workers;

/// How far results may lie, and how many there may be.
#[derive(Clone, Copy)]
pub struct Reach {
    /// In the distance that users see; results at it are within.
    pub radius: f64,
    /// Most results of one call.
    pub limit: usize,
}

/// Results of several queries, one query after the other; nearest first, ties by id.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    /// Where each query's results begin, and where the last one's end.
    pub indptr: Vec<i64>,
    pub ids: Vec<i64>,
    pub distances: Vec<f32>,
}

/// Results that the queries of a call may still take.
pub struct Room {
    limit: usize,
    taken: AtomicUsize,
}

impl Room {
    /// Takes the place of one result.
    pub fn take(&self) -> Result<()> {
        if self.taken.fetch_add(1, Ordering::Relaxed) < self.limit {
            return Ok(());
        }
        Err(Error::invalid(
            "radius",
            format!(
                "takes in more than {} results; choose a smaller one, search in parts, or raise \
                 max_results (at most {MAX_RESULTS})",
                self.limit
            ),
        ))
    }
}

impl Ranges {
    /// Gathers what `find` finds for a range of queries, `chunk` of them at a time.
    pub fn collect(
        queries: usize,
        chunk: usize,
        reach: Reach,
        workers: &Workers<'_>,
        find: impl Fn(Range<usize>, &Room) -> Result<Vec<Vec<Hit>>> + Sync,
    ) -> Result<Self> {
        let room = Room {
            limit: reach.limit.min(MAX_RESULTS),
            taken: AtomicUsize::new(0),
        };
        let found = workers.map(queries.div_ceil(chunk), |i| {
            let start = i * chunk;
            let mut found = find(start..queries.min(start + chunk), &room)?;
            for hits in &mut found {
                hits.sort_unstable_by(|a, b| {
                    a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id))
                });
            }
            Ok(found)
        })?;
        let mut ranges = Self {
            indptr: vec![0],
            ids: Vec::new(),
            distances: Vec::new(),
        };
        for hits in found.into_iter().flatten() {
            ranges.ids.extend(hits.iter().map(|hit| hit.id));
            ranges.distances.extend(hits.iter().map(|hit| hit.distance));
            ranges.indptr.push(ranges.ids.len() as i64);
        }
        Ok(ranges)
    }

    /// By comparing every query with every row of `among`.
    pub fn scan(
        rows: &Rows,
        among: &[u32],
        queries: &Lines,
        count: usize,
        reach: Reach,
        workers: &Workers<'_>,
    ) -> Result<Self> {
        Self::collect(count, 16, reach, workers, |range, room| {
            let numbers: Vec<usize> = range.collect();
            let mut found = vec![Vec::new(); numbers.len()];
            compare(
                rows,
                among,
                queries,
                &numbers,
                workers,
                |place, block, distances| {
                    for (&row, &distance) in block.iter().zip(distances) {
                        if f64::from(distance) <= reach.radius {
                            room.take()?;
                            let id = rows.ids()[row as usize];
                            found[place].push(Hit { distance, id });
                        }
                    }
                    Ok(())
                },
            )?;
            Ok(found)
        })
    }
}
