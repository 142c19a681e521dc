//! IEEE half precision (binary16), kept as its bits in `u16`.

use std::sync::OnceLock;

use super::{Kernels, Level};

/// The largest finite half. [`encode`] makes infinity of what rounds to more.
pub const MAX: f32 = 65504.0;

type Decode = unsafe fn(&[u16], &mut [f32]);
type Encode = unsafe fn(&[f32], &mut [u16]);

/// The conversions of one level, which give the same bits on every level.
struct Halves {
    decode: Decode,
    encode: Encode,
}

impl Halves {
    /// Those of the level in use.
    fn get() -> &'static Self {
        static CHOSEN: OnceLock<&'static Halves> = OnceLock::new();
        CHOSEN.get_or_init(|| Self::at(Kernels::get().level))
    }

    fn at(level: Level) -> &'static Self {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => &x86::AVX512,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 if is_x86_feature_detected!("f16c") => &x86::AVX2,
            _ => &PLAIN,
        }
    }

    fn decode(&self, halves: &[u16], out: &mut [f32]) {
        assert_eq!(halves.len(), out.len());
        // SAFETY: the level is available and the lengths are equal.
        unsafe { (self.decode)(halves, out) }
    }

    fn encode(&self, values: &[f32], out: &mut [u16]) {
        assert_eq!(values.len(), out.len());
        // SAFETY: the level is available and the lengths are equal.
        unsafe { (self.encode)(values, out) }
    }
}

/// Writes the value of each half to `out`; every half is an `f32`.
#[inline]
pub fn decode(halves: &[u16], out: &mut [f32]) {
    Halves::get().decode(halves, out);
}

/// Writes the half nearest to each value to `out`, the even one of two; infinity beyond [`MAX`].
#[inline]
pub fn encode(values: &[f32], out: &mut [u16]) {
    Halves::get().encode(values, out);
}

static PLAIN: Halves = Halves {
    decode: plain_decode,
    encode: plain_encode,
};

fn plain_decode(halves: &[u16], out: &mut [f32]) {
    for (out, &half) in out.iter_mut().zip(halves) {
        *out = value_of(half);
    }
}

fn plain_encode(values: &[f32], out: &mut [u16]) {
    for (out, &value) in out.iter_mut().zip(values) {
        *out = half_of(value);
    }
}

/// What an exponent of all ones is shown by.
const SPECIAL: u32 = 0x7f80_0000;
const QUIET: u32 = 0x0040_0000;

// Both are without branches, so that their loops vectorise.

#[inline(always)]
fn value_of(half: u16) -> f32 {
    let bits = u32::from(half);
    let size = (bits & 0x7fff) << 13;
    // The exponents differ by 112; the product of a subnormal half is normal and exact.
    let mut value = (f32::from_bits(size) * f32::from_bits((127 + 112) << 23)).to_bits();
    value |= if size >= 0x0f80_0000 { SPECIAL } else { 0 };
    value |= if size > 0x0f80_0000 { QUIET } else { 0 };
    f32::from_bits(value | (bits & 0x8000) << 16)
}

