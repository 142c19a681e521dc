//! The most similar nodes among those at some distance in the graph, or any of them.

use std::borrow::Cow;

use super::bits::ones;
use super::hops::{Distances, Found, Searchers, TOGETHER};
use super::shortlist::Shortlist;
use super::thin::{Draw, thin};
use crate::batch::check_indices;
use crate::error::{Error, Result};
use crate::graph::csr::Csr;
use crate::linalg::unit::plain_rows;
use crate::matrix::Matrix;
use crate::metric::norm;
use crate::mining::filtered::{self, Block, Slab};
use crate::mining::ground::{Ground, Keeper};
use crate::mining::masked::{Asked, GROUP, Room};
use crate::mining::{Similarity, Skip};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

/// Nodes that are compared with a block of sources at a time.
const TILE: usize = 512;

/// Sources of a block: the more, the less often a tile is packed. Their similarities with a tile stay
/// in the second cache.
const BLOCK: usize = 256;

/// Where a larger share of all similarities than one in so many must be exact, the product costs
/// less than bytes before it.
const SHARE: usize = 16;

/// Nodes and sources from which on rounding rows to bytes pays.
const LEAST: (usize, usize) = (2048, 128);

/// Nodes up to which a few sources are compared with all at once: beyond, their products, 56 bytes a
/// node, leave the caches. Against many sources that go through the nodes part by part, 100,000
/// nodes × 128 took as long and 400,000 half as long again.
const MOST: usize = 1 << 16;

/// Sources that go through them so, in whole panels of the kernel.
const PANELS: usize = (TOGETHER / 2).next_multiple_of(GROUP);

/// A similarity of scattered rows costs as much as this many of a product's.
const SCATTERED: usize = 6;

/// Whose candidates count, and which of them are taken.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// At least 1: a node is never its own candidate.
    pub least: usize,
    /// None for any distance, and for nodes that cannot be reached.
    pub most: Option<usize>,
    pub k: usize,
    /// Of the candidates that count, the seed to draw `k` with, if not the most similar are wanted.
    pub draw: Option<u64>,
    /// Most similar candidates that are passed over, of those drawn.
    pub skip: Skip,
    pub similarity: Similarity,
}

/// `k` nodes a source, padded with -1; their similarities, padded with -∞; how many there are, and
/// how many candidates there were.
#[derive(Debug, Default, PartialEq)]
pub struct Mined {
    pub indices: Vec<i64>,
    pub similarities: Vec<f32>,
    pub counts: Vec<i64>,
    pub candidates: Vec<i64>,
}

/// What all sources share.
struct Task<'a, T> {
    vectors: Matrix<'a, T>,
    wanted: Wanted,
    /// One over each row's length, 0 for rows of zeros, 1 for inner products.
    inverse: Vec<T>,
    /// All rows as bytes, where these are compared first.
    bytes: Option<Slab>,
}

/// The most similar of the nodes whose bits are set.
struct Search<'a, T> {
    list: Shortlist<T>,
    allowed: &'a [u64],
    candidates: usize,
    skip: usize,
}

impl<T: Real> Keeper<T> for Search<'_, T> {
    fn needs_scores(&self) -> bool {
        self.candidates > 0
    }

    fn threshold(&self) -> f64 {
        self.list.threshold().wide()
    }

    fn capacity(&self) -> usize {
        self.list.capacity()
    }

    fn may_have(&self, row: u32) -> bool {
        self.allowed[row as usize / 64] >> (row % 64) & 1 == 1
    }

    fn offer_row(&mut self, row: u32, score: T) {
        self.list.offer(row, score);
    }

    fn offer(&mut self, start: usize, scores: &[T]) {
        self.list
            .offer_tile(start, scores, &self.allowed[start / 64..]);
    }
}

