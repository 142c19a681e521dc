//! The most similar pool rows by products of bytes, and of the few that these cannot rule out the
//! exact similarities: the same answer, bit by bit, in less time.

use std::any::TypeId;
use std::ops::Range;

use super::Strategy;
use super::coarse::{Anchors, Pool, Scratch, Screen};
use super::ground::{Ground, Keeper, TILE};
use super::hard::{Mined, Task};
use super::question::{Similarity, Skip};
use super::search::Search;
use crate::error::Result;
use crate::linalg::dots::{ROWS, dots};
use crate::matrix::Matrix;
use crate::metric::norm;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::byte_tile;

/// Anchors of a block: whole panels of the kernel.
const BLOCK: usize = 16 * byte_tile::ROWS;

/// Pool rows whose products with a block are made at a time; they stay in the second cache.
const STRIP: usize = 256;

/// Bytes of pool rows that are held at a time.
const SLAB: usize = 4 << 20;

/// Anchors that share the rounding of the pool to bytes.
const GROUP: usize = 8192;

/// Rows that wait for their exact similarity before they are looked at again. Where few of them are
/// left then, these wait on: the later, the more of them are ruled out without it.
const WAITING: usize = 128;

/// Of a strip's similarities that need to be exact, a larger share than one in so many costs more
/// than the product.
const SHARE: usize = 16;

/// How many tiles are then taken exactly before bytes are tried again.
const PAUSE: usize = 8;

/// Pool rows and anchors from which on rounding the pool pays.
const LEAST: (usize, usize) = (8192, 128);

/// Lengths for which nothing underflows.
const ORDINARY: Range<f64> = 1e-12..1e12;

/// Whether this way is open and is likely to be the quicker one.
pub(super) fn pays<T: Real>(task: &Task<'_, '_, T>) -> bool {
    let (question, settings) = (task.question, task.settings);
    let (anchors, pool) = (question.anchors, question.pool);
    let skip = match settings.skip {
        Skip::Count(rows) => rows,
        Skip::Share(share) => (share * pool.rows() as f64) as usize,
    };
    let kept = skip.saturating_add(settings.k);
    matches!(settings.strategy, Strategy::Hardest | Strategy::Mixed)
        && pool.rows() >= LEAST.0
        && anchors.rows() >= LEAST.1
        && kept <= (pool.rows() / 256).min(1024)
        && is_open(anchors, &task.ground())
}

/// Whether bytes can stand for these rows on this processor.
pub(crate) fn is_open<T: Real>(anchors: Matrix<'_, T>, ground: &Ground<'_, T>) -> bool {
    let is_ordinary = |length: f64| length == 0.0 || ORDINARY.contains(&length);
    TypeId::of::<T>() == TypeId::of::<f32>()
        && byte_tile::is_available()
        && (16..=1 << 14).contains(&ground.pool.cols())
        && match ground.similarity {
            Similarity::Cosine => {
                let mut factors = ground.inverse_norms.iter();
                factors.all(|factor| is_ordinary(factor.wide()))
            }
            Similarity::Dot => [anchors, ground.pool]
                .iter()
                .all(|rows| (0..rows.rows()).all(|i| is_ordinary(norm(rows.row(i))))),
        }
}

/// Anchors that are compared with the pool together.
pub(crate) struct Block<T, K> {
    vectors: Vec<T>,
    bytes: Anchors,
    searches: Vec<K>,
    /// Of each anchor what is known of the largest similarities without having made them.
    floors: Vec<Floor>,
    /// Of each anchor pool rows whose exact similarity may still have to be made, rising, and the
    /// most that these can be.
    waiting: Vec<Vec<(u32, f32)>>,
    /// Tiles to be taken exactly.
    exact: usize,
}

/// The largest of some numbers that similarities are not below.
struct Floor {
    kept: Vec<f32>,
    capacity: usize,
    /// No fewer than `capacity` similarities are at least this.
    threshold: f32,
}

impl Floor {
    fn new(capacity: usize) -> Self {
        Self {
            kept: Vec::new(),
            capacity,
            threshold: f32::NEG_INFINITY,
        }
    }

    fn offer(&mut self, least: f32) {
        if least <= self.threshold || self.capacity == 0 {
            return;
        }
        self.kept.push(least);
        let first = self.threshold == f32::NEG_INFINITY && self.kept.len() == self.capacity;
        if first || self.kept.len() >= self.capacity + self.capacity.max(16) {
            let last = self.capacity - 1;
            let order = |a: &f32, b: &f32| b.total_cmp(a);
            self.threshold = *self.kept.select_nth_unstable_by(last, order).1;
            self.kept.truncate(self.capacity);
        }
    }
}

/// A part of the pool as bytes, which begins at row `start`.
pub(crate) struct Slab {
    start: usize,
    parts: Vec<Pool>,
    rows: usize,
}

