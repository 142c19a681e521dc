//! Which rows a search may return.

use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::index::bitmap::Bitmap;
use crate::index::rows::Rows;

/// Rows as a caller names them.
#[derive(Clone, Copy)]
pub enum Wanted<'a> {
    /// By id; one that is not stored names no row, one given twice names its row once.
    Ids(&'a [i64]),
    /// A truth value for each row, in their order.
    Mask(&'a [bool]),
    Filter(&'a Filter),
}

impl Rows {
    /// The rows that are wanted.
    pub fn allowed(&self, wanted: Wanted<'_>) -> Result<Arc<Bitmap>> {
        match wanted {
            Wanted::Ids(ids) => {
                let mut allowed = Bitmap::new(self.visible());
                for row in ids.iter().filter_map(|&id| self.number(id)) {
                    allowed.insert(row);
                }
                Ok(Arc::new(allowed))
            }
            Wanted::Mask(mask) if mask.len() != self.live() => Err(Error::invalid(
                "where",
                format!(
                    "has {} truth values but the index holds {} rows; give one for each of \
                     index.ids, or ids instead",
                    mask.len(),
                    self.live()
                ),
            )),
            Wanted::Mask(mask) if self.live() == self.visible() => {
                Ok(Arc::new(Bitmap::from_bools(mask)))
            }
            // The mask goes by places in the list of ids, which hidden rows are not on.
            Wanted::Mask(mask) => {
                let mut allowed = Bitmap::new(self.visible());
                let live = (0..self.visible()).filter(|&row| self.is_live(row));
                for (row, _) in live.zip(mask).filter(|&(_, &wanted)| wanted) {
                    allowed.insert(row);
                }
                Ok(Arc::new(allowed))
            }
            Wanted::Filter(filter) => Ok(filter.on(self)),
        }
    }

    /// The numbers of the `allowed` rows, or of all where nothing is said.
    pub fn among(&self, allowed: Option<&Bitmap>) -> Vec<u32> {
        match allowed {
            Some(allowed) => allowed.rows().map(|row| row as u32).collect(),
            None => {
                let rows = 0..self.visible() as u32;
                rows.filter(|&row| self.is_live(row as usize)).collect()
            }
        }
    }

    /// The ids that are wanted, rising.
    pub fn wanted(&self, wanted: Wanted<'_>) -> Result<Vec<i64>> {
        let mut ids = match wanted {
            Wanted::Ids(ids) => ids.to_vec(),
            Wanted::Filter(filter) => filter.ids.clone(),
            Wanted::Mask(_) => {
                let allowed = self.allowed(wanted)?;
                allowed.rows().map(|row| self.ids()[row]).collect()
            }
        };
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}

/// Ids to search among, looked up once for many searches.
///
/// What was found is looked at again before each use, which costs a comparison an id in memory
/// order instead of a look-up, so a change of the index in between is seen whoever made it.
#[derive(Debug)]
pub struct Filter {
    /// Rising.
    ids: Vec<i64>,
    last: Mutex<Option<Arc<Found>>>,
}

#[derive(Debug)]
struct Found {
    rows: Arc<Bitmap>,
    /// Ids in the order of their rows.
    ids: Vec<i64>,
    unknown: Vec<i64>,
}

impl Filter {
    /// `ids` as [`Rows::wanted`] gives them.
    pub fn new(ids: Vec<i64>) -> Self {
        Self {
            ids,
            last: Mutex::new(None),
        }
    }

    pub fn ids(&self) -> &[i64] {
        &self.ids
    }

    /// The rows that have its ids.
    ///
    /// Never waits: a lock held by another thread when this process was forked is never released.
    fn on(&self, rows: &Rows) -> Arc<Bitmap> {
        let last = self.last.try_lock().ok().and_then(|last| last.clone());
        if let Some(found) = last
            && found.holds(rows)
        {
            return found.rows.clone();
        }
        let found = Arc::new(Found::new(&self.ids, rows));
        if let Ok(mut last) = self.last.try_lock() {
            *last = Some(found.clone());
        }
        found.rows.clone()
    }
}

impl Found {
    fn new(ids: &[i64], rows: &Rows) -> Self {
        let mut found = Bitmap::new(rows.visible());
        let mut unknown = Vec::new();
        for &id in ids {
            match rows.number(id) {
                Some(row) => _ = found.insert(row),
                None => unknown.push(id),
            }
        }
        Self {
            ids: found.rows().map(|row| rows.ids()[row]).collect(),
            rows: Arc::new(found),
            unknown,
        }
    }

    /// Whether the ids are still where they were, and the unknown ones nowhere.
    fn holds(&self, rows: &Rows) -> bool {
        let pairs = || self.rows.rows().zip(&self.ids);
        self.rows.len() == rows.visible()
            && pairs().all(|(row, &id)| rows.ids()[row] == id && rows.is_live(row))
            && self.unknown.iter().all(|&id| rows.number(id).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::space::Space;
    use crate::matrix::Matrix;
    use crate::metric::Metric;

    fn rows(ids: &[i64]) -> Rows {
        let mut rows = Rows::new(
            Space::new(1, Metric::L2).unwrap(),
            crate::index::packed::Storage::Float32,
        );
        add(&mut rows, ids);
        rows
    }

    fn add(rows: &mut Rows, ids: &[i64]) {
        let values: Vec<f32> = ids.iter().map(|&id| id as f32).collect();
        let vectors = Matrix::new(&values, ids.len(), 1).unwrap();
        rows.append(vectors, Some(ids)).unwrap();
    }

    fn of(rows: &Rows, wanted: Wanted<'_>) -> Vec<usize> {
        rows.allowed(wanted).unwrap().rows().collect()
    }

    #[test]
    fn ids_and_masks_name_rows() {
        let rows = rows(&[7, 3, 9]);
        assert_eq!(of(&rows, Wanted::Ids(&[9, -1, 3, 9, 500])), [1, 2]);
        assert_eq!(of(&rows, Wanted::Mask(&[true, false, true])), [0, 2]);
        assert!(rows.allowed(Wanted::Mask(&[true])).is_err());
        assert_eq!(
            rows.wanted(Wanted::Mask(&[true, false, true])).unwrap(),
            [7, 9]
        );
    }

    #[test]
    fn a_filter_follows_the_index() {
        let mut rows = rows(&[7, 3, 9, 5]);
        let filter = Filter::new(rows.wanted(Wanted::Ids(&[9, 4, 5, 9])).unwrap());
        assert_eq!(filter.ids(), [4, 5, 9]);
        assert_eq!(of(&rows, Wanted::Filter(&filter)), [2, 3]);
        add(&mut rows, &[4]);
        assert_eq!(of(&rows, Wanted::Filter(&filter)), [2, 3, 4]);
        // As many rows as before, but others.
        rows.truncate(2);
        add(&mut rows, &[4, 8, 5]);
        assert_eq!(of(&rows, Wanted::Filter(&filter)), [2, 4]);
        let kept = filter.on(&rows);
        assert!(Arc::ptr_eq(&kept, &filter.on(&rows)));
    }
}
