//! Link prediction: binary cross-entropy of node pairs on `scale · s + bias`, where s is their
//! cosine or dot product.

use super::contract::*;
use super::logistic::{check_probabilities, cross_entropies};
use super::pairs::{Edges, Pull, pull_cosines, pull_dots};
use crate::error::Result;
use crate::metric::dot;
use crate::pool::Workers;
use crate::real::Real;

use super::inputs::Inputs;

pub struct LinkPrediction {
    is_cosine: bool,
    scale: f64,
    bias: f64,
}

/// Edges a worker handles at a time.
const PIECE: usize = 4096;

impl Loss for LinkPrediction {
    const SPEC: &'static Spec = &Spec {
        name: "link_prediction",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::required("src", Kind::Indices, &[1]),
            Input::required("dst", Kind::Indices, &[1]),
            Input::required("labels", Kind::Floats, &[1]),
        ],
        by_number: ByNumber::Table,
        options: &[
            Setting::new("similarity", Domain::Choice(&["dot", "cosine"])),
            Setting::new("scale", Domain::Positive),
            Setting::new("bias", Domain::Finite),
        ],
        reductions: Reduction::ALL,
    };

    const FINDS_NAN: bool = true;

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            is_cosine: options.text("similarity")? == "cosine",
            scale: options.real("scale")?,
            bias: options.real("bias")?,
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        super::pairs::work(inputs)
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let inputs = call.inputs;
        let labels = inputs.floats("labels")?;
        labels.check_count("labels", &inputs.indices("src")?, "src")?;
        check_probabilities(labels.data, "labels")?;
        let edges = Edges::new(inputs, workers)?;
        let similarities = edges.map(workers, |_, a, b| {
            if self.is_cosine {
                a.cosine(&b)
            } else {
                dot(&a, &b)
            }
        })?;
        let (values, slopes) = self.scores(&similarities, labels.data, workers)?;
        let count = edges.len();
        if let Some(mut gradients) = call.gradients.take() {
            let out = gradients.take("embeddings");
            let weight = call.reduction.weight(count);
            if self.is_cosine {
                let pair = |k: usize| {
                    let (edge, to, from) = edges.directed(k);
                    Pull {
                        to,
                        from,
                        cosine: similarities[edge],
                        weight: weight * slopes[edge],
                    }
                };
                pull_cosines(&edges.rows, &edges.rows, 2 * count, pair, out, workers)?;
            } else {
                pull_dots(&edges, |edge| weight * slopes[edge], out, workers)?;
            }
        }
        Ok(Outcome {
            values: Values::Items(values),
            counted: count,
            active: count,
        })
    }
}

impl LinkPrediction {
    /// Values, and the derivatives to the similarities.
    fn scores<T: Real>(
        &self,
        similarities: &[f64],
        labels: &[T],
        workers: &Workers<'_>,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let logit = |similarity| self.scale * similarity + self.bias;
        let mut slopes: Vec<f64> = similarities.iter().copied().map(logit).collect();
        let mut values = vec![0.0; slopes.len()];
        let pieces = values.chunks_mut(PIECE).zip(slopes.chunks_mut(PIECE));
        let mut pieces: Vec<_> = pieces.zip(labels.chunks(PIECE)).collect();
        workers.for_each_piece(&mut pieces, 1, |_, pieces| {
            for ((values, slopes), labels) in pieces {
                let labels: Vec<f64> = labels.iter().map(|label| label.wide()).collect();
                cross_entropies(1.0, self.scale, &labels, slopes, values);
            }
            Ok(())
        })?;
        Ok((values, slopes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_logits_neither_saturate_nor_overflow() {
        let loss = LinkPrediction {
            is_cosine: false,
            scale: 1.0,
            bias: 0.0,
        };
        let similarities = [-1000.0, 50.0, f64::INFINITY];
        let workers = Workers::serial();
        let (values, slopes) = loss.scores(&similarities, &[1.0; 3], &workers).unwrap();
        assert_eq!((values[0], slopes[0]), (1000.0, -1.0));
        assert!((values[1] / (-50f64).exp() - 1.0).abs() < 1e-12);
        assert!((slopes[1] / -(-50f64).exp() - 1.0).abs() < 1e-12);
        assert_eq!(values[2], 0.0);
    }

    #[test]
    fn a_label_between_0_and_1_is_the_mixture_of_both() {
        let loss = LinkPrediction {
            is_cosine: true,
            scale: 3.0,
            bias: -0.5,
        };
        let labels = [0.0, 0.5, 1.0];
        let (values, slopes) = loss.scores(&[0.4; 3], &labels, &Workers::of(2)).unwrap();
        assert!((values[1] - 0.5 * (values[0] + values[2])).abs() < 1e-15);
        assert!((slopes[1] - 0.5 * (slopes[0] + slopes[2])).abs() < 1e-15);
        assert!((slopes[0] - slopes[2] - 3.0).abs() < 1e-15);
    }
}
