//! Triplets from whole rows of closeness: for classes of many rows, for all negatives, and where some
//! of these are left out.

use super::classes::Classes;
use super::closest::NONE;
use super::{Choice, Selection, Space, Triplets};
use crate::error::{Error, Result};
use crate::linalg::panels::Aligned;
use crate::mining::{Lists, Skip};
use crate::pool::Workers;
use crate::real::Real;

/// Anchors of a work item: their closeness to all rows is held at once.
const ANCHORS: usize = 56;

/// Other rows that are packed at a time.
const OTHERS: usize = 512;

/// Triplets for every pair of an anchor and a positive.
pub(super) fn mine<T: Real>(
    workers: &Workers<'_>,
    space: &Space<T>,
    classes: &Classes,
    exclude: Option<Lists<'_>>,
    choice: Choice,
) -> Result<Triplets> {
    let margin = choice.margin;
    let count = space.len();
    let parts = workers.map(count.div_ceil(ANCHORS), |item| {
        let anchors = item * ANCHORS..count.min((item + 1) * ANCHORS);
        let places = &classes.places[anchors.clone()];
        let rows: Vec<&[T]> = places.iter().map(|&p| space.row(p as usize)).collect();
        let mut left = space.packed(&rows);
        let mut values = Vec::new();
        values
            .try_reserve_exact(rows.len() * count)
            .map_err(|_| Error::out_of_memory())?;
        values.resize(rows.len() * count, T::zero());
        let (mut tile, mut packed) = (Vec::new(), Aligned::default());
        for start in (0..count).step_by(OTHERS) {
            workers.check()?;
            let others = start..count.min(start + OTHERS);
            let right: Vec<&[T]> = others.clone().map(|place| space.row(place)).collect();
            tile.resize(rows.len() * right.len(), T::zero());
            left.products(&right, &mut packed, &mut tile);
            let rows = values.chunks_exact_mut(count);
            for (row, part) in rows.zip(tile.chunks_exact(right.len())) {
                row[others.clone()].copy_from_slice(part);
            }
        }
        let mut found = Triplets::default();
        let mut search = Search::new();
        for (anchor, values) in anchors.zip(values.chunks_exact_mut(count)) {
            workers.check()?;
            search.take(classes, anchor, values);
            for &row in exclude.iter().flat_map(|lists| lists.of(anchor)) {
                values[classes.places[row as usize] as usize] = T::neg_infinity();
            }
            if search.positives.is_empty() {
                continue;
            }
            search.pass_over(choice.skip, values);
            if values.iter().all(|&value| value == T::neg_infinity()) {
                found.without_negative += 1;
                continue;
            }
            match choice.selection {
                Selection::BatchHard => search.hardest(classes, space, values, &mut found),
                Selection::SemiHard => search.nearest(classes, space, margin, values, &mut found),
                Selection::AllSemiHard => search.all(classes, space, margin, values, &mut found)?,
            }
        }
        Ok(found)
    })?;
    let mut found = Triplets::default();
    found.reserve(parts.iter().map(|part| part.anchors.len()).sum())?;
    for part in parts {
        found.anchors.extend(part.anchors);
        found.positives.extend(part.positives);
        found.negatives.extend(part.negatives);
        found.positive_distances.extend(part.positive_distances);
        found.negative_distances.extend(part.negative_distances);
        found.without_negative += part.without_negative;
        found.unmatched += part.unmatched;
    }
    Ok(found)
}

impl Triplets {
    fn reserve(&mut self, more: usize) -> Result<()> {
        let room = self
            .anchors
            .try_reserve(more)
            .and_then(|()| self.positives.try_reserve(more))
            .and_then(|()| self.negatives.try_reserve(more))
            .and_then(|()| self.positive_distances.try_reserve(more))
            .and_then(|()| self.negative_distances.try_reserve(more));
        room.map_err(|_| Error::out_of_memory())
    }
}

/// One anchor's positives, and room to look for its negatives.
struct Search<T> {
    anchor: usize,
    /// Closeness and place, farthest first.
    positives: Vec<(T, u32)>,
    /// The closest that lies between a positive and the next nearer one.
    between: Vec<(T, u32)>,
    /// Closeness in the order of rows.
    by_row: Vec<T>,
    rows: Vec<u32>,
}

