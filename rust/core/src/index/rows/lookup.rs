//! The rows of ids: without a table while ids count the rows.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::error::{Error, Result};
use crate::index::memory::table;

/// Finds rows by id.
///
/// A table takes some 20 bytes a row: a quarter of what links do. Most indexes number their rows
/// themselves, or are given numbers in order, and need none.
#[derive(Debug)]
pub struct Lookup(Kind);

#[derive(Debug)]
enum Kind {
    /// Row `i` has the id `first + i`. Hidden rows still do.
    Run { first: i64, rows: usize },
    /// Hidden rows are not in it.
    Table(HashMap<i64, u32>),
}

use Kind::{Run, Table};

impl Default for Lookup {
    fn default() -> Self {
        Self(Run { first: 0, rows: 0 })
    }
}

/// Whether each id is one more than that before it.
fn counts(ids: &[i64]) -> bool {
    ids.windows(2)
        .all(|pair| pair[1].checked_sub(pair[0]) == Some(1))
}

impl Lookup {
    /// That of rows with these ids. `is_hidden` tells which not to find, and is believed where a
    /// table is needed: otherwise look yourself. None if ids of others occur twice.
    pub fn of(ids: &[i64], is_hidden: impl Fn(usize) -> bool) -> Result<Option<Self>> {
        if counts(ids) {
            return Ok(Some(Self(Run {
                first: ids.first().copied().unwrap_or(0),
                rows: ids.len(),
            })));
        }
        let table = tabled(ids, ids.len(), &is_hidden)?;
        let found = (0..ids.len()).filter(|&row| !is_hidden(row)).count();
        Ok((table.len() == found).then_some(Self(Table(table))))
    }

    /// A copy that can take `more` ids after those of the rows so far; none where it can itself.
    pub fn with_room(
        &self,
        ids: &[i64],
        is_hidden: impl Fn(usize) -> bool,
        more: &[i64],
    ) -> Result<Option<Self>> {
        let wanted = ids.len() + more.len();
        let table = match &self.0 {
            Run { first, rows } => {
                let follows = |id: i64| *rows == 0 || id.checked_sub(*first) == Some(*rows as i64);
                if more.first().is_none_or(|&id| follows(id)) && counts(more) {
                    return Ok(None);
                }
                tabled(ids, wanted.max(2 * ids.len()), is_hidden)?
            }
            Table(table) if wanted <= table.capacity() => return Ok(None),
            Table(table) => {
                let mut copy = reserved(wanted.max(2 * ids.len()))?;
                copy.extend(table.iter());
                copy
            }
        };
        Ok(Some(Self(Table(table))))
    }

    /// The row with this id, which may be hidden.
    #[inline]
    pub fn find(&self, id: i64) -> Option<usize> {
        match &self.0 {
            Run { first, rows } => {
                let row = usize::try_from(id.checked_sub(*first)?).ok()?;
                (row < *rows).then_some(row)
            }
            Table(table) => table.get(&id).map(|&row| row as usize),
        }
    }

    /// Lets an id lead to the next row, unless it leads elsewhere. There must be room.
    pub fn append(&mut self, id: i64, row: usize) {
        match &mut self.0 {
            Run { first, rows } => {
                if row == 0 {
                    *first = id;
                }
                *rows = row + 1;
            }
            Table(table) => _ = table.entry(id).or_insert(row as u32),
        }
    }

    /// Lets an id that [`Lookup::append`] left to another row lead to its own.
    pub fn set(&mut self, id: i64, row: usize) {
        if let Table(table) = &mut self.0 {
            table.insert(id, row as u32);
        }
    }

    /// Forgets the id of a row that is hidden.
    pub fn remove(&mut self, id: i64) {
        if let Table(table) = &mut self.0 {
            table.remove(&id);
        }
    }

    /// Forgets the rows from number `len` on, which have these ids.
    pub fn truncate(&mut self, len: usize, ids: &[i64]) {
        match &mut self.0 {
            Run { rows, .. } => *rows = len.min(*rows),
            Table(table) => {
                for &id in ids {
                    if let Entry::Occupied(entry) = table.entry(id)
                        && *entry.get() as usize >= len
                    {
                        entry.remove();
                    }
                }
            }
        }
    }

