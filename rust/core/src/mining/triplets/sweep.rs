//! Triplets from one sweep over the pairs of blocks: closeness is symmetric, so a product of two
//! blocks serves the rows of both.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::classes::Classes;
use super::closest::{Closest, NONE, Part};
use super::{Space, Triplets};
use crate::error::Result;
use crate::linalg::panels::Aligned;
use crate::pool::Workers;
use crate::real::Real;

/// Rows of a block, a multiple of the heights and widths of the product's tiles. A product of two
/// stays in the second cache.
const BLOCK: usize = 224;

/// Most bounds of a row; with more, looking at each value once pays.
pub(super) const MOST_BOUNDS: usize = 32;

/// Rows whose classes' products are made together.
const GROUP: usize = 28;

/// What is sought for the rows of a block.
struct Sought<T> {
    negatives: Closest<T>,
    /// By negated closeness, where the farthest are sought.
    positives: Option<Closest<T>>,
}

impl<T: Real> Sought<T> {
    fn new(block: &Range<usize>, bounds: Option<&[Vec<T>]>) -> Self {
        let lines = block.len();
        match bounds {
            None => Self {
                negatives: Closest::unbounded(lines),
                positives: Some(Closest::unbounded(lines)),
            },
            Some(bounds) => {
                let below = bounds.iter().flat_map(|bounds| &bounds[block.clone()]);
                Self {
                    negatives: Closest::new(lines, below.copied().collect()),
                    positives: None,
                }
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.negatives.merge(&other.negatives);
        if let (Some(own), Some(other)) = (&mut self.positives, &other.positives) {
            own.merge(other);
        }
    }
}

/// The blocks of a batch and what has been found for each.
struct Sweep<'a, T> {
    space: &'a Space<T>,
    classes: &'a Classes,
    found: Vec<Mutex<Sought<T>>>,
}

impl<'a, T: Real> Sweep<'a, T> {
    fn new(space: &'a Space<T>, classes: &'a Classes, bounds: Option<&[Vec<T>]>) -> Self {
        let blocks = (0..space.len()).step_by(BLOCK);
        let found = blocks
            .map(|start| {
                let block = start..space.len().min(start + BLOCK);
                Mutex::new(Sought::new(&block, bounds))
            })
            .collect();
        Self {
            space,
            classes,
            found,
        }
    }

    fn block(&self, i: usize) -> Range<usize> {
        i * BLOCK..self.space.len().min((i + 1) * BLOCK)
    }

    fn rows(&self, block: Range<usize>) -> Vec<&'a [T]> {
        block.map(|place| self.space.row(place)).collect()
    }

    /// Compares block `i` with itself and those after it.
    fn run(&self, i: usize, workers: &Workers<'_>, bounds: Option<&[Vec<T>]>) -> Result<()> {
        let rows = self.block(i);
        let mut left = self.space.packed(&self.rows(rows.clone()));
        let mut own = Sought::new(&rows, bounds);
        let (mut tile, mut packed, mut space) = (Vec::new(), Aligned::default(), Vec::new());
        for j in i..self.found.len() {
            workers.check()?;
            let cols = self.block(j);
            tile.resize(rows.len() * cols.len(), T::zero());
            left.products(&self.rows(cols.clone()), &mut packed, &mut tile);
            // Of the block itself both halves are there.
            let mut others = (j > i).then(|| {
                let others = self.found[j].lock();
                others.unwrap_or_else(PoisonError::into_inner)
            });
            for class in self.classes.within(rows.clone()) {
                let whole = self.classes.of(class.start);
                let shared = whole.start.max(cols.start)..whole.end.min(cols.end);
                if shared.is_empty() {
                    continue;
                }
                let at = (class.start - rows.start) * cols.len() + shared.start - cols.start;
                let values = &mut tile[at..];
                if let Some(farthest) = &mut own.positives {
                    negate(values, cols.len(), &class, &shared);
                    let part = Part {
                        values: &*values,
                        stride: cols.len(),
                        rows: class.len(),
                        cols: shared.len(),
                        first: (class.start, shared.start),
                    };
                    farthest.offer_rows(part, class.start - rows.start, &mut space);
                    let others = others.as_mut().and_then(|others| others.positives.as_mut());
                    if let Some(farthest) = others {
                        farthest.offer_columns(part, shared.start - cols.start, &mut space);
                    }
                }
                for row in values.chunks_mut(cols.len()).take(class.len()) {
                    row[..shared.len()].fill(T::neg_infinity());
                }
            }
            let part = Part {
                values: &tile,
                stride: cols.len(),
                rows: rows.len(),
                cols: cols.len(),
                first: (rows.start, cols.start),
            };
            own.negatives.offer_rows(part, 0, &mut space);
            if let Some(others) = &mut others {
                others.negatives.offer_columns(part, 0, &mut space);
            }
        }
        let mut found = self.found[i].lock().unwrap_or_else(PoisonError::into_inner);
        found.merge(&own);
        Ok(())
    }

