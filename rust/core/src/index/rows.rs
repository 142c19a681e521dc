//! The rows of an index: vectors, their user ids, and what validates both.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{Read, Seek};
use std::ops::Range;

use crate::error::{Error, Result};
use crate::index::bitmap::Bitmap;
use crate::index::changes::{Existing, unknown};
use crate::index::codes::{Coding, Look, Query, Work};
use crate::index::lines::{Lines, out_of_memory};
use crate::index::memory::{Part, spare, table};
use crate::index::order::Order;
use crate::index::packed::Storage;
use crate::index::room;
use crate::index::space::{Space, norm};
use crate::index::vectors::{Vectors, Views};
use crate::matrix::Matrix;
use crate::metric::Metric;
use crate::persist::{Check, Mapping, Reader, Store, Writer};
use crate::pool::Workers;
use crate::simd::prefetch;

/// An index holds fewer rows than this, so that row numbers fit 31 bits.
pub const MAX_ROWS: usize = (1 << 31) - 1;

/// Vectors and ids by row number: in order of insertion until rows are removed.
///
/// The last rows may be pending: part of a change that is not finished. They can be walked but
/// are not among what users see. A row that is removed is hidden first: its number still leads to
/// its vector, its id to nothing.
pub struct Rows {
    pub space: Space,
    pub(in crate::index) vectors: Vectors,
    pub coding: Coding,
    /// Lengths before normalisation; filled under cosine alone.
    pub(in crate::index) norms: Store<f64>,
    pub(super) ids: Store<i64>,
    /// Empty while the rows are mapped.
    pub(super) numbers: HashMap<i64, u32>,
    pub(super) hidden: Bitmap,
    /// Rows that the change under way will hide.
    pub(super) leaving: Bitmap,
    /// The largest there ever was, so that ids are not given twice; -1 while there was none.
    pub(super) largest_id: i64,
    /// The file that the rows lie in, and what finds their ids there.
    mapped: Option<(Mapping, Order)>,
    /// Rows from this number on are pending.
    pub(super) visible: usize,
}

/// Storage that takes the old one's place when rows outgrow it.
pub struct Room {
    vectors: Option<Vectors>,
    codes: Option<Lines>,
    norms: Option<Store<f64>>,
    ids: Option<Store<i64>>,
    numbers: Option<HashMap<i64, u32>>,
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
    pub fn new(space: Space, storage: Storage) -> Self {
        Self {
            space,
            vectors: Vectors::new(space.dim, storage),
            coding: Coding::default(),
            norms: Store::default(),
            ids: Store::default(),
            numbers: HashMap::new(),
            hidden: Bitmap::default(),
            leaving: Bitmap::default(),
            largest_id: -1,
            mapped: None,
            visible: 0,
        }
    }

    /// All rows, pending and hidden ones too.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids of all rows, pending ones too.
    pub fn ids(&self) -> &[i64] {
        &self.ids
    }

    /// How many rows are not pending: those with smaller numbers.
    pub fn visible(&self) -> usize {
        self.visible
    }

    pub fn has_pending(&self) -> bool {
        self.visible < self.len()
    }

    /// Makes pending rows visible and hides those that were to leave.
    pub fn show(&mut self) {
        let leaving = std::mem::take(&mut self.leaving);
        leaving.rows().for_each(|row| self.hide(row));
        for row in self.visible..self.ids.len() {
            let id = self.ids[row];
            self.largest_id = self.largest_id.max(id);
            if leaving.count() > 0 {
                self.numbers.insert(id, row as u32);
            }
        }
        self.visible = self.ids.len();
    }

    /// The number of the visible row with this id.
    pub fn number(&self, id: i64) -> Option<usize> {
        if let Some((_, order)) = &self.mapped {
            return order.find(&self.ids, id);
        }
        let number = *self.numbers.get(&id)? as usize;
        (number < self.visible).then_some(number)
    }

    /// The file that the rows lie in, if they are mapped.
    pub fn mapping(&self) -> Option<&Mapping> {
        self.mapped.as_ref().map(|(mapping, _)| mapping)
    }

    /// Fails if the rows are mapped; what changes them asks first.
    pub fn check_writable(&self) -> Result<()> {
        match self.mapping() {
            Some(mapping) => Err(mapping.read_only()),
            None => Ok(()),
        }
    }

