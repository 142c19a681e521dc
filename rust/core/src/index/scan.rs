//! Comparing queries with every row of a set.

use std::collections::BinaryHeap;

use crate::error::Result;
use crate::index::hits::Hit;
use crate::index::key;
use crate::index::lines::Lines;
use crate::index::rows::Rows;
use crate::pool::Workers;

/// Rows between two looks at whether to stop.
const BLOCK: usize = 4096;

/// Rows asked for ahead of the one being compared: they lie apart, so the processor does not
/// foresee them.
const AHEAD: usize = 2;

/// Cache lines asked for of each.
const LINES: usize = 64;

/// Calls `with` with a query's place in `numbers`, a row and their distance as users see it, for
/// each of `among` and each query. A row read once serves all queries.
pub fn compare(
    rows: &Rows,
    among: &[u32],
    queries: &Lines,
    numbers: &[usize],
    workers: &Workers<'_>,
    mut with: impl FnMut(usize, usize, f32) -> Result<()>,
) -> Result<()> {
    for (block, of_block) in (0..).step_by(BLOCK).zip(among.chunks(BLOCK)) {
        workers.check()?;
        for (i, &row) in (block..).zip(of_block) {
            if let Some(&next) = among.get(i + AHEAD) {
                rows.ask_for(next as usize, LINES);
            }
            for (place, &query) in numbers.iter().enumerate() {
                let distance = rows.distance(queries.row(query), row as usize);
                with(place, row as usize, rows.space.shown(distance))?;
            }
        }
    }
    Ok(())
}

/// Fills the `k` places of each query in `numbers` with its nearest rows of `among`.
pub fn nearest_among(
    rows: &Rows,
    among: &[u32],
    queries: &Lines,
    numbers: &[usize],
    k: usize,
    places: &mut [&mut [Hit]],
    workers: &Workers<'_>,
) -> Result<()> {
    let kept = k.min(among.len());
    // The furthest kept is on top, the larger id above among equals.
    let mut heaps: Vec<BinaryHeap<(u32, i64)>> =
        numbers.iter().map(|_| BinaryHeap::new()).collect();
    compare(
        rows,
        among,
        queries,
        numbers,
        workers,
        |place, row, distance| {
            let candidate = (key::ordered(distance), rows.ids()[row]);
            let heap = &mut heaps[place];
            if heap.len() < kept {
                heap.push(candidate);
            } else if let Some(mut worst) = heap.peek_mut()
                && candidate < *worst
            {
                *worst = candidate;
            }
            Ok(())
        },
    )?;
    for (heap, places) in heaps.into_iter().zip(places) {
        for (place, (distance, id)) in places.iter_mut().zip(heap.into_sorted_vec()) {
            *place = Hit {
                distance: key::distance(distance),
                id,
            };
        }
    }
    Ok(())
}
