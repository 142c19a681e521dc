//! Parts of the similarities of all pairs of rows, in the way that suits the shape.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Result;
use crate::metric::{COSINE_EPS, Row, norm};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::maps::all_finite;
use crate::simd::{Block, Elementwise, SWEPT, Sum, elementwise, table};

use super::gemm::{item_shape, product};
use super::similarity::Similarity;
use super::stored::{Scaled, Stored};

/// With so many rows on one side, the other side is swept over: packing it would not pay.
const FEW: usize = 8;

/// Rows a worker looks at a time.
const PIECE: usize = 64;

/// Rows of a work item of a sweep.
const SWEEP_ROWS: usize = 16 * PIECE;

/// Lengths whose squares and inverses are far from the limits of `f32`.
const ORDINARY: Range<f64> = 1e-12..1e12;

/// Computes parts of a matrix of similarities; a value does not depend on the part it is in.
pub(super) trait Compare<T>: Sync {
    /// Rows of the left and of the right side.
    fn shape(&self) -> (usize, usize);

    /// Rows and columns of a part that one thread should compute at a time.
    fn part(&self, threads: usize) -> (usize, usize);

    /// Writes the similarities of `left` and `right` rows.
    ///
    /// # Safety
    ///
    /// `out` must be valid for writes and have the shape of the ranges.
    unsafe fn fill(&self, left: Range<usize>, right: Range<usize>, out: Block<T>);

    /// Fails where what was computed was not finite because the input is not.
    fn check(&self) -> Result<()>;
}

/// What the sides are called where they are refused.
pub(super) type Names = (&'static str, &'static str);

/// The sides of a comparison and how it is made.
pub(super) struct Comparison<'a, T> {
    similarity: Similarity,
    a: Stored<'a, T>,
    b: Stored<'a, T>,
    names: Names,
    way: Way<T>,
    suspect: AtomicBool,
}

enum Way<T> {
    /// One side has few rows, held here; every row of the other is read once.
    Sweep {
        queries: Vec<T>,
        norms: Vec<f64>,
        /// Whether the queries are the left side.
        is_left: bool,
    },
    /// Tiles of packed rows.
    Tiles { left: Lengths<T>, right: Lengths<T> },
}

/// The lengths of rows, for cosines.
struct Lengths<T> {
    norms: Vec<f64>,
    /// What rows are multiplied by so that products stay within the type's range; none where
    /// all are ordinary.
    factors: Vec<T>,
    /// What products are multiplied by.
    inverses: Vec<T>,
}

impl<T: Real> Lengths<T> {
    fn none() -> Self {
        Self {
            norms: Vec::new(),
            factors: Vec::new(),
            inverses: Vec::new(),
        }
    }

    fn of(rows: &Stored<'_, T>, name: &'static str, workers: &Workers<'_>) -> Result<Self> {
        let mut norms = vec![0.0; rows.rows()];
        workers.for_each_piece(&mut norms, PIECE, |piece, norms| {
            let mut buffer = Vec::new();
            for (k, place) in norms.iter_mut().enumerate() {
                *place = norm(rows.row(piece * PIECE + k, &mut buffer));
            }
            Ok(())
        })?;
        if norms.iter().any(|norm| !norm.is_finite()) {
            rows.check_finite(name)?;
        }
        let is_ordinary = |norm: &f64| *norm == 0.0 || ORDINARY.contains(norm);
        let mut factors = Vec::new();
        if !norms.iter().all(is_ordinary) {
            factors.extend(norms.iter().map(|norm| {
                if is_ordinary(norm) {
                    return T::one();
                }
                // Powers of two are exact.
                let most = T::max_value().wide().log2().floor() - 8.0;
                T::of((-norm.log2().round()).clamp(-most, most).exp2())
            }));
        }
        let factor = |i: usize| factors.get(i).copied().unwrap_or(T::one()).wide();
        let inverse = |(i, &norm): (usize, &f64)| {
            let length = norm * factor(i);
            T::of(if length > 0.0 { 1.0 / length } else { 0.0 })
        };
        let inverses = norms.iter().enumerate().map(inverse).collect();
        Ok(Self {
            norms,
            factors,
            inverses,
        })
    }
}

