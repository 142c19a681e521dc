//! Negatives from a pool of vectors, exactly, without a matrix of all similarities.
//!
//! Anchors are taken in blocks, the pool in tiles; one product a pair of them gives a tile of
//! similarities, of which each anchor keeps what its strategy asks for.

use std::borrow::Cow;
use std::collections::HashMap;

use super::best::Scored;
use super::eligible::class_sizes;
use super::filtered;
use super::ground::{Ground, Keeper, TILE};
use super::question::{Positives, Question, Settings, Similarity};
use super::search::Search;
use crate::error::{Error, Result};
use crate::linalg::unit::plain_rows;
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

/// Pool rows, `k` an anchor, padded with -1; their similarities, padded with -∞.
#[derive(Debug, Default)]
pub struct Mined {
    pub indices: Vec<i64>,
    pub similarities: Vec<f32>,
    pub counts: Vec<i64>,
}

/// One over a row's length, 0 for a row of zeros, 1 where lengths do not matter.
fn inverse_norm<T: Real>(row: &[T], similarity: Similarity) -> T {
    if similarity == Similarity::Dot {
        return T::one();
    }
    // In f64, where squares of f32 cannot overflow.
    let norm = row.iter().map(|x| x.wide() * x.wide()).sum::<f64>().sqrt();
    T::of(if norm > 0.0 { 1.0 / norm } else { 0.0 })
}

/// A question with what all of its anchors share.
pub(super) struct Task<'a, 'b, T> {
    pub question: &'b Question<'a, T>,
    pub settings: &'b Settings,
    /// Of the pool's rows.
    pub inverse_norms: Vec<T>,
    sizes: HashMap<i64, usize>,
}

impl<'a, T: Real> Task<'a, '_, T> {
    /// That of the least similar positive: a semi-hard negative lies below all of them.
    /// Minus infinity where there is none.
    fn positive_similarity(&self, anchor: usize, vector: &[T]) -> T {
        let kernels = simd::table::<T>();
        match self.question.positives {
            Positives::Unknown => T::neg_infinity(),
            Positives::Vectors(positives) => {
                let row = positives.row(anchor);
                kernels.dot(vector, row) * inverse_norm(row, self.settings.similarity)
            }
            Positives::Rows(_) => self
                .question
                .positives_of(anchor)
                .map(|&row| self.similarity(vector, row as usize))
                .reduce(T::min)
                .unwrap_or(T::neg_infinity()),
        }
    }

    fn similarity(&self, vector: &[T], row: usize) -> T {
        simd::table::<T>().dot(vector, self.question.pool.row(row)) * self.inverse_norms[row]
    }

    /// The anchors `start..end`, of length one where lengths do not matter, and their searches.
    pub(super) fn begin(&self, start: usize, end: usize) -> (Vec<T>, Vec<Search<'a, T>>) {
        let Question { anchors, .. } = *self.question;
        let mut vectors = anchors.slice(start, end).data().to_vec();
        let rows = vectors.chunks_exact_mut(anchors.cols().max(1));
        let searches = rows.zip(start..end).map(|(row, anchor)| {
            let factor = inverse_norm(row, self.settings.similarity);
            row.iter_mut().for_each(|x| *x *= factor);
            let upper = self.positive_similarity(anchor, row);
            Search::new(self.question, self.settings, &self.sizes, anchor, upper)
        });
        let searches = searches.collect();
        (vectors, searches)
    }

    pub(super) fn ground(&self) -> Ground<'_, T> {
        Ground {
            pool: self.question.pool,
            inverse_norms: &self.inverse_norms,
            similarity: self.settings.similarity,
        }
    }

    /// What searches of the anchors from `start` on have chosen.
    pub(super) fn choose(
        &self,
        vectors: &[T],
        searches: Vec<Search<'a, T>>,
        start: usize,
    ) -> Mined {
        let mut mined = Mined::default();
        let dim = self.question.anchors.cols();
        for (i, search) in searches.into_iter().enumerate() {
            let vector = &vectors[i * dim..(i + 1) * dim];
            let similarity = |row| self.similarity(vector, row as usize).wide();
            let chosen = search.choose(self.settings, start + i, similarity);
            mined.extend(&chosen, self.settings);
        }
        mined
    }

    /// Negatives of the anchors `start..end`.
    fn mine(&self, workers: &Workers<'_>, start: usize, end: usize) -> Result<Mined> {
        let (vectors, mut searches) = self.begin(start, end);
        if searches.iter().any(Keeper::needs_scores) {
            let ground = self.ground();
            let (pool, mut tile) = (self.question.pool.rows(), Vec::new());
            for from in (0..pool).step_by(TILE) {
                workers.check()?;
                let range = from..pool.min(from + TILE);
                ground.offer(&vectors, &mut searches, range, &mut tile);
            }
        }
        Ok(self.choose(&vectors, searches, start))
    }
}

impl Mined {
    fn append(&mut self, block: Self) {
        self.indices.extend(block.indices);
        self.similarities.extend(block.similarities);
        self.counts.extend(block.counts);
    }

