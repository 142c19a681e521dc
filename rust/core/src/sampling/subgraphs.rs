//! Subgraphs induced by random nodes, edges or walks, and how often each node and edge is in one
//! (Zeng et al. 2020, GraphSAINT).

use std::sync::atomic::{AtomicU32, Ordering};

use super::block::{Places, Tables};
use super::draws::Draws;
use crate::batch::check_indices;
use crate::error::{Error, Result};
use crate::graph::csr::Csr;
use crate::pool::Workers;

const SUBGRAPHS: u8 = 34;
const COUNTED: u8 = 35;

/// How the nodes of a subgraph are drawn.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// By importance: sums that rise, one a node, each with all before it.
    Nodes(&'a [f64]),
    /// Both ends of edges, an edge with probability ∝ 1 / deg u + 1 / deg v: a uniform node of
    /// these, all of which have neighbours, and a uniform neighbour of it.
    Edges(&'a [i64]),
    /// From uniform roots among these nodes so many steps to uniform neighbours.
    Walks(&'a [i64], usize),
}

/// The subgraph of some nodes, rising, and which entries of the whole matrix it holds.
#[derive(Debug, Default, PartialEq)]
pub struct Subgraph {
    pub nodes: Vec<i64>,
    pub indptr: Vec<i64>,
    pub indices: Vec<i32>,
    pub entries: Vec<i64>,
}

/// How many of the counted subgraphs held each node, and each entry of the matrix.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub nodes: Vec<i64>,
    pub entries: Vec<i64>,
}

impl Kind<'_> {
    fn check(&self, graph: &Csr<'_, f32>) -> Result<()> {
        match *self {
            Self::Nodes(sums) if sums.len() != graph.rows() => {
                Err(Error::invalid("importance", "needs a sum for each node"))
            }
            Self::Nodes(_) => Ok(()),
            Self::Edges(nodes) | Self::Walks(nodes, _) => {
                check_indices(nodes, graph.rows(), "nodes")
            }
        }
    }

    /// `size` draws; rising, without repeats.
    fn draw(&self, graph: &Csr<'_, f32>, size: usize, draws: &mut Draws) -> Vec<i64> {
        let mut nodes = Vec::new();
        let step = |node: i64, draws: &mut Draws| {
            let columns = graph.columns(node as usize);
            (!columns.is_empty())
                .then(|| i64::from(columns[draws.below(columns.len() as u32) as usize]))
        };
        let start = |nodes: &[i64], draws: &mut Draws| {
            let count = nodes.len() as u64;
            (count > 0).then(|| nodes[draws.below_u64(count) as usize])
        };
        for _ in 0..size {
            match *self {
                Self::Nodes(sums) => {
                    let total = sums.last().copied().unwrap_or(0.0);
                    let at = draws.uniform() * total;
                    let place = sums.partition_point(|&sum| sum <= at);
                    if place < sums.len() {
                        nodes.push(place as i64);
                    }
                }
                Self::Edges(active) => {
                    if let Some(node) = start(active, draws) {
                        nodes.push(node);
                        nodes.extend(step(node, draws));
                    }
                }
                Self::Walks(roots, length) => {
                    let mut at = start(roots, draws);
                    nodes.extend(at);
                    for _ in 0..length {
                        at = at.and_then(|node| step(node, draws));
                        nodes.extend(at);
                    }
                }
            }
        }
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

/// Calls `take` with each entry between the nodes: its row, column and place in the matrix.
fn for_each_entry(
    graph: &Csr<'_, f32>,
    nodes: &[i64],
    places: &mut Places,
    mut take: impl FnMut(usize, u32, usize),
) {
    let (own, _) = places.distinct(nodes);
    for (row, &node) in own.iter().enumerate() {
        let begin = graph.indptr()[node as usize] as usize;
        for (k, &column) in graph.columns(node as usize).iter().enumerate() {
            if let Some(place) = places.get(column as u32) {
                take(row, place, begin + k);
            }
        }
    }
    places.clear(&own);
}

/// `count` subgraphs of `size` draws each; the first has the number `first`, and each depends on
/// the seed and its number alone.
pub fn subgraphs(
    workers: &Workers<'_>,
    graph: &Csr<'_, f32>,
    kind: Kind<'_>,
    size: usize,
    (first, count): (u64, usize),
    seed: u64,
) -> Result<Vec<Subgraph>> {
    kind.check(graph)?;
    let tables = Tables::new(graph.rows());
    workers.map(count, |i| {
        let mut draws = Draws::new(seed, SUBGRAPHS, first + i as u64);
        let nodes = kind.draw(graph, size, &mut draws);
        let mut subgraph = Subgraph::default();
        let mut lengths = vec![0i64; nodes.len() + 1];
        tables.with(|places| {
            for_each_entry(graph, &nodes, places, |row, column, entry| {
                lengths[row + 1] += 1;
                subgraph.indices.push(column as i32);
                subgraph.entries.push(entry as i64);
            });
        });
        for row in 0..nodes.len() {
            lengths[row + 1] += lengths[row];
        }
        subgraph.indptr = lengths;
        subgraph.nodes = nodes;
        Ok(subgraph)
    })
}

/// Draws `runs` subgraphs other than those of [`subgraphs`] and counts what is in them.
pub fn counts(
    workers: &Workers<'_>,
    graph: &Csr<'_, f32>,
    kind: Kind<'_>,
    size: usize,
    runs: usize,
    seed: u64,
) -> Result<Counts> {
    kind.check(graph)?;
    let zeros = |count| -> Vec<AtomicU32> { (0..count).map(|_| AtomicU32::new(0)).collect() };
    let (nodes, entries) = (zeros(graph.rows()), zeros(graph.entries()));
    let tables = Tables::new(graph.rows());
    workers.for_each(runs, |run| {
        let mut draws = Draws::new(seed, COUNTED, run as u64);
        let drawn = kind.draw(graph, size, &mut draws);
        for &node in &drawn {
            nodes[node as usize].fetch_add(1, Ordering::Relaxed);
        }
        tables.with(|places| {
            for_each_entry(graph, &drawn, places, |_, _, entry| {
                entries[entry].fetch_add(1, Ordering::Relaxed);
            });
        });
        Ok(())
    })?;
    let plain = |counts: Vec<AtomicU32>| {
        let values = counts
            .into_iter()
            .map(|count| i64::from(count.into_inner()));
        values.collect()
    };
    Ok(Counts {
        nodes: plain(nodes),
        entries: plain(entries),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subgraph_holds_every_edge_between_its_nodes() {
        // A triangle 0 1 2 with a tail 2 - 3 and node 4 alone.
        let indptr = [0, 2, 4, 7, 8, 8];
        let indices = [1, 2, 0, 2, 0, 1, 3, 2];
        let graph = Csr::new(&indptr, &indices, None, 5).unwrap();
        let all = [0, 1, 2, 3, 4];
        for kind in [
            Kind::Nodes(&[1.0, 2.0, 3.0, 4.0, 5.0]),
            Kind::Edges(&all[..4]),
            Kind::Walks(&all, 2),
        ] {
            let draw =
                |threads| subgraphs(&Workers::of(threads), &graph, kind, 2, (0, 50), 3).unwrap();
            let drawn = draw(1);
            assert_eq!(drawn, draw(2));
            for subgraph in drawn {
                let nodes = &subgraph.nodes;
                assert!(nodes.windows(2).all(|pair| pair[0] < pair[1]));
                for (row, &node) in nodes.iter().enumerate() {
                    let own = subgraph.indptr[row] as usize..subgraph.indptr[row + 1] as usize;
                    let found: Vec<_> = subgraph.indices[own.clone()]
                        .iter()
                        .map(|&c| nodes[c as usize])
                        .collect();
                    let expected: Vec<_> = graph
                        .columns(node as usize)
                        .iter()
                        .map(|&c| i64::from(c))
                        .filter(|c| nodes.contains(c))
                        .collect();
                    assert_eq!(found, expected);
                    for (&entry, &column) in subgraph.entries[own].iter().zip(&found) {
                        assert_eq!(i64::from(indices[entry as usize]), column);
                    }
                }
            }
            let count = |threads| counts(&Workers::of(threads), &graph, kind, 2, 100, 3).unwrap();
            assert_eq!(count(1), count(2));
        }
    }
}
