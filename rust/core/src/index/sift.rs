//! The nearest of a set of rows: codes tell which rows are measured in full precision.
//!
//! The rows nearest by code are measured first. How far their codes were off tells how much
//! nearer than its code a row may truly be, and all rows are measured that may be among the nearest
//! then: where codes tell little, every row. So a row is missed only if its code is further off than
//! [`SURE`] times what is usual around the query. That did not happen to one of 9,000 queries for
//! the 10 nearest of 600 to 20,000 rows of Fashion-MNIST, GloVe and a clustered set: the rows
//! measured first were enough for all.

use crate::error::Result;
use crate::index::candidate::Candidate;
use crate::index::codes::{Codes, Query, Work};
use crate::index::hits::Hit;
use crate::index::key;
use crate::index::least::Least;
use crate::index::lines::Lines;
use crate::index::rows::Rows;
use crate::index::scan::write;
use crate::index::space::Space;
use crate::metric::Metric;
use crate::pool::Workers;

/// Bytes of rows that are compared as they are: it takes a few microseconds. Measured for 300 queries
/// in a batch, codes take less from 600 rows of 784 values on, 3,900 of 128 and 3,900 of 50; for one
/// query a call from 170, 850 and 900 on. The number of queries must not decide, for it depends on
/// the number of threads.
const FEW_BYTES: usize = 1 << 20;

/// Rows whose codes stay in the second cache until all queries were compared.
const BLOCK: usize = 256;

/// Rows compared at a time with less than [`SHARED`] queries: kernels ask ahead for them.
const LONG: usize = 4096;

/// Queries from which on rows are asked for while those before them are compared.
const SHARED: usize = 8;

/// Rows measured first beside the k sought.
const FIRST: usize = 16;

/// Rows listed for the second time, beside twice the k sought.
const LISTED: usize = 40;

/// Errors of codes, in standard deviations, that are reckoned with.
const SURE: f64 = 4.0;

/// Distances looked through together.
const LANES: usize = 16;

/// Rows asked for ahead of the one being measured.
const AHEAD: usize = 4;

/// The codes, if the `k` nearest of `count` rows are to be looked for by them.
pub fn codes(rows: &Rows, count: usize, k: usize) -> Option<&Codes> {
    let bytes = rows.space.dim * size_of::<f32>() * count;
    let pays = bytes > FEW_BYTES && count > 4 * (k + FIRST);
    rows.coding.codes.as_ref().filter(|_| pays)
}

/// Fills the `k` places of each query in `numbers` with its nearest rows of `among`.
#[allow(clippy::too_many_arguments)]
pub fn nearest(
    rows: &Rows,
    codes: &Codes,
    among: &[u32],
    queries: &Lines,
    numbers: &[usize],
    k: usize,
    places: &mut [&mut [Hit]],
    workers: &Workers<'_>,
) -> Result<()> {
    let mut work = Work::default();
    let mut aims: Vec<Query> = Vec::with_capacity(numbers.len());
    for &query in numbers {
        let mut aim = Query::default();
        codes.encode(queries.row(query), &mut work, &mut aim);
        aims.push(aim);
    }
    let listed = 2 * k + LISTED;
    let mut lists: Vec<Least<Candidate>> = numbers.iter().map(|_| Least::new(listed)).collect();
    let mut distances = Vec::new();
    let size = if numbers.len() < SHARED { LONG } else { BLOCK };
    for (i, block) in among.chunks(size).enumerate() {
        workers.check()?;
        let next = &among[among.len().min((i + 1) * size)..];
        let next = &next[..next.len().min(BLOCK)];
        let mut next = next.chunks(BLOCK.div_ceil(numbers.len()));
        for (aim, list) in aims.iter_mut().zip(&mut lists) {
            for &row in next.next().unwrap_or_default() {
                rows.ask_for_code(row as usize);
            }
            codes.distances(aim, block, &mut distances);
            offer(block, &distances, list);
        }
    }
    for (((list, aim), &query), places) in lists.iter_mut().zip(&mut aims).zip(numbers).zip(places)
    {
        let mut sifted = Sifted {
            rows,
            query: queries.row(query),
            best: Least::new(k),
            errors: Errors::new(&rows.space),
        };
        let all = list.bound().is_none() && list.values_mut().len() == among.len();
        let bound = list.values_mut().iter().max().copied();
        let near = list.values_mut();
        let first = near.len().min(k + FIRST);
        if first < near.len() {
            near.select_nth_unstable(first);
        }
        let (near, rest) = near.split_at(first);
        sifted.measure(near.iter().copied());
        let limit = match codes.leaves_out_much(aim) {
            true => f32::INFINITY,
            false => sifted.limit(),
        };
        sifted.measure(rest.iter().copied().filter(|c| c.distance() <= limit));
        // The list may end too early.
        if let Some(bound) = bound
            && !all
            && limit >= bound.distance()
        {
            for block in among.chunks(LONG) {
                workers.check()?;
                codes.distances(aim, block, &mut distances);
                let found = distances.iter().zip(block);
                let found = found.map(|(&distance, &row)| Candidate::new(distance, row));
                sifted.measure(found.filter(|&c| c > bound && c.distance() <= limit));
            }
        }
        write(&mut sifted.best, places);
    }
    Ok(())
}

