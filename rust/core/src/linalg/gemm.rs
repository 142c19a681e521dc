//! Dense matrix product, blocked and packed (Goto and van de Geijn 2008).

use std::cell::RefCell;
use std::ops::Range;

use crate::error::Result;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{self, Block, Tile};

use super::pack::{pack, packed_len};

/// Steps of the inner dimension that are packed at a time: two registers' width of the right
/// operand for so many steps stay in the first cache.
///
/// Sums are rounded at these steps whatever the shape, so changing the number changes results.
pub(super) const DEPTH: usize = 256;

/// Tiles of the left operand that are packed at a time, to stay in the second cache.
const ROW_TILES: usize = 16;

/// Columns of the right operand that are packed at a time, to stay in the third cache.
const COLS: usize = 2048;

/// Rows that one work item computes at most; it packs the right operand for itself.
const ITEM_ROWS: usize = 1024;

/// A matrix whose rows and columns lie at fixed strides, so that a transpose is free.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'a, T> {
    pub data: &'a [T],
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl<'a, T> Strided<'a, T> {
    /// Row-major data without gaps.
    pub fn rows(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols);
        Self {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }

    /// The same values with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// The part of `rows × cols` values that begins at (`row`, `col`).
    pub fn part(self, row: usize, col: usize, rows: usize, cols: usize) -> Self {
        assert!(row + rows <= self.rows && col + cols <= self.cols);
        let start = row * self.row_stride + col * self.col_stride;
        Self {
            data: self.data.get(start..).unwrap_or_default(),
            rows,
            cols,
            ..self
        }
    }
}

/// Values `steps` of `lines`, `width` lines to a panel; the last panel is rounded up to `multiple`.
pub(super) struct Panels {
    pub lines: Range<usize>,
    pub steps: Range<usize>,
    pub width: usize,
    pub multiple: usize,
}

/// Lines of an operand, whatever they are stored as: rows of `a`, columns of `b`.
pub(super) trait Operand<T>: Copy + Sync {
    fn lines(&self) -> usize;

    /// Values of a line.
    fn depth(&self) -> usize;

    /// Writes `panels` as [`pack`] does.
    fn pack(&self, panels: Panels, out: &mut [T]);
}

impl<T: Real> Operand<T> for Strided<'_, T> {
    fn lines(&self) -> usize {
        self.rows
    }

    fn depth(&self) -> usize {
        self.cols
    }

    fn pack(&self, panels: Panels, out: &mut [T]) {
        let (lines, steps) = (panels.lines, panels.steps);
        let part = self.part(lines.start, steps.start, lines.len(), steps.len());
        pack(part, panels.width, panels.multiple, out);
    }
}

/// `c = alpha · a · b + beta · c` on the calling thread, with `c` row-major without gaps.
///
/// With `beta` zero, `c` is overwritten and may hold anything before, NaN included. Each value is
/// summed in the order of the inner dimension, in the same way whatever the shape of `c`: rows or
/// columns computed separately have the same bits.
pub fn gemm<T: Real>(alpha: T, a: Strided<'_, T>, b: Strided<'_, T>, beta: T, c: &mut [T]) {
    let whole = checked(a, b, c);
    // SAFETY: `c` is borrowed exclusively and has the product's shape.
    unsafe { whole_product(simd::table::<T>().tile(), alpha, a, b, beta, whole) };
}

/// The product with all of both operands.
///
/// # Safety
///
/// As for [`product`].
unsafe fn whole_product<T: Real>(
    tile: Tile<T>,
    alpha: T,
    a: Strided<'_, T>,
    b: Strided<'_, T>,
    beta: T,
    c: Block<T>,
) {
    let (rows, cols) = (0..c.rows, 0..c.cols);
    // SAFETY: the caller's promises are passed on.
    unsafe {
        product(
            tile,
            alpha,
            (a, rows),
            (b.transposed(), cols),
            beta,
            c,
            |_, _, _| {},
        )
    };
}

