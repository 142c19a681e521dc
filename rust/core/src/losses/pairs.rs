//! Losses over pairs of rows: gradients without a row for each pair.
//!
//! A pair sends each end a multiple of the other end. The multiples are sorted by the row that
//! receives them, in the order of the list, and every row gathers its own: memory is a few numbers
//! a pair, rows run in parallel, and results do not depend on the number of threads.

use super::inputs::{Array, Inputs};
use crate::batch::{Lists, check_indices};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::metric::{COSINE_EPS, Row, norm};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{self, Links, maps};

/// Rows a worker handles at a time.
const PIECE: usize = 64;

/// Pairs a worker handles at a time.
const PAIRS: usize = 1024;

/// Pairs from now whose rows are asked for.
pub const AHEAD: usize = 8;

/// Cache lines asked for ahead of use; the processor follows a longer row by itself.
const LINES: usize = 8;

/// A table with the lengths of its rows.
pub struct Rows<'a, T> {
    pub matrix: Matrix<'a, T>,
    pub norms: Vec<f64>,
}

impl<'a, T: Real> Rows<'a, T> {
    /// Fails where a row has no finite length.
    pub fn new(table: Array<'a, T>, argument: &'static str, workers: &Workers<'_>) -> Result<Self> {
        if table.cols() == 0 {
            return Err(Error::invalid(argument, "needs at least one column"));
        }
        let matrix = table.matrix()?;
        if i32::try_from(matrix.rows()).is_err() {
            return Err(Error::invalid(
                argument,
                format!("has {} rows but fewer than 2³¹ are possible", matrix.rows()),
            ));
        }
        let mut norms = vec![0.0; matrix.rows()];
        workers.for_each_piece(&mut norms, PIECE, |piece, norms| {
            for (offset, length) in norms.iter_mut().enumerate() {
                *length = norm(matrix.row(piece * PIECE + offset));
            }
            Ok(())
        })?;
        match norms.iter().position(|length| !length.is_finite()) {
            None => Ok(Self { matrix, norms }),
            Some(row) => Err(Error::invalid(
                argument,
                format!("has row {row} without a finite length"),
            )),
        }
    }

    pub fn row(&self, i: usize) -> Row<'a, T> {
        Row {
            values: self.matrix.row(i),
            norm: self.norms[i],
        }
    }

    /// Asks for row `i` ahead of its use.
    pub fn prefetch(&self, i: usize) {
        prefetch(self.matrix.row(i));
    }

    /// What a cosine's gradient is divided by once everything is gathered: the length, unless its
    /// inverse would leave `f32`.
    fn divisor(&self, i: usize) -> f64 {
        if self.norms[i] > 1e-37 {
            self.norms[i]
        } else {
            1.0
        }
    }
}

/// Asks for a row ahead of its use.
pub fn prefetch<T>(row: &[T]) {
    simd::prefetch(row, LINES);
}

/// A rough count of multiplications of a loss over edges.
pub fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
    let edges = inputs.indices("src").map_or(0, |array| array.count());
    let cols = inputs.floats("embeddings").map_or(0, |array| array.cols());
    inputs.values() + 4 * edges * cols
}

/// Two inputs with the ends of edges between rows of the input `embeddings`.
pub fn ends<'a, T: Real>(
    inputs: &Inputs<'a, T>,
    [src, dst]: [&'static str; 2],
) -> Result<[&'a [i64]; 2]> {
    let rows = inputs.floats("embeddings")?.count();
    let (from, to) = (inputs.indices(src)?, inputs.indices(dst)?);
    to.check_count(dst, &from, src)?;
    check_indices(from.data, rows, src)?;
    check_indices(to.data, rows, dst)?;
    Ok([from.data, to.data])
}

/// Edges between rows of one table.
pub struct Edges<'a, T> {
    pub rows: Rows<'a, T>,
    src: &'a [i64],
    dst: &'a [i64],
}

