//! The most similar pool rows by products of bytes, and of the few that these cannot rule out the
//! exact similarities: the same answer, bit by bit, in less time.

use std::any::TypeId;
use std::ops::Range;

use super::Strategy;
use super::coarse::{Anchors, Pool, Screen};
use super::hard::{Mined, TILE, Task};
use super::question::{Similarity, Skip};
use super::search::Search;
use crate::error::Result;
use crate::linalg::dots::{ROWS, dots};
use crate::metric::norm;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{byte_tile, elementwise};

/// Anchors of a block: whole panels of the kernel.
const BLOCK: usize = 16 * byte_tile::ROWS;

/// Pool rows whose products with a block are made at a time; they stay in the second cache.
const STRIP: usize = 256;

/// Bytes of pool rows that are held at a time.
const SLAB: usize = 4 << 20;

/// Anchors that share the rounding of the pool to bytes.
const GROUP: usize = 8192;

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
    let by_size = matches!(settings.strategy, Strategy::Hardest | Strategy::Mixed)
        && (16..=1 << 14).contains(&pool.cols())
        && pool.rows() >= LEAST.0
        && anchors.rows() >= LEAST.1
        && kept <= (pool.rows() / 256).min(1024);
    let is_ordinary = |length: f64| length == 0.0 || ORDINARY.contains(&length);
    by_size
        && TypeId::of::<T>() == TypeId::of::<f32>()
        && byte_tile::is_available()
        && match settings.similarity {
            Similarity::Cosine => {
                let mut factors = task.inverse_norms.iter();
                factors.all(|factor| is_ordinary(factor.wide()))
            }
            Similarity::Dot => [anchors, pool]
                .iter()
                .all(|rows| (0..rows.rows()).all(|i| is_ordinary(norm(rows.row(i))))),
        }
}

/// Anchors that are compared with the pool together.
struct Block<'a, T> {
    start: usize,
    vectors: Vec<T>,
    bytes: Anchors,
    searches: Vec<Search<'a, T>>,
    /// Of each anchor pool rows whose exact similarity is still to be made, rising.
    waiting: Vec<Vec<u32>>,
    /// Tiles to be taken exactly.
    exact: usize,
}

/// A part of the pool as bytes, which begins at row `start`.
struct Slab {
    start: usize,
    parts: Vec<Pool>,
    rows: usize,
}

/// What each block of anchors chose.
pub(super) fn mine<T: Real>(task: &Task<'_, '_, T>, workers: &Workers<'_>) -> Result<Vec<Mined>> {
    let (count, pool) = (task.question.anchors.rows(), task.question.pool);
    let dim = pool.cols();
    let slab = (SLAB / dim / TILE).max(1) * TILE;
    let mut mined = Vec::new();
    for first in (0..count).step_by(GROUP) {
        let group = count.min(first + GROUP) - first;
        let mut blocks = workers.map(group.div_ceil(BLOCK), |i| {
            let start = first + i * BLOCK;
            let (vectors, searches) = task.begin(start, (first + group).min(start + BLOCK));
            Ok(Block {
                start,
                bytes: Anchors::new(&vectors, dim),
                vectors,
                waiting: vec![Vec::with_capacity(ROWS); searches.len()],
                searches,
                exact: 1,
            })
        })?;
        for start in (0..pool.rows()).step_by(slab) {
            let rows = slab.min(pool.rows() - start);
            let parts = workers.map(rows.div_ceil(TILE), |i| {
                let (from, to) = (start + i * TILE, start + rows.min((i + 1) * TILE));
                let factors = &task.inverse_norms[from..to];
                Ok(Pool::new(pool.slice(from, to).data(), factors, dim))
            })?;
            let slab = Slab { start, parts, rows };
            workers.for_each_piece(&mut blocks, 1, |_, blocks| {
                blocks
                    .iter_mut()
                    .try_for_each(|block| block.pass(task, &slab, workers))
            })?;
        }
        for block in blocks {
            mined.push(task.choose(&block.vectors, block.searches, block.start));
        }
    }
    Ok(mined)
}

impl<'a, T: Real> Block<'a, T> {
    /// Takes what is worth it of a slab.
    fn pass(&mut self, task: &Task<'a, '_, T>, slab: &Slab, workers: &Workers<'_>) -> Result<()> {
        let (mut tile, mut products, mut found) = (Vec::new(), Vec::new(), Vec::new());
        if !self.searches.iter().any(Search::needs_scores) {
            return Ok(());
        }
        for (i, part) in slab.parts.iter().enumerate() {
            workers.check()?;
            let rows = i * TILE..slab.rows.min((i + 1) * TILE);
            let rows = slab.start + rows.start..slab.start + rows.end;
            if self.exact > 0 {
                self.exact -= 1;
                task.offer(&self.vectors, &mut self.searches, rows, &mut tile);
                continue;
            }
            for from in (0..rows.len()).step_by(STRIP) {
                let strip = from..rows.len().min(from + STRIP);
                self.screen(task, part, rows.start, strip, (&mut products, &mut found));
            }
            if self.exact > 0 {
                self.settle(task);
            }
        }
        self.settle(task);
        Ok(())
    }

    /// Notes the rows of a strip that the bytes do not rule out.
    fn screen(
        &mut self,
        task: &Task<'a, '_, T>,
        part: &Pool,
        first: usize,
        strip: Range<usize>,
        (products, found): (&mut Vec<i32>, &mut Vec<u32>),
    ) {
        let dim = task.question.pool.cols();
        let (right, added) = part.part(strip.clone(), dim);
        let width = added.len();
        products.resize(
            self.searches.len().next_multiple_of(byte_tile::ROWS) * width,
            0,
        );
        byte_tile::products(&self.bytes.packed, right, added, dim, products);
        let mut needed = 0;
        for anchor in 0..self.searches.len() {
            if !self.searches[anchor].needs_scores() {
                continue;
            }
            found.clear();
            elementwise(Screen {
                anchors: &self.bytes,
                anchor,
                pool: part,
                rows: strip.clone(),
                products: &products[anchor * width..(anchor + 1) * width],
                bound: self.searches[anchor].threshold(),
                found,
            });
            for row in found.iter().map(|&row| first as u32 + row) {
                if self.searches[anchor].may_have(row) {
                    needed += 1;
                    self.waiting[anchor].push(row);
                    if self.waiting[anchor].len() == ROWS {
                        self.score(task, anchor);
                    }
                }
            }
        }
        if needed * SHARE > self.searches.len() * strip.len() {
            self.exact = PAUSE;
        }
    }

    /// Makes the similarities of the rows that wait for one anchor.
    fn score(&mut self, task: &Task<'a, '_, T>, anchor: usize) {
        let pool = task.question.pool;
        let waiting = &mut self.waiting[anchor];
        let mut rows: [&[T]; ROWS] = [&[]; ROWS];
        for (place, &row) in rows.iter_mut().zip(&*waiting) {
            *place = pool.row(row as usize);
        }
        let vector = &self.vectors[anchor * pool.cols()..(anchor + 1) * pool.cols()];
        let scores = dots(vector, &rows[..waiting.len()]);
        for (&row, score) in waiting.iter().zip(scores) {
            let score = match task.settings.similarity {
                Similarity::Cosine => score * task.inverse_norms[row as usize],
                Similarity::Dot => score,
            };
            self.searches[anchor].offer_row(row, score);
        }
        waiting.clear();
    }

    /// Makes all similarities that wait.
    fn settle(&mut self, task: &Task<'a, '_, T>) {
        for anchor in 0..self.searches.len() {
            if !self.waiting[anchor].is_empty() {
                self.score(task, anchor);
            }
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
