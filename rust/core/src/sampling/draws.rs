//! Random numbers of 32 bits, two from each of a stream's, and small subsets.

use crate::rng::Stream;

/// A stream that spends no more bits than asked for.
pub(super) struct Draws {
    stream: Stream,
    spare: Option<u32>,
    marks: Vec<u64>,
}

/// Elements of a subset that are looked for one by one.
const FEW: usize = 64;

impl Draws {
    /// Streams of the same seed are told apart by a purpose and a number below 2⁵⁶.
    pub fn new(seed: u64, purpose: u8, number: u64) -> Self {
        Self {
            stream: Stream::new(seed, u64::from(purpose) << 56 | number),
            spare: None,
            marks: Vec::new(),
        }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.stream.next_u64()
    }

    #[inline]
    fn next_u32(&mut self) -> u32 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let bits = self.stream.next_u64();
        self.spare = Some((bits >> 32) as u32);
        bits as u32
    }

    /// Uniform in `0..bound`; `bound` must not be 0. Unbiased (Lemire 2019).
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        debug_assert!(bound > 0);
        let mut product = u64::from(self.next_u32()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u32) < threshold {
                product = u64::from(self.next_u32()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }

    /// Uniform in `0..bound`, for bounds beyond 32 bits.
    pub fn below_u64(&mut self, bound: u64) -> u64 {
        self.stream.below(bound)
    }

    /// Uniform in `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        self.stream.uniform()
    }

    /// Calls `take` with `wanted` of the numbers `0..count`, rising, each set equally likely
    /// (Floyd's algorithm, Bentley and Floyd 1987); with all of them where there are no more.
    #[inline]
    pub fn subset(&mut self, count: usize, wanted: usize, mut take: impl FnMut(usize)) {
        if count <= wanted {
            return (0..count).for_each(take);
        }
        // Of 20 numbers, 15 are 5 left out.
        let inverted = wanted > count / 2;
        let drawn = if inverted { count - wanted } else { wanted };
        if count <= 64 {
            let mut mask = 0u64;
            for last in count - drawn..count {
                let at = self.below(last as u32 + 1);
                let bit = if mask >> at & 1 == 1 { last as u32 } else { at };
                mask |= 1 << bit;
            }
            if inverted {
                mask = !mask & (!0 >> (64 - count));
            }
            while mask != 0 {
                take(mask.trailing_zeros() as usize);
                mask &= mask - 1;
            }
        } else if drawn <= FEW && !inverted {
            let mut chosen = [0u32; FEW];
            for (i, last) in (count - drawn..count).enumerate() {
                let at = self.below(last as u32 + 1);
                let taken = chosen[..i].contains(&at);
                chosen[i] = if taken { last as u32 } else { at };
            }
            chosen[..drawn].sort_unstable();
            chosen[..drawn].iter().for_each(|&at| take(at as usize));
        } else {
            self.large_subset(count, drawn, inverted, take);
        }
    }

    fn large_subset(
        &mut self,
        count: usize,
        drawn: usize,
        inverted: bool,
        mut take: impl FnMut(usize),
    ) {
        let mut marks = std::mem::take(&mut self.marks);
        marks.clear();
        marks.resize(count.div_ceil(64), 0);
        for last in count - drawn..count {
            let at = self.below(last as u32 + 1) as usize;
            let bit = if marks[at / 64] >> (at % 64) & 1 == 1 {
                last
            } else {
                at
            };
            marks[bit / 64] |= 1 << (bit % 64);
        }
        for at in 0..count {
            if (marks[at / 64] >> (at % 64) & 1 == 1) != inverted {
                take(at);
            }
        }
        self.marks = marks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_have_their_size_rise_and_hold_each_number_equally_often() {
        for (count, wanted) in [(5, 2), (20, 15), (64, 40), (65, 3), (90, 70), (300, 100)] {
            let mut draws = Draws::new(3, 0, count as u64);
            let mut hits = vec![0u32; count];
            let rounds = 20_000;
            for _ in 0..rounds {
                let mut subset = Vec::new();
                draws.subset(count, wanted, |at| subset.push(at));
                assert_eq!(subset.len(), wanted);
                assert!(subset.windows(2).all(|pair| pair[0] < pair[1]));
                subset.into_iter().for_each(|at| hits[at] += 1);
            }
            // Each number is a Bernoulli draw of probability p.
            let p = wanted as f64 / count as f64;
            let mean = f64::from(rounds) * p;
            let worst = hits
                .iter()
                .map(|&hit| (f64::from(hit) - mean).abs() / (mean * (1.0 - p)).sqrt())
                .fold(0.0, f64::max);
            assert!(worst < 4.5, "{count} {wanted}: {worst} standard deviations");
        }
    }

    #[test]
    fn all_pairs_of_five_are_equally_likely() {
        let mut draws = Draws::new(4, 0, 0);
        let mut hits = [0u32; 25];
        for _ in 0..50_000 {
            let mut pair = Vec::new();
            draws.subset(5, 2, |at| pair.push(at));
            hits[pair[0] * 5 + pair[1]] += 1;
        }
        let chi2: f64 = hits
            .iter()
            .filter(|&&hit| hit > 0)
            .map(|&hit| (f64::from(hit) - 5e3).powi(2) / 5e3)
            .sum();
        assert!(
            chi2 < 27.9,
            "beyond the 0.999 quantile of 9 degrees: {chi2}"
        );
        assert_eq!(hits.iter().filter(|&&hit| hit > 0).count(), 10);
    }

    #[test]
    fn where_no_more_are_asked_for_than_there_are_all_come() {
        let mut all = Vec::new();
        Draws::new(0, 0, 0).subset(3, 7, |at| all.push(at));
        assert_eq!(all, [0, 1, 2]);
    }
}
