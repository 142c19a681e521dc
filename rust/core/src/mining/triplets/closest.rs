//! The closest of many other places, for some lines and some bounds of each.

use crate::real::Real;
use crate::simd::{Elementwise, elementwise};

/// No place.
pub(super) const NONE: u32 = u32::MAX;

const LANES: usize = 32;

/// A part of a matrix of closeness, row after row.
#[derive(Clone, Copy)]
pub(super) struct Part<'a, T> {
    /// Begins with the first value of the part.
    pub values: &'a [T],
    pub stride: usize,
    pub rows: usize,
    pub cols: usize,
    /// The places of its first row and column.
    pub first: (usize, usize),
}

impl<T> Part<'_, T> {
    fn row(&self, i: usize) -> &[T] {
        &self.values[i * self.stride..i * self.stride + self.cols]
    }
}

/// The largest of some values below a bound, or minus infinity.
#[inline(always)]
fn larger<T: Real>(most: T, value: T, below: T) -> T {
    let value = if value < below {
        value
    } else {
        T::neg_infinity()
    };
    if value > most { value } else { most }
}

/// The largest value of each row below the row's bound.
struct OfRows<'a, T>(Part<'a, T>, &'a [T], &'a mut [T]);

impl<T: Real> Elementwise for OfRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self(part, below, out) = self;
        for (i, (out, &below)) in out.iter_mut().zip(below).enumerate() {
            let mut lanes = [T::neg_infinity(); LANES];
            let (blocks, rest) = part.row(i).as_chunks::<LANES>();
            for block in blocks {
                for (lane, &value) in lanes.iter_mut().zip(block) {
                    *lane = larger(*lane, value, below);
                }
            }
            let mut width = LANES / 2;
            while width > 0 {
                let (low, high) = lanes.split_at_mut(width);
                for (low, &high) in low.iter_mut().zip(&*high) {
                    *low = if high > *low { high } else { *low };
                }
                width /= 2;
            }
            *out = rest
                .iter()
                .fold(lanes[0], |most, &value| larger(most, value, below));
        }
    }
}

/// The largest value of each column below the column's bound.
struct OfColumns<'a, T>(Part<'a, T>, &'a [T], &'a mut [T]);

impl<T: Real> Elementwise for OfColumns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self(part, below, out) = self;
        let (bounds, last_bounds) = below.as_chunks::<LANES>();
        let (outs, last_out) = out.as_chunks_mut::<LANES>();
        for (c, (below, out)) in bounds.iter().zip(outs).enumerate() {
            let mut most = [T::neg_infinity(); LANES];
            for i in 0..part.rows {
                let row = &part.values[i * part.stride + c * LANES..][..LANES];
                for ((most, &value), &below) in most.iter_mut().zip(row).zip(below) {
                    *most = larger(*most, value, below);
                }
            }
            *out = most;
        }
        let done = part.cols - last_out.len();
        last_out.fill(T::neg_infinity());
        for i in 0..part.rows {
            let row = &part.row(i)[done..];
            for ((most, &value), &below) in last_out.iter_mut().zip(row).zip(last_bounds) {
                *most = larger(*most, value, below);
            }
        }
    }
}

/// The best of some lines so far: with bounds, bound by bound, the closest place whose closeness
/// lies below the bound.
pub(super) struct Closest<T> {
    lines: usize,
    pub below: Vec<T>,
    pub best: Vec<T>,
    pub places: Vec<u32>,
}

impl<T: Real> Closest<T> {
    pub fn new(lines: usize, below: Vec<T>) -> Self {
        Self {
            lines,
            best: vec![T::neg_infinity(); below.len()],
            places: vec![NONE; below.len()],
            below,
        }
    }

    /// With one bound that nothing reaches.
    pub fn unbounded(lines: usize) -> Self {
        Self::new(lines, vec![T::infinity(); lines])
    }

    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Takes the columns' places for the lines from `line` on, which the rows of `part` are.
    pub fn offer_rows(&mut self, part: Part<'_, T>, line: usize, space: &mut Vec<T>) {
        space.resize(part.rows, T::zero());
        for start in (line..self.below.len()).step_by(self.lines) {
            elementwise(OfRows(part, &self.below[start..start + part.rows], space));
            for (i, &value) in space.iter().enumerate() {
                if self.may_enter(start + i, value) {
                    let found = part.row(i).iter().position(|&other| other == value);
                    self.enter(start + i, value, found.map(|j| part.first.1 + j));
                }
            }
        }
    }

    /// Takes the rows' places for the lines from `line` on, which the columns of `part` are.
    pub fn offer_columns(&mut self, part: Part<'_, T>, line: usize, space: &mut Vec<T>) {
        space.resize(part.cols, T::zero());
        for start in (line..self.below.len()).step_by(self.lines) {
            elementwise(OfColumns(
                part,
                &self.below[start..start + part.cols],
                space,
            ));
            for (j, &value) in space.iter().enumerate() {
                if self.may_enter(start + j, value) {
                    let column = part.values[j..].iter().step_by(part.stride);
                    let found = column.take(part.rows).position(|&other| other == value);
                    self.enter(start + j, value, found.map(|i| part.first.0 + i));
                }
            }
        }
    }

    fn may_enter(&self, at: usize, value: T) -> bool {
        value > T::neg_infinity() && value >= self.best[at]
    }

    /// Equal values go to the lower place, so that the order of offers does not matter.
    fn enter(&mut self, at: usize, value: T, place: Option<usize>) {
        let Some(place) = place else { return };
        let place = place as u32;
        if value > self.best[at] || place < self.places[at] {
            (self.best[at], self.places[at]) = (value, place);
        }
    }

    /// Takes what another has found for the same lines and bounds.
    pub fn merge(&mut self, other: &Self) {
        for (at, (&value, &place)) in other.best.iter().zip(&other.places).enumerate() {
            if place != NONE && value >= self.best[at] {
                self.enter(at, value, Some(place as usize));
            }
        }
    }
}
