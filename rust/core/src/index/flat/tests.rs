use super::Flat;
use crate::Error;
use crate::matrix::Matrix;
use crate::metric::Metric;
use crate::pool::Workers;
use crate::rng::Stream;

fn draw(rows: usize, dim: usize) -> Vec<f32> {
    let mut stream = Stream::new(1, 0);
    (0..rows * dim)
        .map(|_| (stream.uniform() * 8.0).floor() as f32 - 4.0)
        .collect()
}

/// Sorts everything, in f64.
fn slowly(metric: Metric, rows: Matrix<'_, f32>, ids: &[i64], query: &[f32]) -> Vec<(f64, i64)> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum()
    };
    let mut all: Vec<(f64, i64)> = (0..rows.rows())
        .map(|i| {
            let row = rows.row(i);
            let (qq, xx, qx) = (dot(query, query), dot(row, row), dot(query, row));
            let distance = match metric {
                Metric::Cosine if qq * xx == 0.0 => 1.0,
                Metric::Cosine => 1.0 - qx / (qq * xx).sqrt(),
                Metric::L2 => qq + xx - 2.0 * qx,
                Metric::InnerProduct => -qx,
            };
            (distance, ids[i])
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all
}

#[test]
fn agrees_with_sorting_everything_ties_by_id() {
    let (rows, dim, k) = (203, 5, 17);
    let data = draw(rows, dim);
    let vectors = Matrix::new(&data, rows, dim).unwrap();
    let ids: Vec<i64> = (0..rows as i64).map(|i| (i * 7) % 211).collect();
    for metric in [Metric::L2, Metric::InnerProduct] {
        let mut index = Flat::new(dim, metric).unwrap();
        index.add(vectors, Some(&ids)).unwrap();
        let hits = index.search(vectors, k, &Workers::of(2)).unwrap();
        for query in 0..rows {
            // Small whole numbers: distances are exact, so ties are too.
            let want = slowly(metric, vectors, &ids, vectors.row(query));
            let want: Vec<i64> = want.iter().take(k).map(|hit| hit.1).collect();
            assert_eq!(hits.ids[query * k..(query + 1) * k], want);
        }
    }
}

#[test]
fn cosine_distances_agree_and_zero_rows_are_at_one() {
    let (rows, dim) = (50, 6);
    let mut data = draw(rows, dim);
    data[..dim].fill(0.0);
    let vectors = Matrix::new(&data, rows, dim).unwrap();
    let ids: Vec<i64> = (0..rows as i64).collect();
    let mut index = Flat::new(dim, Metric::Cosine).unwrap();
    index.add(vectors, None).unwrap();
    let hits = index.search(vectors, rows, &Workers::serial()).unwrap();
    for query in 0..rows {
        let want = slowly(Metric::Cosine, vectors, &ids, vectors.row(query));
        let got = &hits.distances[query * rows..(query + 1) * rows];
        for (got, want) in got.iter().zip(want) {
            assert!((f64::from(*got) - want.0).abs() < 1e-6);
        }
    }
}

#[test]
fn a_rejected_add_changes_nothing() {
    let mut index = Flat::new(2, Metric::L2).unwrap();
    let data = [1.0f32, 2.0, 3.0, 4.0];
    let vectors = Matrix::new(&data, 2, 2).unwrap();
    index.add(vectors, Some(&[5, 6])).unwrap();
    let before = index.to_bytes().unwrap();
    assert!(matches!(
        index.add(vectors, Some(&[7, 6])),
        Err(Error::DuplicateId { id: 6 })
    ));
    assert!(matches!(
        index.add(vectors, Some(&[9, 9])),
        Err(Error::RepeatedId { id: 9, .. })
    ));
    assert!(index.add(vectors, Some(&[-1, 9])).is_err());
    let broken = [1.0, f32::NAN, 0.0, 0.0];
    assert!(
        index
            .add(Matrix::new(&broken, 2, 2).unwrap(), None)
            .is_err()
    );
    assert_eq!(index.to_bytes().unwrap(), before);
}

#[test]
fn ids_continue_from_the_largest_and_end_somewhere() {
    let mut index = Flat::new(1, Metric::L2).unwrap();
    let one = Matrix::new(&[1.0f32], 1, 1).unwrap();
    index.add(one, Some(&[41])).unwrap();
    assert_eq!(index.add(one, None).unwrap(), [42]);
    index.add(one, Some(&[i64::MAX])).unwrap();
    assert!(index.add(one, None).is_err());
}