impl<T: Real> Task<'_, T> {
    fn shortlist(&self, candidates: usize) -> (Shortlist<T>, usize) {
        let skip = match self.wanted.skip {
            Skip::Count(nodes) => nodes.min(candidates),
            Skip::Share(share) => ((share * candidates as f64) as usize).min(candidates),
        };
        let kept = (skip + self.wanted.k.min(candidates)).min(candidates);
        (Shortlist::new(kept), skip)
    }

    /// The sources' rows, scaled.
    fn rows(&self, sources: &[i64]) -> Vec<T> {
        let mut rows = Vec::with_capacity(sources.len() * self.vectors.cols());
        for &source in sources {
            let factor = self.inverse[source as usize];
            let row = self.vectors.row(source as usize);
            rows.extend(row.iter().map(|&value| value * factor));
        }
        rows
    }

    fn ground(&self) -> Ground<'_, T> {
        Ground {
            pool: self.vectors,
            inverse_norms: &self.inverse,
            similarity: self.wanted.similarity,
        }
    }

    /// Takes candidates whose bits are set.
    fn among_bits(
        &self,
        workers: &Workers<'_>,
        sources: &[i64],
        bits: &[u64],
        mined: &mut Mined,
    ) -> Result<()> {
        let words = self.vectors.rows().div_ceil(64);
        let done = match &self.bytes {
            Some(slab) if self.vectors.rows() > MOST => {
                return self.by_parts(workers, slab, sources, bits, mined);
            }
            Some(slab) => self.by_bytes(workers, slab, sources, bits, mined)?,
            None => 0,
        };
        let (sources, bits) = (&sources[done..], &bits[done * words..]);
        for (block, bits) in sources.chunks(BLOCK).zip(bits.chunks(BLOCK * words)) {
            self.by_product(workers, block, bits, mined)?;
        }
        Ok(())
    }

    fn searches<'a>(&self, bits: &'a [u64]) -> Vec<Search<'a, T>> {
        let words = self.vectors.rows().div_ceil(64);
        let searches = bits.chunks(words).map(|allowed| {
            let candidates = ones(allowed);
            let (list, skip) = self.shortlist(candidates);
            Search {
                list,
                allowed,
                candidates,
                skip,
            }
        });
        searches.collect()
    }

    fn hand_over(&self, searches: Vec<Search<'_, T>>, mined: &mut Mined) {
        for search in searches {
            mined.extend(search.list, search.skip, search.candidates, &self.wanted);
        }
    }

    /// Makes all similarities of a tile by one product.
    fn by_product(
        &self,
        workers: &Workers<'_>,
        sources: &[i64],
        bits: &[u64],
        mined: &mut Mined,
    ) -> Result<()> {
        let (rows, mut searches) = (self.rows(sources), self.searches(bits));
        let (ground, nodes, mut tile) = (self.ground(), self.vectors.rows(), Vec::new());
        for from in (0..nodes).step_by(TILE) {
            workers.check()?;
            let range = from..nodes.min(from + TILE);
            ground.offer(&rows, &mut searches, range, &mut tile);
        }
        self.hand_over(searches, mined);
        Ok(())
    }

    /// Makes the similarities that bytes cannot rule out, the nodes part by part.
    fn by_parts(
        &self,
        workers: &Workers<'_>,
        slab: &Slab,
        sources: &[i64],
        bits: &[u64],
        mined: &mut Mined,
    ) -> Result<()> {
        let (ground, words) = (self.ground(), self.vectors.rows().div_ceil(64));
        for (block, bits) in sources.chunks(PANELS).zip(bits.chunks(PANELS * words)) {
            let (rows, searches) = (self.rows(block), self.searches(bits));
            let mut block = Block::new(rows, searches, self.vectors.cols());
            block.pass(&ground, slab, workers)?;
            self.hand_over(block.into_searches(), mined);
        }
        Ok(())
    }

    /// Makes the similarities that bytes cannot rule out. Returns of how many sources, which are
    /// fewer than all where bytes rule out too little.
    fn by_bytes(
        &self,
        workers: &Workers<'_>,
        slab: &Slab,
        sources: &[i64],
        bits: &[u64],
        mined: &mut Mined,
    ) -> Result<usize> {
        let nodes = self.vectors.rows();
        let (ground, mut room, mut done) = (self.ground(), Room::default(), 0);
        let parts = bits.chunks(GROUP * nodes.div_ceil(64));
        for (block, bits) in sources.chunks(GROUP).zip(parts) {
            workers.check()?;
            let mut searches = self.searches(bits);
            let kept: Vec<usize> = searches.iter().map(|s| s.list.capacity()).collect();
            let few = nodes * block.len() / SHARE;
            if kept.iter().sum::<usize>() > few {
                break;
            }
            let asked = Asked {
                vectors: &self.rows(block),
                bits,
                slab,
            };
            let made = asked.answer(&ground, &kept, &mut room, |source, node, score| {
                searches[source].list.offer(node, score);
            });
            done += block.len();
            self.hand_over(searches, mined);
            if made > few {
                break;
            }
        }
        Ok(done)
    }

    /// Takes listed candidates, one similarity after the other.
    fn among_nodes(&self, sources: &[i64], nodes: &mut [u32], ends: &[usize], mined: &mut Mined) {
        const AHEAD: usize = 8;
        let kernels = simd::table::<T>();
        let mut begin = 0;
        for (&source, &end) in sources.iter().zip(ends) {
            let nodes = &mut nodes[begin..end];
            begin = end;
            nodes.sort_unstable();
            let row = self.rows(&[source]);
            let (mut list, skip) = self.shortlist(nodes.len());
            for (i, &node) in nodes.iter().enumerate() {
                if let Some(&later) = nodes.get(i + AHEAD) {
                    simd::prefetch(self.vectors.row(later as usize), 8);
                }
                let score = kernels.dot(&row, self.vectors.row(node as usize));
                list.offer(node, score * self.inverse[node as usize]);
            }
            mined.extend(list, skip, nodes.len(), &self.wanted);
        }
    }
}