/// As [`gemm`] on all threads, with the same bits; after an interruption `c` is half written.
pub fn gemm_parallel<T: Real>(
    workers: &Workers<'_>,
    alpha: T,
    a: Strided<'_, T>,
    b: Strided<'_, T>,
    beta: T,
    c: &mut [T],
) -> Result<()> {
    let whole = checked(a, b, c);
    let tile = simd::table::<T>().tile();
    let size = item_shape(tile, workers.threads(), whole.rows, whole.cols);
    let b = b.transposed();
    // SAFETY: `c` is borrowed exclusively.
    unsafe {
        for_each_part(whole, size, workers, |rows, cols, c| {
            product(tile, alpha, (a, rows), (b, cols), beta, c, |_, _, _| {});
            Ok(())
        })
    }
}

/// Calls `item` for parts of `whole` of at most `size` rows and columns, on all threads: with
/// their rows, their columns, and the part.
///
/// # Safety
///
/// Nothing else may use `whole` meanwhile.
pub(super) unsafe fn for_each_part<T: Copy + Send>(
    whole: Block<T>,
    size: (usize, usize),
    workers: &Workers<'_>,
    item: impl Fn(Range<usize>, Range<usize>, Block<T>) -> Result<()> + Sync,
) -> Result<()> {
    /// Items write to parts that do not overlap.
    struct Shared<T>(Block<T>);
    // SAFETY: see above; the values themselves may go to any thread.
    unsafe impl<T: Send> Sync for Shared<T> {}
    impl<T: Copy> Shared<T> {
        fn block(&self) -> Block<T> {
            self.0
        }
    }

    let (rows, cols) = size;
    let across = whole.cols.div_ceil(cols);
    let count = whole.rows.div_ceil(rows) * across;
    let shared = Shared(whole);
    workers.for_each(count, |index| {
        let (i, j) = (index / across * rows, index % across * cols);
        let whole = shared.block();
        let (m, n) = (rows.min(whole.rows - i), cols.min(whole.cols - j));
        item(i..i + m, j..j + n, whole.part(i, j, m, n))
    })
}

/// `c` as a block; panics where shapes do not fit, as slices do.
fn checked<T: Real>(a: Strided<'_, T>, b: Strided<'_, T>, c: &mut [T]) -> Block<T> {
    assert_eq!(a.cols, b.rows);
    assert_eq!(c.len(), a.rows * b.cols);
    Block {
        data: c.as_mut_ptr(),
        stride: b.cols,
        rows: a.rows,
        cols: b.cols,
    }
}

/// Rows and columns of a work item: some items for each thread, whole tiles, not too large.
pub(super) fn item_shape<T: Real>(
    tile: Tile<T>,
    threads: usize,
    rows: usize,
    cols: usize,
) -> (usize, usize) {
    let wanted = if threads == 1 { 1 } else { 4 * threads };
    let down = rows.div_ceil(4 * tile.rows).clamp(1, wanted);
    let across = cols.div_ceil(4 * tile.cols).clamp(1, wanted.div_ceil(down));
    let whole = |size: usize, parts: usize, tile: usize, most: usize| {
        let part = size.div_ceil(parts).next_multiple_of(tile);
        part.clamp(tile, most.next_multiple_of(tile))
    };
    (
        whole(rows, down, tile.rows, ITEM_ROWS),
        whole(cols, across, tile.cols, COLS),
    )
}

/// Words of a cache line.
const LINE: usize = 8;

