//! The nearest rows of each query by parts of the similarities, which are never all there.

use std::cmp::Ordering;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{Block, Elementwise, elementwise};

use super::compare::Compare;

/// Queries and rows whose similarities are made and looked through at a time: 1 MiB of `f32`.
const QUERIES: usize = 512;
const ROWS: usize = 512;

/// Rows of a work item; larger than it has to be, so that few lists are merged.
const SHARE: usize = 1 << 16;

/// Results that items may keep until they are merged.
const MERGED: usize = 1 << 22;

/// Values compared at a time.
const LANES: usize = 16;

/// Nearest rows: `k` for each query, one query after the other.
#[derive(Debug, PartialEq)]
pub struct Top<T> {
    pub rows: Vec<i64>,
    pub scores: Vec<T>,
}

/// A row and how near it is: larger is nearer, distances are negated.
#[derive(Clone, Copy)]
struct Entry<T> {
    closeness: T,
    row: u32,
}

/// Nearer first, smaller rows first among equals.
fn order<T: Real>(a: &Entry<T>, b: &Entry<T>) -> Ordering {
    let nearer = b.closeness.partial_cmp(&a.closeness);
    nearer.unwrap_or(Ordering::Equal).then(a.row.cmp(&b.row))
}

/// The nearest rows of one query so far.
///
/// Entries wait until there are twice as many as are kept; then the farther half goes. Rows come
/// in order, so that one that is as near as the last of those kept is not among them.
struct List<T> {
    entries: Vec<Entry<T>>,
    kept: usize,
    /// What a row must exceed to enter, once enough are kept.
    above: Option<T>,
}

impl<T: Real> List<T> {
    /// Room beside the rows kept, so that a list is thinned out rarely.
    const SPARE: usize = 32;

    fn new(kept: usize) -> Self {
        Self {
            entries: Vec::new(),
            kept,
            above: None,
        }
    }

    fn push(&mut self, closeness: T, row: u32) {
        if self.above.is_some_and(|above| closeness <= above) {
            return;
        }
        self.entries.push(Entry { closeness, row });
        let most = match self.above {
            // The first bound is worth having early.
            None => self.kept,
            Some(_) => 2 * self.kept + Self::SPARE,
        };
        if self.entries.len() >= most {
            self.thin();
        }
    }

    fn thin(&mut self) {
        if self.entries.len() < self.kept {
            return;
        }
        let (_, last, _) = self.entries.select_nth_unstable_by(self.kept - 1, order);
        self.above = Some(last.closeness);
        self.entries.truncate(self.kept);
    }

    fn into_sorted(mut self) -> Vec<Entry<T>> {
        self.entries.sort_unstable_by(order);
        self.entries.truncate(self.kept);
        self.entries
    }
}

/// Offers a row of similarities to a list.
struct Offer<'a, T> {
    values: &'a [T],
    /// Number of the first row.
    first: usize,
    sign: T,
    list: &'a mut List<T>,
}

impl<T: Real> Elementwise for Offer<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (blocks, rest) = self.values.as_chunks::<LANES>();
        for (i, block) in blocks.iter().enumerate() {
            if let Some(above) = self.list.above {
                let mut any = false;
                for &value in block {
                    any |= value * self.sign > above;
                }
                if !any {
                    continue;
                }
            }
            for (lane, &value) in block.iter().enumerate() {
                let row = self.first + i * LANES + lane;
                self.list.push(value * self.sign, row as u32);
            }
        }
        let done = self.first + blocks.len() * LANES;
        for (lane, &value) in rest.iter().enumerate() {
            self.list.push(value * self.sign, (done + lane) as u32);
        }
    }
}

/// The lists of some queries over some rows.
fn scan<T: Real>(
    compare: &impl Compare<T>,
    queries: Range<usize>,
    rows: Range<usize>,
    kept: usize,
    sign: T,
    workers: &Workers<'_>,
) -> Result<Vec<List<T>>> {
    let mut lists: Vec<List<T>> = queries.clone().map(|_| List::new(kept)).collect();
    // Few queries are swept over longer stretches.
    let width = (QUERIES * ROWS / queries.len().max(1)).clamp(ROWS, 16 * ROWS);
    let mut values = vec![T::zero(); queries.len() * width.min(rows.len())];
    for start in rows.clone().step_by(width) {
        workers.check()?;
        let part = start..rows.end.min(start + width);
        let values = &mut values[..queries.len() * part.len()];
        let block = Block {
            data: values.as_mut_ptr(),
            stride: part.len(),
            rows: queries.len(),
            cols: part.len(),
        };
        // SAFETY: `values` is borrowed exclusively and has the shape of the ranges.
        unsafe { compare.fill(queries.clone(), part.clone(), block) };
        for (list, values) in lists.iter_mut().zip(values.chunks_exact(part.len())) {
            elementwise(Offer {
                values,
                first: start,
                sign,
                list,
            });
        }
    }
    Ok(lists)
}

/// The `k` nearest right rows of each left one.
///
/// The same for any number of threads: rows are told apart by similarity, then by number.
pub(super) fn best<T: Real>(
    compare: &impl Compare<T>,
    k: usize,
    is_distance: bool,
    workers: &Workers<'_>,
) -> Result<Top<T>> {
    let (queries, rows) = compare.shape();
    let kept = k.min(rows);
    let sign = if is_distance { -T::one() } else { T::one() };
    if kept == 0 || queries == 0 {
        return Ok(Top {
            rows: Vec::new(),
            scores: Vec::new(),
        });
    }
    if u32::try_from(rows).is_err() {
        return Err(Error::invalid(
            "b",
            format!("has {rows} rows but at most {} can be told apart", u32::MAX),
        ));
    }
    let down = queries.div_ceil(QUERIES);
    let threads = workers.threads();
    // With few groups of queries, threads share the rows of each and their lists are merged.
    let wanted = if down >= 2 * threads {
        1
    } else {
        (4 * threads).div_ceil(down)
    };
    let most = (MERGED / (queries * kept)).max(1);
    let across = if threads == 1 {
        1
    } else {
        rows.div_ceil(SHARE.min(rows.div_ceil(threads).max(ROWS)))
            .min(wanted)
            .min(most)
    };
    let share = rows.div_ceil(across).next_multiple_of(ROWS);
    let across = rows.div_ceil(share);
    let parts = workers.map(down * across, |item| {
        let (first, start) = (item / across * QUERIES, item % across * share);
        scan(
            compare,
            first..queries.min(first + QUERIES),
            start..rows.min(start + share),
            kept,
            sign,
            workers,
        )
    })?;
    compare.check()?;
    let mut top = Top {
        rows: Vec::with_capacity(queries * kept),
        scores: Vec::with_capacity(queries * kept),
    };
    let mut parts = parts.into_iter();
    for _ in 0..down {
        let mut lists = parts.next().unwrap_or_default();
        for other in parts.by_ref().take(across - 1) {
            for (list, other) in lists.iter_mut().zip(other) {
                list.entries.extend(other.into_sorted());
            }
        }
        for list in lists {
            for entry in list.into_sorted() {
                top.rows.push(i64::from(entry.row));
                top.scores.push(entry.closeness * sign);
            }
        }
    }
    Ok(top)
}
