//! Choosing a codec by trying several on a sample.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::index::candidate::Candidate;
use crate::index::lines::Lines;
use crate::index::space::Space;
use crate::index::vectors::Views;
use crate::linalg::gemm::{Strided, gemm_parallel};
use crate::metric::Metric;
use crate::pool::Workers;
use crate::rng::Stream;
use crate::simd;
use crate::simd::bytes::{LINE, TRAILER};

use super::{Codec, Codes, MAX_DIM, Projection, Query, lines_of};

/// An index of fewer rows has no codes: it lies in the caches anyway.
pub const TRAIN_ROWS: usize = 4096;

/// Rows looked at.
const SAMPLE: usize = 4096;

/// Rows of the sample whose nearest are looked for among the others.
const PROBES: usize = 256;

/// How many of them.
const NEAREST: usize = 10;

/// What share of the nearest by code must be truly among the nearest for a projection to be taken.
/// Fewer values cost less a row and make walks keep more rows in view. On Fashion-MNIST 248 values
/// keep about .96, a little more or less by the directions drawn; walks over them were as fast as
/// over 312 or 376 (.977), and slower over 184 (.947).
const PROJECTION_KEEPS: f64 = 0.955;

/// And what share without a projection for codes to be used at all.
const BYTES_KEEP: f64 = 0.85;

/// Rows that keep less than half of their neighbours may be this share at most: such ones would
/// hardly be found.
const LOST: f64 = 0.01;

/// Widths tried, in lines: the wider ones' directions are looked for only when they are needed.
const WIDTHS: [&[usize]; 2] = [&[1, 2, 3, 4], &[5, 6, 8]];

/// Lines that codes without a projection may take where rows are packed, and so hardly larger than
/// those: 128 bytes are what links take by default. Walks over the packed rows of GloVe (50 values)
/// made searching three times as slow as over codes, and building four times.
const MOST_BESIDE_PACKED: usize = 2;

/// Steps of the orthogonal iteration that finds the directions of largest variance.
const STEPS: usize = 4;

/// Directions that are made orthogonal to all before them at once.
const TOGETHER: usize = 32;

/// What training has decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Codes would not tell neighbours apart.
    Exact,
    Coded(Codec),
}

/// The narrowest codec that keeps the neighbours of a sample of the first `len` rows.
///
/// Where rows are packed, one without a projection may take [`MOST_BESIDE_PACKED`] lines at most.
pub fn train(
    space: &Space,
    vectors: &impl Views,
    len: usize,
    workers: &Workers<'_>,
) -> Result<Plan> {
    let dim = space.dim;
    if dim > MAX_DIM {
        return Ok(Plan::Exact);
    }
    let sample = sample(space, vectors, len)?;
    let count = len.min(SAMPLE);
    let mut mean = vec![0.0f64; dim];
    if space.metric != Metric::InnerProduct {
        for i in 0..count {
            for (sum, &x) in mean.iter_mut().zip(sample.row(i)) {
                *sum += f64::from(x);
            }
        }
    }
    let mean: Vec<f32> = mean.iter().map(|sum| (sum / count as f64) as f32).collect();
    let probe = Probe::new(space, &sample, count, workers)?;

    if let Some(codec) = projection(space, &sample, &mean, &probe, workers)? {
        return Ok(Plan::Coded(codec));
    }
    let codec = Codec::new(mean, None, space.metric);
    if vectors.are_packed() && codec.lines > MOST_BESIDE_PACKED {
        return Ok(Plan::Exact);
    }
    Ok(match probe.suits(&codec, space, &sample, workers)? {
        true => Plan::Coded(codec),
        false => Plan::Exact,
    })
}

/// The narrowest codec with a projection that keeps the neighbours of the sample.
fn projection(
    space: &Space,
    sample: &Lines,
    mean: &[f32],
    probe: &Probe,
    workers: &Workers<'_>,
) -> Result<Option<Codec>> {
    let dim = space.dim;
    let fits = |&width: &usize| width < lines_of(dim) && width * LINE < dim + TRAILER;
    if !WIDTHS.concat().iter().any(fits) {
        return Ok(None);
    }
    let centred = centred(sample, probe.count, mean, workers)?;
    let rows = Strided::rows(&centred, probe.count, dim);
    for widths in WIDTHS {
        let mut widths = widths.iter().copied().filter(fits);
        let Some(most) = widths.clone().next_back() else {
            break;
        };
        let directions = directions(rows, most * LINE - TRAILER, workers)?;
        let codec = widths.try_fold(None, |found, width| {
            workers.check()?;
            if found.is_some() {
                return Ok(found);
            }
            let values = width * LINE - TRAILER;
            let matrix = rotated(&directions[..values * dim], values, dim, workers)?;
            let projection = Some(Projection::new(&matrix, dim)?);
            let codec = Codec::new(mean.to_vec(), projection, space.metric);
            let suits = probe.suits(&codec, space, sample, workers)?;
            Ok::<_, Error>(suits.then_some(codec))
        })?;
        if codec.is_some() {
            return Ok(codec);
        }
    }
    Ok(None)
}

