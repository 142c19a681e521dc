//! Rows in files, and what must hold of them.

use std::io::{Read, Seek};

use crate::error::{Error, Result};
use crate::index::bitmap::Bitmap;
use crate::index::codes::Coding;
use crate::index::order::Order;
use crate::index::packed::Storage;
use crate::index::space::{MAX_NORM, Space, norm};
use crate::index::vectors::Vectors;
use crate::metric::Metric;
use crate::persist::{Check, Reader, Store, Writer};
use crate::pool::Workers;

use super::{Lookup, MAX_ROWS, Rows};

impl Rows {
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
            lookup: Lookup::default(),
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
        rows.lookup = Lookup::of(&rows.ids, |row| rows.is_hidden(row))?
            .ok_or_else(|| reader.damaged("an id occurs twice"))?;
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
        // Rounding can make a packed row longer.
        let longest = match self.storage() {
            Storage::Float32 => MAX_NORM,
            Storage::Float16 | Storage::Int8 => 8.0 * MAX_NORM,
        };
        if self.hidden.len() != self.len() {
            return Err(format!("{} rows can be hidden", self.hidden.len()));
        }
        // The order of mapped rows exists because their ids differ.
        let listed = self.mapped.is_none();
        if listed && !self.has_pending() && !self.lookup.is_whole(self.len(), self.live()) {
            return Err("an id occurs twice".into());
        }
        let mut buffer = Vec::new();
        for (i, &id) in self.ids[..self.visible].iter().enumerate() {
            let leads = || self.number(id) == Some(i);
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
            if !cosine && length > longest {
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
