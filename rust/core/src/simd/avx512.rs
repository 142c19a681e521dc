//! AVX-512: the same sums in registers of twice the width, the rest under a mask.

use std::arch::x86_64::*;

use super::x86::{differences, sum_rows, tile};
use super::{Block, Kernels, Level, Links, Table, Tile};

pub(super) static KERNELS: Kernels = Kernels {
    level: Level::Avx512,
    f32: Table {
        dot: dot_f32,
        squared_l2: squared_l2_f32,
        axpy: axpy_f32,
        sum_rows: sum_rows_f32,
        differences: differences_f32,
        tile: Tile {
            rows: 14,
            cols: 32,
            run: tile_f32,
        },
    },
    f64: Table {
        dot: dot_f64,
        squared_l2: squared_l2_f64,
        axpy: axpy_f64,
        sum_rows: sum_rows_f64,
        differences: differences_f64,
        tile: Tile {
            rows: 14,
            cols: 16,
            run: tile_f64,
        },
    },
};

/// A sum over two slices: blocks of four registers, then single registers, then a masked one.
macro_rules! reduction {
    ($name:ident, $scalar:ty, $lanes:literal, $mask:ty, $load:ident, $load_masked:ident,
     $zero:ident, $add:ident, $total:ident, |$x:ident, $y:ident, $sum:ident| $step:expr) => {
        #[target_feature(enable = "avx512f")]
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
            for (i, (a, b)) in a_blocks.iter().zip(b_blocks).enumerate() {
                // SAFETY: a block holds one register's worth of values.
                let ($x, $y) = unsafe { ($load(a.as_ptr()), $load(b.as_ptr())) };
                let $sum = sums[i];
                sums[i] = $step;
            }
            if !a_rest.is_empty() {
                let mask = ((1u32 << a_rest.len()) - 1) as $mask;
                // SAFETY: masked lanes are not read.
                let ($x, $y) = unsafe {
                    (
                        $load_masked(mask, a_rest.as_ptr()),
                        $load_masked(mask, b_rest.as_ptr()),
                    )
                };
                let $sum = sums[3];
                sums[3] = $step;
            }
            $total($add($add(sums[0], sums[1]), $add(sums[2], sums[3])))
        }
    };
}

reduction!(
    dot_f32,
    f32,
    16,
    __mmask16,
    _mm512_loadu_ps,
    _mm512_maskz_loadu_ps,
    _mm512_setzero_ps,
    _mm512_add_ps,
    _mm512_reduce_add_ps,
    |x, y, sum| _mm512_fmadd_ps(x, y, sum)
);
reduction!(
    squared_l2_f32,
    f32,
    16,
    __mmask16,
    _mm512_loadu_ps,
    _mm512_maskz_loadu_ps,
    _mm512_setzero_ps,
    _mm512_add_ps,
    _mm512_reduce_add_ps,
    |x, y, sum| {
        let d = _mm512_sub_ps(x, y);
        _mm512_fmadd_ps(d, d, sum)
    }
);
reduction!(
    dot_f64,
    f64,
    8,
    __mmask8,
    _mm512_loadu_pd,
    _mm512_maskz_loadu_pd,
    _mm512_setzero_pd,
    _mm512_add_pd,
    _mm512_reduce_add_pd,
    |x, y, sum| _mm512_fmadd_pd(x, y, sum)
);
reduction!(
    squared_l2_f64,
    f64,
    8,
    __mmask8,
    _mm512_loadu_pd,
    _mm512_maskz_loadu_pd,
    _mm512_setzero_pd,
    _mm512_add_pd,
    _mm512_reduce_add_pd,
    |x, y, sum| {
        let d = _mm512_sub_pd(x, y);
        _mm512_fmadd_pd(d, d, sum)
    }
);

#[target_feature(enable = "avx512f")]
fn axpy_f32(scale: f32, x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x.mul_add(scale, *y);
    }
}

#[target_feature(enable = "avx512f")]
fn axpy_f64(scale: f64, x: &[f64], y: &mut [f64]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x.mul_add(scale, *y);
    }
}

sum_rows!(
    sum_rows_f32,
    "avx512f",
    f32,
    __m512,
    16,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    [16, 8, 4, 2, 1]
);

sum_rows!(
    sum_rows_f64,
    "avx512f",
    f64,
    __m512d,
    8,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_set1_pd,
    _mm512_fmadd_pd,
    [16, 8, 4, 2, 1]
);

differences!(
    differences_f32,
    "avx512f",
    f32,
    __m512,
    16,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_add_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    _mm512_fnmadd_ps,
    [8, 4, 2, 1]
);

differences!(
    differences_f64,
    "avx512f",
    f64,
    __m512d,
    8,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_set1_pd,
    _mm512_add_pd,
    _mm512_mul_pd,
    _mm512_fmadd_pd,
    _mm512_fnmadd_pd,
    [8, 4, 2, 1]
);

tile!(
    tile_f32,
    "avx512f",
    f32,
    __m512,
    16,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    14,
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
);

tile!(
    tile_f64,
    "avx512f",
    f64,
    __m512d,
    8,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_set1_pd,
    _mm512_mul_pd,
    _mm512_fmadd_pd,
    14,
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
);
