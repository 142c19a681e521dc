//! AVX2 with FMA: four accumulators hide the latency of the fused multiply-add.

use std::arch::x86_64::*;

use super::x86::{sum_halves, sum_rows, sweep, tile};
use super::x86_differences::differences;
use super::{Block, Kernels, Level, Links, Sum, Table, Tile, scalar};

pub(super) static KERNELS: Kernels = Kernels {
    level: Level::Avx2,
    f32: Table {
        dot: dot_f32,
        squared_l2: squared_l2_f32,
        axpy: axpy_f32,
        sum_rows: sum_rows_f32,
        differences: differences_f32,
        tile: Tile {
            rows: 6,
            cols: 16,
            run: tile_f32,
        },
        distances: Tile {
            rows: 6,
            cols: 16,
            run: distances_f32,
        },
        sweep: sweep_f32,
        sweep_halves: scalar::sweep_halves::<f32>,
    },
    f64: Table {
        dot: dot_f64,
        squared_l2: squared_l2_f64,
        axpy: axpy_f64,
        sum_rows: sum_rows_f64,
        differences: differences_f64,
        tile: Tile {
            rows: 6,
            cols: 8,
            run: tile_f64,
        },
        distances: Tile {
            rows: 6,
            cols: 8,
            run: distances_f64,
        },
        sweep: sweep_f64,
        sweep_halves: scalar::sweep_halves::<f64>,
    },
};

/// A sum over two slices: whole registers first, then one value at a time.
macro_rules! reduction {
    ($name:ident, $scalar:ty, $lanes:literal, $load:ident, $zero:ident, $add:ident, $store:ident,
     |$x:ident, $y:ident, $sum:ident| $step:expr, |$a:ident, $b:ident| $tail:expr) => {
        #[target_feature(enable = "avx2,fma")]
        fn $name(a: &[$scalar], b: &[$scalar]) -> $scalar {
            const STEP: usize = 4 * $lanes;
            let mut sums = [$zero(); 4];
            let (a_blocks, a_rest) = a.as_chunks::<STEP>();
            let (b_blocks, b_rest) = b.as_chunks::<STEP>();
            for (a, b) in a_blocks.iter().zip(b_blocks) {
                for (i, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: a block holds four registers' worth of values.
                    let ($x, $y) = unsafe {
                        (
                            $load(a.as_ptr().add(i * $lanes)),
                            $load(b.as_ptr().add(i * $lanes)),
                        )
                    };
                    let $sum = *sum;
                    *sum = $step;
                }
            }
            let (a_blocks, a_rest) = a_rest.as_chunks::<$lanes>();
            let (b_blocks, b_rest) = b_rest.as_chunks::<$lanes>();
            for (a, b) in a_blocks.iter().zip(b_blocks) {
                // SAFETY: a block holds one register's worth of values.
                let ($x, $y) = unsafe { ($load(a.as_ptr()), $load(b.as_ptr())) };
                let $sum = sums[0];
                sums[0] = $step;
            }
            let total = $add($add(sums[0], sums[1]), $add(sums[2], sums[3]));
            let mut lanes = [0.0; $lanes];
            // SAFETY: `lanes` holds one register's worth of values.
            unsafe { $store(lanes.as_mut_ptr(), total) };
            let head: $scalar = lanes.iter().sum();
            a_rest
                .iter()
                .zip(b_rest)
                .fold(head, |sum, (&$a, &$b)| sum + $tail)
        }
    };
}

reduction!(
    dot_f32,
    f32,
    8,
    _mm256_loadu_ps,
    _mm256_setzero_ps,
    _mm256_add_ps,
    _mm256_storeu_ps,
    |x, y, sum| _mm256_fmadd_ps(x, y, sum),
    |a, b| a * b
);
reduction!(
    squared_l2_f32,
    f32,
    8,
    _mm256_loadu_ps,
    _mm256_setzero_ps,
    _mm256_add_ps,
    _mm256_storeu_ps,
    |x, y, sum| {
        let d = _mm256_sub_ps(x, y);
        _mm256_fmadd_ps(d, d, sum)
    },
    |a, b| (a - b) * (a - b)
);
reduction!(
    dot_f64,
    f64,
    4,
    _mm256_loadu_pd,
    _mm256_setzero_pd,
    _mm256_add_pd,
    _mm256_storeu_pd,
    |x, y, sum| _mm256_fmadd_pd(x, y, sum),
    |a, b| a * b
);
reduction!(
    squared_l2_f64,
    f64,
    4,
    _mm256_loadu_pd,
    _mm256_setzero_pd,
    _mm256_add_pd,
    _mm256_storeu_pd,
    |x, y, sum| {
        let d = _mm256_sub_pd(x, y);
        _mm256_fmadd_pd(d, d, sum)
    },
    |a, b| (a - b) * (a - b)
);