impl Mined {
    fn extend<T: Real>(
        &mut self,
        list: Shortlist<T>,
        skip: usize,
        candidates: usize,
        wanted: &Wanted,
    ) {
        let limit = match wanted.similarity {
            Similarity::Cosine => 1.0,
            Similarity::Dot => f64::INFINITY,
        };
        let end = self.indices.len() + wanted.k;
        for found in list.into_sorted().into_iter().skip(skip) {
            self.indices.push(i64::from(found.node));
            let score = found.score.wide().clamp(-limit, limit);
            self.similarities.push(score as f32);
        }
        self.counts
            .push((self.indices.len() + wanted.k - end) as i64);
        self.candidates.push(candidates as i64);
        self.indices.resize(end, -1);
        self.similarities.resize(end, f32::NEG_INFINITY);
    }
}

/// Bits of listed nodes, one row a list.
fn as_bits(nodes: &[u32], ends: &[usize], words: usize) -> Vec<u64> {
    let mut bits = vec![0u64; ends.len() * words];
    let mut begin = 0;
    for (row, &end) in bits.chunks_mut(words.max(1)).zip(ends) {
        for &node in &nodes[begin..end] {
            row[node as usize / 64] |= 1 << (node % 64);
        }
        begin = end;
    }
    bits
}

/// Everything but what is set, among `nodes` nodes.
fn invert(bits: &mut [u64], nodes: usize) {
    for row in bits.chunks_mut(nodes.div_ceil(64).max(1)) {
        row.iter_mut().for_each(|word| *word = !*word);
        if let Some(last) = row.last_mut()
            && !nodes.is_multiple_of(64)
        {
            *last &= !0 >> (64 - nodes % 64);
        }
    }
}

