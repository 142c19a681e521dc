//! Rows brought to mean 0 and variance 1, then scaled and shifted (Ba, Kiros and Hinton 2016).

use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{Elementwise, elementwise};

/// Rows of one work item; sums over rows are rounded at these steps.
const ROWS: usize = 64;

/// Independent accumulators of a row's sums.
const LANES: usize = 8;

/// The sum in f64 of `of(values[k])`.
#[inline(always)]
fn sum(count: usize, of: impl Fn(usize) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let whole = count / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += of(start + lane);
        }
    }
    lanes.iter().sum::<f64>() + (whole..count).map(of).sum::<f64>()
}

struct Forward<'a, T> {
    x: &'a [T],
    scale: &'a [T],
    shift: &'a [T],
    eps: f64,
    y: &'a mut [T],
}

impl<T: Real> Elementwise for Forward<'_, T> {
    /// The row's mean and one over its deviation.
    type Output = [T; 2];

    #[inline(always)]
    fn run(self) -> [T; 2] {
        let (x, count) = (self.x, self.x.len());
        let mean = sum(count, |k| x[k].wide()) / count as f64;
        let variance = sum(count, |k| (x[k].wide() - mean).powi(2)) / count as f64;
        let inverse = T::of(1.0 / (variance + self.eps).sqrt());
        let mean = T::of(mean);
        let parameters = self.scale.iter().zip(self.shift);
        for ((y, &x), (&scale, &shift)) in self.y.iter_mut().zip(x).zip(parameters) {
            *y = (x - mean) * inverse * scale + shift;
        }
        [mean, inverse]
    }
}

struct Backward<'a, T> {
    x: &'a [T],
    scale: &'a [T],
    statistics: &'a [T],
    gradient: &'a [T],
    to_x: &'a mut [T],
    to_scale: &'a mut [f64],
    to_shift: &'a mut [f64],
}

impl<T: Real> Elementwise for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (x, g, scale, count) = (self.x, self.gradient, self.scale, self.x.len());
        let (mean, inverse) = (self.statistics[0], self.statistics[1]);
        let unit = |k: usize| (x[k] - mean) * inverse;
        let level = sum(count, |k| (g[k] * scale[k]).wide()) / count as f64;
        let along = sum(count, |k| (g[k] * scale[k] * unit(k)).wide()) / count as f64;
        let (level, along) = (T::of(level), T::of(along));
        for (k, to_x) in self.to_x.iter_mut().enumerate() {
            *to_x = inverse * (g[k] * scale[k] - level - unit(k) * along);
        }
        for (k, (to_scale, to_shift)) in self.to_scale.iter_mut().zip(self.to_shift).enumerate() {
            *to_scale += (g[k] * unit(k)).wide();
            *to_shift += g[k].wide();
        }
    }
}

fn check<T>(argument: &'static str, values: &[T], wanted: usize) -> Result<()> {
    if values.len() == wanted {
        return Ok(());
    }
    Err(Error::invalid(
        argument,
        format!("has {} values but {wanted} are needed", values.len()),
    ))
}

/// `y = (x - mean) / √(variance + eps) · scale + shift`, row by row with the biased variance.
///
/// `statistics` gets two values a row, its mean and one over its deviation, for
/// [`layer_norm_backward`].
pub fn layer_norm<T: Real>(
    workers: &Workers<'_>,
    x: Matrix<'_, T>,
    [scale, shift]: [&[T]; 2],
    eps: f64,
    y: &mut [T],
    statistics: &mut [T],
) -> Result<()> {
    let cols = x.cols();
    check("scale", scale, cols)?;
    check("shift", shift, cols)?;
    check("out", y, x.data().len())?;
    check("statistics", statistics, 2 * x.rows())?;
    if cols == 0 {
        return Ok(());
    }
    let mut items: Vec<_> = y
        .chunks_mut(ROWS * cols)
        .zip(statistics.chunks_mut(2 * ROWS))
        .collect();
    workers.for_each_piece(&mut items, 1, |number, items| {
        for (y, statistics) in items.iter_mut() {
            let rows = y.chunks_exact_mut(cols).zip(statistics.chunks_exact_mut(2));
            for (offset, (y, statistics)) in rows.enumerate() {
                let x = x.row(number * ROWS + offset);
                statistics.copy_from_slice(&elementwise(Forward {
                    x,
                    scale,
                    shift,
                    eps,
                    y,
                }));
            }
        }
        Ok(())
    })
}

