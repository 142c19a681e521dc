//! Loops over single values, compiled once for every level.
//!
//! The compiler vectorises them well once it may use the instructions, and since no operation is
//! fused or reordered they give the same bits on every level.

use super::{Kernels, Level};

/// A loop whose body is to be compiled for the level in use.
pub(crate) trait Elementwise {
    type Output;

    /// The loop; must be `#[inline(always)]`, or it is compiled without the level's instructions.
    fn run(self) -> Self::Output;
}

/// Runs `kernel` at the level in use.
#[inline]
pub(crate) fn elementwise<K: Elementwise>(kernel: K) -> K::Output {
    at(Kernels::get().level, kernel)
}

fn at<K: Elementwise>(level: Level, kernel: K) -> K::Output {
    match level {
        // SAFETY: a level in use is available.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512(kernel) },
        // SAFETY: a level in use is available.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2(kernel) },
        // NEON belongs to every 64-bit ARM target: plain code uses it.
        _ => kernel.run(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512<K: Elementwise>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<K: Elementwise>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Blend<'a>(&'a [f32], &'a mut [f32]);

    impl Elementwise for Blend<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            for (&x, y) in self.0.iter().zip(self.1) {
                *y = (*y * 0.9 + x * 0.1).sqrt() / 3.0;
            }
        }
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let x: Vec<f32> = (0..259).map(|i| (i as f32).sin().abs()).collect();
        let run = |level| {
            let mut y: Vec<f32> = x.iter().map(|x| x.exp()).collect();
            at(level, Blend(&x, &mut y));
            y
        };
        for level in Level::available() {
            assert_eq!(run(level), run(Level::Scalar), "{level:?}");
        }
    }
}
