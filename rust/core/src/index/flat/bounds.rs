//! How far a distance may lie from what a rounded matrix product says of it.
//!
//! A product of a query and a row becomes a *closeness*: the product minus a number of the row
//! alone, its offset. Larger is nearer. From a closeness follow the largest distance that the
//! row can have, and from a distance the least closeness that a row within it can have. Both
//! bounds hold for every order of summation, fused or not (Higham 2002, section 3.1): a sum of n
//! products is off by at most `n u / (1 - n u)` times the sum of their magnitudes, which is
//! within `|q| |r|`, plus what underflows.

use crate::index::space::Space;
use crate::linalg::panels::roundings;
use crate::metric::Metric;
use crate::simd;

/// The largest relative error of one rounding.
const UNIT: f64 = 1.0 / (1u64 << 24) as f64;

/// Twice the largest error of a rounding below the normal numbers.
const TINY: f64 = f32::from_bits(1) as f64;

/// The least sum of squares that is accurate although single squares may have underflowed.
const SMALL: f32 = 1e-20;

/// `n u / (1 - n u)`: the relative error of `n` roundings in a row.
fn gamma(n: usize) -> f64 {
    let error = n as f64 * UNIT;
    error / (1.0 - error)
}

/// The largest `f32` that is not above `x`; the lowest finite one below all.
fn down(x: f64) -> f32 {
    let nearest = x as f32;
    let below = if f64::from(nearest) > x {
        nearest.next_down()
    } else {
        nearest
    };
    below.max(f32::MIN)
}

fn length(row: &[f32]) -> f64 {
    let squares: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    squares.sqrt()
}

/// Errors in one space.
#[derive(Clone, Copy)]
pub struct Bounds {
    space: Space,
    /// Relative error of a distance as the space computes it.
    distance: f64,
    /// What a closeness may be off by, relative to the product of its vectors' lengths; under l2
    /// to half the sum of their squares, which is no less.
    closeness: f64,
    /// What underflow may take from any sum.
    underflow: f64,
}

/// One query's part of the bounds.
#[derive(Clone, Copy)]
pub struct Query {
    bounds: Bounds,
    length: f64,
}

impl Bounds {
    pub fn new(space: Space) -> Self {
        // The narrowest kernel adds in 8 lanes; the rest are the products and the lanes' sum.
        let distance = gamma(space.dim.div_ceil(8) + 20);
        let sums = gamma(roundings(space.dim)) + distance;
        Self {
            space,
            distance,
            // The second terms are the roundings of offsets, scales and subtractions.
            closeness: 1.05 * sums + 10.0 * UNIT,
            underflow: (2 * space.dim + 16) as f64 * TINY,
        }
    }

    /// What is subtracted from products with `row`: it lifts the row by as much as the row's own
    /// length may have pushed the product down.
    pub fn offset(&self, row: &[f32]) -> f32 {
        match self.space.metric {
            Metric::Cosine => 0.0,
            // The distance is |q|² - 2 (q·r - |r|²/2), and 2|q||r| is at most |q|² + |r|².
            Metric::L2 => {
                let square = f64::from(simd::table().dot(row, row));
                (square * (0.5 - 0.5 * self.closeness)) as f32
            }
            Metric::InnerProduct => {
                let square = simd::table().dot(row, row);
                let length = if square < SMALL {
                    length(row)
                } else {
                    f64::from(square).sqrt()
                };
                (-self.closeness * length) as f32
            }
        }
    }

    /// The bounds for a query, which is written to `packed` as it enters the products.
    pub fn query(&self, query: &[f32], packed: &mut [f32]) -> Query {
        let length = length(query);
        packed.copy_from_slice(query);
        // Of length 1, a query leaves errors that depend on the row alone.
        if self.space.metric == Metric::InnerProduct && length > 0.0 {
            for value in packed {
                *value = (f64::from(*value) / length) as f32;
            }
        }
        Query {
            bounds: *self,
            length,
        }
    }
}

