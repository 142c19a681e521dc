//! Plain code for every processor.

use crate::real::Real;

use super::{Block, Kernels, Level, Links, Sum, Table, Tile, half};

pub(super) static KERNELS: Kernels = Kernels {
    level: Level::Scalar,
    f32: Table {
        dot: dot::<f32>,
        squared_l2: squared_l2::<f32>,
        axpy: axpy::<f32>,
        sum_rows: sum_rows::<f32>,
        differences: differences::<f32>,
        tile: Tile {
            rows: TILE_ROWS,
            cols: 8,
            run: tile::<f32, 8, false, false>,
        },
        distances: Tile {
            rows: TILE_ROWS,
            cols: 8,
            run: tile::<f32, 8, false, true>,
        },
        sweep: sweep::<f32>,
        sweep_halves: sweep_halves::<f32>,
    },
    f64: Table {
        dot: dot::<f64>,
        squared_l2: squared_l2::<f64>,
        axpy: axpy::<f64>,
        sum_rows: sum_rows::<f64>,
        differences: differences::<f64>,
        tile: Tile {
            rows: TILE_ROWS,
            cols: 4,
            run: tile::<f64, 4, false, false>,
        },
        distances: Tile {
            rows: TILE_ROWS,
            cols: 4,
            run: tile::<f64, 4, false, true>,
        },
        sweep: sweep::<f64>,
        sweep_halves: sweep_halves::<f64>,
    },
};

/// Independent sums that the compiler may keep in one vector register.
const LANES: usize = 8;

#[inline(always)]
fn reduce<T: num_traits::Float>(a: &[T], b: &[T], term: impl Fn(T, T) -> T) -> T {
    let mut sums = [T::zero(); LANES];
    let (a_head, a_tail) = a.as_chunks::<LANES>();
    let (b_head, b_tail) = b.as_chunks::<LANES>();
    for (x, y) in a_head.iter().zip(b_head) {
        for lane in 0..LANES {
            sums[lane] = sums[lane] + term(x[lane], y[lane]);
        }
    }
    let head = sums.into_iter().fold(T::zero(), |sum, lane| sum + lane);
    a_tail
        .iter()
        .zip(b_tail)
        .fold(head, |sum, (&x, &y)| sum + term(x, y))
}

pub(super) fn dot<T: num_traits::Float>(a: &[T], b: &[T]) -> T {
    reduce(a, b, |x, y| x * y)
}

pub(super) fn squared_l2<T: num_traits::Float>(a: &[T], b: &[T]) -> T {
    reduce(a, b, |x, y| (x - y) * (x - y))
}

pub(super) fn axpy<T: num_traits::Float>(scale: T, x: &[T], y: &mut [T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = *y + scale * x;
    }
}

/// `y = Σₖ weightsₖ · x[indicesₖ]`.
pub(super) fn sum_rows<T: num_traits::Float>(
    indices: &[i32],
    weights: Option<&[T]>,
    x: &[T],
    y: &mut [T],
) {
    y.fill(T::zero());
    let cols = y.len();
    for (k, &index) in indices.iter().enumerate() {
        let weight = weights.map_or(T::one(), |weights| weights[k]);
        let start = index as usize * cols;
        axpy(weight, &x[start..start + cols], y);
    }
}

/// Sums of a few queries with a row by the table's kernels of two vectors.
fn sweep_row<T: Real>(
    sum: Sum,
    queries: &[T],
    row: (usize, &[T]),
    lines: usize,
    sums: &mut [T],
    squares: &mut [T],
) {
    let kernels = super::table::<T>();
    let (i, row) = row;
    for (q, sums) in sums.chunks_exact_mut(lines).enumerate() {
        let query = &queries[q * row.len()..][..row.len()];
        sums[i] = match sum {
            Sum::Distance => kernels.squared_l2(query, row),
            _ => kernels.dot(query, row),
        };
    }
    if sum == Sum::DotAndSquare {
        squares[i] = kernels.dot(row, row);
    }
}

