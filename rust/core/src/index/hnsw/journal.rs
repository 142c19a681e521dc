//! What to restore when an insertion fails half-way.

use std::collections::HashMap;

use crate::index::rows::Coding;

use super::graph::Graph;

/// The state of a graph before a change: its size, its entry, and older rows' links.
pub struct Journal {
    len: usize,
    entry: u32,
    links: HashMap<(u8, u32), Vec<u32>>,
    /// Set when all rows were coded anew.
    pub coding: Option<Coding>,
}

impl Journal {
    pub fn new(graph: &Graph) -> Self {
        Self {
            len: graph.len(),
            entry: graph.entry,
            links: HashMap::new(),
            coding: None,
        }
    }

    /// Call before a row's links are changed.
    pub fn note(&mut self, graph: &Graph, level: u8, node: u32) {
        if (node as usize) < self.len {
            self.links
                .entry((level, node))
                .or_insert_with(|| graph.links(level, node).to_vec());
        }
    }

    /// Puts the graph back.
    pub fn undo(self, graph: &mut Graph) {
        for ((level, node), links) in self.links {
            graph.set(level, node, links.into_iter());
        }
        graph.truncate(self.len);
        graph.entry = self.entry;
    }
}
