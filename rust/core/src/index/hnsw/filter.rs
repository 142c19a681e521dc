//! The approximate k nearest of the rows that a filter allows.
//!
//! The walk goes from allowed row to allowed row, looking through the others to their links
//! (Patel et al. 2024, "ACORN"), so that no distance is spent on rows that may not be returned.
//! Where nothing allowed lies within two links it goes on over the others for a while, as a search
//! without a filter would; after that, and wherever it ends before its pool is full, it starts
//! again from allowed rows drawn at random, for the allowed may lie far away from the query. If
//! even that does not fill the pool, or if there are few allowed rows from the start, all of them
//! are compared.

use std::sync::OnceLock;

use crate::error::Result;
use crate::index::bitmap::Bitmap;
use crate::index::hits::{Hit, Hits};
use crate::index::scan::nearest_among;
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::rng::Stream;
use crate::simd::prefetch;

use super::Hnsw;
use super::count::{Count, Uncounted};
use super::graph::EMPTY;
use super::marks::Marks;
use super::nearest::Nearest;
use super::scratch::{Entry, Scratch as Walking};
use super::search::{SPARE, copies, pool_size};
use super::walk;
use crate::index::candidate::Candidate;

/// Queries a thread takes at a time; those that need it are compared with all allowed rows
/// together.
const QUERIES: usize = 16;

/// And how many where all are compared with all allowed rows, if each thread has as many.
const SCANNED: usize = 64;

/// Lists of links asked for ahead of the one read.
const AHEAD: usize = 4;

/// Allowed rows after which an expansion looks through no further row.
const ENOUGH: usize = 24;

/// An expansion that came to fewer allowed rows than this goes on over the others.
const DESERT: usize = 8;

/// Expansions after which it is judged whether the allowed rows are far away.
const LOOKS: usize = 3;

/// How much larger the pool is made then.
const FURTHER: usize = 4;

/// Rows drawn at random to start again from.
const SEEDS: usize = 64;

/// A row that the walk has come to: if allowed it was compared, if not it was looked through.
const SEEN: u8 = 1;

/// A row that is not allowed but was compared.
const CROSSED: u8 = 2;

/// Working memory of a filtered walk.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) marks: Marks,
    pub(super) pool: Nearest,
    /// Rows that are not allowed but may lead on.
    crossing: Nearest,
    pub(super) others: Vec<u32>,
}

impl Scratch {
    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        let pools = self.pool.bytes() + self.crossing.bytes();
        self.marks.bytes() + pools + self.others.capacity() * size_of::<u32>()
    }
}

/// The allowed rows of one call.
pub(super) struct Sieve<'a> {
    allowed: &'a Bitmap,
    among: OnceLock<Vec<u32>>,
    seeds: OnceLock<Vec<u32>>,
}

impl<'a> Sieve<'a> {
    pub fn new(allowed: &'a Bitmap) -> Self {
        Self {
            allowed,
            among: OnceLock::new(),
            seeds: OnceLock::new(),
        }
    }

    /// All of them.
    pub fn among(&self) -> &[u32] {
        let rows = || self.allowed.rows().map(|row| row as u32).collect();
        self.among.get_or_init(rows)
    }

    /// Some of them, the same for the same filter.
    fn seeds(&self) -> &[u32] {
        self.seeds.get_or_init(|| {
            let among = self.among();
            let mut stream = Stream::new(0, among.len() as u64);
            (0..SEEDS.min(among.len()))
                .map(|_| among[stream.below(among.len() as u64) as usize])
                .collect()
        })
    }
}

impl Hnsw {
    /// The `k` nearest of the `allowed` rows, of every query, that a walk with a pool of `ef` of
    /// them finds; a query has as many hits as an exact search gives.
    pub fn search_among(
        &self,
        queries: Matrix<'_, f32>,
        k: usize,
        ef: Option<usize>,
        allowed: &Bitmap,
        workers: &Workers<'_>,
    ) -> Result<Hits> {
        let ef = pool_size(ef, k)?;
        self.rows.space.check(queries, "queries", workers)?;
        let sieve = Sieve::new(allowed);
        let few = self.is_few(allowed.count(), ef);
        let chunk = match queries.rows().div_ceil(workers.threads().max(1)) {
            each if few => each.clamp(QUERIES, SCANNED),
            _ => QUERIES,
        };
        Hits::collect(queries.rows(), k, chunk, workers, |range, places| {
            // Some at a time, which are then still in the cache.
            let part = queries.slice(range.start, range.end);
            let prepared = self.rows.space.lay_out(part)?;
            let mut missed = Vec::new();
            let mut missing = Vec::new();
            self.filter_scratches.with(|scratch| {
                for (query, places) in places.chunks_mut(k).enumerate() {
                    workers.check()?;
                    let row = prepared.row(query);
                    if few || !self.search_one_among(row, places, ef, &sieve, scratch, Uncounted) {
                        missed.push(query);
                        missing.push(places);
                    }
                }
                Result::Ok(())
            })?;
            if missed.is_empty() {
                return Ok(());
            }
            let among = sieve.among();
            nearest_among(
                &self.rows,
                among,
                &prepared,
                &missed,
                k,
                &mut missing,
                workers,
            )
        })
    }