pub(super) fn sweep<T: Real>(
    sum: Sum,
    queries: &[T],
    count: usize,
    rows: &[T],
    sums: &mut [T],
    squares: &mut [T],
) {
    let (dim, lines) = (queries.len() / count, sums.len() / count);
    for i in 0..lines {
        let row = &rows[i * dim..][..dim];
        sweep_row(sum, queries, (i, row), lines, sums, squares);
    }
}

/// As [`sweep`] for rows of halves, decoded one by one.
pub(super) fn sweep_halves<T: Real>(
    sum: Sum,
    queries: &[T],
    count: usize,
    rows: &[u16],
    sums: &mut [T],
    squares: &mut [T],
) {
    let (dim, lines) = (queries.len() / count, sums.len() / count);
    let (mut narrow, mut row) = (vec![0.0; dim], vec![T::zero(); dim]);
    for i in 0..lines {
        half::decode(&rows[i * dim..][..dim], &mut narrow);
        for (value, &x) in row.iter_mut().zip(&narrow) {
            *value = T::of(f64::from(x));
        }
        sweep_row(sum, queries, (i, &row), lines, sums, squares);
    }
}

/// What [`Table::differences`] does.
pub(super) fn differences<T: num_traits::Float>(
    links: Links<'_, T>,
    center: &[T],
    x: &[T],
    mut y: Option<&mut [T]>,
    squares: bool,
) -> T {
    let squares = squares || y.is_none();
    let cols = center.len();
    let mut total = T::zero();
    for (k, &index) in links.indices[..links.count].iter().enumerate() {
        let weight = links.weights.map_or(T::one(), |weights| weights[k]);
        let scale = links.scales.map_or(T::one(), |scales| scales[k]);
        let start = index as usize * cols;
        let row = &x[start..start + cols];
        if squares {
            let square = reduce(center, row, |c, x| (c - scale * x) * (c - scale * x));
            total = total + weight * square;
        }
        if let Some(y) = &mut y {
            for ((y, &c), &x) in y.iter_mut().zip(center).zip(row) {
                *y = *y + weight * (c - scale * x);
            }
        }
    }
    total
}

/// Rows of the product's tile; with two registers' width the tile fills half of 16 registers.
pub(super) const TILE_ROWS: usize = 4;

/// `c = alpha · a · b (+ c)` for one tile; `FUSED` where a multiply-add is one instruction,
/// `SQUARED` for squared differences in the place of products.
///
/// # Safety
///
/// As for [`Tile::run`].
pub(super) unsafe fn tile<T: Real, const COLS: usize, const FUSED: bool, const SQUARED: bool>(
    alpha: T,
    a: &[T],
    b: &[T],
    add: bool,
    c: Block<T>,
) {
    let fma = |x: T, y: T, z: T| if FUSED { x.mul_add(y, z) } else { x * y + z };
    let term = |x: T, y: T, sum: T| {
        if SQUARED {
            fma(x - y, x - y, sum)
        } else {
            fma(x, y, sum)
        }
    };
    let mut sums = [[T::zero(); COLS]; TILE_ROWS];
    let (steps, _) = b.as_chunks::<COLS>();
    if c.rows == TILE_ROWS {
        let (values, _) = a.as_chunks::<TILE_ROWS>();
        for (values, step) in values.iter().zip(steps) {
            for i in 0..TILE_ROWS {
                for j in 0..COLS {
                    sums[i][j] = term(values[i], step[j], sums[i][j]);
                }
            }
        }
    } else {
        for (values, step) in a.chunks_exact(c.rows).zip(steps) {
            for (sums, &value) in sums.iter_mut().zip(values) {
                for j in 0..COLS {
                    sums[j] = term(value, step[j], sums[j]);
                }
            }
        }
    }
    for (i, sums) in sums.iter().enumerate().take(c.rows) {
        for (j, &sum) in sums.iter().enumerate().take(c.cols) {
            // SAFETY: the caller promises that `c` has these rows and columns.
            unsafe {
                let place = c.data.add(i * c.stride + j);
                *place = if add {
                    fma(alpha, sum, *place)
                } else {
                    alpha * sum
                };
            }
        }
    }
}
