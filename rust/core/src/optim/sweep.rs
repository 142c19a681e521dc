//! Passes over buffers in pieces that fit a core's cache, whatever the number of threads.

use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::maps::all_finite;
use crate::simd::{Elementwise, elementwise};

/// Values of a piece: long against the cost of handing it out, short against the cache.
pub(super) const PIECE: usize = 1 << 14;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Values of a parameter before the first one that begins a cache line.
pub(super) fn head<T>(weights: &[T]) -> usize {
    weights.as_ptr().align_offset(LINE).min(weights.len())
}

/// The values before `head`, then pieces of the others.
///
/// A step runs at the speed of memory only if its vectors do not lie across two cache lines: a
/// tenth slower else. NumPy's arrays begin 16 bytes into one.
pub(super) fn pieces<T>(values: &[T], head: usize) -> impl Iterator<Item = &[T]> {
    let (head, rest) = values.split_at(head);
    std::iter::once(head).chain(rest.chunks(PIECE))
}

/// As [`pieces`], to write to.
pub(super) fn pieces_mut<T>(values: &mut [T], head: usize) -> impl Iterator<Item = &mut [T]> {
    let (head, rest) = values.split_at_mut(head);
    std::iter::once(head).chain(rest.chunks_mut(PIECE))
}

/// Calls `update` for every piece, on all threads and to the end.
pub(super) fn sweep<P: Send>(
    workers: &Workers<'_>,
    mut pieces: Vec<P>,
    update: impl Fn(&mut P) + Sync,
) -> Result<()> {
    Workers::of(workers.threads()).for_each_piece(&mut pieces, 1, |_, pieces| {
        pieces.iter_mut().for_each(&update);
        Ok(())
    })
}

/// Fails unless a parameter's arrays are as long as its weights.
pub(super) fn check_lengths(weights: usize, others: &[usize]) -> Result<()> {
    match others.iter().find(|&&length| length != weights) {
        Some(length) => Err(Error::invalid(
            "gradients",
            format!("or state have {length} values but the parameter has {weights}"),
        )),
        None => Ok(()),
    }
}

/// The first position whose value is NaN or infinite.
pub fn first_not_finite<T: Real>(workers: &Workers<'_>, data: &[T]) -> Result<Option<usize>> {
    let found = workers.map(data.len().div_ceil(PIECE), |i| {
        let start = i * PIECE;
        let piece = &data[start..data.len().min(start + PIECE)];
        if all_finite(piece) {
            return Ok(None);
        }
        Ok(piece
            .iter()
            .position(|x| !x.is_finite())
            .map(|at| start + at))
    })?;
    Ok(found.into_iter().flatten().next())
}

struct SquaredNorm<'a, T>(&'a [T]);

impl<T: Real> Elementwise for SquaredNorm<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        const LANES: usize = 16;
        let mut sums = [0.0; LANES];
        let (blocks, rest) = self.0.as_chunks::<LANES>();
        for block in blocks {
            for (sum, x) in sums.iter_mut().zip(block) {
                *sum += x.wide() * x.wide();
            }
        }
        let head: f64 = sums.iter().sum();
        rest.iter().fold(head, |sum, x| sum + x.wide() * x.wide())
    }
}

/// Σ xᵢ², added in `f64`.
pub fn squared_norm<T: Real>(workers: &Workers<'_>, data: &[T]) -> Result<f64> {
    let sums = workers.map(data.len().div_ceil(PIECE), |i| {
        let start = i * PIECE;
        let piece = &data[start..data.len().min(start + PIECE)];
        Ok(elementwise(SquaredNorm(piece)))
    })?;
    Ok(sums.into_iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_value_is_found_in_any_piece() {
        let mut data = vec![1.0f32; 3 * PIECE + 7];
        assert_eq!(first_not_finite(&Workers::of(2), &data).unwrap(), None);
        data[3 * PIECE + 5] = f32::NAN;
        data[2 * PIECE + 1] = f32::INFINITY;
        assert_eq!(
            first_not_finite(&Workers::of(2), &data).unwrap(),
            Some(2 * PIECE + 1)
        );
    }

    #[test]
    fn norms_of_large_f32_values_do_not_overflow() {
        let data = vec![1e30f32; PIECE + 3];
        let got = squared_norm(&Workers::serial(), &data).unwrap();
        let want = f64::from(1e30f32).powi(2) * data.len() as f64;
        assert!((got / want - 1.0).abs() < 1e-12);
    }
}
