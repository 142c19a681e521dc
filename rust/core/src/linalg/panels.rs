//! Products of many right operands with one left operand that is packed once.

use crate::real::Real;
use crate::simd::{self, Block, Tile};

use super::pack::{pack_lines, packed_len};

/// Steps of the inner dimension that are packed at a time; sums are rounded at these steps.
const DEPTH: usize = 256;

/// Values that begin at a cache line and are kept from one use to the next.
#[derive(Default)]
pub struct Aligned {
    words: Vec<u64>,
}

impl Aligned {
    /// Words of a cache line.
    const LINE: usize = 8;

    /// `len` values that hold anything.
    pub fn values<T: Real>(&mut self, len: usize) -> &mut [T] {
        let words = (len * size_of::<T>()).div_ceil(8) + Self::LINE;
        if self.words.len() < words {
            self.words = vec![0; words];
        }
        let skip = self.words.as_ptr().align_offset(64).min(Self::LINE);
        &mut bytemuck::cast_slice_mut(&mut self.words[skip..])[..len]
    }
}

/// How many roundings a term of a sum over `depth` products passes at most, its own included.
pub fn roundings(depth: usize) -> usize {
    depth.min(DEPTH) + depth.div_ceil(DEPTH) + 1
}

/// The packed lines of a left operand.
pub struct Panels<T: 'static> {
    values: Aligned,
    tile: Tile<T>,
    scale: T,
    lines: usize,
    depth: usize,
    /// Lines of a panel; the last may have fewer.
    width: usize,
}

impl<T: Real> Panels<T> {
    /// Packs lines of equal length.
    pub fn new(lines: &[&[T]]) -> Self {
        Self::of(lines, simd::table::<T>().tile(), T::one())
    }

    /// As [`Self::new`] with negated squared distances in the place of products.
    pub fn of_distances(lines: &[&[T]]) -> Self {
        Self::of(lines, simd::table::<T>().distances(), -T::one())
    }

    fn of(lines: &[&[T]], tile: Tile<T>, scale: T) -> Self {
        let depth = lines.first().map_or(0, |line| line.len());
        // Panels of equal width: a narrow last one would run at a fraction of the speed.
        let count = lines.len().div_ceil(tile.rows).max(1);
        let width = lines.len().div_ceil(count).max(1);
        let mut values = Aligned::default();
        let mut rest = values.values::<T>(lines.len() * depth);
        for start in (0..depth).step_by(DEPTH) {
            let parts: Vec<&[T]> = lines
                .iter()
                .map(|line| &line[start..depth.min(start + DEPTH)])
                .collect();
            let (block, after) = rest.split_at_mut(lines.len() * parts[0].len());
            pack_lines(&parts, width, 1, block);
            rest = after;
        }
        Self {
            values,
            tile,
            scale,
            lines: lines.len(),
            depth,
            width,
        }
    }

    /// The product of every line with every line of `right`, in a row of `out` for each line.
    ///
    /// A value does not depend on what else is computed with it.
    pub fn products(&mut self, right: &[&[T]], space: &mut Aligned, out: &mut [T]) {
        assert_eq!(out.len(), self.lines * right.len());
        assert!(right.iter().all(|line| line.len() == self.depth));
        let Self {
            tile,
            scale,
            lines,
            depth,
            width,
            ..
        } = *self;
        let whole = Block {
            data: out.as_mut_ptr(),
            stride: right.len(),
            rows: lines,
            cols: right.len(),
        };
        if depth == 0 || right.is_empty() {
            out.fill(T::zero());
            return;
        }
        let mut left = &*self.values.values::<T>(lines * depth);
        let mut parts: Vec<&[T]> = Vec::with_capacity(right.len());
        for start in (0..depth).step_by(DEPTH) {
            let steps = DEPTH.min(depth - start);
            parts.clear();
            parts.extend(right.iter().map(|line| &line[start..start + steps]));
            let packed = space.values::<T>(packed_len(right.len(), steps, tile.cols));
            pack_lines(&parts, tile.cols, tile.cols, packed);
            let (panels, after) = left.split_at(lines * steps);
            for (q, packed) in packed.chunks_exact(tile.cols * steps).enumerate() {
                let col = q * tile.cols;
                let cols = tile.cols.min(right.len() - col);
                for (p, panel) in panels.chunks(width * steps).enumerate() {
                    let row = p * width;
                    let c = whole.part(row, col, width.min(lines - row), cols);
                    // SAFETY: `out` is borrowed exclusively and has the product's shape.
                    unsafe { tile.run(scale, panel, packed, start > 0, c) };
                }
            }
            left = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::gemm::{Strided, gemm};
    use crate::rng::Stream;

    #[test]
    fn they_are_the_products_of_gemm_bit_by_bit() {
        let mut stream = Stream::new(7, 0);
        for (m, n, k) in [
            (1, 1, 1),
            (16, 33, 300),
            (47, 5, 17),
            (15, 64, 784),
            (3, 0, 4),
        ] {
            let mut draw =
                |count| -> Vec<f32> { (0..count).map(|_| stream.uniform() as f32 - 0.5).collect() };
            let (a, b) = (draw(m * k), draw(n * k));
            let (left, right): (Vec<_>, Vec<_>) = (a.chunks(k).collect(), b.chunks(k).collect());
            let mut got = vec![f32::NAN; m * n];
            Panels::new(&left).products(&right, &mut Aligned::default(), &mut got);
            let mut want = vec![0.0; m * n];
            gemm(
                1.0,
                Strided::rows(&a, m, k),
                Strided::rows(&b, n, k).transposed(),
                0.0,
                &mut want,
            );
            assert_eq!(got, want, "{m} {n} {k}");
        }
    }
}
