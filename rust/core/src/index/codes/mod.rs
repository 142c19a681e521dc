//! Rows in eight bits a value, for walks that would otherwise wait for memory.
//!
//! A row is centred, turned into a few dozen to a few hundred values by a [`Projection`] where
//! that keeps its neighbours apart, and stored as bytes with a scale of its own. Distances between
//! codes order candidates; what is returned is compared again in full precision.

mod check;
mod coding;
mod projection;
mod train;

use std::ops::Range;

use crate::error::Result;
use crate::index::lines::{Line, Lines};
use crate::index::room;
use crate::index::space::squares;
use crate::index::vectors::Views;
use crate::metric::Metric;
use crate::persist::Store;
use crate::pool::Workers;
use crate::simd::bytes::{Bytes, LINE, TRAILER};

pub use coding::{Coding, Look};
pub use projection::Projection;
pub use train::{Plan, TRAIN_ROWS, suits, train};

/// More dimensions than this are not coded: sums of products must stay within `i32`.
pub const MAX_DIM: usize = 1 << 14;

/// Rows encoded at a time.
const CHUNK: usize = 64;

/// Lines that hold the codes of `values` values and the trailer.
pub fn lines_of(values: usize) -> usize {
    (values + TRAILER).div_ceil(LINE)
}

/// How rows become codes.
#[derive(Clone, Debug, PartialEq)]
pub struct Codec {
    /// What is taken from every row; zero under inner products, which it would change.
    pub mean: Vec<f32>,
    pub projection: Option<Projection>,
    /// Cache lines a code.
    pub lines: usize,
    /// Rows have length 1, but for zero rows.
    cosine: bool,
}

impl Codec {
    pub fn new(mean: Vec<f32>, projection: Option<Projection>, metric: Metric) -> Self {
        let values = projection.as_ref().map_or(mean.len(), Projection::values);
        Self {
            lines: lines_of(values),
            mean,
            projection,
            cosine: metric == Metric::Cosine,
        }
    }

    /// Writes the code of a row as [`Space::store`] left it.
    pub fn encode(&self, row: &[f32], work: &mut Work, code: &mut [u8]) {
        work.values.clear();
        let centred = row.iter().zip(&self.mean).map(|(&x, &mean)| x - mean);
        work.values.extend(centred);
        let mut square = squares(&work.values);
        // A zero row is at cosine distance 1 from all: as far as rows at a right angle.
        if self.cosine {
            square += 1.0 - squares(row);
        }
        if let Some(projection) = &self.projection {
            projection.apply(work);
        }
        let scale = quantise(&work.values, code);
        let trailer = code.len() - TRAILER;
        code[trailer..trailer + 4].copy_from_slice(&scale.to_le_bytes());
        code[trailer + 4..].copy_from_slice(&(square as f32).to_le_bytes());
    }
}

/// Writes `values` as bytes around 128 and returns what one step stands for.
fn quantise(values: &[f32], code: &mut [u8]) -> f32 {
    let largest = values.iter().fold(0.0f32, |top, x| top.max(x.abs()));
    code.fill(128);
    if largest < f32::MIN_POSITIVE {
        return 0.0;
    }
    let steps = 127.0 / largest;
    for (byte, &x) in code.iter_mut().zip(values) {
        // Adding 1.5·2²³ leaves the nearest integer in the low bits.
        *byte = ((x * steps + 12_582_912.0).to_bits() as u8).wrapping_add(128);
    }
    largest / 127.0
}

/// Buffers of one encoding after another.
#[derive(Debug, Default)]
pub struct Work {
    values: Vec<f32>,
    bytes: Vec<u8>,
    code: Vec<u8>,
    signed: Vec<i8>,
    sums: Vec<i32>,
}

impl Work {
    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        let words = self.values.capacity() + self.sums.capacity();
        words * size_of::<f32>()
            + self.bytes.capacity()
            + self.code.capacity()
            + self.signed.capacity()
    }
}

/// What a code's last bytes tell: what one step stands for, and the row's squared length.
#[inline(always)]
fn trailer(code: &[u8]) -> (f32, f32) {
    let (_, last) = code.split_at(code.len() - TRAILER);
    let word = |at: usize| f32::from_le_bytes([last[at], last[at + 1], last[at + 2], last[at + 3]]);
    (word(0), word(4))
}

/// A code to compare others with: in signed bytes, 0 where codes have their trailer.
#[derive(Clone, Debug, Default)]
pub struct Query {
    bytes: Vec<i8>,
    scale: f32,
    square: f32,
    /// `128 · Σ bytes`, which products with unsigned bytes are too large by.
    excess: i32,
    sums: Vec<i32>,
}

impl Query {
    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes.capacity() + self.sums.capacity() * size_of::<i32>()
    }

    /// Takes the place of what it was.
    pub fn set(&mut self, code: &[u8]) {
        self.bytes.clear();
        self.bytes
            .extend(code.iter().map(|&byte| (byte ^ 128) as i8));
        let end = code.len() - TRAILER;
        self.bytes[end..].fill(0);
        (self.scale, self.square) = trailer(code);
        self.excess = 128 * self.bytes.iter().map(|&byte| i32::from(byte)).sum::<i32>();
    }
}

