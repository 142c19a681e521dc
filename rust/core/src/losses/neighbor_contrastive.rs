//! Neighbour contrastive loss: InfoNCE with a node's neighbours as positives and other nodes, drawn
//! without replacement, as negatives.

use std::collections::HashSet;

use super::contract::*;
use super::head::Form;
use super::infonce::table::{Batch, Numbers, Starts, run};
use super::infonce::{InfoNce, Present};
use super::inputs::{Array, Inputs};
use crate::batch::check_indices;
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;
use crate::rng::Stream;

/// Nodes a worker handles at a time.
const PIECE: usize = 64;

/// Draws up to which a sorted list tells repeats sooner than a table of hashes.
const FEW: usize = 128;

pub struct NeighborContrastive {
    loss: InfoNce,
    num_negatives: usize,
    seed: u64,
}

impl Loss for NeighborContrastive {
    const SPEC: &'static Spec = &Spec {
        name: "neighbor_contrastive",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::required("indptr", Kind::Indices, &[1]),
            Input::required("indices", Kind::Indices, &[1]),
            Input::optional("nodes", Kind::Indices, &[1]),
        ],
        by_number: ByNumber::Table,
        options: &[
            Setting::new("temperature", Domain::Positive),
            Setting::new("positives", Domain::Choice(Form::NAMES)),
            Setting::new("num_negatives", Domain::Integer(0)),
            Setting::new("seed", Domain::Integer(0)),
        ],
        reductions: Reduction::ALL,
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        let form = Form::parse(options.text("positives")?);
        Ok(Self {
            loss: InfoNce::new(options.real("temperature")?, form),
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
        let table = call.inputs.rows("embeddings")?;
        let total = table.rows();
        if i32::try_from(total).is_err() {
            let problem = format!("has {total} rows but fewer than 2³¹ are possible");
            return Err(Error::invalid("embeddings", problem));
        }
        let neighbors = Neighbors::new(call.inputs, total)?;
        let nodes: Vec<i64> = match call.inputs.optional_indices("nodes")? {
            None => (0..total as i64).collect(),
            Some(nodes) => {
                check_indices(nodes.data, total, "nodes")?;
                nodes.data.to_vec()
            }
        };
        let lists = workers.map(nodes.len().div_ceil(PIECE), |piece| {
            let mut lists = [List::default(), List::default()];
            for &node in &nodes[piece * PIECE..nodes.len().min((piece + 1) * PIECE)] {
                self.list(node as usize, total, &neighbors, &mut lists);
            }
            Ok(lists)
        })?;
        let mut whole = [List::start(), List::start()];
        for part in lists {
            whole
                .iter_mut()
                .zip(part)
                .for_each(|(to, part)| to.append(part));
        }
        let [positives, negatives] = whole.each_ref().map(List::numbers);
        let batch = Batch {
            table,
            anchors: &nodes,
            positives,
            negatives,
            present: Present::All,
        };
        let mut gradients = call.gradients.take();
        let out = gradients.as_mut().map(|all| all.take("embeddings"));
        run(&self.loss, &batch, call.reduction, out, workers)
    }
}

/// Some of each node's partners.
#[derive(Default)]
struct List {
    rows: Vec<i64>,
    /// Where each node's partners end; in the whole list after a 0.
    ends: Vec<usize>,
}

impl List {
    fn start() -> Self {
        Self {
            rows: Vec::new(),
            ends: vec![0],
        }
    }

    fn push(&mut self, partners: &[u32]) {
        self.rows.extend(partners.iter().map(|&row| i64::from(row)));
        self.ends.push(self.rows.len());
    }

    fn append(&mut self, part: Self) {
        let before = self.rows.len();
        self.rows.extend(part.rows);
        self.ends.extend(part.ends.iter().map(|end| before + end));
    }

    fn numbers(&self) -> Numbers<'_> {
        Numbers {
            rows: &self.rows,
            starts: Starts::At(&self.ends),
        }
    }
}

impl NeighborContrastive {
    /// Appends the node's positives and negatives; none for a node without neighbours.
    fn list(
        &self,
        node: usize,
        total: usize,
        neighbors: &Neighbors<'_>,
        [positives, negatives]: &mut [List; 2],
    ) {
        let near = neighbors.of(node);
        positives.push(&near);
        if near.is_empty() {
            return negatives.push(&[]);
        }
        // Keyed by the node: its negatives do not depend on which others are in the batch.
        let mut stream = Stream::new(self.seed, node as u64);
        let wanted = self.num_negatives;
        negatives.push(&draw_others(&mut stream, total, node as u32, &near, wanted));
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
        let tries = available - wanted..available;
        let mut draw = |last: usize| (stream.below(last as u64 + 1) as u32, last as u32);
        if wanted <= FEW {
            let mut drawn = Vec::with_capacity(wanted);
            for (rank, last) in tries.map(draw) {
                match drawn.binary_search(&rank) {
                    Ok(_) => drawn.push(last), // the largest so far
                    Err(place) => drawn.insert(place, rank),
                }
            }
            drawn
        } else {
            let mut drawn = HashSet::with_capacity(wanted);
            for (rank, last) in tries.map(&mut draw) {
                if !drawn.insert(rank) {
                    drawn.insert(last);
                }
            }
            let mut drawn: Vec<u32> = drawn.into_iter().collect();
            drawn.sort_unstable();
            drawn
        }
    };
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
    fn few_and_many_draws_are_drawn_alike() {
        // Floyd's draw written down once more, without regard to speed.
        for wanted in [1, FEW, FEW + 1, 400] {
            let (mut ours, mut theirs) = (Stream::new(1, 2), Stream::new(1, 2));
            let drawn = draw_others(&mut ours, 1001, 1000, &[], wanted);
            let mut want = std::collections::BTreeSet::new();
            for last in 1000 - wanted as u32..1000 {
                let rank = theirs.below(u64::from(last) + 1) as u32;
                let taken = !want.insert(rank);
                assert!(!taken || want.insert(last));
            }
            assert_eq!(drawn, want.into_iter().collect::<Vec<_>>());
        }
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
