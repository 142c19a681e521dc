//! An index while rows are being added: what users see of it.

use std::borrow::Cow;

use crate::error::Result;
use crate::index::flat::nearest;
use crate::index::hits::Hit;
use crate::index::lines::Lines;
use crate::pool::Workers;

use super::Hnsw;
use super::count::Uncounted;
use super::graph::Graph;
use super::scratch::Scratch;

impl Hnsw {
    /// The graph of the visible rows: as it was before the change that is under way.
    pub(super) fn settled(&self) -> Cow<'_, Graph> {
        match &self.pending {
            None => Cow::Borrowed(&self.graph),
            Some(journal) => {
                let mut graph = self.graph.clone();
                journal.undo(&mut graph);
                Cow::Owned(graph)
            }
        }
    }

    /// The visible rows nearest to query `i`, found by walking over pending ones too.
    ///
    /// Pending rows take places in the pool, so it is larger, and grows until there are visible
    /// ones enough.
    pub(super) fn search_past_pending(
        &self,
        (queries, i): (&Lines, usize),
        places: &mut [Hit],
        ef: usize,
        (scratch, hits): (&mut Scratch, &mut Vec<Hit>),
        workers: &Workers<'_>,
    ) -> Result<()> {
        let (all, live) = (self.rows.len(), self.rows.live());
        let mut pool = ef.saturating_mul(all) / live.max(1);
        loop {
            workers.check()?;
            if pool >= live {
                return nearest(&self.rows, queries, i..i + 1, places, None, workers);
            }
            let k = places.len();
            self.find(queries.row(i), k, pool, scratch, hits, Uncounted);
            if let Some(hits) = hits.get(..k) {
                places.copy_from_slice(hits);
                return Ok(());
            }
            pool *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::codes::TRAIN_ROWS;
    use crate::index::flat::Flat;
    use crate::index::hnsw::Params;
    use crate::index::hnsw::adding::Adding;
    use crate::index::shared::Change;
    use crate::matrix::Matrix;
    use crate::metric::Metric;
    use crate::rng::Stream;

    const DIM: usize = 16;
    const K: usize = 10;

    fn normal(rows: usize, seed: u64, shift: f64) -> Vec<f32> {
        let mut stream = Stream::new(seed, 0);
        let mut sum = || (0..12).map(|_| stream.uniform()).sum::<f64>() - 6.0;
        (0..rows * DIM).map(|_| (sum() + shift) as f32).collect()
    }

    fn matrix(data: &[f32]) -> Matrix<'_, f32> {
        Matrix::new(data, data.len() / DIM, DIM).unwrap()
    }

    /// How many of the nearest are found, or others as near.
    fn found(index: &Hnsw, exact: &Flat, queries: &[f32], ef: usize) -> usize {
        let workers = Workers::serial();
        let got = index.search(matrix(queries), K, Some(ef), &workers);
        let want = exact.search(matrix(queries), K, &workers).unwrap();
        let (got, want) = (got.unwrap().distances, want.distances);
        let lines = got.chunks(K).zip(want.chunks(K));
        lines
            .map(|(got, want)| got.iter().filter(|&&d| d <= want[K - 1] * 1.00001).count())
            .sum()
    }

    #[test]
    fn rows_on_their_way_do_not_make_searches_worse() {
        let workers = Workers::of(2);
        let queries = normal(200, 1, 0.0);
        // Equal rows among others; as many as have codes.
        for (equal, others) in [(800, 2000), (0, TRAIN_ROWS + 500)] {
            let mut index = Hnsw::new(DIM, Metric::L2, Params::new(8, 60, 1).unwrap()).unwrap();
            let mut exact = Flat::new(DIM, Metric::L2).unwrap();
            let data = [vec![0.0; equal * DIM], normal(others, 2, 0.0)].concat();
            index.add(matrix(&data), None, &workers).unwrap();
            exact.add(matrix(&data), None).unwrap();
            let before = [K, 32].map(|ef| found(&index, &exact, &queries, ef));

            // So far away that none is a result.
            let more = normal(600, 3, 50.0);
            let mut adding = Adding::new(matrix(&more), None);
            let (mut steps, mut looked) = (0, 0);
            while let Some(mut step) = adding.plan(&index, &workers).unwrap() {
                adding.apply(&mut index, &mut step).unwrap();
                steps += 1;
                if index.rows.has_pending() && steps % 8 == 0 {
                    looked += 1;
                    for (ef, before) in [K, 32].into_iter().zip(before) {
                        let during = found(&index, &exact, &queries, ef);
                        assert!(during + 60 >= before, "ef {ef}: {during}, before {before}");
                    }
                }
            }
            adding.finish(&mut index);
            assert!(looked > 0);
            index.check().unwrap();
        }
    }
}