impl Slab {
    /// The parts and the rows that each holds.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&Pool, Range<usize>)> {
        let end = self.start + self.rows;
        let begins = (self.start..end).step_by(TILE);
        let rows = begins.map(move |begin| begin..end.min(begin + TILE));
        self.parts.iter().zip(rows)
    }

    pub fn new<T: Real>(
        ground: &Ground<'_, T>,
        range: Range<usize>,
        workers: &Workers<'_>,
    ) -> Result<Self> {
        let pool = ground.pool;
        let (start, rows) = (range.start, range.len());
        let parts = workers.map(rows.div_ceil(TILE), |i| {
            let (from, to) = (start + i * TILE, start + rows.min((i + 1) * TILE));
            let factors = &ground.inverse_norms[from..to];
            Ok(Pool::new(pool.slice(from, to).data(), factors, pool.cols()))
        })?;
        Ok(Self { start, parts, rows })
    }
}

/// What each block of anchors chose.
pub(super) fn mine<T: Real>(task: &Task<'_, '_, T>, workers: &Workers<'_>) -> Result<Vec<Mined>> {
    let (count, pool) = (task.question.anchors.rows(), task.question.pool);
    let ground = task.ground();
    let dim = pool.cols();
    let slab = (SLAB / dim / TILE).max(1) * TILE;
    let mut mined = Vec::new();
    for first in (0..count).step_by(GROUP) {
        let group = count.min(first + GROUP) - first;
        let mut blocks = workers.map(group.div_ceil(BLOCK), |i| {
            let start = first + i * BLOCK;
            let (vectors, searches) = task.begin(start, (first + group).min(start + BLOCK));
            Ok(Block::new(vectors, searches, dim))
        })?;
        for start in (0..pool.rows()).step_by(slab) {
            let range = start..pool.rows().min(start + slab);
            let slab = Slab::new(&ground, range, workers)?;
            workers.for_each_piece(&mut blocks, 1, |_, blocks| {
                blocks
                    .iter_mut()
                    .try_for_each(|block: &mut Block<T, Search<'_, T>>| {
                        block.pass(&ground, &slab, workers)
                    })
            })?;
        }
        for (i, block) in blocks.into_iter().enumerate() {
            mined.push(task.choose(&block.vectors, block.searches, first + i * BLOCK));
        }
    }
    Ok(mined)
}

impl<T: Real, K: Keeper<T>> Block<T, K> {
    /// Of anchors of length one where lengths do not matter.
    pub fn new(vectors: Vec<T>, searches: Vec<K>, dim: usize) -> Self {
        Self {
            bytes: Anchors::new(&vectors, dim),
            vectors,
            waiting: vec![Vec::new(); searches.len()],
            floors: searches.iter().map(|s| Floor::new(s.capacity())).collect(),
            searches,
            exact: 0,
        }
    }

    pub fn into_searches(self) -> Vec<K> {
        self.searches
    }