    /// Whether comparing with all of `count` rows takes less than a walk with a pool of `ef`.
    ///
    /// By codes it takes about as long for each cache line of them, and once more for each row.
    /// Measured for 300 queries on Fashion-MNIST (60,000 × 784, 4 lines), GloVe (198,000 × 50, 1
    /// line) and clusters (200,000 × 128), ef 64: a walk takes as long as looking at 500 to 1,300
    /// lines for each place of its pool where a tenth or less is allowed, 400 to 800 where it is a
    /// fifth or a half. A single query looks at about two thirds as many meanwhile.
    pub(super) fn is_few(&self, count: usize, ef: usize) -> bool {
        let Some(codes) = &self.rows.coding.codes else {
            return self.is_few_to_measure(count, ef);
        };
        let lines = if count * 5 < self.rows.live() {
            1000
        } else {
            600
        };
        count.saturating_mul(codes.codec.lines + 1) <= lines * ef
    }

    /// The same where rows are measured in full precision.
    ///
    /// Measured on Fashion-MNIST (60,000 × 784) and clusters (100,000 × 64): a walk takes as long
    /// as comparing 16 queries at a time with 60 to 110 rows for each place of its pool, and with
    /// 160 to 200 where less than a twentieth is allowed; a single query with a third of that.
    pub(super) fn is_few_to_measure(&self, count: usize, ef: usize) -> bool {
        let rows = if count * 20 < self.rows.live() {
            96
        } else {
            48
        };
        count <= rows * ef
    }

    /// Fills a query's places; false if that takes a comparison with all allowed rows.
    pub(super) fn search_one_among(
        &self,
        query: &[f32],
        places: &mut [Hit],
        ef: usize,
        sieve: &Sieve<'_>,
        scratch: &mut Scratch,
        count: impl Count,
    ) -> bool {
        let Some(entry) = self.graph.entry() else {
            return false;
        };
        let mut walk = Walk {
            base: self.walk_counting(count),
            sieve,
            ef,
            far: (!self.is_few(sieve.allowed.count(), FURTHER * ef)).then_some(FURTHER * ef),
        };
        walk.base.copies = copies(places.len(), ef);
        self.scratches.with(|walking| {
            self.rows
                .aim_at(query, &mut walking.work, &mut walking.query);
            loop {
                let start = walk.base.descend(query, entry, 0, walking);
                if !walk.run(query, start, scratch, walking) {
                    return false;
                }
                let found = scratch.pool.candidates();
                walking.pool.clear();
                walking
                    .pool
                    .extend(found.map(|found| Entry::new(found.distance(), found.node())));
                if walk.base.exact || !self.measure_again(query, walking, count) {
                    break;
                }
                walk.base.exact = true;
            }
            let mut hits: Vec<Hit> = walking
                .pool
                .iter()
                .map(|entry| Hit {
                    distance: self.rows.space.shown(entry.distance()),
                    id: self.rows.ids()[entry.node() as usize],
                })
                .collect();
            // In the order of codes, or in order but for ties, which go by row number.
            hits.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id)));
            for (place, hit) in places.iter_mut().zip(hits) {
                *place = hit;
            }
            true
        })
    }
}

/// A walk over level 0.
struct Walk<'a, C> {
    base: walk::Walk<'a, C>,
    sieve: &'a Sieve<'a>,
    ef: usize,
    /// The pool for a query far away from the allowed rows, if there are too many for a scan.
    far: Option<usize>,
}