#[inline(always)]
fn half_of(value: f32) -> u16 {
    let bits = value.to_bits();
    let size = bits & 0x7fff_ffff;
    // Adding 1/2 leaves the subnormal half, rounded, in the last bits of the sum.
    let small = (f32::from_bits(size) + 0.5)
        .to_bits()
        .wrapping_sub(126 << 23);
    let odd = (size >> 13) & 1;
    let normal = size.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    let nan = 0x7e00 | (size >> 13 & 0x3ff);
    let half = if size > SPECIAL {
        nan
    } else if size >= (127 + 16) << 23 {
        0x7c00
    } else if size < (127 - 14) << 23 {
        small
    } else {
        normal
    };
    (half | (bits >> 16 & 0x8000)) as u16
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Halves;

    pub static AVX512: Halves = Halves {
        decode: decode_512,
        encode: encode_512,
    };

    pub static AVX2: Halves = Halves {
        decode: decode_256,
        encode: encode_256,
    };

    const ROUND: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

    /// Whole registers, then the rest in a register of its own.
    macro_rules! conversion {
        ($name:ident, $features:literal, $lanes:literal, $from:ty, $to:ty,
         |$source:ident, $target:ident| $convert:expr) => {
            #[target_feature(enable = $features)]
            unsafe fn $name(from: &[$from], to: &mut [$to]) {
                let (blocks, rest) = from.as_chunks::<$lanes>();
                let (places, last) = to.as_chunks_mut::<$lanes>();
                for (from, to) in blocks.iter().zip(places) {
                    let ($source, $target) = (from.as_ptr(), to.as_mut_ptr());
                    // SAFETY: both blocks hold a register's worth of values.
                    unsafe { $convert };
                }
                if !rest.is_empty() {
                    let mut values = [<$from>::default(); $lanes];
                    let mut results = [<$to>::default(); $lanes];
                    values[..rest.len()].copy_from_slice(rest);
                    let ($source, $target) = (values.as_ptr(), results.as_mut_ptr());
                    // SAFETY: both arrays hold a register's worth of values.
                    unsafe { $convert };
                    last.copy_from_slice(&results[..rest.len()]);
                }
            }
        };
    }

    conversion!(decode_512, "avx512f", 16, u16, f32, |source, target| {
        let halves = _mm256_loadu_si256(source.cast());
        _mm512_storeu_ps(target, _mm512_cvtph_ps(halves));
    });
    conversion!(encode_512, "avx512f", 16, f32, u16, |source, target| {
        let halves = _mm512_cvtps_ph::<ROUND>(_mm512_loadu_ps(source));
        _mm256_storeu_si256(target.cast(), halves);
    });
    conversion!(decode_256, "avx2,f16c", 8, u16, f32, |source, target| {
        let halves = _mm_loadu_si128(source.cast());
        _mm256_storeu_ps(target, _mm256_cvtph_ps(halves));
    });
    conversion!(encode_256, "avx2,f16c", 8, f32, u16, |source, target| {
        let halves = _mm256_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT }>(_mm256_loadu_ps(source));
        _mm_storeu_si128(target.cast(), halves);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn levels() -> impl Iterator<Item = &'static Halves> {
        Level::available().map(Halves::at)
    }

    /// The standard's definition of a finite half's size.
    fn defined(half: u16) -> f64 {
        let (exponent, fraction) = (i32::from(half >> 10 & 31), f64::from(half & 0x3ff) / 1024.0);
        match exponent {
            0 => fraction * (-14f64).exp2(),
            _ => (1.0 + fraction) * f64::from(exponent - 15).exp2(),
        }
    }

    /// The nearest half by comparing with both neighbours, found among all of them.
    fn nearest(value: f32, sizes: &[f64]) -> u16 {
        let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
        let size = f64::from(value.abs());
        let above = sizes.partition_point(|&known| known < size);
        // The place after the largest half stands for 2¹⁶, which is infinity.
        let at = |half: usize| sizes.get(half).copied().unwrap_or(65536.0);
        if above == 0 || at(above) == size {
            return sign | above.min(sizes.len()) as u16;
        }
        let (down, up) = (size - at(above - 1), at(above) - size);
        let half = match down.total_cmp(&up) {
            std::cmp::Ordering::Less => above - 1,
            std::cmp::Ordering::Greater => above,
            std::cmp::Ordering::Equal => above & !1,
        };
        sign | half.min(sizes.len()) as u16
    }

    #[test]
    fn every_half_has_the_value_that_the_standard_defines() {
        let all: Vec<u16> = (0..=u16::MAX).collect();
        for halves in levels() {
            let mut values = vec![1.0; all.len()];
            halves.decode(&all, &mut values);
            for (&half, &value) in all.iter().zip(&values) {
                let size = half & 0x7fff;
                assert_eq!(value.is_sign_negative(), half >= 0x8000, "{half:#x}");
                match size {
                    0..0x7c00 => assert_eq!(f64::from(value.abs()), defined(size), "{half:#x}"),
                    0x7c00 => assert_eq!(value.abs(), f32::INFINITY),
                    _ => assert!(value.is_nan(), "{half:#x}"),
                }
            }
            let mut back = vec![0; all.len()];
            halves.encode(&values, &mut back);
            for (&half, &back) in all.iter().zip(&back) {
                let quiet = if half & 0x7fff > 0x7c00 { 0x200 } else { 0 };
                assert_eq!(back, half | quiet, "{half:#x}");
            }
        }
        assert_eq!(f64::from(MAX), defined(0x7bff));
    }

    #[test]
    fn the_nearest_half_is_taken_and_the_even_one_of_two() {
        let sizes: Vec<f64> = (0..0x7c00).map(defined).collect();
        let mut stream = Stream::new(17, 0);
        let mut values: Vec<f32> = vec![
            0.0,
            -0.0,
            65504.0,
            65519.996,
            65520.0,
            -65520.0,
            65536.0,
            1e10,
            3e-8,
            2.9802322e-8,
            2.980233e-8,
            1e-40,
            f32::MIN_POSITIVE,
            f32::MAX,
            f32::MIN,
        ];
        // Ties between neighbours, and what lies next to a tie.
        for pair in sizes.windows(2).step_by(7) {
            let tie = ((pair[0] + pair[1]) / 2.0) as f32;
            values.extend([tie, -tie, tie.next_up(), tie.next_down()]);
        }
        for _ in 0..20_000 {
            let exponent = stream.uniform() * 48.0 - 30.0;
            let sign = if stream.uniform() < 0.5 { -1.0 } else { 1.0 };
            values.push((sign * (1.0 + stream.uniform()) * exponent.floor().exp2()) as f32);
        }
        let want: Vec<u16> = values.iter().map(|&value| nearest(value, &sizes)).collect();
        for halves in levels() {
            let mut got = vec![0; values.len()];
            halves.encode(&values, &mut got);
            for ((value, got), want) in values.iter().zip(&got).zip(&want) {
                assert_eq!(got, want, "{value:e}");
            }
        }
    }

    #[test]
    fn infinities_stay_and_nan_stays_nan_at_every_length() {
        for halves in levels() {
            for n in 0..70 {
                let values: Vec<f32> = (0..n)
                    .map(|i| [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.1][i % 4])
                    .collect();
                let mut got = vec![0; n];
                halves.encode(&values, &mut got);
                for (i, half) in got.iter().enumerate() {
                    match i % 4 {
                        2 => assert!(half & 0x7fff > 0x7c00),
                        kind => assert_eq!(*half, [0x7c00, 0xfc00, 0, 0x2e66][kind]),
                    }
                }
                let mut back = vec![0.0; n];
                halves.decode(&got, &mut back);
                let kept = values.iter().zip(&back);
                assert!(
                    kept.into_iter()
                        .all(|(value, back)| value.is_nan() == back.is_nan())
                );
            }
        }
    }
}
