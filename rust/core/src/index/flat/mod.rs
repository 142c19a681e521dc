//! Exact search: every query is compared with every row.

mod change;
mod search;

use std::path::Path;

use crate::error::Result;
use crate::index::rows::Rows;
use crate::index::space::Space;
use crate::matrix::Matrix;
use crate::metric::Metric;
use crate::persist::{Reader, Writer};

pub use search::nearest;

const KIND: &str = "flat index";

/// An index without structure, and the oracle of the others.
pub struct Flat {
    pub rows: Rows,
}

impl Flat {
    pub fn new(dim: usize, metric: Metric) -> Result<Self> {
        Ok(Self {
            rows: Rows::new(Space::new(dim, metric)?),
        })
    }

    /// Appends vectors and returns their ids; nothing is changed on failure.
    pub fn add(&mut self, vectors: Matrix<'_, f32>, ids: Option<&[i64]>) -> Result<&[i64]> {
        let added = self.rows.append(vectors, ids)?;
        Ok(&self.rows.ids()[added])
    }

    /// Calls `with` with the file's writer.
    fn written<R>(&self, with: impl FnOnce(Writer<'_>) -> Result<R>) -> Result<R> {
        let space = self.rows.space;
        let head = [
            space.code(),
            space.dim as u64,
            self.rows.len() as u64,
            self.rows.largest_id() as u64,
        ];
        with(self.rows.write(Writer::new(KIND).section("head", &head)))
    }

    pub fn save(&self, path: &Path) -> Result<()> {
        self.written(|writer| writer.save(path))
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.written(|writer| writer.bytes())
    }

    pub fn load(path: &Path) -> Result<Self> {
        Self::read(Reader::open(path, KIND)?)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read(Reader::from_bytes(bytes, "state", KIND)?)
    }

    fn read<S: std::io::Read + std::io::Seek>(mut reader: Reader<S>) -> Result<Self> {
        // Formerly there were three values.
        let values = reader.count::<u64>("head").clamp(3, 4);
        let head: Vec<u64> = reader.section("head", values)?;
        let space = Space::of_code(head[0], head[1])
            .ok_or_else(|| reader.damaged("its metric or dimensions are impossible"))?;
        Ok(Self {
            rows: Rows::read(
                &mut reader,
                space,
                head[2] as usize,
                0,
                head.get(3).map(|&id| id as i64),
            )?,
        })
    }
}

#[cfg(test)]
mod tests;
