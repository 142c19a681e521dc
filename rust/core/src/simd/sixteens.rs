//! The products of one vector with sixteen others, each added up in the order of the dimensions, as
//! a matrix product does. Squares of 16 × 16 values are turned round in registers.

/// Vectors that are multiplied at once.
pub const ROWS: usize = 16;

type Sixteen = unsafe fn(&[f32], &[&[f32]; ROWS]) -> [f32; ROWS];

/// The kernel of the level in use, if it has one.
pub struct Sixteens(Sixteen);

impl Sixteens {
    pub fn get() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if super::Kernels::get().level == super::Level::Avx512 {
            return Some(Self(avx512::dots));
        }
        None
    }

    /// Σ leftₖ rowₖ for each row, every step fused.
    #[inline]
    pub fn dots(&self, left: &[f32], rows: &[&[f32]; ROWS]) -> [f32; ROWS] {
        assert!(rows.iter().all(|row| row.len() == left.len()));
        // SAFETY: the level is available and the lengths are equal.
        unsafe { (self.0)(left, rows) }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::ROWS;

    /// Exchanges rows and columns.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn turn(rows: [__m512; ROWS]) -> [__m512; ROWS] {
        let (mut pairs, mut fours, mut out) = (rows, rows, rows);
        for i in (0..ROWS).step_by(2) {
            pairs[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
            pairs[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
        }
        let low = |a, b| {
            let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
            _mm512_castpd_ps(_mm512_unpacklo_pd(a, b))
        };
        let high = |a, b| {
            let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
            _mm512_castpd_ps(_mm512_unpackhi_pd(a, b))
        };
        for i in (0..ROWS).step_by(4) {
            fours[i] = low(pairs[i], pairs[i + 2]);
            fours[i + 1] = high(pairs[i], pairs[i + 2]);
            fours[i + 2] = low(pairs[i + 1], pairs[i + 3]);
            fours[i + 3] = high(pairs[i + 1], pairs[i + 3]);
        }
        // Quarter q of `fours[4 g + c]` is column 4 q + c of rows 4 g to 4 g + 3.
        const EVEN: i32 = 0x88;
        const ODD: i32 = 0xdd;
        for c in 0..4 {
            let (a, b) = (fours[c], fours[4 + c]);
            let (d, e) = (fours[8 + c], fours[12 + c]);
            let (front, back) = (
                _mm512_shuffle_f32x4::<EVEN>(a, b),
                _mm512_shuffle_f32x4::<EVEN>(d, e),
            );
            out[c] = _mm512_shuffle_f32x4::<EVEN>(front, back);
            out[8 + c] = _mm512_shuffle_f32x4::<ODD>(front, back);
            let (front, back) = (
                _mm512_shuffle_f32x4::<ODD>(a, b),
                _mm512_shuffle_f32x4::<ODD>(d, e),
            );
            out[4 + c] = _mm512_shuffle_f32x4::<EVEN>(front, back);
            out[12 + c] = _mm512_shuffle_f32x4::<ODD>(front, back);
        }
        out
    }

    /// # Safety
    ///
    /// Rows must be as long as `left`.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn dots(left: &[f32], rows: &[&[f32]; ROWS]) -> [f32; ROWS] {
        let mut sums = _mm512_setzero_ps();
        for start in (0..left.len()).step_by(ROWS) {
            let given = (left.len() - start).min(ROWS);
            let mask = u16::MAX >> (ROWS - given);
            let mut square = [_mm512_setzero_ps(); ROWS];
            for (line, row) in square.iter_mut().zip(rows) {
                // SAFETY: the mask ends with the row.
                *line = unsafe { _mm512_maskz_loadu_ps(mask, row.as_ptr().add(start)) };
            }
            for (&x, column) in left[start..start + given].iter().zip(turn(square)) {
                sums = _mm512_fmadd_ps(_mm512_set1_ps(x), column, sums);
            }
        }
        let mut out = [0.0; ROWS];
        // SAFETY: `out` holds a register.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sums) };
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn sums_have_the_bits_of_a_loop() {
        let Some(kernel) = Sixteens::get() else {
            return;
        };
        let mut stream = Stream::new(4, 0);
        for dim in [0, 1, 15, 16, 17, 128, 257] {
            let mut draw = |count: usize| -> Vec<f32> {
                (0..count).map(|_| stream.uniform() as f32 - 0.5).collect()
            };
            let (left, right) = (draw(dim), draw(ROWS * dim));
            let rows: [&[f32]; ROWS] = std::array::from_fn(|i| &right[i * dim..(i + 1) * dim]);
            let want = rows.map(|row| {
                let pairs = left.iter().zip(row);
                pairs.fold(0.0f32, |sum, (x, y)| x.mul_add(*y, sum))
            });
            assert_eq!(kernel.dots(&left, &rows), want, "{dim}");
        }
    }
}
