//! The rows of an index: vectors, their user ids, and what validates both.

use std::collections::HashMap;
use std::io::{Read, Seek};
use std::ops::Range;

use crate::error::{Error, Result};
use crate::index::bitmap::Bitmap;
use crate::index::changes::{Existing, unknown};
use crate::index::lines::{Line, Lines, out_of_memory};
use crate::index::space::Space;
use crate::matrix::Matrix;
use crate::metric::Metric;
use crate::persist::{Reader, Writer};

/// An index holds fewer rows than this, so that row numbers fit 31 bits.
pub const MAX_ROWS: usize = (1 << 31) - 1;

/// Vectors and ids by row number: in order of insertion until rows are removed.
///
/// A removed row is hidden first: its number still leads to its vector, its id to nothing.
pub struct Rows {
    pub space: Space,
    pub(in crate::index) vectors: Lines,
    /// Lengths before normalisation; filled under cosine alone.
    pub(in crate::index) norms: Vec<f64>,
    pub(super) ids: Vec<i64>,
    pub(super) numbers: HashMap<i64, u32>,
    pub(super) hidden: Bitmap,
    /// The largest there ever was, so that ids are not given twice; -1 while there was none.
    pub(super) largest_id: i64,
}

impl Rows {
    pub fn new(space: Space) -> Self {
        Self {
            space,
            vectors: Lines::new(space.dim),
            norms: Vec::new(),
            ids: Vec::new(),
            numbers: HashMap::new(),
            hidden: Bitmap::default(),
            largest_id: -1,
        }
    }

