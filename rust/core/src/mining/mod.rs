//! Negatives for contrastive training. Miners return row numbers; every loss takes them.

mod best;
mod coarse;
mod draw;
mod eligible;
pub(crate) mod filtered;
pub(crate) mod ground;
pub mod hard;
pub(crate) mod masked;
mod question;
mod search;
pub mod triplets;
mod weighted;

pub use eligible::Lists;
pub use question::{Positives, Question, Settings, Similarity, Skip};

use crate::error::{Error, Result};

/// How negatives are chosen among the eligible rows of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The most similar.
    Hardest,
    /// Less similar than the positive, closest first.
    SemiHard,
    /// Some of the most similar, the rest at random.
    Mixed,
    /// Uniform.
    Random,
    /// With probability ∝ exp(α · similarity).
    DistanceWeighted,
}

impl Strategy {
    pub const ALL: [Self; 5] = [
        Self::Hardest,
        Self::SemiHard,
        Self::Mixed,
        Self::Random,
        Self::DistanceWeighted,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Hardest => "hardest",
            Self::SemiHard => "semi_hard",
            Self::Mixed => "mixed",
            Self::Random => "random",
            Self::DistanceWeighted => "distance_weighted",
        }
    }

    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|strategy| strategy.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join("', '");
                Error::invalid(
                    "strategy",
                    format!("is {name:?} but must be one of '{names}'"),
                )
            })
    }
}
