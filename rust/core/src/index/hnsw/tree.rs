//! Mending the spanning tree when rows leave it.
//!
//! The tree falls into parts, each with a topmost row. One after the other these get a parent in
//! another part. That cannot close a circle, and when all have one there is one tree again.

use std::collections::HashMap;

use crate::index::rows::Rows;

use super::graph::{EMPTY, Graph};
use crate::index::candidate::Candidate;

/// The parents of live rows, while they change.
pub struct Tree<'a> {
    rows: &'a Rows,
    graph: &'a Graph,
    pub parents: Vec<u32>,
    /// Towards the topmost row of the same part; shortened as it is followed.
    above: Vec<u32>,
    /// Rows whose parent or guard a row is.
    dependants: Vec<u16>,
    /// Children that are not linked yet.
    pub added: HashMap<u32, Vec<u32>>,
}

impl<'a> Tree<'a> {
    /// The parts that remain when hidden rows and what they guard are left out.
    pub fn new(rows: &'a Rows, graph: &'a Graph) -> Self {
        let live = |row: u32| row != EMPTY && rows.stays(row as usize);
        let mut tree = Self {
            rows,
            graph,
            parents: vec![EMPTY; graph.len()],
            above: (0..graph.len() as u32).collect(),
            dependants: vec![0; graph.len()],
            added: HashMap::new(),
        };
        for row in (0..graph.len()).filter(|&row| rows.stays(row)) {
            let parent = graph.parents[row];
            if live(parent) {
                tree.parents[row] = parent;
                tree.above[row] = parent;
                tree.dependants[parent as usize] += 1;
            }
            let guard = graph.guards.get(row as u32);
            if live(guard) {
                tree.dependants[guard as usize] += 1;
            }
        }
        tree
    }

    /// Topmost rows that need a parent; without a live root the first of them stays one.
    pub fn orphans(&self) -> Vec<u32> {
        let live = (0..self.graph.len()).filter(|&row| self.rows.stays(row));
        let lost = live.filter(|&row| self.parents[row] == EMPTY);
        let root = lost.clone().find(|&row| self.graph.parents[row] == EMPTY);
        let root = root.or_else(|| lost.clone().next());
        lost.filter(|&row| Some(row) != root)
            .map(|row| row as u32)
            .collect()
    }

    /// Gives a topmost row a parent: the nearest of `near` that is in another part and has room,
    /// or else one below. Copies stay with copies, so that a walk that came to one finds the
    /// others. `root` is the topmost row of a part that is not the row's.
    pub fn attach(&mut self, row: u32, near: &[Candidate], root: u32) {
        let others: Vec<u32> = near
            .iter()
            .map(|other| other.node())
            .filter(|&other| self.top(other) != row)
            .collect();
        let nearest = others.first().copied().unwrap_or(root);
        let copies = self.equal(nearest, row);
        let parent = others
            .into_iter()
            .find(|&other| self.has_room(other) && (!copies || self.equal(other, row)))
            .unwrap_or_else(|| self.below(nearest, row, copies));
        self.parents[row as usize] = parent;
        self.above[row as usize] = parent;
        self.dependants[parent as usize] += 1;
        self.added.entry(parent).or_default().push(row);
    }

    /// A row with room at or below `parent`, as [`super::Hnsw`] plants new rows.
    fn below(&self, mut parent: u32, row: u32, copies: bool) -> u32 {
        let mut spread = row;
        while !self.has_room(parent) {
            let links = self.graph.links(0, parent).iter();
            let mut children: Vec<u32> = links
                .copied()
                .filter(|&child| self.parents[child as usize] == parent)
                .chain(self.added.get(&parent).into_iter().flatten().copied())
                .collect();
            if copies && children.iter().any(|&child| self.equal(child, row)) {
                children.retain(|&child| self.equal(child, row));
            }
            if children.is_empty() {
                break;
            }
            parent = children[spread as usize % children.len()];
            spread /= children.len() as u32;
        }
        parent
    }

    /// The topmost row of the part that `row` is in.
    pub fn top(&mut self, mut row: u32) -> u32 {
        loop {
            let next = self.above[row as usize];
            if next == row {
                return row;
            }
            let after = self.above[next as usize];
            self.above[row as usize] = after;
            row = after;
        }
    }

    fn has_room(&self, row: u32) -> bool {
        usize::from(self.dependants[row as usize]) < self.graph.most_dependants()
    }

    fn equal(&self, a: u32, b: u32) -> bool {
        self.rows.same(a as usize, b as usize)
    }
}
