//! Operands in the order in which the product's kernel reads them.

use crate::real::Real;

use super::gemm::Strided;

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
        if source.col_stride == 1 {
            let line = |i: usize| &data[i * source.row_stride..i * source.row_stride + depth];
            transpose(line, lines, stride, panel);
            continue;
        }
        for (k, step) in panel.chunks_exact_mut(stride).enumerate() {
            for (i, place) in step.iter_mut().enumerate().take(lines) {
                *place = data[i * source.row_stride + k * source.col_stride];
            }
        }
    }
}

/// As [`pack`] for lines that lie anywhere, `width` lines to a panel.
pub(super) fn pack_lines<T: Real>(lines: &[&[T]], width: usize, multiple: usize, out: &mut [T]) {
    let depth = lines.first().map_or(0, |line| line.len());
    for (lines, panel) in lines.chunks(width).zip(out.chunks_mut(width * depth)) {
        let stride = lines.len().next_multiple_of(multiple);
        if lines.len() < stride {
            panel.fill(T::zero());
        }
        transpose(|i| lines[i], lines.len(), stride, panel);
    }
}

/// Copies `lines` lines into the columns of `panel`, square by square: a square is transposed in
/// registers.
fn transpose<'a, T: Real>(
    line: impl Fn(usize) -> &'a [T],
    lines: usize,
    stride: usize,
    panel: &mut [T],
) {
    const SIDE: usize = 4;
    let depth = panel.len() / stride;
    let squares = depth - depth % SIDE;
    let mut first = 0;
    while first + SIDE <= lines {
        let squares_of = |i: usize| line(first + i)[..squares].as_chunks::<SIDE>().0;
        let (a, b) = (squares_of(0), squares_of(1));
        let (c, d) = (squares_of(2), squares_of(3));
        let steps = panel.chunks_exact_mut(SIDE * stride);
        for ((((steps, a), b), c), d) in steps.zip(a).zip(b).zip(c).zip(d) {
            for k in 0..SIDE {
                let place = k * stride + first;
                steps[place..place + SIDE].copy_from_slice(&[a[k], b[k], c[k], d[k]]);
            }
        }
        for k in squares..depth {
            for i in first..first + SIDE {
                panel[k * stride + i] = line(i)[k];
            }
        }
        first += SIDE;
    }
    for i in first..lines {
        for (place, &value) in panel[i..].iter_mut().step_by(stride).zip(line(i)) {
            *place = value;
        }
    }
}
