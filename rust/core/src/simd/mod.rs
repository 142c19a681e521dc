//! Kernels for the processor at hand.
//!
//! The processor is looked at once. Each level fills a [`Table`] of function pointers; entries a
//! level has no better code for are the next lower level's. `RUVECTOR_SIMD` forces a lower level.

pub mod byte_tile;
pub mod bytes;
mod elementwise;
pub mod fours;
pub mod half;
pub mod maps;
mod scalar;
pub(crate) mod sixteens;
pub(crate) mod small;

#[cfg(test)]
mod tests;

#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_differences;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

pub(crate) use elementwise::{Elementwise, elementwise};

use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::real::Real;

/// Names the level to use instead of the best one the processor has.
pub const SIMD_VARIABLE: &str = "RUVECTOR_SIMD";

/// A set of instructions, from the one every processor has upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Scalar,
    Neon,
    Avx2,
    Avx512,
}

impl Level {
    const ALL: [Self; 4] = [Self::Scalar, Self::Neon, Self::Avx2, Self::Avx512];

    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this processor can run the level's kernels.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Self::Avx2.is_available() && is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// The levels this processor can run, lowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|level| level.is_available())
    }
}

/// A kernel of two vectors of equal length.
pub(crate) type Pairwise<T> = unsafe fn(&[T], &[T]) -> T;

/// A weighted sum of rows: indices, weights (1 where there are none), rows, result.
pub(crate) type SumRows<T> = unsafe fn(&[i32], Option<&[T]>, &[T], &mut [T]);

/// Entries of one sparse row.
#[derive(Clone, Copy)]
pub struct Links<'a, T> {
    /// The entries' columns, and perhaps those of later entries, which are fetched ahead.
    pub indices: &'a [i32],
    pub count: usize,
    /// One an entry, 1 where there are none.
    pub weights: Option<&'a [T]>,
    /// Multiply the rows that are pointed at; 1 where there are none.
    pub scales: Option<&'a [T]>,
}

/// Differences to rows: entries, what rows are taken from, rows, sums, whether to square.
pub(crate) type Differences<T> = unsafe fn(Links<'_, T>, &[T], &[T], Option<&mut [T]>, bool) -> T;

/// A part of a row-major matrix that one call alone writes to.
#[derive(Clone, Copy)]
pub(crate) struct Block<T> {
    pub data: *mut T,
    /// Values from one row to the next.
    pub stride: usize,
    pub rows: usize,
    pub cols: usize,
}

impl<T> Block<T> {
    /// The part of `rows × cols` values that begins at (`row`, `col`).
    pub fn part(self, row: usize, col: usize, rows: usize, cols: usize) -> Self {
        debug_assert!(row + rows <= self.rows && col + cols <= self.cols);
        Self {
            data: self.data.wrapping_add(row * self.stride + col),
            rows,
            cols,
            ..self
        }
    }
}

/// The innermost product of a matrix product: scale, packed operands, whether to add, result.
pub(crate) type RunTile<T> = unsafe fn(T, &[T], &[T], bool, Block<T>);

/// The product kernel and the largest block it computes at a time.
#[derive(Clone, Copy)]
pub(crate) struct Tile<T> {
    pub rows: usize,
    pub cols: usize,
    run: RunTile<T>,
}

impl<T: Real> Tile<T> {
    /// `c = alpha · a · b (+ c)`.
    ///
    /// Step k of the inner dimension has `c.rows` values of `a` and `self.cols` values of `b`, of
    /// which the first `c.cols` count. Each value of `c` is summed in the order of the steps.
    ///
    /// # Safety
    ///
    /// `c` must be valid for writes, and for reads where `add` is true.
    #[inline]
    pub unsafe fn run(&self, alpha: T, a: &[T], b: &[T], add: bool, c: Block<T>) {
        assert!(c.rows <= self.rows && c.cols <= self.cols && b.len().is_multiple_of(self.cols));
        assert_eq!(a.len(), b.len() / self.cols * c.rows);
        // SAFETY: the level is available, the lengths fit, the caller vouches for `c`.
        unsafe { (self.run)(alpha, a, b, add, c) }
    }
}

/// What a [`Sweep`] adds up for a query and a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    /// Products.
    Dot,
    /// Products, and the row's own squares.
    DotAndSquare,
    /// Squared differences.
    Distance,
}

/// Most queries that one pass of a [`Sweep`] takes.
pub(crate) const SWEPT: usize = 4;

