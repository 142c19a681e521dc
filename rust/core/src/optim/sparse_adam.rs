//! Adam on those rows of a table that have a gradient; the others, and their moments, stay.
//!
//! Lazy, as `torch.optim.SparseAdam` is: moments of rows without a gradient do not decay, and the
//! correction of bias goes by the steps of the whole table. A step that lists every row once is
//! [`super::adam::step`] bit by bit.

use super::adam::{Adam, Scalars, check_steps, update};
use super::sweep::check_lengths;
use crate::batch::check_indices;
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{self, Elementwise, elementwise};

/// Rows of a piece.
const ROWS: usize = 64;

/// Rows fetched ahead: their addresses are known to nobody but this list.
const AHEAD: usize = 8;

/// Cache lines of a row fetched ahead; the hardware follows a row once it has begun.
const LINES: usize = 4;

/// A table with its state, all row-major of `cols` columns, and the gradient of some rows.
pub struct Table<'a, T> {
    pub weights: &'a mut [T],
    pub first_moment: &'a mut [T],
    pub second_moment: &'a mut [T],
    pub cols: usize,
    /// Row numbers in any order; the gradients of one listed several times are added up in the
    /// list's order.
    pub rows: &'a [i64],
    /// One row each.
    pub gradient: &'a [T],
    pub lr: f64,
    pub weight_decay: f64,
}

/// A row of the table and its place in the list.
type Entry = (usize, usize);

/// Rows that are near each other in the table, and the part of the table that spans them.
struct Piece<'a, T> {
    entries: &'a [Entry],
    weights: &'a mut [T],
    first: &'a mut [T],
    second: &'a mut [T],
    gradient: &'a [T],
    cols: usize,
    scalars: Scalars<T>,
}

impl<T: Real> Elementwise for &mut Piece<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let cols = self.cols;
        let Some(&(start, _)) = self.entries.first() else {
            return;
        };
        let mut sum = Vec::new();
        let mut at = 0;
        while let Some(&(row, place)) = self.entries.get(at) {
            let same = self.entries[at..].iter().take_while(|e| e.0 == row).count();
            if let Some(&(later, place)) = self.entries.get(at + AHEAD) {
                let from = (later - start) * cols;
                simd::prefetch(&self.weights[from..from + cols], LINES);
                simd::prefetch(&self.first[from..from + cols], LINES);
                simd::prefetch(&self.second[from..from + cols], LINES);
                simd::prefetch(&self.gradient[place * cols..(place + 1) * cols], LINES);
            }
            let mut gradient = &self.gradient[place * cols..(place + 1) * cols];
            if same > 1 {
                sum.clear();
                sum.extend_from_slice(gradient);
                for &(_, place) in &self.entries[at + 1..at + same] {
                    let more = &self.gradient[place * cols..(place + 1) * cols];
                    for (sum, &x) in sum.iter_mut().zip(more) {
                        *sum += x;
                    }
                }
                gradient = &sum;
            }
            let from = (row - start) * cols;
            update(
                &mut self.weights[from..from + cols],
                gradient,
                &mut self.first[from..from + cols],
                &mut self.second[from..from + cols],
                &self.scalars,
            );
            at += same;
        }
    }
}

/// Tables that can be moved, and the order in which their rows are.
pub struct Checked<'a, T> {
    tables: Vec<(Table<'a, T>, Vec<Entry>)>,
}

/// Fails unless lengths fit each other, every row listed is one, and gradients of a row that is
/// listed several times have a finite sum.
pub fn check<'a, T: Real>(
    workers: &Workers<'_>,
    tables: Vec<Table<'a, T>>,
) -> Result<Checked<'a, T>> {
    let tables = tables.into_iter().map(|table| {
        let values = table.weights.len();
        let moments = [table.first_moment.len(), table.second_moment.len()];
        check_lengths(values, &moments)?;
        check_lengths(table.rows.len() * table.cols, &[table.gradient.len()])?;
        let count = values.checked_div(table.cols).unwrap_or(0);
        if count * table.cols != values {
            return Err(Error::invalid(
                "params",
                format!("has {values} values, no whole rows of {}", table.cols),
            ));
        }
        check_indices(table.rows, count, "rows")?;
        let order = order(workers, table.rows)?;
        check_sums(workers, &table, &order)?;
        Ok((table, order))
    });
    Ok(Checked {
        tables: tables.collect::<Result<_>>()?,
    })
}

/// Entries of rows that are listed several times, and the gradients they are added from.
struct Repeated<'a, T> {
    groups: &'a [&'a [Entry]],
    gradient: &'a [T],
    cols: usize,
}

