//! Similarities of vectors: pair by pair, and all pairs.

use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::metric::Row;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{self, Block};

use super::compare::{Compare, Comparison, Names};
use super::gemm::for_each_part;
use super::stored::Stored;
use super::top::{Top, best};

/// The sides where they are not queries and a base.
pub(super) const A_AND_B: Names = ("a", "b");

pub(super) const QUERIES_AND_BASE: Names = ("queries", "base");

/// Rows a worker handles at a time.
const PIECE: usize = 64;

/// How two vectors are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Similarity {
    Dot,
    /// `a·b / max(|a||b|, 1e-8)`, never beyond ±1.
    Cosine,
    SquaredL2,
}

impl Similarity {
    const ALL: [(&'static str, Self); 3] = [
        ("dot", Self::Dot),
        ("cosine", Self::Cosine),
        ("squared_l2", Self::SquaredL2),
    ];

    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, similarity)| similarity)
            .ok_or_else(|| Error::invalid("similarity", format!("is {name:?}, which is unknown")))
    }

    /// Whether smaller is nearer.
    pub fn is_distance(self) -> bool {
        self == Self::SquaredL2
    }

    fn of<T: Real>(self, a: &[T], b: &[T]) -> T {
        match self {
            Self::Dot => simd::table::<T>().dot(a, b),
            Self::Cosine => T::of(Row::new(a).cosine(&Row::new(b)).clamp(-1.0, 1.0)),
            Self::SquaredL2 => simd::table::<T>().squared_l2(a, b),
        }
    }
}

pub(super) fn check_cols(a: usize, b: usize, names: Names) -> Result<()> {
    if a != b {
        return Err(Error::invalid(
            names.1,
            format!("has {b} columns but {} has {a}", names.0),
        ));
    }
    Ok(())
}

pub(super) fn check_rows(a: usize, b: usize) -> Result<()> {
    if a != b {
        return Err(Error::invalid("b", format!("has {b} rows but a has {a}")));
    }
    Ok(())
}

/// Row i of `a` with row i of `b`.
pub fn pairs<T: Real>(
    similarity: Similarity,
    a: Stored<'_, T>,
    b: Stored<'_, T>,
    workers: &Workers<'_>,
) -> Result<Vec<T>> {
    check_rows(a.rows(), b.rows())?;
    check_cols(a.cols(), b.cols(), A_AND_B)?;
    a.check_finite("a")?;
    b.check_finite("b")?;
    let mut out = vec![T::zero(); a.rows()];
    workers.for_each_piece(&mut out, PIECE, |piece, out| {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (k, out) in out.iter_mut().enumerate() {
            let i = piece * PIECE + k;
            *out = similarity.of(a.row(i, &mut left), b.row(i, &mut right));
        }
        Ok(())
    })?;
    Ok(out)
}

/// Row i of `a` with row j of `b` in `out[i][j]`; after a failure `out` holds anything.
pub fn all_pairs<T: Real>(
    similarity: Similarity,
    a: Stored<'_, T>,
    b: Stored<'_, T>,
    out: &mut [T],
    workers: &Workers<'_>,
) -> Result<()> {
    check_cols(a.cols(), b.cols(), A_AND_B)?;
    let compare = Comparison::new(similarity, a, b, A_AND_B, workers)?;
    fill(&compare, out, workers)
}

/// Computes all parts.
pub(super) fn fill<T: Copy + Send>(
    compare: &impl Compare<T>,
    out: &mut [T],
    workers: &Workers<'_>,
) -> Result<()> {
    let (rows, cols) = compare.shape();
    if rows.checked_mul(cols) != Some(out.len()) {
        return Err(Error::invalid("out", "must have a row for each row of a"));
    }
    let whole = Block {
        data: out.as_mut_ptr(),
        stride: cols,
        rows,
        cols,
    };
    // SAFETY: `out` is borrowed exclusively, and parts have the shape of their ranges.
    unsafe {
        for_each_part(
            whole,
            compare.part(workers.threads()),
            workers,
            |left, right, out| {
                compare.fill(left, right, out);
                Ok(())
            },
        )?;
    }
    compare.check()
}

/// The `k` rows of `b` nearest to each row of `a`, nearest first, without the matrix of all.
pub fn top<T: Real>(
    similarity: Similarity,
    a: Stored<'_, T>,
    b: Stored<'_, T>,
    k: usize,
    workers: &Workers<'_>,
) -> Result<Top<T>> {
    check_cols(a.cols(), b.cols(), QUERIES_AND_BASE)?;
    let compare = Comparison::new(similarity, a, b, QUERIES_AND_BASE, workers)?;
    best(&compare, k, similarity.is_distance(), workers)
}

