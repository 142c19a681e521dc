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

/// Most results of a call, `queries × k`: 3 GiB of `f32` scores and row numbers.
pub const MAX_RESULTS: usize = 1 << 28;

/// Nearest rows: `k` for each query, one query after the other.
#[derive(Debug, PartialEq)]
pub struct Top<T> {
    pub rows: Vec<i64>,
    pub scores: Vec<T>,
}

/// A row and how near it is: larger is nearer, distances are negated.
///
/// Sums that overflow may be NaN.
#[derive(Clone, Copy)]
struct Entry<T> {
    closeness: T,
    row: u32,
}

/// Nearer first, NaN last, smaller rows first among equals.
fn order<T: Real>(a: &Entry<T>, b: &Entry<T>) -> Ordering {
    let nearer = b.closeness.partial_cmp(&a.closeness);
    nearer
        .unwrap_or_else(|| a.closeness.is_nan().cmp(&b.closeness.is_nan()))
        .then(a.row.cmp(&b.row))
}

/// A vector with room for `len` values.
fn room<V>(len: usize) -> Result<Vec<V>> {
    let mut values = Vec::new();
    values
        .try_reserve_exact(len)
        .map_err(|_| Error::out_of_memory())?;
    Ok(values)
}

/// The nearest rows of one query so far.
///
/// Entries wait until there are twice as many as are kept; then the farther half goes. Rows come
/// in order, so that one that is as near as the last of those kept is not among them.
struct List<T> {
    entries: Vec<Entry<T>>,
    kept: usize,
    /// What a row must exceed to enter, once enough are kept; all but NaN exceed NaN.
    above: Option<T>,
}

impl<T: Real> List<T> {
    /// Room beside the rows kept, so that a list is thinned out rarely.
    const SPARE: usize = 32;

    /// For `kept` of `rows` rows.
    fn new(kept: usize, rows: usize) -> Result<Self> {
        Ok(Self {
            entries: room(rows.min(2 * kept + Self::SPARE))?,
            kept,
            above: None,
        })
    }

    fn push(&mut self, closeness: T, row: u32) {
        let is_out = |above| closeness <= above || closeness.is_nan();
        if self.above.is_some_and(is_out) {
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
            if let Some(above) = self.list.above.filter(|above| !above.is_nan()) {
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

/// The nearest `kept` of some rows to some queries, one query after the other.
fn scan<T: Real>(
    compare: &impl Compare<T>,
    queries: Range<usize>,
    rows: Range<usize>,
    kept: usize,
    sign: T,
    workers: &Workers<'_>,
) -> Result<Vec<Entry<T>>> {
    let list = |_| List::new(kept, rows.len());
    let mut lists = queries.clone().map(list).collect::<Result<Vec<_>>>()?;
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
    let mut nearest = room(queries.len() * kept.min(rows.len()))?;
    for list in lists {
        nearest.extend(list.into_sorted());
    }
    Ok(nearest)
}

/// Fails where `kept` results for each query are too many.
fn check_size(queries: usize, kept: usize) -> Result<usize> {
    queries
        .checked_mul(kept)
        .filter(|&size| size <= MAX_RESULTS)
        .ok_or_else(|| {
            Error::invalid(
                "k",
                format!(
                    "asks for {kept} rows for each of {queries} queries, more than {MAX_RESULTS} \
                     in all; ask for fewer rows or for fewer queries at a time"
                ),
            )
        })
}

/// The `k` nearest right rows of each left one.
///
/// The same for any number of threads: rows are told apart by similarity, then by number. What
/// overflows is infinite or NaN, as in the matrix, and NaN comes last.
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
            "base",
            format!("has {rows} rows but at most {} can be told apart", u32::MAX),
        ));
    }
    let size = check_size(queries, kept)?;
    // Asked for first, to fail here and not after the work.
    let mut top = Top {
        rows: room(size)?,
        scores: room(size)?,
    };
    let down = queries.div_ceil(QUERIES);
    let threads = workers.threads();
    // With few groups of queries, threads share the rows of each and their lists are merged.
    let wanted = if down >= 2 * threads {
        1
    } else {
        (4 * threads).div_ceil(down)
    };
    let most = (MERGED / size).max(1);
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
    let mut nearest = room(across * kept)?;
    let mut parts = parts.into_iter();
    for first in (0..queries).step_by(QUERIES) {
        let count = QUERIES.min(queries - first);
        let parts: Vec<_> = parts.by_ref().take(across).collect();
        for i in 0..count {
            nearest.clear();
            for part in &parts {
                let held = part.len() / count;
                nearest.extend_from_slice(&part[i * held..(i + 1) * held]);
            }
            if across > 1 {
                nearest.sort_unstable_by(order);
            }
            for entry in &nearest[..kept] {
                top.rows.push(i64::from(entry.row));
                top.scores.push(entry.closeness * sign);
            }
        }
    }
    Ok(top)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;
    use crate::rng::Stream;

