//! Values that belong to the entries of a sparse matrix, cut where rows end.

use crate::error::{Error, Result};
use crate::real::Real;

use super::csr::Csr;

/// Rows of the matrix that one work item handles; small, for degrees are often skewed.
pub(super) const ROWS: usize = 32;

/// Splits `data`, with `width` values an entry, into the parts of [`ROWS`] rows each.
pub(super) fn row_blocks<'d, T: Real, U>(
    pattern: Csr<'_, T>,
    width: usize,
    mut data: &'d mut [U],
) -> Vec<&'d mut [U]> {
    let indptr = pattern.indptr();
    (0..pattern.rows())
        .step_by(ROWS)
        .map(|first| {
            let last = (first + ROWS).min(pattern.rows());
            let entries = (indptr[last] - indptr[first]) as usize;
            let (block, rest) = std::mem::take(&mut data).split_at_mut(entries * width);
            data = rest;
            block
        })
        .collect()
}

/// Fails unless `got` values are `rows` rows of `width`.
pub(super) fn check_values(
    argument: &'static str,
    got: usize,
    rows: usize,
    width: usize,
) -> Result<()> {
    if rows.checked_mul(width) == Some(got) {
        return Ok(());
    }
    Err(Error::invalid(
        argument,
        format!("has {got} values but shape ({rows}, {width}) is needed"),
    ))
}

/// How many columns of `cols` each of `heads` heads has.
pub(super) fn head_width(cols: usize, heads: usize) -> Result<usize> {
    if heads > 0 && cols.is_multiple_of(heads) {
        return Ok(cols / heads);
    }
    Err(Error::invalid(
        "heads",
        format!("is {heads} but must divide the {cols} columns"),
    ))
}