impl Query {
    /// No row at this closeness is shown at a larger distance.
    pub fn most(&self, closeness: f32, offset: f32) -> f64 {
        let Bounds {
            space,
            distance,
            closeness: error,
            underflow,
        } = self.bounds;
        let (closeness, offset) = (f64::from(closeness), f64::from(offset));
        match space.metric {
            Metric::Cosine => (1.0 - closeness + 1.01 * error).max(0.0),
            Metric::L2 => {
                let square = self.length * self.length;
                let raw = square * (1.0 + error) - 2.0 * closeness
                    + 5.0 * error * offset.abs()
                    + 10.0 * underflow;
                (raw * (1.0 + 1.01 * distance) + underflow).max(0.0)
            }
            // The offset is the error in one direction; it counts back and in the other.
            Metric::InnerProduct => {
                self.length * (2.5 * offset.abs() + underflow - closeness) + underflow
            }
        }
    }

    /// Every row that is shown within `distance` is at least this close.
    pub fn least(&self, distance: f64) -> f32 {
        let Bounds {
            space,
            distance: relative,
            closeness: error,
            underflow,
        } = self.bounds;
        match space.metric {
            // Larger cosine distances are shown as 2.
            Metric::Cosine if distance >= 2.0 => f32::MIN,
            Metric::Cosine => down(1.0 - distance - 1.01 * error),
            Metric::L2 => {
                let square = self.length * self.length;
                let raw = (distance + underflow) * (1.0 + 2.0 * relative);
                down((square - raw - error * square) / 2.0 - 5.0 * underflow)
            }
            Metric::InnerProduct if self.length == 0.0 => f32::MIN,
            Metric::InnerProduct => {
                let lost = underflow * (1.0 + 1.0 / self.length);
                down(-distance / self.length - lost)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::lines::Lines;
    use crate::linalg::panels::{Aligned, Panels};
    use crate::rng::Stream;

    #[test]
    fn distances_of_all_kinds_of_rows_lie_within_their_bounds() {
        let scales = [1.0, 1e-3, 1e-10, 1e-21, 1e-30, 1e-42, 1e4, 1e17];
        for metric in Metric::ALL {
            for dim in [1, 3, 16, 100, 700] {
                let space = Space::new(dim, metric).unwrap();
                let mut stream = Stream::new(5, dim as u64);
                let mut rows = Lines::new(dim);
                rows.resize(6 * scales.len() + 1).unwrap();
                for (i, &scale) in scales.iter().enumerate() {
                    for kind in 0..6 {
                        let draw = |_| match kind {
                            0 => 0.3,
                            1 => -0.3,
                            2 => 0.3 + 1e-6 * stream.uniform(),
                            _ => stream.uniform() - 0.5,
                        };
                        let scale = scale / (dim as f64).sqrt();
                        let row: Vec<f32> =
                            (0..dim).map(draw).map(|x| (x * scale) as f32).collect();
                        space.store(&row, rows.row_mut(6 * i + kind));
                    }
                }
                let all: Vec<&[f32]> = (0..=6 * scales.len()).map(|i| rows.row(i)).collect();
                let bounds = Bounds::new(space);
                for query in &all {
                    let mut packed = vec![0.0; query.len()];
                    let of_query = bounds.query(query, &mut packed);
                    let mut products = vec![0.0; all.len()];
                    let space_for = &mut Aligned::default();
                    Panels::new(&[&packed[..]]).products(&all, space_for, &mut products);
                    for (row, product) in all.iter().zip(products) {
                        let offset = bounds.offset(row);
                        let closeness = product - offset;
                        let shown = f64::from(space.shown(space.distance(query, row)));
                        let most = of_query.most(closeness, offset);
                        let least = of_query.least(shown);
                        assert!(shown <= most, "{metric:?} {dim}: {shown:e} {most:e}");
                        assert!(
                            least <= closeness,
                            "{metric:?} {dim}: {least:e} {closeness:e}"
                        );
                    }
                }
            }
        }
    }
}