    use super::super::bytes;
    use super::super::similarity::{Similarity, all_pairs, top};

    /// Sums of these overflow to infinities of both signs and to NaN.
    fn huge(rows: usize, cols: usize, key: u64) -> Vec<f32> {
        let mut stream = Stream::new(21, key);
        (0..rows * cols)
            .map(|i| {
                let scale = [1e25, 1.0, 1e10][i / cols % 3];
                (stream.uniform() - 0.5) as f32 * scale
            })
            .collect()
    }

    #[test]
    fn what_overflows_comes_last_for_any_number_of_threads() {
        for (m, n, d) in [(3, 5000, 16), (40, 700, 8), (1, 90, 2)] {
            let (left, right) = (huge(m, d, 0), huge(n, d, 1));
            let a = Matrix::new(&left, m, d).unwrap();
            let b = Matrix::new(&right, n, d).unwrap();
            let mut matrix = vec![0.0; m * n];
            let serial = Workers::serial();
            all_pairs(Similarity::Dot, a.into(), b.into(), &mut matrix, &serial).unwrap();
            // With many rows on both sides a sum is one chain of fused steps, which stays at the
            // first infinity.
            assert!(n != 5000 || matrix.iter().any(|value| value.is_nan()));
            assert!(!matrix.iter().all(|value| value.is_finite()));
            for k in [1, 3, 15, n] {
                let run = |threads| {
                    let workers = Workers::of(threads);
                    top(Similarity::Dot, a.into(), b.into(), k, &workers).unwrap()
                };
                let found = run(1);
                for (q, values) in matrix.chunks(n).enumerate() {
                    let mut order: Vec<usize> = (0..n).collect();
                    // Stable: rows that are equally near stay in order.
                    order.sort_by(|&i, &j| match (values[i].is_nan(), values[j].is_nan()) {
                        (false, false) => values[j].partial_cmp(&values[i]).unwrap(),
                        (i, j) => i.cmp(&j),
                    });
                    for (place, &row) in order[..k].iter().enumerate() {
                        let at = q * k + place;
                        assert_eq!(found.rows[at], row as i64, "{m} {n} {k}");
                        let (got, want) = (found.scores[at], values[row]);
                        assert!(got == want || got.is_nan() && want.is_nan());
                    }
                }
                for threads in [2, 3] {
                    assert_eq!(run(threads).rows, found.rows);
                }
            }
        }
    }

    #[test]
    fn more_than_nan_drives_nan_out_of_a_list() {
        let nan = f32::NAN;
        let infinity = f32::INFINITY;
        for kept in [1, 2, 4] {
            let mut values = [nan; 200];
            (values[100], values[150], values[199]) = (-infinity, 1.0, infinity);
            let mut list = List::new(kept, values.len()).unwrap();
            elementwise(Offer {
                values: &values,
                first: 0,
                sign: 1.0,
                list: &mut list,
            });
            let rows: Vec<u32> = list.into_sorted().iter().map(|entry| entry.row).collect();
            assert_eq!(rows, [199, 150, 100, 0][..kept]);
        }
    }

    #[test]
    fn more_results_than_the_limit_are_refused() {
        let (rows, bytes) = (vec![0.0f32; 20_000], vec![0i8; 20_000]);
        let rows = Matrix::new(&rows, 20_000, 1).unwrap();
        let bytes = Matrix::new(&bytes, 20_000, 1).unwrap();
        let workers = Workers::serial();
        for k in [20_000, usize::MAX] {
            let found = [
                top(Similarity::Dot, rows.into(), rows.into(), k, &workers),
                bytes::top(Similarity::Dot, bytes, bytes, k, &workers),
            ];
            for found in found {
                let error = found.unwrap_err().to_string();
                assert!(error.starts_with("k asks for 20000 rows"), "{error}");
            }
        }
        assert_eq!(check_size(1 << 14, 1 << 14).unwrap(), MAX_RESULTS);
        assert!(check_size(usize::MAX, 2).is_err());
    }

    #[test]
    fn sides_are_called_queries_and_base() {
        let (floats, bytes) = (vec![0.0f32; 6], vec![0i8; 1 << 17]);
        let workers = Workers::serial();
        let (a, b) = (
            Matrix::new(&floats, 2, 3).unwrap(),
            Matrix::new(&floats, 3, 2).unwrap(),
        );
        let found = top(Similarity::Dot, a.into(), b.into(), 1, &workers);
        let message = "base has 2 columns but queries has 3";
        assert_eq!(found.unwrap_err().to_string(), message);
        let long = Matrix::new(&bytes, 1, 1 << 17).unwrap();
        let found = bytes::top(Similarity::Dot, long, long, 1, &workers);
        let error = found.unwrap_err().to_string();
        assert!(error.starts_with("queries has 131072 columns"), "{error}");
        let found = bytes::pairs(Similarity::Dot, long, long, &workers);
        let error = found.unwrap_err().to_string();
        assert!(error.starts_with("a has 131072 columns"), "{error}");
    }
}