impl<T: Real> Elementwise for Repeated<'_, T> {
    type Output = Option<usize>;

    /// The first group whose sum is not finite.
    #[inline(always)]
    fn run(self) -> Option<usize> {
        let cols = self.cols;
        let mut sum = vec![T::zero(); cols];
        self.groups.iter().position(|same| {
            sum.fill(T::zero());
            for &(_, place) in *same {
                let more = &self.gradient[place * cols..(place + 1) * cols];
                sum.iter_mut().zip(more).for_each(|(sum, &x)| *sum += x);
            }
            !T::block_is_finite(&sum)
        })
    }
}

fn check_sums<T: Real>(workers: &Workers<'_>, table: &Table<'_, T>, order: &[Entry]) -> Result<()> {
    let same = order.chunk_by(|a, b| a.0 == b.0);
    let repeated: Vec<&[Entry]> = same.filter(|same| same.len() > 1).collect();
    let found = workers.map(repeated.len().div_ceil(ROWS), |i| {
        let groups = &repeated[i * ROWS..repeated.len().min((i + 1) * ROWS)];
        let piece = Repeated {
            groups,
            gradient: table.gradient,
            cols: table.cols,
        };
        Ok(elementwise(piece).map(|at| groups[at]))
    })?;
    match found.into_iter().flatten().next() {
        Some(same) => Err(Error::invalid(
            "gradients",
            format!(
                "of row {} add up to infinity where it is listed {} times; clip them",
                same[0].0,
                same.len()
            ),
        )),
        None => Ok(()),
    }
}

impl<T: Real> Checked<'_, T> {
    /// Moves the listed rows of every table by step number `steps`, counted from 1.
    ///
    /// Gradients must be finite: see [`super::first_not_finite`].
    pub fn step(self, workers: &Workers<'_>, rule: &Adam, steps: i64) -> Result<()> {
        check_steps(steps)?;
        let mut pieces = Vec::new();
        let (tables, orders): (Vec<_>, Vec<_>) = self.tables.into_iter().unzip();
        for (table, order) in tables.into_iter().zip(&orders) {
            let scalars = Scalars::new(rule, steps, table.lr, table.weight_decay);
            split(table, order, scalars, &mut pieces);
        }
        // Never interrupted, as all sweeps.
        Workers::of(workers.threads()).for_each_piece(&mut pieces, 1, |_, pieces| {
            pieces.iter_mut().for_each(elementwise);
            Ok(())
        })
    }
}

fn order(workers: &Workers<'_>, rows: &[i64]) -> Result<Vec<Entry>> {
    let entries = || rows.iter().map(|&row| row as usize).zip(0..);
    if rows.is_sorted() {
        return Ok(entries().collect());
    }
    let is_word = |value: usize| u32::try_from(value).is_ok();
    if is_word(rows.len()) && rows.iter().all(|&row| is_word(row as usize)) {
        // In one word, which sorts twice as fast as two.
        let pack = |(row, place): Entry| ((row as u64) << 32) | place as u64;
        let mut words: Vec<u64> = entries().map(pack).collect();
        workers.sort(&mut words)?;
        let unpack = |word: u64| ((word >> 32) as usize, word as u32 as usize);
        return Ok(words.into_iter().map(unpack).collect());
    }
    let mut order: Vec<Entry> = entries().collect();
    workers.sort(&mut order)?;
    Ok(order)
}

