//! Lengths of pairs against wanted lengths.

use super::contract::*;
use super::pairs::{Edges, pull_differences};
use crate::error::Result;
use crate::metric::distance;
use crate::pool::Workers;
use crate::real::Real;

/// `weight (|zᵢ - zⱼ| - length)²` an item, with `wanted` telling length and weight. Where the
/// points coincide the distance has no derivative and the pair none either.
pub fn compare<T: Real>(
    mut call: Call<'_, T>,
    wanted: impl Fn(usize) -> (f64, f64) + Sync,
    workers: &Workers<'_>,
) -> Result<Outcome> {
    let edges = Edges::new(call.inputs, workers)?;
    let scored = edges.map(workers, |edge, a, b| {
        let distance = distance(a.values, b.values);
        let (length, weight) = wanted(edge);
        let excess = distance - length;
        let slope = if distance > 0.0 {
            2.0 * weight * excess / distance
        } else {
            0.0
        };
        (weight * excess * excess, slope)
    })?;
    if let Some(mut gradients) = call.gradients.take() {
        let share = call.reduction.weight(edges.len());
        let out = gradients.take("embeddings");
        pull_differences(&edges, |edge| share * scored[edge].1, out, workers)?;
    }
    Ok(Outcome {
        values: Values::Items(scored.iter().map(|scored| scored.0).collect()),
        counted: edges.len(),
        active: edges.len(),
    })
}
