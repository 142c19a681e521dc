//! Rows of numbers in the types that they may be stored in.

use std::any::TypeId;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::real::Real;
use crate::simd::{Elementwise, Sum, elementwise, half, table};

use super::gemm::{Operand, Panels, Strided};
use super::pack::pack;

/// The exponent bits of a half, all ones in what is not finite.
const EXPONENT: u16 = 0x7c00;

/// Rows that are computed with as `T`.
#[derive(Clone, Copy, Debug)]
pub enum Stored<'a, T> {
    Plain(Matrix<'a, T>),
    /// Bits of IEEE halves; decoded where they are used, never all at once.
    Halves(Matrix<'a, u16>),
}

impl<'a, T> From<Matrix<'a, T>> for Stored<'a, T> {
    fn from(rows: Matrix<'a, T>) -> Self {
        Self::Plain(rows)
    }
}

impl<T: Real> Stored<'_, T> {
    pub fn rows(&self) -> usize {
        match self {
            Self::Plain(rows) => rows.rows(),
            Self::Halves(rows) => rows.rows(),
        }
    }

    pub fn cols(&self) -> usize {
        match self {
            Self::Plain(rows) => rows.cols(),
            Self::Halves(rows) => rows.cols(),
        }
    }

    /// Fails with the first row that holds a NaN or an infinity.
    pub fn check_finite(&self, argument: &'static str) -> Result<()> {
        let rows = match self {
            Self::Plain(rows) => return rows.check_finite(argument),
            Self::Halves(rows) => rows,
        };
        if elementwise(AllFinite(rows.data())) {
            return Ok(());
        }
        let is_bad = |&half: &u16| half & EXPONENT == EXPONENT;
        let row = (0..rows.rows())
            .find(|&i| rows.row(i).iter().any(is_bad))
            .unwrap_or(0);
        Err(Error::invalid(
            argument,
            format!("has NaN or infinity in row {row}; remove or replace such rows"),
        ))
    }

    /// Values `steps` of row `i`, in `buffer` where they have to be decoded.
    pub(super) fn part<'s>(
        &'s self,
        i: usize,
        steps: Range<usize>,
        buffer: &'s mut Vec<T>,
    ) -> &'s [T] {
        match self {
            Self::Plain(rows) => &rows.row(i)[steps],
            Self::Halves(rows) => {
                buffer.resize(steps.len(), T::zero());
                decode(&rows.row(i)[steps], buffer);
                buffer
            }
        }
    }

    /// Row `i`, in `buffer` where it has to be decoded.
    pub(super) fn row<'s>(&'s self, i: usize, buffer: &'s mut Vec<T>) -> &'s [T] {
        self.part(i, 0..self.cols(), buffer)
    }

    /// Sums of `count` queries with each of some rows, as the kernels' `sweep` makes them.
    pub(super) fn sweep(
        &self,
        sum: Sum,
        queries: &[T],
        count: usize,
        rows: Range<usize>,
        sums: &mut [T],
        squares: &mut [T],
    ) {
        let kernels = table::<T>();
        let values = rows.start * self.cols()..rows.end * self.cols();
        match self {
            Self::Plain(all) => {
                kernels.sweep(sum, queries, count, &all.data()[values], sums, squares);
            }
            Self::Halves(all) => {
                kernels.sweep_halves(sum, queries, count, &all.data()[values], sums, squares);
            }
        }
    }
}

struct AllFinite<'a>(&'a [u16]);

impl Elementwise for AllFinite<'_> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        self.0.chunks(4096).all(|block| {
            let bad = |&half: &u16| u16::from(half & EXPONENT == EXPONENT);
            block.iter().map(bad).fold(0, |any, bad| any | bad) == 0
        })
    }
}

fn decode<T: Real>(halves: &[u16], out: &mut [T]) {
    const BLOCK: usize = 64;
    if TypeId::of::<T>() == TypeId::of::<f32>() {
        return half::decode(halves, bytemuck::cast_slice_mut(out));
    }
    let mut values = [0.0; BLOCK];
    for (halves, out) in halves.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        let values = &mut values[..halves.len()];
        half::decode(halves, values);
        for (out, &value) in out.iter_mut().zip(&*values) {
            *out = T::of(f64::from(value));
        }
    }
}

/// Rows as an operand of a product, each times its factor where there are factors.
#[derive(Clone, Copy)]
pub(super) struct Scaled<'a, T> {
    pub rows: Stored<'a, T>,
    /// One a row, or none.
    pub factors: &'a [T],
}

impl<T: Real> Operand<T> for Scaled<'_, T> {
    fn lines(&self) -> usize {
        self.rows.rows()
    }

    fn depth(&self) -> usize {
        self.rows.cols()
    }

    fn pack(&self, panels: Panels, out: &mut [T]) {
        if let (Stored::Plain(rows), []) = (self.rows, self.factors) {
            let all = Strided::rows(rows.data(), rows.rows(), rows.cols());
            return all.pack(panels, out);
        }
        let Panels {
            lines,
            steps,
            width,
            multiple,
        } = panels;
        let depth = steps.len();
        let mut values = vec![T::zero(); width * depth];
        let mut buffer = Vec::new();
        for (p, panel) in out.chunks_mut(width * depth).enumerate() {
            let first = lines.start + p * width;
            let lines = first..lines.end.min(first + width);
            let values = &mut values[..lines.len() * depth];
            for (i, place) in lines.clone().zip(values.chunks_exact_mut(depth)) {
                place.copy_from_slice(self.rows.part(i, steps.clone(), &mut buffer));
                if let Some(&factor) = self.factors.get(i) {
                    place.iter_mut().for_each(|value| *value *= factor);
                }
            }
            pack(
                Strided::rows(values, lines.len(), depth),
                width,
                multiple,
                panel,
            );
        }
    }
}
