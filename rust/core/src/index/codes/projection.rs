//! A linear map to fewer values, in bytes.

use crate::index::lines::{Line, Lines};
use crate::simd::bytes::{Bytes, LINE};

use crate::persist::Store;

use super::{Work, quantise};

/// Rows of a matrix as bytes around 128, each with what one step stands for.
#[derive(Clone, Debug)]
pub struct Projection {
    matrix: Lines,
    scales: Vec<f32>,
    numbers: Vec<u32>,
}

impl PartialEq for Projection {
    fn eq(&self, other: &Self) -> bool {
        self.scales == other.scales && self.bytes() == other.bytes()
    }
}

/// Cache lines of a row of `dim` bytes.
fn lines(dim: usize) -> usize {
    dim.div_ceil(LINE)
}

impl Projection {
    /// From a row-major matrix of rows of `dim` values.
    pub fn new(values: &[f32], dim: usize) -> crate::error::Result<Self> {
        let rows = values.len() / dim;
        let mut matrix = Lines::new(lines(dim) * (LINE / size_of::<f32>()));
        matrix.resize(rows)?;
        let scales = values
            .chunks_exact(dim)
            .enumerate()
            .map(|(i, row)| quantise(row, bytemuck::cast_slice_mut(matrix.row_mut(i))))
            .collect();
        Ok(Self {
            matrix,
            scales,
            numbers: (0..rows as u32).collect(),
        })
    }

    /// From what [`Projection::parts`] gave.
    pub fn from_parts(matrix: Store<Line>, scales: Vec<f32>, dim: usize) -> Self {
        Self {
            matrix: Lines::from_data(matrix, lines(dim) * (LINE / size_of::<f32>())),
            numbers: (0..scales.len() as u32).collect(),
            scales,
        }
    }

    pub fn parts(&self) -> (&[Line], &[f32]) {
        (self.matrix.data(), &self.scales)
    }

    /// Lines of the matrix that maps `dim` values to `values`.
    pub fn size(dim: usize, values: usize) -> usize {
        lines(dim) * values
    }

    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self.matrix.data())
    }

    /// How many values it gives.
    pub fn values(&self) -> usize {
        self.scales.len()
    }

    /// Replaces the values in `work` by their image.
    pub fn apply(&self, work: &mut Work) {
        let size = self.matrix.per_row() * LINE;
        work.bytes.clear();
        work.bytes.resize(size, 128);
        let scale = quantise(&work.values, &mut work.bytes);
        work.signed.clear();
        work.signed
            .extend(work.bytes.iter().map(|&byte| (byte ^ 128) as i8));
        let excess = 128 * work.signed.iter().map(|&x| i32::from(x)).sum::<i32>();
        work.sums.clear();
        work.sums.resize(self.values(), 0);
        Bytes::get().products(&work.signed, self.bytes(), &self.numbers, &mut work.sums);
        work.values.clear();
        let sums = work.sums.iter().zip(&self.scales);
        work.values
            .extend(sums.map(|(&sum, &own)| own * scale * (sum - excess) as f32));
    }

    pub fn memory(&self) -> usize {
        self.matrix.memory() + size_of_val(self.scales.as_slice()) * 2
    }
}
