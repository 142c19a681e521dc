//! A pool that searches are shown, tile by tile.

use std::ops::Range;

use super::question::Similarity;
use crate::linalg::gemm::{Strided, gemm};
use crate::matrix::Matrix;
use crate::real::Real;
use crate::simd::{Elementwise, elementwise};

/// Pool rows of a tile: with 64 anchors in f32, a tile of similarities takes 256 KiB.
pub(crate) const TILE: usize = 1024;

/// What keeps the similarities of one anchor that it asks for.
pub(crate) trait Keeper<T> {
    /// Whether anything is to be kept.
    fn needs_scores(&self) -> bool;

    /// What a similarity must exceed to be kept, where nothing but the largest are.
    fn threshold(&self) -> f64;

    /// How many of the largest are kept.
    fn capacity(&self) -> usize;

    fn may_have(&self, row: u32) -> bool;

    /// Takes the similarity of one pool row that it may have. Rows come in rising order.
    fn offer_row(&mut self, row: u32, score: T);

    /// Takes the similarities of pool rows `start..`.
    fn offer(&mut self, start: usize, scores: &[T]);
}

/// Rows that anchors are compared with.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a, T> {
    pub pool: Matrix<'a, T>,
    /// One over each row's length, 0 for rows of zeros, 1 where lengths do not matter.
    pub inverse_norms: &'a [T],
    pub similarity: Similarity,
}

struct Scale<'a, T>(&'a mut [T], &'a [T]);

impl<T: Real> Elementwise for Scale<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (x, &factor) in self.0.iter_mut().zip(self.1) {
            *x *= factor;
        }
    }
}

impl<T: Real> Ground<'_, T> {
    /// Shows the pool rows `range` to searches; `vectors` are their anchors.
    pub fn offer<K: Keeper<T>>(
        &self,
        vectors: &[T],
        searches: &mut [K],
        range: Range<usize>,
        tile: &mut Vec<T>,
    ) {
        let rows = self.pool.slice(range.start, range.end);
        tile.resize(rows.rows() * searches.len(), T::zero());
        gemm(
            T::one(),
            Strided::rows(vectors, searches.len(), rows.cols()),
            Strided::rows(rows.data(), rows.rows(), rows.cols()).transposed(),
            T::zero(),
            tile,
        );
        let factors = &self.inverse_norms[range.clone()];
        for (search, scores) in searches.iter_mut().zip(tile.chunks_exact_mut(range.len())) {
            if self.similarity == Similarity::Cosine {
                elementwise(Scale(scores, factors));
            }
            search.offer(range.start, scores);
        }
    }
}
