//! Where a new row belongs: its links, its place in the spanning tree, its neighbours' links.

use super::Hnsw;
use super::count::Uncounted;
use super::graph::EMPTY;
use super::scratch::Entry;
use super::select::{Choice, Measure, select, select_again};
use super::walk::Walk;
use crate::index::candidate::Candidate;
use crate::metric::Metric;

/// The walk that looks for a new row's links expands the nearest one in so many of the rows it
/// keeps: the rest are there to choose from. Measured one run each at equal ef: expanding half
/// instead of all took 13 % less CPU time to build GloVe (200,000 rows), 12 % clustered 200,000 ×
/// 128 and 10 % Fashion-MNIST, with recall within .0008.
const REACH: usize = 2;

/// A new row's links.
pub(super) struct Plan {
    /// Level by level from 0.
    pub links: Vec<Vec<Candidate>>,
    /// Whether distances are those of the vectors though there are codes.
    pub exact: bool,
    /// Whether the nearest of them is a copy of the row.
    copies: bool,
}

/// An edge to be added to an older row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Incoming {
    pub level: u8,
    pub target: u32,
    pub(super) source: Candidate,
    /// Whether the source's links were chosen in full precision.
    pub(super) exact: bool,
}

impl Hnsw {
    pub(super) fn walk(&self) -> Walk<'_> {
        self.walk_counting(Uncounted)
    }

    /// How many rows the walk that looks for a new row's links expands. All it keeps under inner
    /// products, where the way to a row need not lead through ever nearer ones.
    fn reach(&self) -> usize {
        let ef = self.params().ef_construction;
        match self.rows.space.metric {
            Metric::InnerProduct => ef,
            _ => ef.div_ceil(REACH).max(self.params().m),
        }
    }

    /// Chooses the links of row `node` among the first `linked` rows and those just before it.
    ///
    /// Where codes do not tell the rows around it apart, this is done in full precision.
    pub(super) fn plan(&self, node: usize, linked: usize) -> Plan {
        let by_codes = self.links_by(false, node, linked);
        let exact = by_codes.is_none();
        let links = by_codes
            .or_else(|| self.links_by(true, node, linked))
            .unwrap_or_default();
        let nearest = links.first().and_then(|links| links.first());
        Plan {
            copies: nearest.is_some_and(|link| self.walk().equal(link.node(), node as u32)),
            links,
            exact,
        }
    }

    /// Level by level from 0. None where codes do not tell the rows around it apart and `exact` is
    /// not asked for.
    fn links_by(&self, exact: bool, node: usize, linked: usize) -> Option<Vec<Vec<Candidate>>> {
        let own = self.graph.level(node as u32);
        let ef = self.params().ef_construction;
        let mut buffer = Vec::new();
        let query = self.rows.view(node, &mut buffer);
        let mates: Vec<u32> = (linked as u32..node as u32).collect();
        let mut links = vec![Vec::new(); usize::from(own) + 1];
        self.scratches.with(|scratch| {
            let measure = &mut scratch.measure;
            let mates = measure.sorted(&self.rows, exact, node as u32, &mates);
            let walk = Walk {
                exact,
                reach: self.reach(),
                ..self.walk()
            };
            let entry = self.graph.entry();
            let top = entry.map(|entry| self.graph.level(entry));
            self.rows.aim(node, &mut scratch.query);
            let mut start = entry.map(|entry| walk.descend(query, entry, own, scratch));
            for level in (0..=own).rev() {
                let mut found = Vec::new();
                if let Some(from) = start
                    && top.is_some_and(|top| level <= top)
                {
                    let distinct = |pool: &mut Vec<Entry>, row| walk.oldest_copy(pool, row);
                    walk.beam(query, from, ef, level, scratch, distinct);
                    if level == 0 && !exact && self.is_blurred(query, &scratch.pool) {
                        return None;
                    }
                    found.extend(scratch.pool.iter().map(|entry| entry.candidate()));
                    start = found.first().copied();
                    // Rows that go are links of the last resort.
                    let stays = |row: &Candidate| self.rows.stays(row.node() as usize);
                    if found.iter().any(stays) {
                        found.retain(stays);
                    }
                }
                let peers = mates
                    .iter()
                    .filter(|mate| self.graph.level(mate.node()) >= level);
                found.extend(peers.take(ef));
                found.sort_unstable();
                found.truncate(ef);
                let choice = Choice {
                    capacity: self.params().capacity(level),
                    fill: self.params().m / 2,
                    exact,
                };
                let measure = &mut scratch.measure;
                links[usize::from(level)] = select(&self.rows, &found, choice, measure, |_| false);
            }
            Some(links)
        })
    }

    /// Gives a new row its place in the spanning tree: below the nearest of its links that has
    /// room, or else below a descendant of the nearest. Copies of a row stay below it, so that a
    /// walk that came to one finds the others.
    pub(super) fn plant(&mut self, node: u32, plan: &mut Plan, batch: u32) {
        let Some(&nearest) = plan.links[0].first() else {
            return;
        };
        let is_copy = |other: u32| self.walk().equal(other, node);
        let graph = &self.graph;
        let copies = plan.copies;
        let linked = plan.links[0].iter().map(|link| link.node());
        let mut parent = linked
            .clone()
            .find(|&link| !copies && graph.has_room(link))
            .unwrap_or(nearest.node());
        let mut spread = node;
        while !graph.has_room(parent) {
            // Children of this batch are not among the links yet.
            let links = graph.links(0, parent).iter().copied();
            let mut children: Vec<u32> = links
                .chain(batch..node)
                .filter(|&child| graph.parents[child as usize] == parent)
                .collect();
            if copies && children.iter().any(|&child| is_copy(child)) {
                children.retain(|&child| is_copy(child));
            }
            // Its places are taken by guarded rows: then it takes this one child beyond.
            if children.is_empty() {
                break;
            }
            // Spread by the row's number, or the tree would become a chain.
            parent = children[spread as usize % children.len()];
            spread /= children.len() as u32;
        }
        let is_linked = linked.clone().any(|link| link == parent);
        self.graph.set_parent(node, parent);
        if !is_linked {
            plan.links[0].truncate(self.params().capacity(0) - 1);
            let distance = self.rows.between(node as usize, parent as usize);
            plan.links[0].push(Candidate::new(distance, parent));
        }
    }

    /// Appends a row's links after `sources` have been offered to `merged`. Distances are taken
    /// anew, so that all are of one kind: by codes or `exact`.
    pub(super) fn merge(
        &self,
        (level, target): (u8, u32),
        sources: impl Iterator<Item = u32>,
        exact: bool,
        measure: &mut Measure,
        merged: &mut Vec<u32>,
    ) {
        let links = self.graph.links(level, target);
        let capacity = self.params().capacity(level);
        let start = merged.len();
        merged.extend(links.iter().copied().chain(sources));
        let offered = &merged[start..];
        if offered.len() <= capacity {
            return;
        }
        for &link in offered {
            self.rows.ask_for_code(link as usize);
        }
        let distances = measure.distances(&self.rows, exact, target, offered);
        let pairs = distances.iter().zip(offered);
        let mut candidates: Vec<Candidate> = pairs
            .map(|(&distance, &other)| Candidate::new(distance, other))
            .collect();
        let kept = |link| level == 0 && self.graph.is_kept(target, link);
        let choice = Choice {
            capacity,
            fill: capacity,
            exact,
        };
        let (old, new) = candidates.split_at(links.len());
        let chosen =
            select_again(&self.rows, old, new, choice, measure, kept).unwrap_or_else(|| {
                candidates.sort_unstable();
                select(&self.rows, &candidates, choice, measure, kept)
            });
        merged.truncate(start);
        merged.extend(chosen.into_iter().map(Candidate::node));
    }
}

const _: () = assert!(EMPTY as usize > crate::index::rows::MAX_ROWS);
