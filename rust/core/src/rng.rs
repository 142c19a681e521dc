//! Random streams keyed by a seed and a counter.
//!
//! Work item `i` always draws from stream `(seed, i)`, whichever thread runs it, so results do
//! not depend on the number of threads.

use rand_core::Rng;
use rand_pcg::Pcg64;

/// One stream of random numbers.
pub struct Stream(Pcg64);

impl Stream {
    pub fn new(seed: u64, key: u64) -> Self {
        // Neighbouring seeds and keys must give unrelated streams: spread their bits first.
        let state = u128::from(mix(seed)) << 64 | u128::from(mix(seed ^ mix(key)));
        Self(Pcg64::new(state, u128::from(mix(key))))
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `0..bound`; `bound` must not be 0. Unbiased (Lemire 2019).
    pub fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound > 0);
        let mut product = u128::from(self.next_u64()) * u128::from(bound);
        if (product as u64) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u64) < threshold {
                product = u128::from(self.next_u64()) * u128::from(bound);
            }
        }
        (product >> 64) as u64
    }
}

/// SplitMix64's finaliser (Steele, Lea and Flood 2014): a bijection that spreads every bit.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_key_same_numbers_other_key_others() {
        let draw = |seed, key| Stream::new(seed, key).next_u64();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }

    #[test]
    fn draws_below_a_bound_are_uniform() {
        let mut stream = Stream::new(7, 0);
        let mut counts = [0u32; 6];
        for _ in 0..60_000 {
            counts[stream.below(6) as usize] += 1;
        }
        let chi2: f64 = counts
            .iter()
            .map(|&c| (f64::from(c) - 1e4).powi(2) / 1e4)
            .sum();
        assert!(chi2 < 20.5, "chi-square {chi2} beyond the 0.999 quantile");
    }
}