/// The codes of rows 0 to `len`.
#[derive(Clone, Debug)]
pub struct Codes {
    pub codec: Codec,
    inner_product: bool,
    data: Lines,
    kernels: &'static Bytes,
}

impl Codes {
    pub fn new(codec: Codec, metric: Metric) -> Self {
        Self {
            data: Lines::new(codec.lines * (LINE / size_of::<f32>())),
            inner_product: metric == Metric::InnerProduct,
            codec,
            kernels: Bytes::get(),
        }
    }

    /// Codes as a file held them.
    pub fn from_data(codec: Codec, metric: Metric, data: Store<Line>) -> Self {
        let mut codes = Self::new(codec, metric);
        codes.data = Lines::from_data(data, codes.codec.lines * (LINE / size_of::<f32>()));
        codes
    }

    /// All codes, one after the other.
    pub fn data(&self) -> &[Line] {
        self.data.data()
    }

    pub fn len(&self) -> usize {
        self.data.data().len() / self.codec.lines
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self.data.data())
    }

    /// The code of row `i`.
    #[inline(always)]
    pub fn code(&self, i: usize) -> &[u8] {
        let size = self.codec.lines * LINE;
        &self.bytes()[i * size..(i + 1) * size]
    }

    /// Encodes the rows `range` of `vectors`, which come next.
    pub fn append(
        &mut self,
        vectors: &impl Views,
        range: Range<usize>,
        workers: &Workers<'_>,
    ) -> Result<()> {
        self.data.resize(range.end)?;
        let lines = self.codec.lines;
        let codec = &self.codec;
        let codes = self.data.part_mut(range.clone());
        workers.for_each_piece(codes, CHUNK * lines, |i, piece| {
            let (mut work, mut buffer) = (Work::default(), Vec::new());
            let first = range.start + i * CHUNK;
            for (j, code) in piece.chunks_mut(lines).enumerate() {
                let code = bytemuck::cast_slice_mut(code);
                codec.encode(vectors.view(first + j, &mut buffer), &mut work, code);
            }
            Ok(())
        })
    }

    /// Makes `query` the code of a vector.
    pub fn encode(&self, vector: &[f32], work: &mut Work, query: &mut Query) {
        let mut code = std::mem::take(&mut work.code);
        code.resize(self.codec.lines * LINE, 0);
        self.codec.encode(vector, work, &mut code);
        query.set(&code);
        work.code = code;
    }

    /// Whether most of the query's vector does not show in its code: its distances mislead then, for
    /// they leave out where rows of the same kind agree with it.
    pub fn leaves_out_much(&self, query: &Query) -> bool {
        let squares = query.bytes.iter().map(|&b| i32::from(b) * i32::from(b));
        query.scale * query.scale * (squares.sum::<i32>() as f32) < 0.5 * query.square
    }

    /// A copy with room for `more` codes; none where there is room.
    pub fn with_room(&self, more: usize) -> Result<Option<Lines>> {
        self.data.with_room(more)
    }

    /// Moves to a larger place; `room` is left with the old one.
    pub fn make_room(&mut self, room: &mut Option<Lines>) {
        room::swap(&mut self.data, room);
    }

    /// Writes code `from` over code `to`.
    pub fn copy_row(&mut self, from: usize, to: usize) {
        self.data.copy_row(from, to);
    }

    /// Gives unused memory back.
    pub fn shrink(&mut self) {
        self.data.shrink();
    }

    /// Forgets the codes from row `len` on.
    pub fn truncate(&mut self, len: usize) {
        // Shrinking does not allocate.
        let _ = self.data.resize(len);
    }

    /// The distance between two rows, for ordering.
    #[inline]
    pub fn between(&self, a: usize, b: usize) -> f32 {
        let (a, b) = (self.code(a), self.code(b));
        let (a_scale, a_square) = trailer(a);
        let (b_scale, b_square) = trailer(b);
        let product = a_scale * b_scale * self.kernels.pair(a, b) as f32;
        self.distance(a_square + b_square, product)
    }

    #[inline(always)]
    fn distance(&self, squares: f32, product: f32) -> f32 {
        if self.inner_product {
            -product
        } else {
            squares - 2.0 * product
        }
    }

    /// The distances of `rows` from the query.
    #[inline]
    pub fn distances(&self, query: &mut Query, rows: &[u32], distances: &mut Vec<f32>) {
        query.sums.clear();
        query.sums.resize(rows.len(), 0);
        self.kernels
            .products(&query.bytes, self.bytes(), rows, &mut query.sums);
        distances.clear();
        distances.extend(rows.iter().zip(&query.sums).map(|(&row, &sum)| {
            let (scale, square) = trailer(self.code(row as usize));
            let product = query.scale * scale * (sum - query.excess) as f32;
            self.distance(query.square + square, product)
        }));
    }

    /// Bytes reserved beyond the codes.
    pub fn spare(&self) -> usize {
        self.data.spare()
    }

    pub fn memory(&self) -> usize {
        let projection = self.codec.projection.as_ref().map_or(0, Projection::memory);
        self.data.memory() + size_of_val(self.codec.mean.as_slice()) + projection
    }
}

#[cfg(test)]
mod tests;
