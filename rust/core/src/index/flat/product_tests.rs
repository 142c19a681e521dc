//! Results by products must be those of comparing everything, bit by bit.

use std::ops::Range;

use super::best::Best;
use super::direct;
use super::numbers::Numbers;
use super::{Flat, exact, nearest};
use crate::index::bitmap::Bitmap;
use crate::index::hits::{Hits, NONE};
use crate::matrix::Matrix;
use crate::metric::Metric;
use crate::pool::Workers;
use crate::rng::Stream;

const DIM: usize = 20;

/// One pair at a time.
fn slowly(index: &Flat, queries: Matrix<'_, f32>, k: usize, allowed: &[u32]) -> Hits {
    let prepared = index
        .rows
        .space
        .prepare(queries, &Workers::serial())
        .unwrap();
    Hits::collect(queries.rows(), k, 1, &Workers::serial(), |range, places| {
        let kept = k.min(allowed.len());
        let mut best = [Best::new(kept)];
        if kept > 0 {
            let rows = Numbers::List(allowed).iter();
            let query = [prepared.row(range.start)];
            direct::compare(&index.rows, &query, rows, &mut best, &Workers::serial())?;
        }
        let [best] = best;
        best.write(places);
        Ok(())
    })
    .unwrap()
}

type Values = fn(&mut Stream, usize) -> f32;

/// Values by their row, each hard in its own way.
const KINDS: [(&str, Values); 9] = [
    ("noise", |stream, _| stream.uniform() as f32 - 0.5),
    ("whole numbers, which tie", |stream, _| {
        (stream.uniform() * 3.0).floor() as f32 - 1.0
    }),
    ("far from the origin", |stream, _| {
        1e4 + (stream.uniform() * 9.0).floor() as f32 * 1e-2
    }),
    ("all the same", |_, _| 0.7),
    ("zeros", |_, _| 0.0),
    ("every row thrice", |_, row| {
        ((row / 3 * 7919) % 1009) as f32
    }),
    ("lengths of all sizes", |stream, row| {
        let exponent = (row * 7 % 58) as i32 - 41;
        (stream.uniform() as f32 - 0.5) * 10f32.powi(exponent)
    }),
    ("so short that squares vanish", |stream, _| {
        (stream.uniform() as f32 - 0.5) * 1e-22
    }),
    ("the longest", |stream, _| {
        (stream.uniform() as f32 - 0.5) * 4e17
    }),
];

fn draw(values: Values, rows: Range<usize>, key: u64) -> Vec<f32> {
    let mut stream = Stream::new(3, key);
    rows.flat_map(|row| std::iter::repeat_n(row, DIM))
        .map(|row| values(&mut stream, row))
        .collect()
}

#[test]
fn hard_data_give_the_bits_of_comparing_everything() {
    let (rows, count) = (1500, 13);
    for (name, values) in KINDS {
        let data = draw(values, 0..rows, 0);
        let vectors = Matrix::new(&data, rows, DIM).unwrap();
        let mut asked = draw(values, 0..count, 1);
        // Some queries are rows, one is zero.
        asked[..3 * DIM].copy_from_slice(&data[900 * DIM..903 * DIM]);
        asked[3 * DIM..4 * DIM].fill(0.0);
        let queries = Matrix::new(&asked, count, DIM).unwrap();
        let ids: Vec<i64> = (0..rows as i64).map(|i| i * 707 % 1511).collect();
        let all: Vec<u32> = (0..rows as u32).collect();
        for metric in Metric::ALL {
            let mut index = Flat::new(DIM, metric).unwrap();
            index.add(vectors, Some(&ids)).unwrap();
            for k in [1, 10, 187, rows, rows + 7] {
                let want = slowly(&index, queries, k, &all);
                for threads in [1, 3] {
                    let got = index.search(queries, k, &Workers::of(threads)).unwrap();
                    assert_eq!(got, want, "{name}, {metric:?}, k = {k}, {threads} threads");
                }
            }
        }
    }
}

#[test]
fn rows_that_are_not_allowed_are_skipped() {
    let (rows, count) = (2000, 40);
    let data = draw(KINDS[1].1, 0..rows, 0);
    let asked = draw(KINDS[0].1, 0..count, 1);
    let queries = Matrix::new(&asked, count, DIM).unwrap();
    let mut index = Flat::new(DIM, Metric::L2).unwrap();
    index
        .add(Matrix::new(&data, rows, DIM).unwrap(), None)
        .unwrap();
    let prepared = index
        .rows
        .space
        .prepare(queries, &Workers::serial())
        .unwrap();
    for step in [1, 2, 3, 300, 5000] {
        let mut allowed = Bitmap::new(rows);
        (1..rows).step_by(step).for_each(|row| {
            allowed.insert(row);
        });
        let list: Vec<u32> = allowed.rows().map(|row| row as u32).collect();
        for k in [1, 9, 3000] {
            let want = slowly(&index, queries, k, &list);
            let workers = Workers::of(2);
            let got = exact(&index.rows, &prepared, count, k, Some(&allowed), &workers);
            assert_eq!(got.unwrap(), want, "every {step}th, k = {k}");
            let mut places = vec![NONE; 30 * k];
            let range = 5..35;
            let rows = &index.rows;
            nearest(
                rows,
                &prepared,
                range,
                &mut places,
                Some(&allowed),
                &workers,
            )
            .unwrap();
            let ids: Vec<i64> = places.iter().map(|hit| hit.id).collect();
            assert_eq!(ids, want.ids[5 * k..35 * k]);
        }
    }
    let none = Bitmap::new(rows);
    let hits = exact(
        &index.rows,
        &prepared,
        count,
        2,
        Some(&none),
        &Workers::of(2),
    )
    .unwrap();
    assert!(hits.counts.iter().all(|&count| count == 0));
}

#[test]
fn queries_in_several_groups_keep_their_places() {
    let (rows, count) = (300, 2100);
    let data = draw(KINDS[0].1, 0..rows, 0);
    let asked = draw(KINDS[0].1, 0..count, 1);
    let queries = Matrix::new(&asked, count, DIM).unwrap();
    let mut index = Flat::new(DIM, Metric::Cosine).unwrap();
    index
        .add(Matrix::new(&data, rows, DIM).unwrap(), None)
        .unwrap();
    let all: Vec<u32> = (0..rows as u32).collect();
    let want = slowly(&index, queries, 4, &all);
    for threads in [1, 2, 5] {
        let none = index.search(queries.slice(0, 0), 4, &Workers::of(threads));
        assert!(none.unwrap().counts.is_empty());
        let got = index.search(queries, 4, &Workers::of(threads)).unwrap();
        assert_eq!(got, want, "{threads} threads");
    }
}
