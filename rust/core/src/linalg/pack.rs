//! Operands in the order in which the product's kernel reads them.

use crate::real::Real;

use super::gemm::Strided;

/// Steps that are transposed at a time: what they touch stays in the first cache.
const STEPS: usize = 16;

/// Values that [`pack`] writes for `lines` lines of `depth` values.
pub(super) fn packed_len(lines: usize, depth: usize, multiple: usize) -> usize {
    lines.next_multiple_of(multiple) * depth
}

/// Copies the rows of `source` panel by panel, `width` rows to a panel, step by step: value k of
/// the panel's row i goes to place `k · width + i`.
///
/// The last panel is as wide as it has rows, rounded up to `multiple` with zeros.
pub(super) fn pack<T: Real>(source: Strided<'_, T>, width: usize, multiple: usize, out: &mut [T]) {
    let depth = source.cols;
    for (p, panel) in out.chunks_mut(width * depth).enumerate() {
        let first = p * width;
        let lines = width.min(source.rows - first);
        let stride = lines.next_multiple_of(multiple);
        let data = &source.data[first * source.row_stride..];
        if source.row_stride == 1 {
            for (k, step) in panel.chunks_exact_mut(stride).enumerate() {
                let start = k * source.col_stride;
                step[..lines].copy_from_slice(&data[start..start + lines]);
                step[lines..].fill(T::zero());
            }
            continue;
        }
        if lines < stride {
            panel.fill(T::zero());
        }
        for (block, steps) in panel.chunks_mut(STEPS * stride).enumerate() {
            let start = block * STEPS * source.col_stride;
            for i in 0..lines {
                let line = data[start + i * source.row_stride..].iter();
                let places = steps[i..].iter_mut().step_by(stride);
                for (place, &value) in places.zip(line.step_by(source.col_stride.max(1))) {
                    *place = value;
                }
            }
        }
    }
}
