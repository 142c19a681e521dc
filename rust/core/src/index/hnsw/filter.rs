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
use super::graph::{EMPTY, Graph};
use super::marks::Marks;
use super::nearest::Nearest;
use super::search::pool_size;
use crate::index::candidate::Candidate;

/// Queries a thread takes at a time; those that need it are compared with all allowed rows
/// together.
const QUERIES: usize = 16;

/// Vectors asked for ahead of the one being compared, and lists of links ahead of the one read.
const AHEAD: usize = 4;

/// Cache lines asked for of each vector; the processor's own prefetcher follows on.
const LINES: usize = 16;

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
    pub(super) fresh: Vec<u32>,
    pub(super) others: Vec<u32>,
}

impl Scratch {
    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        let lists = self.fresh.capacity() + self.others.capacity();
        let pools = self.pool.bytes() + self.crossing.bytes();
        self.marks.bytes() + pools + lists * size_of::<u32>()
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
        let prepared = self.rows.space.prepare(queries)?;
        let sieve = Sieve::new(allowed);
        let few = self.is_few(allowed.count(), ef);
        Hits::collect(queries.rows(), k, QUERIES, workers, |range, places| {
            let mut missed = Vec::new();
            let mut missing = Vec::new();
            self.filter_scratches.with(|scratch| {
                for (query, places) in range.zip(places.chunks_mut(k)) {
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
    /// Measured on Fashion-MNIST (60,000 × 784) and clusters (100,000 × 64): a walk takes as long
    /// as comparing 16 queries at a time with 60 to 110 rows for each place of its pool, and with
    /// 160 to 200 where less than a twentieth is allowed; a single query with a third of that.
    pub(super) fn is_few(&self, count: usize, ef: usize) -> bool {
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
        let walk = Walk {
            graph: &self.graph,
            sieve,
            ef,
            far: (!self.is_few(sieve.allowed.count(), FURTHER * ef)).then_some(FURTHER * ef),
            count,
            distance: |node: u32| {
                count.compare(1);
                self.rows.distance(query, node as usize)
            },
            ask_for: |node: u32| self.rows.ask_for(node as usize, LINES),
        };
        let start = self.start_of(query, entry, count);
        if !walk.run(start, scratch) {
            return false;
        }
        let mut hits: Vec<Hit> = scratch
            .pool
            .candidates()
            .map(|candidate| Hit {
                distance: self.rows.space.shown(candidate.distance()),
                id: self.rows.ids()[candidate.node() as usize],
            })
            .collect();
        // The pool is in order but for ties, which it breaks by row number.
        hits.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id)));
        for (place, hit) in places.iter_mut().zip(hits) {
            *place = hit;
        }
        true
    }
}

/// A walk over level 0.
struct Walk<'a, C, D, P> {
    graph: &'a Graph,
    sieve: &'a Sieve<'a>,
    ef: usize,
    /// The pool for a query far away from the allowed rows, if there are too many for a scan.
    far: Option<usize>,
    count: C,
    distance: D,
    ask_for: P,
}

impl<C: Count, D: Fn(u32) -> f32, P: Fn(u32)> Walk<'_, C, D, P> {
    /// Leaves in the scratch's pool the `ef` nearest allowed rows that the walk finds; false if it
    /// did not find so many.
    #[inline(always)]
    fn run(&self, start: Candidate, scratch: &mut Scratch) -> bool {
        let graph = self.graph;
        let allowed = |row: u32| self.sieve.allowed.contains(row as usize);
        let Scratch {
            marks,
            pool,
            crossing,
            fresh,
            others,
        } = scratch;
        marks.start(graph.len());
        pool.start(self.ef);
        crossing.start(self.ef);
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
                    return false;
                }
                self.seed(marks, pool, fresh);
                continue;
            };
            let is_crossing = Some(next) != inner;
            if is_crossing {
                crossing.pass();
                crossings -= 1;
            } else {
                pool.pass();
            }
            self.count.hop();
            hops += 1;

            fresh.clear();
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
                    fresh.push(link);
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
                            fresh.push(link);
                        }
                    }
                }
            }
            self.compare(fresh, pool);
            if met < DESERT && (is_crossing || 2 * through >= others.len()) && crossings > 0 {
                others.retain(|&other| marks.raise(other, CROSSED));
                self.compare(others, crossing);
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
                    self.seed(marks, pool, fresh);
                }
            }
        }
    }

    /// Lets the rows drawn at random into the pool.
    fn seed(&self, marks: &mut Marks, pool: &mut Nearest, fresh: &mut Vec<u32>) {
        fresh.clear();
        let seeds = self.sieve.seeds().iter();
        fresh.extend(seeds.filter(|&&seed| marks.raise(seed, SEEN)));
        self.compare(fresh, pool);
    }

    /// Lets rows into a pool.
    #[inline(always)]
    fn compare(&self, rows: &[u32], pool: &mut Nearest) {
        rows.iter().take(AHEAD).for_each(|&row| (self.ask_for)(row));
        for (i, &row) in rows.iter().enumerate() {
            if let Some(&next) = rows.get(i + AHEAD) {
                (self.ask_for)(next);
            }
            pool.enter(Candidate::new((self.distance)(row), row));
        }
    }
}