/// Offers rows to a list, most of which are too far.
#[inline(always)]
fn offer(rows: &[u32], distances: &[f32], list: &mut Least<Candidate>) {
    for (rows, distances) in rows.chunks(LANES).zip(distances.chunks(LANES)) {
        let bound = list.bound().map_or(f32::INFINITY, Candidate::distance);
        if distances
            .iter()
            .fold(false, |any, &distance| any | (distance <= bound))
        {
            for (&row, &distance) in rows.iter().zip(distances) {
                if distance <= bound {
                    list.offer(Candidate::new(distance, row));
                }
            }
        }
    }
}

/// How far codes around a query were off.
pub struct Errors {
    /// What a code's distance is of the true one.
    factor: f64,
    squares: f64,
    measured: usize,
}

impl Errors {
    pub fn new(space: &Space) -> Self {
        Self {
            // Of vectors of length 1, codes give the squared Euclidean distance.
            factor: match space.metric {
                Metric::Cosine => 2.0,
                _ => 1.0,
            },
            squares: 0.0,
            measured: 0,
        }
    }

    /// Takes a row into account that was measured in both ways.
    #[inline]
    pub fn note(&mut self, exact: f32, by_code: f32) {
        let error = self.factor * f64::from(exact) - f64::from(by_code);
        self.squares += error * error;
        self.measured += 1;
    }

    /// Rows whose codes are further away are further than `distance`.
    #[inline]
    pub fn limit(&self, distance: f64) -> f64 {
        if self.measured < FIRST {
            return f64::INFINITY;
        }
        let usual = (self.squares / self.measured as f64).sqrt();
        self.factor * distance + SURE * usual
    }
}

/// What was measured in full precision for one query.
struct Sifted<'a> {
    rows: &'a Rows,
    query: &'a [f32],
    best: Least<(u32, i64)>,
    errors: Errors,
}

impl Sifted<'_> {
    fn measure(&mut self, candidates: impl Iterator<Item = Candidate> + Clone) {
        let rows = self.rows;
        let ask = |c: Candidate| rows.ask_for(c.node() as usize, usize::MAX);
        let mut ahead = candidates.clone();
        ahead.by_ref().take(AHEAD).for_each(ask);
        for candidate in candidates {
            ahead.by_ref().take(1).for_each(ask);
            let row = candidate.node() as usize;
            let distance = rows.distance(self.query, row);
            self.errors.note(distance, candidate.distance());
            let distance = rows.space.shown(distance);
            self.best.offer((key::ordered(distance), rows.ids()[row]));
        }
    }

    /// Rows whose codes are further away are not among the nearest.
    fn limit(&mut self) -> f32 {
        match self.best.greatest() {
            Some((kth, _)) => self.errors.limit(f64::from(key::distance(kth))) as f32,
            None => f32::INFINITY,
        }
    }
}
