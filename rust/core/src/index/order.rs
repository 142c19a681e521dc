//! Rows in the order of their ids: a lookup that costs next to nothing to open.

use crate::index::bitmap::Bitmap;

/// Finds rows by id without a table where ids increase, and with four bytes a row elsewhere.
pub struct Order {
    /// Row numbers by rising id, or nothing where that is their own order.
    rows: Option<Vec<u32>>,
}

impl Order {
    /// None if an id occurs twice.
    pub fn of(ids: &[i64]) -> Option<Self> {
        if ids.windows(2).all(|pair| pair[0] < pair[1]) {
            return Some(Self { rows: None });
        }
        // Sorted beside their rows: looked up by row, each comparison would miss the cache twice.
        Self::sorted(ids.iter().copied().zip(0..).collect())
    }

    /// That of the rows which are not hidden.
    pub fn of_live(ids: &[i64], hidden: &Bitmap) -> Option<Self> {
        if hidden.count() == 0 {
            return Self::of(ids);
        }
        let pairs = ids.iter().copied().zip(0..);
        Self::sorted(
            pairs
                .filter(|&(_, row)| !hidden.contains(row as usize))
                .collect(),
        )
    }

    fn sorted(mut pairs: Vec<(i64, u32)>) -> Option<Self> {
        pairs.sort_unstable();
        let distinct = pairs.windows(2).all(|pair| pair[0].0 != pair[1].0);
        distinct.then(|| Self {
            rows: Some(pairs.into_iter().map(|(_, row)| row).collect()),
        })
    }

    /// The row of `ids` with this id; `ids` are those that it is the order of.
    pub fn find(&self, ids: &[i64], id: i64) -> Option<usize> {
        match &self.rows {
            None => ids.binary_search(&id).ok(),
            Some(rows) => rows
                .binary_search_by_key(&id, |&row| ids[row as usize])
                .ok()
                .map(|place| rows[place] as usize),
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.rows
            .as_ref()
            .map_or(0, |rows| size_of_val(rows.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn rows_are_found_in_any_order() {
        for ids in [
            vec![],
            vec![3],
            vec![1, 2, i64::MAX],
            vec![9, 0, i64::MAX, 4],
        ] {
            let order = Order::of(&ids).unwrap();
            for (row, &id) in ids.iter().enumerate() {
                assert_eq!(order.find(&ids, id), Some(row));
            }
            assert_eq!(order.find(&ids, 8), None);
            assert_eq!(order.find(&ids, -1), None);
        }
    }

    #[test]
    fn ids_that_occur_twice_have_none() {
        assert!(Order::of(&[1, 1]).is_none());
        assert!(Order::of(&[5, 1, 5]).is_none());
    }
}
