//! Local contrastive loss of labelled edges (Hadsell, Chopra and LeCun 2006): with d the distance
//! of an edge's ends, `d²` where they are similar, else `max(0, margin - d)²`.

use super::contract::*;
use super::inputs::{Inputs, Shape};
use super::pairs::{Edges, pull_differences, work};
use crate::error::{Error, Result};
use crate::metric::distance;
use crate::pool::Workers;
use crate::real::Real;

pub struct LocalContrastive {
    margin: f64,
}

#[derive(Clone, Copy, Default)]
struct Scored {
    value: f64,
    /// What the difference of the ends is multiplied by in the gradient.
    slope: f64,
}

impl Loss for LocalContrastive {
    const SPEC: &'static Spec = &Spec {
        name: "local_contrastive",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::required("src", Kind::Indices, &[1]),
            Input::required("dst", Kind::Indices, &[1]),
            Input::required("similar", Kind::Mask, &[1]),
        ],
        by_number: ByNumber::Table,
        options: &[Setting::new("margin", Domain::Positive)],
        reductions: Reduction::ALL,
    };

    const FINDS_NAN: bool = true;

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            margin: options.real("margin")?,
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        work(inputs)
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let similar = call.inputs.optional_mask("similar")?;
        let similar = similar.ok_or_else(|| Error::invalid("similar", "is missing"))?;
        let edges = Edges::new(call.inputs, workers)?;
        if similar.count() != edges.len() {
            let problem = format!(
                "has shape {:?} but there are {} edges",
                Shape(similar.shape),
                edges.len()
            );
            return Err(Error::invalid("similar", problem));
        }
        let scored = edges.map(workers, |edge, a, b| {
            self.score(distance(a.values, b.values), similar.data[edge])
        })?;
        if let Some(mut gradients) = call.gradients.take() {
            let weight = call.reduction.weight(edges.len());
            let out = gradients.take("embeddings");
            pull_differences(&edges, |edge| weight * scored[edge].slope, out, workers)?;
        }
        let values: Vec<_> = scored.iter().map(|scored| scored.value).collect();
        Ok(Outcome {
            counted: values.len(),
            active: values.iter().filter(|value| **value > 0.0).count(),
            values: Values::Items(values),
        })
    }
}

impl LocalContrastive {
    fn score(&self, distance: f64, similar: bool) -> Scored {
        if similar {
            return Scored {
                value: distance * distance,
                slope: 2.0,
            };
        }
        let gap = (self.margin - distance).max(0.0);
        Scored {
            value: gap * gap,
            // Equal ends have no direction to part in.
            slope: if distance > 0.0 {
                -2.0 * gap / distance
            } else {
                0.0
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ends_cost_the_margin_and_stay() {
        let loss = LocalContrastive { margin: 1.5 };
        let apart = loss.score(0.0, false);
        assert_eq!((apart.value, apart.slope), (2.25, 0.0));
        let same = loss.score(0.0, true);
        assert_eq!(same.value, 0.0);
    }

    #[test]
    fn beyond_the_margin_nothing_is_asked() {
        let loss = LocalContrastive { margin: 1.5 };
        let far = loss.score(1.5, false);
        assert_eq!((far.value, far.slope.abs()), (0.0, 0.0));
        assert_eq!(loss.score(2.0, false).value, 0.0);
    }
}