    /// How many numbers there are, those of hidden rows among them.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub fn ids(&self) -> &[i64] {
        &self.ids
    }

    /// The number of the row with this id.
    pub fn number(&self, id: i64) -> Option<usize> {
        self.numbers.get(&id).map(|&number| number as usize)
    }

    /// Row `i` as it is stored.
    #[inline(always)]
    pub fn stored(&self, i: usize) -> &[f32] {
        self.vectors.row(i)
    }

    /// The distance between two stored rows.
    #[inline(always)]
    pub fn between(&self, a: usize, b: usize) -> f32 {
        self.space.distance(self.stored(a), self.stored(b))
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
        let row = &self.stored(i)[..self.space.dim];
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
        Ok(self.append_over(vectors, ids, Existing::Refuse)?.0)
    }

    /// [`Rows::append`], which hides the rows whose ids are given again and returns their numbers.
    pub fn append_over(
        &mut self,
        vectors: Matrix<'_, f32>,
        ids: Option<&[i64]>,
        existing: Existing,
    ) -> Result<(Range<usize>, Vec<usize>)> {
        self.space.check(vectors, "vectors")?;
        let start = self.len();
        let end = start + vectors.rows();
        if end > MAX_ROWS {
            return Err(Error::invalid(
                "vectors",
                format!("would make {end} rows but an index holds at most {MAX_ROWS}"),
            ));
        }
        let ids = match ids {
            Some(ids) => {
                self.check_ids(ids, vectors.rows(), existing)?;
                ids.to_vec()
            }
            None => self.next_ids(vectors.rows())?,
        };
        self.vectors.resize(end)?;
        self.hidden.resize(end);
        let replaced: Vec<usize> = ids.iter().filter_map(|&id| self.number(id)).collect();
        replaced.iter().for_each(|&row| self.hide(row));
        for (i, id) in (start..end).zip(ids) {
            let row = vectors.row(i - start);
            let norm = self.space.store(row, self.vectors.row_mut(i));
            if self.space.metric == Metric::Cosine {
                self.norms.push(norm);
            }
            self.ids.push(id);
            self.numbers.insert(id, i as u32);
            self.largest_id = self.largest_id.max(id);
        }
        Ok((start..end, replaced))
    }

    /// Forgets all rows from number `len` on, and that there was an id beyond `largest_id`.
    pub fn truncate(&mut self, len: usize, largest_id: i64) {
        for id in self.ids.drain(len..) {
            self.numbers.remove(&id);
        }
        self.largest_id = largest_id;
        self.hidden.resize(len);
        self.norms.truncate(len);
        // Shrinking does not allocate.
        let _ = self.vectors.resize(len);
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
        let vectors = size_of_val(self.vectors.data()) + size_of_val(self.norms.as_slice());
        let lookup = self.numbers.capacity() * (size_of::<(i64, u32)>() + 1);
        (vectors, size_of_val(self.ids()) + lookup)
    }

    /// Adds the rows' sections to a file.
    pub fn write<'a>(&'a self, writer: Writer<'a>) -> Writer<'a> {
        writer
            .section("ids", &self.ids)
            .section("vectors", self.vectors.data())
            .section("norms", &self.norms)
            .section("hidden", self.hidden_words())
    }

    /// Reads `len` rows back, of which `hidden` are hidden; without `largest_id` it is that of
    /// the rows.
    pub fn read<S: Read + Seek>(
        reader: &mut Reader<S>,
        space: Space,
        len: usize,
        hidden: usize,
        largest_id: Option<i64>,
    ) -> Result<Self> {
        if len > MAX_ROWS {
            return Err(reader.damaged("it claims too many rows"));
        }
        let cosine = space.metric == Metric::Cosine;
        let ids: Vec<i64> = reader.section("ids", len)?;
        let lines = Lines::new(space.dim).per_row() * len;
        let vectors = Lines::from_data(reader.section::<Line>("vectors", lines)?, space.dim);
        let norms = reader.section("norms", if cosine { len } else { 0 })?;
        let hidden = match hidden {
            0 => Bitmap::new(len),
            count => Bitmap::from_words(reader.section("hidden", len.div_ceil(64))?, len)
                .filter(|hidden| hidden.count() == count)
                .ok_or_else(|| reader.damaged("its hidden rows are impossible"))?,
        };
        let mut numbers = HashMap::new();
        numbers.try_reserve(len).map_err(|_| out_of_memory())?;
        let live = ids.iter().enumerate().filter(|(i, _)| !hidden.contains(*i));
        numbers.extend(live.map(|(i, &id)| (id, i as u32)));
        let largest = ids.iter().copied().max().unwrap_or(-1);
        if largest_id.is_some_and(|id| id < largest) {
            return Err(reader.damaged("it holds ids beyond the largest"));
        }
        let rows = Self {
            largest_id: largest_id.unwrap_or(largest),
            hidden,
            space,
            vectors,
            norms,
            ids,
            numbers,
        };
        rows.check().map_err(|problem| reader.damaged(&problem))?;
        Ok(rows)
    }

    /// What is wrong with the rows, if anything.
    pub fn check(&self) -> std::result::Result<(), String> {
        let cosine = self.space.metric == Metric::Cosine;
        if self.hidden.len() != self.len() {
            return Err(format!("{} rows can be hidden", self.hidden.len()));
        }
        if self.numbers.len() != self.live() {
            return Err("an id occurs twice".into());
        }
        for (i, &id) in self.ids.iter().enumerate() {
            if id < 0 || (self.number(id) == Some(i)) != self.is_live(i) {
                return Err(format!("id {id} of row {i} is negative or leads elsewhere"));
            }
            let (row, padding) = self.stored(i).split_at(self.space.dim);
            if padding.iter().any(|&x| x != 0.0) {
                return Err(format!("row {i} has values after its end"));
            }
            if !row.iter().all(|x| x.is_finite()) {
                return Err(format!("row {i} holds NaN or infinity"));
            }
            let length: f64 = row
                .iter()
                .map(|&x| f64::from(x).powi(2))
                .sum::<f64>()
                .sqrt();
            if !cosine && length > super::space::MAX_NORM {
                return Err(format!("row {i} is too long"));
            }
            if let Some(&norm) = self.norms.get(i) {
                let unit = if norm > 0.0 { 1.0 } else { 0.0 };
                if !norm.is_finite() || norm < 0.0 || (length - unit).abs() > 1e-4 {
                    return Err(format!("row {i} has length {length}, not {unit}"));
                }
            }
        }
        Ok(())
    }
}
