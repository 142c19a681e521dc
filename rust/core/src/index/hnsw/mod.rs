//! Hierarchical navigable small worlds: approximate search by walking a layered graph.
//!
//! Malkov and Yashunin 2018, "Efficient and robust approximate nearest neighbor search using
//! Hierarchical Navigable Small World graphs".

mod adding;
mod apply;
mod check;
mod count;
mod effort;
mod file;
mod filter;
mod graph;
mod guard;
mod guards;
mod insert;
mod journal;
mod layer;
mod marks;
mod memory;
mod nearest;
mod params;
mod pending;
mod remove;
mod repair;
mod scratch;
mod search;
mod select;
mod stats;
mod store;
mod tree;
mod uppers;
mod walk;
mod within;

use crate::error::Result;
use crate::index::packed::Storage;
use crate::index::rows::Rows;
use crate::index::space::Space;
use crate::metric::Metric;

pub use adding::Adding;
pub use effort::Effort;
pub use graph::Graph;
pub use params::Params;
pub use remove::Removing;
pub use search::DEFAULT_EF;
pub use stats::Stats;

/// An index of vectors that come and go.
pub struct Hnsw {
    pub rows: Rows,
    graph: Graph,
    /// What to undo of the change that is under way; its rows are pending.
    pending: Option<journal::Journal>,
    scratches: scratch::Scratches,
    filter_scratches: scratch::Scratches<filter::Scratch>,
}

impl Hnsw {
    pub fn new(dim: usize, metric: Metric, params: Params) -> Result<Self> {
        Ok(Self {
            rows: Rows::new(Space::new(dim, metric)?, Storage::Float32),
            graph: Graph::new(params),
            pending: None,
            scratches: scratch::Scratches::default(),
            filter_scratches: scratch::Scratches::default(),
        })
    }

    /// The same without rows, which are to be kept in another way.
    pub fn storing(mut self, storage: Storage) -> Self {
        self.rows = Rows::new(self.rows.space, storage);
        self
    }

    pub fn params(&self) -> Params {
        self.graph.params
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_change;
