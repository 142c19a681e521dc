//! Pairs, neighbourhoods and subgraphs drawn from a graph. All return node numbers, never copies
//! of vectors, and the same ones for any number of threads.

mod bits;
mod block;
pub mod by_hops;
pub mod degree_edges;
mod draws;
pub mod hops;
pub mod layers;
mod members;
pub mod neighbors;
mod pairs;
pub mod random_edges;
mod shortlist;
mod spread;
pub mod subgraphs;
mod thin;

pub use block::{Batch, Block};

/// What there is to draw: its number in the specification and its name.
pub const STRATEGIES: [(&str, &str); 11] = [
    ("D1", "random_edges"),
    ("D2", "hard_edges"),
    ("D3", "degree_edges"),
    ("D5", "graph_miner"),
    ("D5", "hops"),
    ("D7", "neighbors"),
    ("D8", "ladies"),
    ("D8", "fastgcn"),
    ("D8", "saint_nodes"),
    ("D8", "saint_edges"),
    ("D8", "saint_walks"),
];