/// For each source up to `k` nodes whose distance is in range, most similar first.
pub fn mine<T: Real>(
    workers: &Workers<'_>,
    graph: &Csr<'_, f32>,
    vectors: Matrix<'_, T>,
    sources: &[i64],
    wanted: Wanted,
) -> Result<Mined> {
    check_indices(sources, graph.rows(), "nodes")?;
    if vectors.rows() != graph.rows() {
        return Err(Error::invalid(
            "embeddings",
            format!(
                "has {} rows but the graph has {} nodes",
                vectors.rows(),
                graph.rows()
            ),
        ));
    }
    vectors.check_finite("embeddings")?;
    let mut mined = Mined::default();
    let values = sources.len().saturating_mul(wanted.k);
    let room = mined
        .indices
        .try_reserve_exact(values)
        .and_then(|()| mined.similarities.try_reserve_exact(values));
    if room.is_err() {
        return Err(Error::invalid(
            "k",
            format!(
                "is {} for {} nodes, more than fits into memory",
                wanted.k,
                sources.len()
            ),
        ));
    }
    let plain = match wanted.similarity {
        Similarity::Dot => Cow::Borrowed(vectors.data()),
        Similarity::Cosine => plain_rows(vectors, workers)?,
    };
    let vectors = Matrix::new(&plain, vectors.rows(), vectors.cols())?;
    let inverse = (0..vectors.rows())
        .map(|row| match wanted.similarity {
            Similarity::Dot => T::one(),
            Similarity::Cosine => {
                let length = norm(vectors.row(row));
                T::of(if length > 0.0 { 1.0 / length } else { 0.0 })
            }
        })
        .collect();
    let mut task = Task {
        vectors,
        wanted,
        inverse,
        bytes: None,
    };
    let is_large = vectors.rows() >= LEAST.0 && sources.len() >= LEAST.1;
    if is_large && wanted.draw.is_none() && filtered::is_open(vectors, &task.ground()) {
        task.bytes = Some(Slab::new(&task.ground(), 0..vectors.rows(), workers)?);
    }
    let words = graph.rows().div_ceil(64);
    // Beyond a distance is everything but what lies within it.
    let range = match wanted.most {
        Some(most) => Distances {
            least: wanted.least,
            most,
        },
        None => Distances {
            least: 0,
            most: wanted.least - 1,
        },
    };
    // Bits of a batch take a node's eighth of a byte a source: few sources where there are many.
    let batch = ((1 << 26) / words.max(1)).clamp(1, TOGETHER);
    let searchers = Searchers::new(graph);
    let batches = workers.map(sources.len().div_ceil(batch), |i| {
        let sources = &sources[i * batch..sources.len().min((i + 1) * batch)];
        let mut mined = Mined::default();
        let mut found = searchers.find(sources, range, workers)?;
        if let Some(seed) = wanted.draw {
            let draw = Draw {
                wanted: wanted.k,
                nodes: graph.rows(),
                seed,
                first: i * batch,
            };
            let mut thinned = thin(&mut found, wanted.most.is_none(), draw);
            task.among_nodes(sources, &mut thinned.nodes, &thinned.ends, &mut mined);
            mined.candidates = thinned.candidates;
            return Ok(mined);
        }
        let bits = match found {
            Found::Bits(bits) => bits,
            Found::Nodes(mut nodes, ends) => {
                let scattered = nodes.len() * SCATTERED < sources.len() * graph.rows();
                if wanted.most.is_some() && scattered {
                    task.among_nodes(sources, &mut nodes, &ends, &mut mined);
                    return Ok(mined);
                }
                as_bits(&nodes, &ends, words)
            }
        };
        let mut bits = bits;
        if wanted.most.is_none() {
            invert(&mut bits, graph.rows());
        }
        task.among_bits(workers, sources, &bits, &mut mined)?;
        Ok(mined)
    })?;
    for batch in batches {
        mined.indices.extend(batch.indices);
        mined.similarities.extend(batch.similarities);
        mined.counts.extend(batch.counts);
        mined.candidates.extend(batch.candidates);
    }
    Ok(mined)
}

#[cfg(test)]
mod tests;
