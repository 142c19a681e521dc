//! Softmax over many shared keys, without ever holding all logits.
//!
//! Strips of queries go over all keys, tile by tile. A strip's logits stay until both gradients
//! are out, so a value with gradients costs three products, four for both directions; memory is
//! one strip and a gradient part for each tile, `O((queries + keys) · columns)`. Tiles have fixed sizes and their parts are
//! added in order, so results do not depend on the number of threads.

use std::ops::Range;

use super::head::Negatives;
use crate::error::Result;
use crate::linalg::gemm::{Strided, gemm};
use crate::linalg::unit::{UnitGradient, Units};
use crate::metric::COSINE_EPS;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{self, maps};

/// Queries handled together.
const STRIP: usize = 128;

/// Keys of one work item.
const TILE: usize = 256;

/// Changes one query's logits for the keys of a range; minus infinity takes a key out.
pub type Adjust<'a, T> = &'a (dyn Fn(usize, Range<usize>, &mut [T]) + Sync);

/// All queries against all keys.
pub struct Sweep<'a, T> {
    pub queries: Units<'a, T>,
    pub keys: Units<'a, T>,
    pub temperature: f64,
    pub adjust: Adjust<'a, T>,
}

/// Where the gradients of the unit rows are added. The queries are the first rows of theirs.
pub struct Targets<'a, T> {
    pub queries: &'a mut UnitGradient<T>,
    pub keys: &'a mut UnitGradient<T>,
}

/// Whose logits are summed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A query's, over the keys.
    Row,
    /// A key's, over the queries.
    Column,
}

struct Tile<'a, T> {
    keys: Range<usize>,
    /// The strip's logits, later their exponentials, later the weights of the cosines.
    logits: Vec<T>,
    tops: Vec<T>,
    sums: Vec<T>,
    /// This tile's part of the queries' gradient.
    part: UnitGradient<T>,
    to_keys: &'a mut [T],
    to_keys_direct: &'a mut [T],
}

