//! The rows of an index: vectors, their user ids, and what validates both.

mod adding;
mod file;
mod lookup;

use crate::error::Result;
use crate::index::bitmap::Bitmap;
use crate::index::changes::unknown;
use crate::index::codes::{Coding, Look, Query, Work};
use crate::index::memory::{Part, spare};
use crate::index::order::Order;
use crate::index::packed::Storage;
use crate::index::space::Space;
use crate::index::vectors::{Vectors, Views};
use crate::persist::{Mapping, Store};
use crate::pool::Workers;
use crate::simd::prefetch;

pub use adding::Room;
pub use lookup::Lookup;

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
    pub(in crate::index) ids: Store<i64>,
    /// Not used while the rows are mapped.
    pub(in crate::index) lookup: Lookup,
    pub(in crate::index) hidden: Bitmap,
    /// Rows that the change under way will hide.
    pub(in crate::index) leaving: Bitmap,
    /// The largest there ever was, so that ids are not given twice; -1 while there was none.
    pub(in crate::index) largest_id: i64,
    /// The file that the rows lie in, and what finds their ids there.
    mapped: Option<(Mapping, Order)>,
    /// Rows from this number on are pending.
    pub(in crate::index) visible: usize,
}

impl Rows {
    pub fn new(space: Space, storage: Storage) -> Self {
        Self {
            space,
            vectors: Vectors::new(space.dim, storage),
            coding: Coding::default(),
            norms: Store::default(),
            ids: Store::default(),
            lookup: Lookup::default(),
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
                self.lookup.set(id, row);
            }
        }
        self.visible = self.ids.len();
    }

    /// The number of the visible row with this id.
    pub fn number(&self, id: i64) -> Option<usize> {
        if let Some((_, order)) = &self.mapped {
            return order.find(&self.ids, id);
        }
        self.lookup.find(id).filter(|&row| self.is_live(row))
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
    pub(in crate::index) fn extend_with_original(&self, values: &mut Vec<f32>, i: usize) {
        let mut buffer = Vec::new();
        let row = &self.view(i, &mut buffer)[..self.space.dim];
        match self.norms.get(i) {
            Some(&norm) => {
                // Rounding must not make the largest values infinite.
                let most = f64::from(f32::MAX);
                let original = |&x: &f32| (f64::from(x) * norm).clamp(-most, most) as f32;
                values.extend(row.iter().map(original));
            }
            None => values.extend_from_slice(row),
        }
    }

    /// Bytes of vectors, and of ids with their lookup.
    pub fn bytes(&self) -> (usize, usize) {
        let vectors = self.vectors.memory() + size_of_val(&*self.norms);
        let order = self.mapped.as_ref().map_or(0, |(_, order)| order.bytes());
        let lookup = self.lookup.bytes() + order;
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
                self.lookup.bytes() + size_of_val(self.hidden.words()),
            ),
        ];
        let reserved =
            self.vectors.spare() + self.coding.spare() + spare(&self.norms) + spare(&self.ids);
        (parts, reserved)
    }
}
