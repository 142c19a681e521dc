//! Products of many signed bytes with many others, exact in `i32`, from packed panels.

/// Left rows of a tile.
pub const ROWS: usize = 14;

/// Right rows of a tile: its columns.
pub const COLS: usize = 32;

/// Bytes that one instruction multiplies and adds in each lane.
const GROUP: usize = 4;

/// Lanes whose largest scores [`raise`] finds: what eight registers hold.
pub const LANES: usize = 128;

/// Whether this processor has the kernel, at the level in use.
pub fn is_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        super::Kernels::get().level == super::Level::Avx512
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Bytes of rows as long as `dim` that are packed.
pub fn packed_len(rows: usize, dim: usize, width: usize) -> usize {
    rows.next_multiple_of(width) * dim.next_multiple_of(GROUP)
}

/// Where byte `k` of row `i` goes, with `width` rows to a panel.
#[inline(always)]
fn place(i: usize, k: usize, dim: usize, width: usize) -> usize {
    let panel = i / width * width * dim.next_multiple_of(GROUP);
    panel + (k / GROUP * width + i % width) * GROUP + k % GROUP
}

/// Writes row `i` of a left side of zeros, raised by 128 as the instruction wants it.
pub fn pack_left(i: usize, row: &[i8], out: &mut [u8]) {
    for (k, &value) in row.iter().enumerate() {
        out[place(i, k, row.len(), ROWS)] = (value as u8) ^ 128;
    }
}

/// Writes row `i` of a right side of zeros; returns what is to be added to its products.
pub fn pack_right(i: usize, row: &[i8], out: &mut [i8]) -> i32 {
    let (groups, rest) = row.as_chunks::<GROUP>();
    for (g, group) in groups.iter().enumerate() {
        let at = place(i, g * GROUP, row.len(), COLS);
        out[at..at + GROUP].copy_from_slice(group);
    }
    for (k, &value) in rest.iter().enumerate() {
        out[place(i, row.len() - rest.len() + k, row.len(), COLS)] = value;
    }
    // Left bytes are 128 too large.
    let sum: i32 = row.iter().map(|&value| i32::from(value)).sum();
    sum * -128
}

/// The products of all packed left rows with all packed right rows, row by row; both sides are
/// whole panels. Needs [`is_available`].
pub fn products(left: &[u8], right: &[i8], added: &[i32], dim: usize, out: &mut [i32]) {
    assert!(is_available() && added.len().is_multiple_of(COLS));
    let depth = dim.next_multiple_of(GROUP);
    let rows = left.len().checked_div(depth).unwrap_or(0);
    assert!(rows.is_multiple_of(ROWS) && depth > 0);
    assert_eq!(
        (left.len(), right.len()),
        (rows * depth, added.len() * depth)
    );
    assert_eq!(out.len(), rows * added.len());
    #[cfg(target_arch = "x86_64")]
    for (q, (right, added)) in right
        .chunks_exact(COLS * depth)
        .zip(added.as_chunks::<COLS>().0)
        .enumerate()
    {
        let width = out.len() / rows.max(1);
        for (p, left) in left.chunks_exact(ROWS * depth).enumerate() {
            let out = &mut out[p * ROWS * width + q * COLS..];
            // SAFETY: the level is available; the last of `ROWS` rows of `out` ends within it.
            unsafe { x86::tile(left, right, added, depth / GROUP, out.as_mut_ptr(), width) };
        }
    }
}

/// For each [`COLS`] products the bits of those for which `product · step + added` is at least
/// `bound`; `added` has a value for each [`COLS`]. Needs [`is_available`].
pub fn reaching(products: &[i32], steps: &[f32], added: &[f32], bound: f32, out: &mut Vec<u32>) {
    assert!(is_available() && products.len().is_multiple_of(COLS));
    assert_eq!(
        (products.len(), added.len()),
        (steps.len(), products.len() / COLS)
    );
    out.clear();
    #[cfg(target_arch = "x86_64")]
    {
        let blocks = products.as_chunks::<COLS>().0.iter();
        let blocks = blocks.zip(steps.as_chunks::<COLS>().0).zip(added);
        out.extend(blocks.map(|((products, steps), &added)| {
            // SAFETY: the level is available.
            unsafe { x86::reaching(products, steps, added, bound) }
        }));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bound;
}

/// How far a score may lie below `product · step`: `length · by.0 + rest · by.1`.
pub struct Reach<'a> {
    pub steps: &'a [f32],
    pub lengths: &'a [f32],
    pub rests: &'a [f32],
    pub by: (f32, f32),
}

