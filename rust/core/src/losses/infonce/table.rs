//! InfoNCE on rows of a table, without copies of them.
//!
//! Anchors are scored one by one, and each has its own gradient while its rows are in cache. The
//! derivatives of all pairs, sorted by row, then give each row its gradient from the anchors that
//! it was compared with: every row of the table is read and written once.

use std::ops::Range;

use super::{InfoNce, Present, Scored, finite, score};
use crate::batch::Lists;
use crate::error::Result;
use crate::losses::contract::{Lookup, Outcome, Reduction, Values};
use crate::losses::pairs::{bounded, prefetch};
use crate::matrix::Matrix;
use crate::metric::{COSINE_EPS, Row};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{self, Sum, maps};

/// Anchors a worker handles at a time.
const ANCHORS: usize = 16;

/// Rows of the table a worker handles at a time; few, for some appear far more than the rest.
const ROWS: usize = 32;

/// Rows from now that are asked for. A gather of random rows of 512 bytes took a quarter less time
/// than with 8, and no less with more.
const AHEAD: usize = 16;

/// As [`AHEAD`] for rows that follow one another.
const NEXT: usize = 4;

/// Row numbers whose shapes fit together.
pub struct Batch<'a, T> {
    pub table: Matrix<'a, T>,
    pub anchors: &'a [i64],
    pub positives: Numbers<'a>,
    pub negatives: Numbers<'a>,
    pub present: Present<'a>,
}

/// Row numbers, some for each anchor.
#[derive(Clone, Copy)]
pub struct Numbers<'a> {
    pub rows: &'a [i64],
    pub starts: Starts<'a>,
}

/// Where each anchor's row numbers begin.
#[derive(Clone, Copy)]
pub enum Starts<'a> {
    /// As many for each.
    Every(usize),
    /// One more than there are anchors.
    At(&'a [usize]),
}

impl<'a> Numbers<'a> {
    fn start(&self, anchor: usize) -> usize {
        match self.starts {
            Starts::Every(count) => anchor * count,
            Starts::At(starts) => starts[anchor],
        }
    }

    fn range(&self, anchor: usize) -> Range<usize> {
        self.start(anchor)..self.start(anchor + 1)
    }

    fn of(&self, anchor: usize) -> &'a [i64] {
        &self.rows[self.range(anchor)]
    }
}

/// What becomes of one anchor's pairs.
struct Work<'w, T> {
    items: &'w mut [f64],
    norms: &'w mut [f64],
    /// The loss's derivatives to the cosines, positives first.
    pulls: &'w mut [T],
    to_anchors: &'w mut [T],
}

/// Evaluates; nothing where negatives are shared or shapes do not fit. `present` is given the number
/// of anchors and that of positives of each.
pub fn evaluate<'a, T: Real>(
    loss: &InfoNce,
    call: &Lookup<'a, T>,
    present: impl FnOnce([usize; 2]) -> Result<Present<'a>>,
    out: Option<&mut [T]>,
    workers: &Workers<'_>,
) -> Result<Option<Outcome>> {
    let batch = Batch::new(call, present)?;
    let run = |batch| run(loss, &batch, call.reduction, out, workers);
    batch.map(run).transpose()
}

/// Evaluates a batch of rows that the table has.
pub fn run<T: Real>(
    loss: &InfoNce,
    batch: &Batch<'_, T>,
    reduction: Reduction,
    out: Option<&mut [T]>,
    workers: &Workers<'_>,
) -> Result<Outcome> {
    let (anchors, cols) = (batch.anchors.len(), batch.table.cols());
    let has_any = |&i: &usize| {
        let mut places = batch.positives.range(i);
        places.any(|place| batch.present.has(place))
    };
    let active = (0..anchors).filter(has_any).count();
    let weight = reduction.weight(active) / loss.temperature;
    let wanted = usize::from(out.is_some());
    let (mut items, mut norms) = (vec![0.0; anchors], vec![0.0; anchors]);
    let mut pulls = vec![T::zero(); wanted * batch.pairs(0..anchors)];
    let mut to_anchors = vec![T::zero(); wanted * anchors * cols];
    let mut left = &mut pulls[..];
    let mut gradient_pieces = to_anchors.chunks_mut(ANCHORS * cols);
    let mut pieces: Vec<_> = items
        .chunks_mut(ANCHORS)
        .zip(norms.chunks_mut(ANCHORS))
        .enumerate()
        .map(|(piece, (items, norms))| {
            let first = piece * ANCHORS;
            let pairs = batch.pairs(first..first + items.len());
            Work {
                items,
                norms,
                pulls: left.split_off_mut(..wanted * pairs).unwrap_or_default(),
                to_anchors: gradient_pieces.next().unwrap_or_default(),
            }
        })
        .collect();
    workers.for_each_piece(&mut pieces, 1, |piece, work| {
        for work in work {
            batch.score(loss, piece * ANCHORS, weight, work)?;
        }
        Ok(())
    })?;
    if let Some(out) = out {
        batch.gather(&norms, &pulls, &to_anchors, out, workers)?;
    }
    Ok(Outcome {
        values: Values::Items(items),
        counted: active,
        active,
    })
}

