//! The vectors of an index, whole or packed.

use std::io::{Read, Seek};

use crate::error::Result;
use crate::index::lines::Lines;
use crate::index::packed::{BLOCK, Packed, Storage};
use crate::index::space::Space;
use crate::metric::Metric;
use crate::persist::{Check, Reader, Writer};
use crate::pool::Workers;
use crate::simd::prefetch;

/// Rows as [`Space::store`] leaves them, or nearly so.
#[derive(Clone, Debug)]
pub enum Vectors {
    Float32(Lines),
    Packed(Packed),
}

use Vectors::{Float32, Packed as Small};

/// What is the same for both.
macro_rules! each {
    ($vectors:expr, $table:ident => $do:expr) => {
        match $vectors {
            Float32($table) => $do,
            Small(Packed { table: $table, .. }) => $do,
        }
    };
}

/// Rows that can be looked at one by one.
pub trait Views: Sync {
    /// Row `i`, filled up with zeros to whole lines: where it lies, or unpacked into `buffer`.
    fn view<'a>(&'a self, i: usize, buffer: &'a mut Vec<f32>) -> &'a [f32];

    /// Whether they take about as little room as codes of all their values would.
    fn are_packed(&self) -> bool;
}

impl Views for Lines {
    #[inline(always)]
    fn view<'a>(&'a self, i: usize, _: &'a mut Vec<f32>) -> &'a [f32] {
        self.row(i)
    }

    fn are_packed(&self) -> bool {
        false
    }
}

impl Views for Vectors {
    #[inline(always)]
    fn view<'a>(&'a self, i: usize, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        match self {
            Float32(lines) => lines.row(i),
            Small(packed) => {
                buffer.resize(packed.padded(), 0.0);
                packed.read(i, 0, buffer);
                buffer
            }
        }
    }

    fn are_packed(&self) -> bool {
        self.storage() != Storage::Float32
    }
}

impl Vectors {
    pub fn new(dim: usize, storage: Storage) -> Self {
        match storage {
            Storage::Float32 => Float32(Lines::new(dim)),
            Storage::Float16 | Storage::Int8 => Small(Packed::new(dim, storage)),
        }
    }

    pub fn storage(&self) -> Storage {
        match self {
            Float32(_) => Storage::Float32,
            Small(packed) => packed.storage,
        }
    }

