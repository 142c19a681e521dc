//! Everything in ruvector that must be fast, without Python.
//!
//! Modules stand in dependency order and import upwards only in this list:
//! failures, views and random streams; SIMD kernels; linear algebra; graphs; batches; losses, mining
//! and optimisers; sampling; files; the index.

pub mod error;
pub mod matrix;
pub mod pool;
pub mod real;
pub mod rng;

pub mod simd;

pub mod metric;

pub mod linalg;

pub mod graph;

pub mod batch;

pub mod losses;
pub mod mining;
pub mod optim;

pub mod sampling;

pub mod persist;

pub mod index;

pub use error::{Error, Result};
