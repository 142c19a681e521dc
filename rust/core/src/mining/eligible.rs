//! Which pool rows an anchor may have as negatives.

use std::collections::HashMap;

use super::question::Question;
use crate::error::{Error, Result};
use crate::real::Real;

/// Lists of pool rows, one list an anchor, as CSR.
#[derive(Clone, Copy, Debug)]
pub struct Lists<'a> {
    indptr: &'a [i64],
    indices: &'a [i64],
}

impl<'a> Lists<'a> {
    /// Fails unless there is one list for each of `count` anchors and every row lies in the pool.
    pub fn new(
        indptr: &'a [i64],
        indices: &'a [i64],
        count: usize,
        pool: usize,
        argument: &'static str,
    ) -> Result<Self> {
        if indptr.len() != count + 1 {
            return Err(Error::invalid(
                argument,
                format!(
                    "has an indptr of {} entries but {count} anchors need {}",
                    indptr.len(),
                    count + 1
                ),
            ));
        }
        if indptr[0] != 0
            || indptr[count] != indices.len() as i64
            || indptr.windows(2).any(|pair| pair[0] > pair[1])
        {
            return Err(Error::invalid(
                argument,
                format!(
                    "needs an indptr that rises from 0 to the {} indices",
                    indices.len()
                ),
            ));
        }
        if let Some(row) = indices
            .iter()
            .find(|&&row| !(0..pool as i64).contains(&row))
        {
            return Err(Error::invalid(
                argument,
                format!("names row {row} but the pool has {pool} rows"),
            ));
        }
        Ok(Self { indptr, indices })
    }

    pub(super) fn of(&self, i: usize) -> &'a [i64] {
        &self.indices[self.indptr[i] as usize..self.indptr[i + 1] as usize]
    }
}

/// How many pool rows each class has.
pub(super) fn class_sizes(labels: Option<(&[i64], &[i64])>) -> HashMap<i64, usize> {
    let mut sizes = HashMap::new();
    for &label in labels.map_or(&[][..], |(_, pool)| pool) {
        *sizes.entry(label).or_insert(0) += 1;
    }
    sizes
}

/// The rows of the pool that one anchor may have.
pub(super) struct Eligible<'a> {
    /// Sorted, without repeats.
    excluded: Vec<u32>,
    /// The anchor's class, unless it has none.
    class: Option<(i64, &'a [i64])>,
    pool: usize,
    count: usize,
}

impl<'a> Eligible<'a> {
    pub fn new<T: Real>(
        question: &Question<'a, T>,
        sizes: &HashMap<i64, usize>,
        anchor: usize,
    ) -> Self {
        let pool = question.pool.rows();
        let listed = question.exclude.map_or(&[][..], |lists| lists.of(anchor));
        let mut excluded: Vec<u32> = listed
            .iter()
            .chain(question.positives_of(anchor))
            .map(|&row| row as u32)
            .collect();
        if question.pool_is_anchors {
            excluded.push(anchor as u32);
        }
        excluded.sort_unstable();
        excluded.dedup();
        let class = question.labels.and_then(|(anchors, labels)| {
            (anchors[anchor] >= 0).then_some((anchors[anchor], labels))
        });
        let same = class.map_or(0, |(label, _)| sizes.get(&label).copied().unwrap_or(0));
        let others = excluded
            .iter()
            .filter(|&&row| class.is_none_or(|(label, labels)| labels[row as usize] != label))
            .count();
        Self {
            excluded,
            class,
            pool,
            count: pool - same - others,
        }
    }

    /// How many rows there are to choose from.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn contains(&self, row: u32) -> bool {
        self.class
            .is_none_or(|(label, labels)| labels[row as usize] != label)
            && self.excluded.binary_search(&row).is_err()
    }

    pub fn pool(&self) -> usize {
        self.pool
    }

    /// All of them, rising.
    pub fn rows(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.pool as u32).filter(|&row| self.contains(row))
    }
}
