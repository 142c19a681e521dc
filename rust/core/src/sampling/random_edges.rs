//! Uniform pairs of nodes that are no edge, without repeats.
//!
//! Three ways, by how many of the pairs would do. A few pairs are tried one after the other. Many
//! are drawn bucket by bucket (see [`super::spread`]), so that edges and earlier draws are looked
//! up in the cache. Where edges are dense, the pairs without one are counted through instead: this
//! takes as long for the last free pair of a complete graph as for any other.

use std::collections::HashSet;

use super::draws::Draws;
use super::members::{holds, loops};
use super::pairs::Pairs;
use super::spread;
use crate::error::{Error, Result};
use crate::graph::csr::Csr;
use crate::pool::Workers;

/// Fewer pairs than this are tried one by one.
const FEW: u64 = 4096;

/// Up to so many pairs may be tried one by one where the edges are dense.
const MANY: u64 = 1 << 16;

const TRIES: u8 = 1;
const RANKS: u8 = 2;

/// Pairs, two numbers each, and how many more were asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RandomEdges {
    pub pairs: Vec<i64>,
    pub missing: u64,
}

/// Whose pairs are drawn, and how many.
#[derive(Clone, Copy)]
pub(super) struct Task<'a, 'b> {
    pub graph: &'b Csr<'a, f32>,
    pub pairs: Pairs,
    pub wanted: u64,
    pub seed: u64,
}

/// Draws `wanted` pairs of different nodes that are no edge, or all of them if there are fewer.
///
/// Undirected graphs are symmetric matrices, and their pairs have the smaller node first; of a
/// directed one row `u` holds the targets of `u`. Columns must rise in each row. Pairs come in
/// random order: any part of them is a uniform sample too.
pub fn random_edges(
    workers: &Workers<'_>,
    graph: &Csr<'_, f32>,
    directed: bool,
    wanted: usize,
    seed: u64,
) -> Result<RandomEdges> {
    let pairs = Pairs::new(graph.rows(), directed);
    // An undirected graph of ours has no loops; a matrix may.
    let stored = (graph.entries() - if directed { loops(graph) } else { 0 }) as u64;
    let edges = if directed { stored } else { stored / 2 };
    let free = pairs.count().saturating_sub(edges);
    let given = (wanted as u64).min(free);
    let mut drawn = RandomEdges {
        missing: wanted as u64 - given,
        ..RandomEdges::default()
    };
    let room = usize::try_from(2 * u128::from(given)).unwrap_or(usize::MAX);
    if drawn.pairs.try_reserve_exact(room).is_err() {
        return Err(Error::invalid(
            "count",
            format!("is {wanted}, more pairs than fit into memory"),
        ));
    }
    let task = Task {
        graph,
        pairs,
        wanted: given,
        seed,
    };
    // The share of pairs that would be refused at the end.
    let refused = (edges + given) as f64 / pairs.count().max(1) as f64;
    drawn.pairs = if given == 0 {
        Vec::new()
    } else if refused <= 1.0 / 16.0 && given >= FEW && pairs.count() <= spread::MOST_PAIRS {
        spread::spread(workers, &task)?
    } else if refused <= 0.5 && (given < MANY || pairs.count() > spread::MOST_PAIRS) {
        tries(workers, &task)?
    } else {
        ranks(workers, &task, free)?
    };
    Ok(drawn)
}

/// Tries pairs; each does with a probability of at least one half.
fn tries(workers: &Workers<'_>, task: &Task<'_, '_>) -> Result<Vec<i64>> {
    let mut draws = Draws::new(task.seed, TRIES, 0);
    let mut used = HashSet::with_capacity(task.wanted as usize);
    let mut chosen = Vec::with_capacity(2 * task.wanted as usize);
    while (used.len() as u64) < task.wanted {
        if used.len() % 1024 == 0 {
            workers.check()?;
        }
        let number = draws.below_u64(task.pairs.count());
        let (u, v) = task.pairs.pair(number);
        if !holds(task.graph, u, v) && used.insert(number) {
            chosen.extend([i64::from(u), i64::from(v)]);
        }
    }
    Ok(chosen)
}

