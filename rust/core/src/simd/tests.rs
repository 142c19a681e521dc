//! Every level's kernels against plain sums.

use super::*;
use crate::rng::Stream;

/// Every kernel of every level against the plain sum in f64, for lengths 0 to 257.
fn agree<T: Real>(tolerance: f64) {
    let mut stream = Stream::new(3, 0);
    let mut draw = |n: usize| -> Vec<T> {
        (0..n)
            .map(|_| T::of(stream.uniform() * 2.0 - 1.0))
            .collect()
    };
    for level in Level::available() {
        let table = T::table(Kernels::at(level).unwrap());
        for n in 0..=257 {
            let (a, b) = (draw(n), draw(n));
            let wide = || a.iter().zip(&b).map(|(x, y)| (x.wide(), y.wide()));
            let close = |got: T, want: f64| {
                let bound = tolerance * (n as f64 + 1.0).sqrt();
                assert!((got.wide() - want).abs() <= bound, "{level:?}, length {n}");
            };
            close(table.dot(&a, &b), wide().map(|(x, y)| x * y).sum());
            close(
                table.squared_l2(&a, &b),
                wide().map(|(x, y)| (x - y).powi(2)).sum(),
            );
            let mut y = b.clone();
            table.axpy(T::of(0.5), &a, &mut y);
            for ((&got, &x), &y) in y.iter().zip(&a).zip(&b) {
                close(got, 0.5 * x.wide() + y.wide());
            }
        }
    }
}

#[test]
fn every_level_agrees_with_plain_sums() {
    agree::<f32>(1e-5);
    agree::<f64>(1e-13);
}

/// Weighted and plain sums of rows of every level, for widths around every block size.
fn row_sums_agree<T: Real>(tolerance: f64) {
    let mut stream = Stream::new(4, 0);
    for level in Level::available() {
        let table = T::table(Kernels::at(level).unwrap());
        for cols in (0..70).chain([127, 129, 255, 256, 257, 300, 515]) {
            let draw = |_| T::of(stream.uniform() * 2.0 - 1.0);
            let x: Vec<T> = (0..9 * cols).map(draw).collect();
            let indices = [8, 0, 3, 3, 7, 1, 2, 5];
            let weights: Vec<T> = (0..8).map(|i| T::of(0.25 * f64::from(i) - 0.5)).collect();
            for (count, weights) in [(8, None), (8, Some(&weights[..])), (0, None)] {
                let mut y = vec![T::of(f64::NAN); cols];
                table.sum_rows(&indices[..count], weights, &x, &mut y);
                for (j, got) in y.iter().enumerate() {
                    let want: f64 = (0..count)
                        .map(|k| {
                            let weight = weights.map_or(1.0, |w| w[k].wide());
                            weight * x[indices[k] as usize * cols + j].wide()
                        })
                        .sum();
                    assert!(
                        (got.wide() - want).abs() <= tolerance,
                        "{level:?} {cols} {j}"
                    );
                }
            }
        }
    }
}

#[test]
fn row_sums_agree_on_every_level() {
    row_sums_agree::<f32>(1e-5);
    row_sums_agree::<f64>(1e-13);
}

