//! Carrying out what was planned.

use crate::index::changes::Move;

use super::Hnsw;
use super::repair::{Renaming, Repair};

impl Hnsw {
    /// Ends a change: pending rows are shown, those that were to leave are hidden, and with a
    /// repair all hidden ones go. It cannot fail. What is replaced stays in `repair`.
    pub(super) fn commit(&mut self, repair: Option<&mut Repair>) {
        self.pending = None;
        self.rows.show();
        if let Some(repair) = repair {
            self.apply(repair);
        }
    }

    /// Carries out a repair that was planned for the index as it is now.
    fn apply(&mut self, repair: &mut Repair) {
        let live = self.rows.live();
        let moves = &repair.moves;
        let renaming = Renaming::new(moves, live);
        let size = self.params().capacity(0);
        for (row, links) in &repair.base {
            let links = links.iter().map(|&link| renaming.of(link));
            self.graph.set(0, *row, links);
        }
        let base = self.graph.base.to_mut();
        for &Move { from, to } in moves {
            let from = from as usize * size;
            base.copy_within(from..from + size, to as usize * size);
        }
        base.truncate(live * size);
        for &row in &repair.renamed {
            let place = &mut base[row as usize * size..][..size];
            place.iter_mut().for_each(|link| *link = renaming.of(*link));
        }
        std::mem::swap(&mut self.graph.base, &mut repair.graph.base);
        std::mem::swap(&mut self.graph, &mut repair.graph);
        self.rows.sweep(moves, &mut repair.lookup);
    }
}
