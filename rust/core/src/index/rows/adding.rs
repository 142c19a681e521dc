//! Rows that come: what may be stored, room for it, and how it is undone.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::index::bitmap::Bitmap;
use crate::index::changes::{Existing, unknown};
use crate::index::lines::Lines;
use crate::index::room;
use crate::index::vectors::Vectors;
use crate::matrix::Matrix;
use crate::metric::Metric;
use crate::persist::Store;
use crate::pool::Workers;

use super::{Lookup, MAX_ROWS, Rows};

/// Storage that takes the old one's place when rows outgrow it.
pub struct Room {
    vectors: Option<Vectors>,
    codes: Option<Lines>,
    norms: Option<Store<f64>>,
    ids: Option<Store<i64>>,
    lookup: Option<Lookup>,
}

impl Room {
    /// Touches the memory that `more` vectors will take, so that those who read do not wait for it.
    pub fn touch(&mut self, more: usize, workers: &Workers<'_>) -> Result<()> {
        match &mut self.vectors {
            Some(vectors) => vectors.touch(more, workers),
            None => Ok(()),
        }
    }
}

impl Rows {
    /// Appends rows and returns their numbers; nothing is changed on failure.
    ///
    /// Without ids they continue from the largest one.
    pub fn append(
        &mut self,
        vectors: Matrix<'_, f32>,
        ids: Option<&[i64]>,
    ) -> Result<Range<usize>> {
        let ids = self.admit(vectors, ids, Existing::Refuse, &Workers::serial())?;
        let start = self.len();
        self.put(vectors, &ids)?;
        self.show();
        Ok(start..self.len())
    }

    /// The ids under which these vectors can be stored.
    pub fn admit(
        &self,
        vectors: Matrix<'_, f32>,
        ids: Option<&[i64]>,
        existing: Existing,
        workers: &Workers<'_>,
    ) -> Result<Vec<i64>> {
        self.check_writable()?;
        self.space.check(vectors, "vectors", workers)?;
        let end = self.len() + vectors.rows();
        if end > MAX_ROWS {
            return Err(Error::invalid(
                "vectors",
                format!("would make {end} rows but an index holds at most {MAX_ROWS}"),
            ));
        }
        match ids {
            Some(ids) => {
                self.check_ids(ids, vectors.rows(), existing)?;
                Ok(ids.to_vec())
            }
            None => self.next_ids(vectors.rows()),
        }
    }

    /// Room for rows with these ids, to be given to [`Rows::make_room`].
    pub fn room(&self, ids: &[i64]) -> Result<Room> {
        let cosine = self.space.metric == Metric::Cosine;
        let more = ids.len();
        Ok(Room {
            vectors: self.vectors.with_room(more)?,
            codes: match &self.coding.codes {
                Some(codes) => codes.with_room(more)?,
                None => None,
            },
            norms: room::store(&self.norms, if cosine { more } else { 0 })?,
            ids: room::store(&self.ids, more)?,
            lookup: self.lookup_with_room(ids)?,
        })
    }

    /// Moves to a larger place; `room` is left with the old one.
    pub fn make_room(&mut self, room: &mut Room) {
        room::swap(&mut self.vectors, &mut room.vectors);
        if let Some(codes) = &mut self.coding.codes {
            codes.make_room(&mut room.codes);
        }
        room::swap(&mut self.norms, &mut room.norms);
        room::swap(&mut self.ids, &mut room.ids);
        room::swap(&mut self.lookup, &mut room.lookup);
    }

    fn lookup_with_room(&self, more: &[i64]) -> Result<Option<Lookup>> {
        let is_hidden = |row| self.is_hidden(row);
        self.lookup.with_room(&self.ids, is_hidden, more)
    }

    /// Appends pending rows that were admitted. Ids of visible rows lead to those until
    /// [`Rows::show`].
    pub fn put(&mut self, vectors: Matrix<'_, f32>, ids: &[i64]) -> Result<()> {
        let start = self.len();
        let mut lookup = self.lookup_with_room(ids)?;
        room::swap(&mut self.lookup, &mut lookup);
        self.vectors.resize(start + ids.len())?;
        self.hidden.resize(start + ids.len());
        let mut buffer = Vec::new();
        for (i, &id) in (start..).zip(ids) {
            let row = vectors.row(i - start);
            let norm = self.vectors.put(&self.space, i, row, &mut buffer);
            if self.space.metric == Metric::Cosine {
                self.norms.to_mut().push(norm);
            }
            self.ids.to_mut().push(id);
            self.lookup.append(id, i);
        }
        if let Some(codes) = &mut self.coding.codes {
            codes.append(&self.vectors, start..start + ids.len(), &Workers::serial())?;
        }
        self.coding.unseen += ids.len() as u64;
        Ok(())
    }

    /// Forgets all rows from number `len` on, and which were to leave.
    pub fn truncate(&mut self, len: usize) {
        let forgotten = (self.len() - len) as u64;
        self.coding.unseen = self.coding.unseen.saturating_sub(forgotten);
        self.lookup.truncate(len, &self.ids[len..]);
        self.ids.to_mut().truncate(len);
        self.visible = self.visible.min(len);
        self.hidden.resize(len);
        self.leaving = Bitmap::default();
        self.norms.to_mut().truncate(len);
        if let Some(codes) = &mut self.coding.codes {
            codes.truncate(len);
        }
        self.vectors.truncate(len);
    }

    pub(in crate::index) fn check_ids(
        &self,
        ids: &[i64],
        rows: usize,
        existing: Existing,
    ) -> Result<()> {
        if ids.len() != rows {
            return Err(Error::invalid(
                "ids",
                format!("has {} entries but there are {rows} vectors", ids.len()),
            ));
        }
        let mut seen = HashMap::with_capacity(ids.len());
        for (row, &id) in ids.iter().enumerate() {
            if id < 0 {
                return Err(Error::invalid(
                    "ids",
                    format!("holds {id} in row {row} but must not be negative: -1 marks no hit"),
                ));
            }
            match (existing, self.number(id).is_some()) {
                (Existing::Refuse, true) => return Err(Error::DuplicateId { id }),
                (Existing::Require, false) => return Err(unknown(id)),
                _ => {}
            }
            if let Some(first) = seen.insert(id, row) {
                return Err(Error::RepeatedId {
                    id,
                    first,
                    second: row,
                });
            }
        }
        Ok(())
    }

    fn next_ids(&self, rows: usize) -> Result<Vec<i64>> {
        let first = self.largest_id.checked_add(1);
        let fits = first.and_then(|first| first.checked_add(rows as i64).map(|end| first..end));
        fits.map(Iterator::collect).ok_or_else(|| {
            Error::invalid(
                "ids",
                "must be given: the largest id that was ever in the index has no successor",
            )
        })
    }
}
