//! Kernels that AVX2 and AVX-512 share but for the width of their registers.

use std::arch::x86_64::*;

/// The totals of four registers of sums of bytes.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn totals_512(x: [__m512i; 4]) -> __m128i {
    let low = _mm512_add_epi32(
        _mm512_unpacklo_epi32(x[0], x[1]),
        _mm512_unpackhi_epi32(x[0], x[1]),
    );
    let high = _mm512_add_epi32(
        _mm512_unpacklo_epi32(x[2], x[3]),
        _mm512_unpackhi_epi32(x[2], x[3]),
    );
    let all = _mm512_add_epi32(
        _mm512_unpacklo_epi64(low, high),
        _mm512_unpackhi_epi64(low, high),
    );
    let half = _mm256_add_epi32(
        _mm512_castsi512_si256(all),
        _mm512_extracti64x4_epi64::<1>(all),
    );
    _mm_add_epi32(
        _mm256_castsi256_si128(half),
        _mm256_extracti128_si256::<1>(half),
    )
}

/// The halves of `low` added together, then those of `high`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn sum_halves(low: __m256d, high: __m256d) -> [f64; 4] {
    let four = _mm256_add_pd(
        _mm256_permute2f128_pd::<0x20>(low, high),
        _mm256_permute2f128_pd::<0x31>(low, high),
    );
    let mut out = [0.0; 4];
    // SAFETY: `out` holds four values.
    unsafe { _mm256_storeu_pd(out.as_mut_ptr(), four) };
    out
}

/// `y = Σₖ weightsₖ · x[indicesₖ]`, a row of a sparse product.
///
/// A block of columns stays in registers while the row's entries are walked, in their order, so
/// that a value does not depend on the block it falls into.
macro_rules! sum_rows {
    ($name:ident, $features:literal, $scalar:ty, $vector:ty, $lanes:literal,
     $load:ident, $store:ident, $set:ident, $fma:ident, [$($registers:literal),+]) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(indices: &[i32], weights: Option<&[$scalar]>, x: &[$scalar], y: &mut [$scalar]) {
            /// How many entries ahead rows are fetched.
            const AHEAD: usize = 4;
            const LINE: usize = 64 / size_of::<$scalar>();

            /// Columns `start..start + REGISTERS * lanes`.
            #[target_feature(enable = $features)]
            unsafe fn block<const REGISTERS: usize>(
                indices: &[i32],
                weights: Option<&[$scalar]>,
                x: &[$scalar],
                y: &mut [$scalar],
                start: usize,
            ) {
                let cols = y.len();
                let mut sums: [$vector; REGISTERS] = [$set(0.0); REGISTERS];
                for (k, &index) in indices.iter().enumerate() {
                    if let Some(&next) = indices.get(k + AHEAD) {
                        let row = x.as_ptr().wrapping_add(next as usize * cols + start);
                        for line in 0..(REGISTERS * $lanes).div_ceil(LINE) {
                            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(line * LINE).cast());
                        }
                        // Rows of a NumPy array begin 16 bytes into a line and end in one more.
                        let last = row.wrapping_add(REGISTERS * $lanes - 1);
                        _mm_prefetch::<_MM_HINT_T0>(last.cast());
                    }
                    let weight = $set(weights.map_or(1.0, |weights| weights[k]));
                    // SAFETY: the caller promises that row `index` lies in `x`.
                    unsafe {
                        let row = x.as_ptr().add(index as usize * cols + start);
                        for (i, sum) in sums.iter_mut().enumerate() {
                            *sum = $fma($load(row.add(i * $lanes)), weight, *sum);
                        }
                    }
                }
                for (i, &sum) in sums.iter().enumerate() {
                    // SAFETY: the caller promises that `y` has these columns.
                    unsafe { $store(y.as_mut_ptr().add(start + i * $lanes), sum) };
                }
            }

            let cols = y.len();
            let mut start = 0;
            $(while cols - start >= $registers * $lanes {
                // SAFETY: these columns exist; the caller promises the rows.
                unsafe { block::<$registers>(indices, weights, x, y, start) };
                start += $registers * $lanes;
            })+
            for column in start..cols {
                let mut sum: $scalar = 0.0;
                for (k, &index) in indices.iter().enumerate() {
                    // SAFETY: the caller promises that row `index` lies in `x`.
                    let value = unsafe { *x.get_unchecked(index as usize * cols + column) };
                    sum = value.mul_add(weights.map_or(1.0, |weights| weights[k]), sum);
                }
                y[column] = sum;
            }
        }
    };
}

