//! Undirected edges as lists, one a node.

use std::borrow::Cow;

use crate::batch::check_indices;
use crate::error::{Error, Result};
use crate::graph::csr::Csr;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::maps;

/// Rows of a matrix whose parts a worker finds at a time.
const PIECE: usize = 4096;

/// The neighbours of each node: first those of edges that come in, then those of edges that leave,
/// so that each edge leaves exactly one node. Where only values are wanted the first may be absent.
pub struct Links<'a, T: Clone> {
    offsets: Cow<'a, [i64]>,
    /// Where in a node's list the edges that leave begin.
    splits: Vec<i64>,
    columns: Cow<'a, [i32]>,
    weights: Option<Cow<'a, [T]>>,
    pub edges: usize,
}

/// A list's range, and where in it the edges that leave begin.
pub struct Span {
    pub start: usize,
    pub split: usize,
    pub end: usize,
}

impl<'a, T: Real> Links<'a, T> {
    /// A symmetric matrix whose columns rise in each row; an edge leaves its smaller end. What
    /// lies on the diagonal is in the list of edges that leave.
    pub fn of_matrix(
        matrix: Csr<'a, T>,
        columns: &'a [i32],
        workers: &Workers<'_>,
    ) -> Result<Self> {
        let offsets = matrix.indptr();
        let mut splits = vec![0; matrix.rows()];
        workers.for_each_piece(&mut splits, PIECE, |piece, splits| {
            for (k, split) in splits.iter_mut().enumerate() {
                let node = piece * PIECE + k;
                let below = matrix
                    .columns(node)
                    .partition_point(|&j| (j as usize) < node);
                *split = offsets[node] + below as i64;
            }
            Ok(())
        })?;
        let leaving = offsets[1..]
            .iter()
            .zip(&splits)
            .map(|(end, split)| end - split);
        Ok(Self {
            edges: leaving.sum::<i64>() as usize,
            offsets: Cow::Borrowed(offsets),
            splits,
            columns: Cow::Borrowed(columns),
            weights: matrix.values().map(Cow::Borrowed),
        })
    }

    /// Edges one by one, each from its `src`; loops are left out. Lists are in the order of the
    /// edges. Without `both` only edges that leave are listed.
    pub fn of_edges(
        edges: &Edges<'_, T>,
        nodes: usize,
        both: bool,
        workers: &Workers<'_>,
    ) -> Result<Links<'static, T>> {
        // Every worker reads all edges and lists those of its own nodes.
        let share = nodes.div_ceil(workers.threads()).max(1);
        let mut counts = vec![[0i64; 2]; nodes];
        workers.for_each_piece(&mut counts, share, |piece, counts| {
            let first = piece * share;
            for (&src, &dst) in edges.src.iter().zip(edges.dst) {
                if src == dst {
                    continue;
                }
                if let Some(count) = counts.get_mut((src as usize).wrapping_sub(first)) {
                    count[1] += 1;
                }
                if both && let Some(count) = counts.get_mut((dst as usize).wrapping_sub(first)) {
                    count[0] += 1;
                }
            }
            Ok(())
        })?;
        let mut offsets = Vec::with_capacity(nodes + 1);
        let mut splits = Vec::with_capacity(nodes);
        let (mut entries, mut leaving) = (0, 0);
        for [come, leave] in &mut counts {
            offsets.push(entries);
            splits.push(entries + *come);
            entries += *come + *leave;
            leaving += *leave;
        }
        offsets.push(entries);
        drop(counts);
        let mut columns = vec![0i32; entries as usize];
        let mut weights = edges.weights.map(|_| vec![T::zero(); entries as usize]);
        let mut pieces = Vec::new();
        let (mut columns_left, mut weights_left) = (&mut columns[..], weights.as_deref_mut());
        for first in (0..nodes).step_by(share) {
            let last = nodes.min(first + share);
            let size = (offsets[last] - offsets[first]) as usize;
            let (mine, rest) = columns_left.split_at_mut(size);
            columns_left = rest;
            let mut my_weights = None;
            if let Some(left) = weights_left.take() {
                let (mine, rest) = left.split_at_mut(size);
                my_weights = Some(mine);
                weights_left = Some(rest);
            }
            pieces.push((first..last, mine, my_weights));
        }
        workers.for_each_piece(&mut pieces, 1, |_, pieces| {
            for (range, columns, weights) in pieces {
                let base = offsets[range.start];
                let mut come: Vec<_> = offsets[range.clone()].iter().map(|at| at - base).collect();
                let mut leave: Vec<_> = splits[range.clone()].iter().map(|at| at - base).collect();
                let mut put = |next: &mut i64, other: i64, edge: usize| {
                    columns[*next as usize] = other as i32;
                    if let (Some(weights), Some(given)) = (&mut *weights, edges.weights) {
                        weights[*next as usize] = given[edge];
                    }
                    *next += 1;
                };
                for (edge, (&src, &dst)) in edges.src.iter().zip(edges.dst).enumerate() {
                    if src == dst {
                        continue;
                    }
                    if let Some(next) = leave.get_mut((src as usize).wrapping_sub(range.start)) {
                        put(next, dst, edge);
                    }
                    if both
                        && let Some(next) = come.get_mut((dst as usize).wrapping_sub(range.start))
                    {
                        put(next, src, edge);
                    }
                }
            }
            Ok(())
        })?;
        Ok(Links {
            offsets: Cow::Owned(offsets),
            splits,
            columns: Cow::Owned(columns),
            weights: weights.map(Cow::Owned),
            edges: leaving as usize,
        })
    }

    pub fn nodes(&self) -> usize {
        self.splits.len()
    }

    pub fn span(&self, node: usize) -> Span {
        Span {
            start: self.offsets[node] as usize,
            split: self.splits[node] as usize,
            end: self.offsets[node + 1] as usize,
        }
    }

    pub fn columns(&self) -> &[i32] {
        &self.columns
    }

    pub fn weights(&self) -> Option<&[T]> {
        self.weights.as_deref()
    }
}

