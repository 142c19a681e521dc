//! One vector compared with four others at once, which reads it once for all of them.
//!
//! Results are bit by bit those of the [`Table`](super::Table) kernels of the same level. Comparing
//! 60 rows of 784 values with 300 queries took half the time with AVX-512; narrower levels have no
//! registers for it.
//!
//! A [`Table::sweep`](super::Table) would not do: it has one accumulator for each pair, so that its
//! sums are rounded otherwise than those of `dot` and `squared_l2`, which have four.

use std::sync::OnceLock;

use super::Kernels;

type Four = unsafe fn(&[f32], [&[f32]; 4]) -> [f32; 4];

/// The kernels of one level; where there are none, pairs are compared.
#[derive(Clone, Copy)]
pub struct Fours {
    table: &'static Kernels,
    dot: Option<Four>,
    squared_l2: Option<Four>,
}

impl Fours {
    /// Those of the level in use.
    pub fn get() -> &'static Self {
        static CHOSEN: OnceLock<Fours> = OnceLock::new();
        CHOSEN.get_or_init(|| Self::of(Kernels::get()))
    }

    fn of(table: &'static Kernels) -> Self {
        match table.level {
            #[cfg(target_arch = "x86_64")]
            super::Level::Avx512 => Self {
                table,
                dot: Some(avx512::dot),
                squared_l2: Some(avx512::squared_l2),
            },
            _ => Self {
                table,
                dot: None,
                squared_l2: None,
            },
        }
    }

    /// Σ aᵢ bᵢ for each `b`.
    #[inline]
    pub fn dot(&self, a: &[f32], b: [&[f32]; 4]) -> [f32; 4] {
        assert!(b.iter().all(|b| b.len() == a.len()));
        match self.dot {
            // SAFETY: the level is available and the lengths are equal.
            Some(dot) => unsafe { dot(a, b) },
            None => b.map(|b| self.table.f32.dot(a, b)),
        }
    }

    /// Σ (aᵢ - bᵢ)² for each `b`.
    #[inline]
    pub fn squared_l2(&self, a: &[f32], b: [&[f32]; 4]) -> [f32; 4] {
        assert!(b.iter().all(|b| b.len() == a.len()));
        match self.squared_l2 {
            // SAFETY: the level is available and the lengths are equal.
            Some(squared_l2) => unsafe { squared_l2(a, b) },
            None => b.map(|b| self.table.f32.squared_l2(a, b)),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    const LANES: usize = 16;

    /// The four sums of each pair, in the order in which the pairwise kernel adds.
    macro_rules! reduction {
        ($name:ident, |$x:ident, $y:ident, $sum:ident| $step:expr) => {
            #[target_feature(enable = "avx512f")]
            pub unsafe fn $name(a: &[f32], b: [&[f32]; 4]) -> [f32; 4] {
                /// A register of each vector from `start` on, into accumulator `i` of each pair.
                #[inline]
                #[target_feature(enable = "avx512f")]
                unsafe fn add(
                    sums: &mut [[__m512; 4]; 4],
                    i: usize,
                    a: &[f32],
                    b: [&[f32]; 4],
                    start: usize,
                ) {
                    // SAFETY: the caller promises that all five vectors have these values.
                    let $x = unsafe { _mm512_loadu_ps(a.as_ptr().add(start)) };
                    // Loops over indices: iterators are not always inlined under other features.
                    let mut j = 0;
                    while j < 4 {
                        // SAFETY: as above.
                        let $y = unsafe { _mm512_loadu_ps(b[j].as_ptr().add(start)) };
                        let $sum = sums[j][i];
                        sums[j][i] = $step;
                        j += 1;
                    }
                }

                let mut sums = [[_mm512_setzero_ps(); 4]; 4];
                let registers = a.len() / LANES;
                let whole = registers / 4 * 4;
                let mut at = 0;
                while at < whole {
                    let mut i = 0;
                    while i < 4 {
                        // SAFETY: register `at + i` is within the vectors.
                        unsafe { add(&mut sums, i, a, b, (at + i) * LANES) };
                        i += 1;
                    }
                    at += 4;
                }
                let mut i = 0;
                while i < 3 {
                    if whole + i < registers {
                        // SAFETY: register `whole + i` is within the vectors.
                        unsafe { add(&mut sums, i, a, b, (whole + i) * LANES) };
                    }
                    i += 1;
                }
                let rest = a.len() % LANES;
                if rest > 0 {
                    let mask = ((1u32 << rest) - 1) as __mmask16;
                    let start = registers * LANES;
                    // SAFETY: masked lanes are not read.
                    let $x = unsafe { _mm512_maskz_loadu_ps(mask, a.as_ptr().add(start)) };
                    let mut j = 0;
                    while j < 4 {
                        // SAFETY: as above.
                        let $y = unsafe { _mm512_maskz_loadu_ps(mask, b[j].as_ptr().add(start)) };
                        let $sum = sums[j][3];
                        sums[j][3] = $step;
                        j += 1;
                    }
                }
                let mut totals = [0.0; 4];
                let mut j = 0;
                while j < 4 {
                    let low = _mm512_add_ps(sums[j][0], sums[j][1]);
                    let high = _mm512_add_ps(sums[j][2], sums[j][3]);
                    totals[j] = _mm512_reduce_add_ps(_mm512_add_ps(low, high));
                    j += 1;
                }
                totals
            }
        };
    }

    reduction!(dot, |x, y, sum| _mm512_fmadd_ps(x, y, sum));
    reduction!(squared_l2, |x, y, sum| {
        let d = _mm512_sub_ps(x, y);
        _mm512_fmadd_ps(d, d, sum)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use crate::simd::Level;

    #[test]
    fn they_are_those_of_pairs_bit_by_bit() {
        let mut stream = Stream::new(6, 0);
        for level in Level::available() {
            let table = Kernels::at(level).unwrap();
            let fours = Fours::of(table);
            for n in 0..=257 {
                let mut draw =
                    || -> Vec<f32> { (0..n).map(|_| stream.uniform() as f32 - 0.5).collect() };
                let (a, b) = (draw(), [draw(), draw(), draw(), draw()]);
                let b = [&b[0][..], &b[1][..], &b[2][..], &b[3][..]];
                let dots = b.map(|b| table.f32.dot(b, &a));
                let squares = b.map(|b| table.f32.squared_l2(b, &a));
                assert_eq!(fours.dot(&a, b).map(f32::to_bits), dots.map(f32::to_bits));
                let got = fours.squared_l2(&a, b);
                assert_eq!(
                    got.map(f32::to_bits),
                    squares.map(f32::to_bits),
                    "{level:?}"
                );
            }
        }
    }
}
