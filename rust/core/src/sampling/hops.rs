//! Nodes by their distance, by searches that end after a few steps.
//!
//! Where the searches stay small each is a breadth-first one whose marks are used again. Where
//! they meet everywhere, 512 run together: a node's bits say which of them have come there, and
//! one step ORs them along every edge (Then et al. 2014, "The More the Merrier").

use std::sync::{Mutex, OnceLock, PoisonError};

use super::bits::{expand, ones, transpose};
use crate::batch::check_indices;
use crate::error::{Error, Result};
use crate::graph::csr::Csr;
use crate::graph::transpose::{self, CsrBuffer};
use crate::pool::Workers;
use crate::simd::{Elementwise, elementwise};

/// Searches that run together.
pub(super) const TOGETHER: usize = 512;

const WORDS: usize = TOGETHER / 64;

/// Bytes of bits that are held before they become lists.
const HELD: usize = 1 << 28;

/// More bytes of bits than this are not worth running searches together.
const MOST_SWEPT: usize = 1 << 30;

type Bits = [u64; WORDS];

/// Distances that count, both ends included.
#[derive(Clone, Copy, Debug)]
pub struct Distances {
    pub least: usize,
    pub most: usize,
}

/// Lists of nodes, rising in each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lists {
    pub indptr: Vec<i64>,
    pub indices: Vec<i32>,
}

/// What some searches found.
pub(super) enum Found {
    /// One bit a node, `words` words a search.
    Bits(Vec<u64>),
    /// The nodes of all searches, and where each one's end; not sorted.
    Nodes(Vec<u32>, Vec<usize>),
}

/// The marks of one search at a time.
struct Marks {
    /// The last search that came to a node.
    seen: Vec<u32>,
    search: u32,
    queue: Vec<u32>,
}

impl Marks {
    fn new(nodes: usize) -> Self {
        Self {
            seen: vec![0; nodes],
            search: 0,
            queue: Vec::new(),
        }
    }

    /// The nodes within the distances, and the number of edges looked at. Ends early, with some of
    /// the nodes, at the first node after `enough` edges.
    fn search(
        &mut self,
        graph: &Csr<'_, f32>,
        source: u32,
        range: Distances,
        enough: usize,
    ) -> (&[u32], usize) {
        if self.search == u32::MAX {
            self.seen.fill(0);
            self.search = 0;
        }
        self.search += 1;
        self.queue.clear();
        self.queue.push(source);
        self.seen[source as usize] = self.search;
        let (mut begin, mut from, mut scanned) = (0, 0, 0);
        for distance in 0..range.most {
            let end = self.queue.len();
            if distance < range.least {
                from = end;
            }
            if begin == end || scanned >= enough {
                break;
            }
            for at in begin..end {
                if scanned >= enough {
                    break;
                }
                let neighbors = graph.columns(self.queue[at] as usize);
                scanned += neighbors.len();
                for &node in neighbors {
                    let seen = &mut self.seen[node as usize];
                    if *seen != self.search {
                        *seen = self.search;
                        self.queue.push(node as u32);
                    }
                }
            }
            begin = end;
        }
        if range.least == 0 {
            from = 0;
        } else if range.least > range.most {
            from = self.queue.len();
        }
        (&self.queue[from.min(self.queue.len())..], scanned)
    }
}

/// One step of many searches: what has come to a node comes to those it leads to. Each of these
/// fetches it, so that its bits are written once.
struct Step<'a> {
    /// The nodes that lead to each node.
    sources: Csr<'a, f32>,
    before: &'a [Bits],
    after: &'a mut [Bits],
}

impl Elementwise for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (node, after) in self.after.iter_mut().enumerate() {
            let mut bits = self.before[node];
            for &source in self.sources.columns(node) {
                for (word, &bit) in bits.iter_mut().zip(&self.before[source as usize]) {
                    *word |= bit;
                }
            }
            *after = bits;
        }
    }
}

/// Runs searches from up to [`TOGETHER`] sources. One exists for each thread at a time.
struct Searcher<'a, 'b> {
    graph: &'b Csr<'a, f32>,
    marks: Marks,
    before: Vec<Bits>,
    after: Vec<Bits>,
    inner: Vec<Bits>,
}

