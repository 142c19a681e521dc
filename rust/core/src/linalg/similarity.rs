//! Similarities of vectors: pair by pair, and all pairs.

use crate::error::{Error, Result};
use crate::linalg::gemm::{Strided, gemm};
use crate::linalg::unit::UnitRows;
use crate::matrix::Matrix;
use crate::metric::{COSINE_EPS, Row};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

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

    fn of<T: Real>(self, a: &[T], b: &[T]) -> T {
        match self {
            Self::Dot => simd::table::<T>().dot(a, b),
            Self::Cosine => T::of(Row::new(a).cosine(&Row::new(b)).clamp(-1.0, 1.0)),
            Self::SquaredL2 => simd::table::<T>().squared_l2(a, b),
        }
    }
}

fn check<T: Real>(a: &Matrix<'_, T>, b: &Matrix<'_, T>) -> Result<()> {
    if a.cols() != b.cols() {
        return Err(Error::invalid(
            "b",
            format!("has {} columns but a has {}", b.cols(), a.cols()),
        ));
    }
    a.check_finite("a")?;
    b.check_finite("b")
}

fn check_pairs<T: Real>(a: &Matrix<'_, T>, b: &Matrix<'_, T>) -> Result<()> {
    if a.rows() != b.rows() {
        return Err(Error::invalid(
            "b",
            format!("has {} rows but a has {}", b.rows(), a.rows()),
        ));
    }
    check(a, b)
}

/// Row i of `a` with row i of `b`.
pub fn pairs<T: Real>(
    similarity: Similarity,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    workers: &Workers<'_>,
) -> Result<Vec<T>> {
    check_pairs(&a, &b)?;
    let mut out = vec![T::zero(); a.rows()];
    workers.for_each_piece(&mut out, PIECE, |piece, out| {
        for (k, out) in out.iter_mut().enumerate() {
            let i = piece * PIECE + k;
            *out = similarity.of(a.row(i), b.row(i));
        }
        Ok(())
    })?;
    Ok(out)
}

/// Row i of `a` with row j of `b` in `out[i][j]`.
pub fn all_pairs<T: Real>(
    similarity: Similarity,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    out: &mut [T],
    workers: &Workers<'_>,
) -> Result<()> {
    check(&a, &b)?;
    if out.len() != a.rows() * b.rows() {
        return Err(Error::invalid("out", "must have a row for each row of a"));
    }
    if a.rows() == 1 {
        // One sweep over b; a product would first make a copy of it.
        return workers.for_each_piece(out, PIECE, |piece, out| {
            for (k, out) in out.iter_mut().enumerate() {
                *out = similarity.of(a.row(0), b.row(piece * PIECE + k));
            }
            Ok(())
        });
    }
    match similarity {
        Similarity::Dot => by_rows(out, b.rows(), workers, |rows, out| {
            product(
                &a.data()[rows.start * a.cols()..rows.end * a.cols()],
                &b,
                out,
            );
        }),
        // The product form |a|² + |b|² - 2 a·b would cancel where vectors are near.
        Similarity::SquaredL2 => by_rows(out, b.rows(), workers, |rows, out| {
            for (i, out) in rows.zip(out.chunks_exact_mut(b.rows())) {
                for (j, out) in out.iter_mut().enumerate() {
                    *out = similarity.of(a.row(i), b.row(j));
                }
            }
        }),
        Similarity::Cosine => {
            let (a, b) = (UnitRows::of(&[a], workers)?, UnitRows::of(&[b], workers)?);
            let (a, b) = (a.all(), b.all());
            let keys = Matrix::new(b.data, b.len(), b.cols)?;
            let floors = a.may_floor(&b);
            by_rows(out, b.len(), workers, |rows, out| {
                product(a.slice(rows.clone()).data, &keys, out);
                for (i, out) in rows.zip(out.chunks_exact_mut(b.len())) {
                    for (out, length) in out.iter_mut().zip(b.norms) {
                        let product = a.norms[i] * length;
                        if floors && product <= COSINE_EPS {
                            *out *= T::of(product / COSINE_EPS);
                        }
                        *out = out.max(-T::one()).min(T::one());
                    }
                }
            })
        }
    }
}

fn by_rows<T: Real>(
    out: &mut [T],
    width: usize,
    workers: &Workers<'_>,
    fill: impl Fn(std::ops::Range<usize>, &mut [T]) + Sync,
) -> Result<()> {
    workers.for_each_piece(out, PIECE * width.max(1), |piece, out| {
        let first = piece * PIECE;
        fill(first..first + out.len() / width.max(1), out);
        Ok(())
    })
}

fn product<T: Real>(rows: &[T], b: &Matrix<'_, T>, out: &mut [T]) {
    let count = out.len().checked_div(b.rows()).unwrap_or(0);
    gemm(
        T::one(),
        Strided::rows(rows, count, b.cols()),
        Strided::rows(b.data(), b.rows(), b.cols()).transposed(),
        T::zero(),
        out,
    );
}

/// The cosine of each pair of rows and its gradients.
pub fn cosine_gradients<T: Real>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    to_a: &mut [T],
    to_b: &mut [T],
) -> Result<Vec<T>> {
    check_pairs(&a, &b)?;
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

    #[test]
    fn all_pairs_are_the_pairs() {
        let mut stream = Stream::new(1, 0);
        let mut data: Vec<f64> = (0..130 * 9).map(|_| stream.uniform() - 0.5).collect();
        data[..9].fill(0.0);
        data[9..18].iter_mut().for_each(|value| *value *= 1e-9);
        let a = Matrix::new(&data, 130, 9).unwrap();
        let b = a.slice(0, 7);
        for (_, similarity) in Similarity::ALL {
            let mut out = vec![0.0; 130 * 7];
            all_pairs(similarity, a, b, &mut out, &Workers::of(2)).unwrap();
            for i in 0..130 {
                for j in 0..7 {
                    let want = similarity.of(a.row(i), b.row(j));
                    assert!((out[i * 7 + j] - want).abs() < 1e-14, "{similarity:?}");
                }
            }
        }
    }
}
