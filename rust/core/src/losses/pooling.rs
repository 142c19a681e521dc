//! Rows of nodes pooled into one row a graph.

use crate::batch::check_indices;
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::maps;

use super::pairs::{AHEAD, prefetch};

/// How the rows of a graph's nodes become one.
#[derive(Clone, Copy, PartialEq)]
pub enum Pooling {
    Mean,
    Sum,
    Max,
}

impl Pooling {
    pub const NAMES: &'static [&'static str] = &["mean", "sum", "max"];

    pub fn parse(name: &str) -> Self {
        match name {
            "sum" => Self::Sum,
            "max" => Self::Max,
            _ => Self::Mean,
        }
    }
}

/// As many values; the number of graphs comes from outside and may be more than there is memory for.
fn filled<T: Clone>(value: T, count: Option<usize>) -> Result<Vec<T>> {
    let count = count.ok_or_else(Error::out_of_memory)?;
    let mut values = Vec::new();
    let room = values.try_reserve_exact(count);
    room.map_err(|_| Error::out_of_memory())?;
    values.resize(count, value);
    Ok(values)
}

/// The nodes of each graph, rising.
pub struct Graphs<'a> {
    index: &'a [i64],
    offsets: Vec<usize>,
    nodes: Vec<usize>,
}

impl<'a> Graphs<'a> {
    pub fn new(index: &'a [i64], count: usize) -> Result<Self> {
        if check_indices(index, count, "graphs").is_err() {
            let wrong = index.iter().find(|&&g| g < 0 || g >= count as i64);
            let problem = format!(
                "holds {} but labels tells of {count} graphs",
                wrong.copied().unwrap_or_default()
            );
            return Err(Error::invalid("graphs", problem));
        }
        let mut offsets = filled(0usize, count.checked_add(1))?;
        index.iter().for_each(|&g| offsets[g as usize + 1] += 1);
        for g in 0..count {
            offsets[g + 1] += offsets[g];
        }
        let mut next = filled(0usize, Some(count))?;
        next.copy_from_slice(&offsets[..count]);
        let mut nodes = filled(0, Some(index.len()))?;
        for (node, &g) in index.iter().enumerate() {
            nodes[next[g as usize]] = node;
            next[g as usize] += 1;
        }
        Ok(Self {
            index,
            offsets,
            nodes,
        })
    }

    fn of(&self, graph: usize) -> &[usize] {
        &self.nodes[self.offsets[graph]..self.offsets[graph + 1]]
    }

    /// What one value of a graph's sum is multiplied by.
    fn share(&self, pooling: Pooling, graph: usize) -> f64 {
        match pooling {
            Pooling::Mean => 1.0 / self.of(graph).len().max(1) as f64,
            Pooling::Sum | Pooling::Max => 1.0,
        }
    }

    /// One row a graph; zeros where it has no nodes.
    pub fn pool<T: Real>(
        &self,
        pooling: Pooling,
        rows: Matrix<'_, T>,
        workers: &Workers<'_>,
    ) -> Result<Vec<T>> {
        let cols = rows.cols();
        let mut pooled = filled(T::zero(), (self.offsets.len() - 1).checked_mul(cols))?;
        workers.for_each_piece(&mut pooled, cols, |graph, out| {
            if pooling == Pooling::Max {
                for (node, out) in argmax(rows, self.of(graph)).into_iter().zip(out) {
                    *out = node.0;
                }
                return Ok(());
            }
            let mut sums = vec![0.0; cols];
            let nodes = self.of(graph);
            for (k, &node) in nodes.iter().enumerate() {
                if let Some(&later) = nodes.get(k + AHEAD) {
                    prefetch(rows.row(later));
                }
                maps::add_wide(1.0, rows.row(node), &mut sums);
            }
            let share = self.share(pooling, graph);
            out.iter_mut()
                .zip(sums)
                .for_each(|(out, sum)| *out = T::of(share * sum));
            Ok(())
        })?;
        Ok(pooled)
    }

    /// Sends gradients of the pooled rows back to the nodes.
    pub fn spread<T: Real>(
        &self,
        pooling: Pooling,
        slopes: &[T],
        rows: Matrix<'_, T>,
        out: &mut [T],
        workers: &Workers<'_>,
    ) -> Result<()> {
        let cols = rows.cols();
        if pooling == Pooling::Max {
            out.fill(T::zero());
            let winners = workers.map(self.offsets.len() - 1, |graph| {
                Ok(argmax(rows, self.of(graph)))
            })?;
            for (winners, slopes) in winners.iter().zip(slopes.chunks_exact(cols)) {
                for (column, ((_, node), &slope)) in winners.iter().zip(slopes).enumerate() {
                    out[node * cols + column] = slope;
                }
            }
            return Ok(());
        }
        workers.for_each_piece(out, 64 * cols, |piece, out| {
            for (row, &graph) in out.chunks_exact_mut(cols).zip(&self.index[piece * 64..]) {
                let graph = graph as usize;
                row.copy_from_slice(&slopes[graph * cols..(graph + 1) * cols]);
                if pooling == Pooling::Mean {
                    maps::scale(T::of(self.share(pooling, graph)), row);
                }
            }
            Ok(())
        })
    }
}

/// Each column's largest value among `nodes` and the first node that has it; nothing for none.
fn argmax<T: Real>(rows: Matrix<'_, T>, nodes: &[usize]) -> Vec<(T, usize)> {
    let Some((&first, rest)) = nodes.split_first() else {
        return Vec::new();
    };
    let mut best: Vec<_> = rows.row(first).iter().map(|&x| (x, first)).collect();
    for &node in rest {
        for (best, &x) in best.iter_mut().zip(rows.row(node)) {
            if x > best.0 {
                *best = (x, node);
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pooling_is_what_it_says_and_no_nodes_give_zeros() {
        let data = [1.0, -2.0, 5.0, 0.0, 3.0, -4.0];
        let rows = Matrix::new(&data, 3, 2).unwrap();
        let graphs = Graphs::new(&[2, 0, 2], 3).unwrap();
        let pool = |pooling| graphs.pool(pooling, rows, &Workers::of(2)).unwrap();
        assert_eq!(pool(Pooling::Mean), [5.0, 0.0, 0.0, 0.0, 2.0, -3.0]);
        assert_eq!(pool(Pooling::Sum), [5.0, 0.0, 0.0, 0.0, 4.0, -6.0]);
        assert_eq!(pool(Pooling::Max), [5.0, 0.0, 0.0, 0.0, 3.0, -2.0]);
        let mut out = [f64::NAN; 6];
        let slopes = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let workers = Workers::serial();
        graphs
            .spread(Pooling::Max, &slopes, rows, &mut out, &workers)
            .unwrap();
        assert_eq!(out, [0.0, 6.0, 1.0, 2.0, 5.0, 0.0]);
        assert!(Graphs::new(&[3], 3).is_err());
    }
}
