//! Products of signed bytes as they are, exact in `i32`.

use std::sync::OnceLock;

use super::{Elementwise, Kernels, Level, elementwise};

/// More dimensions could overflow a sum: `(-128)² · 2¹⁷ = 2³¹`.
pub const MOST_DIMENSIONS: usize = (1 << 17) - 1;

/// Most queries that one pass takes.
pub const QUERIES: usize = 4;

/// Queries, their number, rows one after the other, products query by query.
type Products = unsafe fn(&[i8], usize, &[i8], &mut [i32]);

/// Products of up to [`QUERIES`] queries with each row; each row is read once.
///
/// `out` gets a value for each row, query by query.
#[inline]
pub fn products(queries: &[i8], count: usize, rows: &[i8], out: &mut [i32]) {
    static CHOSEN: OnceLock<Products> = OnceLock::new();
    run(
        *CHOSEN.get_or_init(|| at(Kernels::get().level)),
        queries,
        count,
        rows,
        out,
    );
}

/// Rows one after the other, their length, the sum of each one's squares.
type Squares = unsafe fn(&[i8], usize, &mut [i32]);

/// The sum of squares of each row of `dim` values.
pub fn squares(rows: &[i8], dim: usize, out: &mut [i32]) {
    static CHOSEN: OnceLock<Squares> = OnceLock::new();
    run_squares(
        *CHOSEN.get_or_init(|| squares_at(Kernels::get().level)),
        rows,
        dim,
        out,
    );
}

fn run_squares(kernel: Squares, rows: &[i8], dim: usize, out: &mut [i32]) {
    assert!(dim <= MOST_DIMENSIONS);
    assert_eq!(rows.len(), dim * out.len());
    // SAFETY: the level is available and the lengths fit.
    unsafe { kernel(rows, dim, out) }
}

fn squares_at(level: Level) -> Squares {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 if has_vnni() => x86::squares_512,
        _ => plain_squares,
    }
}

#[cfg(target_arch = "x86_64")]
fn has_vnni() -> bool {
    is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw")
}

/// A loop that vectorises once it may use the level's instructions.
fn plain_squares(rows: &[i8], dim: usize, out: &mut [i32]) {
    struct Square<'a>(&'a [i8]);

    impl Elementwise for Square<'_> {
        type Output = i32;

        #[inline(always)]
        fn run(self) -> i32 {
            self.0.iter().map(|&x| i32::from(x) * i32::from(x)).sum()
        }
    }

    for (i, out) in out.iter_mut().enumerate() {
        *out = elementwise(Square(&rows[i * dim..(i + 1) * dim]));
    }
}

fn run(kernel: Products, queries: &[i8], count: usize, rows: &[i8], out: &mut [i32]) {
    assert!((1..=QUERIES).contains(&count));
    let (dim, lines) = (queries.len() / count, out.len() / count);
    assert!(dim <= MOST_DIMENSIONS);
    assert_eq!((queries.len(), out.len()), (dim * count, lines * count));
    assert_eq!(rows.len(), dim * lines);
    // SAFETY: the level is available and the lengths fit.
    unsafe { kernel(queries, count, rows, out) }
}

fn at(level: Level) -> Products {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 if has_vnni() => x86::products_512,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::Avx512 => x86::products_256,
        _ => plain,
    }
}

