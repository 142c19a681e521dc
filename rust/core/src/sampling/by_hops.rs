//! The most similar nodes among those at some distance in the graph, or any of them.

use std::borrow::Cow;

use super::hops::{Distances, Found, Searchers, TOGETHER, ones};
use super::shortlist::Shortlist;
use super::thin::{Draw, thin};
use crate::batch::check_indices;
use crate::error::{Error, Result};
use crate::graph::csr::Csr;
use crate::linalg::unit::plain_rows;
use crate::matrix::Matrix;
use crate::metric::norm;
use crate::mining::filtered::{self, Slab};
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

/// Nodes up to which it pays: their products with a few sources, 56 bytes a node, leave the caches.
/// 100,000 nodes × 128 took as long as by an earlier way, 400,000 half as long again.
const MOST: usize = 1 << 17;

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
        for search in searches {
            mined.extend(search.list, search.skip, search.candidates, &self.wanted);
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
            for search in searches {
                mined.extend(search.list, search.skip, search.candidates, &self.wanted);
            }
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
    let pays = (LEAST.0..=MOST).contains(&vectors.rows()) && sources.len() >= LEAST.1;
    if pays && wanted.draw.is_none() && filtered::is_open(vectors, &task.ground()) {
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
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn lists_and_bits_choose_the_same() {
        let nodes = 300usize;
        let mut stream = Stream::new(2, 0);
        let vectors: Vec<f64> = (0..nodes * 5).map(|_| stream.uniform() - 0.5).collect();
        let vectors = Matrix::new(&vectors, nodes, 5).unwrap();
        let task = Task {
            vectors,
            wanted: Wanted {
                least: 1,
                most: Some(1),
                k: 7,
                draw: None,
                skip: Skip::Count(2),
                similarity: Similarity::Dot,
            },
            inverse: vec![1.0; nodes],
            bytes: None,
        };
        let sources: Vec<i64> = (0..130).collect();
        let (mut listed, mut ends) = (Vec::new(), Vec::new());
        for i in 0..130 {
            let count = stream.below(60);
            let mut row: Vec<u32> = (0..count).map(|_| stream.below(300) as u32).collect();
            row.sort_unstable();
            row.dedup();
            if i == 3 {
                row.clear();
            }
            listed.extend(row);
            ends.push(listed.len());
        }
        let bits = as_bits(&listed, &ends, 5);
        let (mut one, mut other) = (Mined::default(), Mined::default());
        task.among_nodes(&sources, &mut listed, &ends, &mut one);
        task.among_bits(&Workers::serial(), &sources, &bits, &mut other)
            .unwrap();
        assert_eq!(one.indices, other.indices);
        assert_eq!(
            (&one.counts, &one.candidates),
            (&other.counts, &other.candidates)
        );
        for (a, b) in one.similarities.iter().zip(&other.similarities) {
            assert!(a == b || (a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn bytes_choose_what_the_product_chooses() {
        let (nodes, dim) = (2100usize, 24);
        let mut stream = Stream::new(3, 0);
        let mut rows: Vec<f32> = (0..nodes * dim)
            .map(|_| stream.uniform() as f32 - 0.5)
            .collect();
        // Rows of zeros, of other lengths, close to each other, and the same.
        rows[5 * dim..6 * dim].fill(0.0);
        rows[7 * dim..9 * dim].iter_mut().for_each(|x| *x *= 1e3);
        for i in 0..40 {
            let at = (900 + 7 * i) * dim;
            rows.copy_within(30 * dim..31 * dim, at);
            rows[at + i / 4] += 1e-4;
        }
        let sources: Vec<i64> = (0..2 * GROUP as i64 + 3).map(|i| i * 67).collect();
        let mut bits: Vec<u64> = (0..sources.len() * nodes.div_ceil(64))
            .map(|_| stream.next_u64())
            .collect();
        // Nobody, few, all.
        let words = nodes.div_ceil(64);
        bits[..words].fill(0);
        bits[words..2 * words].fill(9);
        bits[2 * words..3 * words].fill(!0);
        for row in bits.chunks_mut(words) {
            row[words - 1] &= !0 >> (64 * words - nodes);
        }
        let same = rows[..dim].repeat(nodes);
        for (rows, similarity, skip, all) in [
            (&rows, Similarity::Cosine, Skip::Count(0), true),
            (&rows, Similarity::Dot, Skip::Count(60), true),
            (&rows, Similarity::Cosine, Skip::Share(0.4), false),
            (&same, Similarity::Dot, Skip::Count(0), false),
        ] {
            let vectors = Matrix::new(rows, nodes, dim).unwrap();
            let norms = (0..nodes).map(|i| norm(vectors.row(i)) as f32);
            let inverse = norms.map(|norm| match similarity {
                Similarity::Cosine if norm > 0.0 => 1.0 / norm,
                Similarity::Cosine => 0.0,
                Similarity::Dot => 1.0,
            });
            let mut task = Task {
                vectors,
                wanted: Wanted {
                    least: 1,
                    most: Some(1),
                    k: 9,
                    draw: None,
                    skip,
                    similarity,
                },
                inverse: inverse.collect(),
                bytes: None,
            };
            if !filtered::is_open(vectors, &task.ground()) {
                return;
            }
            let workers = Workers::serial();
            let (mut one, mut other) = (Mined::default(), Mined::default());
            task.among_bits(&workers, &sources, &bits, &mut one)
                .unwrap();
            let slab = Slab::new(&task.ground(), 0..nodes, &workers).unwrap();
            let mut some = Mined::default();
            let done = task
                .by_bytes(&workers, &slab, &sources, &bits, &mut some)
                .unwrap();
            assert_eq!(done == sources.len(), all, "{skip:?}");
            task.bytes = Some(slab);
            task.among_bits(&workers, &sources, &bits, &mut other)
                .unwrap();
            assert_eq!(one, other);
        }
    }
}
