//! Finds the few products of many that are large enough.

use crate::simd::{Elementwise, elementwise};

/// One AVX-512 register of `f32`.
const LANES: usize = 16;

struct Scan<'a> {
    products: &'a [f32],
    offsets: &'a [f32],
    least: f32,
    found: &'a mut Vec<u32>,
}

impl Elementwise for Scan<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (products, rest) = self.products.as_chunks::<LANES>();
        let (offsets, rest_offsets) = self.offsets.as_chunks::<LANES>();
        for (i, (products, offsets)) in products.iter().zip(offsets).enumerate() {
            let mut any = false;
            for lane in 0..LANES {
                any |= products[lane] - offsets[lane] >= self.least;
            }
            if any {
                for lane in 0..LANES {
                    if products[lane] - offsets[lane] >= self.least {
                        self.found.push((i * LANES + lane) as u32);
                    }
                }
            }
        }
        let done = products.len() * LANES;
        for (i, (product, offset)) in rest.iter().zip(rest_offsets).enumerate() {
            if product - offset >= self.least {
                self.found.push((done + i) as u32);
            }
        }
    }
}

/// Writes to `found` which products, less their offsets, are at least `least`.
pub fn scan(products: &[f32], offsets: &[f32], least: f32, found: &mut Vec<u32>) {
    found.clear();
    elementwise(Scan {
        products,
        offsets,
        least,
        found,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_is_large_enough_and_nothing_else() {
        for n in [0, 1, 15, 16, 17, 100] {
            let products: Vec<f32> = (0..n).map(|i| ((i * 37) % 23) as f32).collect();
            let offsets: Vec<f32> = (0..n).map(|i| (i % 5) as f32).collect();
            for least in [f32::MIN, 3.0, 12.5, 100.0] {
                let mut found = vec![7];
                scan(&products, &offsets, least, &mut found);
                let want: Vec<u32> = (0..n as u32)
                    .filter(|&i| products[i as usize] - offsets[i as usize] >= least)
                    .collect();
                assert_eq!(found, want);
            }
        }
    }
}
