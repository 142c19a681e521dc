//! Vectors with their cosines to an anchor, and the way back through these.

use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::metric::Row;
use crate::real::Real;
use crate::simd::{self, Sum};

/// A vector with its cosine to the anchor and what the loss's derivative to that becomes.
#[derive(Clone, Copy)]
pub(super) struct Scored<'a, T> {
    pub row: Row<'a, T>,
    pub cosine: f64,
    pub value: f64,
}

/// Dot products with an anchor and squares of rows that lie one after the other.
pub(super) struct Sums<T> {
    dots: Vec<T>,
    squares: Vec<T>,
}

impl<T: Real> Sums<T> {
    pub fn new() -> Self {
        Self {
            dots: Vec::new(),
            squares: Vec::new(),
        }
    }

    /// Each row with its dot product and its square.
    pub fn of<'s, 'a>(
        &'s mut self,
        anchor: &Row<'_, T>,
        rows: Matrix<'a, T>,
    ) -> impl Iterator<Item = (&'a [T], T, T)> + 's
    where
        'a: 's,
    {
        self.dots.resize(rows.rows(), T::zero());
        self.squares.resize(rows.rows(), T::zero());
        simd::table::<T>().sweep(
            Sum::DotAndSquare,
            anchor.values,
            1,
            rows.data(),
            &mut self.dots,
            &mut self.squares,
        );
        let sums = self.dots.iter().zip(&self.squares).enumerate();
        sums.map(move |(k, (&dot, &square))| (rows.row(k), dot, square))
    }
}

/// `anchor`'s cosines with all `rows`, which come with their dot products and squares; `value` is
/// the logit. Fails where a value is not finite.
pub(super) fn score<'a, T: Real>(
    anchor: &Row<'_, T>,
    rows: impl Iterator<Item = (&'a [T], T, T)>,
    temperature: f64,
    scored: &mut Vec<Scored<'a, T>>,
) -> Result<()> {
    scored.clear();
    for (values, dot, square) in rows {
        let row = finite(Row::with_square(values, square))?;
        let cosine = anchor.cosine_by(&row, || dot);
        scored.push(Scored {
            row,
            cosine,
            value: cosine / temperature,
        });
    }
    Ok(())
}

pub(super) fn finite<T>(row: Row<'_, T>) -> Result<Row<'_, T>> {
    if row.norm.is_finite() {
        return Ok(row);
    }
    Err(Error::invalid(
        "embeddings",
        "has a row without a finite length",
    ))
}

/// Sends the weights in `value` back; the gradient rows are taken off the front of `to_rows`.
/// Returns what is to be taken from `to_anchor` along the anchor.
pub(super) fn send<T: Real>(
    anchor: &Row<'_, T>,
    scored: &[Scored<'_, T>],
    to_anchor: &mut [T],
    to_rows: &mut &mut [T],
) -> f64 {
    let mut along = 0.0;
    for scored in scored {
        let to_row = to_rows.split_off_mut(..to_anchor.len()).unwrap_or_default();
        along += anchor.pull(&scored.row, scored.cosine, scored.value, to_anchor, to_row);
    }
    along
}
