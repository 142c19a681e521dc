//! Sets of nodes as bits, 64 a word, the first node in the lowest bit.

use crate::simd::{Elementwise, elementwise};

/// Exchanges rows and columns of 64 × 64 bits (Warren, "Hacker's Delight", 7-3).
pub(super) fn transpose(square: &mut [u64; 64]) {
    let mut width = 32;
    let mut mask = 0x0000_0000_ffff_ffffu64;
    while width > 0 {
        let mut row = 0;
        while row < 64 {
            let swapped = (square[row] >> width ^ square[row + width]) & mask;
            square[row] ^= swapped << width;
            square[row + width] ^= swapped;
            row = (row + width + 1) & !width;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

/// The set bits of each byte, and then whatever.
const OF_BYTES: [[i32; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut bit, mut count) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                table[byte][count] = bit;
                count += 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    table
};

/// Writes the numbers of set bits, as many as `out` has room for.
pub(super) fn expand(bits: &[u64], out: &mut [i32]) {
    let mut at = 0;
    for (i, &word) in bits.iter().enumerate() {
        if word == 0 {
            continue;
        }
        let base = (64 * i) as i32;
        if word.count_ones() > 8
            && let Some(out) = out.get_mut(at..at + 64 + 8)
        {
            // Eight places a byte, of which the next byte takes those that mean nothing.
            let mut within = 0;
            for (k, byte) in word.to_le_bytes().into_iter().enumerate() {
                let first = base + 8 * k as i32;
                let places = OF_BYTES[usize::from(byte)];
                for (out, place) in out[within..within + 8].iter_mut().zip(places) {
                    *out = first + place;
                }
                within += byte.count_ones() as usize;
            }
            at += within;
            continue;
        }
        let mut word = word;
        while word != 0 {
            let Some(out) = out.get_mut(at) else { return };
            *out = base + word.trailing_zeros() as i32;
            at += 1;
            word &= word - 1;
        }
    }
}

struct Ones<'a>(&'a [u64]);

impl Elementwise for Ones<'_> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// How many bits are set.
pub(super) fn ones(bits: &[u64]) -> usize {
    elementwise(Ones(bits)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn transposing_bits_exchanges_rows_and_columns() {
        let mut stream = Stream::new(0, 0);
        let square: [u64; 64] = std::array::from_fn(|_| stream.next_u64());
        let mut turned = square;
        transpose(&mut turned);
        for (i, row) in square.iter().enumerate() {
            for (j, column) in turned.iter().enumerate() {
                assert_eq!(row >> j & 1, column >> i & 1);
            }
        }
    }

    #[test]
    fn places_of_bits_are_those_that_are_set() {
        let mut stream = Stream::new(1, 0);
        // Words with few bits and with many are written in ways of their own.
        for and in [0, 1, 3, 6] {
            let bits: Vec<u64> = (0..9)
                .map(|_| (0..and).fold(u64::MAX, |word, _| word & stream.next_u64()))
                .collect();
            let wanted: Vec<i32> = (0..64 * 9)
                .filter(|&i| bits[i as usize / 64] >> (i % 64) & 1 == 1)
                .collect();
            assert_eq!(ones(&bits), wanted.len());
            let mut out = vec![-1; wanted.len()];
            expand(&bits, &mut out);
            assert_eq!(out, wanted);
        }
    }
}
