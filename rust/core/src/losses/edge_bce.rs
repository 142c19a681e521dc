//! Binary cross-entropy of edges with logits from anywhere.

use super::contract::*;
use super::inputs::*;
use super::logistic::{check_probabilities, cross_entropies, cross_entropy_values};
use crate::error::Result;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::maps;

/// Edges a worker handles at a time.
const PIECE: usize = 4096;

pub struct EdgeBce {
    pos_weight: f64,
}

impl Loss for EdgeBce {
    const SPEC: &'static Spec = &Spec {
        name: "edge_bce",
        inputs: &[
            Input::required("logits", Kind::Embeddings, &[1]),
            Input::required("labels", Kind::Floats, &[1]),
            Input::optional("mask", Kind::Mask, &[1]),
        ],
        by_number: ByNumber::Never(
            "its logits are single numbers; link_prediction takes embeddings and numbers of rows",
        ),
        options: &[Setting::new("pos_weight", Domain::Positive)],
        reductions: Reduction::ALL,
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            pos_weight: options.real("pos_weight")?,
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        16 * inputs.values()
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let logits = call.inputs.floats("logits")?;
        let labels = call.inputs.floats("labels")?;
        labels.check_count("labels", &logits, "logits")?;
        check_probabilities(labels.data, "labels")?;
        let mask = call.inputs.optional_mask("mask")?;
        if let Some(mask) = mask {
            mask.check_count("mask", &logits, "logits")?;
        }
        let mask = mask.map(|mask| mask.data);
        let (logits, labels) = (logits.data, labels.data);
        let count = mask.map_or(logits.len(), |mask| mask.iter().filter(|&&on| on).count());
        let share = call.reduction.weight(count);
        let wants_items = call.reduction == Reduction::None;
        let mut gradients = call.gradients.take();
        let mut rest = gradients.as_mut().map(|all| all.take("logits"));
        let mut outs = (0..logits.len().div_ceil(PIECE)).map(|piece| {
            let size = PIECE.min(logits.len() - piece * PIECE);
            rest.as_mut().and_then(|rest| rest.split_off_mut(..size))
        });
        let mut pieces: Vec<_> = outs.by_ref().map(|out| (out, 0.0, Vec::new())).collect();
        workers.for_each_piece(&mut pieces, 1, |piece, pieces| {
            let mut values = Vec::new();
            for (out, total, items) in pieces {
                let range = piece * PIECE..logits.len().min((piece + 1) * PIECE);
                values.resize(range.len(), T::zero());
                let (logits, labels) = (&logits[range.clone()], &labels[range.clone()]);
                match out {
                    None => cross_entropy_values(self.pos_weight, labels, logits, &mut values),
                    Some(out) => {
                        out.copy_from_slice(logits);
                        cross_entropies(self.pos_weight, share, labels, out, &mut values);
                    }
                }
                if let Some(mask) = mask {
                    let blank = |to: &mut [T]| {
                        let places = mask[range.clone()].iter().zip(to);
                        places
                            .filter(|(on, _)| !**on)
                            .for_each(|(_, to)| *to = T::zero());
                    };
                    blank(&mut values);
                    if let Some(out) = out {
                        blank(out);
                    }
                }
                if wants_items {
                    items.extend(values.iter().map(|value| value.wide()));
                } else {
                    *total = maps::sum(&values);
                }
            }
            Ok(())
        })?;
        let values = if wants_items {
            Values::Items(pieces.into_iter().flat_map(|(_, _, items)| items).collect())
        } else {
            Values::Total(pieces.iter().map(|(_, total, _)| total).sum())
        };
        Ok(Outcome {
            values,
            counted: count,
            active: count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Setup, check_gradient, normal};

    #[test]
    fn gradients_equal_differences() {
        let setup = Setup::new("edge_bce")
            .floats(normal(9, 1), &[9])
            .floats(normal(9, 2).iter().map(|x| x.abs()).collect(), &[9])
            .absent();
        check_gradient(&setup.real("pos_weight", 3.0));
    }
}