/// Whether a codec keeps the neighbours of the rows `new`, the last ones, too.
pub fn suits(
    codec: &Codec,
    space: &Space,
    vectors: &impl Views,
    new: Range<usize>,
    workers: &Workers<'_>,
) -> Result<bool> {
    let (mut sample, mut buffer) = (sample(space, vectors, new.end)?, Vec::new());
    let count = new.end.min(SAMPLE);
    // Places of the sample that new rows take, spread over it.
    let probes = PROBES.min(new.len()).min(count);
    let places: Vec<usize> = (0..probes).map(|i| i * count / probes).collect();
    for (i, &place) in places.iter().enumerate() {
        let row = vectors.view(new.start + i * new.len() / probes, &mut buffer);
        sample.row_mut(place).copy_from_slice(row);
    }
    let probe = Probe::at(&places, space, &sample, count, workers)?;
    probe.suits(codec, space, &sample, workers)
}

/// Some of the first `len` rows, spread evenly over equal stretches of them.
fn sample(space: &Space, vectors: &impl Views, len: usize) -> Result<Lines> {
    let count = len.min(SAMPLE);
    let (mut sample, mut buffer) = (Lines::new(space.dim), Vec::new());
    sample.resize(count)?;
    for i in 0..count {
        let (start, end) = (i * len / count, (i + 1) * len / count);
        let within = Stream::new(len as u64, i as u64).below((end - start) as u64);
        sample
            .row_mut(i)
            .copy_from_slice(vectors.view(start + within as usize, &mut buffer));
    }
    Ok(sample)
}

/// How far the nearest others of some rows of the sample are.
struct Probe {
    count: usize,
    /// Rows, and the distance of their furthest neighbour.
    rows: Vec<(usize, f32)>,
}

impl Probe {
    fn new(space: &Space, sample: &Lines, count: usize, workers: &Workers<'_>) -> Result<Self> {
        let probes = count.min(PROBES);
        let places: Vec<usize> = (0..probes).map(|i| i * count / probes).collect();
        Self::at(&places, space, sample, count, workers)
    }

    fn at(
        places: &[usize],
        space: &Space,
        sample: &Lines,
        count: usize,
        workers: &Workers<'_>,
    ) -> Result<Self> {
        let rows = workers.map(places.len(), |i| {
            let row = places[i];
            let mut others: Vec<f32> = (0..count)
                .filter(|&other| other != row)
                .map(|other| space.distance(sample.row(row), sample.row(other)))
                .collect();
            let last = NEAREST.min(others.len()).saturating_sub(1);
            let (_, &mut furthest, _) = others.select_nth_unstable_by(last, f32::total_cmp);
            Ok((row, furthest))
        })?;
        Ok(Self { count, rows })
    }

    /// Whether the nearest by code are truly among the nearest: nearly all of them on the whole,
    /// and at least half for nearly every row.
    fn suits(
        &self,
        codec: &Codec,
        space: &Space,
        sample: &Lines,
        workers: &Workers<'_>,
    ) -> Result<bool> {
        let mut codes = Codes::new(codec.clone(), space.metric);
        codes.append(sample, 0..self.count, workers)?;
        let all: Vec<u32> = (0..self.count as u32).collect();
        let kept = workers.map(self.rows.len(), |i| {
            let (row, furthest) = self.rows[i];
            let (mut query, mut distances) = (Query::default(), Vec::new());
            query.set(codes.code(row));
            codes.distances(&mut query, &all, &mut distances);
            let mut others: Vec<Candidate> = (distances.iter().zip(&all))
                .filter(|&(_, &other)| other as usize != row)
                .map(|(&distance, &other)| Candidate::new(distance, other))
                .collect();
            let last = NEAREST.min(others.len()).saturating_sub(1);
            others.select_nth_unstable(last);
            let near = others[..=last].iter().filter(|other| {
                let other = sample.row(other.node() as usize);
                space.distance(sample.row(row), other) <= furthest
            });
            Ok(near.count() as f64 / (last + 1) as f64)
        })?;
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        let lost = kept.iter().filter(|&&share| share < 0.5).count();
        let bound = match codec.projection {
            Some(_) => PROJECTION_KEEPS,
            None => BYTES_KEEP,
        };
        Ok(mean >= bound && lost as f64 <= LOST * kept.len() as f64)
    }
}

/// The sample's rows less their mean, all divided by what keeps products of extreme ones finite.
fn centred(sample: &Lines, count: usize, mean: &[f32], workers: &Workers<'_>) -> Result<Vec<f32>> {
    let mut centred = vec![0.0f32; count * mean.len()];
    workers.for_each_piece(&mut centred, mean.len(), |i, centred| {
        let row = sample.row(i).iter().zip(mean);
        let differences = centred.iter_mut().zip(row);
        differences.for_each(|(value, (x, mean))| *value = x - mean);
        Ok(())
    })?;
    let largest = centred.iter().fold(0.0f32, |top, x| top.max(x.abs()));
    if largest > 0.0 {
        centred.iter_mut().for_each(|x| *x /= largest);
    }
    Ok(centred)
}

