//! A linear layer under a loss: logits a block of rows at a time, gradients back to rows, weight
//! and bias, without the logits of all rows.

use super::inputs::*;
use crate::error::{Error, Result};
use crate::linalg::gemm::{Strided, gemm_parallel};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;

/// Rows whose logits are there together.
const BLOCK: usize = 1024;

/// Rows a worker handles at a time.
const PIECE: usize = 16;

/// `x · weight + bias`.
pub struct Linear<'a, T> {
    pub weight: Matrix<'a, T>,
    pub bias: Option<&'a [T]>,
}

/// Where the gradients go.
pub struct LinearGradients<'a, T> {
    pub rows: &'a mut [T],
    pub weight: &'a mut [T],
    pub bias: &'a mut [T],
}

impl<'a, T: Real> Linear<'a, T> {
    /// The inputs `weight` and `bias`, for rows of `cols` columns.
    pub fn new(inputs: &Inputs<'a, T>, weight: Array<'a, T>, cols: usize) -> Result<Self> {
        if weight.count() != cols || weight.cols() == 0 {
            return Err(Error::invalid(
                "weight",
                format!(
                    "has shape {:?} but must have {cols} rows, one a column of the embeddings, \
                     and at least one column",
                    Shape(weight.shape)
                ),
            ));
        }
        let bias = inputs.optional_floats("bias")?;
        if let Some(bias) = bias
            && bias.count() != weight.cols()
        {
            return Err(Error::invalid(
                "bias",
                format!(
                    "has shape {:?} but weight has {} columns",
                    Shape(bias.shape),
                    weight.cols()
                ),
            ));
        }
        Ok(Self {
            weight: weight.matrix()?,
            bias: bias.map(|bias| bias.data),
        })
    }

    /// Each row's value by `head`, which replaces the row's logits by the loss's derivatives to
    /// them; with gradients where wanted.
    pub fn run(
        &self,
        x: Matrix<'_, T>,
        mut gradients: Option<LinearGradients<'_, T>>,
        head: impl Fn(usize, &mut [T]) -> f64 + Sync,
        workers: &Workers<'_>,
    ) -> Result<Vec<f64>> {
        let (cols, width) = (x.cols(), self.weight.cols());
        let weight = Strided::rows(self.weight.data(), cols, width);
        let mut logits = vec![T::zero(); BLOCK.min(x.rows()) * width];
        let mut items = Vec::with_capacity(x.rows());
        let mut bias = vec![0.0; width];
        if let Some(to) = &mut gradients {
            to.weight.fill(T::zero());
        }
        for start in (0..x.rows()).step_by(BLOCK) {
            let block = x.slice(start, (start + BLOCK).min(x.rows()));
            let rows = Strided::rows(block.data(), block.rows(), cols);
            let logits = &mut logits[..block.rows() * width];
            match self.bias {
                None => logits.fill(T::zero()),
                Some(bias) => logits
                    .chunks_exact_mut(width)
                    .for_each(|row| row.copy_from_slice(bias)),
            }
            gemm_parallel(workers, T::one(), rows, weight, T::one(), logits)?;
            items.extend(values(logits, width, start, &head, workers)?);
            if let Some(to) = &mut gradients {
                let slopes = Strided::rows(logits, block.rows(), width);
                let part = &mut to.rows[start * cols..(start + block.rows()) * cols];
                gemm_parallel(
                    workers,
                    T::one(),
                    slopes,
                    weight.transposed(),
                    T::zero(),
                    part,
                )?;
                gemm_parallel(
                    workers,
                    T::one(),
                    rows.transposed(),
                    slopes,
                    T::one(),
                    to.weight,
                )?;
                for row in logits.chunks_exact(width) {
                    bias.iter_mut()
                        .zip(row)
                        .for_each(|(sum, slope)| *sum += slope.wide());
                }
            }
        }
        if let Some(to) = &mut gradients {
            to.bias
                .iter_mut()
                .zip(bias)
                .for_each(|(to, sum)| *to = T::of(sum));
        }
        Ok(items)
    }
}

/// `head` of each row of `logits`, whose derivatives go to `out` where they are wanted.
pub fn values_of<T: Real>(
    logits: Matrix<'_, T>,
    out: Option<&mut [T]>,
    head: impl Fn(usize, &mut [T]) -> f64 + Sync,
    workers: &Workers<'_>,
) -> Result<Vec<f64>> {
    if let Some(out) = out {
        let head = |i, row: &mut [T]| {
            row.copy_from_slice(logits.row(i));
            head(i, row)
        };
        return values(out, logits.cols(), 0, head, workers);
    }
    let mut items = vec![0.0; logits.rows()];
    workers.for_each_piece(&mut items, PIECE, |piece, items| {
        let mut row = Vec::with_capacity(logits.cols());
        for (k, item) in items.iter_mut().enumerate() {
            let i = piece * PIECE + k;
            row.clear();
            row.extend_from_slice(logits.row(i));
            *item = head(i, &mut row);
        }
        Ok(())
    })?;
    Ok(items)
}

/// `head` of each row of `logits`, the first of which has number `start`.
pub fn values<T: Real>(
    logits: &mut [T],
    width: usize,
    start: usize,
    head: impl Fn(usize, &mut [T]) -> f64 + Sync,
    workers: &Workers<'_>,
) -> Result<Vec<f64>> {
    let mut rows: Vec<(f64, &mut [T])> = logits
        .chunks_exact_mut(width)
        .map(|row| (0.0, row))
        .collect();
    workers.for_each_piece(&mut rows, PIECE, |piece, rows| {
        for (k, (value, row)) in rows.iter_mut().enumerate() {
            *value = head(start + piece * PIECE + k, row);
        }
        Ok(())
    })?;
    Ok(rows.into_iter().map(|(value, _)| value).collect())
}
