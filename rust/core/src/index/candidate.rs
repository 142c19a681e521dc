//! A row at a distance, in one integer that orders by distance, then by number.

use crate::index::key;

/// The distance's bits, then the row's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate(u64);

impl Candidate {
    #[inline(always)]
    pub fn new(distance: f32, node: u32) -> Self {
        Self(u64::from(key::ordered(distance)) << 32 | u64::from(node))
    }

    #[inline(always)]
    pub fn node(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    pub fn distance(self) -> f32 {
        key::distance((self.0 >> 32) as u32)
    }
}