impl<'a, T: Real> Comparison<'a, T> {
    /// Looks at both sides, which must have equally many columns; fails where a value is NaN or
    /// infinite, which may also be found later: see [`Compare::check`].
    pub fn new(
        similarity: Similarity,
        a: Stored<'a, T>,
        b: Stored<'a, T>,
        names: Names,
        workers: &Workers<'_>,
    ) -> Result<Self> {
        let way = if a.rows() <= FEW || b.rows() <= FEW {
            let is_left = a.rows() <= b.rows();
            let (few, name) = if is_left {
                (&a, names.0)
            } else {
                (&b, names.1)
            };
            few.check_finite(name)?;
            let mut queries = Vec::with_capacity(few.rows() * few.cols());
            let (mut norms, mut buffer) = (Vec::new(), Vec::new());
            for i in 0..few.rows() {
                let row = few.row(i, &mut buffer);
                queries.extend_from_slice(row);
                norms.push(norm(row));
            }
            Way::Sweep {
                queries,
                norms,
                is_left,
            }
        } else if similarity == Similarity::Cosine {
            Way::Tiles {
                left: Lengths::of(&a, names.0, workers)?,
                right: Lengths::of(&b, names.1, workers)?,
            }
        } else {
            a.check_finite(names.0)?;
            b.check_finite(names.1)?;
            Way::Tiles {
                left: Lengths::none(),
                right: Lengths::none(),
            }
        };
        Ok(Self {
            similarity,
            a,
            b,
            names,
            way,
            suspect: AtomicBool::new(false),
        })
    }

    /// The sums of a group of queries with a piece of rows, turned into similarities.
    fn sweep(
        &self,
        rows: &Stored<'_, T>,
        piece: Range<usize>,
        queries: (&[T], &[f64]),
        sums: &mut [T],
    ) {
        let (values, norms) = queries;
        let mut squares = [T::zero(); PIECE];
        let sum = match self.similarity {
            Similarity::Dot => Sum::Dot,
            Similarity::Cosine => Sum::DotAndSquare,
            Similarity::SquaredL2 => Sum::Distance,
        };
        let held = if sum == Sum::DotAndSquare {
            piece.len()
        } else {
            0
        };
        let squares = &mut squares[..held];
        rows.sweep(sum, values, norms.len(), piece.clone(), sums, squares);
        // Of ordinary rows products are finite too.
        let ordinary = sum == Sum::DotAndSquare && elementwise(AreOrdinary(squares));
        if !(ordinary || all_finite(sums) && all_finite(squares)) {
            self.suspect.store(true, Ordering::Relaxed);
        }
        if sum != Sum::DotAndSquare {
            return;
        }
        let dim = rows.cols();
        for (q, (&norm, sums)) in norms
            .iter()
            .zip(sums.chunks_exact_mut(piece.len()))
            .enumerate()
        {
            if ordinary && ORDINARY.contains(&norm) {
                elementwise(Divide {
                    norm: T::of(norm),
                    squares,
                    sums,
                });
                continue;
            }
            let query = Row {
                values: &values[q * dim..(q + 1) * dim],
                norm,
            };
            let mut buffer = Vec::new();
            for (i, sum) in piece.clone().zip(sums) {
                let row = Row::new(rows.row(i, &mut buffer));
                *sum = T::of(query.cosine(&row).clamp(-1.0, 1.0));
            }
        }
    }
}

/// Whether rows of these squares are of ordinary length.
struct AreOrdinary<'a, T>(&'a [T]);

impl<T: Real> Elementwise for AreOrdinary<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let low = T::of(ORDINARY.start * ORDINARY.start);
        let high = T::of(ORDINARY.end * ORDINARY.end);
        let outside = |&square: &T| u32::from(!(square >= low && square < high));
        self.0.iter().map(outside).fold(0, |any, one| any | one) == 0
    }
}

/// Dot products become cosines.
struct Divide<'a, T> {
    norm: T,
    squares: &'a [T],
    sums: &'a mut [T],
}

impl<T: Real> Elementwise for Divide<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let floor = T::of(COSINE_EPS);
        for (sum, &square) in self.sums.iter_mut().zip(self.squares) {
            *sum = within_one(*sum / (self.norm * square.sqrt()).max(floor));
        }
    }
}

/// NaN stays.
#[inline(always)]
fn within_one<T: Real>(x: T) -> T {
    let x = if x > T::one() { T::one() } else { x };
    if x < -T::one() { -T::one() } else { x }
}

/// Writes values `step` places apart.
///
/// # Safety
///
/// The places must be valid for writes.
unsafe fn scatter<T: Copy>(values: &[T], start: *mut T, step: usize) {
    if step == 1 {
        // SAFETY: the caller promises these places; nobody else has them.
        return unsafe { start.copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    }
    for (i, &value) in values.iter().enumerate() {
        // SAFETY: the caller promises this place.
        unsafe { *start.add(i * step) = value };
    }
}

/// A tile of products becomes cosines.
struct Scale<'a, T> {
    left: &'a [T],
    right: &'a [T],
    tile: Block<T>,
}