fn plain(queries: &[i8], count: usize, rows: &[i8], out: &mut [i32]) {
    let (dim, lines) = (queries.len() / count, out.len() / count);
    for (i, out) in out.iter_mut().enumerate() {
        let (query, row) = (i / lines * dim, i % lines * dim);
        let terms = queries[query..query + dim]
            .iter()
            .zip(&rows[row..row + dim]);
        *out = terms.map(|(&q, &r)| i32::from(q) * i32::from(r)).sum();
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use crate::simd::x86::totals_512;

    /// Rows at a time.
    const ROWS: usize = 4;

    /// Bytes that are asked for ahead, rounded up to whole groups of rows.
    const AHEAD: usize = 2048;

    /// The same where rows are read one after the other.
    const IN_ORDER: usize = 8192;

    /// The first `left` of 64 bytes.
    #[inline(always)]
    fn mask(left: usize) -> u64 {
        if left >= 64 {
            u64::MAX
        } else {
            (1 << left) - 1
        }
    }

    /// Where four rows begin; the last row stands in for rows that are missing.
    #[inline(always)]
    fn starts(rows: &[i8], first: usize, lines: usize, dim: usize) -> [*const i8; ROWS] {
        [0, 1, 2, 3].map(|r| rows.as_ptr().wrapping_add((first + r).min(lines - 1) * dim))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub unsafe fn products_512(queries: &[i8], count: usize, rows: &[i8], out: &mut [i32]) {
        /// The instruction takes one unsigned operand: rows are raised by 128, and 128 times the
        /// query's sum is taken off. Sums wrap on the way and are right in the end.
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
        unsafe fn run<const COUNT: usize>(queries: &[i8], rows: &[i8], out: &mut [i32]) {
            let (dim, lines) = (queries.len() / COUNT, out.len() / COUNT);
            let flip = _mm512_set1_epi8(-128);
            let ahead = AHEAD.next_multiple_of((ROWS * dim).max(1));
            let mut raised = [0i32; COUNT];
            for (raised, query) in raised.iter_mut().zip(queries.chunks_exact(dim.max(1))) {
                let sum: i32 = query.iter().map(|&value| i32::from(value)).sum();
                *raised = sum.wrapping_mul(128);
            }
            let mut first = 0;
            while first < lines {
                let starts = starts(rows, first, lines, dim);
                let mut sums = [[_mm512_setzero_si512(); ROWS]; COUNT];
                let mut k = 0;
                if COUNT == 1 {
                    // Bound by memory, which is fastest in order.
                    for (sum, start) in sums[0].iter_mut().zip(starts) {
                        let mut total = _mm512_setzero_si512();
                        k = 0;
                        while k < dim {
                            let mask = mask(dim - k);
                            // SAFETY: masked bytes are not read, the others are the row's or
                            // the query's.
                            unsafe {
                                let place = start.add(k);
                                _mm_prefetch::<_MM_HINT_T0>(place.wrapping_add(IN_ORDER));
                                let x = _mm512_maskz_loadu_epi8(mask, place);
                                let y = _mm512_maskz_loadu_epi8(mask, queries.as_ptr().add(k));
                                total = _mm512_dpbusd_epi32(total, _mm512_xor_si512(x, flip), y);
                            }
                            k += 64;
                        }
                        *sum = total;
                    }
                }
                while k < dim {
                    let mask = mask(dim - k);
                    let mut x = [flip; ROWS];
                    let mut r = 0;
                    while r < ROWS {
                        // SAFETY: masked bytes are not read, and the others are the row's.
                        unsafe {
                            let place = starts[r].add(k);
                            _mm_prefetch::<_MM_HINT_T0>(place.wrapping_add(ahead));
                            x[r] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, place), flip);
                        }
                        r += 1;
                    }
                    let mut q = 0;
                    while q < COUNT {
                        // SAFETY: masked bytes are not read, and the others are the query's.
                        let y = unsafe {
                            _mm512_maskz_loadu_epi8(mask, queries.as_ptr().add(q * dim + k))
                        };
                        let mut r = 0;
                        while r < ROWS {
                            sums[q][r] = _mm512_dpbusd_epi32(sums[q][r], x[r], y);
                            r += 1;
                        }
                        q += 1;
                    }
                    k += 64;
                }
                let held = ROWS.min(lines - first);
                let mut q = 0;
                while q < COUNT {
                    let four = _mm_sub_epi32(totals_512(sums[q]), _mm_set1_epi32(raised[q]));
                    let mut values = [0; ROWS];
                    // SAFETY: `values` holds four numbers.
                    unsafe { _mm_storeu_si128(values.as_mut_ptr().cast(), four) };
                    let start = q * lines + first;
                    out[start..start + held].copy_from_slice(&values[..held]);
                    q += 1;
                }
                first += ROWS;
            }
        }
        // SAFETY: the caller's promises are passed on.
        unsafe {
            match count {
                1 => run::<1>(queries, rows, out),
                2 => run::<2>(queries, rows, out),
                3 => run::<3>(queries, rows, out),
                _ => run::<4>(queries, rows, out),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub unsafe fn squares_512(rows: &[i8], dim: usize, out: &mut [i32]) {
        let (flip, ones) = (_mm512_set1_epi8(-128), _mm512_set1_epi8(1));
        let zero = _mm512_setzero_si512();
        let lines = out.len();
        let mut first = 0;
        while first < lines {
            let starts = starts(rows, first, lines, dim);
            let mut sums = [zero; ROWS];
            let mut r = 0;
            while r < ROWS {
                // x² is (x + 128) x - 128 x.
                let (mut raised, mut plain) = (zero, zero);
                let mut k = 0;
                while k < dim {
                    // SAFETY: masked bytes are not read, and the others are the row's.
                    let x = unsafe {
                        let place = starts[r].add(k);
                        _mm_prefetch::<_MM_HINT_T0>(place.wrapping_add(IN_ORDER));
                        _mm512_maskz_loadu_epi8(mask(dim - k), place)
                    };
                    raised = _mm512_dpbusd_epi32(raised, _mm512_xor_si512(x, flip), x);
                    plain = _mm512_dpbusd_epi32(plain, ones, x);
                    k += 64;
                }
                sums[r] = _mm512_sub_epi32(raised, _mm512_slli_epi32::<7>(plain));
                r += 1;
            }
            let mut values = [0; ROWS];
            // SAFETY: `values` holds four numbers.
            unsafe { _mm_storeu_si128(values.as_mut_ptr().cast(), totals_512(sums)) };
            let held = ROWS.min(lines - first);
            out[first..first + held].copy_from_slice(&values[..held]);
            first += ROWS;
        }
    }

    #[target_feature(enable = "avx2")]
    pub unsafe fn products_256(queries: &[i8], count: usize, rows: &[i8], out: &mut [i32]) {
        const LANES: usize = 16;
        let (dim, lines) = (queries.len() / count, out.len() / count);
        let whole = dim - dim % LANES;
        let mut first = 0;
        while first < lines {
            let starts = starts(rows, first, lines, dim);
            let held = ROWS.min(lines - first);
            for q in 0..count {
                let query = &queries[q * dim..(q + 1) * dim];
                let mut sums = [_mm256_setzero_si256(); ROWS];
                let mut k = 0;
                while k < whole {
                    // SAFETY: sixteen bytes of the query and of each row lie here.
                    unsafe {
                        let y = _mm_loadu_si128(query.as_ptr().add(k).cast());
                        let y = _mm256_cvtepi8_epi16(y);
                        let mut r = 0;
                        while r < ROWS {
                            let x = _mm_loadu_si128(starts[r].add(k).cast());
                            let terms = _mm256_madd_epi16(_mm256_cvtepi8_epi16(x), y);
                            sums[r] = _mm256_add_epi32(sums[r], terms);
                            r += 1;
                        }
                    }
                    k += LANES;
                }
                let low = _mm256_hadd_epi32(sums[0], sums[1]);
                let high = _mm256_hadd_epi32(sums[2], sums[3]);
                let all = _mm256_hadd_epi32(low, high);
                let four = _mm_add_epi32(
                    _mm256_castsi256_si128(all),
                    _mm256_extracti128_si256::<1>(all),
                );
                let mut values = [0; ROWS];
                // SAFETY: `values` holds four numbers.
                unsafe { _mm_storeu_si128(values.as_mut_ptr().cast(), four) };
                for (r, value) in values.iter().enumerate().take(held) {
                    let row = &rows[(first + r) * dim..(first + r + 1) * dim];
                    let rest = query[whole..].iter().zip(&row[whole..]);
                    let rest: i32 = rest.map(|(&q, &x)| i32::from(q) * i32::from(x)).sum();
                    out[q * lines + first + r] = value + rest;
                }
            }
            first += ROWS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn every_level_is_exact_at_every_length() {
        let mut stream = Stream::new(8, 0);
        for dim in (0..=130).chain([191, 192, 200, 257, 1000]) {
            for (count, lines) in [(1, 1), (1, 5), (2, 3), (3, 8), (4, 6), (4, 0)] {
                let mut draw = |n: usize| -> Vec<i8> {
                    (0..n).map(|_| stream.below(256) as u8 as i8).collect()
                };
                let (queries, rows) = (draw(count * dim), draw(lines * dim));
                let mut want = vec![0; count * lines];
                for (i, want) in want.iter_mut().enumerate() {
                    let (q, r) = (i / lines * dim, i % lines * dim);
                    *want = (0..dim)
                        .map(|k| i32::from(queries[q + k]) * i32::from(rows[r + k]))
                        .sum();
                }
                for level in Level::available() {
                    let mut own = vec![1; lines];
                    run_squares(squares_at(level), &rows, dim, &mut own);
                    for (own, row) in own.iter().zip(rows.chunks_exact(dim.max(1))) {
                        let want: i32 = row.iter().map(|&x| i32::from(x).pow(2)).sum();
                        assert_eq!(*own, want, "{level:?} {dim}");
                    }
                    let mut got = vec![1; count * lines];
                    run(at(level), &queries, count, &rows, &mut got);
                    assert_eq!(got, want, "{level:?} {dim} {count} {lines}");
                }
            }
        }
    }

    #[test]
    fn the_longest_rows_of_the_largest_bytes_do_not_overflow() {
        let row = vec![-128i8; MOST_DIMENSIONS];
        for level in Level::available() {
            let mut got = [0];
            run(at(level), &row, 1, &row, &mut got);
            let mut own = [0];
            run_squares(squares_at(level), &row, row.len(), &mut own);
            assert_eq!(own, got);
            assert_eq!(i64::from(got[0]), 16384 * MOST_DIMENSIONS as i64);
            let other = vec![127i8; MOST_DIMENSIONS];
            run(at(level), &row, 1, &other, &mut got);
            assert_eq!(i64::from(got[0]), -128 * 127 * MOST_DIMENSIONS as i64);
        }
    }
}