impl<'a, 'b> Searcher<'a, 'b> {
    fn new(graph: &'b Csr<'a, f32>) -> Self {
        Self {
            graph,
            marks: Marks::new(graph.rows()),
            before: Vec::new(),
            after: Vec::new(),
            inner: Vec::new(),
        }
    }

    fn find(
        &mut self,
        sources: &[i64],
        range: Distances,
        reversed: &Reversed,
        workers: &Workers<'_>,
    ) -> Result<Found> {
        let bytes = self.graph.rows() * size_of::<Bits>();
        let step = self.graph.entries() * if bytes > 1 << 24 { 12 } else { 2 } + self.graph.rows();
        // The first step follows the edges of the sources alone.
        let together = step.saturating_mul(range.most.max(1) - 1);
        // A few searches tell what the others will cost; either way the result is the same.
        let probes = &sources[..sources.len().min(4)];
        let each = (together / sources.len().max(1)).saturating_add(1);
        let enough = each.saturating_mul(probes.len());
        let mut scanned = 0;
        for &source in probes {
            let left = enough.saturating_sub(scanned);
            scanned += self.marks.search(self.graph, source as u32, range, left).1;
        }
        if range.most >= 2 && bytes <= MOST_SWEPT && scanned >= enough && !probes.is_empty() {
            let found = self.together(sources, range, reversed, workers)?;
            return Ok(Found::Bits(found));
        }
        let (mut nodes, mut ends) = (Vec::new(), Vec::with_capacity(sources.len()));
        for &source in sources {
            let found = self
                .marks
                .search(self.graph, source as u32, range, usize::MAX)
                .0;
            nodes.extend_from_slice(found);
            ends.push(nodes.len());
        }
        Ok(Found::Nodes(nodes, ends))
    }

    fn together(
        &mut self,
        sources: &[i64],
        range: Distances,
        reversed: &Reversed,
        workers: &Workers<'_>,
    ) -> Result<Vec<u64>> {
        let nodes = self.graph.rows();
        let words = nodes.div_ceil(64);
        let mut rows = vec![0u64; sources.len() * words];
        if range.least > range.most {
            return Ok(rows);
        }
        let reversed = reversed.of(self.graph, workers)?;
        self.before.clear();
        self.before.resize(nodes, [0; WORDS]);
        for (i, &source) in sources.iter().enumerate() {
            self.before[source as usize][i / 64] |= 1 << (i % 64);
        }
        self.inner.clear();
        for distance in 0..range.most {
            if distance + 1 == range.least {
                self.inner.clone_from(&self.before);
            }
            workers.check()?;
            if distance == 0 {
                self.after.clone_from(&self.before);
                for (i, &source) in sources.iter().enumerate() {
                    for &node in self.graph.columns(source as usize) {
                        self.after[node as usize][i / 64] |= 1 << (i % 64);
                    }
                }
            } else {
                elementwise(Step {
                    sources: reversed,
                    before: &self.before,
                    after: &mut self.after,
                });
            }
            if self.after == self.before && distance >= range.least {
                break;
            }
            std::mem::swap(&mut self.before, &mut self.after);
        }
        for (bits, inner) in self.before.iter_mut().zip(&self.inner) {
            for (word, inner) in bits.iter_mut().zip(inner) {
                *word &= !inner;
            }
        }
        for (column, block) in self.before.chunks(64).enumerate() {
            for (word, searches) in rows.chunks_mut(64 * words).enumerate() {
                let mut square = [0u64; 64];
                for (line, bits) in square.iter_mut().zip(block) {
                    *line = bits[word];
                }
                transpose(&mut square);
                for (row, &line) in searches.chunks_exact_mut(words).zip(&square) {
                    row[column] = line;
                }
            }
        }
        Ok(rows)
    }
}

/// A graph with its edges turned round, once somebody needs it.
#[derive(Default)]
struct Reversed(OnceLock<CsrBuffer<f32>>);

impl Reversed {
    fn of(&self, graph: &Csr<'_, f32>, workers: &Workers<'_>) -> Result<Csr<'_, f32>> {
        let reversed = match self.0.get() {
            Some(reversed) => reversed,
            None => {
                // Two threads may both make it; one is kept.
                let made = transpose::transpose(workers, *graph)?;
                self.0.get_or_init(|| made)
            }
        };
        Csr::known(&reversed.indptr, &reversed.indices, None, reversed.cols)
    }
}

