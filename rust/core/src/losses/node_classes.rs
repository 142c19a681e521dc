//! Softmax cross-entropy of each node's logits against its class number.

use super::contract::*;
use super::inputs::*;
use super::labels::Labels;
use super::linear::values_of;
use crate::error::Result;
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
        let mut gradients = call.gradients.take();
        let out = gradients.as_mut().map(|all| all.take("logits"));
        let head = labels.head(call.reduction);
        let items = values_of(logits, out, head, workers)?;
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
}
