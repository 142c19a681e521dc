//! Index tuples into one table of embeddings: rows out, gradients back.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

/// Rows a worker copies at a time.
const PIECE: usize = 256;

/// Fails with the first index that is not a row of a table of `rows` rows.
pub fn check_indices(indices: &[i64], rows: usize, argument: &'static str) -> Result<()> {
    let outside = |&index: &i64| usize::try_from(index).map_or(true, |index| index >= rows);
    match indices.iter().position(outside) {
        None => Ok(()),
        Some(at) => Err(Error::invalid(
            argument,
            format!(
                "holds {} at position {at} but the embeddings have rows 0 to {}",
                indices[at],
                rows as i64 - 1
            ),
        )),
    }
}

/// Copies row `indices[i]` of `table` to row `i` of `out`.
pub fn gather<T: Real>(
    table: Matrix<'_, T>,
    indices: &[i64],
    out: &mut [T],
    workers: &Workers<'_>,
) -> Result<()> {
    check_indices(indices, table.rows(), "indices")?;
    let cols = table.cols();
    check_rows(out.len(), indices.len(), cols)?;
    workers.for_each_piece(out, PIECE * cols.max(1), |piece, out| {
        let indices = &indices[piece * PIECE..];
        for (row, &index) in out.chunks_exact_mut(cols.max(1)).zip(indices) {
            row.copy_from_slice(table.row(index as usize));
        }
        Ok(())
    })
}

/// Adds row `i` of `rows` to row `indices[i]` of `out`, repeats in the order of `indices`, so the
/// result does not depend on the number of threads.
pub fn scatter_add<T: Real>(
    indices: &[i64],
    rows: Matrix<'_, T>,
    out: &mut [T],
    workers: &Workers<'_>,
) -> Result<()> {
    let cols = rows.cols();
    check_rows(rows.data().len(), indices.len(), cols)?;
    let count = out.len().checked_div(cols).unwrap_or(0);
    check_indices(indices, count, "indices")?;
    // Every worker reads all indices and adds to its own rows: a row's order stays the list's.
    let share = count.div_ceil(workers.threads()).max(1);
    workers.for_each_piece(out, share * cols.max(1), |piece, out| {
        let first = piece * share;
        let mine = first..first + out.len().checked_div(cols).unwrap_or(0);
        for (i, &index) in indices.iter().enumerate() {
            let index = index as usize;
            if mine.contains(&index) {
                let at = (index - first) * cols;
                simd::table::<T>().axpy(T::one(), rows.row(i), &mut out[at..at + cols]);
            }
        }
        Ok(())
    })
}

/// Entries sorted by the row that they belong to, in the order in which they came.
pub struct Lists<E> {
    starts: Vec<usize>,
    entries: Vec<E>,
}

impl<E: Copy + Default + Send> Lists<E> {
    /// `entries` starts over all rows, below `rows`, and what their lists get.
    pub fn new<I: Iterator<Item = (usize, E)>>(
        rows: usize,
        entries: impl Fn() -> I + Sync,
        workers: &Workers<'_>,
    ) -> Result<Self> {
        // Every worker reads all entries and lists those of its own rows: the order stays theirs.
        let share = rows.div_ceil(workers.threads()).max(1);
        let mut starts = vec![0; rows + 1];
        workers.for_each_piece(&mut starts[1..], share, |piece, counts| {
            let first = piece * share;
            entries().for_each(|(row, _)| {
                if let Some(count) = counts.get_mut(row.wrapping_sub(first)) {
                    *count += 1;
                }
            });
            Ok(())
        })?;
        for row in 0..rows {
            starts[row + 1] += starts[row];
        }
        let mut sorted = vec![E::default(); starts[rows]];
        let mut pieces = Vec::new();
        let mut left = &mut sorted[..];
        for first in (0..rows).step_by(share) {
            let next = starts[first..rows.min(first + share)].to_vec();
            let size = starts[first + next.len()] - starts[first];
            let (mine, rest) = left.split_at_mut(size);
            left = rest;
            pieces.push((first, next, mine));
        }
        workers.for_each_piece(&mut pieces, 1, |_, pieces| {
            for (first, next, sorted) in pieces {
                let base = starts[*first];
                entries().for_each(|(row, entry)| {
                    if let Some(next) = next.get_mut(row.wrapping_sub(*first)) {
                        sorted[*next - base] = entry;
                        *next += 1;
                    }
                });
            }
            Ok(())
        })?;
        Ok(Self {
            starts,
            entries: sorted,
        })
    }

    /// Where in [`Self::entries`] the list of `row` lies.
    pub fn range(&self, row: usize) -> Range<usize> {
        self.starts[row]..self.starts[row + 1]
    }

    /// All lists, one after the other.
    pub fn entries(&self) -> &[E] {
        &self.entries
    }

    pub fn of(&self, row: usize) -> &[E] {
        &self.entries[self.range(row)]
    }
}

fn check_rows(values: usize, rows: usize, cols: usize) -> Result<()> {
    if values == rows * cols {
        return Ok(());
    }
    Err(Error::invalid(
        "indices",
        format!("has {rows} entries, which does not match the number of rows"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_add_up_on_any_number_of_threads() {
        let table: Vec<f32> = (0..40).map(|i| i as f32 * 0.1).collect();
        let table = Matrix::new(&table, 10, 4).unwrap();
        let indices: Vec<i64> = (0..1000).map(|i| (i * 7 + i / 3) % 10).collect();
        let run = |workers: &Workers| {
            let mut rows = vec![0.0; 4000];
            gather(table, &indices, &mut rows, workers).unwrap();
            let mut out = vec![0.0; 40];
            let rows = Matrix::new(&rows, 1000, 4).unwrap();
            scatter_add(&indices, rows, &mut out, workers).unwrap();
            out
        };
        assert_eq!(run(&Workers::serial()), run(&Workers::of(3)));
        let times = indices.iter().filter(|&&i| i == 3).count() as f32;
        assert!((run(&Workers::serial())[12] - times * 1.2).abs() < 1e-2);
    }

    #[test]
    fn an_index_outside_is_named() {
        let table = Matrix::new(&[0.0f32; 4], 2, 2).unwrap();
        for bad in [-1, 2] {
            let error = gather(table, &[0, bad], &mut [0.0; 4], &Workers::serial()).unwrap_err();
            assert!(error.to_string().contains(&format!("{bad} at position 1")));
        }
    }
}