/// `c = alpha · a · b (+ c)` for one tile of up to two registers' width, held in registers, where
/// the products may be other terms.
///
/// Each value has one accumulator to which terms are added in the order of the inner dimension,
/// so that it does not depend on the tile it falls into.
macro_rules! tile {
    ($name:ident, $features:literal, $scalar:ty, $vector:ty, $lanes:literal,
     $load:ident, $store:ident, $set:ident, $mul:ident, $fma:ident, $most:literal,
     [$($rows:literal),+], |$x:ident, $y:ident, $z:ident| $term:expr) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(alpha: $scalar, a: &[$scalar], b: &[$scalar], add: bool, c: Block<$scalar>) {
            const COLS: usize = 2 * $lanes;

            /// Writes whole registers, `WIDTH` of them in a row.
            #[target_feature(enable = $features)]
            unsafe fn run<const ROWS: usize, const WIDTH: usize>(
                alpha: $scalar,
                a: &[$scalar],
                b: &[$scalar],
                add: bool,
                c: Block<$scalar>,
            ) {
                let mut sums: [[$vector; WIDTH]; ROWS] = [[$set(0.0); WIDTH]; ROWS];
                let (mut left, mut right) = (a.as_ptr(), b.as_ptr());
                for _ in 0..b.len() / COLS {
                    let mut step = [$set(0.0); WIDTH];
                    // SAFETY: the caller promises as many steps in `a` as in `b`.
                    unsafe {
                        for (j, value) in step.iter_mut().enumerate() {
                            *value = $load(right.add(j * $lanes));
                        }
                        for (i, row) in sums.iter_mut().enumerate() {
                            let $x = $set(*left.add(i));
                            for (sum, &$y) in row.iter_mut().zip(&step) {
                                let $z = *sum;
                                *sum = $term;
                            }
                        }
                        left = left.add(ROWS);
                        right = right.add(COLS);
                    }
                }
                let scale = $set(alpha);
                for (i, row) in sums.iter().enumerate() {
                    for (j, &sum) in row.iter().enumerate() {
                        // SAFETY: the caller promises that `c` has these rows and columns.
                        unsafe {
                            let place = c.data.add(i * c.stride + j * $lanes);
                            let value = if add {
                                $fma(scale, sum, $load(place))
                            } else {
                                $mul(scale, sum)
                            };
                            $store(place, value);
                        }
                    }
                }
            }

            if c.cols == COLS {
                match c.rows {
                    // SAFETY: the caller's promises are passed on.
                    $($rows => unsafe { run::<$rows, 2>(alpha, a, b, add, c) },)+
                    _ => {}
                }
                return;
            }
            // Narrower tiles are made aside; a factor of 1 changes nothing.
            let mut values: [$scalar; $most * COLS] = [0.0; $most * COLS];
            let aside = Block { data: values.as_mut_ptr(), stride: COLS, ..c };
            let narrow = c.cols <= $lanes;
            match c.rows {
                $($rows => {
                    // SAFETY: `values` holds as many rows of two registers as a tile has.
                    unsafe {
                        if narrow {
                            run::<$rows, 1>(1.0, a, b, false, aside);
                        } else {
                            run::<$rows, 2>(1.0, a, b, false, aside);
                        }
                    }
                })+
                _ => {}
            }
            for (i, row) in values.as_chunks::<COLS>().0.iter().enumerate().take(c.rows) {
                for (j, &value) in row.iter().enumerate().take(c.cols) {
                    // SAFETY: the caller promises that `c` has these rows and columns.
                    unsafe {
                        let place = c.data.add(i * c.stride + j);
                        *place = if add { alpha.mul_add(value, *place) } else { alpha * value };
                    }
                }
            }
        }
    };
}

