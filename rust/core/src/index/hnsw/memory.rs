//! Bytes an index takes, part by part.

use crate::index::memory::{Part, SPARE, spare};

use super::Hnsw;

impl Hnsw {
    pub fn memory(&self) -> Vec<Part> {
        let graph = &self.graph;
        let (links, upper, nodes) = graph.bytes();
        let scratch = self.scratches.bytes(|scratch| scratch.bytes())
            + self.filter_scratches.bytes(|scratch| scratch.bytes());
        let (mut parts, rows_spare) = self.rows.memory();
        parts.push(("links", links));
        parts.push(("upper", upper));
        parts.push(("nodes", nodes));
        parts.push(("scratch", scratch));
        parts.push((SPARE, rows_spare + spare(&graph.base) + spare(&graph.upper)));
        parts
    }
}
