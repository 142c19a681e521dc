//! Deep Graph Infomax (Veličković et al. 2019): a bilinear discriminator tells states from
//! corrupted ones by the summary of the graph.

use super::contract::*;
use super::inputs::*;
use super::logistic::{cross_entropies, sigmoid};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{self, Elementwise, elementwise, maps};

/// Rows a worker handles at a time.
const PIECE: usize = 128;

pub struct Infomax;

impl Loss for Infomax {
    const SPEC: &'static Spec = &Spec {
        name: "deep_graph_infomax",
        inputs: &[
            Input::required("states", Kind::Embeddings, &[2]),
            Input::required("corrupted", Kind::Embeddings, &[2]),
            Input::required("weight", Kind::Parameters, &[2]),
            Input::optional("summary", Kind::Parameters, &[1]),
        ],
        by_number: ByNumber::Rows,
        options: &[],
        reductions: Reduction::ALL,
    };

    fn parse(_: &Options<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        4 * inputs.values()
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let states = call.inputs.rows("states")?;
        let corrupted = call.inputs.floats("corrupted")?;
        corrupted.check_cols("corrupted", &call.inputs.floats("states")?, "states")?;
        let corrupted = corrupted.matrix()?;
        let cols = states.cols();
        let given = call.inputs.optional_floats("summary")?;
        let weight = call.inputs.floats("weight")?;
        let width = given.map_or(cols, |summary| summary.count());
        if weight.shape != [cols, width] {
            return Err(Error::invalid(
                "weight",
                format!(
                    "has shape {:?} but states of {cols} columns and a summary of {width} values \
                     need {:?}",
                    Shape(weight.shape),
                    Shape(&[cols, width])
                ),
            ));
        }
        let weight = weight.matrix()?;
        let summary = match given {
            Some(summary) => summary.data.iter().map(|x| x.wide()).collect(),
            None => mean_sigmoid(states, workers)?,
        };
        // The discriminator's h·W·s is h·v with one vector v for all states.
        let rows = weight.data().chunks_exact(width.max(1));
        let direction: Vec<f64> = rows
            .map(|row| row.iter().zip(&summary).map(|(w, s)| w.wide() * s).sum())
            .chain(std::iter::repeat(0.0))
            .take(cols)
            .collect();
        let count = states.rows() + corrupted.rows();
        let share = call.reduction.weight(count);
        let (mut items, real) = score(states, &direction, -1.0, workers)?;
        let (fake_items, fake) = score(corrupted, &direction, 1.0, workers)?;
        items.extend(fake_items);
        if let Some(mut gradients) = call.gradients.take() {
            let mut along = weighted_sum(states, &real, workers)?;
            let of_fake = weighted_sum(corrupted, &fake, workers)?;
            along
                .iter_mut()
                .zip(of_fake)
                .for_each(|(sum, part)| *sum = share * (*sum + part));
            let to_weight = gradients.take("weight");
            for (row, along) in to_weight.chunks_exact_mut(width.max(1)).zip(&along) {
                for (to, summary) in row.iter_mut().zip(&summary) {
                    *to = T::of(along * summary);
                }
            }
            let mut to_summary = vec![0.0; width];
            for (row, along) in weight.data().chunks_exact(width.max(1)).zip(&along) {
                for (to, weight) in to_summary.iter_mut().zip(row) {
                    *to += along * weight.wide();
                }
            }
            let through = if given.is_some() {
                let out = gradients.take("summary");
                out.iter_mut()
                    .zip(&to_summary)
                    .for_each(|(out, to)| *out = T::of(*to));
                vec![0.0; cols]
            } else {
                let each = 1.0 / states.rows().max(1) as f64;
                let pairs = to_summary.iter().zip(&summary);
                pairs.map(|(to, s)| each * to * s * (1.0 - s)).collect()
            };
            let send = |out: &mut [T], slopes: &[f64], offset: &[f64]| {
                workers.for_each_piece(out, PIECE * cols, |piece, out| {
                    let slopes = &slopes[piece * PIECE..];
                    for (row, slope) in out.chunks_exact_mut(cols).zip(slopes) {
                        let factor = share * slope;
                        elementwise(Line {
                            factor,
                            direction: &direction,
                            offset,
                            to: row,
                        });
                    }
                    Ok(())
                })
            };
            send(gradients.take("states"), &real, &through)?;
            send(gradients.take("corrupted"), &fake, &vec![0.0; cols])?;
        }
        Ok(Outcome {
            values: Values::Items(items),
            counted: count,
            active: count,
        })
    }
}