    /// Compares the checksums of the file that the rows are mapped from.
    pub fn verify(&self, workers: &Workers<'_>) -> Result<()> {
        match self.mapping() {
            Some(mapping) => mapping.verify(workers),
            None => Ok(()),
        }
    }

    /// What is kept of the vectors.
    pub fn storage(&self) -> Storage {
        self.vectors.storage()
    }

    /// Row `i` as it is stored, filled up with zeros: where it lies, or unpacked into `buffer`.
    #[inline(always)]
    pub fn view<'a>(&'a self, i: usize, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        self.vectors.view(i, buffer)
    }

    /// The views of several rows.
    pub fn views<'a>(
        &'a self,
        rows: impl Iterator<Item = usize> + Clone,
        buffer: &'a mut Vec<f32>,
    ) -> Vec<&'a [f32]> {
        self.vectors.views(rows, buffer)
    }

    /// The distance of row `i` from a vector as [`Space::store`] leaves it.
    #[inline(always)]
    pub fn distance(&self, vector: &[f32], i: usize) -> f32 {
        self.vectors.distance(&self.space, vector, i)
    }

    /// The distance between two stored rows, for ordering: that of their codes where there are any.
    #[inline(always)]
    pub fn between(&self, a: usize, b: usize) -> f32 {
        self.between_by(false, a, b)
    }

    /// As [`Rows::between`], or that of the vectors.
    #[inline(always)]
    pub fn between_by(&self, exact: bool, a: usize, b: usize) -> f32 {
        match &self.coding.codes {
            Some(codes) if !exact => codes.between(a, b),
            _ => self.vectors.between(&self.space, a, b),
        }
    }

    /// Whether two rows hold the same vector.
    pub fn same(&self, a: usize, b: usize) -> bool {
        a == b || self.vectors.same(a, b)
    }

    /// Asks for up to `lines` cache lines of row `i` ahead of its use.
    #[inline(always)]
    pub fn ask_for(&self, i: usize, lines: usize) {
        self.vectors.ask_for(i, lines);
    }

    /// The distances of a row from four vectors, the same bits.
    #[inline]
    pub fn four_distances(&self, vectors: [&[f32]; 4], i: usize) -> [f32; 4] {
        self.vectors.four_distances(&self.space, vectors, i)
    }

    /// Asks for the code of row `i` ahead of its use.
    #[inline(always)]
    pub fn ask_for_code(&self, i: usize) {
        if let Some(codes) = &self.coding.codes {
            prefetch(codes.code(i), usize::MAX);
        }
    }

    /// Makes `query` the code of row `i`, if there are codes.
    pub fn aim(&self, i: usize, query: &mut Query) {
        if let Some(codes) = &self.coding.codes {
            query.set(codes.code(i));
        }
    }

    /// Makes `query` the code of a vector as [`Space::store`] leaves it, if there are codes.
    pub fn aim_at(&self, vector: &[f32], work: &mut Work, query: &mut Query) {
        if let Some(codes) = &self.coding.codes {
            codes.encode(vector, work, query);
        }
    }

    /// Whether the rows are to be coded in another way from now on.
    pub fn recode(&self, workers: &Workers<'_>) -> Result<Look> {
        self.coding
            .look(&self.space, &self.vectors, self.len(), workers)
    }

    /// The vectors of `ids` as they were added, up to rounding under cosine.
    pub fn get(&self, ids: &[i64]) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(ids.len() * self.space.dim);
        for &id in ids {
            let Some(i) = self.number(id) else {
                return Err(unknown(id));
            };
            self.extend_with_original(&mut values, i);
        }
        Ok(values)
    }

    /// Appends row `i` as it was added.
    pub(super) fn extend_with_original(&self, values: &mut Vec<f32>, i: usize) {
        let mut buffer = Vec::new();
        let row = &self.view(i, &mut buffer)[..self.space.dim];
        match self.norms.get(i) {
            Some(&norm) => values.extend(row.iter().map(|&x| (f64::from(x) * norm) as f32)),
            None => values.extend_from_slice(row),
        }
    }

    /// Appends rows and returns their numbers; nothing is changed on failure.
    ///
    /// Without ids they continue from the largest one.
    pub fn append(
        &mut self,
        vectors: Matrix<'_, f32>,
        ids: Option<&[i64]>,
    ) -> Result<Range<usize>> {
        let ids = self.admit(vectors, ids, Existing::Refuse)?;
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
    ) -> Result<Vec<i64>> {
        self.check_writable()?;
        self.space.check(vectors, "vectors")?;
        self.storage().check(vectors, self.space.metric)?;
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

    /// Room for `more` rows, to be given to [`Rows::make_room`].
    pub fn room(&self, more: usize) -> Result<Room> {
        let cosine = self.space.metric == Metric::Cosine;
        let wanted = self.len() + more;
        let mut numbers = None;
        if wanted > self.numbers.capacity() {
            let mut copy = HashMap::new();
            copy.try_reserve(wanted.max(2 * self.len()))
                .map_err(|_| out_of_memory())?;
            copy.extend(self.numbers.iter());
            numbers = Some(copy);
        }
        Ok(Room {
            vectors: self.vectors.with_room(more)?,
            codes: match &self.coding.codes {
                Some(codes) => codes.with_room(more)?,
                None => None,
            },
            norms: room::store(&self.norms, if cosine { more } else { 0 })?,
            ids: room::store(&self.ids, more)?,
            numbers,
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
        room::swap(&mut self.numbers, &mut room.numbers);
    }

    /// Appends pending rows that were admitted. Ids of visible rows lead to those until
    /// [`Rows::show`].
    pub fn put(&mut self, vectors: Matrix<'_, f32>, ids: &[i64]) -> Result<()> {
        let start = self.len();
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
            self.numbers.entry(id).or_insert(i as u32);
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
        for id in self.ids.to_mut().drain(len..) {
            if let Entry::Occupied(entry) = self.numbers.entry(id)
                && *entry.get() as usize >= len
            {
                entry.remove();
            }
        }
        self.visible = self.visible.min(len);
        self.hidden.resize(len);
        self.leaving = Bitmap::default();
        self.norms.to_mut().truncate(len);
        if let Some(codes) = &mut self.coding.codes {
            codes.truncate(len);
        }
        self.vectors.truncate(len);
    }

    pub(super) fn check_ids(&self, ids: &[i64], rows: usize, existing: Existing) -> Result<()> {
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
            match (existing, self.numbers.contains_key(&id)) {
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

    /// Bytes of vectors, and of ids with their lookup.
    pub fn bytes(&self) -> (usize, usize) {
        let vectors = self.vectors.memory() + size_of_val(&*self.norms);
        let table = self.numbers.capacity() * (size_of::<(i64, u32)>() + 1);
        let order = self.mapped.as_ref().map_or(0, |(_, order)| order.bytes());
        let lookup = table + order;
        (vectors, size_of_val(self.ids()) + lookup)
    }

    /// Bytes by part, and those reserved beyond.
    pub fn memory(&self) -> (Vec<Part>, usize) {
        let (vectors, _) = self.bytes();
        let parts = vec![
            ("vectors", vectors),
            ("codes", self.coding.memory()),
            ("ids", size_of_val(self.ids())),
            (
                "lookup",
                table(&self.numbers) + size_of_val(self.hidden.words()),
            ),
        ];
        let reserved =
            self.vectors.spare() + self.coding.spare() + spare(&self.norms) + spare(&self.ids);
        (parts, reserved)
    }

    /// Adds the visible rows' sections to a file.
    pub fn write<'a>(&'a self, writer: Writer<'a>) -> Writer<'a> {
        let writer = writer.section("ids", &self.ids[..self.visible]);
        self.vectors
            .write(writer, self.visible)
            .section("norms", &self.norms[..self.visible.min(self.norms.len())])
            .section("hidden", self.hidden_words())
    }

    /// Reads `len` rows back, or where they lie: then vectors can be any bits. `hidden` of them
    /// are hidden; without `largest_id` it is that of the rows.
    pub fn read<S: Read + Seek>(
        reader: &mut Reader<'_, S>,
        space: Space,
        storage: Storage,
        len: usize,
        hidden: usize,
        largest_id: Option<i64>,
    ) -> Result<Self> {
        if len > MAX_ROWS {
            return Err(reader.damaged("it claims too many rows"));
        }
        let cosine = space.metric == Metric::Cosine;
        let ids: Store<i64> = reader.store("ids", len, Check::Now)?;
        let vectors = Vectors::read(reader, space.dim, storage, len)?;
        let norms = reader.store("norms", if cosine { len } else { 0 }, Check::Now)?;
        let hidden = match hidden {
            // Files of format 1 have no such section.
            0 if !reader.has("hidden") => Bitmap::new(len),
            0 => reader
                .section::<u64>("hidden", 0)
                .map(|_| Bitmap::new(len))?,
            count => Bitmap::from_words(reader.section("hidden", len.div_ceil(64))?, len)
                .filter(|hidden| hidden.count() == count)
                .ok_or_else(|| reader.damaged("its hidden rows are impossible"))?,
        };
        let largest = ids.iter().copied().max().unwrap_or(-1);
        if largest_id.is_some_and(|id| id < largest) {
            return Err(reader.damaged("it holds ids beyond the largest"));
        }
        let mut rows = Self {
            largest_id: largest_id.unwrap_or(largest),
            hidden,
            leaving: Bitmap::default(),
            space,
            vectors,
            coding: Coding::default(),
            norms,
            ids,
            numbers: HashMap::new(),
            mapped: None,
            visible: len,
        };
        if let Some(mapping) = reader.mapping() {
            if rows.ids.iter().any(|&id| id < 0) {
                return Err(reader.damaged("an id is negative"));
            }
            let order = Order::of_live(&rows.ids, &rows.hidden);
            let order = order.ok_or_else(|| reader.damaged("an id occurs twice"))?;
            rows.mapped = Some((mapping, order));
            return Ok(rows);
        }
        rows.numbers.try_reserve(len).map_err(|_| out_of_memory())?;
        let numbered = rows.ids.iter().copied().zip(0u32..);
        let hidden = &rows.hidden;
        let live = numbered.filter(|&(_, row)| !hidden.contains(row as usize));
        rows.numbers.extend(live);
        rows.check().map_err(|problem| reader.damaged(&problem))?;
        Ok(rows)
    }

    /// Encodes all rows anew and compares their codes, if there are any; fails for the first that
    /// is another.
    pub fn check_codes(&self, workers: &Workers<'_>) -> Result<()> {
        let Some(codes) = &self.coding.codes else {
            return Ok(());
        };
        match codes.first_wrong(&self.vectors, workers)? {
            None => Ok(()),
            Some(row) => Err(Error::corrupt(format!(
                "the index is damaged: the code of row {row} is not that of its vector; \
                 build it again"
            ))),
        }
    }

    /// What is wrong with the rows, if anything.
    pub fn check(&self) -> std::result::Result<(), String> {
        let cosine = self.space.metric == Metric::Cosine;
        if self.hidden.len() != self.len() {
            return Err(format!("{} rows can be hidden", self.hidden.len()));
        }
        // The order of mapped rows exists because their ids differ.
        let listed = self.mapped.is_none();
        if listed && !self.has_pending() && self.numbers.len() != self.live() {
            return Err("an id occurs twice".into());
        }
        let mut buffer = Vec::new();
        for (i, &id) in self.ids[..self.visible].iter().enumerate() {
            let leads = || self.numbers.get(&id) == Some(&(i as u32));
            if id < 0 || (listed && leads() != self.is_live(i)) {
                return Err(format!("id {id} of row {i} is negative or leads elsewhere"));
            }
            let view = self.view(i, &mut buffer);
            let (row, padding) = view.split_at(self.space.dim);
            if padding.iter().any(|&x| x != 0.0) {
                return Err(format!("row {i} has values after its end"));
            }
            // No sum of squares of finite f32 overflows f64.
            let length = norm(row);
            if !length.is_finite() {
                return Err(format!("row {i} holds NaN or infinity"));
            }
            if !cosine && length > super::space::MAX_NORM {
                return Err(format!("row {i} is too long"));
            }
            if let Some(&norm) = self.norms.get(i) {
                let unit = if norm > 0.0 { 1.0 } else { 0.0 };
                if !norm.is_finite() || norm < 0.0 || (length - unit).abs() > 1e-3 {
                    return Err(format!("row {i} has length {length}, not {unit}"));
                }
            }
        }
        Ok(())
    }
}
