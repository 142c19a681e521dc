//! Products of bytes: what vectors in eight bits are compared by.
//!
//! Rows hold unsigned bytes, 128 standing for 0, in blocks of [`LINE`]; queries hold signed ones
//! and 0 where a row keeps something else. Sums are exact in `i32` up to 65,536 values.

use std::sync::OnceLock;

use super::{Kernels, Level};

/// Bytes a block: a cache line.
pub const LINE: usize = 64;

/// Bytes at a row's end that [`Bytes::pair`] leaves out.
pub const TRAILER: usize = 8;

/// `out[i] = Σ query · row numbers[i]` for a table of rows as long as the query.
type Products = unsafe fn(&[i8], &[u8], &[u32], &mut [i32]);

/// `Σ (a - 128)(b - 128)` without the trailers.
type Pair = unsafe fn(&[u8], &[u8]) -> i32;

/// The byte kernels of one level.
#[derive(Debug)]
pub struct Bytes {
    products: Products,
    pair: Pair,
}

impl Bytes {
    /// Those of the level in use.
    pub fn get() -> &'static Self {
        static CHOSEN: OnceLock<&'static Bytes> = OnceLock::new();
        CHOSEN.get_or_init(|| Self::at(Kernels::get().level))
    }

    fn at(level: Level) -> &'static Self {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512
                if is_x86_feature_detected!("avx512vnni")
                    && is_x86_feature_detected!("avx512bw") =>
            {
                &x86::AVX512
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 | Level::Avx512 => &x86::AVX2,
            _ => &PLAIN,
        }
    }

    /// `out[i] = Σ query · row numbers[i]`, for rows of the query's length in `rows`.
    #[inline]
    pub fn products(&self, query: &[i8], rows: &[u8], numbers: &[u32], out: &mut [i32]) {
        assert!(query.len().is_multiple_of(LINE) && out.len() == numbers.len());
        let held = rows.len() / query.len().max(1);
        assert!(numbers.iter().all(|&number| (number as usize) < held));
        // SAFETY: the level is available and every row lies in `rows`.
        unsafe { (self.products)(query, rows, numbers, out) }
    }

    /// `Σ (a - 128)(b - 128)` without the trailers.
    #[inline]
    pub fn pair(&self, a: &[u8], b: &[u8]) -> i32 {
        assert!(a.len() == b.len() && !a.is_empty() && a.len().is_multiple_of(LINE));
        // SAFETY: the level is available and the lengths are equal.
        unsafe { (self.pair)(a, b) }
    }
}

static PLAIN: Bytes = Bytes {
    products: plain_products,
    pair: plain_pair,
};

fn plain_products(query: &[i8], rows: &[u8], numbers: &[u32], out: &mut [i32]) {
    for (out, &number) in out.iter_mut().zip(numbers) {
        let start = number as usize * query.len();
        let row = &rows[start..start + query.len()];
        let terms = query.iter().zip(row);
        *out = terms.map(|(&q, &r)| i32::from(q) * i32::from(r)).sum();
    }
}

