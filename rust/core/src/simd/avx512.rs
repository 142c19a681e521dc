//! AVX-512: the same sums in registers of twice the width, the rest under a mask.

use std::arch::x86_64::*;

use super::x86::{sum_halves, sum_rows, sweep, tile};
use super::x86_differences::differences;
use super::{Block, Kernels, Level, Links, Sum, Table, Tile, scalar};

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
        distances: Tile {
            rows: 14,
            cols: 32,
            run: distances_f32,
        },
        sweep: sweep_f32,
        sweep_halves,
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
        distances: Tile {
            rows: 14,
            cols: 16,
            run: distances_f64,
        },
        sweep: sweep_f64,
        sweep_halves: scalar::sweep_halves::<f64>,
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
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
    |x, y, sum| _mm512_fmadd_ps(x, y, sum)
);

tile!(
    distances_f32,
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
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
    |x, y, sum| {
        let d = _mm512_sub_ps(x, y);
        _mm512_fmadd_ps(d, d, sum)
    }
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
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
    |x, y, sum| _mm512_fmadd_pd(x, y, sum)
);

tile!(
    distances_f64,
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
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
    |x, y, sum| {
        let d = _mm512_sub_pd(x, y);
        _mm512_fmadd_pd(d, d, sum)
    }
);

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn part_f32(place: *const f32, count: usize) -> __m512 {
    // SAFETY: masked lanes are not read.
    unsafe { _mm512_maskz_loadu_ps(((1u32 << count) - 1) as __mmask16, place) }
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn part_f64(place: *const f64, count: usize) -> __m512d {
    // SAFETY: masked lanes are not read.
    unsafe { _mm512_maskz_loadu_pd(((1u32 << count) - 1) as __mmask8, place) }
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn halves(place: *const u16) -> __m512 {
    // SAFETY: the caller promises sixteen halves.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(place.cast())) }
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn part_halves(place: *const u16, count: usize) -> __m512 {
    let pairs = ((1u32 << (count / 2)) - 1) as __mmask16;
    // SAFETY: masked pairs are not read, and the caller promises the others.
    let halves = unsafe { _mm512_maskz_loadu_epi32(pairs, place.cast()) };
    let values = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
    if count.is_multiple_of(2) {
        return values;
    }
    // SAFETY: the caller promises `count` halves.
    let last = unsafe { *place.add(count - 1) };
    let mask = 1 << (count - 1);
    _mm512_mask_cvtph_ps(values, mask, _mm256_set1_epi16(last as i16))
}

/// The totals of four registers.
#[inline]
#[target_feature(enable = "avx512f")]
fn fold_f32(x: [__m512; 4]) -> [f32; 4] {
    let low = _mm512_add_ps(
        _mm512_unpacklo_ps(x[0], x[1]),
        _mm512_unpackhi_ps(x[0], x[1]),
    );
    let high = _mm512_add_ps(
        _mm512_unpacklo_ps(x[2], x[3]),
        _mm512_unpackhi_ps(x[2], x[3]),
    );
    let (low, high) = (_mm512_castps_pd(low), _mm512_castps_pd(high));
    let all = _mm512_add_ps(
        _mm512_castpd_ps(_mm512_unpacklo_pd(low, high)),
        _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)),
    );
    let upper = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(all));
    let half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm256_castpd_ps(upper));
    let four = _mm_add_ps(
        _mm256_castps256_ps128(half),
        _mm256_extractf128_ps::<1>(half),
    );
    let mut out = [0.0; 4];
    // SAFETY: `out` holds four values.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), four) };
    out
}

/// The totals of four registers.
#[inline]
#[target_feature(enable = "avx512f")]
fn fold_f64(x: [__m512d; 4]) -> [f64; 4] {
    let low = _mm512_add_pd(
        _mm512_unpacklo_pd(x[0], x[1]),
        _mm512_unpackhi_pd(x[0], x[1]),
    );
    let high = _mm512_add_pd(
        _mm512_unpacklo_pd(x[2], x[3]),
        _mm512_unpackhi_pd(x[2], x[3]),
    );
    let low = _mm256_add_pd(
        _mm512_castpd512_pd256(low),
        _mm512_extractf64x4_pd::<1>(low),
    );
    let high = _mm256_add_pd(
        _mm512_castpd512_pd256(high),
        _mm512_extractf64x4_pd::<1>(high),
    );
    sum_halves(low, high)
}

sweep!(
    sweep_f32,
    "avx512f",
    f32,
    f32,
    __m512,
    16,
    _mm512_loadu_ps,
    part_f32,
    _mm512_loadu_ps,
    part_f32,
    _mm512_setzero_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_fmadd_ps,
    fold_f32
);

sweep!(
    sweep_halves,
    "avx512f",
    f32,
    u16,
    __m512,
    16,
    _mm512_loadu_ps,
    part_f32,
    halves,
    part_halves,
    _mm512_setzero_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_fmadd_ps,
    fold_f32
);

sweep!(
    sweep_f64,
    "avx512f",
    f64,
    f64,
    __m512d,
    8,
    _mm512_loadu_pd,
    part_f64,
    _mm512_loadu_pd,
    part_f64,
    _mm512_setzero_pd,
    _mm512_add_pd,
    _mm512_sub_pd,
    _mm512_fmadd_pd,
    fold_f64
);