impl<'a, T: Real> Edges<'a, T> {
    /// Reads the inputs `embeddings`, `src` and `dst`.
    pub fn new(inputs: &Inputs<'a, T>, workers: &Workers<'_>) -> Result<Self> {
        let [src, dst] = ends(inputs, ["src", "dst"])?;
        Self::between(inputs, src, dst, workers)
    }

    /// Edges of the input `embeddings` whose ends [`ends`] has checked.
    pub fn between(
        inputs: &Inputs<'a, T>,
        src: &'a [i64],
        dst: &'a [i64],
        workers: &Workers<'_>,
    ) -> Result<Self> {
        let rows = Rows::new(inputs.floats("embeddings")?, "embeddings", workers)?;
        Ok(Self { rows, src, dst })
    }

    pub fn len(&self) -> usize {
        self.src.len()
    }

    pub fn ends(&self, edge: usize) -> (usize, usize) {
        (self.src[edge] as usize, self.dst[edge] as usize)
    }

    /// The results of `score` for each edge, in order.
    pub fn map<R: Clone + Default + Send>(
        &self,
        workers: &Workers<'_>,
        score: impl Fn(usize, Row<'a, T>, Row<'a, T>) -> R + Sync,
    ) -> Result<Vec<R>> {
        let mut results = vec![R::default(); self.len()];
        workers.for_each_piece(&mut results, PAIRS, |piece, results| {
            for (offset, result) in results.iter_mut().enumerate() {
                let edge = piece * PAIRS + offset;
                if edge + AHEAD < self.len() {
                    let (i, j) = self.ends(edge + AHEAD);
                    self.rows.prefetch(i);
                    self.rows.prefetch(j);
                }
                let (i, j) = self.ends(edge);
                *result = score(edge, self.rows.row(i), self.rows.row(j));
            }
            Ok(())
        })?;
        Ok(results)
    }

    /// Entry `k` of both directions: the edge, the row that receives and its partner.
    pub fn directed(&self, k: usize) -> (usize, usize, usize) {
        let (i, j) = self.ends(k / 2);
        if k.is_multiple_of(2) {
            (k / 2, i, j)
        } else {
            (k / 2, j, i)
        }
    }
}

/// What each row receives: partners and their weights.
struct Gathered<T> {
    starts: Vec<usize>,
    partners: Vec<i32>,
    weights: Vec<T>,
}

impl<T: Real> Gathered<T> {
    /// `entry(k)` is a row, its partner and the partner's weight, for each of `0..count`.
    fn new(
        rows: usize,
        count: usize,
        entry: impl Fn(usize) -> (usize, usize, f64) + Sync,
        workers: &Workers<'_>,
    ) -> Result<Self> {
        if i32::try_from(rows).is_err() {
            let problem = format!("has {rows} rows but fewer than 2³¹ are possible");
            return Err(Error::invalid("embeddings", problem));
        }
        let entries = || {
            (0..count).filter_map(|k| {
                let (row, partner, weight) = entry(k);
                (weight != 0.0).then(|| (row, (partner as i32, bounded::<T>(weight))))
            })
        };
        let lists = Lists::new(rows, entries, workers)?;
        let starts = (0..rows).map(|row| lists.range(row).start);
        let (partners, weights) = lists.entries().iter().copied().unzip();
        Ok(Self {
            starts: starts.chain([lists.entries().len()]).collect(),
            partners,
            weights,
        })
    }

    /// Overwrites each row of `out` by what `add` makes of its number, its partners, their weights
    /// and its values. The partners' rows are those of `from`.
    fn run(
        &self,
        from: Matrix<'_, T>,
        out: &mut [T],
        add: impl Fn(usize, &[i32], &[T], &mut [T]) + Sync,
        workers: &Workers<'_>,
    ) -> Result<()> {
        let cols = from.cols();
        workers.for_each_piece(out, PIECE * cols, |piece, out| {
            for (offset, values) in out.chunks_exact_mut(cols).enumerate() {
                let row = piece * PIECE + offset;
                let range = self.starts[row]..self.starts[row + 1];
                // The first partners of the next row; kernels fetch those of a row themselves.
                let next = &self.partners[range.end..];
                for &partner in &next[..next.len().min(AHEAD)] {
                    prefetch(from.row(partner as usize));
                }
                add(
                    row,
                    &self.partners[range.clone()],
                    &self.weights[range],
                    values,
                );
            }
            Ok(())
        })
    }
}