impl<T: Real> Sweep<'_, T> {
    /// A zero gradient for rows of this sweep, with room for floored cosines where there may be.
    pub fn zero_gradient(&self, rows: usize) -> UnitGradient<T> {
        let floors = self.queries.may_floor(&self.keys);
        UnitGradient::zero(rows, self.keys.cols, floors)
    }

    /// Tells `row` the statistics of each query's logits, query after query; `row` answers with
    /// the factor f for which `f · exp(s - max)` is the derivative to the cosine behind logit s.
    pub fn run(
        &self,
        row: &mut dyn FnMut(usize, Negatives) -> f64,
        targets: Option<Targets<'_, T>>,
        workers: &Workers<'_>,
    ) -> Result<()> {
        let (mut to_queries, to_keys) = match targets {
            Some(targets) => (Some(targets.queries), Some(targets.keys)),
            None => (None, None),
        };
        let mut tiles = self.tiles(to_keys);
        for strip in self.strips() {
            let tops = self.logits(&strip, &mut tiles, workers)?;
            let sums = exponentials(&tops, &mut tiles, workers)?;
            let factors: Vec<T> = strip
                .clone()
                .zip(tops.iter().zip(&sums))
                .map(|(i, (top, &sum))| {
                    T::of(row(
                        i,
                        Negatives {
                            max: top.wide(),
                            sum,
                        },
                    ))
                })
                .collect();
            if let Some(to_queries) = to_queries.as_deref_mut() {
                self.gradients(&strip, &factors, None, &mut tiles, workers)?;
                self.collect(&strip, &tiles, to_queries);
            }
        }
        Ok(())
    }

    /// Shift of all exponentials that neither overflows nor leaves the normal numbers, as cosines
    /// lie within ±1; none where the temperature is too low for this type.
    fn fixed_shift(&self) -> Option<T> {
        let shift = 1.0 / self.temperature;
        (2.0 * shift < 0.9 * T::max_value().wide().ln()).then(|| T::of(shift))
    }

    /// Both directions at once: as [`Self::run`], and `column` is told the same of each of the
    /// first `columns` keys over all queries. Adjusting must not depend on the direction.
    ///
    /// One shift serves rows and columns, so each logit has one exponential: a product for the
    /// sums and three for the gradients, where two separate runs take six. False, with nothing
    /// done, where the temperature is too low for one shift.
    pub fn run_both(
        &self,
        columns: usize,
        tell: &mut dyn FnMut(Direction, usize, Negatives) -> f64,
        targets: Option<Targets<'_, T>>,
        workers: &Workers<'_>,
    ) -> Result<bool> {
        let Some(shift) = self.fixed_shift() else {
            return Ok(false);
        };
        let shifts = [shift; STRIP];
        let (to_queries, to_keys) = match targets {
            Some(targets) => (Some(targets.queries), Some(targets.keys)),
            None => (None, None),
        };
        let mut tiles = self.tiles(to_keys);
        let mut by_row = Vec::with_capacity(self.queries.len());
        let mut by_column = vec![0.0; self.keys.len()];
        for strip in self.strips() {
            self.logits(&strip, &mut tiles, workers)?;
            by_row.extend(exponentials(&shifts[..strip.len()], &mut tiles, workers)?);
            add_columns(strip.len(), &tiles, &mut by_column, workers)?;
        }
        let mut factors = |direction, sums: &[f64]| -> Vec<T> {
            let tell = |(i, &sum): (usize, &f64)| {
                let max = if sum == 0.0 {
                    f64::NEG_INFINITY
                } else {
                    shift.wide()
                };
                T::of(tell(direction, i, Negatives { max, sum }))
            };
            sums.iter().enumerate().map(tell).collect()
        };
        let of_rows = factors(Direction::Row, &by_row);
        let mut of_columns = factors(Direction::Column, &by_column[..columns]);
        of_columns.resize(self.keys.len(), T::zero());
        if let Some(to_queries) = to_queries {
            for strip in self.strips() {
                self.logits(&strip, &mut tiles, workers)?;
                exponentials(&shifts[..strip.len()], &mut tiles, workers)?;
                let factors = &of_rows[strip.clone()];
                self.gradients(&strip, factors, Some(&of_columns), &mut tiles, workers)?;
                self.collect(&strip, &tiles, to_queries);
            }
        }
        Ok(true)
    }

    fn strips(&self) -> impl Iterator<Item = Range<usize>> + use<T> {
        let count = self.queries.len();
        (0..count)
            .step_by(STRIP)
            .map(move |first| first..(first + STRIP).min(count))
    }

    /// Adds the tiles' parts of the queries' gradient, in order.
    fn collect(&self, strip: &Range<usize>, tiles: &[Tile<'_, T>], to: &mut UnitGradient<T>) {
        let at = strip.start * self.keys.cols..strip.end * self.keys.cols;
        for tile in tiles {
            add(&tile.part.unit, &mut to.unit[at.clone()]);
            if let Some(direct) = to.direct.get_mut(at.clone()) {
                add(&tile.part.direct, direct);
            }
        }
    }

    fn tiles<'t>(&self, to_keys: Option<&'t mut UnitGradient<T>>) -> Vec<Tile<'t, T>> {
        let cols = self.keys.cols;
        let height = STRIP.min(self.queries.len());
        let wanted = to_keys.is_some();
        let (unit, direct) = match to_keys {
            Some(to) => (&mut to.unit[..], &mut to.direct[..]),
            None => Default::default(),
        };
        let mut units = unit.chunks_mut(TILE * cols.max(1));
        let mut directs = direct.chunks_mut(TILE * cols.max(1));
        (0..self.keys.len())
            .step_by(TILE)
            .map(|start| {
                let keys = start..(start + TILE).min(self.keys.len());
                Tile {
                    logits: vec![T::zero(); height * keys.len()],
                    tops: vec![T::zero(); height],
                    sums: vec![T::zero(); height],
                    part: if wanted {
                        self.zero_gradient(height)
                    } else {
                        UnitGradient::zero(0, 0, false)
                    },
                    to_keys: units.next().unwrap_or_default(),
                    to_keys_direct: directs.next().unwrap_or_default(),
                    keys,
                }
            })
            .collect()
    }

    /// Fills the tiles' logits; returns each query's largest.
    fn logits(
        &self,
        strip: &Range<usize>,
        tiles: &mut [Tile<'_, T>],
        workers: &Workers<'_>,
    ) -> Result<Vec<T>> {
        let queries = self.queries.slice(strip.clone());
        let floors = queries.may_floor(&self.keys);
        workers.for_each_piece(tiles, 1, |_, tile| {
            for tile in tile {
                let keys = self.keys.slice(tile.keys.clone());
                let logits = &mut tile.logits[..queries.len() * keys.len()];
                gemm(
                    T::of(1.0 / self.temperature),
                    Strided::rows(queries.data, queries.len(), queries.cols),
                    Strided::rows(keys.data, keys.len(), keys.cols).transposed(),
                    T::zero(),
                    logits,
                );
                for (r, row) in logits.chunks_exact_mut(keys.len()).enumerate() {
                    if floors {
                        for (logit, length) in row.iter_mut().zip(keys.norms) {
                            let product = queries.norms[r] * length;
                            if product <= COSINE_EPS {
                                *logit *= T::of(product / COSINE_EPS);
                            }
                        }
                    }
                    (self.adjust)(strip.start + r, tile.keys.clone(), row);
                    tile.tops[r] = maps::max(row);
                }
            }
            Ok(())
        })?;
        let top = |r: usize| {
            let tops = tiles.iter().map(|tile| tile.tops[r]);
            tops.fold(T::neg_infinity(), T::max)
        };
        Ok((0..strip.len()).map(top).collect())
    }

    /// Turns exponentials into weights, by a factor a query plus one a key if given, and sends
    /// them back to queries and keys.
    fn gradients(
        &self,
        strip: &Range<usize>,
        factors: &[T],
        columns: Option<&[T]>,
        tiles: &mut [Tile<'_, T>],
        workers: &Workers<'_>,
    ) -> Result<()> {
        let queries = self.queries.slice(strip.clone());
        let cols = queries.cols;
        let floors = queries.may_floor(&self.keys);
        workers.for_each_piece(tiles, 1, |_, tile| {
            for tile in tile {
                let keys = self.keys.slice(tile.keys.clone());
                let rows = tile.logits.chunks_exact_mut(keys.len());
                for (row, &factor) in rows.zip(factors) {
                    match columns {
                        None => maps::scale(factor, row),
                        Some(columns) => {
                            maps::scale_by_sum(factor, &columns[tile.keys.clone()], row);
                        }
                    }
                }
                // What an earlier strip left here must not be collected again.
                tile.part.direct.fill(T::zero());
                if floors {
                    floored(&queries, &keys, tile);
                }
                let weights = &tile.logits[..queries.len() * keys.len()];
                let weights = Strided::rows(weights, queries.len(), keys.len());
                gemm(
                    T::one(),
                    weights,
                    Strided::rows(keys.data, keys.len(), cols),
                    T::zero(),
                    &mut tile.part.unit[..queries.len() * cols],
                );
                gemm(
                    T::one(),
                    weights.transposed(),
                    Strided::rows(queries.data, queries.len(), cols),
                    T::one(),
                    tile.to_keys,
                );
            }
            Ok(())
        })
    }
}

/// Replaces logits by `exp(logit - top)`; returns each query's sum.
fn exponentials<T: Real>(
    tops: &[T],
    tiles: &mut [Tile<'_, T>],
    workers: &Workers<'_>,
) -> Result<Vec<f64>> {
    workers.for_each_piece(tiles, 1, |_, tile| {
        for tile in tile {
            let rows = tile.logits.chunks_exact_mut(tile.keys.len());
            for ((row, &top), sum) in rows.zip(tops).zip(&mut tile.sums) {
                *sum = if top == T::neg_infinity() {
                    row.fill(T::zero());
                    T::zero()
                } else {
                    maps::exp_sum(top, row)
                };
            }
        }
        Ok(())
    })?;
    let sum = |r: usize| tiles.iter().map(|tile| tile.sums[r].wide()).sum();
    Ok((0..tops.len()).map(sum).collect())
}

/// Adds the first `height` rows of all tiles to the sums of their columns.
fn add_columns<T: Real>(
    height: usize,
    tiles: &[Tile<'_, T>],
    sums: &mut [f64],
    workers: &Workers<'_>,
) -> Result<()> {
    workers.for_each_piece(sums, TILE, |t, sums| {
        let mut strip = vec![T::zero(); sums.len()];
        for row in tiles[t].logits.chunks_exact(sums.len()).take(height) {
            add(row, &mut strip);
        }
        for (sum, part) in sums.iter_mut().zip(strip) {
            *sum += part.wide();
        }
        Ok(())
    })
}

/// Sends the weights of floored cosines, whose gradient is `other / eps` without a projection,
/// to the rows themselves and takes them out of the products.
fn floored<T: Real>(queries: &Units<'_, T>, keys: &Units<'_, T>, tile: &mut Tile<'_, T>) {
    let kernels = simd::table::<T>();
    let cols = queries.cols;
    for (r, row) in tile.logits[..queries.len() * keys.len()]
        .chunks_exact_mut(keys.len())
        .enumerate()
    {
        let to_query = &mut tile.part.direct[r * cols..(r + 1) * cols];
        for (k, weight) in row.iter_mut().enumerate() {
            if queries.norms[r] * keys.norms[k] <= COSINE_EPS {
                let direct = weight.wide() / COSINE_EPS;
                let to_key = &mut tile.to_keys_direct[k * cols..(k + 1) * cols];
                kernels.axpy(T::of(direct * keys.norms[k]), keys.row(k), to_query);
                kernels.axpy(T::of(direct * queries.norms[r]), queries.row(r), to_key);
                *weight = T::zero();
            }
        }
    }
}

fn add<T: Real>(part: &[T], to: &mut [T]) {
    if let Some(part) = part.get(..to.len()) {
        simd::table::<T>().axpy(T::one(), part, to);
    }
}