/// Sums of a few queries with each of many rows, which lie one after the other: what to sum, the
/// queries, their number, the rows, the sums query by query, the rows' squares.
pub(crate) type Sweep<T, S> = unsafe fn(Sum, &[T], usize, &[S], &mut [T], &mut [T]);

/// The kernels of one element type at one level.
///
/// The pointers are unsafe because a level's code may run only where the level is available;
/// [`Kernels::at`] is the only way to a table and checks that.
pub struct Table<T: 'static> {
    dot: Pairwise<T>,
    squared_l2: Pairwise<T>,
    axpy: unsafe fn(T, &[T], &mut [T]),
    sum_rows: SumRows<T>,
    differences: Differences<T>,
    tile: Tile<T>,
    distances: Tile<T>,
    sweep: Sweep<T, T>,
    sweep_halves: Sweep<T, u16>,
}

impl<T: Real> Table<T> {
    /// Σ aᵢ bᵢ.
    #[inline]
    pub fn dot(&self, a: &[T], b: &[T]) -> T {
        assert_eq!(a.len(), b.len());
        // SAFETY: the level is available and the lengths are equal.
        unsafe { (self.dot)(a, b) }
    }

    /// Σ (aᵢ - bᵢ)².
    #[inline]
    pub fn squared_l2(&self, a: &[T], b: &[T]) -> T {
        assert_eq!(a.len(), b.len());
        // SAFETY: the level is available and the lengths are equal.
        unsafe { (self.squared_l2)(a, b) }
    }

    /// y += scale · x.
    #[inline]
    pub fn axpy(&self, scale: T, x: &[T], y: &mut [T]) {
        assert_eq!(x.len(), y.len());
        // SAFETY: the level is available and the lengths are equal.
        unsafe { (self.axpy)(scale, x, y) }
    }

    /// The kernel of dense products.
    pub(crate) fn tile(&self) -> Tile<T> {
        self.tile
    }

    /// As [`Self::tile`] with squared differences in the place of products.
    pub(crate) fn distances(&self) -> Tile<T> {
        self.distances
    }

    /// Sums of `count` queries with each row, every row read once.
    ///
    /// `sums` gets a value for each row, query by query, and `squares` one for each row where
    /// they are asked for. Sums do not depend on what else is computed with them.
    #[inline]
    pub(crate) fn sweep(
        &self,
        sum: Sum,
        queries: &[T],
        count: usize,
        rows: &[T],
        sums: &mut [T],
        squares: &mut [T],
    ) {
        check_sweep(sum, queries, count, rows, sums, squares);
        // SAFETY: the level is available and the lengths fit.
        unsafe { (self.sweep)(sum, queries, count, rows, sums, squares) }
    }

    /// As [`Self::sweep`] for rows of halves.
    #[inline]
    pub(crate) fn sweep_halves(
        &self,
        sum: Sum,
        queries: &[T],
        count: usize,
        rows: &[u16],
        sums: &mut [T],
        squares: &mut [T],
    ) {
        check_sweep(sum, queries, count, rows, sums, squares);
        // SAFETY: the level is available and the lengths fit.
        unsafe { (self.sweep_halves)(sum, queries, count, rows, sums, squares) }
    }

    /// y = Σₖ weightsₖ · x[indicesₖ], where `x` has rows as long as `y`; without weights a plain sum.
    ///
    /// Each value of `y` is summed in the order of the entries.
    #[inline]
    pub fn sum_rows(&self, indices: &[i32], weights: Option<&[T]>, x: &[T], y: &mut [T]) {
        assert!(weights.is_none_or(|weights| weights.len() == indices.len()));
        assert!(are_rows(indices, x.len(), y.len()));
        // SAFETY: the level is available, the lengths are equal, the indices name rows.
        unsafe { (self.sum_rows)(indices, weights, x, y) }
    }

    /// With `dₖ = center - scaleₖ · x[indexₖ]`, adds `Σₖ weightₖ · dₖ` to `y` and returns
    /// `Σₖ weightₖ ‖dₖ‖²` where `squares` or no `y` is given, with the same bits for both; else 0.
    #[inline]
    pub fn differences(
        &self,
        links: Links<'_, T>,
        center: &[T],
        x: &[T],
        y: Option<&mut [T]>,
        squares: bool,
    ) -> T {
        assert!(links.count <= links.indices.len());
        assert!(
            links
                .weights
                .is_none_or(|weights| weights.len() >= links.count)
        );
        assert!(
            links
                .scales
                .is_none_or(|scales| scales.len() >= links.count)
        );
        assert!(y.as_ref().is_none_or(|y| y.len() == center.len()));
        assert!(are_rows(
            &links.indices[..links.count],
            x.len(),
            center.len()
        ));
        // SAFETY: the level is available, the lengths fit, the first `count` indices name rows.
        unsafe { (self.differences)(links, center, x, y, squares) }
    }
}

