//! Rows of length one, and what becomes of their gradient.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::Result;
use crate::matrix::Matrix;
use crate::metric::{COSINE_EPS, norm};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

/// Rows a worker handles at a time.
const PIECE: usize = 64;

/// Rows scaled to length one; zero rows stay zero.
pub struct UnitRows<T> {
    rows: Vec<T>,
    norms: Vec<f64>,
    cols: usize,
}

impl<T: Real> UnitRows<T> {
    /// The rows of all `parts`, one part after the other. They must have equally many columns.
    pub fn of(parts: &[Matrix<'_, T>], workers: &Workers<'_>) -> Result<Self> {
        let cols = parts.first().map_or(0, Matrix::cols);
        let mut rows = Vec::with_capacity(parts.iter().map(|part| part.data().len()).sum());
        for part in parts {
            debug_assert_eq!(part.cols(), cols);
            rows.extend_from_slice(part.data());
        }
        let norms = normalise_rows(&mut rows, parts.iter().map(Matrix::rows).sum(), workers)?;
        Ok(Self { rows, norms, cols })
    }

    /// A view of all rows.
    pub fn all(&self) -> Units<'_, T> {
        self.range(0..self.norms.len())
    }

    /// A view of some rows.
    pub fn range(&self, range: Range<usize>) -> Units<'_, T> {
        Units {
            data: &self.rows[range.start * self.cols..range.end * self.cols],
            norms: &self.norms[range],
            cols: self.cols,
        }
    }
}

/// Scales `count` rows to length one in place, zero rows staying zero; returns the lengths they had.
pub fn normalise_rows<T: Real>(
    rows: &mut [T],
    count: usize,
    workers: &Workers<'_>,
) -> Result<Vec<f64>> {
    let cols = rows.len().checked_div(count).unwrap_or(0);
    let mut norms = vec![0.0; count];
    let mut pieces: Vec<_> = rows
        .chunks_mut(PIECE * cols.max(1))
        .zip(norms.chunks_mut(PIECE))
        .collect();
    workers.for_each_piece(&mut pieces, 1, |_, piece| {
        for (rows, norms) in piece {
            for (row, length) in rows.chunks_exact_mut(cols.max(1)).zip(norms.iter_mut()) {
                *length = norm(row);
                normalise(row, *length);
            }
        }
        Ok(())
    })?;
    Ok(norms)
}

/// Lengths whose inverses and products with one another are well inside every type's range.
const PLAIN: Range<f64> = 1e-15..1e15;

/// Rows whose directions are those of `rows` and whose dot products and inverse lengths neither
/// overflow nor vanish: a copy, with extreme rows multiplied by powers of two, where there are any.
pub fn plain_rows<'a, T: Real>(rows: Matrix<'a, T>, workers: &Workers<'_>) -> Result<Cow<'a, [T]>> {
    const ROWS: usize = 4096;
    let is_plain = |row: &[T]| {
        let length = norm(row);
        length == 0.0 || PLAIN.contains(&length)
    };
    let found = workers.map(rows.rows().div_ceil(ROWS), |i| {
        let mut range = i * ROWS..rows.rows().min((i + 1) * ROWS);
        Ok(range.all(|row| is_plain(rows.row(row))))
    })?;
    if found.into_iter().all(|plain| plain) {
        return Ok(Cow::Borrowed(rows.data()));
    }
    let mut copy = rows.data().to_vec();
    workers.for_each_piece(&mut copy, PIECE * rows.cols().max(1), |_, piece| {
        for row in piece.chunks_exact_mut(rows.cols().max(1)) {
            if !is_plain(row) {
                bring_near_one(row);
            }
        }
        Ok(())
    })?;
    Ok(Cow::Owned(copy))
}

/// Multiplies by a power of two, so that the largest value lies between 1 and 2.
fn bring_near_one<T: Real>(row: &mut [T]) {
    let largest = row.iter().fold(0.0, |top: f64, x| top.max(x.wide().abs()));
    if largest == 0.0 || !largest.is_finite() {
        return;
    }
    let power = -(largest.log2().floor() as i32);
    // In two steps: 2¹⁰⁷⁴, which the smallest f64 needs, is none.
    let (one, other) = (2f64.powi(power / 2), 2f64.powi(power - power / 2));
    for value in row {
        *value = T::of(value.wide() * one * other);
    }
}

fn normalise<T: Real>(row: &mut [T], length: f64) {
    if length == 0.0 {
        return;
    }
    let inverse = 1.0 / length;
    for value in row {
        *value = T::of(if inverse.is_finite() {
            value.wide() * inverse
        } else {
            value.wide() / length
        });
    }
}

/// Scales rows to length `radius` in place; zero rows stay zero. Nothing changes where it fails.
pub fn project_to_sphere<T: Real>(
    rows: &mut [T],
    cols: usize,
    radius: f64,
    workers: &Workers<'_>,
) -> Result<()> {
    Matrix::new(&*rows, rows.len().checked_div(cols).unwrap_or(0), cols)?.check_finite("rows")?;
    let radius = T::of(radius);
    workers.for_each_piece(rows, PIECE * cols.max(1), |_, rows| {
        for row in rows.chunks_exact_mut(cols.max(1)) {
            let length = norm(row);
            normalise(row, length);
            row.iter_mut().for_each(|value| *value *= radius);
        }
        Ok(())
    })
}