impl<'a, T: Real> Batch<'a, T> {
    fn new(
        call: &Lookup<'a, T>,
        present: impl FnOnce([usize; 2]) -> Result<Present<'a>>,
    ) -> Result<Option<Self>> {
        let inputs = call.inputs;
        let (anchors, positives) = (inputs.indices("anchors")?, inputs.indices("positives")?);
        let (negatives, count): (&[i64], usize) = match inputs.optional_indices("negatives")? {
            None => (&[], 0),
            Some(array) => match array.shape {
                [rows, count] if *rows == anchors.count() => (array.data, *count),
                _ => return Ok(None),
            },
        };
        let width = match positives.shape {
            [_, width] => *width,
            _ => 1,
        };
        if positives.count() != anchors.count() || i32::try_from(call.table.rows()).is_err() {
            return Ok(None);
        }
        let numbers = |rows, count| Numbers {
            rows,
            starts: Starts::Every(count),
        };
        Ok(Some(Self {
            table: call.table,
            anchors: anchors.data,
            positives: numbers(positives.data, width),
            negatives: numbers(negatives, count),
            present: present([anchors.count(), width])?,
        }))
    }

    /// Positives and negatives of some anchors.
    fn pairs(&self, anchors: Range<usize>) -> usize {
        let of = |numbers: &Numbers<'_>| numbers.start(anchors.end) - numbers.start(anchors.start);
        of(&self.positives) + of(&self.negatives)
    }

    fn row(&self, number: i64) -> &'a [T] {
        self.table.row(number as usize)
    }

    /// The rows of `numbers` of anchor `i`, with their dot products with it and their squares; later
    /// ones are asked for on the way.
    fn rows<'s>(
        &'s self,
        anchor: Row<'s, T>,
        numbers: Numbers<'s>,
        i: usize,
    ) -> impl Iterator<Item = (&'a [T], T, T)> + 's {
        let kernels = simd::table::<T>();
        let (range, numbers) = (numbers.range(i), numbers.rows);
        range.map(move |k| {
            if let Some(&later) = numbers.get(k + AHEAD) {
                prefetch(self.row(later));
            }
            let row = self.row(numbers[k]);
            let (mut dot, mut square) = ([T::zero()], [T::zero()]);
            kernels.sweep(
                Sum::DotAndSquare,
                anchor.values,
                1,
                row,
                &mut dot,
                &mut square,
            );
            (row, dot[0], square[0])
        })
    }

    /// Values, derivatives and gradients of anchors from number `first` on.
    fn score(
        &self,
        loss: &InfoNce,
        first: usize,
        weight: f64,
        work: &mut Work<'_, T>,
    ) -> Result<()> {
        let cols = self.table.cols();
        let mut left = &mut *work.pulls;
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        let mut logits = Vec::new();
        let mut partners = Partners::default();
        for (offset, item) in work.items.iter_mut().enumerate() {
            let i = first + offset;
            if let Some(&later) = self.anchors.get(i + 1) {
                prefetch(self.row(later));
            }
            let anchor = finite(Row::new(self.row(self.anchors[i])))?;
            work.norms[offset] = anchor.norm;
            let rows = self.rows(anchor, self.positives, i);
            score(&anchor, rows, loss.temperature, &mut positive)?;
            let rows = self.rows(anchor, self.negatives, i);
            score(&anchor, rows, loss.temperature, &mut negative)?;
            let all = (&mut positive[..], &mut negative[..]);
            let place = self.positives.start(i);
            *item = loss.derive(self.present, place, all, weight, &mut logits);
            if work.to_anchors.is_empty() {
                continue;
            }
            let pairs = positive.len() + negative.len();
            let pulls = left.split_off_mut(..pairs).unwrap_or_default();
            let scored = || positive.iter().chain(&negative);
            for (pull, scored) in pulls.iter_mut().zip(scored()) {
                *pull = bounded(scored.value);
            }
            partners.clear();
            let numbers = self.positives.of(i).iter().chain(self.negatives.of(i));
            for (&number, scored) in numbers.zip(scored()) {
                partners.add(number, &scored.row, scored.value);
            }
            let to_anchor = &mut work.to_anchors[offset * cols..(offset + 1) * cols];
            let exact = || scored().map(|&Scored { row, value, .. }| (row, value));
            partners.pull(self.table, &anchor, exact, to_anchor);
        }
        Ok(())
    }

    /// Overwrites `out` with the gradient of the table.
    fn gather(
        &self,
        norms: &[f64],
        pulls: &[T],
        to_anchors: &[T],
        out: &mut [T],
        workers: &Workers<'_>,
    ) -> Result<()> {
        let cols = self.table.cols();
        let entries = || {
            (0..self.anchors.len()).flat_map(move |i| {
                let pulls = &pulls[self.pairs(0..i)..self.pairs(0..i + 1)];
                let numbers = self.positives.of(i).iter().chain(self.negatives.of(i));
                let numbers = numbers.zip(pulls);
                let pulled = numbers.filter(|(_, pull)| **pull != T::zero());
                pulled.map(move |(&number, &pull)| (number as usize, (i as u32, pull)))
            })
        };
        let lists = Lists::new(self.table.rows(), entries, workers)?;
        let own = || (0..self.anchors.len()).map(|i| (self.anchors[i] as usize, i as u32));
        let mut by_row: Vec<_> = own().collect();
        workers.sort(&mut by_row)?;
        workers.for_each_piece(out, ROWS * cols, |piece, out| {
            let first = piece * ROWS;
            let mut own = by_row[by_row.partition_point(|(row, _)| *row < first)..].iter();
            let mut partners = Partners::default();
            for k in 0..out.len() / cols {
                let row = first + k;
                let (to, later) = out[k * cols..].split_at_mut(cols);
                if let Some(next) = later.get_mut((NEXT - 1) * cols..NEXT * cols) {
                    simd::prefetch_to_write(next, usize::MAX);
                    prefetch(self.table.row(row + NEXT));
                }
                let list = lists.range(row);
                if list.is_empty() {
                    to.fill(T::zero());
                } else {
                    partners.clear();
                    let entries = lists.entries();
                    let partner = |i: u32| Row {
                        values: self.row(self.anchors[i as usize]),
                        norm: norms[i as usize],
                    };
                    for place in list.clone() {
                        if let Some(&(later, _)) = entries.get(place + AHEAD) {
                            prefetch(self.row(self.anchors[later as usize]));
                        }
                        let (i, pull) = entries[place];
                        partners.add(self.anchors[i as usize], &partner(i), pull.wide());
                    }
                    let exact = || {
                        let list = entries[list.clone()].iter();
                        list.map(|&(i, pull)| (partner(i), pull.wide()))
                    };
                    let row = Row::new(self.table.row(row));
                    partners.pull(self.table, &row, exact, to);
                }
                while let [(number, i), rest @ ..] = own.as_slice()
                    && *number == row
                {
                    let at = *i as usize * cols;
                    simd::table::<T>().axpy(T::one(), &to_anchors[at..at + cols], to);
                    own = rest.iter();
                }
            }
            Ok(())
        })
    }
}

