//! Softmax cross-entropy against class numbers, of nodes and of pooled graphs.

use super::contract::*;
use super::inputs::*;
use super::linear::{Linear, LinearGradients, values};
use super::pooling::{Graphs, Pooling};
use super::softmax::one_class;
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;

/// Logits of each node.
pub struct NodeClasses;

impl Loss for NodeClasses {
    const SPEC: &'static Spec = &Spec {
        name: "node_classification",
        inputs: &[
            Input::required("logits", Kind::Embeddings, &[2]),
            Input::required("labels", Kind::Indices, &[1]),
            Input::optional("class_weights", Kind::Floats, &[1]),
            Input::optional("mask", Kind::Mask, &[1]),
        ],
        by_number: ByNumber::Rows,
        options: &[],
        reductions: Reduction::ALL,
    };

    fn parse(_: &Options<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        8 * inputs.values()
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let logits = call.inputs.rows("logits")?;
        let labels = Labels::new(call.inputs, logits.rows(), logits.cols())?;
        let mut scratch = Vec::new();
        let slopes = match call.gradients.take() {
            Some(mut buffers) => {
                let out = buffers.take("logits");
                out.copy_from_slice(logits.data());
                out
            }
            None => {
                scratch.extend_from_slice(logits.data());
                &mut scratch[..]
            }
        };
        let head = labels.head(call.reduction);
        let items = values(slopes, logits.cols(), 0, head, workers)?;
        Ok(labels.outcome(items, call.reduction))
    }
}

/// Class numbers with their weights; those of weight 0 are left out.
struct Labels<'a> {
    classes: &'a [i64],
    weights: Vec<f64>,
    /// Sum of the weights, by which a mean divides.
    total: f64,
}

impl<'a> Labels<'a> {
    fn new<T: Real>(inputs: &Inputs<'a, T>, rows: usize, width: usize) -> Result<Self> {
        let labels = inputs.indices("labels")?;
        let count = |name, given: usize, wanted: usize, what: &str| {
            if given == wanted {
                return Ok(());
            }
            let problem = format!("has {given} entries but there are {wanted} {what}");
            Err(Error::invalid(name, problem))
        };
        count("labels", labels.count(), rows, "rows of logits")?;
        let outside = |&label: &i64| !(-1..width as i64).contains(&label);
        if let Some(at) = labels.data.iter().position(outside) {
            let problem = format!(
                "holds {} at position {at} but must be a class from 0 to {} or -1 for none",
                labels.data[at],
                width - 1
            );
            return Err(Error::invalid("labels", problem));
        }
        let by_class = inputs.optional_floats("class_weights")?;
        if let Some(weights) = by_class {
            count("class_weights", weights.count(), width, "classes")?;
            if let Some(at) = weights.data.iter().position(|&w| w < T::zero()) {
                let problem = format!("holds {} for class {at}, below 0", weights.data[at]);
                return Err(Error::invalid("class_weights", problem));
            }
        }
        // Not every loss of labels takes a mask.
        let mask = inputs.optional_mask("mask").unwrap_or_default();
        if let Some(mask) = mask {
            count("mask", mask.count(), rows, "rows of logits")?;
        }
        let weight = |(i, &label): (usize, &i64)| {
            if label < 0 || mask.is_some_and(|mask| !mask.data[i]) {
                return 0.0;
            }
            by_class.map_or(1.0, |weights| weights.data[label as usize].wide())
        };
        let weights: Vec<f64> = labels.data.iter().enumerate().map(weight).collect();
        Ok(Self {
            classes: labels.data,
            total: weights.iter().sum(),
            weights,
        })
    }

    fn share(&self, reduction: Reduction) -> f64 {
        match reduction {
            Reduction::Mean if self.total > 0.0 => 1.0 / self.total,
            _ => 1.0,
        }
    }

    /// The value of one row, whose logits become derivatives.
    fn head<T: Real>(&self, reduction: Reduction) -> impl Fn(usize, &mut [T]) -> f64 + Sync {
        let share = self.share(reduction);
        move |i, logits| {
            let weight = self.weights[i];
            if weight == 0.0 {
                logits.fill(T::zero());
                return 0.0;
            }
            weight * one_class(logits, self.classes[i] as usize, share * weight)
        }
    }

