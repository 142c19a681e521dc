//! NEON, which every 64-bit Arm processor has: four accumulators, then single values.

use std::arch::aarch64::*;

use super::{Kernels, Level, Table, Tile, scalar};

pub(super) static KERNELS: Kernels = Kernels {
    level: Level::Neon,
    f32: Table {
        dot: dot_f32,
        squared_l2: squared_l2_f32,
        axpy: axpy_f32,
        sum_rows: scalar::sum_rows::<f32>,
        differences: scalar::differences::<f32>,
        tile: Tile {
            rows: scalar::TILE_ROWS,
            cols: 8,
            run: scalar::tile::<f32, 8, true, false>,
        },
        distances: Tile {
            rows: scalar::TILE_ROWS,
            cols: 8,
            run: scalar::tile::<f32, 8, true, true>,
        },
        sweep: scalar::sweep::<f32>,
        sweep_halves: scalar::sweep_halves::<f32>,
    },
    f64: Table {
        dot: dot_f64,
        squared_l2: squared_l2_f64,
        axpy: axpy_f64,
        sum_rows: scalar::sum_rows::<f64>,
        differences: scalar::differences::<f64>,
        tile: Tile {
            rows: scalar::TILE_ROWS,
            cols: 4,
            run: scalar::tile::<f64, 4, true, false>,
        },
        distances: Tile {
            rows: scalar::TILE_ROWS,
            cols: 4,
            run: scalar::tile::<f64, 4, true, true>,
        },
        sweep: scalar::sweep::<f64>,
        sweep_halves: scalar::sweep_halves::<f64>,
    },
};

/// A sum over two slices: blocks of four registers first, then one value at a time.
macro_rules! reduction {
    ($name:ident, $scalar:ty, $lanes:literal, $load:ident, $set:ident, $add:ident, $total:ident,
     |$x:ident, $y:ident, $sum:ident| $step:expr, |$a:ident, $b:ident| $tail:expr) => {
        #[target_feature(enable = "neon")]
        fn $name(a: &[$scalar], b: &[$scalar]) -> $scalar {
            const STEP: usize = 4 * $lanes;
            let mut sums = [$set(0.0); 4];
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
            let head = $total($add($add(sums[0], sums[1]), $add(sums[2], sums[3])));
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
    4,
    vld1q_f32,
    vdupq_n_f32,
    vaddq_f32,
    vaddvq_f32,
    |x, y, sum| vfmaq_f32(sum, x, y),
    |a, b| a * b
);
reduction!(
    squared_l2_f32,
    f32,
    4,
    vld1q_f32,
    vdupq_n_f32,
    vaddq_f32,
    vaddvq_f32,
    |x, y, sum| {
        let d = vsubq_f32(x, y);
        vfmaq_f32(sum, d, d)
    },
    |a, b| (a - b) * (a - b)
);
reduction!(
    dot_f64,
    f64,
    2,
    vld1q_f64,
    vdupq_n_f64,
    vaddq_f64,
    vaddvq_f64,
    |x, y, sum| vfmaq_f64(sum, x, y),
    |a, b| a * b
);
reduction!(
    squared_l2_f64,
    f64,
    2,
    vld1q_f64,
    vdupq_n_f64,
    vaddq_f64,
    vaddvq_f64,
    |x, y, sum| {
        let d = vsubq_f64(x, y);
        vfmaq_f64(sum, d, d)
    },
    |a, b| (a - b) * (a - b)
);

#[target_feature(enable = "neon")]
fn axpy_f32(scale: f32, x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x.mul_add(scale, *y);
    }
}

#[target_feature(enable = "neon")]
fn axpy_f64(scale: f64, x: &[f64], y: &mut [f64]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x.mul_add(scale, *y);
    }
}