/// Cuts a table behind every [`ROWS`] entries or a few more: entries of a row stay together.
fn split<'a, T: Real>(
    table: Table<'a, T>,
    mut order: &'a [Entry],
    scalars: Scalars<T>,
    pieces: &mut Vec<Piece<'a, T>>,
) {
    let cols = table.cols;
    let (mut weights, mut first) = (table.weights, table.first_moment);
    let mut second = table.second_moment;
    // Rows before this one are cut off already.
    let mut done = 0;
    while let Some(&(start, _)) = order.first() {
        let mut taken = ROWS.min(order.len());
        let last = order[taken - 1].0;
        taken += order[taken..].iter().take_while(|e| e.0 == last).count();
        let (before, span) = ((start - done) * cols, (last + 1 - start) * cols);
        let cut = |data: &mut &'a mut [T]| {
            let rest = std::mem::take(data);
            let (piece, rest) = rest[before..].split_at_mut(span);
            *data = rest;
            piece
        };
        pieces.push(Piece {
            entries: &order[..taken],
            weights: cut(&mut weights),
            first: cut(&mut first),
            second: cut(&mut second),
            gradient: table.gradient,
            cols,
            scalars,
        });
        order = &order[taken..];
        done = last + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::adam;
    use crate::rng::Stream;

    const RULE: Adam = Adam {
        betas: (0.9, 0.999),
        eps: 1e-8,
        decoupled: false,
    };

    struct State {
        weights: Vec<f32>,
        first: Vec<f32>,
        second: Vec<f32>,
    }

    impl State {
        fn new(values: usize) -> Self {
            let mut stream = Stream::new(1, 0);
            let weights = (0..values).map(|_| stream.uniform() as f32).collect();
            let (first, second) = (vec![0.0; values], vec![0.0; values]);
            Self {
                weights,
                first,
                second,
            }
        }

        fn step(&mut self, threads: usize, steps: i64, rows: &[i64], gradient: &[f32]) {
            let table = Table {
                weights: &mut self.weights,
                first_moment: &mut self.first,
                second_moment: &mut self.second,
                cols: 3,
                rows,
                gradient,
                lr: 0.1,
                weight_decay: 0.01,
            };
            let workers = Workers::of(threads);
            let checked = check(&workers, vec![table]).unwrap();
            checked.step(&workers, &RULE, steps).unwrap();
        }
    }

    fn gradient(rows: usize) -> Vec<f32> {
        let mut stream = Stream::new(2, 0);
        (0..3 * rows)
            .map(|_| stream.uniform() as f32 - 0.5)
            .collect()
    }

    #[test]
    fn every_row_listed_once_is_adam_bit_by_bit() {
        let n = 5 * ROWS + 7;
        let (mut sparse, mut dense) = (State::new(3 * n), State::new(3 * n));
        let g = gradient(n);
        let backwards: Vec<i64> = (0..n as i64).rev().collect();
        let turned: Vec<f32> = g.chunks(3).rev().flatten().copied().collect();
        for steps in 1..=3 {
            sparse.step(2, steps, &backwards, &turned);
            let parameter = adam::Parameter {
                weights: &mut dense.weights,
                gradient: &g,
                first_moment: &mut dense.first,
                second_moment: &mut dense.second,
                largest_moment: None,
                lr: 0.1,
                weight_decay: 0.01,
            };
            adam::step(&Workers::serial(), &RULE, steps, vec![parameter]).unwrap();
        }
        assert_eq!(sparse.weights, dense.weights);
        assert_eq!(sparse.second, dense.second);
    }

    #[test]
    fn repeated_rows_add_up_and_others_stay_for_any_number_of_threads() {
        let n = 1000;
        // Every third row, five times each, so that a row stands on both sides of a cut.
        let rows: Vec<i64> = (0..n as i64 * 5 / 3).map(|i| i * 3 % n as i64).collect();
        let g = gradient(rows.len());
        let start = State::new(3 * n);
        let run = |threads| {
            let mut state = State::new(3 * n);
            state.step(threads, 1, &rows, &g);
            state.weights
        };
        let moved = run(1);
        assert_eq!(moved, run(3));
        let mut sums = vec![0.0f32; 3 * n];
        for (&row, g) in rows.iter().zip(g.chunks(3)) {
            for (sum, x) in sums[row as usize * 3..].iter_mut().zip(g) {
                *sum += x;
            }
        }
        let mut once = State::new(3 * n);
        let mut listed: Vec<i64> = rows.clone();
        listed.sort_unstable();
        listed.dedup();
        let summed: Vec<f32> = listed
            .iter()
            .flat_map(|&row| sums[row as usize * 3..][..3].to_vec())
            .collect();
        once.step(1, 1, &listed, &summed);
        assert_eq!(moved, once.weights);
        let untouched = (0..n).filter(|row| listed.binary_search(&(*row as i64)).is_err());
        for row in untouched {
            assert_eq!(moved[row * 3..][..3], start.weights[row * 3..][..3]);
        }
    }

    #[test]
    fn rows_outside_the_table_change_nothing() {
        for rows in [[0, 4], [-1, 0]] {
            let mut state = State::new(12);
            let before = state.weights.clone();
            let table = Table {
                weights: &mut state.weights,
                first_moment: &mut state.first,
                second_moment: &mut state.second,
                cols: 3,
                rows: &rows,
                gradient: &[1.0; 6],
                lr: 0.1,
                weight_decay: 0.0,
            };
            assert!(check(&Workers::serial(), vec![table]).is_err());
            assert_eq!(state.weights, before);
        }
    }

    #[test]
    fn sums_beyond_the_range_change_nothing() {
        let mut state = State::new(12);
        let before = state.weights.clone();
        let mut take = |gradient: &[f32]| {
            let table = Table {
                weights: &mut state.weights,
                first_moment: &mut state.first,
                second_moment: &mut state.second,
                cols: 3,
                rows: &[2, 0, 2],
                gradient,
                lr: 0.1,
                weight_decay: 0.0,
            };
            check(&Workers::serial(), vec![table]).map(drop)
        };
        let large = [3e38; 9];
        assert!(take(&large).unwrap_err().to_string().contains("row 2"));
        let mut opposite = large;
        opposite[6..].fill(-3e38);
        assert!(take(&opposite).is_ok());
        assert_eq!(state.weights, before);
    }
}