fn plain_pair(a: &[u8], b: &[u8]) -> i32 {
    let end = a.len() - TRAILER;
    let terms = a[..end].iter().zip(&b[..end]);
    terms
        .map(|(&a, &b)| (i32::from(a) - 128) * (i32::from(b) - 128))
        .sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Bytes, LINE, TRAILER};
    use crate::simd::x86::totals_512;

    /// Rows asked for ahead of the ones being multiplied.
    const AHEAD: usize = 8;

    /// Longer lists of rows are asked for here.
    const SHORT: usize = 256;

    pub static AVX512: Bytes = Bytes {
        products: products_512,
        pair: pair_512,
    };

    pub static AVX2: Bytes = Bytes {
        products: products_256,
        pair: pair_256,
    };

    /// Asks for a row of `lines` lines.
    #[inline(always)]
    fn ask(rows: &[u8], number: u32, lines: usize) {
        let row = rows.as_ptr().wrapping_add(number as usize * lines * LINE);
        for line in 0..lines {
            // SAFETY: a prefetch reads nothing architecturally.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(line * LINE).cast()) };
        }
    }

    /// Of each row in turn, asking for later ones ahead.
    #[inline(always)]
    fn ahead(rows: &[u8], numbers: &[u32], i: usize, step: usize, lines: usize) {
        // Short lists come from walks, which have asked for their rows already.
        if numbers.len() <= SHORT {
            return;
        }
        for &number in numbers.iter().skip(i + AHEAD).take(step) {
            ask(rows, number, lines);
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn products_512(query: &[i8], rows: &[u8], numbers: &[u32], out: &mut [i32]) {
        /// Four rows at a time, whose sums are folded together.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
        unsafe fn run<const LINES: usize>(
            query: &[i8],
            rows: &[u8],
            numbers: &[u32],
            out: &mut [i32],
        ) {
            let lines = if LINES == 0 {
                query.len() / LINE
            } else {
                LINES
            };
            let (fours, rest) = numbers.as_chunks::<4>();
            for (i, four) in fours.iter().enumerate() {
                ahead(rows, numbers, 4 * i, 4, lines);
                let mut sums = [_mm512_setzero_si512(); 4];
                let starts =
                    four.map(|number| rows.as_ptr().wrapping_add(number as usize * lines * LINE));
                for line in 0..lines {
                    // SAFETY: the caller promises that the rows lie in `rows`.
                    unsafe {
                        let part = _mm512_loadu_si512(query.as_ptr().add(line * LINE).cast());
                        // Loops over indices: iterators are not always inlined under other features.
                        let mut j = 0;
                        while j < 4 {
                            let row = _mm512_loadu_si512(starts[j].add(line * LINE).cast());
                            sums[j] = _mm512_dpbusd_epi32(sums[j], row, part);
                            j += 1;
                        }
                    }
                }
                let four = totals_512(sums);
                // SAFETY: `out` is as long as `numbers`.
                unsafe { _mm_storeu_si128(out.as_mut_ptr().add(4 * i).cast(), four) };
            }
            for (out, &number) in out[4 * fours.len()..].iter_mut().zip(rest) {
                let start = rows.as_ptr().wrapping_add(number as usize * lines * LINE);
                let mut sum = _mm512_setzero_si512();
                for line in 0..lines {
                    // SAFETY: the caller promises that the row lies in `rows`.
                    unsafe {
                        let part = _mm512_loadu_si512(query.as_ptr().add(line * LINE).cast());
                        let row = _mm512_loadu_si512(start.add(line * LINE).cast());
                        sum = _mm512_dpbusd_epi32(sum, row, part);
                    }
                }
                *out = _mm512_reduce_add_epi32(sum);
            }
        }
        // SAFETY: the caller's promises are passed on.
        unsafe {
            match query.len() / LINE {
                1 => run::<1>(query, rows, numbers, out),
                2 => run::<2>(query, rows, numbers, out),
                3 => run::<3>(query, rows, numbers, out),
                4 => run::<4>(query, rows, numbers, out),
                _ => run::<0>(query, rows, numbers, out),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn pair_512(a: &[u8], b: &[u8]) -> i32 {
        let flip = _mm512_set1_epi8(-128);
        let ones = _mm512_set1_epi8(1);
        let (mut products, mut sums) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        let (a_lines, b_lines) = (a.as_chunks::<LINE>().0, b.as_chunks::<LINE>().0);
        for (i, (x, y)) in a_lines.iter().zip(b_lines).enumerate() {
            let is_last = i + 1 == a_lines.len();
            let mask = if is_last {
                u64::MAX >> TRAILER
            } else {
                u64::MAX
            };
            // SAFETY: both blocks hold a register's worth of bytes.
            unsafe {
                let x = _mm512_loadu_si512(x.as_ptr().cast());
                let x = _mm512_maskz_mov_epi8(mask, _mm512_xor_si512(x, flip));
                let y = _mm512_loadu_si512(y.as_ptr().cast());
                products = _mm512_dpbusd_epi32(products, y, x);
                sums = _mm512_dpbusd_epi32(sums, ones, x);
            }
        }
        let scaled = _mm512_slli_epi32::<7>(sums);
        _mm512_reduce_add_epi32(_mm512_sub_epi32(products, scaled))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn total_256(sum: __m256i) -> i32 {
        let half = _mm_add_epi32(
            _mm256_castsi256_si128(sum),
            _mm256_extracti128_si256::<1>(sum),
        );
        let half = _mm_add_epi32(half, _mm_shuffle_epi32::<0b01_00_11_10>(half));
        let half = _mm_add_epi32(half, _mm_shuffle_epi32::<0b10_11_00_01>(half));
        _mm_cvtsi128_si32(half)
    }

    #[target_feature(enable = "avx2")]
    unsafe fn products_256(query: &[i8], rows: &[u8], numbers: &[u32], out: &mut [i32]) {
        let lines = query.len() / LINE;
        for (i, (out, &number)) in out.iter_mut().zip(numbers).enumerate() {
            ahead(rows, numbers, i, 1, lines);
            let start = rows.as_ptr().wrapping_add(number as usize * lines * LINE);
            let mut sums = [_mm256_setzero_si256(); 4];
            for line in 0..lines {
                for (part, sum) in sums.iter_mut().enumerate() {
                    let at = line * LINE + part * 16;
                    // SAFETY: the caller promises that the row lies in `rows`.
                    unsafe {
                        let q = _mm_loadu_si128(query.as_ptr().add(at).cast());
                        let r = _mm_loadu_si128(start.add(at).cast());
                        let terms =
                            _mm256_madd_epi16(_mm256_cvtepi8_epi16(q), _mm256_cvtepu8_epi16(r));
                        *sum = _mm256_add_epi32(*sum, terms);
                    }
                }
            }
            *out = total_256(_mm256_add_epi32(
                _mm256_add_epi32(sums[0], sums[1]),
                _mm256_add_epi32(sums[2], sums[3]),
            ));
        }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn pair_256(a: &[u8], b: &[u8]) -> i32 {
        let zero = _mm256_set1_epi16(128);
        let (a_parts, a_rest) = a[..a.len() - TRAILER].as_chunks::<16>();
        let (b_parts, b_rest) = b[..b.len() - TRAILER].as_chunks::<16>();
        let mut sum = _mm256_setzero_si256();
        for (x, y) in a_parts.iter().zip(b_parts) {
            // SAFETY: both parts hold sixteen bytes.
            let (x, y) = unsafe {
                (
                    _mm256_cvtepu8_epi16(_mm_loadu_si128(x.as_ptr().cast())),
                    _mm256_cvtepu8_epi16(_mm_loadu_si128(y.as_ptr().cast())),
                )
            };
            let terms = _mm256_madd_epi16(_mm256_sub_epi16(x, zero), _mm256_sub_epi16(y, zero));
            sum = _mm256_add_epi32(sum, terms);
        }
        let rest = a_rest.iter().zip(b_rest);
        total_256(sum)
            + rest
                .map(|(&x, &y)| (i32::from(x) - 128) * (i32::from(y) - 128))
                .sum::<i32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn every_level_gives_the_plain_sums() {
        let mut stream = Stream::new(5, 0);
        for lines in [1, 2, 3, 4, 5, 13] {
            let length = lines * LINE;
            let rows: Vec<u8> = (0..40 * length).map(|_| stream.below(256) as u8).collect();
            let query: Vec<i8> = (0..length)
                .map(|_| stream.below(255) as i32 as i8)
                .collect();
            for count in [0, 1, 3, 4, 5, 12, 33] {
                let numbers: Vec<u32> = (0..count).map(|_| stream.below(40) as u32).collect();
                let mut want = vec![0; count];
                PLAIN.products(&query, &rows, &numbers, &mut want);
                for level in Level::available() {
                    let mut got = vec![1; count];
                    Bytes::at(level).products(&query, &rows, &numbers, &mut got);
                    assert_eq!(got, want, "{level:?}");
                }
            }
            for (a, b) in [(0, 1), (2, 2), (39, 7)] {
                let (a, b) = (&rows[a * length..][..length], &rows[b * length..][..length]);
                for level in Level::available() {
                    assert_eq!(Bytes::at(level).pair(a, b), PLAIN.pair(a, b), "{level:?}");
                }
            }
        }
    }
}
