//! Numbers for the pairs of different nodes.

use std::ops::Range;

use crate::graph::csr::Csr;

/// All pairs of `nodes` nodes: ordered ones, or each unordered one once, its smaller end first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pairs {
    nodes: u64,
    pub directed: bool,
}

impl Pairs {
    pub fn new(nodes: usize, directed: bool) -> Self {
        Self {
            nodes: nodes as u64,
            directed,
        }
    }

    pub fn count(&self) -> u64 {
        let ordered = self.nodes * self.nodes.saturating_sub(1);
        if self.directed { ordered } else { ordered / 2 }
    }

    /// The pair of a number below [`Pairs::count`].
    ///
    /// Row `q` of the triangle above the diagonal and row `n - 2 - q` have `n` entries together:
    /// laid side by side they need a division and no square root.
    #[inline]
    pub fn pair(&self, number: u64) -> (u32, u32) {
        let n = self.nodes;
        if self.directed {
            let (u, v) = (number / (n - 1), number % (n - 1));
            return (u as u32, (v + u64::from(v >= u)) as u32);
        }
        let (q, r) = (number / n, number % n);
        let first = n - 1 - q;
        if r < first {
            (q as u32, (q + 1 + r) as u32)
        } else {
            ((first - 1) as u32, r as u32)
        }
    }

    /// The rows that pairs of the numbers `start..end` lie in, and others near them.
    pub fn rows(&self, start: u64, end: u64) -> [Range<usize>; 2] {
        let n = self.nodes;
        if self.directed {
            let rows = start / (n - 1)..(end - 1) / (n - 1) + 1;
            return [rows.start as usize..rows.end as usize, 0..0];
        }
        let (first, last) = (start / n, (end - 1) / n);
        [
            first as usize..last as usize + 1,
            (n - 2 - last) as usize..(n - 1 - first) as usize,
        ]
    }

    /// The number of a row's pair with node 0, were it one: that with node `v` comes `v` later, one
    /// less of ordered pairs if `v` is larger than the row.
    pub fn first_of(&self, row: u64) -> u64 {
        let n = self.nodes;
        if self.directed {
            row * (n - 1)
        } else if row < n / 2 {
            (row * n).wrapping_sub(row + 1)
        } else {
            (n - 2 - row.min(n - 2)) * n
        }
    }

    /// Calls `take` with the numbers of the graph's edges, rising. Loops have none.
    pub fn for_each_edge(&self, graph: &Csr<'_, f32>, mut take: impl FnMut(u64)) {
        let n = self.nodes;
        if self.directed {
            for row in 0..n {
                for &column in graph.columns(row as usize) {
                    let column = column as u64;
                    if column != row {
                        take(row * (n - 1) + column - u64::from(column > row));
                    }
                }
            }
            return;
        }
        let above = |row: u64| {
            let columns = graph.columns(row as usize);
            &columns[columns.partition_point(|&c| c as u64 <= row)..]
        };
        for q in 0..n / 2 {
            for &column in above(q) {
                take(q * n + column as u64 - q - 1);
            }
            let mirror = n - 2 - q;
            if mirror != q {
                for &column in above(mirror) {
                    take(q * n + column as u64);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_one_pair() {
        for nodes in [0usize, 1, 2, 3, 4, 5, 8, 9] {
            for directed in [false, true] {
                let pairs = Pairs::new(nodes, directed);
                let mut seen: Vec<_> = (0..pairs.count()).map(|i| pairs.pair(i)).collect();
                let ok = |&(u, v): &(u32, u32)| {
                    u.max(v) < nodes as u32 && if directed { u != v } else { u < v }
                };
                assert!(seen.iter().all(ok), "{nodes} {directed} {seen:?}");
                seen.sort_unstable();
                seen.dedup();
                assert_eq!(seen.len() as u64, pairs.count());
            }
        }
    }

    #[test]
    fn edges_have_the_numbers_of_their_pairs() {
        for nodes in [2usize, 5, 6] {
            // A complete graph with loops: every number is an edge's.
            let indptr: Vec<i64> = (0..=nodes).map(|i| (i * nodes) as i64).collect();
            let indices: Vec<i32> = (0..nodes * nodes).map(|i| (i % nodes) as i32).collect();
            let graph = Csr::new(&indptr, &indices, None, nodes).unwrap();
            for directed in [false, true] {
                let pairs = Pairs::new(nodes, directed);
                let mut numbers = Vec::new();
                pairs.for_each_edge(&graph, |number| numbers.push(number));
                assert_eq!(numbers, (0..pairs.count()).collect::<Vec<_>>());
                for number in numbers {
                    let (u, v) = pairs.pair(number);
                    let later = u64::from(directed && v > u);
                    let first = pairs.first_of(u64::from(u));
                    assert_eq!(first.wrapping_add(u64::from(v)) - later, number);
                    let rows = pairs.rows(number, number + 1);
                    assert!(rows.iter().any(|rows| rows.contains(&(u as usize))));
                }
            }
        }
    }
}
