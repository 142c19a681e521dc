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
use super::walk::Verdict;

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
        scratch: &mut Scratch,
        workers: &Workers<'_>,
    ) -> Result<()> {
        let (all, live) = (self.rows.len(), self.rows.live());
        let mut pool = ef.saturating_mul(all) / live.max(1);
        loop {
            workers.check()?;
            let Some(entry) = self.graph.entry().filter(|_| pool < live) else {
                return nearest(&self.rows, queries, i..i + 1, places, None, workers);
            };
            let walk = self.walk();
            let start = walk.descend(queries.row(i), entry, 0, scratch);
            let enter = |_: &mut _, _| Verdict::Enter;
            walk.beam(queries.row(i), start, pool, 0, scratch, enter);
            self.measure_again(queries.row(i), scratch, Uncounted);
            let mut hits: Vec<Hit> = scratch
                .pool
                .iter()
                .filter(|found| self.rows.is_live(found.node() as usize))
                .map(|found| Hit {
                    distance: self.rows.space.shown(found.distance()),
                    id: self.rows.ids()[found.node() as usize],
                })
                .collect();
            if hits.len() >= places.len() {
                hits.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id)));
                places.copy_from_slice(&hits[..places.len()]);
                return Ok(());
            }
            pool *= 2;
        }
    }
}