/// Draws ranks among the `free` pairs and counts through to them.
fn ranks(workers: &Workers<'_>, task: &Task<'_, '_>, free: u64) -> Result<Vec<i64>> {
    let mut draws = Draws::new(task.seed, RANKS, 0);
    let mut marks = vec![0u64; free.div_ceil(64) as usize];
    // Those left out are drawn where they are fewer: every draw does at least every other time.
    let inverted = task.wanted > free / 2;
    let mut left = if inverted {
        free - task.wanted
    } else {
        task.wanted
    };
    while left > 0 {
        if left % 4096 == 0 {
            workers.check()?;
        }
        let rank = draws.below_u64(free);
        let (word, bit) = ((rank / 64) as usize, 1u64 << (rank % 64));
        left -= u64::from(marks[word] & bit == 0);
        marks[word] |= bit;
    }
    let mut chosen = Vec::with_capacity(task.wanted as usize);
    let mut rank = 0u64;
    let mut number = 0u64;
    let mut gap = |end: u64, chosen: &mut Vec<u64>| {
        while number < end {
            let marked = marks[(rank / 64) as usize] >> (rank % 64) & 1 == 1;
            if marked != inverted {
                chosen.push(number);
            }
            number += 1;
            rank += 1;
        }
        number = end + 1;
    };
    task.pairs
        .for_each_edge(task.graph, |edge| gap(edge, &mut chosen));
    gap(task.pairs.count(), &mut chosen);
    workers.check()?;
    for last in (1..chosen.len()).rev() {
        let at = draws.below_u64(last as u64 + 1) as usize;
        chosen.swap(last, at);
    }
    Ok(chosen
        .into_iter()
        .flat_map(|number| {
            let (u, v) = task.pairs.pair(number);
            [i64::from(u), i64::from(v)]
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring with chords, symmetric.
    fn ring(nodes: usize, chords: &[usize]) -> (Vec<i64>, Vec<i32>) {
        let mut indptr = vec![0];
        let mut indices = Vec::new();
        for i in 0..nodes {
            let mut row: Vec<i32> = chords
                .iter()
                .flat_map(|c| [(i + c) % nodes, (i + nodes - c) % nodes])
                .map(|j| j as i32)
                .collect();
            row.sort_unstable();
            row.dedup();
            indices.extend(row);
            indptr.push(indices.len() as i64);
        }
        (indptr, indices)
    }

    fn check(graph: &Csr<'_, f32>, directed: bool, wanted: usize) -> usize {
        let draw =
            |threads| random_edges(&Workers::of(threads), graph, directed, wanted, 5).unwrap();
        let drawn = draw(1);
        assert_eq!(drawn, draw(3));
        assert_eq!(drawn.pairs.len() / 2 + drawn.missing as usize, wanted);
        let mut pairs: Vec<_> = drawn.pairs.chunks(2).map(|p| (p[0], p[1])).collect();
        for &(u, v) in &pairs {
            assert!(u != v && (directed || u < v));
            assert!(!graph.columns(u as usize).contains(&(v as i32)));
        }
        pairs.sort_unstable();
        pairs.dedup();
        assert_eq!(pairs.len() * 2, drawn.pairs.len());
        pairs.len()
    }

    #[test]
    fn each_way_gives_distinct_pairs_without_an_edge() {
        let (indptr, indices) = ring(2000, &[1, 7]);
        let graph = Csr::new(&indptr, &indices, None, 2000).unwrap();
        let free = 2000 * 1999 / 2 - 4000;
        for directed in [false, true] {
            assert_eq!(check(&graph, directed, 100), 100);
            assert_eq!(check(&graph, directed, 50_000), 50_000);
            assert_eq!(check(&graph, directed, 900_000), 900_000);
        }
        assert_eq!(check(&graph, false, free + 3), free);
    }

    #[test]
    fn a_complete_graph_has_none() {
        let (indptr, indices) = ring(9, &[1, 2, 3, 4]);
        let graph = Csr::new(&indptr, &indices, None, 9).unwrap();
        assert_eq!(check(&graph, false, 4), 0);
        assert_eq!(check(&graph, true, 4), 0);
        let none = Csr::new(&[0], &[], None, 0).unwrap();
        assert_eq!(check(&none, false, 1), 0);
    }
}
