//! What to restore when an insertion fails half-way.

use std::collections::HashMap;

use crate::index::codes::Coding;

use super::graph::Graph;

/// The state of a graph before a change: its size, its entry, and older rows' links.
pub struct Journal {
    len: usize,
    entry: u32,
    drawn: u64,
    links: HashMap<(u8, u32), Vec<u32>>,
    /// How rows were coded before they were all coded anew.
    pub coding: Option<Coding>,
    /// How many rows had not been looked at, if they have been since.
    pub unseen: Option<u64>,
}

impl Journal {
    pub fn new(graph: &Graph) -> Self {
        Self {
            len: graph.len(),
            entry: graph.entry,
            drawn: graph.drawn,
            links: HashMap::new(),
            coding: None,
            unseen: None,
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
    pub fn undo(&self, graph: &mut Graph) {
        for (&(level, node), links) in &self.links {
            graph.set(level, node, links.iter().copied());
        }
        graph.truncate(self.len);
        graph.entry = self.entry;
        graph.drawn = self.drawn;
    }
}
