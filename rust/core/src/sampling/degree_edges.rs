//! Pairs without an edge whose ends have nearly the degrees of a given pair's ends.
//!
//! Nodes sorted by degree make the candidates of an end a range. Pairs from two ranges are tried;
//! where too few of them would do, those that would are listed once for the two ranges and drawn
//! from the list, so that dense classes, and classes of one member, end like all others.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::draws::Draws;
use super::members::holds;
use crate::batch::check_indices;
use crate::error::Result;
use crate::graph::csr::Csr;
use crate::pool::Workers;

/// Pairs that are tried before candidates are listed.
const TRIES: usize = 64;

/// Listed pairs that are kept at most, and work that one list may stand for.
const MOST_LISTED: usize = 1 << 24;

const DEGREES: u8 = 16;

/// How far degrees may lie apart.
#[derive(Clone, Copy, Debug)]
pub enum Tolerance {
    Degrees(usize),
    /// Of the given node's degree, rounded down.
    Share(f64),
}

impl Tolerance {
    fn of(self, degree: usize) -> usize {
        match self {
            Self::Degrees(degrees) => degrees,
            Self::Share(share) => (share * degree as f64) as usize,
        }
    }
}

/// `each` pairs for every given one, -1 where there are fewer; how many there are; how many of
/// the given pairs needed a list of candidates.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DegreeEdges {
    pub pairs: Vec<i64>,
    pub counts: Vec<i64>,
    pub listed: usize,
}

struct Ranges {
    /// Nodes by degree, then by number.
    nodes: Vec<u32>,
    /// Where each node stands in `nodes`.
    places: Vec<u32>,
    /// Where the nodes of a degree begin; one more than there are degrees.
    begins: Vec<u32>,
}

impl Ranges {
    fn new(graph: &Csr<'_, f32>) -> Self {
        let degree = |node: usize| graph.columns(node).len();
        let most = (0..graph.rows()).map(degree).max().unwrap_or(0);
        let mut begins = vec![0u32; most + 2];
        for node in 0..graph.rows() {
            begins[degree(node) + 1] += 1;
        }
        for i in 0..=most {
            begins[i + 1] += begins[i];
        }
        let mut next = begins.clone();
        let mut nodes = vec![0u32; graph.rows()];
        let mut places = vec![0u32; graph.rows()];
        for node in 0..graph.rows() {
            let place = &mut next[degree(node)];
            nodes[*place as usize] = node as u32;
            places[node] = *place;
            *place += 1;
        }
        Self {
            nodes,
            places,
            begins,
        }
    }

    fn around(&self, degree: usize, tolerance: Tolerance) -> Range<u32> {
        let most = self.begins.len() - 2;
        let apart = tolerance.of(degree);
        let low = degree.saturating_sub(apart).min(most);
        let high = degree.saturating_add(apart).min(most);
        self.begins[low]..self.begins[high + 1]
    }
}

/// The beginnings and ends of two ranges.
type Classes = (u32, u32, u32, u32);

struct Search<'a, 'b> {
    graph: &'b Csr<'a, f32>,
    directed: bool,
    ranges: Ranges,
    used: HashSet<u64>,
    /// Pairs that would do, by their ends' ranges.
    lists: HashMap<Classes, Vec<(u32, u32)>>,
    listed: usize,
}

impl Search<'_, '_> {
    fn key(&self, u: u32, v: u32) -> u64 {
        let (low, high) = if self.directed || u < v {
            (u, v)
        } else {
            (v, u)
        };
        u64::from(low) << 32 | u64::from(high)
    }

    fn fits(&self, u: u32, v: u32) -> bool {
        u != v && !holds(self.graph, u, v) && !self.used.contains(&self.key(u, v))
    }

    /// The pair to take, and whether a list was needed for it.
    fn draw(
        &mut self,
        draws: &mut Draws,
        from: Range<u32>,
        to: Range<u32>,
    ) -> (Option<(u32, u32)>, bool) {
        let (sources, targets) = (from.end - from.start, to.end - to.start);
        let id = (from.start, from.end, to.start, to.end);
        if !self.lists.contains_key(&id) {
            for _ in 0..TRIES {
                let u = self.ranges.nodes[(from.start + draws.below(sources)) as usize];
                let v = self.ranges.nodes[(to.start + draws.below(targets)) as usize];
                if self.fits(u, v) {
                    return (Some((u, v)), false);
                }
            }
            let list = self.list(from, to);
            self.listed += list.len();
            self.lists.insert(id, list);
        }
        let mut list = self.lists.remove(&id).unwrap_or_default();
        let mut found = None;
        while !list.is_empty() && found.is_none() {
            let at = draws.below(u32::try_from(list.len()).unwrap_or(u32::MAX));
            let (u, v) = list.swap_remove(at as usize);
            self.listed -= 1;
            found = self.fits(u, v).then_some((u, v));
        }
        self.lists.insert(id, list);
        if self.listed > MOST_LISTED {
            // What is needed again is listed again; exhausted ranges stay known.
            self.lists.retain(|_, list| list.is_empty());
            self.listed = 0;
        }
        (found, true)
    }

