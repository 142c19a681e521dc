//! Link prediction: binary cross-entropy of node pairs on `scale · s + bias`, where s is their
//! cosine or dot product.

use super::contract::*;
use super::pairs::{Edges, Pull, pull_cosines, pull_dots};
use crate::error::{Error, Result};
use crate::metric::dot;
use crate::pool::Workers;
use crate::real::Real;

use super::inputs::Inputs;

pub struct LinkPrediction {
    is_cosine: bool,
    scale: f64,
    bias: f64,
}

#[derive(Clone, Copy, Default)]
struct Scored {
    value: f64,
    similarity: f64,
    /// The loss's derivative to the similarity.
    slope: f64,
}

impl Loss for LinkPrediction {
    const SPEC: &'static Spec = &Spec {
        name: "link_prediction",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::required("src", Kind::Indices, &[1]),
            Input::required("dst", Kind::Indices, &[1]),
            Input::required("labels", Kind::Floats, &[1]),
        ],
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
        let probability = |label: &T| (0.0..=1.0).contains(&label.wide());
        if let Some(at) = labels.data.iter().position(|label| !probability(label)) {
            let problem = format!(
                "holds {} at position {at} but must be between 0 and 1",
                labels.data[at]
            );
            return Err(Error::invalid("labels", problem));
        }
        let edges = Edges::new(inputs, workers)?;
        let scored = edges.map(workers, |edge, a, b| {
            let similarity = if self.is_cosine {
                a.cosine(&b)
            } else {
                dot(&a, &b)
            };
            self.score(similarity, labels.data[edge].wide())
        })?;
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
                        cosine: scored[edge].similarity,
                        weight: weight * scored[edge].slope,
                    }
                };
                pull_cosines(&edges.rows, &edges.rows, 2 * count, pair, out, workers)?;
            } else {
                pull_dots(&edges, |edge| weight * scored[edge].slope, out, workers)?;
            }
        }
        Ok(Outcome {
            values: Values::Items(scored.iter().map(|scored| scored.value).collect()),
            counted: count,
            active: count,
        })
    }
}

impl LinkPrediction {
    fn score(&self, similarity: f64, label: f64) -> Scored {
        let logit = self.scale * similarity + self.bias;
        // Both terms are exact where they are small; softplus(x) - label · x is not.
        let value = part(label, softplus(-logit)) + part(1.0 - label, softplus(logit));
        // sigmoid(x) - label, by the sigmoid of whichever side does not cancel.
        let slope = (1.0 - label) * sigmoid(logit) - label * sigmoid(-logit);
        Scored {
            value,
            similarity,
            slope: self.scale * slope,
        }
    }
}

/// `share · value`, 0 for a share of 0 of whatever value.
fn part(share: f64, value: f64) -> f64 {
    if share == 0.0 { 0.0 } else { share * value }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let power = x.exp();
        power / (1.0 + power)
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
        let far = loss.score(-1000.0, 1.0);
        assert_eq!((far.value, far.slope), (1000.0, -1.0));
        let right = loss.score(50.0, 1.0);
        assert!((right.value / (-50f64).exp() - 1.0).abs() < 1e-12);
        assert!((right.slope / -(-50f64).exp() - 1.0).abs() < 1e-12);
        assert_eq!(loss.score(f64::INFINITY, 1.0).value, 0.0);
    }

    #[test]
    fn a_label_between_0_and_1_is_the_mixture_of_both() {
        let loss = LinkPrediction {
            is_cosine: true,
            scale: 3.0,
            bias: -0.5,
        };
        let (zero, half, one) = (
            loss.score(0.4, 0.0),
            loss.score(0.4, 0.5),
            loss.score(0.4, 1.0),
        );
        assert!((half.value - 0.5 * (zero.value + one.value)).abs() < 1e-15);
        assert!((half.slope - 0.5 * (zero.slope + one.slope)).abs() < 1e-15);
        assert!((zero.slope - one.slope - 3.0).abs() < 1e-15);
    }
}
