//! What an index is built with.

use crate::error::{Error, Result};
use crate::rng::Stream;

/// No level is higher: more than any index needs, and few enough for a byte.
pub const MAX_LEVEL: u8 = 63;

/// Build parameters (Malkov and Yashunin 2018).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Most links of a row on each level; on level 0 twice as many.
    pub m: usize,
    /// Candidates from which a new row's links are chosen.
    pub ef_construction: usize,
    /// Decides the rows' levels.
    pub seed: u64,
}

impl Params {
    pub fn new(m: usize, ef_construction: usize, seed: u64) -> Result<Self> {
        if !(2..=128).contains(&m) {
            return Err(Error::invalid(
                "m",
                format!("is {m} but must be between 2 and 128"),
            ));
        }
        if !(1..=1 << 20).contains(&ef_construction) {
            return Err(Error::invalid(
                "ef_construction",
                format!("is {ef_construction} but must be between 1 and {}", 1 << 20),
            ));
        }
        Ok(Self {
            m,
            ef_construction,
            seed,
        })
    }

    /// Links a row may have on `level`.
    pub fn capacity(&self, level: u8) -> usize {
        if level == 0 { 2 * self.m } else { self.m }
    }

    /// The level of the row that is the `number`th ever: geometric with ratio 1/m.
    pub fn level(&self, number: u64) -> u8 {
        let uniform = 1.0 - Stream::new(self.seed, number).uniform();
        let level = -uniform.ln() / (self.m as f64).ln();
        (level as u8).min(MAX_LEVEL)
    }
}