/// Pairs of nodes and what each counts.
pub struct Edges<'a, T> {
    pub src: &'a [i64],
    pub dst: &'a [i64],
    pub weights: Option<&'a [T]>,
}

impl<T: Real> Edges<'_, T> {
    /// Fails unless all ends are among `nodes` nodes.
    pub fn check(&self, nodes: usize) -> Result<()> {
        if i32::try_from(nodes).is_err() {
            let problem = format!(
                "has {nodes} rows but a graph has at most {} nodes",
                i32::MAX
            );
            return Err(Error::invalid("embeddings", problem));
        }
        check_indices(self.src, nodes, "src")?;
        check_indices(self.dst, nodes, "dst")
    }

    /// The sum of weights at each node, loops left out.
    pub fn degrees(&self, nodes: usize, workers: &Workers<'_>) -> Result<Vec<f64>> {
        let mut degrees = vec![0.0; nodes];
        let share = nodes.div_ceil(workers.threads()).max(1);
        workers.for_each_piece(&mut degrees, share, |piece, degrees| {
            let first = piece * share;
            for (edge, (&src, &dst)) in self.src.iter().zip(self.dst).enumerate() {
                if src == dst {
                    continue;
                }
                let weight = self.weights.map_or(1.0, |weights| weights[edge].wide());
                for end in [src, dst] {
                    if let Some(degree) = degrees.get_mut((end as usize).wrapping_sub(first)) {
                        *degree += weight;
                    }
                }
            }
            Ok(())
        })?;
        Ok(degrees)
    }
}

/// The row sums of a matrix.
pub fn row_sums<T: Real>(matrix: Csr<'_, T>, workers: &Workers<'_>) -> Result<Vec<f64>> {
    let mut sums = vec![0.0; matrix.rows()];
    workers.for_each_piece(&mut sums, PIECE, |piece, sums| {
        for (k, sum) in sums.iter_mut().enumerate() {
            *sum = match matrix.row(piece * PIECE + k) {
                (columns, None) => columns.len() as f64,
                (_, Some(values)) => maps::sum(values),
            };
        }
        Ok(())
    })?;
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_each_edge_at_both_ends_and_no_loops() {
        let edges = Edges {
            src: &[0, 2, 1, 0, 2],
            dst: &[1, 0, 1, 1, 1],
            weights: Some(&[1.0f64, 2.0, 3.0, 4.0, 5.0]),
        };
        edges.check(4).unwrap();
        for threads in [1, 3] {
            let workers = Workers::of(threads);
            let links = Links::of_edges(&edges, 4, true, &workers).unwrap();
            assert_eq!(&*links.offsets, [0, 3, 6, 8, 8]);
            assert_eq!(links.splits, [1, 6, 6, 8]);
            assert_eq!(links.columns(), [2, 1, 1, 0, 0, 2, 0, 1]);
            let weights = [2.0, 1.0, 4.0, 1.0, 4.0, 5.0, 2.0, 5.0];
            assert_eq!(links.weights().unwrap(), weights);
            assert_eq!(links.edges, 4);
            let out = Links::of_edges(&edges, 4, false, &workers).unwrap();
            assert_eq!(out.columns(), [1, 1, 0, 1]);
            assert_eq!(&*out.offsets, [0, 2, 2, 4, 4]);
            let degrees = edges.degrees(4, &workers).unwrap();
            assert_eq!(degrees, [7.0, 10.0, 7.0, 0.0]);
        }
    }

    #[test]
    fn a_node_that_is_not_there_is_named() {
        let edges = Edges::<f32> {
            src: &[0, 1],
            dst: &[1, 2],
            weights: None,
        };
        let message = edges.check(2).unwrap_err().to_string();
        assert!(message.contains("dst") && message.contains("2 at position 1"));
    }
}
