//! The rows of an index: vectors, their user ids, and what validates both.

use std::collections::HashMap;
use std::io::{Read, Seek};
use std::ops::Range;

use crate::error::{Error, Result};
use crate::index::codes::{Codes, Plan, Query, TRAIN_ROWS, train};
use crate::index::lines::{Line, Lines, out_of_memory};
use crate::index::space::Space;
use crate::matrix::Matrix;
use crate::metric::Metric;
use crate::persist::{Reader, Writer};
use crate::pool::Workers;
use crate::simd::prefetch;

/// An index holds fewer rows than this, so that row numbers fit 31 bits.
pub const MAX_ROWS: usize = (1 << 31) - 1;

/// How the rows are coded.
#[derive(Clone, Debug, Default)]
pub struct Coding {
    /// None where codes would not tell neighbours apart, or the rows are few.
    pub codes: Option<Codes>,
    /// How many rows there were when this was decided.
    pub trained: usize,
}

/// Codes are thought over again when the rows have become this many times as many.
const GROWTH: usize = 4;

/// Vectors and ids by row number, which is the order of insertion.
pub struct Rows {
    pub space: Space,
    vectors: Lines,
    pub coding: Coding,
    /// Lengths before normalisation; filled under cosine alone.
    norms: Vec<f64>,
    ids: Vec<i64>,
    numbers: HashMap<i64, u32>,
    /// -1 while there is none.
    largest_id: i64,
}

impl Rows {
    pub fn new(space: Space) -> Self {
        Self {
            space,
            vectors: Lines::new(space.dim),
            coding: Coding::default(),
            norms: Vec::new(),
            ids: Vec::new(),
            numbers: HashMap::new(),
            largest_id: -1,
        }
    }

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

    /// The distance between two stored rows, for ordering: that of their codes where there are any.
    #[inline(always)]
    pub fn between(&self, a: usize, b: usize) -> f32 {
        match &self.coding.codes {
            Some(codes) => codes.between(a, b),
            None => self.space.distance(self.stored(a), self.stored(b)),
        }
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

    /// Encodes the rows that have no codes yet, and all anew where that is due; what the coding
    /// was is returned then. Nothing is changed on failure.
    pub fn encode(&mut self, workers: &Workers<'_>) -> Result<Option<Coding>> {
        let len = self.len();
        let trained = self.coding.trained;
        if len < TRAIN_ROWS || len < trained.saturating_mul(GROWTH) {
            if let Some(codes) = &mut self.coding.codes {
                codes.append(&self.vectors, codes.len()..len, workers)?;
            }
            return Ok(None);
        }
        let mut coding = Coding {
            codes: None,
            trained: len,
        };
        if let Plan::Coded(codec) = train(&self.space, &self.vectors, len, workers)? {
            let mut codes = Codes::new(codec, self.space.metric);
            codes.append(&self.vectors, 0..len, workers)?;
            coding.codes = Some(codes);
        }
        Ok(Some(std::mem::replace(&mut self.coding, coding)))
    }

    /// The vectors of `ids` as they were added, up to rounding under cosine.
    pub fn get(&self, ids: &[i64]) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(ids.len() * self.space.dim);
        for &id in ids {
            let Some(i) = self.number(id) else {
                return Err(Error::invalid(
                    "ids",
                    format!("holds {id}, which is not in the index"),
                ));
            };
            let row = &self.stored(i)[..self.space.dim];
            match self.norms.get(i) {
                Some(&norm) => values.extend(row.iter().map(|&x| (f64::from(x) * norm) as f32)),
                None => values.extend_from_slice(row),
            }
        }
        Ok(values)
    }

    /// Appends rows and returns their numbers; nothing is changed on failure.
    ///
    /// Without ids they continue from the largest one.
    pub fn append(
        &mut self,
        vectors: Matrix<'_, f32>,
        ids: Option<&[i64]>,
    ) -> Result<Range<usize>> {
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
                self.check_ids(ids, vectors.rows())?;
                ids.to_vec()
            }
            None => self.next_ids(vectors.rows())?,
        };
        self.vectors.resize(end)?;
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
        Ok(start..end)
    }

    /// Forgets all rows from number `len` on.
    pub fn truncate(&mut self, len: usize) {
        for id in self.ids.drain(len..) {
            self.numbers.remove(&id);
        }
        self.largest_id = self.ids.iter().copied().max().unwrap_or(-1);
        self.norms.truncate(len);
        if let Some(codes) = &mut self.coding.codes {
            codes.truncate(len);
        }
        // Shrinking does not allocate.
        let _ = self.vectors.resize(len);
    }

    fn check_ids(&self, ids: &[i64], rows: usize) -> Result<()> {
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
            if self.numbers.contains_key(&id) {
                return Err(Error::DuplicateId { id });
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
                "must be given: the largest id in the index has no successor",
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
    }

    /// Reads `len` rows back.
    pub fn read<S: Read + Seek>(reader: &mut Reader<S>, space: Space, len: usize) -> Result<Self> {
        if len > MAX_ROWS {
            return Err(reader.damaged("it claims too many rows"));
        }
        let cosine = space.metric == Metric::Cosine;
        let ids: Vec<i64> = reader.section("ids", len)?;
        let lines = Lines::new(space.dim).per_row() * len;
        let vectors = Lines::from_data(reader.section::<Line>("vectors", lines)?, space.dim);
        let norms = reader.section("norms", if cosine { len } else { 0 })?;
        let mut numbers = HashMap::new();
        numbers.try_reserve(len).map_err(|_| out_of_memory())?;
        numbers.extend(ids.iter().enumerate().map(|(i, &id)| (id, i as u32)));
        let rows = Self {
            largest_id: ids.iter().copied().max().unwrap_or(-1),
            space,
            vectors,
            coding: Coding::default(),
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
        if self.numbers.len() != self.len() {
            return Err("an id occurs twice".into());
        }
        for (i, &id) in self.ids.iter().enumerate() {
            if id < 0 || self.number(id) != Some(i) {
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