/// Raises lane `k % LANES` to the least that the score of product `k` can be, for each whose bit is
/// set. Needs [`is_available`].
pub fn raise(products: &[i32], reach: &Reach<'_>, allowed: &[u64], lanes: &mut [f32; LANES]) {
    assert!(is_available() && products.len().is_multiple_of(COLS));
    let columns = [reach.steps.len(), reach.lengths.len(), reach.rests.len()];
    assert!(columns == [products.len(); 3] && products.len() <= allowed.len() * 64);
    // SAFETY: the level is available, and there are as many of everything.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        x86::raise(products, reach, allowed, lanes);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = lanes;
}

/// The bits of those products, 64 a word, that are set in `allowed` and whose score may reach
/// `bound`: words that are not empty, each with its number. Needs [`is_available`].
pub fn reach(
    products: &[i32],
    reach: &Reach<'_>,
    bound: f32,
    allowed: &[u64],
    out: &mut Vec<(u32, u64)>,
) {
    assert!(is_available() && products.len().is_multiple_of(COLS));
    let columns = [reach.steps.len(), reach.lengths.len(), reach.rests.len()];
    assert!(columns == [products.len(); 3] && products.len() <= allowed.len() * 64);
    out.clear();
    // SAFETY: the level is available, and there are as many of everything.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        x86::reach(products, reach, bound, allowed, out);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bound;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{COLS, GROUP, ROWS, Reach};

    /// Lanes of a register.
    const LANES: usize = 16;

    /// Bits of a word.
    const WORD: usize = 64;

    /// Registers of largest scores.
    const REGISTERS: usize = super::LANES / LANES;

    /// The scores of 16 products by their steps, and how far they reach.
    ///
    /// # Safety
    ///
    /// There must be as many products, steps, lengths and rests from `at` on.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn scores(
        products: &[i32],
        reach: &Reach<'_>,
        by: (__m512, __m512),
        at: usize,
    ) -> (__m512, __m512, __m512) {
        debug_assert!(at + LANES <= products.len());
        // SAFETY: the caller promises them.
        let (products, steps, lengths, rests) = unsafe {
            (
                _mm512_loadu_si512(products.as_ptr().add(at).cast()),
                _mm512_loadu_ps(reach.steps.as_ptr().add(at)),
                _mm512_loadu_ps(reach.lengths.as_ptr().add(at)),
                _mm512_loadu_ps(reach.rests.as_ptr().add(at)),
            )
        };
        let far = _mm512_fmadd_ps(lengths, by.0, _mm512_mul_ps(rests, by.1));
        (_mm512_cvtepi32_ps(products), steps, far)
    }

    /// # Safety
    ///
    /// As for [`raise`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub unsafe fn reach(
        products: &[i32],
        reach: &Reach<'_>,
        bound: f32,
        allowed: &[u64],
        out: &mut Vec<(u32, u64)>,
    ) {
        let by = (_mm512_set1_ps(reach.by.0), _mm512_set1_ps(reach.by.1));
        let bound = _mm512_set1_ps(bound);
        let reached = |at: usize| {
            // SAFETY: what is asked for lies within the products, which are whole registers.
            let (product, step, far) = unsafe { scores(products, reach, by, at) };
            let most = _mm512_fmadd_ps(product, step, far);
            u64::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(most, bound))
        };
        let whole = products.len() / WORD;
        out.reserve(allowed.len());
        for (word, &allowed) in allowed.iter().enumerate().take(whole) {
            let at = word * WORD;
            let low = reached(at) | reached(at + LANES) << LANES;
            let high = reached(at + 2 * LANES) | reached(at + 3 * LANES) << LANES;
            let bits = (low | high << (2 * LANES)) & allowed;
            if bits != 0 {
                out.push((word as u32, bits));
            }
        }
        if !products.len().is_multiple_of(WORD) {
            let at = whole * WORD;
            let bits = (reached(at) | reached(at + LANES) << LANES) & allowed[whole];
            if bits != 0 {
                out.push((whole as u32, bits));
            }
        }
    }

    /// # Safety
    ///
    /// There must be as many steps, lengths and rests as products, and a bit for each.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub unsafe fn raise(
        products: &[i32],
        reach: &Reach<'_>,
        allowed: &[u64],
        lanes: &mut [f32; super::LANES],
    ) {
        let by = (_mm512_set1_ps(reach.by.0), _mm512_set1_ps(reach.by.1));
        let mut largest = [_mm512_setzero_ps(); REGISTERS];
        // SAFETY: what is read and written lies within the slices.
        unsafe {
            for (r, register) in largest.iter_mut().enumerate() {
                *register = _mm512_loadu_ps(lanes.as_ptr().add(r * LANES));
            }
            for start in (0..products.len()).step_by(super::LANES) {
                for (r, register) in largest.iter_mut().enumerate() {
                    let at = start + r * LANES;
                    if at >= products.len() {
                        break;
                    }
                    let bits = (*allowed.get_unchecked(at / 64) >> (at % 64)) as u16;
                    let (product, step, far) = scores(products, reach, by, at);
                    let least = _mm512_fmsub_ps(product, step, far);
                    *register = _mm512_mask_max_ps(*register, bits, *register, least);
                }
            }
            for (r, register) in largest.iter().enumerate() {
                _mm512_storeu_ps(lanes.as_mut_ptr().add(r * LANES), *register);
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub fn reaching(products: &[i32; COLS], steps: &[f32; COLS], added: f32, bound: f32) -> u32 {
        let mut bits = 0;
        for half in 0..COLS / LANES {
            // SAFETY: each half is within its array.
            let (products, steps) = unsafe {
                (
                    _mm512_loadu_si512(products.as_ptr().add(half * LANES).cast()),
                    _mm512_loadu_ps(steps.as_ptr().add(half * LANES)),
                )
            };
            let scores = _mm512_mul_ps(_mm512_cvtepi32_ps(products), steps);
            let most = _mm512_add_ps(scores, _mm512_set1_ps(added));
            let reached = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(most, _mm512_set1_ps(bound));
            bits |= u32::from(reached) << (half * LANES);
        }
        bits
    }

    /// # Safety
    ///
    /// `out` must be valid for `ROWS` rows of `COLS` values, `stride` apart; `left` and `right`
    /// must hold `steps` steps.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub unsafe fn tile(
        left: &[u8],
        right: &[i8],
        added: &[i32; COLS],
        steps: usize,
        out: *mut i32,
        stride: usize,
    ) {
        debug_assert!(left.len() >= steps * ROWS * GROUP && right.len() >= steps * COLS * GROUP);
        // SAFETY: all places lie within what the caller promises.
        unsafe {
            let low = _mm512_loadu_si512(added.as_ptr().cast());
            let high = _mm512_loadu_si512(added.as_ptr().add(LANES).cast());
            let mut sums = [[low, high]; ROWS];
            let (mut a, mut b) = (left.as_ptr(), right.as_ptr());
            for _ in 0..steps {
                let low = _mm512_loadu_si512(b.cast());
                let high = _mm512_loadu_si512(b.add(LANES * GROUP).cast());
                let mut i = 0;
                while i < ROWS {
                    let four = a.add(i * GROUP).cast::<i32>().read_unaligned();
                    let four = _mm512_set1_epi32(four);
                    sums[i][0] = _mm512_dpbusd_epi32(sums[i][0], four, low);
                    sums[i][1] = _mm512_dpbusd_epi32(sums[i][1], four, high);
                    i += 1;
                }
                a = a.add(ROWS * GROUP);
                b = b.add(COLS * GROUP);
            }
            let mut i = 0;
            while i < ROWS {
                let row = out.add(i * stride);
                _mm512_storeu_si512(row.cast(), sums[i][0]);
                _mm512_storeu_si512(row.add(LANES).cast(), sums[i][1]);
                i += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::reach as reach_words;
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn bits_are_those_of_each_product() {
        if !is_available() {
            return;
        }
        let mut stream = Stream::new(9, 0);
        let products: Vec<i32> = (0..4 * COLS)
            .map(|_| stream.below(2000) as i32 - 1000)
            .collect();
        let steps: Vec<f32> = (0..4 * COLS).map(|_| stream.uniform() as f32).collect();
        let added = [0.0, 3.0, -200.0, 1e4];
        let mut bits = vec![7];
        for bound in [-300.0, 0.0, 3.0, f32::NEG_INFINITY] {
            reaching(&products, &steps, &added, bound, &mut bits);
            assert_eq!(bits.len(), 4);
            for (at, (&product, step)) in products.iter().zip(&steps).enumerate() {
                let reached = product as f32 * step + added[at / COLS] >= bound;
                assert_eq!(bits[at / COLS] >> (at % COLS) & 1 == 1, reached);
            }
        }
    }

    #[test]
    fn lanes_rise_to_what_is_allowed() {
        if !is_available() {
            return;
        }
        let mut stream = Stream::new(10, 0);
        for count in [32usize, 128, 160, 1024] {
            let products: Vec<i32> = (0..count)
                .map(|_| stream.below(2000) as i32 - 1000)
                .collect();
            let mut draw = || -> Vec<f32> { (0..count).map(|_| stream.uniform() as f32).collect() };
            let (steps, lengths, rests) = (draw(), draw(), draw());
            let allowed: Vec<u64> = (0..count.div_ceil(64)).map(|_| stream.next_u64()).collect();
            let reach = Reach {
                steps: &steps,
                lengths: &lengths,
                rests: &rests,
                by: (3.0, 7.0),
            };
            let mut lanes = [-20.0; LANES];
            raise(&products, &reach, &allowed, &mut lanes);
            let mut words = Vec::new();
            reach_words(&products, &reach, 200.0, &allowed, &mut words);
            let mut want = [-20.0f64; LANES];
            let mut reached = Vec::new();
            for k in (0..count).filter(|k| allowed[k / 64] >> (k % 64) & 1 == 1) {
                let score = f64::from(products[k]) * f64::from(steps[k]);
                let far = f64::from(lengths[k]) * 3.0 + f64::from(rests[k]) * 7.0;
                want[k % LANES] = want[k % LANES].max(score - far);
                if score + far >= 200.0 {
                    reached.push(k);
                }
            }
            let bits = words.iter().flat_map(|&(word, bits)| {
                let bits = (0..64).filter(move |bit| bits >> bit & 1 == 1);
                bits.map(move |bit| word as usize * 64 + bit)
            });
            assert!(!reached.is_empty() && bits.eq(reached));
            for (got, want) in lanes.into_iter().zip(want) {
                assert!((f64::from(got) - want).abs() < 1e-3, "{count}");
            }
        }
    }

    #[test]
    fn products_are_exact() {
        if !is_available() {
            return;
        }
        let mut stream = Stream::new(8, 0);
        for dim in [1, 2, 3, 4, 5, 7, 64, 65, 130, 1000] {
            let (rows, cols) = (2 * ROWS, 3 * COLS);
            let mut draw = |count: usize| -> Vec<i8> {
                (0..count).map(|_| stream.below(256) as u8 as i8).collect()
            };
            let (a, b) = (draw(rows * dim), draw(cols * dim));
            // What fills a row up may be anything on one side.
            let mut left = vec![128; packed_len(rows, dim, ROWS)];
            let mut right = vec![0; packed_len(cols, dim, COLS)];
            for (i, row) in a.chunks(dim).enumerate() {
                pack_left(i, row, &mut left);
            }
            let rows_of_b = b.chunks(dim).enumerate();
            let added: Vec<i32> = rows_of_b
                .map(|(i, row)| pack_right(i, row, &mut right))
                .collect();
            let mut got = vec![1; rows * cols];
            products(&left, &right, &added, dim, &mut got);
            for (at, got) in got.into_iter().enumerate() {
                let pairs = a[at / cols * dim..].iter().zip(&b[at % cols * dim..]);
                let want: i32 = pairs
                    .take(dim)
                    .map(|(&x, &y)| i32::from(x) * i32::from(y))
                    .sum();
                assert_eq!(got, want, "{dim} {at}");
            }
        }
    }
}
