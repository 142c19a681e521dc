//! Adjacency reconstruction (Kipf and Welling 2016): every pair's dot product as the logit of an
//! edge, over all pairs in tiles.

use std::ops::Range;

use super::contract::*;
use super::inputs::*;
use super::logistic::{sigmoid, softplus, softplus_sum};
use super::pairs::ends;
use crate::error::Result;
use crate::linalg::gemm::{Strided, gemm};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

/// Rows handled together.
const STRIP: usize = 128;

/// Rows of one work item, a multiple of [`STRIP`].
const TILE: usize = 256;

/// Pairs i < j of all rows.
pub struct Adjacency {
    pos_weight: f64,
}

impl Loss for Adjacency {
    const SPEC: &'static Spec = &Spec {
        name: "adjacency_reconstruction",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::required("src", Kind::Indices, &[1]),
            Input::required("dst", Kind::Indices, &[1]),
        ],
        by_number: ByNumber::Table,
        options: &[Setting::new("pos_weight", Domain::Positive)],
        reductions: &[Reduction::Mean, Reduction::Sum],
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            pos_weight: options.real("pos_weight")?,
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        inputs.floats("embeddings").map_or(0, |array| {
            array.data.len().saturating_mul(2 * array.count())
        })
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let embeddings = call.inputs.rows("embeddings")?;
        let edges = Higher::new(call.inputs, embeddings.rows())?;
        let count = embeddings.rows();
        let pairs = count * count.saturating_sub(1) / 2;
        let out = call
            .gradients
            .take()
            .map(|mut buffers| buffers.take("embeddings"));
        let wanted = out.is_some();
        let out = out.unwrap_or_default();
        out.fill(T::zero());
        let pass = Pass {
            embeddings,
            edges: &edges,
            pos_weight: self.pos_weight,
            weight: call.reduction.weight(pairs),
            wanted,
        };
        Ok(Outcome {
            values: Values::Total(pass.run(out, workers)?),
            counted: pairs,
            active: pairs,
        })
    }
}

/// Each row's neighbours of higher number, rising.
struct Higher {
    offsets: Vec<usize>,
    others: Vec<usize>,
}

impl Higher {
    fn new<T: Real>(inputs: &Inputs<'_, T>, rows: usize) -> Result<Self> {
        let [src, dst] = ends(inputs, ["src", "dst"])?;
        let ends = src.iter().zip(dst);
        let mut pairs: Vec<(usize, usize)> = ends
            .map(|(&a, &b)| (a.min(b) as usize, a.max(b) as usize))
            .filter(|(a, b)| a != b)
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        let mut offsets = vec![0; rows + 1];
        pairs.iter().for_each(|(a, _)| offsets[a + 1] += 1);
        for i in 0..rows {
            offsets[i + 1] += offsets[i];
        }
        let others = pairs.into_iter().map(|(_, b)| b).collect();
        Ok(Self { offsets, others })
    }

    /// Those neighbours of `row` that lie in `range`.
    fn within(&self, row: usize, range: &Range<usize>) -> &[usize] {
        let all = &self.others[self.offsets[row]..self.offsets[row + 1]];
        let start = all.partition_point(|&other| other < range.start);
        let end = all.partition_point(|&other| other < range.end);
        &all[start..end]
    }
}

struct Pass<'a, T> {
    embeddings: Matrix<'a, T>,
    edges: &'a Higher,
    pos_weight: f64,
    /// What one pair's gradient is multiplied by.
    weight: f64,
    wanted: bool,
}

struct Tile<'a, T> {
    keys: Range<usize>,
    total: f64,
    /// What the tile sends to the strip's rows.
    part: Vec<T>,
    to_keys: &'a mut [T],
}