    fn outcome(&self, items: Vec<f64>, reduction: Reduction) -> Outcome {
        let values = match reduction {
            // Weights need not add up to a whole number, which `counted` is.
            Reduction::Mean => {
                Values::Total(items.iter().sum::<f64>() * self.share(Reduction::Mean))
            }
            _ => Values::Items(items),
        };
        Outcome {
            values,
            counted: 1,
            active: self.weights.iter().filter(|&&weight| weight > 0.0).count(),
        }
    }
}

/// Pooled nodes of each graph, and a linear layer where one is given.
pub struct GraphClasses {
    pooling: Pooling,
}

impl Loss for GraphClasses {
    const SPEC: &'static Spec = &Spec {
        name: "graph_classification",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::optional("weight", Kind::Parameters, &[2]),
            Input::optional("bias", Kind::Parameters, &[1]),
            Input::required("graphs", Kind::Indices, &[1]),
            Input::required("labels", Kind::Indices, &[1]),
            Input::optional("class_weights", Kind::Floats, &[1]),
        ],
        by_number: ByNumber::Rows,
        options: &[Setting::new("pooling", Domain::Choice(Pooling::NAMES))],
        reductions: Reduction::ALL,
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            pooling: Pooling::parse(options.text("pooling")?),
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let graphs = inputs.indices("labels").map_or(0, |array| array.count());
        let weight = match inputs.optional_floats("weight") {
            Ok(Some(weight)) => weight.data.len(),
            _ => 0,
        };
        2 * inputs.values() + graphs.saturating_mul(3 * weight)
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let embeddings = call.inputs.rows("embeddings")?;
        let cols = embeddings.cols();
        let count = call.inputs.indices("labels")?.count();
        let layer = match call.inputs.optional_floats("weight")? {
            Some(weight) => Some(Linear::new(call.inputs, weight, cols)?),
            None if call.inputs.optional_floats("bias")?.is_some() => {
                return Err(Error::invalid("bias", "needs a weight beside it"));
            }
            None => None,
        };
        let width = layer.as_ref().map_or(cols, |layer| layer.weight.cols());
        let labels = Labels::new(call.inputs, count, width)?;
        let index = call.inputs.indices("graphs")?;
        index.check_count("graphs", &call.inputs.floats("embeddings")?, "embeddings")?;
        let graphs = Graphs::new(index.data, count)?;
        let mut pooled = graphs.pool(self.pooling, embeddings, workers)?;
        let head = labels.head(call.reduction);
        let mut buffers = call.gradients.take();
        let items = match layer {
            None => values(&mut pooled, cols, 0, head, workers)?,
            Some(layer) => {
                let mut slopes = vec![T::zero(); if buffers.is_some() { pooled.len() } else { 0 }];
                let gradients = buffers.as_mut().map(|buffers| LinearGradients {
                    rows: &mut slopes,
                    weight: buffers.take("weight"),
                    bias: buffers.take("bias"),
                });
                let x = Matrix::new(&pooled, count, cols)?;
                let items = layer.run(x, gradients, head, workers)?;
                pooled = slopes;
                items
            }
        };
        if let Some(mut buffers) = buffers {
            let out = buffers.take("embeddings");
            graphs.spread(self.pooling, &pooled, embeddings, out, workers)?;
        }
        Ok(labels.outcome(items, call.reduction))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Setup, check_gradient, normal};

    #[test]
    fn node_gradients_equal_differences() {
        let labels = (0..40).map(|i| i % 4 - 1).collect();
        let setup = Setup::new("node_classification")
            .floats(normal(120, 1), &[40, 3])
            .indices(labels)
            .floats(vec![0.5, 2.0, 0.0], &[3])
            .absent();
        check_gradient(&setup);
    }

    #[test]
    fn graph_gradients_equal_differences_for_every_pooling() {
        for pooling in ["mean", "sum", "max"] {
            let start = || Setup::new("graph_classification").floats(normal(60, 1), &[20, 3]);
            // Graph 2 has no nodes.
            let index = || (0..20).map(|i| [0, 3, 1][i % 3]).collect::<Vec<i64>>();
            let plain = start().absent().absent().indices(index());
            let plain = plain.indices(vec![0, 2, 1, -1]).absent();
            check_gradient(&plain.text("pooling", pooling));
            let layered = start()
                .floats(normal(6, 2), &[3, 2])
                .floats(normal(2, 3), &[2])
                .indices(index());
            let layered = layered.indices(vec![0, 1, 1, 0]);
            let layered = layered.floats(vec![1.0, 3.0], &[2]);
            check_gradient(&layered.text("pooling", pooling));
        }
    }
}
