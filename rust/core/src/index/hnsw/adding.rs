//! Adding rows in steps, between which others search.
//!
//! The rows are appended, linked in batches that grow with the graph, and looked for. All rows of
//! a batch search the graph as it stood before the batch, and compare themselves with the batch's
//! earlier rows directly; then links are written in row order, and each row that gained neighbours
//! chooses among them once. No step depends on which thread did what, so the graph is the same for
//! any number of threads (Manohar et al. 2024, ParlayANN).

use std::mem::take;
use std::ops::Range;

use crate::error::Result;
use crate::index::changes::Existing;
use crate::index::codes::Look;
use crate::index::flat;
use crate::index::rows;
use crate::index::shared::Change;
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::simd::prefetch;

use super::Hnsw;
use super::graph;
use super::guard::{self, Seen};
use super::insert::{Incoming, Plan};
use super::journal::Journal;
use super::remove::mend;
use super::repair::Repair;
use crate::index::candidate::Candidate;

/// A batch is at most this part of the graph it searches, so that a row misses few neighbours.
const SHARE: usize = 32;

/// And at most this many rows, for each compares with half of them.
const MAX_BATCH: usize = 256;

/// Parts of a batch's edges, by target, that threads take one after the other.
const PARTS: usize = 128;

/// Places for links asked for ahead of the one being written.
const AHEAD: usize = 8;

/// Vectors on their way into an index.
pub struct Adding<'a> {
    vectors: Matrix<'a, f32>,
    wanted: Option<&'a [i64]>,
    existing: Existing,
    /// Once the vectors are admitted.
    ids: Vec<i64>,
    /// The rows' numbers, until the change is made.
    added: Range<usize>,
    replaces: bool,
    /// A batch's edges back, in [`PARTS`]: all that lead to one target in the same.
    edges: Vec<Vec<Incoming>>,
    /// What the last batch has written, for the next one to write into.
    written: Vec<Merged>,
    stage: Stage,
}

/// What the next step is about.
enum Stage {
    Admit,
    /// Rows from here on are to be appended.
    Append(usize),
    /// It is to be seen whether all rows are to be coded anew.
    Code,
    /// Rows from here on are to be linked.
    Link(usize),
    /// A batch has chosen its links; their targets are to choose among the edges back.
    Merge(Range<usize>),
    Guard(guard::Round),
    /// Rows that going made hard to find.
    Mend(guard::Round),
    Done,
}

/// What one step writes.
pub struct Step(Kind);

enum Kind {
    /// Room, and the rows to be replaced.
    Room(Box<(rows::Room, graph::Room)>, Vec<usize>),
    Append(Range<usize>),
    Code(Look),
    Link(Range<usize>, Vec<Plan>),
    Merge(Vec<Merged>),
    Guard(Vec<Seen>),
    Commit(Option<Box<Repair>>),
}

/// Some rows' new links.
#[derive(Default)]
struct Merged {
    /// Levels, rows, and where their links end among all.
    lists: Vec<(u8, u32, usize)>,
    links: Vec<u32>,
}

impl Merged {
    /// Writes the links where they belong, asking for those places ahead: they lie apart.
    fn write(&self, index: &mut Hnsw) {
        let ask_for = |index: &Hnsw, i: usize| {
            if let Some(&(level, target, _)) = self.lists.get(i) {
                prefetch(index.graph.place(level, target), usize::MAX);
            }
        };
        (0..AHEAD).for_each(|i| ask_for(index, i));
        let mut start = 0;
        for (i, &(level, target, end)) in self.lists.iter().enumerate() {
            ask_for(index, i + AHEAD);
            if let Some(journal) = &mut index.pending {
                journal.note(&index.graph, level, target);
            }
            let links = self.links[start..end].iter().copied();
            index.graph.set(level, target, links);
            start = end;
        }
    }
}

impl<'a> Adding<'a> {
    /// Without ids they continue from the largest one.
    pub fn new(vectors: Matrix<'a, f32>, ids: Option<&'a [i64]>) -> Self {
        Self {
            vectors,
            wanted: ids,
            existing: Existing::Refuse,
            ids: Vec::new(),
            added: 0..0,
            replaces: false,
            edges: vec![Vec::new(); PARTS],
            written: Vec::new(),
            stage: Stage::Admit,
        }
    }

