//! Hierarchical navigable small worlds: approximate search by walking a layered graph.
//!
//! Malkov and Yashunin 2018, "Efficient and robust approximate nearest neighbor search using
//! Hierarchical Navigable Small World graphs".

mod check;
mod file;
mod graph;
mod guard;
mod insert;
mod journal;
mod params;
mod scratch;
mod search;
mod select;
mod stats;
mod walk;

use crate::error::Result;
use crate::index::rows::Rows;
use crate::index::space::Space;
use crate::metric::Metric;

pub use graph::Graph;
pub use params::Params;
pub use search::DEFAULT_EF;
pub use stats::Stats;

/// An index of vectors that grows.
pub struct Hnsw {
    pub rows: Rows,
    graph: Graph,
    scratches: scratch::Scratches,
}

impl Hnsw {
    pub fn new(dim: usize, metric: Metric, params: Params) -> Result<Self> {
        Ok(Self {
            rows: Rows::new(Space::new(dim, metric)?),
            graph: Graph::new(params),
            scratches: scratch::Scratches::default(),
        })
    }

    pub fn params(&self) -> Params {
        self.graph.params
    }
}

#[cfg(test)]
mod tests;
