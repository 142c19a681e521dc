//! The most similar of the pool rows whose bits are set, by products of bytes first: for few
//! anchors at a time the products with the whole pool are made, which stay in the second cache up to
//! some 18,000 rows. What a few of them reach at least then rules out nearly all others, before any
//! is looked at alone.

use std::ops::Range;

use super::coarse::{Anchors, Glance, Near, Pool};
use super::filtered::Slab;
use super::ground::Ground;
use super::question::Similarity;
use crate::linalg::dots::{ROWS, dots};
use crate::real::Real;
use crate::simd::byte_tile::{self, LANES};
use crate::simd::prefetch;

/// Anchors that are compared together: a panel of the kernel.
pub(crate) const GROUP: usize = byte_tile::ROWS;

/// Lines of a row that are asked for before its exact similarity is made.
const LINES: usize = 16;

/// Up to [`GROUP`] anchors, each with bits of the pool rows that it may have.
pub(crate) struct Asked<'a, T> {
    /// Of length one where lengths do not matter.
    pub vectors: &'a [T],
    pub bits: &'a [u64],
    /// The pool's rows as bytes, all of them.
    pub slab: &'a Slab,
}

/// Room for what is found out on the way.
#[derive(Default)]
pub(crate) struct Room {
    products: Vec<i32>,
    lanes: Vec<[f32; LANES]>,
    bits: Vec<(u32, u64)>,
    found: Vec<Vec<Near>>,
    least: Vec<f32>,
}

/// The `count`-th largest of some numbers, or minus infinity where there are fewer.
fn nth_largest(numbers: &mut [f32], count: usize) -> f32 {
    if numbers.len() < count {
        return f32::NEG_INFINITY;
    }
    match count.checked_sub(1) {
        None => f32::INFINITY,
        Some(last) => {
            *numbers
                .select_nth_unstable_by(last, |a, b| b.total_cmp(a))
                .1
        }
    }
}

impl<T: Real> Asked<'_, T> {
    /// Calls `take` with an anchor's number and pool rows, rising, and their exact similarities:
    /// those of the `kept[anchor]` most similar, and others that bytes cannot rule out. Returns how
    /// many were made.
    pub fn answer(
        &self,
        ground: &Ground<'_, T>,
        kept: &[usize],
        room: &mut Room,
        mut take: impl FnMut(usize, u32, T),
    ) -> usize {
        let dim = ground.pool.cols();
        let anchors = Anchors::new(self.vectors, dim);
        let Room {
            products,
            lanes,
            bits,
            found,
            least,
        } = room;
        // Different rows, each of them the largest of a lane: as many of these as are kept are a
        // floor. Twice as many lanes make it a high one.
        let most = kept.iter().max().copied().unwrap_or(0);
        let sets = (2 * most).div_ceil(LANES).max(1);
        lanes.clear();
        lanes.resize(GROUP * sets, [f32::NEG_INFINITY; LANES]);
        let places = self.parts().last().map_or(0, |part| part.places.end);
        products.resize(places, 0);
        for (i, part) in self.parts().enumerate() {
            let Pool { packed, added, .. } = part.pool;
            let products = &mut products[part.places.clone()];
            byte_tile::products(&anchors.packed, packed, added, dim, products);
            for anchor in 0..kept.len() {
                let glance = self.glance(&anchors, anchor, &part, products);
                glance.raise(&mut lanes[anchor * sets + i % sets]);
            }
        }
        let floors = kept.iter().zip(lanes.chunks_mut(sets));
        let floors = floors.map(|(&kept, lanes)| nth_largest(lanes.as_flattened_mut(), kept));
        let floors: Vec<_> = floors.collect();
        found.resize_with(GROUP, Vec::new);
        for part in self.parts() {
            let (products, start) = (&products[part.places.clone()], part.rows.start as u32);
            for (anchor, (&floor, found)) in floors.iter().zip(found.iter_mut()).enumerate() {
                let glance = self.glance(&anchors, anchor, &part, products);
                glance.find(floor, start, bits, found);
            }
        }
        let mut made = 0;
        for anchor in 0..=kept.len() {
            // Rows come from afar: those of an anchor are asked for before the last one's are read.
            if let Some(&kept) = kept.get(anchor) {
                let found = &mut found[anchor];
                least.clear();
                least.extend(found.iter().map(|near| near.least));
                let floor = nth_largest(least, kept);
                found.retain(|near| near.most >= floor);
                for near in found {
                    prefetch(ground.pool.row(near.row as usize), LINES);
                }
            }
            if let Some(anchor) = anchor.checked_sub(1) {
                made += found[anchor].len();
                let vector = &self.vectors[anchor * dim..(anchor + 1) * dim];
                score(ground, vector, &found[anchor], |row, score| {
                    take(anchor, row, score)
                });
                found[anchor].clear();
            }
        }
        made
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut end = 0;
        self.slab.parts().map(move |(pool, rows)| {
            let begin = end;
            end += GROUP * pool.added.len();
            Part {
                pool,
                rows,
                places: begin..end,
            }
        })
    }

    fn glance<'a>(
        &'a self,
        anchors: &'a Anchors,
        anchor: usize,
        part: &Part<'a>,
        products: &'a [i32],
    ) -> Glance<'a> {
        let width = part.pool.added.len();
        let words = self.bits.len() / anchors.rows();
        Glance {
            anchors,
            anchor,
            pool: part.pool,
            products: &products[anchor * width..(anchor + 1) * width],
            allowed: &self.bits[anchor * words..(anchor + 1) * words][part.rows.start / 64..],
        }
    }
}

/// Some of the pool's rows, and the places of their products with all anchors.
struct Part<'a> {
    pool: &'a Pool,
    rows: Range<usize>,
    places: Range<usize>,
}

/// Makes the exact similarities of what was found.
fn score<T: Real>(
    ground: &Ground<'_, T>,
    vector: &[T],
    found: &[Near],
    mut take: impl FnMut(u32, T),
) {
    let pool = ground.pool;
    for some in found.chunks(ROWS) {
        let mut rows: [&[T]; ROWS] = [&[]; ROWS];
        for (place, near) in rows.iter_mut().zip(some) {
            *place = pool.row(near.row as usize);
        }
        let scores = dots(vector, &rows[..some.len()]);
        for (near, score) in some.iter().zip(scores) {
            let score = match ground.similarity {
                Similarity::Cosine => score * ground.inverse_norms[near.row as usize],
                Similarity::Dot => score,
            };
            take(near.row, score);
        }
    }
}