thread_local! {
    /// Packed operands of the last product; 8-byte words serve both element types.
    static PACKED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// `c = alpha · a · b + beta · c` for lines of two operands, with `tile` in the place of `·`.
///
/// `finish` gets each tile of `c` that is done, with its place in `c`, while it is in the first
/// cache; it is not called where lines have no values.
///
/// # Safety
///
/// `c` must be valid for writes, and for reads unless `beta` is 0, and have the product's shape.
pub(super) unsafe fn product<T: Real>(
    tile: Tile<T>,
    alpha: T,
    (a, a_lines): (impl Operand<T>, Range<usize>),
    (b, b_lines): (impl Operand<T>, Range<usize>),
    beta: T,
    c: Block<T>,
    finish: impl Fn(usize, usize, Block<T>),
) {
    if c.rows == 0 || c.cols == 0 {
        return;
    }
    debug_assert!(a_lines.end <= a.lines() && b_lines.end <= b.lines());
    debug_assert!((a_lines.len(), b_lines.len()) == (c.rows, c.cols));
    let whole_depth = a.depth();
    if whole_depth == 0 || (beta != T::zero() && beta != T::one()) {
        for i in 0..c.rows {
            // SAFETY: the caller promises these rows; they may be read unless `beta` is 0.
            unsafe {
                for place in (0..c.cols).map(|j| c.data.add(i * c.stride + j)) {
                    *place = if beta == T::zero() {
                        beta
                    } else {
                        beta * *place
                    };
                }
            }
        }
    }
    let most_rows = (ROW_TILES * tile.rows).min(c.rows);
    let most_cols = COLS.next_multiple_of(tile.cols).min(c.cols);
    let most_depth = DEPTH.min(whole_depth);
    let left_len = packed_len(most_rows, most_depth, 1);
    let right_len = packed_len(most_cols, most_depth, tile.cols);
    // Taken out while in use, so that nothing stays borrowed.
    let mut storage = PACKED.take();
    let words = ((left_len + right_len) * size_of::<T>()).div_ceil(8) + LINE;
    if storage.len() < words {
        storage = vec![0; words];
    }
    let skip = storage.as_ptr().align_offset(64).min(LINE);
    let space: &mut [T] = bytemuck::cast_slice_mut(&mut storage[skip..]);
    let (right, left) = space.split_at_mut(right_len);
    for j in (0..c.cols).step_by(most_cols) {
        let cols = most_cols.min(c.cols - j);
        for k in (0..whole_depth).step_by(DEPTH) {
            let depth = DEPTH.min(whole_depth - k);
            let right = &mut right[..packed_len(cols, depth, tile.cols)];
            let first = b_lines.start + j;
            let panels = Panels {
                lines: first..first + cols,
                steps: k..k + depth,
                width: tile.cols,
                multiple: tile.cols,
            };
            b.pack(panels, right);
            let is_last = k + depth == whole_depth;
            let add = k > 0 || beta != T::zero();
            for i in (0..c.rows).step_by(most_rows) {
                let rows = most_rows.min(c.rows - i);
                let left = &mut left[..packed_len(rows, depth, 1)];
                let first = a_lines.start + i;
                let panels = Panels {
                    lines: first..first + rows,
                    steps: k..k + depth,
                    width: tile.rows,
                    multiple: 1,
                };
                a.pack(panels, left);
                let c = c.part(i, j, rows, cols);
                for (q, right) in right.chunks_exact(tile.cols * depth).enumerate() {
                    let width = tile.cols.min(cols - q * tile.cols);
                    for (p, left) in left.chunks(tile.rows * depth).enumerate() {
                        let height = tile.rows.min(rows - p * tile.rows);
                        let c = c.part(p * tile.rows, q * tile.cols, height, width);
                        // SAFETY: the caller promises `c`; without `add` it is only written.
                        unsafe { tile.run(alpha, left, right, add, c) };
                        if is_last {
                            finish(i + p * tile.rows, j + q * tile.cols, c);
                        }
                    }
                }
            }
        }
    }
    PACKED.set(storage);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use crate::simd::{Kernels, Level};

    fn draw<T: Real>(count: usize, key: u64) -> Vec<T> {
        let mut stream = Stream::new(11, key);
        (0..count)
            .map(|_| T::of(stream.uniform() * 2.0 - 1.0))
            .collect()
    }

    /// `rows × cols` values, stored as they are or transposed.
    fn operand<T>(data: &[T], rows: usize, cols: usize, transposed: bool) -> Strided<'_, T> {
        if transposed {
            Strided::rows(data, cols, rows).transposed()
        } else {
            Strided::rows(data, rows, cols)
        }
    }

    fn at<T: Copy>(matrix: Strided<'_, T>, i: usize, j: usize) -> T {
        matrix.data[i * matrix.row_stride + j * matrix.col_stride]
    }

    /// The product at every level against plain sums in f64.
    fn check<T: Real>(shape: (usize, usize, usize), flags: (bool, bool), scales: (f64, f64)) {
        let ((m, n, k), (alpha, beta)) = (shape, scales);
        let (left, right) = (draw::<T>(m * k, 0), draw::<T>(k * n, 1));
        let a = operand(&left, m, k, flags.0);
        let b = operand(&right, k, n, flags.1);
        let before = draw::<T>(m * n, 2);
        for level in Level::available() {
            let mut c = before.clone();
            if beta == 0.0 {
                c.fill(T::nan());
            }
            let kernels = T::table(Kernels::at(level).unwrap());
            let whole = checked(a, b, &mut c);
            // SAFETY: `c` is borrowed exclusively.
            unsafe { whole_product(kernels.tile(), T::of(alpha), a, b, T::of(beta), whole) };
            for i in 0..m {
                for j in 0..n {
                    let terms = (0..k).map(|p| at(a, i, p).wide() * at(b, p, j).wide());
                    let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| {
                        (sum + term, size + f64::abs(term))
                    });
                    let rest = beta * before[i * n + j].wide();
                    let want = alpha * sum + rest;
                    // Every order of summation stays within this (Higham 2002, section 3.1).
                    let size = f64::abs(alpha) * size + f64::abs(rest);
                    let bound = T::epsilon().wide() * (k as f64 + 4.0) * size;
                    assert!(
                        (c[i * n + j].wide() - want).abs() <= bound,
                        "{level:?} {shape:?} {flags:?} at {i}, {j}: {} for {want}",
                        c[i * n + j]
                    );
                }
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
        #[test]
        fn every_level_agrees_with_plain_sums(
            shape in (0usize..70, 0usize..70, 0usize..70),
            flags: (bool, bool),
            alpha in -2.0..2.0,
            beta in proptest::sample::select(vec![0.0, 1.0, -0.5]),
        ) {
            check::<f32>(shape, flags, (alpha, beta));
            check::<f64>(shape, flags, (alpha, beta));
        }
    }

    #[test]
    fn operands_larger_than_every_block_agree() {
        for flags in [(false, false), (true, true)] {
            check::<f32>((250, 40, 600), flags, (1.0, 1.0));
            check::<f64>((5, 2100, 257), flags, (1.0, 0.0));
        }
    }

    #[test]
    fn bits_do_not_depend_on_threads_or_on_the_part_computed() {
        let (m, n, k) = (131, 77, 530);
        let (left, right) = (draw::<f32>(m * k, 0), draw::<f32>(k * n, 1));
        let (a, b) = (Strided::rows(&left, m, k), Strided::rows(&right, k, n));
        let before = draw::<f32>(m * n, 2);
        let mut whole = before.clone();
        gemm(0.7, a, b, -0.3, &mut whole);
        for threads in [1, 2, 5] {
            let mut c = before.clone();
            gemm_parallel(&Workers::of(threads), 0.7, a, b, -0.3, &mut c).unwrap();
            assert_eq!(c, whole);
        }
        for start in [0, 1, 13, 130] {
            let mut rows = before[start * n..].to_vec();
            gemm(0.7, a.part(start, 0, m - start, k), b, -0.3, &mut rows);
            assert_eq!(rows, whole[start * n..]);
        }
        let mut column: Vec<f32> = before.chunks(n).map(|row| row[76]).collect();
        gemm(0.7, a, b.part(0, 76, k, 1), -0.3, &mut column);
        assert!(
            column
                .iter()
                .zip(whole.chunks(n))
                .all(|(x, row)| *x == row[76])
        );
    }

    #[test]
    fn nan_in_an_operand_reaches_its_row_alone() {
        let a = [1.0f32, f32::NAN, 2.0, 3.0];
        let b = [1.0f32; 6];
        let mut c = [0.0f32; 6];
        gemm(
            1.0,
            Strided::rows(&a, 2, 2),
            Strided::rows(&b, 2, 3),
            0.0,
            &mut c,
        );
        assert!(c[..3].iter().all(|value| value.is_nan()));
        assert_eq!(c[3..], [5.0; 3]);
    }
}
