//! Exact search: every query is compared with every row.
//!
//! Batches go through matrix products, which tell nearly all rows to be too far; the others are
//! compared one by one, so that results are those of comparing everything.

mod adding;
mod among;
mod best;
mod bounds;
mod change;
mod direct;
mod numbers;
mod product;
mod scan;
mod search;
mod shortlist;
mod within;

use std::path::Path;

use crate::error::{Error, Result};
use crate::index::memory::{Part, SPARE};
use crate::index::packed::Storage;
use crate::index::rows::Rows;
use crate::index::space::Space;
use crate::matrix::Matrix;
use crate::metric::Metric;
use crate::persist::{Reader, Writer};
use crate::pool::Workers;

pub use adding::{Adding, CHUNK};
pub use search::{exact, nearest};

const KIND: &str = "flat index";

/// An index without structure, and the oracle of the others.
pub struct Flat {
    pub rows: Rows,
}

impl Flat {
    pub fn new(dim: usize, metric: Metric) -> Result<Self> {
        Ok(Self {
            rows: Rows::new(Space::new(dim, metric)?, Storage::Float32),
        })
    }

    /// Appends vectors and returns their ids; nothing is changed on failure.
    pub fn add(&mut self, vectors: Matrix<'_, f32>, ids: Option<&[i64]>) -> Result<&[i64]> {
        let added = self.rows.append(vectors, ids)?;
        Ok(&self.rows.ids()[added])
    }

    /// Bytes by part.
    pub fn memory(&self) -> Vec<Part> {
        let (mut parts, spare) = self.rows.memory();
        parts.push((SPARE, spare));
        parts
    }

    /// Calls `with` with the file's writer.
    fn written<R>(&self, with: impl FnOnce(Writer<'_>) -> Result<R>) -> Result<R> {
        let space = self.rows.space;
        let head = [
            space.code(),
            space.dim as u64,
            self.rows.visible() as u64,
            self.rows.largest_id() as u64,
        ];
        with(self.rows.write(Writer::new(KIND).section("head", &head)))
    }

    /// Writes the index to `path`, whole or not at all.
    pub fn save(&self, path: &Path, workers: &Workers<'_>) -> Result<()> {
        self.rows.verify(workers)?;
        self.written(|writer| writer.save(path, workers))
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.rows.verify(&Workers::serial())?;
        self.written(|writer| writer.bytes())
    }

    pub fn load(path: &Path, workers: &Workers<'_>) -> Result<Self> {
        Self::read(Reader::open(path, KIND, workers)?)
    }

    /// Opens the index where it lies, to be searched but not changed.
    pub fn map(path: &Path, workers: &Workers<'_>) -> Result<Self> {
        Self::read(Reader::map(path, KIND, workers)?)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read(Reader::from_bytes(
            bytes,
            "state",
            KIND,
            &Workers::serial(),
        )?)
    }

    /// Looks for broken invariants, and before that for a mapped file's wrong checksums.
    pub fn verify(&self, workers: &Workers<'_>) -> Result<()> {
        self.rows.verify(workers)?;
        self.rows.check().map_err(|problem| {
            Error::corrupt(format!("the index is damaged: {problem}; build it again"))
        })
    }

    fn read<S: std::io::Read + std::io::Seek>(mut reader: Reader<'_, S>) -> Result<Self> {
        let values = if reader.version() == 1 { 3 } else { 4 };
        let head: Vec<u64> = reader.section("head", values)?;
        let space = Space::of_code(head[0], head[1])
            .ok_or_else(|| reader.damaged("its metric or dimensions are impossible"))?;
        Ok(Self {
            rows: Rows::read(
                &mut reader,
                space,
                Storage::Float32,
                head[2] as usize,
                0,
                head.get(3).map(|&id| id as i64),
            )?,
        })
    }
}

#[cfg(test)]
mod product_tests;
#[cfg(test)]
mod tests;
