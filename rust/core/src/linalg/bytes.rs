//! Similarities of rows of signed bytes: products are exact, results the nearest `f32`.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::simd::small::{MOST_DIMENSIONS, QUERIES, products, squares};
use crate::simd::{Block, Elementwise, elementwise};

use super::compare::{Compare, Names};
use super::similarity::{A_AND_B, QUERIES_AND_BASE, Similarity, check_cols, check_rows, fill};
use super::top::{Top, best};

/// Rows a worker handles at a time.
const PIECE: usize = 64;

/// Rows and columns of a part.
const PART: (usize, usize) = (256, 1024);

fn check(a: &Matrix<'_, i8>, b: &Matrix<'_, i8>, names: Names) -> Result<()> {
    check_cols(a.cols(), b.cols(), names)?;
    if a.cols() > MOST_DIMENSIONS {
        return Err(Error::invalid(
            names.0,
            format!(
                "has {} columns of int8, whose products are exact up to {MOST_DIMENSIONS}; \
                 convert both arrays to float32",
                a.cols()
            ),
        ));
    }
    Ok(())
}

fn all_squares(
    similarity: Similarity,
    rows: &Matrix<'_, i8>,
    workers: &Workers<'_>,
) -> Result<Vec<i32>> {
    if similarity == Similarity::Dot {
        return Ok(Vec::new());
    }
    let mut out = vec![0; rows.rows()];
    workers.for_each_piece(&mut out, PIECE, |piece, out| {
        let first = piece * PIECE;
        let rows = rows.slice(first, first + out.len());
        squares(rows.data(), rows.cols(), out);
        Ok(())
    })?;
    Ok(out)
}

/// A product, with the squares of its two rows where they are needed, as a similarity.
#[inline(always)]
fn finished(similarity: Similarity, product: i32, a: i32, b: i32) -> f32 {
    match similarity {
        Similarity::Dot => product as f32,
        Similarity::SquaredL2 => (i64::from(a) + i64::from(b) - 2 * i64::from(product)) as f32,
        // Rows that are not zero are no shorter than 1, so nothing is floored but 0/0.
        Similarity::Cosine => {
            let squared = f64::from(a) * f64::from(b);
            let cosine = f64::from(product) / squared.max(1.0).sqrt();
            cosine as f32
        }
    }
}

/// Row i of `a` with row i of `b`.
pub fn pairs(
    similarity: Similarity,
    a: Matrix<'_, i8>,
    b: Matrix<'_, i8>,
    workers: &Workers<'_>,
) -> Result<Vec<f32>> {
    check_rows(a.rows(), b.rows())?;
    check(&a, &b, A_AND_B)?;
    let (left, right) = (
        all_squares(similarity, &a, workers)?,
        all_squares(similarity, &b, workers)?,
    );
    let mut out = vec![0.0; a.rows()];
    workers.for_each_piece(&mut out, PIECE, |piece, out| {
        for (k, out) in out.iter_mut().enumerate() {
            let i = piece * PIECE + k;
            let mut product = [0];
            products(a.row(i), 1, b.row(i), &mut product);
            let (x, y) = (left.get(i).copied(), right.get(i).copied());
            *out = finished(similarity, product[0], x.unwrap_or(0), y.unwrap_or(0));
        }
        Ok(())
    })?;
    Ok(out)
}

/// Row i of `a` with row j of `b` in `out[i][j]`; after a failure `out` holds anything.
pub fn all_pairs(
    similarity: Similarity,
    a: Matrix<'_, i8>,
    b: Matrix<'_, i8>,
    out: &mut [f32],
    workers: &Workers<'_>,
) -> Result<()> {
    fill(
        &Bytes::new(similarity, a, b, A_AND_B, workers)?,
        out,
        workers,
    )
}

/// The `k` rows of `b` nearest to each row of `a`, nearest first.
pub fn top(
    similarity: Similarity,
    a: Matrix<'_, i8>,
    b: Matrix<'_, i8>,
    k: usize,
    workers: &Workers<'_>,
) -> Result<Top<f32>> {
    let compare = Bytes::new(similarity, a, b, QUERIES_AND_BASE, workers)?;
    best(&compare, k, similarity.is_distance(), workers)
}

struct Bytes<'a> {
    similarity: Similarity,
    a: Matrix<'a, i8>,
    b: Matrix<'a, i8>,
    /// Squares of the rows of `a`; those of `b` are summed while its rows are in the cache.
    left: Vec<i32>,
}

impl<'a> Bytes<'a> {
    fn new(
        similarity: Similarity,
        a: Matrix<'a, i8>,
        b: Matrix<'a, i8>,
        names: Names,
        workers: &Workers<'_>,
    ) -> Result<Self> {
        check(&a, &b, names)?;
        Ok(Self {
            similarity,
            a,
            b,
            left: all_squares(similarity, &a, workers)?,
        })
    }
}

/// Products of one row of `a` become similarities.
struct Finish<'a> {
    similarity: Similarity,
    products: &'a [i32],
    left: i32,
    right: &'a [i32],
    out: &'a mut [f32],
}

impl Elementwise for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        if self.similarity == Similarity::Dot {
            for (out, &product) in self.out.iter_mut().zip(self.products) {
                *out = product as f32;
            }
            return;
        }
        let pairs = self.products.iter().zip(self.right);
        for (out, (&product, &right)) in self.out.iter_mut().zip(pairs) {
            *out = finished(self.similarity, product, self.left, right);
        }
    }
}

impl Compare<f32> for Bytes<'_> {
    fn shape(&self) -> (usize, usize) {
        (self.a.rows(), self.b.rows())
    }

    fn part(&self, _threads: usize) -> (usize, usize) {
        PART
    }

    unsafe fn fill(&self, left: Range<usize>, right: Range<usize>, out: Block<f32>) {
        let (mut space, mut own) = ([0; QUERIES * PIECE], [0; PIECE]);
        for first in right.clone().step_by(PIECE) {
            let piece = first..right.end.min(first + PIECE);
            let rows = self.b.slice(piece.start, piece.end).data();
            let held = if self.similarity == Similarity::Dot {
                0
            } else {
                piece.len()
            };
            let own = &mut own[..held];
            if held > 0 {
                squares(rows, self.b.cols(), own);
            }
            for start in left.clone().step_by(QUERIES) {
                let group = start..left.end.min(start + QUERIES);
                let queries = self.a.slice(group.start, group.end).data();
                let values = &mut space[..group.len() * piece.len()];
                products(queries, group.len(), rows, values);
                for (i, values) in group.zip(values.chunks_exact(piece.len())) {
                    let at = (i - left.start) * out.stride + first - right.start;
                    // SAFETY: the caller promises these places.
                    let out =
                        unsafe { std::slice::from_raw_parts_mut(out.data.add(at), piece.len()) };
                    elementwise(Finish {
                        similarity: self.similarity,
                        products: values,
                        left: self.left.get(i).copied().unwrap_or(0),
                        right: own,
                        out,
                    });
                }
            }
        }
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }
}