impl<T: Real> Elementwise for Scale<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let most = T::of(1.0 / COSINE_EPS);
        for (i, &left) in self.left.iter().enumerate() {
            // SAFETY: whoever made the tile has these rows and columns to write to.
            let row = unsafe {
                let start = self.tile.data.add(i * self.tile.stride);
                std::slice::from_raw_parts_mut(start, self.tile.cols)
            };
            for (value, &right) in row.iter_mut().zip(self.right) {
                let inverse = left * right;
                let inverse = if inverse > most { most } else { inverse };
                *value = within_one(*value * inverse);
            }
        }
    }
}

impl<T: Real> Lengths<T> {
    /// Turns a tile of products of scaled rows into cosines.
    fn finish(&self, right: &Self, i: usize, j: usize, tile: Block<T>) {
        let (rows, cols) = (i..i + tile.rows, j..j + tile.cols);
        if self.factors.is_empty() && right.factors.is_empty() {
            return elementwise(Scale {
                left: &self.inverses[rows],
                right: &right.inverses[cols],
                tile,
            });
        }
        for (r, i) in rows.enumerate() {
            for (c, j) in cols.clone().enumerate() {
                let product = self.norms[i] * right.norms[j];
                let inverse = self.inverses[i].wide() * right.inverses[j].wide();
                // Powers of two of the factors cancel, so this is the quotient by 1e-8.
                let floored = (product / COSINE_EPS).min(1.0);
                // SAFETY: whoever made the tile has this place to write to.
                unsafe {
                    let place = tile.data.add(r * tile.stride + c);
                    *place = within_one(T::of((*place).wide() * inverse * floored));
                }
            }
        }
    }
}

impl<T: Real> Compare<T> for Comparison<'_, T> {
    fn shape(&self) -> (usize, usize) {
        (self.a.rows(), self.b.rows())
    }

    fn part(&self, threads: usize) -> (usize, usize) {
        match self.way {
            Way::Sweep { is_left: true, .. } => (FEW, SWEEP_ROWS),
            Way::Sweep { is_left: false, .. } => (SWEEP_ROWS, FEW),
            Way::Tiles { .. } => {
                item_shape(table::<T>().tile(), threads, self.a.rows(), self.b.rows())
            }
        }
    }

    unsafe fn fill(&self, left: Range<usize>, right: Range<usize>, out: Block<T>) {
        let (a, b) = match &self.way {
            Way::Tiles { left, right } => (left, right),
            Way::Sweep {
                queries,
                norms,
                is_left,
            } => {
                let (rows, few, many) = if *is_left {
                    (&self.b, left, right)
                } else {
                    (&self.a, right, left)
                };
                let dim = rows.cols();
                let mut sums = [T::zero(); SWEPT * PIECE];
                for first in many.clone().step_by(PIECE) {
                    let piece = first..many.end.min(first + PIECE);
                    for start in few.clone().step_by(SWEPT) {
                        let group = start..few.end.min(start + SWEPT);
                        let sums = &mut sums[..group.len() * piece.len()];
                        let values = &queries[group.start * dim..group.end * dim];
                        let part = (values, &norms[group.clone()]);
                        self.sweep(rows, piece.clone(), part, sums);
                        for (q, sums) in sums.chunks_exact(piece.len()).enumerate() {
                            let q = start - few.start + q;
                            let r = first - many.start;
                            let (at, step) = if *is_left {
                                (q * out.stride + r, 1)
                            } else {
                                (r * out.stride + q, out.stride)
                            };
                            // SAFETY: the caller promises these places.
                            unsafe { scatter(sums, out.data.add(at), step) };
                        }
                    }
                }
                return;
            }
        };
        let kernels = table::<T>();
        let tile = match self.similarity {
            Similarity::SquaredL2 => kernels.distances(),
            _ => kernels.tile(),
        };
        let (i, j) = (left.start, right.start);
        let lines_a = Scaled {
            rows: self.a,
            factors: &a.factors,
        };
        let lines_b = Scaled {
            rows: self.b,
            factors: &b.factors,
        };
        let is_cosine = self.similarity == Similarity::Cosine;
        // SAFETY: the caller's promises are passed on.
        unsafe {
            product(
                tile,
                T::one(),
                (lines_a, left),
                (lines_b, right),
                T::zero(),
                out,
                |row, col, tile| {
                    if is_cosine {
                        a.finish(b, i + row, j + col, tile);
                    }
                },
            );
        }
    }

    fn check(&self) -> Result<()> {
        if self.suspect.load(Ordering::Relaxed) {
            self.a.check_finite(self.names.0)?;
            self.b.check_finite(self.names.1)?;
        }
        Ok(())
    }
}
