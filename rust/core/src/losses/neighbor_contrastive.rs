//! Neighbour contrastive loss: InfoNCE with a node's neighbours as positives and other nodes, drawn
//! without replacement, as negatives.

use std::collections::HashSet;

use super::contract::*;
use super::head::{Form, Negatives, head};
use super::inputs::{Array, Inputs};
use super::pairs::{AHEAD, Pull, Rows, pull_cosines};
use crate::batch::check_indices;
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;
use crate::rng::Stream;

/// Nodes a worker handles at a time.
const PIECE: usize = 16;

pub struct NeighborContrastive {
    temperature: f64,
    form: Form,
    num_negatives: usize,
    seed: u64,
}

/// One node with one of its positives or negatives.
#[derive(Clone, Copy)]
struct Pair {
    node: u32,
    partner: u32,
    cosine: f64,
    /// The logit, later the loss's derivative to it.
    value: f64,
}

/// A node's loss; nothing for a node without neighbours.
type Item = Option<f64>;

impl Loss for NeighborContrastive {
    const SPEC: &'static Spec = &Spec {
        name: "neighbor_contrastive",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::required("indptr", Kind::Indices, &[1]),
            Input::required("indices", Kind::Indices, &[1]),
            Input::optional("nodes", Kind::Indices, &[1]),
        ],
        options: &[
            Setting::new("temperature", Domain::Positive),
            Setting::new("positives", Domain::Choice(Form::NAMES)),
            Setting::new("num_negatives", Domain::Integer(0)),
            Setting::new("seed", Domain::Integer(0)),
        ],
        reductions: Reduction::ALL,
    };

    const FINDS_NAN: bool = true;

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            temperature: options.real("temperature")?,
            form: Form::parse(options.text("positives")?),
            num_negatives: usize::try_from(options.integer("num_negatives")?).unwrap_or(usize::MAX),
            seed: options.integer("seed")?.unsigned_abs(),
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let edges = inputs.indices("indices").map_or(0, |array| array.count());
        let cols = inputs.floats("embeddings").map_or(0, |array| array.cols());
        inputs.values() + 4 * edges * cols
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let table = call.inputs.floats("embeddings")?;
        let neighbors = Neighbors::new(call.inputs, table.count())?;
        let nodes = call.inputs.optional_indices("nodes")?;
        if let Some(nodes) = nodes {
            check_indices(nodes.data, table.count(), "nodes")?;
        }
        let rows = Rows::new(table, "embeddings", workers)?;
        let count = nodes.map_or(table.count(), |nodes| nodes.count());
        let parts = workers.map(count.div_ceil(PIECE), |piece| {
            let mut pairs = Vec::new();
            let items: Vec<Item> = (piece * PIECE..count.min((piece + 1) * PIECE))
                .map(|i| nodes.map_or(i, |nodes| nodes.data[i] as usize))
                .map(|node| self.node(node, &neighbors, &rows, &mut pairs))
                .collect();
            Ok((items, pairs))
        })?;
        let items = parts.iter().flat_map(|(items, _)| items);
        let active = items.clone().flatten().count();
        let values = items.map(|item| item.unwrap_or_default()).collect();
        if let Some(mut gradients) = call.gradients.take() {
            let pairs: Vec<Pair> = parts.into_iter().flat_map(|(_, pairs)| pairs).collect();
            let weight = call.reduction.weight(active) / self.temperature;
            let pull = |k: usize| {
                let pair = pairs[k / 2];
                let (node, partner) = (pair.node as usize, pair.partner as usize);
                let (to, from) = if k.is_multiple_of(2) {
                    (node, partner)
                } else {
                    (partner, node)
                };
                Pull {
                    to,
                    from,
                    cosine: pair.cosine,
                    weight: weight * pair.value,
                }
            };
            let out = gradients.take("embeddings");
            pull_cosines(&rows, &rows, 2 * pairs.len(), pull, out, workers)?;
        }
        Ok(Outcome {
            values: Values::Items(values),
            counted: active,
            active,
        })
    }
}

impl NeighborContrastive {
    /// The node's loss; its pairs, with derivatives, are added to `pairs`.
    fn node<T: Real>(
        &self,
        node: usize,
        neighbors: &Neighbors<'_>,
        rows: &Rows<'_, T>,
        pairs: &mut Vec<Pair>,
    ) -> Item {
        let positives = neighbors.of(node);
        if positives.is_empty() {
            return None;
        }
        // Keyed by the node: its negatives do not depend on which others are in the batch.
        let mut stream = Stream::new(self.seed, node as u64);
        let total = rows.norms.len();
        let negatives = draw_others(
            &mut stream,
            total,
            node as u32,
            &positives,
            self.num_negatives,
        );
        let anchor = rows.row(node);
        let first = pairs.len();
        let partners = [positives.as_slice(), &negatives].concat();
        pairs.extend(partners.iter().enumerate().map(|(k, &partner)| {
            if let Some(&later) = partners.get(k + AHEAD) {
                rows.prefetch(later as usize);
            }
            let cosine = anchor.cosine(&rows.row(partner as usize));
            Pair {
                node: node as u32,
                partner,
                cosine,
                value: cosine / self.temperature,
            }
        }));
        let (positive, negative) = pairs[first..].split_at_mut(positives.len());
        let max = negative
            .iter()
            .map(|pair| pair.value)
            .fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        for pair in negative.iter_mut() {
            pair.value = (pair.value - max).exp();
            sum += pair.value;
        }
        let mut logits: Vec<f64> = positive.iter().map(|pair| pair.value).collect();
        let head = head(self.form, &mut logits, Negatives { max, sum });
        for (pair, derivative) in positive.iter_mut().zip(logits) {
            pair.value = derivative;
        }
        for pair in negative {
            pair.value *= head.spread;
        }
        Some(head.loss)
    }
}

