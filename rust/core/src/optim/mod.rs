//! Optimisers: one fused sweep over weights, gradients and state.
//!
//! The rules are those of `torch.optim`, term by term. A sweep is never interrupted: a late
//! Ctrl-C is better than half-updated weights.

pub mod adam;
pub mod sgd;
pub mod sparse_adam;
mod sweep;

pub use sweep::{first_not_finite, squared_norm};

/// Every optimiser; the Python package has a class for each.
pub const NAMES: [&str; 4] = ["sgd", "adam", "adamw", "sparse_adam"];