    /// What takes its place once rows have moved, so that they have these ids; none where
    /// it can follow them.
    pub fn moved(&self, ids: impl FnOnce() -> Vec<i64>) -> Result<Option<Self>> {
        if let Table(_) = &self.0 {
            return Ok(None);
        }
        let ids = ids();
        let table = tabled(&ids, ids.len(), |_| false)?;
        Ok(Some(Self(Table(table))))
    }

    /// Whether it leads to as many rows as there are, of which `live` are not hidden.
    pub fn is_whole(&self, all: usize, live: usize) -> bool {
        match &self.0 {
            Run { rows, .. } => *rows == all,
            Table(table) => table.len() == live,
        }
    }

    /// Gives unused memory back.
    pub fn shrink(&mut self) {
        if let Table(table) = &mut self.0 {
            table.shrink_to_fit();
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Run { .. } => 0,
            Table(held) => table(held),
        }
    }
}

fn reserved(places: usize) -> Result<HashMap<i64, u32>> {
    let mut table = HashMap::new();
    table
        .try_reserve(places)
        .map_err(|_| Error::out_of_memory())?;
    Ok(table)
}

/// The rows that are not hidden by id, with room for so many.
fn tabled(
    ids: &[i64],
    places: usize,
    is_hidden: impl Fn(usize) -> bool,
) -> Result<HashMap<i64, u32>> {
    let mut table = reserved(places)?;
    let rows = ids.iter().zip(0u32..);
    let found = rows.filter(|&(_, row)| !is_hidden(row as usize));
    table.extend(found.map(|(&id, row)| (id, row)));
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: fn(usize) -> bool = |_| false;

    fn of(ids: &[i64]) -> Lookup {
        Lookup::of(ids, NONE).unwrap().unwrap()
    }

    #[test]
    fn ids_that_count_rows_need_no_table() {
        for first in [0, 7, i64::MAX - 2] {
            let ids = [first, first + 1, first + 2];
            let lookup = of(&ids);
            assert_eq!(lookup.bytes(), 0);
            for (row, &id) in ids.iter().enumerate() {
                assert_eq!(lookup.find(id), Some(row));
            }
            for other in [first - 1, first.wrapping_add(3), -1, i64::MIN] {
                assert_eq!(lookup.find(other), None, "{other}");
            }
        }
    }

    #[test]
    fn ids_in_any_order_have_one() {
        let ids = [7, 3, i64::MAX, 0];
        let mut lookup = of(&ids);
        assert!(lookup.bytes() > 0);
        for (row, &id) in ids.iter().enumerate() {
            assert_eq!(lookup.find(id), Some(row));
        }
        assert_eq!(lookup.find(1), None);
        lookup.remove(3);
        assert_eq!(lookup.find(3), None);
        assert!(Lookup::of(&[5, 1, 5], NONE).unwrap().is_none());
        let hidden = Lookup::of(&[5, 1, 5], |row| row == 0).unwrap().unwrap();
        assert_eq!(hidden.find(5), Some(2));
    }

    #[test]
    fn it_becomes_a_table_for_the_first_id_that_does_not_follow() {
        let lookup = of(&[4, 5]);
        let room = |more: &[i64]| lookup.with_room(&[4, 5], |row| row == 0, more).unwrap();
        assert!(room(&[6, 7]).is_none() && room(&[]).is_none());
        for more in [[7, 8], [6, 8], [4, 6]] {
            let mut lookup = room(&more).unwrap();
            assert_eq!((lookup.find(4), lookup.find(5)), (None, Some(1)));
            (2..).zip(more).for_each(|(row, id)| lookup.append(id, row));
            for (row, id) in (2..).zip(more) {
                assert_eq!(lookup.find(id), Some(row));
            }
            lookup.truncate(2, &more);
            assert!(more.iter().all(|&id| lookup.find(id).is_none()));
        }
    }

    #[test]
    fn the_first_row_begins_the_count() {
        let mut lookup = Lookup::default();
        assert!(lookup.with_room(&[], NONE, &[9, 10]).unwrap().is_none());
        lookup.append(9, 0);
        lookup.append(10, 1);
        assert_eq!((lookup.find(9), lookup.find(10)), (Some(0), Some(1)));
        lookup.truncate(0, &[9, 10]);
        assert_eq!(lookup.find(9), None);
        assert!(lookup.with_room(&[], NONE, &[3]).unwrap().is_none());
        lookup.append(3, 0);
        assert_eq!((lookup.find(3), lookup.find(9)), (Some(0), None));
    }
}