/// Searchers that wait for the next batch.
pub(super) struct Searchers<'a, 'b> {
    graph: &'b Csr<'a, f32>,
    reversed: Reversed,
    idle: Mutex<Vec<Searcher<'a, 'b>>>,
}

impl<'a, 'b> Searchers<'a, 'b> {
    pub fn new(graph: &'b Csr<'a, f32>) -> Self {
        Self {
            graph,
            reversed: Reversed::default(),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// What up to [`TOGETHER`] searches find.
    pub fn find(&self, sources: &[i64], range: Distances, workers: &Workers<'_>) -> Result<Found> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut searcher = taken.unwrap_or_else(|| Searcher::new(self.graph));
        let found = searcher.find(sources, range, &self.reversed, workers);
        idle().push(searcher);
        found
    }
}

impl Found {
    fn counts(&self, words: usize) -> Vec<usize> {
        match self {
            Self::Bits(rows) => rows.chunks(words.max(1)).map(ones).collect(),
            Self::Nodes(_, ends) => {
                let begins = std::iter::once(&0).chain(ends);
                ends.iter()
                    .zip(begins)
                    .map(|(end, begin)| end - begin)
                    .collect()
            }
        }
    }

    fn write(&self, words: usize, counts: &[usize], mut out: &mut [i32]) {
        let mut scratch = Vec::new();
        for (i, &count) in counts.iter().enumerate() {
            let (row, rest) = out.split_at_mut(count);
            out = rest;
            match self {
                Self::Bits(rows) => expand(&rows[i * words..(i + 1) * words], row),
                Self::Nodes(nodes, ends) => {
                    let nodes = &nodes[ends[i] - count..ends[i]];
                    if words > 4 * count {
                        for (out, &node) in row.iter_mut().zip(nodes) {
                            *out = node as i32;
                        }
                        row.sort_unstable();
                        continue;
                    }
                    // Many: bits sort them.
                    scratch.clear();
                    scratch.resize(words, 0u64);
                    for &node in nodes {
                        scratch[node as usize / 64] |= 1 << (node % 64);
                    }
                    expand(&scratch, row);
                }
            }
        }
    }
}

/// For each source the nodes whose distance is in range, following rows to columns.
pub fn hops(
    workers: &Workers<'_>,
    graph: &Csr<'_, f32>,
    sources: &[i64],
    range: Distances,
) -> Result<Lists> {
    check_indices(sources, graph.rows(), "nodes")?;
    let words = graph.rows().div_ceil(64);
    let searchers = Searchers::new(graph);
    let batches: Vec<_> = sources.chunks(TOGETHER).collect();
    let mut lists = Lists {
        indptr: vec![0],
        indices: Vec::new(),
    };
    for group in batches.chunks((HELD / (TOGETHER * words * 8).max(1)).max(1)) {
        let found = workers.map(group.len(), |i| {
            let found = searchers.find(group[i], range, workers)?;
            let counts = found.counts(words);
            Ok((found, counts))
        })?;
        let total: usize = found.iter().flat_map(|(_, counts)| counts).sum();
        let mut end = lists.indices.len() as i64;
        for &count in found.iter().flat_map(|(_, counts)| counts) {
            end += count as i64;
            lists.indptr.push(end);
        }
        let mut fresh = zeros(total)?;
        let mut rest = &mut fresh[..];
        let mut work = Vec::with_capacity(found.len());
        for (found, counts) in &found {
            let (out, others) = rest.split_at_mut(counts.iter().sum());
            rest = others;
            work.push((found, counts, out));
        }
        workers.for_each_piece(&mut work, 1, |_, work| {
            for (found, counts, out) in work {
                found.write(words, counts, out);
            }
            Ok(())
        })?;
        if lists.indices.is_empty() {
            lists.indices = fresh;
        } else {
            let room = lists.indices.try_reserve(fresh.len());
            room.map_err(|_| Error::out_of_memory())?;
            lists.indices.extend(fresh);
        }
    }
    Ok(lists)
}

/// Zeros that the system has not touched yet, if there is memory for them.
fn zeros(count: usize) -> Result<Vec<i32>> {
    let mut asked: Vec<i32> = Vec::new();
    asked
        .try_reserve_exact(count)
        .map_err(|_| Error::out_of_memory())?;
    drop(asked);
    Ok(vec![0; count])
}

#[cfg(test)]
mod tests;