    fn extend(&mut self, chosen: &[Scored], settings: &Settings) {
        let limit = match settings.similarity {
            Similarity::Cosine => 1.0,
            Similarity::Dot => f64::INFINITY,
        };
        let end = self.indices.len() + settings.k;
        self.counts.push(chosen.len() as i64);
        self.indices.extend(chosen.iter().map(|c| i64::from(c.row)));
        self.indices.resize(end, -1);
        self.similarities
            .extend(chosen.iter().map(|c| c.score.clamp(-limit, limit) as f32));
        self.similarities.resize(end, f32::NEG_INFINITY);
    }
}

/// Chooses up to `k` distinct negatives for every anchor.
///
/// The result depends on `seed`, not on the number of threads.
pub fn mine<'a, T: Real>(
    workers: &Workers<'_>,
    question: &Question<'a, T>,
    settings: &Settings,
) -> Result<Mined> {
    question.check()?;
    let plain = |rows: Matrix<'a, T>| match settings.similarity {
        Similarity::Dot => Ok(Cow::Borrowed(rows.data())),
        Similarity::Cosine => plain_rows(rows, workers),
    };
    let (anchors, pool) = (plain(question.anchors)?, plain(question.pool)?);
    let positives = match question.positives {
        Positives::Vectors(rows) => Some(plain(rows)?),
        _ => None,
    };
    let like = |data, rows: Matrix<'a, T>| Matrix::new(data, rows.rows(), rows.cols());
    let question = &Question {
        anchors: like(&anchors, question.anchors)?,
        pool: like(&pool, question.pool)?,
        positives: match (question.positives, &positives) {
            (Positives::Vectors(rows), Some(data)) => Positives::Vectors(like(data, rows)?),
            (other, _) => other,
        },
        ..*question
    };
    mine_plain(workers, question, settings)
}

/// As [`mine`], of vectors whose dot products and inverse lengths are finite.
fn mine_plain<T: Real>(
    workers: &Workers<'_>,
    question: &Question<'_, T>,
    settings: &Settings,
) -> Result<Mined> {
    let count = question.anchors.rows();
    let pool = question.pool;
    let values = count.saturating_mul(settings.k);
    let mut mined = Mined::default();
    // Asked for first: a `k` beyond memory fails here and not after the work.
    let room = mined
        .indices
        .try_reserve_exact(values)
        .and_then(|()| mined.similarities.try_reserve_exact(values));
    if room.is_err() {
        return Err(Error::invalid(
            "k",
            format!("is {} for {count} anchors, more than fits", settings.k),
        ));
    }
    const ROWS: usize = 4096;
    let inverse_norms = workers
        .map(pool.rows().div_ceil(ROWS), |i| {
            let end = pool.rows().min((i + 1) * ROWS);
            Ok((i * ROWS..end)
                .map(|row| inverse_norm(pool.row(row), settings.similarity))
                .collect::<Vec<_>>())
        })?
        .concat();
    let task = Task {
        question,
        settings,
        inverse_norms,
        sizes: class_sizes(question.labels),
    };
    if filtered::pays(&task) {
        for block in filtered::mine(&task, workers)? {
            mined.append(block);
        }
        return Ok(mined);
    }
    // Few anchors still make enough blocks for all threads.
    let block = (count / 32).clamp(8, 64);
    let blocks = workers.map(count.div_ceil(block), |i| {
        task.mine(workers, i * block, count.min((i + 1) * block))
    })?;
    for block in blocks {
        mined.append(block);
    }
    Ok(mined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mining::{Skip, Strategy};
    use crate::rng::Stream;

    fn answer(strategy: Strategy, threads: usize) -> Mined {
        let mut stream = Stream::new(2, 0);
        let vectors: Vec<f64> = (0..3_000 * 4).map(|_| stream.uniform() - 0.5).collect();
        let labels: Vec<i64> = (0..3_000).map(|i| i % 7).collect();
        let pool = Matrix::new(&vectors, 3_000, 4).unwrap();
        let question = Question {
            anchors: pool.slice(0, 300),
            pool,
            pool_is_anchors: false,
            positives: Positives::Vectors(pool.slice(300, 600)),
            labels: Some((&labels[..300], &labels)),
            exclude: None,
        };
        let settings = Settings {
            strategy,
            similarity: Similarity::Dot,
            k: 5,
            skip: Skip::Share(0.01),
            hard_share: 0.5,
            alpha: 5.0,
            margin: f64::INFINITY,
            seed: 9,
        };
        mine(&Workers::of(threads), &question, &settings).unwrap()
    }

    #[test]
    fn threads_change_nothing_and_classes_are_kept_apart() {
        for strategy in Strategy::ALL {
            let (one, three) = (answer(strategy, 1), answer(strategy, 3));
            assert_eq!(one.indices, three.indices);
            assert_eq!(one.similarities, three.similarities);
            assert!(one.counts.iter().all(|&count| count == 5));
            for (anchor, rows) in one.indices.chunks(5).enumerate() {
                assert!(rows.iter().all(|row| row % 7 != anchor as i64 % 7));
            }
        }
    }
}
