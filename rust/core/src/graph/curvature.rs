//! Curvature of the edges of an undirected graph.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::csr::Csr;
use crate::error::Result;
use crate::pool::Workers;

/// Parts that a laziness is rounded to, so that masses are whole numbers.
const PARTS: f64 = (1u64 << 20) as f64;

/// Entries that two rising lists share.
fn shared(a: &[i32], b: &[i32]) -> usize {
    let (mut i, mut j, mut count) = (0, 0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        match x.cmp(y) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => (i, j, count) = (i + 1, j + 1, count + 1),
        }
    }
    count
}

/// `of(u, v)` of every edge u < v, row after row of a symmetric matrix without loops.
fn each_edge(
    graph: Csr<'_, f32>,
    workers: &Workers<'_>,
    of: impl Fn(usize, usize) -> Result<f64> + Sync,
) -> Result<Vec<f64>> {
    let rows = workers.map(graph.rows(), |u| {
        let later = graph.columns(u).iter().map(|&v| v as usize);
        later
            .filter(|&v| v > u)
            .map(|v| of(u, v))
            .collect::<Result<Vec<_>>>()
    })?;
    Ok(rows.concat())
}

/// Forman's curvature of each edge, `4 - deg u - deg v`, plus 3 for each triangle if wanted
/// (Samal et al. 2018). Columns must rise within rows.
pub fn forman(graph: Csr<'_, f32>, triangles: bool, workers: &Workers<'_>) -> Result<Vec<f64>> {
    each_edge(graph, workers, |u, v| {
        let (a, b) = (graph.columns(u), graph.columns(v));
        let faces = if triangles { shared(a, b) } else { 0 };
        Ok(4.0 + 3.0 * faces as f64 - a.len() as f64 - b.len() as f64)
    })
}

/// Ollivier's curvature of each edge, `1 - W₁(m_u, m_v)`: the measures leave `laziness` at the node
/// and spread the rest evenly over its neighbours; distances count hops. Columns must rise.
pub fn ollivier(graph: Csr<'_, f32>, laziness: f64, workers: &Workers<'_>) -> Result<Vec<f64>> {
    let stay = (laziness * PARTS).round() as u64;
    let go = PARTS as u64 - stay;
    each_edge(graph, workers, |u, v| {
        workers.check()?;
        let (du, dv) = (graph.columns(u).len() as u64, graph.columns(v).len() as u64);
        // Both measures, times PARTS · du · dv.
        let masses = |node: usize, own: u64| {
            let around = graph.columns(node).iter().map(move |&x| (x as usize, own));
            around.chain([(node, stay * du * dv)])
        };
        let mut net: Vec<(usize, i128)> = masses(u, go * dv)
            .map(|(x, mass)| (x, i128::from(mass)))
            .chain(masses(v, go * du).map(|(x, mass)| (x, -i128::from(mass))))
            .collect();
        net.sort_unstable();
        let (mut sources, mut sinks) = (Vec::new(), Vec::new());
        for part in net.chunk_by(|a, b| a.0 == b.0) {
            // What both hold in one place need not move.
            let mass: i128 = part.iter().map(|(_, mass)| mass).sum();
            match mass.cmp(&0) {
                Ordering::Greater => sources.push((part[0].0, mass as u64)),
                Ordering::Less => sinks.push((part[0].0, (-mass) as u64)),
                Ordering::Equal => {}
            }
        }
        let pairs = sources
            .iter()
            .flat_map(|&(s, _)| sinks.iter().map(move |&(t, _)| (s, t)));
        let costs: Vec<i64> = pairs.map(|(s, t)| hops(graph, s, t)).collect();
        let supply = sources.into_iter().map(|(_, mass)| mass).collect();
        let demand = sinks.into_iter().map(|(_, mass)| mass).collect();
        let moved = transport(supply, demand, &costs) as f64;
        Ok(1.0 - moved / (PARTS * (du * dv) as f64))
    })
}

/// Hops between two different nodes that are at most 3 apart.
fn hops(graph: Csr<'_, f32>, s: usize, t: usize) -> i64 {
    let (a, b) = (graph.columns(s), graph.columns(t));
    if a.binary_search(&(t as i32)).is_ok() {
        1
    } else if shared(a, b) > 0 {
        2
    } else {
        3
    }
}