/// `factor · direction + offset`.
struct Line<'a, T> {
    factor: f64,
    direction: &'a [f64],
    offset: &'a [f64],
    to: &'a mut [T],
}

impl<T: Real> Elementwise for Line<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let pairs = self.direction.iter().zip(self.offset);
        for (to, (v, more)) in self.to.iter_mut().zip(pairs) {
            *to = T::of(self.factor * v + more);
        }
    }
}

/// Each row's `softplus(sign · h·v)` and its derivative to `h·v`.
fn score<T: Real>(
    rows: Matrix<'_, T>,
    direction: &[f64],
    sign: f64,
    workers: &Workers<'_>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let direction: Vec<T> = direction.iter().map(|&x| T::of(x)).collect();
    let kernels = simd::table::<T>();
    let parts = workers.map(rows.rows().div_ceil(PIECE), |piece| {
        let range = piece * PIECE..((piece + 1) * PIECE).min(rows.rows());
        let logit = |i| kernels.dot(rows.row(i), &direction).wide();
        let mut slopes: Vec<f64> = range.map(logit).collect();
        let mut values = vec![0.0; slopes.len()];
        let targets = vec![if sign < 0.0 { 1.0 } else { 0.0 }; slopes.len()];
        cross_entropies(1.0, 1.0, &targets, &mut slopes, &mut values);
        Ok((values, slopes))
    })?;
    let (values, slopes): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    Ok((values.concat(), slopes.concat()))
}

/// `Σᵢ factorᵢ · rowᵢ`, in an order that threads do not change.
fn weighted_sum<T: Real>(
    rows: Matrix<'_, T>,
    factors: &[f64],
    workers: &Workers<'_>,
) -> Result<Vec<f64>> {
    let cols = rows.cols();
    let parts = workers.map(rows.rows().div_ceil(PIECE), |piece| {
        let mut sums = vec![0.0; cols];
        let range = piece * PIECE..((piece + 1) * PIECE).min(rows.rows());
        for (i, factor) in range.clone().zip(&factors[range]) {
            maps::add_wide(*factor, rows.row(i), &mut sums);
        }
        Ok(sums)
    })?;
    let mut sums = vec![0.0; cols];
    for part in parts {
        sums.iter_mut()
            .zip(part)
            .for_each(|(sum, part)| *sum += part);
    }
    Ok(sums)
}

/// The summary of the paper: the logistic function of the mean state.
fn mean_sigmoid<T: Real>(states: Matrix<'_, T>, workers: &Workers<'_>) -> Result<Vec<f64>> {
    let each = vec![1.0 / states.rows().max(1) as f64; states.rows()];
    let means = weighted_sum(states, &each, workers)?;
    Ok(means.into_iter().map(sigmoid).collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Setup, check_gradient, normal};
    use super::*;

    fn setup(width: usize) -> Setup {
        Setup::new("deep_graph_infomax")
            .floats(normal(300 * 4, 1), &[300, 4])
            .floats(normal(7 * 4, 2), &[7, 4])
            .floats(normal(4 * width, 3), &[4, width])
    }

    #[test]
    fn gradients_equal_differences_with_and_without_a_given_summary() {
        check_gradient(&setup(4).absent());
        check_gradient(&setup(3).floats(normal(3, 4), &[3]));
    }

    #[test]
    fn the_summary_is_that_of_the_states() {
        let own = setup(4).absent().run(Reduction::None, 1).0;
        let states = setup(4);
        let rows = Matrix::new(states.data(0), 300, 4).unwrap();
        let summary = mean_sigmoid(rows, &Workers::serial()).unwrap();
        let given = setup(4).floats(summary, &[4]).run(Reduction::None, 1).0;
        assert_eq!(own.len(), 307);
        assert_eq!(own, given);
    }
}