/// Unit rows and the lengths they had.
pub struct Units<'a, T> {
    pub data: &'a [T],
    pub norms: &'a [f64],
    pub cols: usize,
}

impl<T> Clone for Units<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Units<'_, T> {}

impl<'a, T: Real> Units<'a, T> {
    pub fn len(&self) -> usize {
        self.norms.len()
    }

    pub fn is_empty(&self) -> bool {
        self.norms.is_empty()
    }

    pub fn row(&self, i: usize) -> &'a [T] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    pub fn slice(&self, range: Range<usize>) -> Self {
        Self {
            data: &self.data[range.start * self.cols..range.end * self.cols],
            norms: &self.norms[range],
            cols: self.cols,
        }
    }

    /// The smallest length, infinity where there are no rows.
    pub fn shortest(&self) -> f64 {
        self.norms.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Whether some cosine between these rows and `others` divides by [`COSINE_EPS`] instead of
    /// by the lengths.
    pub fn may_floor(&self, others: &Self) -> bool {
        self.shortest() * others.shortest() <= COSINE_EPS
    }

    /// Turns gradients of the unit rows into gradients of the rows, `(g - û (û·g)) / |u|`, plus
    /// what `gradient` holds for the rows themselves.
    pub fn pull_back(
        &self,
        gradient: &UnitGradient<T>,
        first: usize,
        out: &mut [T],
        workers: &Workers<'_>,
    ) -> Result<()> {
        let cols = self.cols;
        workers.for_each_piece(out, PIECE * cols.max(1), |piece, out| {
            for (k, out) in out.chunks_exact_mut(cols.max(1)).enumerate() {
                let i = piece * PIECE + k;
                let at = (first + i) * cols..(first + i + 1) * cols;
                self.pull_row(i, &gradient.unit[at.clone()], out);
                if let Some(direct) = gradient.direct.get(at) {
                    simd::table::<T>().axpy(T::one(), direct, out);
                }
            }
            Ok(())
        })
    }

    fn pull_row(&self, i: usize, gradient: &[T], out: &mut [T]) {
        let (row, length) = (self.row(i), self.norms[i]);
        if length == 0.0 {
            out.fill(T::zero());
            return;
        }
        let along = simd::table::<T>().dot(row, gradient);
        for ((out, &g), &u) in out.iter_mut().zip(gradient).zip(row) {
            *out = T::of((g - along * u).wide() / length);
        }
    }
}

/// Gradients of unit rows and, where there are floored cosines, of the rows themselves.
pub struct UnitGradient<T> {
    pub unit: Vec<T>,
    /// As long as `unit`, or empty where no cosine is floored.
    pub direct: Vec<T>,
}

impl<T: Real> UnitGradient<T> {
    pub fn zero(rows: usize, cols: usize, with_direct: bool) -> Self {
        Self {
            unit: vec![T::zero(); rows * cols],
            direct: vec![T::zero(); if with_direct { rows * cols } else { 0 }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_length_one_and_zero_stays() {
        let data = [3.0, 4.0, 0.0, 0.0, 1e-30, 0.0];
        let part = Matrix::new(&data, 3, 2).unwrap();
        let units = UnitRows::<f32>::of(&[part, part], &Workers::serial()).unwrap();
        let all = units.all();
        assert_eq!(all.len(), 6);
        assert_eq!(all.row(4), [0.0, 0.0]);
        assert_eq!(all.row(5), [1.0, 0.0]);
        assert!((all.row(0)[0] - 0.6).abs() < 1e-6);
        assert!(all.may_floor(&all));
    }

    #[test]
    fn extreme_rows_keep_their_directions() {
        let data = [1e-39f32, 1e-45, 3e38, -3e38, 0.0, 0.0, 3.0, 4.0];
        let rows = Matrix::new(&data, 4, 2).unwrap();
        let plain = plain_rows(rows, &Workers::serial()).unwrap();
        for (row, was) in plain.chunks(2).zip(data.chunks(2)).take(2) {
            assert!((0.5..4.0).contains(&norm(row)));
            assert!(((row[1] / row[0]) - (was[1] / was[0])).abs() < 1e-6);
        }
        assert_eq!(plain[4..], data[4..]);
        let rest = rows.slice(2, 4);
        let rest = plain_rows(rest, &Workers::serial()).unwrap();
        assert!(matches!(rest, Cow::Borrowed(_)));
        let data = [5e-324, 0.0, 1.7e308, 1.7e308];
        let rows = Matrix::new(&data, 2, 2).unwrap();
        let plain = plain_rows(rows, &Workers::serial()).unwrap();
        assert_eq!(plain[..2], [1.0, 0.0]);
        assert!(plain[2] == plain[3] && (1.0..2.0).contains(&plain[2]));
    }
}