/// The gradients of [`layer_norm`]'s `x`, `scale` and `shift`; the last two are added over rows in
/// fixed parts and in f64.
pub fn layer_norm_backward<T: Real>(
    workers: &Workers<'_>,
    x: Matrix<'_, T>,
    scale: &[T],
    statistics: &[T],
    gradient: Matrix<'_, T>,
    [to_x, to_scale, to_shift]: [&mut [T]; 3],
) -> Result<()> {
    let cols = x.cols();
    check("scale", scale, cols)?;
    check("statistics", statistics, 2 * x.rows())?;
    check("gradient", gradient.data(), x.data().len())?;
    check("to_x", to_x, x.data().len())?;
    check("to_scale", to_scale, cols)?;
    check("to_shift", to_shift, cols)?;
    if cols == 0 {
        return Ok(());
    }
    let mut items: Vec<_> = to_x
        .chunks_mut(ROWS * cols)
        .map(|to_x| (to_x, vec![0.0; 2 * cols]))
        .collect();
    workers.for_each_piece(&mut items, 1, |number, items| {
        for (to_x, sums) in items.iter_mut() {
            let (to_scale, to_shift) = sums.split_at_mut(cols);
            for (offset, to_x) in to_x.chunks_exact_mut(cols).enumerate() {
                let i = number * ROWS + offset;
                elementwise(Backward {
                    x: x.row(i),
                    scale,
                    statistics: &statistics[2 * i..2 * i + 2],
                    gradient: gradient.row(i),
                    to_x,
                    to_scale: &mut *to_scale,
                    to_shift: &mut *to_shift,
                });
            }
        }
        Ok(())
    })?;
    let mut totals = vec![0.0; 2 * cols];
    for (_, sums) in &items {
        totals
            .iter_mut()
            .zip(sums)
            .for_each(|(total, sum)| *total += sum);
    }
    for (k, (to_scale, to_shift)) in to_scale.iter_mut().zip(to_shift).enumerate() {
        *to_scale = T::of(totals[k]);
        *to_shift = T::of(totals[cols + k]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn random(count: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, 0);
        (0..count).map(|_| stream.uniform() - 0.3).collect()
    }

    fn value(x: &[f64], scale: &[f64], shift: &[f64], threads: usize) -> (Vec<f64>, Vec<f64>) {
        let (mut y, mut statistics) = (
            vec![f64::NAN; x.len()],
            vec![0.0; 2 * x.len() / scale.len()],
        );
        let matrix = Matrix::new(x, x.len() / scale.len(), scale.len()).unwrap();
        let workers = Workers::of(threads);
        layer_norm(
            &workers,
            matrix,
            [scale, shift],
            1e-5,
            &mut y,
            &mut statistics,
        )
        .unwrap();
        (y, statistics)
    }

    #[test]
    fn rows_get_mean_0_and_variance_1_and_gradients_equal_differences() {
        let (rows, cols) = (130, 11);
        let (x, g) = (random(rows * cols, 1), random(rows * cols, 2));
        let (scale, shift) = (random(cols, 3), random(cols, 4));
        let (y, statistics) = value(&x, &scale, &shift, 1);
        assert_eq!(
            (y.clone(), statistics.clone()),
            value(&x, &scale, &shift, 3)
        );
        for i in 0..rows {
            let unit: Vec<f64> = (0..cols)
                .map(|k| (y[i * cols + k] - shift[k]) / scale[k])
                .collect();
            let mean = unit.iter().sum::<f64>() / cols as f64;
            let variance = unit.iter().map(|u| u * u).sum::<f64>() / cols as f64;
            assert!(mean.abs() < 1e-10 && (variance - 1.0).abs() < 1e-3);
        }
        let back = |threads| {
            let (mut to_x, mut to_scale, mut to_shift) =
                (vec![0.0; rows * cols], vec![0.0; cols], vec![0.0; cols]);
            layer_norm_backward(
                &Workers::of(threads),
                Matrix::new(&x, rows, cols).unwrap(),
                &scale,
                &statistics,
                Matrix::new(&g, rows, cols).unwrap(),
                [&mut to_x, &mut to_scale, &mut to_shift],
            )
            .unwrap();
            [to_x, to_scale, to_shift]
        };
        let got = back(1);
        assert_eq!(got, back(3));
        let inputs = [x.clone(), scale.clone(), shift.clone()];
        for which in 0..3 {
            for k in (0..inputs[which].len()).step_by(7) {
                let moved = |step: f64| {
                    let mut inputs = inputs.clone();
                    inputs[which][k] += step;
                    let (y, _) = value(&inputs[0], &inputs[1], &inputs[2], 1);
                    y.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>()
                };
                let want = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((got[which][k] - want).abs() < 1e-6 * (1.0 + want.abs()));
            }
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let x = [1.0f32, 2.0];
        let x = Matrix::new(&x, 1, 2).unwrap();
        let run = |scale: &[f32]| {
            layer_norm(
                &Workers::serial(),
                x,
                [scale, &[0.0; 2]],
                1e-5,
                &mut [0.0; 2],
                &mut [0.0; 2],
            )
        };
        assert!(run(&[1.0]).is_err());
        assert!(run(&[1.0, 1.0]).is_ok());
    }
}
