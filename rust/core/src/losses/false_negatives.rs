//! Which pairs of a batch are no negatives of each other.

use std::ops::Range;

use super::inputs::Array;
use crate::error::{Error, Result};
use crate::real::Real;

/// Which pairs share an id.
pub(super) struct Same {
    /// Pairs by id, those of one id in order.
    order: Vec<usize>,
    /// Where in `order` the pairs of a pair's id are.
    spans: Vec<Range<usize>>,
}

impl Same {
    pub fn new(count: usize, ids: Option<&[i64]>) -> Self {
        let mut order: Vec<usize> = (0..count).collect();
        let mut spans: Vec<_> = (0..count).map(|i| i..i + 1).collect();
        if let Some(ids) = ids {
            order.sort_by_key(|&i| (ids[i], i));
            let mut start = 0;
            for group in order.chunk_by(|&a, &b| ids[a] == ids[b]) {
                let span = start..start + group.len();
                group.iter().for_each(|&i| spans[i] = span.clone());
                start = span.end;
            }
        }
        Self { order, spans }
    }

    /// Takes the pairs that share `pair`'s id, itself included, from its logits for keys of which
    /// pair j is key `first + j`.
    pub fn exclude<T: Real>(&self, pair: usize, first: usize, keys: &Range<usize>, row: &mut [T]) {
        take_out(&self.order[self.spans[pair].clone()], first, keys, row);
    }
}

/// Sets the logits of keys `first + j` to minus infinity, for ascending `numbers` j.
pub(super) fn take_out<T: Real>(
    numbers: &[usize],
    first: usize,
    keys: &Range<usize>,
    row: &mut [T],
) {
    let start = numbers.partition_point(|&j| first + j < keys.start);
    for &j in numbers[start..]
        .iter()
        .take_while(|&&j| first + j < keys.end)
    {
        row[first + j - keys.start] = T::neg_infinity();
    }
}

/// Which positives are no negatives of which anchors, by anchor and by positive.
pub(super) struct Pairs {
    pub of_anchor: Lists,
    pub of_positive: Lists,
}

/// Ascending numbers for each pair of the batch.
pub(super) struct Lists {
    starts: Vec<usize>,
    numbers: Vec<usize>,
}

impl Lists {
    fn empty(count: usize) -> Self {
        Self {
            starts: vec![0; count + 1],
            numbers: Vec::new(),
        }
    }

    pub fn row(&self, i: usize) -> &[usize] {
        &self.numbers[self.starts[i]..self.starts[i + 1]]
    }
}

impl Pairs {
    /// From CSR arrays over the anchors, or none.
    pub fn new(
        count: usize,
        indptr: Option<Array<'_, i64>>,
        indices: Option<Array<'_, i64>>,
    ) -> Result<Self> {
        let (indptr, indices) = match (indptr, indices) {
            (Some(indptr), Some(indices)) => (indptr.data, indices.data),
            (None, None) => {
                return Ok(Self {
                    of_anchor: Lists::empty(count),
                    of_positive: Lists::empty(count),
                });
            }
            _ => return Err(Error::invalid("exclude", "needs both indptr and indices")),
        };
        let ascending = indptr.windows(2).all(|pair| pair[0] <= pair[1]);
        let ends = (indptr.first(), indptr.last());
        if indptr.len() != count + 1
            || !ascending
            || ends != (Some(&0), Some(&(indices.len() as i64)))
        {
            return Err(Error::invalid(
                "exclude",
                format!(
                    "has an indptr of {} entries that must ascend from 0 to the {} indices and \
                     have one entry more than the {count} anchors",
                    indptr.len(),
                    indices.len()
                ),
            ));
        }
        let mut by_anchor = vec![Vec::new(); count];
        let mut by_positive = vec![Vec::new(); count];
        for (i, span) in indptr.windows(2).enumerate() {
            for &j in &indices[span[0] as usize..span[1] as usize] {
                let j = usize::try_from(j)
                    .ok()
                    .filter(|&j| j < count)
                    .ok_or_else(|| {
                        Error::invalid(
                            "exclude",
                            format!("names positive {j} but there are {count}"),
                        )
                    })?;
                by_anchor[i].push(j);
                by_positive[j].push(i);
            }
        }
        let lists = |rows: Vec<Vec<usize>>| {
            let mut lists = Lists {
                starts: vec![0],
                numbers: Vec::new(),
            };
            for mut row in rows {
                row.sort_unstable();
                lists.numbers.append(&mut row);
                lists.starts.push(lists.numbers.len());
            }
            lists
        };
        Ok(Self {
            of_anchor: lists(by_anchor),
            of_positive: lists(by_positive),
        })
    }
}
