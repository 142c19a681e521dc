//! Indexes that find the nearest of many stored vectors.
//!
//! [`flat`] compares with every row and is exact; [`hnsw`] walks a graph. Both keep their rows in
//! a [`rows::Rows`] and answer with [`hits::Hits`].

pub mod bitmap;
pub mod candidate;
pub mod codes;
pub mod flat;
pub mod hits;
pub mod hnsw;
pub mod key;
pub mod lines;
pub mod rows;
pub mod space;
