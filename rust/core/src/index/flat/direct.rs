//! Every query compared with every row, one pair at a time.

use crate::error::Result;
use crate::index::rows::Rows;
use crate::pool::Workers;

use super::best::Best;

/// Queries that pass over the rows together, so that a row read once serves all of them.
pub const QUERIES: usize = 16;

/// Rows between two looks at whether to stop.
const BLOCK: usize = 4096;

/// Offers the rows numbered `numbers` to each query's best.
pub fn compare(
    rows: &Rows,
    queries: &[&[f32]],
    numbers: impl Iterator<Item = usize> + Clone,
    bests: &mut [Best],
    workers: &Workers<'_>,
) -> Result<()> {
    for (queries, bests) in queries.chunks(QUERIES).zip(bests.chunks_mut(QUERIES)) {
        for (count, i) in numbers.clone().enumerate() {
            if count % BLOCK == 0 {
                workers.check()?;
            }
            for (query, best) in queries.iter().zip(&mut *bests) {
                best.offer(rows, query, i);
            }
        }
    }
    Ok(())
}
