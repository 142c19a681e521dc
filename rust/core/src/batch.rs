//! Index tuples into one table of embeddings: rows out, gradients back.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

/// Rows a worker copies at a time.
const PIECE: usize = 256;

/// Rows a worker adds up at a time; small, for a few rows often appear far more than the rest.
const SMALL_PIECE: usize = 32;

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

/// Overwrites each row of `out` with what `add(item, role, row)` adds for every item and role
/// whose `lists[role][item]` is that row, in the order of items and then roles, so the result does
/// not depend on the number of threads. Nothing as large as the items' gradients is ever stored.
pub fn by_row<T: Real>(
    lists: &[&[i64]],
    cols: usize,
    out: &mut [T],
    workers: &Workers<'_>,
    add: impl Fn(usize, usize, &mut [T]) + Sync,
) -> Result<()> {
    let rows = out.len().checked_div(cols).unwrap_or(0);
    let (roles, items) = (lists.len(), lists.first().map_or(0, |list| list.len()));
    for list in lists {
        check_rows(list.len(), items, 1)?;
        check_indices(list, rows, "indices")?;
    }
    let appearances = || {
        let of_item = move |item| (0..roles).map(move |role| (item, role));
        let pairs = (0..items).flat_map(of_item);
        pairs.map(|(item, role)| (lists[role][item] as usize, item * roles + role))
    };
    let appearances = Lists::new(rows, appearances, workers)?;
    workers.for_each_piece(out, SMALL_PIECE * cols.max(1), |piece, out| {
        for (k, row) in out.chunks_exact_mut(cols.max(1)).enumerate() {
            row.fill(T::zero());
            for &at in appearances.of(piece * SMALL_PIECE + k) {
                add(at / roles, at % roles, row);
            }
        }
        Ok(())
    })
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
    fn appearances_are_added_in_order() {
        let lists: [&[i64]; 2] = [&[0, 2, 2], &[2, 0, 2]];
        let run = |threads| {
            let mut out = vec![f64::NAN; 3];
            let add = |item: usize, role: usize, row: &mut [f64]| {
                row[0] = row[0] * 10.0 + (2 * item + role + 1) as f64;
            };
            by_row(&lists, 1, &mut out, &Workers::of(threads), add).unwrap();
            out
        };
        assert_eq!(run(1), [14.0, 0.0, 2356.0]);
        assert_eq!(run(2), run(1));
        let mut out = [0.0f64; 2];
        assert!(by_row(&lists, 1, &mut out, &Workers::serial(), |_, _, _| {}).is_err());
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