impl<T: Real> Search<T> {
    fn new() -> Self {
        Self {
            anchor: 0,
            positives: Vec::new(),
            between: Vec::new(),
            by_row: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Notes the positives and takes the whole class out of `values`.
    fn take(&mut self, classes: &Classes, anchor: usize, values: &mut [T]) {
        let place = classes.places[anchor] as usize;
        self.anchor = anchor;
        self.positives.clear();
        let positives = classes.positives(place);
        self.positives
            .extend(positives.map(|other| (values[other], other as u32)));
        values[classes.of(place)].fill(T::neg_infinity());
    }

    /// Takes the nearest negatives out of `values`.
    fn pass_over(&mut self, skip: Skip, values: &mut [T]) {
        let count = || values.iter().filter(|&&v| v > T::neg_infinity()).count();
        let skip = match skip {
            Skip::Count(0) => 0,
            Skip::Count(rows) => rows.min(count()),
            Skip::Share(share) => (share * count() as f64) as usize,
        };
        if skip == 0 {
            return;
        }
        self.rows.clear();
        self.rows.extend(0..values.len() as u32);
        let nearest_first = |&a: &u32, &b: &u32| {
            let order = values[b as usize].partial_cmp(&values[a as usize]);
            order.unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(&b))
        };
        self.rows.select_nth_unstable_by(skip - 1, nearest_first);
        for &place in &self.rows[..skip] {
            values[place as usize] = T::neg_infinity();
        }
    }

    /// The farthest positive and the nearest negative.
    fn hardest(&self, classes: &Classes, space: &Space<T>, values: &[T], found: &mut Triplets) {
        let mut farthest = self.positives[0];
        for &positive in &self.positives {
            if positive.0 < farthest.0 {
                farthest = positive;
            }
        }
        let mut nearest = (values[0], 0);
        for (place, &value) in values.iter().enumerate() {
            if value > nearest.0 {
                nearest = (value, place as u32);
            }
        }
        let pair = (farthest.1, nearest.1);
        found.push(classes, space, self.anchor, pair, (farthest.0, nearest.0));
    }

    /// For each positive the nearest negative that is farther. A value is looked at once: it
    /// belongs between two positives, and serves all that are nearer than it.
    fn nearest(
        &mut self,
        classes: &Classes,
        space: &Space<T>,
        margin: f64,
        values: &[T],
        found: &mut Triplets,
    ) {
        let by_closeness = |a: &(T, u32), b: &(T, u32)| {
            let order = a.0.partial_cmp(&b.0);
            order
                .unwrap_or(std::cmp::Ordering::Equal)
                .then(a.1.cmp(&b.1))
        };
        self.positives.sort_unstable_by(by_closeness);
        self.between.clear();
        let nothing = (T::neg_infinity(), NONE);
        self.between.resize(self.positives.len() + 1, nothing);
        for (place, &value) in values.iter().enumerate() {
            let at = self
                .positives
                .partition_point(|positive| positive.0 <= value);
            if value > self.between[at].0 {
                self.between[at] = (value, place as u32);
            }
        }
        let mut best = nothing;
        for between in &mut self.between {
            if between.0 > best.0 || (between.0 == best.0 && between.1 < best.1) {
                best = *between;
            }
            *between = best;
        }
        let mut pairs: Vec<_> = self.positives.iter().zip(&self.between).collect();
        pairs.sort_unstable_by_key(|(positive, _)| positive.1);
        for (&(near, positive), &(far, negative)) in pairs {
            if negative == NONE || far.wide() <= space.distance.beyond(near.wide(), margin) {
                found.unmatched += 1;
                continue;
            }
            let pair = (positive, negative);
            found.push(classes, space, self.anchor, pair, (near, far));
        }
    }

    /// For each positive all negatives that are farther, by less than `margin`.
    fn all(
        &mut self,
        classes: &Classes,
        space: &Space<T>,
        margin: f64,
        values: &[T],
        found: &mut Triplets,
    ) -> Result<()> {
        self.by_row.clear();
        let by_row = classes.places.iter().map(|&place| values[place as usize]);
        self.by_row.extend(by_row);
        self.rows.resize(values.len() + 1, 0);
        for &(near, positive) in &self.positives {
            let least = T::of(space.distance.beyond(near.wide(), margin));
            let mut count = 0;
            // Written whether it counts or not: a branch would be guessed wrongly half the time.
            for (row, &far) in self.by_row.iter().enumerate() {
                self.rows[count] = row as u32;
                count += usize::from(far > least && far < near);
            }
            if count == 0 {
                found.unmatched += 1;
            }
            found.reserve(count)?;
            let positive = i64::from(classes.order[positive as usize]);
            let distance = |closeness: T| space.distance.of(closeness.wide()) as f32;
            let rows = &self.rows[..count];
            let end = found.anchors.len() + count;
            found.anchors.resize(end, self.anchor as i64);
            found.positives.resize(end, positive);
            found
                .negatives
                .extend(rows.iter().map(|&row| i64::from(row)));
            found.positive_distances.resize(end, distance(near));
            let distances = rows.iter().map(|&row| distance(self.by_row[row as usize]));
            found.negative_distances.extend(distances);
        }
        Ok(())
    }
}