/// The nearest finite value.
pub fn bounded<T: Real>(value: f64) -> T {
    let limit = T::max_value().wide();
    T::of(value.clamp(-limit, limit))
}

/// A pair's cosine on its way back.
#[derive(Clone, Copy, Debug)]
pub struct Pull {
    /// The row of the table that receives.
    pub to: usize,
    /// The row of the table that it is compared with.
    pub from: usize,
    pub cosine: f64,
    /// The loss's derivative to the cosine.
    pub weight: f64,
}

/// Overwrites `out` with the gradient of all cosines to the rows of `to`.
pub fn pull_cosines<T: Real>(
    to: &Rows<'_, T>,
    from: &Rows<'_, T>,
    count: usize,
    pair: impl Fn(usize) -> Pull + Sync,
    out: &mut [T],
    workers: &Workers<'_>,
) -> Result<()> {
    let floored = |pair: &Pull| to.norms[pair.to] * from.norms[pair.from] <= COSINE_EPS;
    // What a row loses along itself.
    let mut along = vec![0.0; to.norms.len()];
    for k in 0..count {
        let pair = pair(k);
        if !floored(&pair) {
            along[pair.to] += pair.weight * pair.cosine;
        }
    }
    let entry = |k: usize| {
        let pair = pair(k);
        let weight = if floored(&pair) {
            pair.weight * to.divisor(pair.to) / COSINE_EPS
        } else {
            pair.weight * to.divisor(pair.to) / to.norms[pair.to] / from.norms[pair.from]
        };
        (pair.to, pair.from, weight)
    };
    let kernels = simd::table::<T>();
    Gathered::new(to.norms.len(), count, entry, workers)?.run(
        from.matrix,
        out,
        |row, partners, weights, values| {
            kernels.sum_rows(partners, Some(weights), from.matrix.data(), values);
            // In two steps: the square of the length may leave the type's range.
            let divisor = to.divisor(row);
            if along[row] != 0.0 {
                let along = along[row] * divisor / to.norms[row] / to.norms[row];
                kernels.axpy(bounded(-along), to.matrix.row(row), values);
            }
            maps::scale(T::of(1.0 / divisor), values);
        },
        workers,
    )
}

/// Overwrites `out` with the gradient of all edges' dot products, where `weight` is the loss's
/// derivative to an edge's.
pub fn pull_dots<T: Real>(
    edges: &Edges<'_, T>,
    weight: impl Fn(usize) -> f64 + Sync,
    out: &mut [T],
    workers: &Workers<'_>,
) -> Result<()> {
    let rows = &edges.rows;
    let entry = |k: usize| {
        let (edge, to, from) = edges.directed(k);
        (to, from, weight(edge))
    };
    let kernels = simd::table::<T>();
    Gathered::new(rows.norms.len(), 2 * edges.len(), entry, workers)?.run(
        rows.matrix,
        out,
        |_, partners, weights, values| {
            kernels.sum_rows(partners, Some(weights), rows.matrix.data(), values);
        },
        workers,
    )
}

/// Overwrites `out` with the gradient that an edge sends along its ends' difference: row i of an
/// edge to j receives `weight · (i - j)`, and j the opposite.
pub fn pull_differences<T: Real>(
    edges: &Edges<'_, T>,
    weight: impl Fn(usize) -> f64 + Sync,
    out: &mut [T],
    workers: &Workers<'_>,
) -> Result<()> {
    let entry = |k: usize| {
        let (edge, to, from) = edges.directed(k);
        (to, from, weight(edge))
    };
    add_differences(edges.rows.matrix, 2 * edges.len(), entry, out, workers)
}