    /// What was found for each block.
    fn finish(self, workers: &Workers<'_>, bounds: Option<&[Vec<T>]>) -> Result<Vec<Sought<T>>> {
        workers.for_each(self.found.len(), |i| self.run(i, workers, bounds))?;
        let found = self.found.into_iter();
        Ok(found
            .map(|found| found.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect())
    }
}

/// Turns the closeness of pairs of a class around, so that the farthest is the largest; a row and
/// itself are no pair.
fn negate<T: Real>(values: &mut [T], stride: usize, rows: &Range<usize>, cols: &Range<usize>) {
    for (row, values) in rows.clone().zip(values.chunks_mut(stride)) {
        for (col, value) in cols.clone().zip(values) {
            *value = if row == col {
                T::neg_infinity()
            } else {
                -*value
            };
        }
    }
}

/// Of each row the farthest of its class and the nearest of the others.
pub(super) fn batch_hard<T: Real>(
    workers: &Workers<'_>,
    space: &Space<T>,
    classes: &Classes,
) -> Result<Triplets> {
    let found = Sweep::new(space, classes, None).finish(workers, None)?;
    let mut triplets = Triplets::default();
    for (anchor, &place) in classes.places.iter().enumerate() {
        let (found, line) = (&found[place as usize / BLOCK], place as usize % BLOCK);
        let Some(farthest) = &found.positives else {
            continue;
        };
        let (positive, negative) = (farthest.places[line], found.negatives.places[line]);
        if positive == NONE || negative == NONE {
            continue;
        }
        let closeness = (-farthest.best[line], found.negatives.best[line]);
        triplets.push(classes, space, anchor, (positive, negative), closeness);
    }
    Ok(triplets)
}

/// Of each row and each other of its class the nearest of the others that is farther.
pub(super) fn semi_hard<T: Real>(
    workers: &Workers<'_>,
    space: &Space<T>,
    classes: &Classes,
    margin: f64,
) -> Result<Triplets> {
    let bounds = closeness_of_positives(workers, space, classes)?;
    let sweep = Sweep::new(space, classes, Some(&bounds));
    let found = sweep.finish(workers, Some(&bounds))?;
    let mut triplets = Triplets::default();
    for (anchor, &place) in classes.places.iter().enumerate() {
        let place = place as usize;
        let (found, line) = (&found[place / BLOCK].negatives, place % BLOCK);
        for (p, positive) in classes.positives(place).enumerate() {
            let at = p * found.lines() + line;
            let (near, far) = (bounds[p][place], found.best[at]);
            let least = space.distance.beyond(near.wide(), margin);
            if found.places[at] == NONE || far.wide() <= least {
                triplets.unmatched += 1;
                continue;
            }
            let pair = (positive as u32, found.places[at]);
            triplets.push(classes, space, anchor, pair, (near, far));
        }
    }
    Ok(triplets)
}

/// For each number of a positive, its closeness at each place; minus infinity where a class has
/// fewer.
fn closeness_of_positives<T: Real>(
    workers: &Workers<'_>,
    space: &Space<T>,
    classes: &Classes,
) -> Result<Vec<Vec<T>>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (class, range) in classes.ranges.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if classes.ranges[group.start].start + GROUP > range.start => {
                group.end = class + 1;
            }
            _ => groups.push(class..class + 1),
        }
    }
    let parts = workers.map(groups.len(), |g| {
        let classes = &classes.ranges[groups[g].clone()];
        let places = classes[0].start..classes[classes.len() - 1].end;
        let rows: Vec<&[T]> = places.clone().map(|place| space.row(place)).collect();
        let mut values = vec![T::zero(); rows.len() * rows.len()];
        if classes.len() < rows.len() {
            let mut left = space.packed(&rows);
            left.products(&rows, &mut Aligned::default(), &mut values);
        }
        Ok(values)
    })?;
    let mut bounds = vec![vec![T::neg_infinity(); space.len()]; classes.most_positives()];
    for (group, values) in groups.into_iter().zip(parts) {
        let start = classes.ranges[group.start].start;
        let end = classes.ranges[group.end - 1].end;
        for place in start..end {
            let row = &values[(place - start) * (end - start)..][..end - start];
            for (p, positive) in classes.positives(place).enumerate() {
                bounds[p][place] = row[positive - start];
            }
        }
    }
    Ok(bounds)
}

impl Triplets {
    /// Adds one by the places of its positive and negative and their closeness.
    pub(super) fn push<T: Real>(
        &mut self,
        classes: &Classes,
        space: &Space<T>,
        anchor: usize,
        (positive, negative): (u32, u32),
        (near, far): (T, T),
    ) {
        let row = |place: u32| i64::from(classes.order[place as usize]);
        self.anchors.push(anchor as i64);
        self.positives.push(row(positive));
        self.negatives.push(row(negative));
        let distance = |closeness: T| space.distance.of(closeness.wide()) as f32;
        self.positive_distances.push(distance(near));
        self.negative_distances.push(distance(far));
    }
}