/// Orthonormal directions, the first ones of most variance: orthogonal iteration.
fn directions(rows: Strided<'_, f32>, values: usize, workers: &Workers<'_>) -> Result<Vec<f32>> {
    let (count, dim) = (rows.rows, rows.cols);
    let mut directions = gaussian(values, dim, 1, workers)?;
    orthonormalise(&mut directions, dim, workers)?;
    let mut images = vec![0.0f32; count * values];
    for _ in 0..STEPS {
        let of = Strided::rows(&directions, values, dim).transposed();
        gemm_parallel(workers, 1.0, rows, of, 0.0, &mut images)?;
        let images = Strided::rows(&images, count, values).transposed();
        gemm_parallel(workers, 1.0, images, rows, 0.0, &mut directions)?;
        orthonormalise(&mut directions, dim, workers)?;
    }
    Ok(directions)
}

/// The directions turned at random among themselves, so that none carries more than others and
/// a byte does for each.
fn rotated(
    directions: &[f32],
    values: usize,
    dim: usize,
    workers: &Workers<'_>,
) -> Result<Vec<f32>> {
    let mut turn = gaussian(values, values, 2, workers)?;
    orthonormalise(&mut turn, values, workers)?;
    let mut rotated = vec![0.0; values * dim];
    gemm_parallel(
        workers,
        1.0,
        Strided::rows(&turn, values, values),
        Strided::rows(directions, values, dim),
        0.0,
        &mut rotated,
    )?;
    Ok(rotated)
}

/// Rows of `dim` independent normal numbers (Box and Muller 1958).
fn gaussian(rows: usize, dim: usize, key: u64, workers: &Workers<'_>) -> Result<Vec<f32>> {
    let mut values = vec![0.0; rows * dim];
    workers.for_each_piece(&mut values, dim, |i, row| {
        let mut stream = Stream::new(0x636f_6465, key << 32 | i as u64);
        row.fill_with(|| {
            let radius = (-2.0 * (1.0 - stream.uniform()).ln()).sqrt();
            let angle = std::f64::consts::TAU * stream.uniform();
            (radius * angle.cos()) as f32
        });
        Ok(())
    })?;
    Ok(values)
}

/// Makes rows of `dim` values orthonormal, in order; ones that depend on earlier ones become zero.
fn orthonormalise(rows: &mut [f32], dim: usize, workers: &Workers<'_>) -> Result<()> {
    let kernels = simd::table::<f32>();
    let count = rows.len() / dim;
    for start in (0..count).step_by(TOGETHER) {
        let (before, rest) = rows.split_at_mut(start * dim);
        let size = TOGETHER.min(count - start);
        let block = &mut rest[..size * dim];
        let mut along = vec![0.0; size * start];
        // Once more takes off what rounding left.
        for _ in 0..2 {
            let length = |row: &[f32]| kernels.dot(row, row).sqrt();
            let lengths: Vec<f32> = block.chunks_exact(dim).map(length).collect();
            let before = Strided::rows(before, start, dim);
            let own = Strided::rows(block, size, dim);
            gemm_parallel(workers, 1.0, own, before.transposed(), 0.0, &mut along)?;
            let along = Strided::rows(&along, size, start);
            gemm_parallel(workers, -1.0, along, before, 1.0, block)?;
            for (i, length) in lengths.into_iter().enumerate() {
                let (earlier, later) = block.split_at_mut(i * dim);
                take_off(earlier, &mut later[..dim], length);
            }
        }
    }
    Ok(())
}

/// Makes a row that was `length` long orthogonal to orthonormal ones, and 1 long if that leaves
/// more than rounding.
fn take_off(others: &[f32], row: &mut [f32], length: f32) {
    let kernels = simd::table::<f32>();
    for other in others.chunks_exact(row.len()) {
        let along = kernels.dot(other, row);
        kernels.axpy(-along, other, row);
    }
    let left = kernels.dot(row, row).sqrt();
    let scale = if left > 1e-5 * length {
        1.0 / left
    } else {
        0.0
    };
    row.iter_mut().for_each(|x| *x *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_orthonormal_and_dependent_ones_zero() {
        const DIM: usize = 90;
        let (count, dependent) = (70, 41);
        let mut rows = gaussian(count, DIM, 7, &Workers::serial()).unwrap();
        for j in 0..DIM {
            rows[dependent * DIM + j] = rows[j] - 2.0 * rows[5 * DIM + j];
        }
        let mut elsewhere = rows.clone();
        orthonormalise(&mut rows, DIM, &Workers::serial()).unwrap();
        orthonormalise(&mut elsewhere, DIM, &Workers::of(3)).unwrap();
        assert_eq!(rows, elsewhere);
        for i in 0..count {
            for j in 0..=i {
                let (a, b) = (&rows[i * DIM..][..DIM], &rows[j * DIM..][..DIM]);
                let product: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum();
                let want = if i == j && i != dependent { 1.0 } else { 0.0 };
                assert!((product - want).abs() < 1e-5, "{i}, {j}: {product}");
            }
        }
    }
}