// The compiler vectorises this well once it may use the instructions.
#[target_feature(enable = "avx2,fma")]
fn axpy_f32(scale: f32, x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x.mul_add(scale, *y);
    }
}

#[target_feature(enable = "avx2,fma")]
fn axpy_f64(scale: f64, x: &[f64], y: &mut [f64]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x.mul_add(scale, *y);
    }
}

sum_rows!(
    sum_rows_f32,
    "avx2,fma",
    f32,
    __m256,
    8,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    [8, 4, 2, 1]
);

sum_rows!(
    sum_rows_f64,
    "avx2,fma",
    f64,
    __m256d,
    4,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_set1_pd,
    _mm256_fmadd_pd,
    [8, 4, 2, 1]
);

differences!(
    differences_f32,
    "avx2,fma",
    f32,
    __m256,
    8,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_add_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    _mm256_fnmadd_ps,
    [4, 2, 1]
);

differences!(
    differences_f64,
    "avx2,fma",
    f64,
    __m256d,
    4,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_set1_pd,
    _mm256_add_pd,
    _mm256_mul_pd,
    _mm256_fmadd_pd,
    _mm256_fnmadd_pd,
    [4, 2, 1]
);

tile!(
    tile_f32,
    "avx2,fma",
    f32,
    __m256,
    8,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    6,
    [1, 2, 3, 4, 5, 6],
    |x, y, sum| _mm256_fmadd_ps(x, y, sum)
);

tile!(
    distances_f32,
    "avx2,fma",
    f32,
    __m256,
    8,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    6,
    [1, 2, 3, 4, 5, 6],
    |x, y, sum| {
        let d = _mm256_sub_ps(x, y);
        _mm256_fmadd_ps(d, d, sum)
    }
);

tile!(
    tile_f64,
    "avx2,fma",
    f64,
    __m256d,
    4,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_set1_pd,
    _mm256_mul_pd,
    _mm256_fmadd_pd,
    6,
    [1, 2, 3, 4, 5, 6],
    |x, y, sum| _mm256_fmadd_pd(x, y, sum)
);

tile!(
    distances_f64,
    "avx2,fma",
    f64,
    __m256d,
    4,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_set1_pd,
    _mm256_mul_pd,
    _mm256_fmadd_pd,
    6,
    [1, 2, 3, 4, 5, 6],
    |x, y, sum| {
        let d = _mm256_sub_pd(x, y);
        _mm256_fmadd_pd(d, d, sum)
    }
);

/// Fewer values than a register holds, zeros after them.
macro_rules! part {
    ($name:ident, $scalar:ty, $vector:ty, $lanes:literal, $load:ident) => {
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn $name(place: *const $scalar, count: usize) -> $vector {
            let mut part = [0.0; $lanes];
            for (i, value) in part.iter_mut().enumerate().take(count) {
                // SAFETY: the caller promises `count` values.
                *value = unsafe { *place.add(i) };
            }
            // SAFETY: `part` holds a register's worth of values.
            unsafe { $load(part.as_ptr()) }
        }
    };
}

part!(part_f32, f32, __m256, 8, _mm256_loadu_ps);
part!(part_f64, f64, __m256d, 4, _mm256_loadu_pd);

/// The totals of four registers.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn fold_f32(x: [__m256; 4]) -> [f32; 4] {
    let low = _mm256_hadd_ps(x[0], x[1]);
    let high = _mm256_hadd_ps(x[2], x[3]);
    let all = _mm256_hadd_ps(low, high);
    let four = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps::<1>(all));
    let mut out = [0.0; 4];
    // SAFETY: `out` holds four values.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), four) };
    out
}

/// The totals of four registers.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn fold_f64(x: [__m256d; 4]) -> [f64; 4] {
    let low = _mm256_hadd_pd(x[0], x[1]);
    let high = _mm256_hadd_pd(x[2], x[3]);
    sum_halves(low, high)
}

sweep!(
    sweep_f32,
    "avx2,fma",
    f32,
    f32,
    __m256,
    8,
    _mm256_loadu_ps,
    part_f32,
    _mm256_loadu_ps,
    part_f32,
    _mm256_setzero_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_fmadd_ps,
    fold_f32
);

sweep!(
    sweep_f64,
    "avx2,fma",
    f64,
    f64,
    __m256d,
    4,
    _mm256_loadu_pd,
    part_f64,
    _mm256_loadu_pd,
    part_f64,
    _mm256_setzero_pd,
    _mm256_add_pd,
    _mm256_sub_pd,
    _mm256_fmadd_pd,
    fold_f64
);