    /// The views of several rows.
    pub fn views<'a>(
        &'a self,
        rows: impl Iterator<Item = usize> + Clone,
        buffer: &'a mut Vec<f32>,
    ) -> Vec<&'a [f32]> {
        match self {
            Float32(lines) => rows.map(|row| lines.row(row)).collect(),
            Small(packed) => {
                let size = packed.padded();
                buffer.resize(rows.clone().count() * size, 0.0);
                for (row, out) in rows.zip(buffer.chunks_mut(size)) {
                    packed.read(row, 0, out);
                }
                buffer.chunks(size).collect()
            }
        }
    }

    /// The distance of row `i` from a vector as [`Space::store`] leaves it.
    #[inline(always)]
    pub fn distance(&self, space: &Space, vector: &[f32], i: usize) -> f32 {
        match self {
            Float32(lines) => space.distance(vector, lines.row(i)),
            Small(packed) => {
                let mut values = [0.0; BLOCK];
                space.total(vector.chunks(BLOCK).enumerate().map(|(block, part)| {
                    let values = &mut values[..part.len()];
                    packed.read(i, block * BLOCK, values);
                    space.part(part, values)
                }))
            }
        }
    }

    /// The distances of row `i` from four vectors, each as [`Vectors::distance`] gives it.
    #[inline]
    pub fn four_distances(&self, space: &Space, vectors: [&[f32]; 4], i: usize) -> [f32; 4] {
        match self {
            Float32(lines) => space.four_distances(vectors, lines.row(i)),
            Small(packed) => {
                let (mut values, mut totals) = ([0.0; BLOCK], [0.0; 4]);
                let size = packed.padded();
                for start in (0..size).step_by(BLOCK) {
                    let end = size.min(start + BLOCK);
                    let values = &mut values[..end - start];
                    packed.read(i, start, values);
                    for (total, vector) in totals.iter_mut().zip(vectors) {
                        *total += space.part(&vector[start..end], values);
                    }
                }
                totals.map(|total| space.total(std::iter::once(total)))
            }
        }
    }

    /// The distance of two rows.
    #[inline(always)]
    pub fn between(&self, space: &Space, a: usize, b: usize) -> f32 {
        match self {
            Float32(lines) => space.distance(lines.row(a), lines.row(b)),
            Small(packed) => {
                let (mut values, mut others) = ([0.0; BLOCK], [0.0; BLOCK]);
                let size = packed.padded();
                space.total((0..size).step_by(BLOCK).map(|start| {
                    let count = BLOCK.min(size - start);
                    let (values, others) = (&mut values[..count], &mut others[..count]);
                    packed.read(a, start, values);
                    packed.read(b, start, others);
                    space.part(values, others)
                }))
            }
        }
    }

    /// Whether two rows hold the same vector.
    pub fn same(&self, a: usize, b: usize) -> bool {
        match self {
            Float32(lines) => lines.row(a) == lines.row(b),
            Small(packed) => packed.table.part(a) == packed.table.part(b),
        }
    }

    /// Asks for up to `lines` cache lines of row `i` ahead of its use.
    #[inline(always)]
    pub fn ask_for(&self, i: usize, lines: usize) {
        match self {
            Float32(rows) => prefetch(rows.part(i), lines),
            Small(packed) => prefetch(packed.table.part(i), lines),
        }
    }

    /// Writes row `i` and returns its length.
    pub fn put(&mut self, space: &Space, i: usize, row: &[f32], buffer: &mut Vec<f32>) -> f64 {
        match self {
            Float32(lines) => space.store(row, lines.row_mut(i)),
            Small(packed) => {
                buffer.resize(row.len(), 0.0);
                let length = space.store(row, buffer);
                packed.put(i, buffer, space.metric == Metric::Cosine);
                length
            }
        }
    }

    /// A copy with room for `more` rows; none where there is room.
    pub fn with_room(&self, more: usize) -> Result<Option<Self>> {
        Ok(match self {
            Float32(lines) => lines.with_room(more)?.map(Float32),
            Small(packed) => packed.with_room(more)?.map(Small),
        })
    }

    /// Makes it `rows` rows long; new ones are zero.
    pub fn resize(&mut self, rows: usize) -> Result<()> {
        each!(self, table => table.resize(rows))
    }

    /// Touches the memory that `rows` more will take.
    pub fn touch(&mut self, rows: usize, workers: &Workers<'_>) -> Result<()> {
        each!(self, table => table.touch(rows, workers))
    }

    /// Writes row `from` over row `to`.
    pub fn copy_row(&mut self, from: usize, to: usize) {
        each!(self, table => table.copy_row(from, to));
    }

    /// Forgets the rows from number `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        each!(self, table => table.truncate(rows));
    }

    /// Gives unused memory back.
    pub fn shrink(&mut self) {
        each!(self, table => table.shrink());
    }

    /// Bytes of the rows.
    pub fn memory(&self) -> usize {
        each!(self, table => table.memory())
    }

    /// Bytes reserved beyond the rows.
    pub fn spare(&self) -> usize {
        each!(self, table => table.spare())
    }

    /// Adds the first `len` rows to a file.
    pub fn write<'a>(&'a self, writer: Writer<'a>, len: usize) -> Writer<'a> {
        match self {
            Float32(lines) => writer.section("vectors", &lines.data()[..len * lines.per_row()]),
            Small(Packed { table, .. }) => {
                writer.section("packed vectors", &table.data()[..len * table.per_row()])
            }
        }
    }

    /// Reads `len` rows back, or where they lie: then they can be any bits.
    pub fn read<S: Read + Seek>(
        reader: &mut Reader<'_, S>,
        dim: usize,
        storage: Storage,
        len: usize,
    ) -> Result<Self> {
        Ok(match storage {
            Storage::Float32 => {
                let count = Lines::new(dim).per_row().saturating_mul(len);
                Float32(Lines::from_data(
                    reader.store("vectors", count, Check::Later)?,
                    dim,
                ))
            }
            Storage::Float16 | Storage::Int8 => {
                let count = Packed::new(dim, storage)
                    .table
                    .per_row()
                    .saturating_mul(len);
                Small(Packed::from_data(
                    reader.store("packed vectors", count, Check::Later)?,
                    dim,
                    storage,
                ))
            }
        })
    }
}