    /// Takes what is worth it of a slab.
    pub fn pass(
        &mut self,
        ground: &Ground<'_, T>,
        slab: &Slab,
        workers: &Workers<'_>,
    ) -> Result<()> {
        let (mut tile, mut products, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
        if !self.searches.iter().any(Keeper::needs_scores) {
            return Ok(());
        }
        for (i, part) in slab.parts.iter().enumerate() {
            workers.check()?;
            let rows = i * TILE..slab.rows.min((i + 1) * TILE);
            let rows = slab.start + rows.start..slab.start + rows.end;
            if self.exact > 0 {
                self.exact -= 1;
                ground.offer(&self.vectors, &mut self.searches, rows, &mut tile);
                continue;
            }
            for from in (0..rows.len()).step_by(STRIP) {
                let strip = from..rows.len().min(from + STRIP);
                self.screen(
                    ground,
                    part,
                    rows.start,
                    strip,
                    (&mut products, &mut scratch),
                );
            }
            if self.exact > 0 {
                self.settle(ground);
            }
        }
        self.settle(ground);
        Ok(())
    }

    /// Notes the rows of a strip that the bytes do not rule out.
    fn screen(
        &mut self,
        ground: &Ground<'_, T>,
        part: &Pool,
        first: usize,
        strip: Range<usize>,
        (products, scratch): (&mut Vec<i32>, &mut Scratch),
    ) {
        let dim = ground.pool.cols();
        let (right, added) = part.part(strip.clone(), dim);
        let width = added.len();
        products.resize(
            self.searches.len().next_multiple_of(byte_tile::ROWS) * width,
            0,
        );
        byte_tile::products(&self.bytes.packed, right, added, dim, products);
        let mut needed = 0;
        for anchor in 0..self.searches.len() {
            let search = &self.searches[anchor];
            if !search.needs_scores() {
                continue;
            }
            let floor = &mut self.floors[anchor];
            let screen = Screen {
                anchors: &self.bytes,
                anchor,
                pool: part,
                rows: strip.clone(),
                products: &products[anchor * width..(anchor + 1) * width],
                bound: search.threshold().max(floor.threshold.into()),
            };
            screen.run(scratch);
            let waiting = &mut self.waiting[anchor];
            for near in &scratch.found {
                let row = first as u32 + near.row;
                if near.most >= floor.threshold && search.may_have(row) {
                    floor.offer(near.least);
                    waiting.push((row, near.most));
                }
            }
            if waiting.len() >= WAITING {
                self.forget(anchor);
                if self.waiting[anchor].len() > WAITING / 2 {
                    needed += self.score(ground, anchor);
                }
            }
        }
        if needed * SHARE > self.searches.len() * strip.len() {
            self.exact = PAUSE;
        }
    }

    /// Drops what waits for one anchor and cannot count any more.
    fn forget(&mut self, anchor: usize) {
        let floor = self.floors[anchor].threshold;
        let threshold = self.searches[anchor].threshold();
        self.waiting[anchor].retain(|&(_, most)| most >= floor && f64::from(most) >= threshold);
    }

    /// Makes the similarities that wait for one anchor; returns how many.
    fn score(&mut self, ground: &Ground<'_, T>, anchor: usize) -> usize {
        let pool = ground.pool;
        let waiting = &mut self.waiting[anchor];
        let search = &mut self.searches[anchor];
        let vector = &self.vectors[anchor * pool.cols()..(anchor + 1) * pool.cols()];
        for some in waiting.chunks(ROWS) {
            let mut rows: [&[T]; ROWS] = [&[]; ROWS];
            for (place, &(row, _)) in rows.iter_mut().zip(some) {
                *place = pool.row(row as usize);
            }
            let scores = dots(vector, &rows[..some.len()]);
            for (&(row, _), score) in some.iter().zip(scores) {
                let score = match ground.similarity {
                    Similarity::Cosine => score * ground.inverse_norms[row as usize],
                    Similarity::Dot => score,
                };
                search.offer_row(row, score);
            }
        }
        let made = waiting.len();
        waiting.clear();
        made
    }

    /// Makes all similarities that wait and can still count.
    fn settle(&mut self, ground: &Ground<'_, T>) {
        for anchor in 0..self.searches.len() {
            self.forget(anchor);
            self.score(ground, anchor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hard;
    use super::super::question::{Positives, Question, Settings};
    use crate::matrix::Matrix;
    use crate::pool::Workers;
    use crate::rng::Stream;

    use super::*;

    /// Rows around few centres, some of zeros, some repeated, of very different lengths.
    fn rows(count: usize, dim: usize, spread: f64, key: u64) -> Vec<f32> {
        let mut stream = Stream::new(5, key);
        let mut draw = || (0..4).map(|_| stream.uniform() - 0.5).sum::<f64>();
        let centres: Vec<f64> = (0..40 * dim).map(|_| draw()).collect();
        let mut rows = Vec::with_capacity(count * dim);
        for i in 0..count {
            let centre = &centres[i % 40 * dim..(i % 40 + 1) * dim];
            let scale = [1.0, 1.0, 1e-3, 40.0, 0.0][(i / 40).min(4 * usize::from(i % 97 == 0))];
            rows.extend(
                centre
                    .iter()
                    .map(|x| ((x + spread * draw()) * scale) as f32),
            );
        }
        for i in (100..count).step_by(50) {
            rows.copy_within((i - 90) * dim..(i - 89) * dim, i * dim);
        }
        rows
    }

    #[test]
    fn the_answer_is_that_of_the_product() {
        for (dim, spread, similarity) in [
            (24, 3.0, Similarity::Cosine),
            (300, 0.3, Similarity::Cosine),
            (40, 0.01, Similarity::Dot),
            (64, 1.0, Similarity::Dot),
        ] {
            let (anchors, pool) = (rows(300, dim, spread, 0), rows(9_100, dim, spread, 1));
            let labels: Vec<i64> = (0..9_100).map(|row| row % 40).collect();
            let skips = [Skip::Count(0), Skip::Count(20)];
            for (strategy, skip) in [Strategy::Hardest, Strategy::Mixed].into_iter().zip(skips) {
                let run = |range: Range<usize>, threads: usize| {
                    let question = Question {
                        anchors: Matrix::new(&anchors, 300, dim)
                            .unwrap()
                            .slice(range.start, range.end),
                        pool: Matrix::new(&pool, 9_100, dim).unwrap(),
                        pool_is_anchors: false,
                        positives: Positives::Unknown,
                        labels: Some((&labels[range.clone()], &labels)),
                        exclude: None,
                    };
                    let settings = Settings {
                        strategy,
                        similarity,
                        k: 7,
                        skip,
                        // All hard: what is drawn depends on the anchor's number.
                        hard_share: 1.0,
                        alpha: 0.0,
                        margin: f64::INFINITY,
                        seed: 0,
                    };
                    hard::mine(&Workers::of(threads), &question, &settings).unwrap()
                };
                let filtered = run(0..300, 1);
                let others = run(0..300, 3);
                assert_eq!(filtered.indices, others.indices);
                let mut plain = Vec::new();
                let mut similarities = Vec::new();
                for start in (0..300).step_by(100) {
                    // Too few for bytes.
                    let part = run(start..start + 100, 2);
                    plain.extend(part.indices);
                    similarities.extend(part.similarities);
                }
                assert_eq!(filtered.indices, plain, "{dim} {spread} {strategy:?}");
                assert_eq!(filtered.similarities, similarities);
            }
        }
    }
}
