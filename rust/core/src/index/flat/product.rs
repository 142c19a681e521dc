//! Many queries compared with every row by matrix products.
//!
//! Products of a block of rows with all queries are made and looked through at once; only rows
//! that may be among the nearest are kept, and only theirs are the distances computed.

use crate::error::Result;
use crate::index::rows::Rows;
use crate::linalg::panels::{Aligned, Panels};
use crate::pool::Workers;

use super::best::Best;
use super::bounds::Bounds;
use super::direct;
use super::numbers::Numbers;
use super::scan::scan;
use super::shortlist::Shortlist;

/// Fewer queries are compared one by one: rows would not be worth packing.
const LEAST_QUERIES: usize = 8;

/// With more results, or more than this part of the rows, lists would hardly leave rows out.
const MOST_KEPT: usize = 4096;
const KEPT_PART: usize = 8;

/// Values of rows that are packed at a time, to stay in the second cache, and rows at most.
const BLOCK_VALUES: usize = 1 << 17;
const BLOCK_ROWS: usize = 480;

/// Queries that share packed rows at most, and the bytes that they may take.
const MOST_QUERIES: usize = 1024;
const BYTES: usize = 6 << 20;

/// Where more than one row in this many cannot be told by its product, distances are faster.
const UNTOLD: usize = 4;

/// Whether products pay.
pub fn pays(queries: usize, rows: usize, kept: usize) -> bool {
    queries >= LEAST_QUERIES && kept <= MOST_KEPT && kept * KEPT_PART <= rows
}

/// How many queries one call of [`compare`] should be given at most.
pub fn most_queries(values: usize, kept: usize) -> usize {
    let each = (values + BLOCK_ROWS) * size_of::<f32>() + Shortlist::bytes(kept);
    (BYTES / each).clamp(16, MOST_QUERIES)
}

/// The `kept` nearest rows of each query.
pub fn compare(
    rows: &Rows,
    queries: &[&[f32]],
    numbers: Numbers<'_>,
    kept: usize,
    workers: &Workers<'_>,
) -> Result<Vec<Best>> {
    let bounds = Bounds::new(rows.space);
    let values = queries.first().map_or(0, |query| query.len()).max(1);
    let mut scaled = vec![0.0; values * queries.len()];
    let mut lists: Vec<Shortlist> = queries
        .iter()
        .zip(scaled.chunks_exact_mut(values))
        .map(|(query, scaled)| Shortlist::new(bounds.query(query, scaled), kept))
        .collect();
    let mut panels = Panels::new(&scaled.chunks_exact(values).collect::<Vec<_>>());
    drop(scaled);

    let size = (BLOCK_VALUES / values).next_multiple_of(32);
    let size = size.clamp(32, BLOCK_ROWS).min(numbers.len().max(1));
    let mut products = vec![0.0; size * queries.len()];
    let mut unpacked = Vec::new();
    let mut offsets = Vec::with_capacity(size);
    let (mut space, mut found) = (Aligned::default(), Vec::with_capacity(size));
    let mut done = 0;
    while done < numbers.len() {
        workers.check()?;
        let part = numbers.part(done..numbers.len().min(done + size));
        let block = rows.views(part.iter(), &mut unpacked);
        offsets.clear();
        offsets.extend(block.iter().map(|row| bounds.offset(row)));
        let products = &mut products[..block.len() * queries.len()];
        panels.products(&block, &mut space, products);
        for ((list, query), products) in lists
            .iter_mut()
            .zip(queries)
            .zip(products.chunks_exact(block.len()))
        {
            scan(products, &offsets, list.least(), &mut found);
            for &place in &found {
                let place = place as usize;
                let closeness = products[place] - offsets[place];
                list.push(rows, query, part.at(place), closeness, offsets[place]);
            }
        }
        done += block.len();
        let computed: usize = lists.iter().map(|list| list.computed).sum();
        if computed * UNTOLD > done * queries.len() {
            break;
        }
    }
    let mut bests: Vec<Best> = lists
        .into_iter()
        .zip(queries)
        .map(|(list, query)| list.finish(rows, query))
        .collect();
    let rest = numbers.part(done..numbers.len());
    direct::compare(rows, queries, rest.iter(), &mut bests, workers)?;
    Ok(bests)
}
