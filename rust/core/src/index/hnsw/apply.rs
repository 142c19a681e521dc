//! Carrying out what was planned.

use crate::index::changes::Move;
use crate::pool::Workers;

use super::Hnsw;
use super::journal::Journal;
use super::repair::{Renaming, Repair};

impl Hnsw {
    /// Carries out a repair that was planned for the index as it is now. It cannot fail, nor be
    /// interrupted.
    pub fn apply(&mut self, repair: Repair, workers: &Workers<'_>) {
        let Repair {
            moves,
            base,
            renamed,
            mut graph,
            lost,
        } = repair;
        let live = self.rows.live();
        let renaming = Renaming::new(&moves, live);
        let size = self.params().capacity(0);
        for (row, links) in base {
            let links = links.into_iter().map(|link| renaming.of(link));
            self.graph.set(0, row, links);
        }
        let mut base = std::mem::take(&mut self.graph.base);
        for &Move { from, to } in &moves {
            let from = from as usize * size;
            base.copy_within(from..from + size, to as usize * size);
        }
        base.truncate(live * size);
        for row in renamed {
            let place = &mut base[row as usize * size..][..size];
            place.iter_mut().for_each(|link| *link = renaming.of(*link));
        }
        graph.base = base;
        self.graph = graph;
        self.rows.sweep(&moves);

        // Links that help to find rows: without them the index is whole too, so a thread that
        // cannot be started is no failure.
        let unstoppable = Workers::of(workers.threads());
        let mut journal = Journal::new(&self.graph);
        let _ = self.guard_rows(lost, &unstoppable, &mut journal);
    }
}
