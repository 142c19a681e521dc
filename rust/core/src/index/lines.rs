//! Rows of one length in one buffer.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};
use crate::index::memory::spare;
use crate::index::room;
use crate::persist::Store;
use crate::pool::Workers;

/// Values a line.
pub const LANES: usize = 16;

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line([f32; LANES]);

// SAFETY: 16 floats fill the 64 bytes, and zeros are floats.
unsafe impl Zeroable for Line {}
// SAFETY: plain floats without padding, for which any bits are valid.
unsafe impl Pod for Line {}

/// A growing matrix, stored row after row.
#[derive(Clone, Debug)]
pub struct Table<T: Pod> {
    data: Store<T>,
    per_row: usize,
}

/// Rows of `f32` that begin at cache lines and are filled up with zeros, so that kernels run
/// without remainders and no load crosses a line.
pub type Lines = Table<Line>;

impl Lines {
    pub fn new(dim: usize) -> Self {
        Self::from_data(Store::default(), dim)
    }

    /// Rows as [`Table::data`] gave them.
    pub fn from_data(data: Store<Line>, dim: usize) -> Self {
        Self::of(data, dim.div_ceil(LANES))
    }

    /// Row `i` with the zeros behind it.
    #[inline(always)]
    pub fn row(&self, i: usize) -> &[f32] {
        bytemuck::cast_slice(self.part(i))
    }

    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.part_mut(i..i + 1))
    }
}

impl<T: Pod> Table<T> {
    /// Rows of `per_row` entries of `data`.
    pub fn of(data: Store<T>, per_row: usize) -> Self {
        Self { data, per_row }
    }

    /// Entries a row.
    pub fn per_row(&self) -> usize {
        self.per_row
    }

    /// All rows, one after the other.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// The entries of row `i`.
    #[inline(always)]
    pub fn part(&self, i: usize) -> &[T] {
        &self.data[i * self.per_row..(i + 1) * self.per_row]
    }

    /// The entries of some rows.
    pub fn part_mut(&mut self, rows: Range<usize>) -> &mut [T] {
        &mut self.data[rows.start * self.per_row..rows.end * self.per_row]
    }

    /// Bytes of the rows.
    pub fn memory(&self) -> usize {
        size_of_val(self.data())
    }

    /// Bytes reserved beyond the rows.
    pub fn spare(&self) -> usize {
        spare(&self.data)
    }

    /// A copy with room for `rows` more; none where there is room.
    pub fn with_room(&self, rows: usize) -> Result<Option<Self>> {
        let copy = room::store(&self.data, rows * self.per_row)?;
        Ok(copy.map(|data| Self::of(data, self.per_row)))
    }

    /// Makes it `rows` rows long; new ones are zero.
    pub fn resize(&mut self, rows: usize) -> Result<()> {
        let entries = rows * self.per_row;
        let more = entries.saturating_sub(self.data.len());
        if more > 0 {
            let data = self.data.to_mut();
            data.try_reserve(more).map_err(|_| Error::out_of_memory())?;
        }
        self.data.to_mut().resize(entries, T::zeroed());
        Ok(())
    }

    /// Writes row `from` over row `to`.
    pub fn copy_row(&mut self, from: usize, to: usize) {
        let from = from * self.per_row;
        self.data
            .copy_within(from..from + self.per_row, to * self.per_row);
    }

    /// Forgets the rows from number `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        self.data.to_mut().truncate(rows * self.per_row);
    }

    /// Gives unused memory back.
    pub fn shrink(&mut self) {
        self.data.to_mut().shrink_to_fit();
    }
}

impl<T: Pod + Send> Table<T> {
    /// Touches the memory that `rows` more will take.
    pub fn touch(&mut self, rows: usize, workers: &Workers<'_>) -> Result<()> {
        room::touch(&mut self.data, rows * self.per_row, workers)
    }
}
