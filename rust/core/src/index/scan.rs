//! Comparing queries with every row of a set.

use crate::error::Result;
use crate::index::hits::Hit;
use crate::index::key;
use crate::index::least::Least;
use crate::index::lines::Lines;
use crate::index::rows::Rows;
use crate::index::sift;
use crate::pool::Workers;

/// Rows that stay in the first cache, with a few queries, until all queries were compared.
const TOGETHER: usize = 8;

/// Rows between two looks at whether to stop.
const BLOCK: usize = 4096;

/// Cache lines asked for ahead of each row: they lie apart, so the processor does not foresee them.
const LINES: usize = 64;

/// Calls `with` with a query's place in `numbers`, some rows and their distances as users see them,
/// until it was called with each of `among` for each query.
pub fn compare(
    rows: &Rows,
    among: &[u32],
    queries: &Lines,
    numbers: &[usize],
    workers: &Workers<'_>,
    mut with: impl FnMut(usize, &[u32], &[f32]) -> Result<()>,
) -> Result<()> {
    let mut distances = vec![0.0; TOGETHER * numbers.len()];
    for (i, block) in among.chunks(TOGETHER).enumerate() {
        if i % (BLOCK / TOGETHER) == 0 {
            workers.check()?;
        }
        let next = &among[among.len().min((i + 1) * TOGETHER)..];
        let next = &next[..next.len().min(TOGETHER)];
        measure(rows, block, next, queries, numbers, &mut distances);
        for (place, distances) in distances.chunks(TOGETHER).enumerate() {
            with(place, block, &distances[..block.len()])?;
        }
    }
    Ok(())
}

/// Writes the distances of up to [`TOGETHER`] rows from each query, a line a query, asking for
/// what is `next` meanwhile.
fn measure(
    rows: &Rows,
    block: &[u32],
    next: &[u32],
    queries: &Lines,
    numbers: &[usize],
    distances: &mut [f32],
) {
    let (fours, rest) = numbers.as_chunks::<4>();
    let mut next = next.iter();
    let mut ask = || {
        if let Some(&row) = next.next() {
            rows.ask_for(row as usize, LINES);
        }
    };
    for (four, distances) in fours.iter().zip(distances.chunks_mut(4 * TOGETHER)) {
        let queries = four.map(|query| queries.row(query));
        for (i, &row) in block.iter().enumerate() {
            ask();
            let of = rows.four_distances(queries, row as usize);
            for (j, distance) in of.into_iter().enumerate() {
                distances[j * TOGETHER + i] = rows.space.shown(distance);
            }
        }
    }
    let distances = &mut distances[4 * fours.len() * TOGETHER..];
    for (&query, distances) in rest.iter().zip(distances.chunks_mut(TOGETHER)) {
        let query = queries.row(query);
        for (distance, &row) in distances.iter_mut().zip(block) {
            ask();
            *distance = rows.space.shown(rows.distance(query, row as usize));
        }
    }
}

/// Fills the `k` places of each query in `numbers` with its nearest rows of `among`: by their
/// codes and then in full precision where that takes less, else exactly.
pub fn nearest_among(
    rows: &Rows,
    among: &[u32],
    queries: &Lines,
    numbers: &[usize],
    k: usize,
    places: &mut [&mut [Hit]],
    workers: &Workers<'_>,
) -> Result<()> {
    if let Some(codes) = sift::codes(rows, among.len(), k) {
        return sift::nearest(rows, codes, among, queries, numbers, k, places, workers);
    }
    let kept = k.min(among.len());
    let mut lists: Vec<Least<(u32, i64)>> = numbers.iter().map(|_| Least::new(kept)).collect();
    compare(
        rows,
        among,
        queries,
        numbers,
        workers,
        |place, block, distances| {
            for (&row, &distance) in block.iter().zip(distances) {
                lists[place].offer((key::ordered(distance), rows.ids()[row as usize]));
            }
            Ok(())
        },
    )?;
    for (list, places) in lists.iter_mut().zip(places) {
        write(list, places);
    }
    Ok(())
}

/// Writes rows to the first of `places`, nearest first.
pub fn write(list: &mut Least<(u32, i64)>, places: &mut [Hit]) {
    for (place, &(distance, id)) in places.iter_mut().zip(list.sorted()) {
        *place = Hit {
            distance: key::distance(distance),
            id,
        };
    }
}
