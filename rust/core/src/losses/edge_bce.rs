//! Binary cross-entropy of edges with logits from anywhere.

use super::contract::*;
use super::inputs::*;
use super::logistic::binary_cross_entropy;
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;

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
        let outside = |x: &T| !(0.0..=1.0).contains(&x.wide());
        if let Some(at) = labels.data.iter().position(outside) {
            let wrong = labels.data[at];
            let problem = format!("holds {wrong} at position {at} but must lie between 0 and 1");
            return Err(Error::invalid("labels", problem));
        }
        let mask = call.inputs.optional_mask("mask")?;
        if let Some(mask) = mask {
            mask.check_count("mask", &logits, "logits")?;
        }
        let counts = |i: usize| mask.is_none_or(|mask| mask.data[i]);
        let count = (0..logits.count()).filter(|&i| counts(i)).count();
        let pair = |i: usize| {
            if counts(i) {
                let (logit, label) = (logits.data[i].wide(), labels.data[i].wide());
                binary_cross_entropy(logit, label, self.pos_weight)
            } else {
                (0.0, 0.0)
            }
        };
        let mut items = vec![0.0; logits.count()];
        workers.for_each_piece(&mut items, PIECE, |piece, items| {
            for (k, item) in items.iter_mut().enumerate() {
                *item = pair(piece * PIECE + k).0;
            }
            Ok(())
        })?;
        if let Some(mut gradients) = call.gradients.take() {
            let share = call.reduction.weight(count);
            workers.for_each_piece(gradients.take("logits"), PIECE, |piece, out| {
                for (k, to) in out.iter_mut().enumerate() {
                    *to = T::of(share * pair(piece * PIECE + k).1);
                }
                Ok(())
            })?;
        }
        Ok(Outcome {
            values: Values::Items(items),
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