/// Sums of up to four queries with each row.
///
/// Several queries take four rows at a time, with an accumulator for each sum. A single one is
/// bound by memory, which is fastest in order: it takes one row at a time. A sum does not depend
/// on the row's place.
macro_rules! sweep {
    ($name:ident, $features:literal, $scalar:ty, $stored:ty, $vector:ty, $lanes:literal,
     $load:ident, $load_part:ident, $load_row:ident, $load_row_part:ident,
     $zero:ident, $add:ident, $sub:ident, $fma:ident, $fold:ident) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(
            sum: Sum,
            queries: &[$scalar],
            count: usize,
            rows: &[$stored],
            sums: &mut [$scalar],
            squares: &mut [$scalar],
        ) {
            /// Rows at a time.
            const ROWS: usize = 4;
            /// Bytes that are asked for ahead; for groups of rows rounded up to whole groups, so
            /// that each line is asked for once.
            const AHEAD: usize = 8192;

            /// The lanes of a row's sum and of its squares.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn row<const SUM: u8>(
                query: &[$scalar],
                start: *const $stored,
            ) -> ($vector, $vector) {
                let dim = query.len();
                let mut totals = [$zero(); 4];
                let mut own = [$zero(); 4];
                macro_rules! step {
                    ($i:literal, $x:expr, $y:expr) => {
                        let (x, y) = ($x, $y);
                        totals[$i] = if SUM == Sum::Distance as u8 {
                            let d = $sub(x, y);
                            $fma(d, d, totals[$i])
                        } else {
                            $fma(x, y, totals[$i])
                        };
                        if SUM == Sum::DotAndSquare as u8 {
                            own[$i] = $fma(x, x, own[$i]);
                        }
                    };
                }
                macro_rules! whole {
                    ($i:literal, $k:expr) => {
                        let (place, query) = (start.add($k), query.as_ptr().add($k));
                        _mm_prefetch::<_MM_HINT_T0>(place.cast::<i8>().wrapping_add(AHEAD));
                        step!($i, $load_row(place), $load(query));
                    };
                }
                let mut k = 0;
                while k + 4 * $lanes <= dim {
                    // SAFETY: the caller promises as many values as the query has.
                    unsafe {
                        whole!(0, k);
                        whole!(1, k + $lanes);
                        whole!(2, k + 2 * $lanes);
                        whole!(3, k + 3 * $lanes);
                    }
                    k += 4 * $lanes;
                }
                while k + $lanes <= dim {
                    // SAFETY: as above.
                    unsafe {
                        whole!(0, k);
                    }
                    k += $lanes;
                }
                if k < dim {
                    // SAFETY: as above.
                    unsafe {
                        let (place, query) = (start.add(k), query.as_ptr().add(k));
                        let left = dim - k;
                        step!(1, $load_row_part(place, left), $load_part(query, left));
                    }
                }
                (
                    $add($add(totals[0], totals[1]), $add(totals[2], totals[3])),
                    $add($add(own[0], own[1]), $add(own[2], own[3])),
                )
            }

            #[target_feature(enable = $features)]
            unsafe fn run<const QUERIES: usize, const SUM: u8>(
                queries: &[$scalar],
                rows: &[$stored],
                sums: &mut [$scalar],
                squares: &mut [$scalar],
            ) {
                let dim = queries.len() / QUERIES;
                let lines = sums.len() / QUERIES;
                let group = ROWS * dim * size_of::<$stored>();
                let ahead = AHEAD.next_multiple_of(group.max(1));
                let mut first = 0;
                while first < lines {
                    // The last row stands in for rows that are missing.
                    let mut starts = [rows.as_ptr(); ROWS];
                    let mut r = 0;
                    while r < ROWS {
                        starts[r] = rows.as_ptr().wrapping_add((first + r).min(lines - 1) * dim);
                        r += 1;
                    }
                    let mut totals = [[$zero(); ROWS]; QUERIES];
                    let mut own = [$zero(); ROWS];
                    let mut k = 0;
                    if QUERIES == 1 {
                        let mut r = 0;
                        while r < ROWS {
                            // SAFETY: the caller promises `dim` values in every row.
                            (totals[0][r], own[r]) = unsafe { row::<SUM>(queries, starts[r]) };
                            r += 1;
                        }
                        k = dim;
                    }
                    while k < dim {
                        let left = dim - k;
                        let mut x = [$zero(); ROWS];
                        let mut r = 0;
                        while r < ROWS {
                            // SAFETY: the caller promises `dim` values in every row.
                            unsafe {
                                let place = starts[r].add(k);
                                _mm_prefetch::<_MM_HINT_T0>(place.cast::<i8>().wrapping_add(ahead));
                                x[r] = if left >= $lanes {
                                    $load_row(place)
                                } else {
                                    $load_row_part(place, left)
                                };
                            }
                            if SUM == Sum::DotAndSquare as u8 {
                                own[r] = $fma(x[r], x[r], own[r]);
                            }
                            r += 1;
                        }
                        let mut q = 0;
                        while q < QUERIES {
                            // SAFETY: the caller promises `dim` values in every query.
                            let y = unsafe {
                                let place = queries.as_ptr().add(q * dim + k);
                                if left >= $lanes {
                                    $load(place)
                                } else {
                                    $load_part(place, left)
                                }
                            };
                            let mut r = 0;
                            while r < ROWS {
                                totals[q][r] = if SUM == Sum::Distance as u8 {
                                    let d = $sub(x[r], y);
                                    $fma(d, d, totals[q][r])
                                } else {
                                    $fma(x[r], y, totals[q][r])
                                };
                                r += 1;
                            }
                            q += 1;
                        }
                        k += $lanes;
                    }
                    let count = ROWS.min(lines - first);
                    let mut q = 0;
                    while q < QUERIES {
                        let start = q * lines + first;
                        sums[start..start + count].copy_from_slice(&$fold(totals[q])[..count]);
                        q += 1;
                    }
                    if SUM == Sum::DotAndSquare as u8 {
                        squares[first..first + count].copy_from_slice(&$fold(own)[..count]);
                    }
                    first += ROWS;
                }
            }

            macro_rules! by_count {
                ($sum:expr) => {
                    // SAFETY: the caller's promises are passed on.
                    unsafe {
                        match count {
                            1 => run::<1, { $sum as u8 }>(queries, rows, sums, squares),
                            2 => run::<2, { $sum as u8 }>(queries, rows, sums, squares),
                            3 => run::<3, { $sum as u8 }>(queries, rows, sums, squares),
                            _ => run::<4, { $sum as u8 }>(queries, rows, sums, squares),
                        }
                    }
                };
            }
            match sum {
                Sum::Dot => by_count!(Sum::Dot),
                Sum::DotAndSquare => by_count!(Sum::DotAndSquare),
                Sum::Distance => by_count!(Sum::Distance),
            }
        }
    };
}

pub(super) use {sum_rows, sweep, tile};
