//! The index as a file: the graph itself, so that loading builds nothing.

use std::io::{Read, Seek};
use std::path::Path;

use crate::error::{Error, Result};
use crate::index::codes::{Coding, Look};
use crate::index::packed::Storage;
use crate::index::rows::{MAX_ROWS, Rows};
use crate::index::space::Space;
use crate::persist::{Check, Reader, Writer};
use crate::pool::Workers;

use super::Hnsw;
use super::graph::Graph;
use super::guards::Guards;
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
        let graph = self.settled();
        let guards = graph.guards.all();
        let head = [
            self.rows.space.code(),
            self.rows.space.dim as u64,
            m as u64,
            ef_construction as u64,
            seed,
            self.rows.visible() as u64,
            u64::from(graph.entry),
            graph.drawn,
            self.rows.largest_id() as u64,
            (self.rows.visible() - self.rows.live()) as u64,
        ];
        let storage = [self.rows.storage().code()];
        // A change that is under way may have coded all rows anew, and looked at the new ones.
        let journal = self.pending.as_ref();
        let coding = journal.and_then(|journal| journal.coding.as_ref());
        let coding = coding.unwrap_or(&self.rows.coding);
        let unseen = journal.and_then(|journal| journal.unseen);
        let unseen = unseen.unwrap_or(coding.unseen);
        let pending = self.rows.len() - self.rows.visible();
        let coding_head = coding.head(unseen.saturating_sub(pending as u64));
        let writer = Writer::new(KIND)
            .section("head", &head)
            .section("storage", &storage)
            .section("coding", &coding_head);
        with(
            coding
                .write(self.rows.write(writer), self.rows.visible())
                .section("levels", &graph.levels)
                .section("links", &graph.base)
                .section("upper links", &graph.upper)
                .section("parents", &graph.parents)
                .section("guards", &guards),
        )
    }

    /// Writes the index to `path`, whole or not at all.
    pub fn save(&self, path: &Path, workers: &Workers<'_>) -> Result<()> {
        self.rows.verify(workers)?;
        self.written(|writer| writer.save(path, workers))
    }

    /// The bytes that [`Hnsw::save`] writes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.rows.verify(&Workers::serial())?;
        self.written(|writer| writer.bytes())
    }

    pub fn load(path: &Path, workers: &Workers<'_>) -> Result<Self> {
        Self::read(Reader::open(path, KIND, workers)?)
    }

    /// Opens the index where it lies, to be searched but not changed.
    ///
    /// Enough is checked for searches to do no harm; [`Hnsw::verify`] checks the rest.
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

    /// Looks for broken invariants, before that for a mapped file's wrong checksums, and after it
    /// for codes that are not their rows'. The last do not break searches, only find less: so they
    /// are no invariant, and no file is refused for them.
    pub fn verify(&self, workers: &Workers<'_>) -> Result<()> {
        self.rows.verify(workers)?;
        self.check().map_err(|problem| {
            Error::corrupt(format!("the index is damaged: {problem}; build it again"))
        })?;
        self.rows.check_codes(workers)
    }

    fn read<S: Read + Seek>(mut reader: Reader<'_, S>) -> Result<Self> {
        let values = if reader.version() == 1 { 7 } else { 10 };
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
        if len > MAX_ROWS {
            return Err(reader.damaged(impossible));
        }
        let entry = u32::try_from(head[6]).map_err(|_| reader.damaged(impossible))?;
        // Older files hold float32 alone and do not say so.
        let storage = reader.section_if_present::<u64>("storage", 1)?;
        let storage = Storage::of_code(storage.map_or(0, |storage| storage[0]))
            .ok_or_else(|| reader.damaged(impossible))?;
        let mut rows = Rows::read(&mut reader, space, storage, len, hidden, largest_id)?;
        match Coding::read(&mut reader, &space, len)? {
            Some(coding) => rows.coding = coding,
            // Files of format 1 have no codes.
            None if !reader.is_mapped() => {
                if let Look::Renewed(coding) = rows.recode(reader.workers())? {
                    rows.coding = *coding;
                }
            }
            None => {}
        }
        let levels = reader.store::<u8>("levels", len, Check::Now)?;
        let lists: usize = levels.iter().map(|&level| usize::from(level)).sum();
        let base = reader.store(
            "links",
            len.saturating_mul(params.capacity(0)),
            Check::Later,
        )?;
        let upper = reader.store(
            "upper links",
            lists.saturating_mul(params.capacity(1)),
            Check::Later,
        )?;
        let parents = reader.store("parents", len, Check::Later)?;
        let guards = Guards::of(&reader.store("guards", len, Check::Later)?);
        if u32::try_from(lists).is_err() {
            return Err(reader.damaged(impossible));
        }
        let index = Self {
            rows,
            graph: Graph::from_parts(params, base, upper, levels, parents, guards, entry, drawn)?,
            pending: None,
            scratches: Scratches::default(),
            filter_scratches: Scratches::default(),
        };
        // Nothing is followed before it is known to lead somewhere.
        let found = if reader.is_mapped() {
            index.graph.check_walks()
        } else {
            index.graph.check()
        };
        found.map_err(|problem| reader.damaged(&problem))?;
        Ok(index)
    }
}
