//! Rows rounded to bytes, with bounds on what the rounding does to a similarity.
//!
//! A row `x` becomes `step · bytes` with a rest of length `rest`. For two rows, by Cauchy and
//! Schwarz, `|x·y - step step' bytes·bytes'| ≤ |x| rest' + rest (|y| + rest')`. The similarity that
//! the product in `f32` gives differs from `x·y` by at most `(d + 4) ε |x| |y|` (Higham 2002,
//! section 3.1), and some roundings more arise here; [`SLACK`] covers these.

use std::ops::Range;

use crate::real::Real;
use crate::simd::byte_tile::{
    COLS, LANES, ROWS, Reach, pack_left, pack_right, packed_len, raise, reach, reaching,
};
use crate::simd::{Elementwise, elementwise};

/// Roundings of a term beyond one for each dimension.
const SLACK: f64 = 64.0;

/// The largest byte.
const MOST: f32 = 127.0;

/// A row as bytes.
struct Rounded {
    step: f32,
    /// Of the row and of what the bytes leave of it, rounded up.
    length: f32,
    rest: f32,
}

struct Round<'a>(&'a [f32], &'a mut [i8]);

impl Elementwise for Round<'_> {
    type Output = (f32, f64, f64);

    /// Writes the bytes; returns the step and the squares of the row and of the rest.
    #[inline(always)]
    fn run(self) -> (f32, f64, f64) {
        /// Adding 1.5 · 2²³ rounds to an integer.
        const INTEGER: f32 = 12_582_912.0;
        const LANES: usize = 16;
        let Self(row, bytes) = self;
        let mut lanes = [0.0f32; LANES];
        let (blocks, rest) = row.as_chunks::<LANES>();
        for block in blocks {
            for (lane, &x) in lanes.iter_mut().zip(block) {
                *lane = if x.abs() > *lane { x.abs() } else { *lane };
            }
        }
        let largest =
            lanes.iter().chain(rest).fold(
                0.0f32,
                |most, &x| if x.abs() > most { x.abs() } else { most },
            );
        let step = if largest > 0.0 { largest / MOST } else { 1.0 };
        let inverse = 1.0 / step;
        let (mut squares, mut rests) = ([0.0f64; LANES], [0.0f64; LANES]);
        let parts = row.chunks(LANES).zip(bytes.chunks_mut(LANES));
        for (row, bytes) in parts {
            for (k, (&x, byte)) in row.iter().zip(bytes).enumerate() {
                let integer = (x * inverse + INTEGER) - INTEGER;
                *byte = integer as i8;
                let rest = f64::from(x) - f64::from(step) * f64::from(*byte);
                squares[k] += f64::from(x) * f64::from(x);
                rests[k] += rest * rest;
            }
        }
        (step, squares.iter().sum(), rests.iter().sum())
    }
}

impl Rounded {
    fn of(row: &[f32], bytes: &mut [i8]) -> Self {
        let (step, square, rest) = elementwise(Round(row, bytes));
        let up = |square: f64| (square.sqrt() * (1.0 + 1e-6)) as f32;
        Self {
            step,
            length: up(square),
            rest: up(rest),
        }
    }
}

/// Left rows as bytes.
pub(super) struct Anchors {
    pub packed: Vec<u8>,
    rows: Vec<Rounded>,
}

impl Anchors {
    pub fn new<T: Real>(rows: &[T], dim: usize) -> Self {
        let count = rows.len() / dim;
        let mut packed = vec![128; packed_len(count, dim, ROWS)];
        let (mut values, mut bytes) = (vec![0.0; dim], vec![0; dim]);
        let rows = rows.chunks_exact(dim).enumerate().map(|(i, row)| {
            for (value, &x) in values.iter_mut().zip(row) {
                *value = x.wide() as f32;
            }
            let rounded = Rounded::of(&values, &mut bytes);
            pack_left(i, &bytes, &mut packed);
            rounded
        });
        Self {
            rows: rows.collect(),
            packed,
        }
    }

    pub fn rows(&self) -> usize {
        self.rows.len()
    }
}

/// Right rows as bytes, in whole panels; rows that fill the last one up are out of reach.
pub(super) struct Pool {
    pub packed: Vec<i8>,
    pub added: Vec<i32>,
    steps: Vec<f32>,
    lengths: Vec<f32>,
    rests: Vec<f32>,
    /// The largest length and rest of each panel.
    largest: Vec<(f32, f32)>,
}

impl Pool {
    /// Of rows that are multiplied by `factors`.
    pub fn new<T: Real>(rows: &[T], factors: &[T], dim: usize) -> Self {
        let count = factors.len();
        let whole = count.next_multiple_of(COLS);
        let slack = ((dim as f64 + SLACK) * f64::from(f32::EPSILON)) as f32;
        let mut pool = Self {
            packed: vec![0; packed_len(count, dim, COLS)],
            added: vec![0; whole],
            steps: vec![0.0; whole],
            lengths: vec![0.0; whole],
            rests: vec![f32::NEG_INFINITY; whole],
            largest: vec![(0.0, 0.0); whole / COLS],
        };
        let (mut values, mut bytes) = (vec![0.0; dim], vec![0; dim]);
        for (i, (row, factor)) in rows.chunks_exact(dim).zip(factors).enumerate() {
            for (value, &x) in values.iter_mut().zip(row) {
                *value = (x * *factor).wide() as f32;
            }
            let rounded = Rounded::of(&values, &mut bytes);
            pool.added[i] = pack_right(i, &bytes, &mut pool.packed);
            pool.steps[i] = rounded.step;
            let length = (rounded.length + rounded.rest) * (1.0 + slack);
            pool.lengths[i] = length;
            let rest = (rounded.rest + slack * length) * (1.0 + slack);
            pool.rests[i] = rest;
            let largest = &mut pool.largest[i / COLS];
            *largest = (largest.0.max(length), largest.1.max(rest));
        }
        pool
    }