/// Sweeps of every level over whole and partial groups of rows, for every number of queries.
fn sweeps_agree<T: Real>(tolerance: f64) {
    let mut stream = Stream::new(6, 0);
    for level in Level::available() {
        let table = T::table(Kernels::at(level).unwrap());
        for dim in (0..=40).chain([63, 64, 65, 100, 257]) {
            for lines in [0, 1, 4, 7] {
                let halves: Vec<u16> = (0..lines * dim)
                    .map(|_| (0x3000 + stream.below(0x800) + 0x8000 * stream.below(2)) as u16)
                    .collect();
                let mut narrow = vec![0.0; halves.len()];
                half::decode(&halves, &mut narrow);
                let rows: Vec<T> = narrow.iter().map(|&x| T::of(x.into())).collect();
                for count in 1..=SWEPT {
                    let queries: Vec<T> = (0..count * dim)
                        .map(|_| T::of(stream.uniform() - 0.5))
                        .collect();
                    for sum in [Sum::Dot, Sum::DotAndSquare, Sum::Distance] {
                        let mut sums = vec![T::nan(); count * lines];
                        let held = if sum == Sum::DotAndSquare { lines } else { 0 };
                        let mut squares = vec![T::nan(); held];
                        let (mut again, mut squares_again) = (sums.clone(), squares.clone());
                        table.sweep(sum, &queries, count, &rows, &mut sums, &mut squares);
                        table.sweep_halves(
                            sum,
                            &queries,
                            count,
                            &halves,
                            &mut again,
                            &mut squares_again,
                        );
                        let both = [sums, again].concat();
                        for (at, got) in both.iter().enumerate() {
                            let at = at % (count * lines);
                            let (q, r) = (at / lines * dim, at % lines * dim);
                            let terms = (0..dim).map(|k| {
                                let (x, y) = (queries[q + k].wide(), rows[r + k].wide());
                                if sum == Sum::Distance {
                                    (x - y).powi(2)
                                } else {
                                    x * y
                                }
                            });
                            let want: f64 = terms.sum();
                            assert!((got.wide() - want).abs() <= tolerance, "{level:?} {dim}");
                        }
                        let both = [squares, squares_again].concat();
                        for (r, got) in both.iter().enumerate() {
                            let row = &rows[r % lines * dim..][..dim];
                            let want: f64 = row.iter().map(|x| x.wide().powi(2)).sum();
                            assert!((got.wide() - want).abs() <= tolerance, "{level:?} {dim}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn sweeps_agree_on_every_level() {
    sweeps_agree::<f32>(1e-4);
    sweeps_agree::<f64>(1e-12);
}

/// Tiles of squared differences of every level.
fn distances_agree<T: Real>(tolerance: f64) {
    let mut stream = Stream::new(9, 0);
    for level in Level::available() {
        let tile = T::table(Kernels::at(level).unwrap()).distances();
        for (rows, cols) in [
            (tile.rows, tile.cols),
            (1, 1),
            (tile.rows - 1, tile.cols / 2),
        ] {
            for depth in [1, 17, 256] {
                let mut draw = |count: usize| -> Vec<T> {
                    (0..count).map(|_| T::of(stream.uniform())).collect()
                };
                let (a, b) = (draw(rows * depth), draw(tile.cols * depth));
                let mut out = vec![T::nan(); rows * cols];
                let c = Block {
                    data: out.as_mut_ptr(),
                    stride: cols,
                    rows,
                    cols,
                };
                // SAFETY: `out` has the shape of `c`.
                unsafe { tile.run(T::one(), &a, &b, false, c) };
                for (at, got) in out.iter().enumerate() {
                    let (i, j) = (at / cols, at % cols);
                    let terms = (0..depth)
                        .map(|k| (a[k * rows + i].wide() - b[k * tile.cols + j].wide()).powi(2));
                    let want: f64 = terms.sum();
                    assert!((got.wide() - want).abs() <= tolerance * want, "{level:?}");
                }
            }
        }
    }
}

#[test]
fn tiles_of_distances_agree_on_every_level() {
    distances_agree::<f32>(3e-5);
    distances_agree::<f64>(1e-13);
}

/// Sums and squares of every level against plain loops, for widths around every block size.
fn differences_agree<T: Real>(tolerance: f64) {
    let mut stream = Stream::new(5, 0);
    for level in Level::available() {
        let table = T::table(Kernels::at(level).unwrap());
        for cols in (0..70).chain([127, 128, 129, 255, 257, 300]) {
            let mut draw = |_| T::of(stream.uniform() * 2.0 - 1.0);
            let x: Vec<T> = (0..9 * cols).map(&mut draw).collect();
            let center: Vec<T> = (0..cols).map(&mut draw).collect();
            let factors: Vec<T> = (0..7).map(draw).collect();
            let indices = [8, 0, 3, 3, 7, 1, 2, 5, 4];
            for (count, weights, scales) in [
                (7, None, None),
                (7, Some(&factors[..]), None),
                (7, Some(&factors[..]), Some(&factors[..])),
                (0, None, None),
            ] {
                let links = Links {
                    indices: &indices,
                    count,
                    weights,
                    scales,
                };
                let mut want = (vec![0.5; cols], 0.0);
                for k in 0..count {
                    let factor = |of: Option<&[T]>| of.map_or(1.0, |of| of[k].wide());
                    for j in 0..cols {
                        let row = x[indices[k] as usize * cols + j].wide();
                        let difference = center[j].wide() - factor(scales) * row;
                        want.0[j] += factor(weights) * difference;
                        want.1 += factor(weights) * difference * difference;
                    }
                }
                let mut both = vec![T::of(0.5); cols];
                let mut sums = both.clone();
                let square = table.differences(links, &center, &x, Some(&mut both), true);
                let none = table.differences(links, &center, &x, Some(&mut sums), false);
                let alone = table.differences(links, &center, &x, None, true);
                assert_eq!((none, alone), (T::zero(), square));
                let bound = tolerance * (cols as f64 + 1.0);
                assert!((square.wide() - want.1).abs() <= bound, "{level:?} {cols}");
                for ((got, other), want) in both.iter().zip(&sums).zip(want.0) {
                    assert!((got.wide() - want).abs() <= tolerance, "{level:?} {cols}");
                    assert!((other.wide() - want).abs() <= tolerance, "{level:?} {cols}");
                }
            }
        }
    }
}

#[test]
fn rows_outside_a_table_are_never_read() {
    let table = f32::table(Kernels::get());
    let (x, mut y) = ([1.0; 12], [0.0; 4]);
    for bad in [3, -1, i32::MIN, i32::MAX] {
        let sum = std::panic::catch_unwind(|| table.sum_rows(&[0, bad], None, &x, &mut [0.0; 4]));
        assert!(sum.is_err(), "{bad}");
        let differences = std::panic::catch_unwind(|| {
            let links = Links {
                indices: &[2, bad],
                count: 2,
                weights: None,
                scales: None,
            };
            table.differences(links, &[0.0; 4], &x, None, true)
        });
        assert!(differences.is_err(), "{bad}");
    }
    table.sum_rows(&[2, 0], None, &x, &mut y);
    assert_eq!(y, [2.0; 4]);
}

#[test]
fn differences_agree_on_every_level() {
    differences_agree::<f32>(1e-5);
    differences_agree::<f64>(1e-13);
}

#[test]
fn nan_stays_nan_on_every_level() {
    for level in Level::available() {
        let table = f32::table(Kernels::at(level).unwrap());
        for n in [1, 16, 33] {
            let mut a = vec![1.0; n];
            a[n - 1] = f32::NAN;
            let b = vec![1.0; n];
            assert!(table.dot(&a, &b).is_nan() && table.squared_l2(&a, &b).is_nan());
        }
    }
}