/// Rows that one row was compared with.
struct Partners<T> {
    numbers: Vec<i32>,
    /// What their unit vectors are multiplied by, divided by their lengths.
    weights: Vec<T>,
    /// Whether all lengths are far from the limits of `f32`.
    ordinary: bool,
    /// The smallest length.
    shortest: f64,
    ignored: Vec<T>,
}

impl<T> Default for Partners<T> {
    fn default() -> Self {
        Self {
            numbers: Vec::new(),
            weights: Vec::new(),
            ordinary: true,
            shortest: f64::INFINITY,
            ignored: Vec::new(),
        }
    }
}

impl<T: Real> Partners<T> {
    fn clear(&mut self) {
        self.numbers.clear();
        self.weights.clear();
        self.ordinary = true;
        self.shortest = f64::INFINITY;
    }

    fn add(&mut self, number: i64, row: &Row<'_, T>, pull: f64) {
        self.numbers.push(number as i32);
        self.weights.push(T::of(pull / row.norm));
        self.ordinary &= row.is_ordinary();
        self.shortest = self.shortest.min(row.norm);
    }

    /// Overwrites `to` with the gradient to `row` of all cosines times their derivatives; `exact`
    /// tells the partners again, for lengths that need care.
    fn pull<'r, I: Iterator<Item = (Row<'r, T>, f64)>>(
        &mut self,
        table: Matrix<'_, T>,
        row: &Row<'_, T>,
        exact: impl Fn() -> I,
        to: &mut [T],
    ) where
        T: 'r,
    {
        let kernels = simd::table::<T>();
        let ordinary = self.ordinary && row.is_ordinary();
        if !ordinary || row.norm * self.shortest <= COSINE_EPS {
            to.fill(T::zero());
            self.ignored.resize(to.len(), T::zero());
            let mut along = 0.0;
            for (other, pull) in exact() {
                along += row.pull(&other, row.cosine(&other), pull, to, &mut self.ignored);
            }
            kernels.axpy(T::of(-along), row.values, to);
            return;
        }
        kernels.sum_rows(&self.numbers, Some(&self.weights), table.data(), to);
        // What a cosine loses along its row is what all of them together do.
        let along = kernels.dot(row.values, to).wide() / (row.norm * row.norm);
        maps::scale_away(
            T::of(1.0 / row.norm),
            T::of(-along / row.norm),
            row.values,
            to,
        );
    }
}