/// The least Σ amount · cost that moves all of `supply` to `demand`, which have equal sums; `costs`
/// has a row for each supply. Successive shortest paths in the residual graph.
fn transport(mut supply: Vec<u64>, mut demand: Vec<u64>, costs: &[i64]) -> u128 {
    let (rows, cols) = (supply.len(), demand.len());
    let mut flow = vec![0u64; rows * cols];
    let mut total = 0;
    loop {
        let mut distance: Vec<i64> = supply
            .iter()
            .map(|&left| if left > 0 { 0 } else { i64::MAX })
            .chain(std::iter::repeat_n(i64::MAX, cols))
            .collect();
        let mut before = vec![usize::MAX; rows + cols];
        let mut waiting = vec![false; rows + cols];
        let mut queue: VecDeque<usize> = (0..rows).filter(|&s| supply[s] > 0).collect();
        if queue.is_empty() {
            return total;
        }
        while let Some(node) = queue.pop_front() {
            waiting[node] = false;
            let from = distance[node];
            let mut reach = |other: usize, cost: i64| {
                if from + cost < distance[other] {
                    distance[other] = from + cost;
                    before[other] = node;
                    if !std::mem::replace(&mut waiting[other], true) {
                        queue.push_back(other);
                    }
                }
            };
            if node < rows {
                (0..cols).for_each(|t| reach(rows + t, costs[node * cols + t]));
            } else {
                let t = node - rows;
                (0..rows)
                    .filter(|s| flow[s * cols + t] > 0)
                    .for_each(|s| reach(s, -costs[s * cols + t]));
            }
        }
        let open = (0..cols).filter(|&t| demand[t] > 0);
        let Some(end) = open.min_by_key(|&t| distance[rows + t]) else {
            return total;
        };
        // Back along the path: steps to sinks are forward, steps to sources undo a flow.
        let (mut path, mut at) = (Vec::new(), rows + end);
        let mut amount = demand[end];
        while before[at] != usize::MAX {
            let from = before[at];
            let forward = at >= rows;
            let (s, t) = if forward {
                (from, at - rows)
            } else {
                (at, from - rows)
            };
            if !forward {
                amount = amount.min(flow[s * cols + t]);
            }
            path.push((s * cols + t, forward));
            at = from;
        }
        amount = amount.min(supply[at]);
        for (place, forward) in path {
            if forward {
                flow[place] += amount;
            } else {
                flow[place] -= amount;
            }
        }
        supply[at] -= amount;
        demand[end] -= amount;
        total += u128::from(amount) * distance[rows + end] as u128;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both curvatures of the graph with these edges u < v, sorted.
    fn of(nodes: usize, edges: &[(usize, usize)], laziness: f64) -> [Vec<f64>; 2] {
        let (mut indptr, mut indices) = (vec![0i64], Vec::new());
        for node in 0..nodes {
            let ends = edges.iter().filter_map(|&(u, v)| match node {
                _ if node == u => Some(v as i32),
                _ if node == v => Some(u as i32),
                _ => None,
            });
            let mut row: Vec<i32> = ends.collect();
            row.sort_unstable();
            indices.extend(row);
            indptr.push(indices.len() as i64);
        }
        let graph = Csr::new(&indptr, &indices, None, nodes).unwrap();
        let workers = Workers::of(2);
        [
            forman(graph, true, &workers).unwrap(),
            ollivier(graph, laziness, &workers).unwrap(),
        ]
    }

    #[test]
    fn known_graphs_have_their_known_curvatures() {
        // A triangle: every edge has one face; measures overlap in the third node.
        let [forman, ollivier] = of(3, &[(0, 1), (0, 2), (1, 2)], 0.0);
        assert_eq!((forman, ollivier), (vec![3.0; 3], vec![0.5; 3]));
        // A path of four nodes: the middle edge's neighbours are three hops apart.
        let [forman, ollivier] = of(4, &[(0, 1), (1, 2), (2, 3)], 0.0);
        assert_eq!(forman, [1.0, 0.0, 1.0]);
        assert_eq!(ollivier, [0.0, 0.0, 0.0]);
        // The bridge of two stars: two thirds of the mass move by 1, one third by 3.
        let edges = [(0, 1), (0, 2), (0, 3), (1, 4), (1, 5)];
        let [_, ollivier] = of(6, &edges, 0.0);
        assert!((ollivier[0] + 2.0 / 3.0).abs() < 1e-12);
        // One edge alone: all mass changes sides, or none where half of it stays.
        assert_eq!(of(2, &[(0, 1)], 0.0)[1], [0.0]);
        assert_eq!(of(2, &[(0, 1)], 0.5)[1], [1.0]);
    }

    #[test]
    fn a_flow_may_have_to_be_undone() {
        let costs = [1, 2, 1, 3];
        assert_eq!(transport(vec![1, 1], vec![1, 1], &costs), 3);
        assert_eq!(transport(vec![], vec![], &[]), 0);
        assert_eq!(transport(vec![5, 2], vec![4, 3], &[1, 3, 1, 1]), 4 + 3 + 2);
    }
}