/// The cosine of each pair of rows and its gradients.
pub fn cosine_gradients<T: Real>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    to_a: &mut [T],
    to_b: &mut [T],
) -> Result<Vec<T>> {
    check_rows(a.rows(), b.rows())?;
    check_cols(a.cols(), b.cols(), A_AND_B)?;
    a.check_finite("a")?;
    b.check_finite("b")?;
    if to_a.len() != a.data().len() || to_b.len() != b.data().len() {
        return Err(Error::invalid("out", "must have the shape of a"));
    }
    let cols = a.cols().max(1);
    to_a.fill(T::zero());
    let mut values = Vec::with_capacity(a.rows());
    let gradients = to_a.chunks_exact_mut(cols).zip(to_b.chunks_exact_mut(cols));
    for (i, (to_a, to_b)) in gradients.enumerate() {
        let (left, right) = (Row::new(a.row(i)), Row::new(b.row(i)));
        let cosine = left.cosine(&right);
        let along = left.pull(&right, cosine, 1.0, to_a, to_b);
        simd::table::<T>().axpy(T::of(-along), left.values, to_a);
        values.push(T::of(cosine.clamp(-1.0, 1.0)));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use crate::simd::half;

    fn draw(count: usize, key: u64) -> Vec<f32> {
        let mut stream = Stream::new(1, key);
        (0..count).map(|_| stream.uniform() as f32 - 0.5).collect()
    }

    /// Sides of every shape, with rows of length 0 and rows far from it.
    fn sides<T: Real>(rows: usize, cols: usize, key: u64, extreme: bool) -> Vec<T> {
        let values = draw(rows * cols, key);
        let mut data: Vec<T> = values.iter().map(|&x| T::of(x.into())).collect();
        if extreme {
            for (i, row) in data.chunks_mut(cols).enumerate() {
                let scale = [0.0, 1e-9, 1e-30, 1.0, 1e-5, 1e17][i % 6];
                row.iter_mut().for_each(|value| *value *= T::of(scale));
            }
        }
        data
    }

    fn agree<T: Real>(tolerance: f64) {
        for (m, n, d) in [
            (130, 7, 9),
            (3, 150, 33),
            (40, 97, 130),
            (9, 9, 1),
            (8, 64, 4),
        ] {
            for extreme in [false, true] {
                let (left, right) = (sides::<T>(m, d, 0, extreme), sides::<T>(n, d, 1, extreme));
                let a = Matrix::new(&left, m, d).unwrap();
                let b = Matrix::new(&right, n, d).unwrap();
                for (_, similarity) in Similarity::ALL {
                    let mut out = vec![T::nan(); m * n];
                    all_pairs(similarity, a.into(), b.into(), &mut out, &Workers::of(2)).unwrap();
                    for i in 0..m {
                        for j in 0..n {
                            let want = similarity.of(a.row(i), b.row(j)).wide();
                            let size = match similarity {
                                Similarity::Cosine => 1.0,
                                Similarity::Dot => {
                                    Row::new(a.row(i)).norm * Row::new(b.row(j)).norm
                                }
                                Similarity::SquaredL2 => want,
                            };
                            let error = (out[i * n + j].wide() - want).abs();
                            assert!(
                                error <= tolerance * (size + 1e-30),
                                "{similarity:?} {m} {n} {d} at {i}, {j}: {} for {want}",
                                out[i * n + j]
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn all_pairs_are_the_pairs() {
        agree::<f64>(1e-14);
        agree::<f32>(2e-6);
    }

    #[test]
    fn halves_give_what_their_values_give() {
        for (m, n, d) in [(2, 90, 37), (90, 3, 16), (70, 65, 300)] {
            let (left, mut right) = (draw(m * d, 0), draw(n * d, 1));
            let mut halves = vec![0; n * d];
            half::encode(&right, &mut halves);
            half::decode(&halves, &mut right);
            let a = Matrix::new(&left, m, d).unwrap();
            let b = Matrix::new(&right, n, d).unwrap();
            let small = Stored::Halves(Matrix::new(&halves, n, d).unwrap());
            for (_, similarity) in Similarity::ALL {
                let (mut got, mut want) = (vec![0.0; m * n], vec![0.0; m * n]);
                all_pairs(similarity, a.into(), small, &mut got, &Workers::serial()).unwrap();
                all_pairs(
                    similarity,
                    a.into(),
                    b.into(),
                    &mut want,
                    &Workers::serial(),
                )
                .unwrap();
                for (got, want) in got.iter().zip(&want) {
                    assert!(
                        (got - want).abs() <= 1e-6 * (want.abs() + 1.0),
                        "{similarity:?}"
                    );
                }
                let wide: Vec<f64> = left.iter().map(|&x| x.into()).collect();
                let wide = Matrix::new(&wide, m, d).unwrap();
                let Stored::Halves(bits) = small else {
                    continue;
                };
                let mut exact = vec![0.0; m * n];
                let workers = Workers::serial();
                all_pairs(
                    similarity,
                    wide.into(),
                    Stored::Halves(bits),
                    &mut exact,
                    &workers,
                )
                .unwrap();
                for (exact, want) in exact.iter().zip(&want) {
                    assert!((exact - f64::from(*want)).abs() <= 1e-5 * (exact.abs() + 1.0));
                }
            }
        }
    }

    #[test]
    fn the_top_is_that_of_the_matrix_for_any_number_of_threads() {
        for (m, n, d) in [(1, 3000, 5), (5, 1100, 8), (20, 700, 16), (530, 40, 3)] {
            let (left, mut right) = (draw(m * d, 0), draw(n * d, 1));
            // Equal rows far apart.
            let (head, tail) = right.split_at_mut((n - 9) * d);
            tail.copy_from_slice(&head[..9 * d]);
            let a = Matrix::new(&left, m, d).unwrap();
            let b = Matrix::new(&right, n, d).unwrap();
            for (_, similarity) in Similarity::ALL {
                let mut matrix = vec![0.0; m * n];
                all_pairs(
                    similarity,
                    a.into(),
                    b.into(),
                    &mut matrix,
                    &Workers::serial(),
                )
                .unwrap();
                for k in [1, 2, 10, n, n + 5] {
                    let run = |threads| {
                        top(similarity, a.into(), b.into(), k, &Workers::of(threads)).unwrap()
                    };
                    let found = run(1);
                    assert_eq!(found, run(2));
                    assert_eq!(found, run(3));
                    let kept = k.min(n);
                    for (q, values) in matrix.chunks(n).enumerate() {
                        let mut order: Vec<usize> = (0..n).collect();
                        order.sort_by(|&i, &j| {
                            let nearer = values[j].total_cmp(&values[i]);
                            let nearer = if similarity.is_distance() {
                                nearer.reverse()
                            } else {
                                nearer
                            };
                            nearer.then(i.cmp(&j))
                        });
                        for (place, &row) in order[..kept].iter().enumerate() {
                            let at = q * kept + place;
                            assert_eq!(found.rows[at], row as i64, "{similarity:?} {m} {n} {k}");
                            assert_eq!(found.scores[at], values[row]);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        for (m, n, d) in [(300, 450, 70), (2, 5000, 20)] {
            let (left, right) = (draw(m * d, 0), draw(n * d, 1));
            let a = Matrix::new(&left, m, d).unwrap();
            let b = Matrix::new(&right, n, d).unwrap();
            for (_, similarity) in Similarity::ALL {
                let run = |threads| {
                    let mut out = vec![0.0; m * n];
                    all_pairs(
                        similarity,
                        a.into(),
                        b.into(),
                        &mut out,
                        &Workers::of(threads),
                    )
                    .unwrap();
                    out
                };
                assert_eq!(run(1), run(2));
                assert_eq!(run(1), run(5));
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_found_on_either_side() {
        for rows in [1, 20] {
            let good = vec![1.0f32; 40 * 3];
            let mut bad = good.clone();
            bad[25 * 3 + 1] = f32::INFINITY;
            let few = Matrix::new(&good[..rows * 3], rows, 3).unwrap();
            let many = Matrix::new(&bad, 40, 3).unwrap();
            for (_, similarity) in Similarity::ALL {
                let mut out = vec![0.0; 40 * rows];
                let workers = Workers::serial();
                let error = all_pairs(similarity, few.into(), many.into(), &mut out, &workers);
                assert!(
                    error
                        .unwrap_err()
                        .to_string()
                        .starts_with("b has NaN or infinity in row 25")
                );
                let error = all_pairs(similarity, many.into(), few.into(), &mut out, &workers);
                assert!(
                    error
                        .unwrap_err()
                        .to_string()
                        .starts_with("a has NaN or infinity in row 25")
                );
                let error = top(similarity, few.into(), many.into(), 2, &workers);
                assert!(
                    error
                        .unwrap_err()
                        .to_string()
                        .starts_with("base has NaN or infinity in row 25")
                );
            }
        }
    }
}
