//! The index as a file: the graph itself, so that loading builds nothing.

use std::io::{Read, Seek};
use std::path::Path;

use crate::error::Result;
use crate::index::rows::{MAX_ROWS, Rows};
use crate::index::space::Space;
use crate::persist::{Reader, Writer};

use super::Hnsw;
use super::graph::Graph;
use super::params::Params;
use super::scratch::Scratches;

const KIND: &str = "hnsw index";

impl Hnsw {
    /// Calls `with` with the file's writer.
    fn written<R>(&self, with: impl FnOnce(Writer<'_>) -> Result<R>) -> Result<R> {
        let Params {
            m,
            ef_construction,
            seed,
        } = self.graph.params;
        let head = [
            self.rows.space.code(),
            self.rows.space.dim as u64,
            m as u64,
            ef_construction as u64,
            seed,
            self.rows.len() as u64,
            u64::from(self.graph.entry),
            self.graph.drawn,
            self.rows.largest_id() as u64,
            (self.rows.len() - self.rows.live()) as u64,
        ];
        let writer = Writer::new(KIND).section("head", &head);
        with(
            self.rows
                .write(writer)
                .section("levels", &self.graph.levels)
                .section("links", &self.graph.base)
                .section("upper links", &self.graph.upper)
                .section("parents", &self.graph.parents)
                .section("guards", &self.graph.guards),
        )
    }

    /// Writes the index to `path`, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.written(|writer| writer.save(path))
    }

    /// The bytes that [`Hnsw::save`] writes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.written(|writer| writer.bytes())
    }

    pub fn load(path: &Path) -> Result<Self> {
        Self::read(Reader::open(path, KIND)?)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read(Reader::from_bytes(bytes, "state", KIND)?)
    }

    fn read<S: Read + Seek>(mut reader: Reader<S>) -> Result<Self> {
        // Formerly there were seven values.
        let values = if reader.count::<u64>("head") == 7 {
            7
        } else {
            10
        };
        let head: Vec<u64> = reader.section("head", values)?;
        let (drawn, largest_id, hidden) = match head[7..] {
            [drawn, largest_id, hidden] => (drawn, Some(largest_id as i64), hidden as usize),
            _ => (head[5], None, 0),
        };
        let impossible = "its parameters are impossible";
        let space = Space::of_code(head[0], head[1]).ok_or_else(|| reader.damaged(impossible))?;
        let params = Params::new(head[2] as usize, head[3] as usize, head[4])
            .map_err(|_| reader.damaged(impossible))?;
        let len = head[5] as usize;
        if len > MAX_ROWS || drawn < head[5] || drawn > 1 << 62 {
            return Err(reader.damaged(impossible));
        }
        let entry = u32::try_from(head[6]).map_err(|_| reader.damaged(impossible))?;
        let rows = Rows::read(&mut reader, space, len, hidden, largest_id)?;
        let levels: Vec<u8> = reader.section("levels", len)?;
        let lists: usize = levels.iter().map(|&level| usize::from(level)).sum();
        let base = reader.section("links", len * params.capacity(0))?;
        let upper = reader.section("upper links", lists * params.capacity(1))?;
        let parents = reader.section("parents", len)?;
        let guards = reader.section("guards", len)?;
        if u32::try_from(lists).is_err() {
            return Err(reader.damaged(impossible));
        }
        let index = Self {
            rows,
            graph: Graph::from_parts(params, base, upper, levels, parents, guards, entry, drawn),
            scratches: Scratches::default(),
        };
        // Nothing is followed before it is known to lead somewhere.
        index
            .graph
            .check()
            .map_err(|problem| reader.damaged(&problem))?;
        Ok(index)
    }
}