/// Whether all `indices` name rows of `cols` among so many values. Costs little beside reading them.
fn are_rows(indices: &[i32], values: usize, cols: usize) -> bool {
    let Some(rows) = values.checked_div(cols) else {
        return true; // nothing is read
    };
    // A negative number is larger than any row's.
    let largest = indices
        .iter()
        .fold(0, |top: u32, &index| top.max(index as u32));
    indices.is_empty() || (largest as usize) < rows.min(1 << 31)
}

fn check_sweep<T, S>(sum: Sum, queries: &[T], count: usize, rows: &[S], sums: &[T], squares: &[T]) {
    assert!((1..=SWEPT).contains(&count));
    let (dim, lines) = (queries.len() / count, sums.len() / count);
    assert_eq!((queries.len(), sums.len()), (dim * count, lines * count));
    assert_eq!(rows.len(), dim * lines);
    let wanted = if sum == Sum::DotAndSquare { lines } else { 0 };
    assert_eq!(squares.len(), wanted);
}

/// The tables of one level.
pub struct Kernels {
    pub level: Level,
    pub f32: Table<f32>,
    pub f64: Table<f64>,
}

impl Kernels {
    /// The kernels of `level`, or nothing where the processor lacks it.
    pub fn at(level: Level) -> Option<&'static Self> {
        if !level.is_available() {
            return None;
        }
        match level {
            Level::Scalar => Some(&scalar::KERNELS),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Some(&avx2::KERNELS),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Some(&avx512::KERNELS),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => Some(&neon::KERNELS),
            #[allow(unreachable_patterns)]
            _ => None,
        }
    }

    /// The best kernels this processor has, or those that `RUVECTOR_SIMD` asks for.
    pub fn get() -> &'static Self {
        static CHOSEN: OnceLock<&'static Kernels> = OnceLock::new();
        CHOSEN.get_or_init(|| requested().unwrap_or_else(|_| Self::best()))
    }

    fn best() -> &'static Self {
        Level::available()
            .filter_map(Self::at)
            .last()
            .unwrap_or(&scalar::KERNELS)
    }
}

/// What `RUVECTOR_SIMD` asks for; fails where the word or the level is not to be had.
pub fn requested() -> Result<&'static Kernels> {
    let Ok(name) = std::env::var(SIMD_VARIABLE) else {
        return Ok(Kernels::best());
    };
    Level::available()
        .find(|level| level.name() == name)
        .and_then(Kernels::at)
        .ok_or_else(|| {
            let names: Vec<_> = Level::available().map(Level::name).collect();
            Error::invalid(
                SIMD_VARIABLE,
                format!("is {name:?} but this processor offers {}", names.join(", ")),
            )
        })
}

/// This type's kernels at the level in use.
#[inline]
pub fn table<T: Real>() -> &'static Table<T> {
    T::table(Kernels::get())
}

/// Asks for the first `lines` cache lines of `data` ahead of their use.
#[inline(always)]
pub fn prefetch<T>(data: &[T], lines: usize) {
    #[cfg(target_arch = "x86_64")]
    ask_for::<{ std::arch::x86_64::_MM_HINT_T0 }, T>(data, lines);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (data, lines);
}

/// As [`prefetch`], for data that will be written.
#[inline(always)]
pub fn prefetch_to_write<T>(data: &mut [T], lines: usize) {
    #[cfg(target_arch = "x86_64")]
    ask_for::<{ std::arch::x86_64::_MM_HINT_ET0 }, T>(data, lines);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (data, lines);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ask_for<const HINT: i32, T>(data: &[T], lines: usize) {
    use std::arch::x86_64::_mm_prefetch;
    const LINE: usize = 64;
    let wanted = size_of_val(data).min(lines.saturating_mul(LINE));
    let Some(last) = wanted.checked_sub(1) else {
        return;
    };
    for line in 0..wanted.div_ceil(LINE) {
        // SAFETY: the line begins within the slice; a prefetch reads nothing architecturally.
        unsafe { _mm_prefetch::<HINT>(data.as_ptr().cast::<i8>().add(line * LINE)) };
    }
    // Rows of a NumPy array begin 16 bytes into a line and end in one more.
    // SAFETY: as above.
    unsafe { _mm_prefetch::<HINT>(data.as_ptr().cast::<i8>().add(last)) };
}
