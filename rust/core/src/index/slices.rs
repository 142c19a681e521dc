//! Long batches of queries, between whose parts others may change the index.

use crate::error::Result;
use crate::index::hits::{self, Hits};
use crate::index::shared::Shared;
use crate::index::space::Space;
use crate::matrix::Matrix;
use crate::pool::Workers;

/// Queries that are answered from one state of the index. Whoever wants to change it waits for so
/// many of them, and those who search behind him.
pub const SLICE: usize = 1024;

/// The answers to all `queries`, of which `search` is given some at a time: each query's are those
/// of one state of the index, but the index may change between slices.
pub fn in_slices<I>(
    shared: &Shared<I>,
    space: impl Fn(&I) -> Space,
    queries: Matrix<'_, f32>,
    k: usize,
    workers: &Workers<'_>,
    search: impl Fn(&I, Matrix<'_, f32>) -> Result<Hits>,
) -> Result<Hits> {
    let rows = queries.rows();
    if rows <= SLICE {
        return search(&*shared.read()?, queries);
    }
    // Before anything is searched for, and of all, so that messages tell a row of the batch.
    space(&*shared.read()?).check(queries, "queries", workers)?;
    hits::check(rows, k)?;
    let mut all = search(&*shared.read()?, queries.slice(0, SLICE))?;
    for start in (SLICE..rows).step_by(SLICE) {
        let part = queries.slice(start, rows.min(start + SLICE));
        let more = search(&*shared.read()?, part)?;
        all.ids.extend(more.ids);
        all.distances.extend(more.distances);
        all.counts.extend(more.counts);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::index::flat::{Adding, Flat};
    use crate::metric::Metric;

    /// Whether a row that was added after the first slice was found in the last.
    fn changes_between_slices() -> bool {
        let index = Shared::new(Flat::new(1, Metric::L2).unwrap());
        let serial = Workers::serial();
        let row = [7.0];
        let add = || index.change(Adding::new(Matrix::new(&row, 1, 1).unwrap(), None), &serial);
        add().unwrap();
        let values: Vec<f32> = (0..5 * SLICE + 5).map(|i| i as f32).collect();
        let queries = Matrix::new(&values, values.len(), 1).unwrap();
        let slices = AtomicUsize::new(0);
        let begun = AtomicBool::new(false);
        let space = |index: &Flat| index.rows.space;
        let hits = std::thread::scope(|scope| {
            in_slices(&index, space, queries, 2, &serial, |index, part| {
                if slices.fetch_add(1, Ordering::Relaxed) == 0 {
                    scope.spawn(|| {
                        begun.store(true, Ordering::Release);
                        add().unwrap();
                    });
                }
                // Long enough for the change's next step to wait for this slice.
                while !begun.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                std::thread::sleep(Duration::from_millis(40));
                index.search(part, 2, &serial)
            })
        })
        .unwrap();
        assert_eq!(slices.into_inner(), 6);
        assert_eq!(hits.ids.len(), 2 * values.len());
        assert!(hits.counts[..SLICE].iter().all(|&hits| hits == 1));
        let distance = |i: usize| (i as f32 - 7.0).powi(2);
        assert!((0..values.len()).all(|i| hits.distances[2 * i] == distance(i)));
        hits.counts.last() == Some(&2)
    }

    #[test]
    fn an_index_changes_between_slices_of_a_batch() {
        // On a busy machine the thread that adds may sleep through some.
        assert!((0..50).any(|_| changes_between_slices()));
    }

    #[test]
    fn bad_queries_are_named_by_their_row_of_the_batch() {
        let index = Shared::new(Flat::new(1, Metric::L2).unwrap());
        let space = |index: &Flat| index.rows.space;
        let mut values = vec![0.0; 2 * SLICE];
        values[SLICE + 3] = f32::NAN;
        let queries = Matrix::new(&values, values.len(), 1).unwrap();
        let search =
            |index: &Flat, part: Matrix<'_, f32>| index.search(part, 1, &Workers::serial());
        let serial = Workers::serial();
        let message = in_slices(&index, space, queries, 1, &serial, search).unwrap_err();
        assert!(
            message.to_string().contains(&format!("row {}", SLICE + 3)),
            "{message}"
        );
        let queries = Matrix::new(&values[..SLICE + 1], SLICE + 1, 1).unwrap();
        assert!(in_slices(&index, space, queries, 0, &serial, search).is_err());
        assert!(in_slices(&index, space, queries, usize::MAX, &serial, search).is_err());
    }
}