impl<C: Count> Walk<'_, C> {
    /// Leaves in the scratch's pool the `ef` nearest allowed rows that the walk finds, and some
    /// further ones; false if it did not find so many.
    fn run(
        &self,
        query: &[f32],
        start: Candidate,
        scratch: &mut Scratch,
        walking: &mut Walking,
    ) -> bool {
        let (rows, graph) = (self.base.rows, self.base.graph);
        let allowed = |row: u32| self.sieve.allowed.contains(row as usize);
        let Scratch {
            marks,
            pool,
            crossing,
            others,
        } = scratch;
        let coded = rows.coding.codes.is_some();
        marks.start(graph.len());
        pool.start(self.ef, if coded { SPARE } else { 0 });
        crossing.start(self.ef, 0);
        let mut crossings = self.ef;
        let mut seeded = false;
        let mut hops = 0;
        let (mut looked_at, mut met_at) = (0, 0);
        marks.raise(start.node(), CROSSED);
        if allowed(start.node()) {
            pool.enter(start);
        } else {
            crossing.enter(start);
        }
        loop {
            let inner = pool.next();
            let outer = crossing
                .next()
                .filter(|&outer| crossings > 0 && pool.admits(outer));
            let Some(next) = [inner, outer].into_iter().flatten().min() else {
                if pool.is_full() {
                    return true;
                }
                if std::mem::replace(&mut seeded, true) {
                    return pool.would_be_full();
                }
                self.seed(query, marks, pool, walking);
                continue;
            };
            let is_crossing = Some(next) != inner;
            if is_crossing {
                crossing.pass();
                crossings -= 1;
            } else {
                pool.pass();
            }
            self.base.count.hop();
            hops += 1;

            walking.fresh.clear();
            others.clear();
            let (mut met, mut looked) = (0, 0);
            for &link in graph.place(0, next.node()) {
                if link == EMPTY {
                    break;
                }
                looked += 1;
                if !allowed(link) {
                    others.push(link);
                    continue;
                }
                met += 1;
                if marks.raise(link, SEEN) {
                    rows.ask_for_code(link as usize);
                    walking.fresh.push(link);
                }
            }
            let ask_for_links = |row: Option<&u32>| {
                if let Some(&row) = row {
                    prefetch(graph.place(0, row), 2);
                }
            };
            others
                .iter()
                .take(AHEAD)
                .for_each(|row| ask_for_links(Some(row)));
            let mut through = 0;
            for (i, &other) in others.iter().enumerate() {
                if met >= ENOUGH {
                    break;
                }
                ask_for_links(others.get(i + AHEAD));
                if !marks.raise(other, SEEN) {
                    continue;
                }
                through += 1;
                for &link in graph.place(0, other) {
                    if link == EMPTY {
                        break;
                    }
                    looked += 1;
                    if allowed(link) {
                        met += 1;
                        if marks.raise(link, SEEN) {
                            rows.ask_for_code(link as usize);
                            walking.fresh.push(link);
                        }
                    }
                }
            }
            self.compare(query, pool, walking);
            if met < DESERT && (is_crossing || 2 * through >= others.len()) && crossings > 0 {
                let crossed = others.iter().filter(|&&other| marks.raise(other, CROSSED));
                walking.fresh.clear();
                walking.fresh.extend(crossed);
                self.compare(query, crossing, walking);
            }
            if hops <= LOOKS {
                looked_at += looked;
                met_at += met;
                let share = self.sieve.allowed.count() as f64 / graph.len() as f64;
                if hops == LOOKS && (met_at as f64) < looked_at as f64 * share / 2.0 {
                    let Some(far) = self.far else {
                        return false;
                    };
                    pool.widen(far);
                    seeded = true;
                    self.seed(query, marks, pool, walking);
                }
            }
        }
    }

    /// Lets the rows drawn at random into the pool.
    fn seed(&self, query: &[f32], marks: &mut Marks, pool: &mut Nearest, walking: &mut Walking) {
        let seeds = self.sieve.seeds().iter();
        walking.fresh.clear();
        walking
            .fresh
            .extend(seeds.filter(|&&seed| marks.raise(seed, SEEN)));
        self.compare(query, pool, walking);
    }

    /// Lets the fresh rows into a pool, equal ones as far as there is room for them.
    #[inline(always)]
    fn compare(&self, query: &[f32], pool: &mut Nearest, walking: &mut Walking) {
        self.base.measure(query, walking);
        for (&row, &distance) in walking.fresh.iter().zip(&walking.distances) {
            let candidate = Candidate::new(distance, row);
            let is_copied = |entries: &[(Candidate, bool)]| {
                self.base.count_copies(entries, |entry| entry.0, candidate)
            };
            pool.enter_unless(candidate, is_copied);
        }
    }
}
