//! Indexes that find the nearest of many stored vectors.
//!
//! [`flat`] compares with every row and is exact; [`hnsw`] walks a graph. Both keep their rows in
//! a [`rows::Rows`] and answer with [`hits::Hits`].

pub mod allowed;
pub mod bitmap;
pub mod candidate;
pub mod changes;
pub mod codes;
pub mod flat;
pub mod gate;
pub mod hits;
pub mod hnsw;
pub mod key;
pub mod least;
pub mod lines;
pub mod memory;
pub mod order;
pub mod packed;
pub mod ranges;
pub mod room;
pub mod rows;
pub mod scan;
pub mod shared;
pub mod sift;
pub mod slices;
pub mod space;
pub mod vectors;