    /// All pairs of the two ranges that fit.
    fn list(&self, from: Range<u32>, to: Range<u32>) -> Vec<(u32, u32)> {
        let mut list = Vec::new();
        let mut near = Vec::new();
        for &u in &self.ranges.nodes[from.start as usize..from.end as usize] {
            // Both are sorted by place: what is left between the neighbours fits.
            near.clear();
            let places = self.graph.columns(u as usize).iter();
            near.extend(
                places
                    .map(|&v| self.ranges.places[v as usize])
                    .chain([self.ranges.places[u as usize]])
                    .filter(|place| to.contains(place)),
            );
            near.sort_unstable();
            let mut near = near.iter().peekable();
            for place in to.clone() {
                while near.next_if(|&&taken| taken < place).is_some() {}
                if near.peek() == Some(&&place) {
                    continue;
                }
                let v = self.ranges.nodes[place as usize];
                if !self.used.contains(&self.key(u, v)) {
                    list.push((u, v));
                }
            }
        }
        list
    }
}

/// For each pair `(sources[i], targets[i])` up to `each` pairs of different nodes that are no edge,
/// none of them twice in all, their ends' degrees within `tolerance` of the given ends'.
///
/// Degrees are row lengths. Given pairs are served in order: later ones find fewer left.
pub fn degree_edges(
    workers: &Workers<'_>,
    graph: &Csr<'_, f32>,
    directed: bool,
    (sources, targets): (&[i64], &[i64]),
    each: usize,
    tolerance: Tolerance,
    seed: u64,
) -> Result<DegreeEdges> {
    check_indices(sources, graph.rows(), "edges")?;
    check_indices(targets, graph.rows(), "edges")?;
    let mut search = Search {
        graph,
        directed,
        ranges: Ranges::new(graph),
        used: HashSet::new(),
        lists: HashMap::new(),
        listed: 0,
    };
    let mut result = DegreeEdges::default();
    for (i, (&source, &target)) in sources.iter().zip(targets).enumerate() {
        if i % 256 == 0 {
            workers.check()?;
        }
        let around = |node: i64| {
            let degree = graph.columns(node as usize).len();
            search.ranges.around(degree, tolerance)
        };
        let (from, to) = (around(source), around(target));
        let mut draws = Draws::new(seed, DEGREES, i as u64);
        let end = result.pairs.len() + 2 * each;
        let (mut count, mut listed) = (0, false);
        while count < each {
            let (found, by_list) = search.draw(&mut draws, from.clone(), to.clone());
            listed |= by_list;
            let Some((u, v)) = found else { break };
            search.used.insert(search.key(u, v));
            result.pairs.extend([i64::from(u), i64::from(v)]);
            count += 1;
        }
        result.pairs.resize(end, -1);
        result.counts.push(count as i64);
        result.listed += usize::from(listed);
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn star(leaves: usize) -> (Vec<i64>, Vec<i32>) {
        let mut indptr = vec![0, leaves as i64];
        let mut indices: Vec<i32> = (1..=leaves as i32).collect();
        for leaf in 0..leaves {
            indptr.push((leaves + leaf + 1) as i64);
            indices.push(0);
        }
        (indptr, indices)
    }

    #[test]
    fn a_class_of_one_member_is_found_exhausted_once() {
        let (indptr, indices) = star(50_000);
        let graph = Csr::new(&indptr, &indices, None, 50_001).unwrap();
        let (hub, leaves) = (vec![0; 50_000], (1..=50_000).collect::<Vec<_>>());
        let drawn = degree_edges(
            &Workers::serial(),
            &graph,
            false,
            (&hub, &leaves),
            1,
            Tolerance::Share(0.1),
            0,
        )
        .unwrap();
        assert!(drawn.counts.iter().all(|&count| count == 0));
        assert!(drawn.pairs.iter().all(|&node| node == -1));
    }

    #[test]
    fn the_last_pairs_of_a_class_are_all_given() {
        let (indptr, indices) = star(12);
        let graph = Csr::new(&indptr, &indices, None, 13).unwrap();
        // 66 pairs of leaves; 70 asked for.
        let drawn = degree_edges(
            &Workers::serial(),
            &graph,
            false,
            (&[1; 7], &[2; 7]),
            10,
            Tolerance::Degrees(0),
            0,
        )
        .unwrap();
        assert_eq!(drawn.counts, [10, 10, 10, 10, 10, 10, 6]);
        let mut pairs: Vec<_> = drawn.pairs[..132]
            .chunks(2)
            .map(|pair| (pair[0].min(pair[1]), pair[0].max(pair[1])))
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        assert_eq!(pairs.len(), 66);
        assert!(pairs.iter().all(|&(u, v)| u > 0 && u < v));
    }
}