/// Overwrites `out` with what `entry(k)`, for each of `0..count`, sends to a row: with its number, a
/// partner's and a weight, `weight · (row - partner)`.
pub fn add_differences<T: Real>(
    matrix: Matrix<'_, T>,
    count: usize,
    entry: impl Fn(usize) -> (usize, usize, f64) + Sync,
    out: &mut [T],
    workers: &Workers<'_>,
) -> Result<()> {
    Gathered::new(matrix.rows(), count, entry, workers)?.run(
        matrix,
        out,
        |row, indices, weights, values| {
            values.fill(T::zero());
            let links = Links {
                indices,
                count: indices.len(),
                weights: Some(weights),
                scales: None,
            };
            let to = Some(values);
            simd::table::<T>().differences(links, matrix.row(row), matrix.data(), to, false);
        },
        workers,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// 90 rows of 5, two of them zero, and 700 pairs with loops and repeats.
    fn example() -> (Vec<f64>, Vec<(usize, usize, f64)>) {
        let mut stream = Stream::new(3, 0);
        let mut values: Vec<f64> = (0..450).map(|_| stream.uniform() - 0.5).collect();
        values[20..30].fill(0.0);
        let pairs = (0..700)
            .map(|_| {
                let (i, j) = (stream.below(90) as usize, stream.below(90) as usize);
                (i, j, stream.uniform() - 0.5)
            })
            .collect();
        (values, pairs)
    }

    #[test]
    fn cosines_come_back_as_one_by_one() {
        let (values, pairs) = example();
        let table = Array {
            data: &values,
            shape: &[90, 5],
        };
        let rows = Rows::new(table, "embeddings", &Workers::serial()).unwrap();
        let mut want = vec![0.0; 450];
        let mut pulls = Vec::new();
        for &(to, from, weight) in &pairs {
            let cosine = rows.row(to).cosine(&rows.row(from));
            let mut ignored = vec![0.0; 5];
            let target = &mut want[to * 5..to * 5 + 5];
            let along = rows
                .row(to)
                .pull(&rows.row(from), cosine, weight, target, &mut ignored);
            simd::table::<f64>().axpy(-along, rows.row(to).values, target);
            pulls.push(Pull {
                to,
                from,
                cosine,
                weight,
            });
        }
        let run = |workers: &Workers<'_>| {
            let mut out = vec![f64::NAN; 450];
            pull_cosines(&rows, &rows, pulls.len(), |k| pulls[k], &mut out, workers).unwrap();
            out
        };
        let got = run(&Workers::serial());
        assert_eq!(got, run(&Workers::of(3)));
        let largest = want.iter().fold(0.0, |top: f64, x| top.max(x.abs()));
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() < 1e-13 * largest.max(1.0));
        }
    }

    #[test]
    fn products_and_differences_go_to_both_ends() {
        let (values, pairs) = example();
        let src: Vec<i64> = pairs.iter().map(|pair| pair.0 as i64).collect();
        let dst: Vec<i64> = pairs.iter().map(|pair| pair.1 as i64).collect();
        let table = Array {
            data: &values,
            shape: &[90, 5],
        };
        let edges = Edges {
            rows: Rows::new(table, "embeddings", &Workers::serial()).unwrap(),
            src: &src,
            dst: &dst,
        };
        let mut dots = vec![0.0; 450];
        let mut differences = vec![0.0; 450];
        for &(i, j, weight) in &pairs {
            for c in 0..5 {
                let (a, b) = (values[i * 5 + c], values[j * 5 + c]);
                dots[i * 5 + c] += weight * b;
                dots[j * 5 + c] += weight * a;
                differences[i * 5 + c] += weight * (a - b);
                differences[j * 5 + c] += weight * (b - a);
            }
        }
        let weight = |edge: usize| pairs[edge].2;
        for threads in [1, 3] {
            let workers = Workers::of(threads);
            let mut out = vec![f64::NAN; 450];
            pull_dots(&edges, weight, &mut out, &workers).unwrap();
            assert!(out.iter().zip(&dots).all(|(x, y)| (x - y).abs() < 1e-14));
            pull_differences(&edges, weight, &mut out, &workers).unwrap();
            let pairs = out.iter().zip(&differences);
            assert!(pairs.into_iter().all(|(x, y)| (x - y).abs() < 1e-14));
        }
    }
}