impl<T: Real> Pass<'_, T> {
    /// The sum over all pairs; with the gradient added to `out` where wanted.
    fn run(&self, out: &mut [T], workers: &Workers<'_>) -> Result<f64> {
        let (count, cols) = (self.embeddings.rows(), self.embeddings.cols());
        let height = STRIP.min(count);
        let mut slices = out.chunks_mut(TILE * cols);
        let mut tiles: Vec<_> = (0..count)
            .step_by(TILE)
            .map(|start| Tile {
                keys: start..(start + TILE).min(count),
                total: 0.0,
                part: vec![T::zero(); if self.wanted { height * cols } else { 0 }],
                to_keys: slices.next().unwrap_or_default(),
            })
            .collect();
        for start in (0..count).step_by(STRIP) {
            let strip = start..(start + STRIP).min(count);
            let own = start / TILE;
            workers.for_each_piece(&mut tiles[own..], 1, |_, tile| {
                tile.iter_mut().for_each(|tile| self.tile(&strip, tile));
                Ok(())
            })?;
            if self.wanted {
                let values = strip.len() * cols;
                let mut sum = vec![T::zero(); values];
                let kernels = simd::table::<T>();
                for tile in &tiles[own..] {
                    kernels.axpy(T::one(), &tile.part[..values], &mut sum);
                }
                let at = (start - own * TILE) * cols;
                kernels.axpy(T::one(), &sum, &mut tiles[own].to_keys[at..at + values]);
            }
        }
        Ok(tiles.iter().map(|tile| tile.total).sum())
    }

    /// All pairs of a row of `strip` with a later row of the tile.
    fn tile(&self, strip: &Range<usize>, tile: &mut Tile<'_, T>) {
        let cols = self.embeddings.cols();
        let rows = |range: &Range<usize>| {
            let rows = self.embeddings.slice(range.start, range.end);
            Strided::rows(rows.data(), range.len(), cols)
        };
        let (queries, keys) = (rows(strip), rows(&tile.keys));
        let width = tile.keys.len();
        let mut logits = vec![T::zero(); strip.len() * width];
        gemm(T::one(), queries, keys.transposed(), T::zero(), &mut logits);
        let mut linked = Vec::new();
        for (i, row) in strip.clone().zip(logits.chunks_exact_mut(width)) {
            let before = (i + 1).clamp(tile.keys.start, tile.keys.end) - tile.keys.start;
            row[..before].fill(T::neg_infinity());
            linked.clear();
            for other in self.edges.within(i, &tile.keys) {
                let at = other - tile.keys.start;
                linked.push((at, row[at].wide()));
                row[at] = T::neg_infinity();
            }
            tile.total += softplus_sum(T::of(self.weight), row).wide();
            for &(at, logit) in &linked {
                tile.total += self.pos_weight * softplus(-logit);
                row[at] = T::of(-self.weight * self.pos_weight * sigmoid(-logit));
            }
        }
        if self.wanted {
            let weights = Strided::rows(&logits, strip.len(), width);
            let part = &mut tile.part[..strip.len() * cols];
            gemm(T::one(), weights, keys, T::zero(), part);
            let to_keys = &mut *tile.to_keys;
            gemm(T::one(), weights.transposed(), queries, T::one(), to_keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Setup, check_gradient, normal};
    use super::*;

    /// More rows than a tile, edges in both directions, twice and as loops.
    fn setup(cols: usize) -> Setup {
        let rows = 300;
        let src: Vec<i64> = (0..400).map(|i| (i * 7) % 300).collect();
        let dst: Vec<i64> = (0..400).map(|i| (i * i + 3) % 300).collect();
        let both = [src.clone(), dst.clone()].concat();
        let back = [dst, src].concat();
        Setup::new("adjacency_reconstruction")
            .floats(normal(rows * cols, 1), &[rows, cols])
            .indices(both)
            .indices(back)
            .real("pos_weight", 2.5)
    }

    #[test]
    fn all_pairs_equal_the_definition() {
        let setup = setup(5);
        let z = setup.data(0);
        let (src, dst) = (setup.index(1), setup.index(2));
        let mut total = 0.0;
        for i in 0..300 {
            for j in i + 1..300 {
                let x: f64 = (0..5).map(|k| z[i * 5 + k] * z[j * 5 + k]).sum();
                let mut pairs = src.iter().zip(dst);
                let edge = pairs.any(|(&a, &b)| (a as usize, b as usize) == (i, j));
                total += if edge {
                    2.5 * softplus(-x)
                } else {
                    softplus(x)
                };
            }
        }
        let got = setup.run(Reduction::Sum, 1).0[0];
        assert!((got - total).abs() < 1e-10 * total);
        let mean = setup.run(Reduction::Mean, 1).0[0];
        assert!((mean * 300.0 * 299.0 / 2.0 - total).abs() < 1e-10 * total);
    }

    #[test]
    fn gradients_equal_differences_on_any_number_of_threads() {
        check_gradient(&setup(3));
    }
}