    /// Rows of a part that begins at `start`, a multiple of [`COLS`], and its bytes.
    pub fn part(&self, range: Range<usize>, dim: usize) -> (&[i8], &[i32]) {
        let depth = packed_len(1, dim, 1);
        let whole = range.start..range.end.next_multiple_of(COLS);
        (
            &self.packed[whole.start * depth..whole.end * depth],
            &self.added[whole],
        )
    }
}

/// A row whose similarity may reach a bound, and between what it lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near {
    pub row: u32,
    pub least: f32,
    pub most: f32,
}

/// Finds the rows whose similarity may reach a bound.
pub(super) struct Screen<'a> {
    pub anchors: &'a Anchors,
    pub anchor: usize,
    pub pool: &'a Pool,
    /// The pool's rows that `products` are of.
    pub rows: Range<usize>,
    pub products: &'a [i32],
    pub bound: f64,
}

/// Room for what screens find out on their way.
#[derive(Default)]
pub(super) struct Scratch {
    pub found: Vec<Near>,
    farthest: Vec<f32>,
    bits: Vec<u32>,
}

impl Screen<'_> {
    pub fn run(self, scratch: &mut Scratch) {
        let anchor = &self.anchors.rows[self.anchor];
        let inverse = 1.0 / anchor.step;
        let (rest, length) = (anchor.rest * inverse, anchor.length * inverse);
        // Not above the bound.
        let rounded = self.bound as f32;
        let bound = if f64::from(rounded) > self.bound {
            rounded.next_down()
        } else {
            rounded
        };
        let bound = bound * inverse;
        let whole = self.rows.start..self.rows.start + self.products.len();
        let steps = &self.pool.steps[whole.clone()];
        let (lengths, rests) = (
            &self.pool.lengths[whole.clone()],
            &self.pool.rests[whole.clone()],
        );
        // No row's reach is above that of its panel: multiplying and adding round in order.
        let largest = &self.pool.largest[whole.start / COLS..whole.end / COLS];
        let Scratch {
            found,
            farthest,
            bits,
        } = scratch;
        farthest.clear();
        farthest.extend(largest.iter().map(|most| most.0 * rest + most.1 * length));
        reaching(self.products, steps, farthest, bound, bits);
        found.clear();
        for (block, &bits) in bits.iter().enumerate() {
            if bits == 0 {
                continue;
            }
            let first = block * COLS;
            let given = (self.rows.len() - first).min(COLS);
            let mut hits = bits & u32::MAX >> (COLS - given);
            while hits != 0 {
                let k = first + hits.trailing_zeros() as usize;
                hits &= hits - 1;
                let reach = lengths[k] * rest + rests[k] * length;
                let most = self.products[k] as f32 * steps[k] + reach;
                if most >= bound {
                    found.push(Near {
                        row: (self.rows.start + k) as u32,
                        least: (most - 2.0 * reach) * anchor.step,
                        most: most * anchor.step,
                    });
                }
            }
        }
    }
}

/// One anchor's products with a part of the pool, of which it may have the rows whose bits are set.
pub(super) struct Glance<'a> {
    pub anchors: &'a Anchors,
    pub anchor: usize,
    pub pool: &'a Pool,
    pub products: &'a [i32],
    pub allowed: &'a [u64],
}

impl Glance<'_> {
    fn reach(&self) -> Reach<'_> {
        let anchor = &self.anchors.rows[self.anchor];
        let inverse = 1.0 / anchor.step;
        Reach {
            steps: &self.pool.steps,
            lengths: &self.pool.lengths,
            rests: &self.pool.rests,
            by: (anchor.rest * inverse, anchor.length * inverse),
        }
    }

    /// Raises lanes to the largest that rows reach at least, over the anchor's step. What the lanes
    /// hold is of different rows.
    pub fn raise(&self, lanes: &mut [f32; LANES]) {
        raise(self.products, &self.reach(), self.allowed, lanes);
    }

    /// Appends the rows that may reach a bound, which is over the anchor's step as well; the part
    /// begins at row `start`.
    pub fn find(&self, bound: f32, start: u32, bits: &mut Vec<(u32, u64)>, found: &mut Vec<Near>) {
        let by = self.reach();
        reach(self.products, &by, bound, self.allowed, bits);
        let step = self.anchors.rows[self.anchor].step;
        for &(word, mut bits) in bits.iter() {
            while bits != 0 {
                let k = word as usize * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let reach = by.lengths[k] * by.by.0 + by.rests[k] * by.by.1;
                let most = self.products[k] as f32 * by.steps[k] + reach;
                found.push(Near {
                    row: start + k as u32,
                    least: (most - 2.0 * reach) * step,
                    most: most * step,
                });
            }
        }
    }
}