/// Every node's neighbours, as CSR.
struct Neighbors<'a> {
    indptr: &'a [i64],
    indices: &'a [i64],
}

impl<'a> Neighbors<'a> {
    fn new<T: Real>(inputs: &Inputs<'a, T>, count: usize) -> Result<Self> {
        let indptr: Array<'_, i64> = inputs.indices("indptr")?;
        let indices = inputs.indices("indices")?;
        if indptr.count() != count + 1 {
            let problem = format!(
                "has {} entries but embeddings has {count} rows; it needs one entry more than that",
                indptr.count()
            );
            return Err(Error::invalid("indptr", problem));
        }
        let rises = indptr.data.windows(2).all(|pair| pair[0] <= pair[1]);
        let (first, last) = (indptr.data[0], indptr.data[count]);
        if !rises || first != 0 || usize::try_from(last) != Ok(indices.count()) {
            let problem = format!(
                "must rise from 0 to {}, the length of indices",
                indices.count()
            );
            return Err(Error::invalid("indptr", problem));
        }
        check_indices(indices.data, count, "indices")?;
        Ok(Self {
            indptr: indptr.data,
            indices: indices.data,
        })
    }

    /// The neighbours of `node`, rising, each once, without the node itself.
    fn of(&self, node: usize) -> Vec<u32> {
        let range = self.indptr[node] as usize..self.indptr[node + 1] as usize;
        let others = self.indices[range].iter().map(|&index| index as u32);
        let mut others: Vec<u32> = others.filter(|&other| other as usize != node).collect();
        others.sort_unstable();
        others.dedup();
        others
    }
}

/// Up to `wanted` of `0..total` that are neither `node` nor among `neighbors`, which rise; each set
/// equally likely, rising. All there are where those are fewer.
fn draw_others(
    stream: &mut Stream,
    total: usize,
    node: u32,
    neighbors: &[u32],
    wanted: usize,
) -> Vec<u32> {
    let available = total.saturating_sub(neighbors.len() + 1);
    let wanted = wanted.min(available);
    let mut ranks: Vec<u32> = if wanted == available {
        (0..available as u32).collect()
    } else {
        // Floyd's draw without replacement: never more tries than draws.
        let mut drawn = HashSet::with_capacity(wanted);
        for last in available - wanted..available {
            let rank = stream.below(last as u64 + 1) as u32;
            if !drawn.insert(rank) {
                drawn.insert(last as u32);
            }
        }
        drawn.into_iter().collect()
    };
    ranks.sort_unstable();
    // From the number among those allowed to the node: over all that are left out below it.
    let (below, above) = neighbors.split_at(neighbors.partition_point(|&other| other < node));
    let mut left_out = below.iter().chain([&node]).chain(above).copied().peekable();
    let mut skipped = 0;
    for rank in &mut ranks {
        while left_out.next_if(|&out| out <= *rank + skipped).is_some() {
            skipped += 1;
        }
        *rank += skipped;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_distinct_others_and_all_equally_likely() {
        let neighbors = [0, 3, 4, 9];
        let mut counts = [0u32; 12];
        for seed in 0..6_000 {
            let drawn = draw_others(&mut Stream::new(seed, 5), 12, 5, &neighbors, 3);
            assert_eq!(drawn.len(), 3);
            assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
            drawn.iter().for_each(|&other| counts[other as usize] += 1);
        }
        for out in [0, 3, 4, 5, 9] {
            assert_eq!(counts[out], 0);
        }
        let expected = 18_000.0 / 7.0;
        let chi2: f64 = [1, 2, 6, 7, 8, 10, 11]
            .map(|other: usize| (f64::from(counts[other]) - expected).powi(2) / expected)
            .iter()
            .sum();
        assert!(chi2 < 22.5, "chi-square {chi2} beyond the 0.999 quantile");
    }

    #[test]
    fn where_few_are_left_all_of_them_come() {
        let mut stream = Stream::new(0, 0);
        let mut draw =
            |node, neighbors: &[u32], wanted| draw_others(&mut stream, 6, node, neighbors, wanted);
        assert_eq!(draw(2, &[0, 3], 9), [1, 4, 5]);
        assert_eq!(draw(0, &[1, 2, 3, 4], 1), [5]);
        assert_eq!(draw(5, &[], 5), [0, 1, 2, 3, 4]);
        assert!(draw(5, &[0, 1, 2, 3, 4], 2).is_empty());
        assert!(draw(1, &[2], 0).is_empty());
    }
}
