//! Rows of `f32` that begin at cache lines and fill them.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};

const LANES: usize = 16;

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line([f32; LANES]);

// SAFETY: 16 floats fill the 64 bytes, and zeros are floats.
unsafe impl Zeroable for Line {}
// SAFETY: plain floats without padding, for which any bits are valid.
unsafe impl Pod for Line {}

/// A growing matrix whose rows are filled up with zeros to whole cache lines, so that kernels
/// run without remainders and no load crosses a line.
#[derive(Clone, Debug)]
pub struct Lines {
    data: Vec<Line>,
    per_row: usize,
}

impl Lines {
    pub fn new(dim: usize) -> Self {
        Self {
            data: Vec::new(),
            per_row: dim.div_ceil(LANES),
        }
    }

    /// Rows as [`Lines::data`] gave them.
    pub fn from_data(data: Vec<Line>, dim: usize) -> Self {
        Self {
            data,
            per_row: dim.div_ceil(LANES),
        }
    }

    /// Cache lines a row.
    pub fn per_row(&self) -> usize {
        self.per_row
    }

    /// All rows, one after the other.
    pub fn data(&self) -> &[Line] {
        &self.data
    }

    /// Row `i` with the zeros behind it.
    #[inline(always)]
    pub fn row(&self, i: usize) -> &[f32] {
        bytemuck::cast_slice(&self.data[i * self.per_row..(i + 1) * self.per_row])
    }

    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.data[i * self.per_row..(i + 1) * self.per_row])
    }

    /// The lines of some rows.
    pub fn lines_mut(&mut self, rows: Range<usize>) -> &mut [Line] {
        &mut self.data[rows.start * self.per_row..rows.end * self.per_row]
    }

    /// Bytes taken.
    pub fn memory(&self) -> usize {
        self.data.capacity() * size_of::<Line>()
    }

    /// Makes it `rows` rows long; new ones are zero.
    pub fn resize(&mut self, rows: usize) -> Result<()> {
        let lines = rows * self.per_row;
        let more = lines.saturating_sub(self.data.len());
        self.data.try_reserve(more).map_err(|_| out_of_memory())?;
        if more > 0 {
            prefer_huge_pages(&mut self.data);
        }
        self.data.resize(lines, Line::zeroed());
        Ok(())
    }
}

/// Asks for huge pages behind a large buffer: walks touch it at random, and each small page costs a
/// look at the page tables.
pub fn prefer_huge_pages<T>(buffer: &mut Vec<T>) {
    #[cfg(target_os = "linux")]
    {
        const HUGE: usize = 2 << 20;
        let start = (buffer.as_ptr() as usize).next_multiple_of(HUGE);
        let end = buffer.as_ptr() as usize + buffer.capacity() * size_of::<T>();
        let length = end.saturating_sub(start) / HUGE * HUGE;
        if length > 0 {
            // SAFETY: the range lies within the buffer's allocation; the advice changes no value.
            // It may be refused, which costs speed alone.
            let _ = unsafe { libc::madvise(start as *mut _, length, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = buffer;
}

pub fn out_of_memory() -> Error {
    Error::Io(std::io::Error::from(std::io::ErrorKind::OutOfMemory))
}
