//! Softmax cross-entropy of pooled graphs against their class numbers.

use super::contract::*;
use super::inputs::*;
use super::labels::Labels;
use super::linear::{Linear, LinearGradients, values};
use super::pooling::{Graphs, Pooling};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;

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
