//! Adjacency reconstruction over listed edges and non-edges (Kipf and Welling 2016): a pair's dot
//! product is the logit of an edge.

use super::contract::*;
use super::inputs::*;
use super::logistic::{sigmoid, softplus};
use super::pairs::{self, ends, pull_dots};
use crate::error::Result;
use crate::metric::dot;
use crate::pool::Workers;
use crate::real::Real;

/// Listed edges and non-edges.
pub struct ListedPairs {
    pos_weight: f64,
}

impl Loss for ListedPairs {
    const SPEC: &'static Spec = &Spec {
        name: "edge_reconstruction",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::required("src", Kind::Indices, &[1]),
            Input::required("dst", Kind::Indices, &[1]),
            Input::required("negative_src", Kind::Indices, &[1]),
            Input::required("negative_dst", Kind::Indices, &[1]),
        ],
        by_number: ByNumber::Table,
        options: &[Setting::new("pos_weight", Domain::Positive)],
        reductions: Reduction::ALL,
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            pos_weight: options.real("pos_weight")?,
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let cols = inputs.floats("embeddings").map_or(0, |array| array.cols());
        inputs.values().saturating_mul(cols)
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let [src, dst] = ends(call.inputs, ["src", "dst"])?;
        let [other_src, other_dst] = ends(call.inputs, ["negative_src", "negative_dst"])?;
        let (all_src, all_dst) = ([src, other_src].concat(), [dst, other_dst].concat());
        let edges = pairs::Edges::between(call.inputs, &all_src, &all_dst, workers)?;
        let scored = edges.map(workers, |edge, a, b| {
            let logit = dot(&a, &b);
            if edge < src.len() {
                let weight = self.pos_weight;
                (weight * softplus(-logit), -weight * sigmoid(-logit))
            } else {
                (softplus(logit), sigmoid(logit))
            }
        })?;
        if let Some(mut gradients) = call.gradients.take() {
            let weight = call.reduction.weight(edges.len());
            let out = gradients.take("embeddings");
            pull_dots(&edges, |edge| weight * scored[edge].1, out, workers)?;
        }
        let items: Vec<f64> = scored.iter().map(|scored| scored.0).collect();
        let count = items.len();
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
        let listed = Setup::new("edge_reconstruction")
            .floats(normal(40, 2), &[10, 4])
            .indices(vec![0, 1, 1, 9])
            .indices(vec![1, 2, 2, 9])
            .indices(vec![3, 0])
            .indices(vec![4, 9])
            .real("pos_weight", 0.5);
        check_gradient(&listed);
    }
}