    /// What to do about ids that are stored already, instead of refusing them.
    pub fn over(self, existing: Existing) -> Self {
        Self { existing, ..self }
    }

    fn plan_batch(&self, index: &Hnsw, start: usize, workers: &Workers<'_>) -> Result<Kind> {
        let size = (start / SHARE).clamp(1, MAX_BATCH);
        let end = self.added.end.min(start + size);
        let plans = workers.map(end - start, |i| Ok(index.plan(start + i, start)))?;
        Ok(Kind::Link(start..end, plans))
    }

    /// After a batch has been merged, or all rows appended.
    fn next_batch(&self, start: usize) -> Stage {
        if start < self.added.end {
            Stage::Link(start)
        } else {
            Stage::Guard(guard::Round::new(self.added.clone()))
        }
    }
}

impl Change<Hnsw> for Adding<'_> {
    type Step = Step;
    /// The vectors' ids.
    type Done = Vec<i64>;

    fn plan(&mut self, index: &Hnsw, workers: &Workers<'_>) -> Result<Option<Step>> {
        // The change is made by then, too late to be interrupted.
        match &mut self.stage {
            Stage::Mend(round) => {
                return Ok(mend(round, index, workers).map(|seen| Step(Kind::Guard(seen))));
            }
            Stage::Done => return Ok(None),
            _ => {}
        }
        workers.check()?;
        Ok(Some(Step(match &mut self.stage {
            Stage::Admit => {
                self.ids = index
                    .rows
                    .admit(self.vectors, self.wanted, self.existing, workers)?;
                let numbers = self.ids.iter().filter_map(|&id| index.rows.number(id));
                let (start, count) = (index.rows.len(), self.ids.len());
                self.added = start..start + count;
                let mut room = (index.rows.room(&self.ids)?, index.graph.room(count)?);
                room.0.touch(count, workers)?;
                Kind::Room(Box::new(room), numbers.collect())
            }
            Stage::Append(start) => Kind::Append(*start..self.added.end.min(*start + flat::CHUNK)),
            Stage::Code => Kind::Code(index.rows.recode(workers)?),
            &mut Stage::Link(start) => self.plan_batch(index, start, workers)?,
            Stage::Merge(_) => {
                let mut merged = take(&mut self.written);
                index.plan_merges(&mut self.edges, &mut merged, workers)?;
                Kind::Merge(merged)
            }
            Stage::Guard(round) => match round.plan(index, workers)? {
                Some(seen) => Kind::Guard(seen),
                None => Kind::Commit(match self.replaces {
                    true => index.plan_if_due(workers)?.map(Box::new),
                    false => None,
                }),
            },
            Stage::Mend(_) | Stage::Done => return Ok(None),
        })))
    }

    fn apply(&mut self, index: &mut Hnsw, step: &mut Step) -> Result<()> {
        match &mut step.0 {
            Kind::Room(room, replaced) => {
                index.rows.make_room(&mut room.0);
                index.graph.make_room(&mut room.1);
                index.pending = Some(Journal::new(&index.graph));
                index.rows.leave(replaced);
                self.replaces = !replaced.is_empty();
                self.stage = match self.added.is_empty() {
                    true => self.next_batch(self.added.start),
                    false => Stage::Append(self.added.start),
                };
            }
            Kind::Append(range) => {
                let (start, end) = (range.start - self.added.start, range.end - self.added.start);
                index.graph.grow(range.len())?;
                index
                    .rows
                    .put(self.vectors.slice(start, end), &self.ids[start..end])?;
                self.stage = match range.end < self.added.end {
                    true => Stage::Append(range.end),
                    false => Stage::Code,
                };
            }
            Kind::Code(look) => {
                if let Some(journal) = &mut index.pending {
                    let coding = &mut index.rows.coding;
                    match look {
                        Look::NotDue => {}
                        Look::Fits => journal.unseen = Some(std::mem::take(&mut coding.unseen)),
                        Look::Renewed(renewed) => {
                            std::mem::swap(coding, renewed);
                            journal.coding = Some(std::mem::take(renewed));
                        }
                    }
                }
                self.stage = self.next_batch(self.added.start);
            }
            Kind::Link(batch, plans) => {
                index.set_plans(batch.clone(), plans, &mut self.edges);
                self.stage = Stage::Merge(batch.clone());
            }
            Kind::Merge(merged) => {
                merged.iter().for_each(|merged| merged.write(index));
                self.written = take(merged);
                if let Stage::Merge(batch) = &self.stage {
                    index.raise_entry(batch.clone());
                    self.stage = self.next_batch(batch.end);
                }
            }
            Kind::Guard(seen) => {
                if let Stage::Guard(round) | Stage::Mend(round) = &mut self.stage {
                    round.apply(index, seen);
                }
            }
            Kind::Commit(repair) => {
                index.commit(repair.as_deref_mut());
                self.stage = match repair {
                    Some(repair) => Stage::Mend(guard::Round::of(take(&mut repair.lost))),
                    None => Stage::Done,
                };
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Hnsw) -> Vec<i64> {
        take(&mut self.ids)
    }

    fn undo(&mut self, index: &mut Hnsw) {
        if let Some(mut journal) = index.pending.take() {
            if let Some(coding) = journal.coding.take() {
                index.rows.coding = coding;
            }
            if let Some(unseen) = journal.unseen {
                index.rows.coding.unseen = unseen;
            }
            journal.undo(&mut index.graph);
            index.rows.truncate(self.added.start);
        }
    }
}

impl Hnsw {
    /// Appends vectors and returns their ids; nothing is changed on failure.
    ///
    /// Without ids they continue from the largest one.
    pub fn add(
        &mut self,
        vectors: Matrix<'_, f32>,
        ids: Option<&[i64]>,
        workers: &Workers<'_>,
    ) -> Result<Vec<i64>> {
        crate::index::shared::make(self, Adding::new(vectors, ids), workers)
    }

    /// Gives a batch its own links, and its rows their places in the spanning tree. Writes the
    /// edges back.
    fn set_plans(&mut self, batch: Range<usize>, plans: &mut [Plan], edges: &mut [Vec<Incoming>]) {
        for (node, plan) in batch.clone().zip(plans.iter_mut()) {
            self.plant(node as u32, plan, batch.start as u32);
        }
        edges.iter_mut().for_each(Vec::clear);
        for (node, plan) in batch.zip(plans.iter()) {
            for (level, links) in (0..).zip(&plan.links) {
                let links_of = links.iter().map(|link| link.node());
                self.graph.set(level, node as u32, links_of);
                for link in links {
                    edges[link.node() as usize % PARTS].push(Incoming {
                        level,
                        target: link.node(),
                        source: Candidate::new(link.distance(), node as u32),
                        exact: plan.exact,
                    });
                }
            }
        }
    }

    /// The links of all rows to which new edges lead.
    fn plan_merges(
        &self,
        edges: &mut [Vec<Incoming>],
        merged: &mut Vec<Merged>,
        workers: &Workers<'_>,
    ) -> Result<()> {
        merged.resize_with(edges.len(), Merged::default);
        let mut parts: Vec<_> = edges.iter_mut().zip(merged).collect();
        workers.for_each_piece(&mut parts, 1, |_, part| {
            let (edges, merged) = &mut part[0];
            // Apart from its neighbours, which other threads write to.
            let mut own = take(*merged);
            self.plan_part(edges, &mut own);
            **merged = own;
            Ok(())
        })
    }

    /// The links of the rows to which some edges lead.
    fn plan_part(&self, edges: &mut [Incoming], merged: &mut Merged) {
        edges.sort_unstable();
        merged.lists.clear();
        merged.links.clear();
        let target = |edge: &Incoming| (edge.level, edge.target);
        self.scratches.with(|scratch| {
            for group in edges.chunk_by(|a, b| target(a) == target(b)) {
                let Incoming { level, target, .. } = group[0];
                let sources = group.iter().map(|edge| edge.source.node());
                let exact = group.iter().any(|edge| edge.exact);
                let (links, measure) = (&mut merged.links, &mut scratch.measure);
                self.merge((level, target), sources, exact, measure, links);
                merged.lists.push((level, target, merged.links.len()));
            }
        });
    }

    /// Searches start at the first of these rows that is on a higher level than all before.
    fn raise_entry(&mut self, batch: Range<usize>) {
        for node in batch {
            let node = node as u32;
            let top = self.graph.entry().map(|entry| self.graph.level(entry));
            if top.is_none_or(|top| self.graph.level(node) > top) {
                self.graph.entry = node;
            }
        }
    }
}
