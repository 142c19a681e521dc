use super::*;
use crate::index::space::Space;
use crate::rng::Stream;

fn lines(rows: usize, dim: usize, value: impl Fn(usize, &mut Stream) -> f32) -> Lines {
    let mut lines = Lines::new(dim);
    lines.resize(rows).unwrap();
    for i in 0..rows {
        let mut stream = Stream::new(11, i as u64);
        for j in 0..dim {
            lines.row_mut(i)[j] = value(j, &mut stream);
        }
    }
    lines
}

fn trained(metric: Metric, rows: &Lines, count: usize, dim: usize) -> Plan {
    let space = Space::new(dim, metric).unwrap();
    train(&space, rows, count, &Workers::serial()).unwrap()
}

/// The largest error of distances between codes, against the mean distance.
fn error(metric: Metric, rows: &Lines, count: usize, dim: usize, codec: Codec) -> f64 {
    let space = Space::new(dim, metric).unwrap();
    let mut codes = Codes::new(codec, metric);
    codes.append(rows, 0..count, &Workers::of(2)).unwrap();
    let (mut query, mut distances) = (Query::default(), Vec::new());
    let others: Vec<u32> = (0..count as u32).collect();
    let (mut worst, mut total) = (0.0f64, 0.0f64);
    for i in 0..20 {
        query.set(codes.code(i));
        codes.distances(&mut query, &others, &mut distances);
        for (j, &got) in distances.iter().enumerate() {
            assert_eq!(got, codes.between(i, j));
            let want = f64::from(space.distance(rows.row(i), rows.row(j)));
            // Under cosine, rows have unit length and codes give the squared l2 distance.
            let want = if metric == Metric::Cosine {
                2.0 * want
            } else {
                want
            };
            worst = worst.max((f64::from(got) - want).abs());
            total += want.abs();
        }
    }
    worst / (total / (20 * count) as f64)
}

#[test]
fn distances_of_codes_are_near_those_of_rows() {
    for metric in Metric::ALL {
        for dim in [1, 3, 55, 56, 57, 200] {
            let mut rows = lines(300, dim, |_, s| s.uniform() as f32 * 2.0 - 1.0);
            if metric == Metric::Cosine {
                for i in 0..300 {
                    let length = rows.row(i).iter().map(|x| x * x).sum::<f32>().sqrt();
                    rows.row_mut(i).iter_mut().for_each(|x| *x /= length);
                }
            }
            let codec = Codec::new(vec![0.0; dim], None, metric);
            let error = error(metric, &rows, 300, dim, codec);
            assert!(error < 0.05, "{metric:?} {dim}: {error}");
        }
    }
}

#[test]
fn rows_of_few_directions_are_projected() {
    let dim = 300;
    let waves = |j: usize, s: &mut Stream| -> f32 {
        // One draw a row would be enough for one direction; sixteen make sixteen.
        let mut own = Stream::new(s.next_u64() % 997, 0);
        (0..16)
            .map(|k| (own.uniform() as f32 - 0.5) * ((j * (k + 1)) as f32 * 0.02).sin())
            .sum()
    };
    let mut rows = lines(TRAIN_ROWS, dim, |_, _| 0.0);
    for i in 0..TRAIN_ROWS {
        let key = Stream::new(5, i as u64).next_u64();
        for j in 0..dim {
            let mut stream = Stream::new(key, 0);
            rows.row_mut(i)[j] = waves(j, &mut stream);
        }
    }
    let Plan::Coded(codec) = trained(Metric::L2, &rows, TRAIN_ROWS, dim) else {
        panic!("no codes");
    };
    assert_eq!(codec.lines, 1);
    assert!(error(Metric::L2, &rows, 500, dim, codec) < 0.1);
}

#[test]
fn rows_that_bytes_cannot_tell_apart_have_no_codes() {
    // Two clusters far apart, whose rows differ by less than a step of their bytes.
    let rows = lines(TRAIN_ROWS, 8, |j, s| {
        let draw = s.uniform() as f32;
        if j == 0 {
            (draw.to_bits() % 2) as f32 * 1e4
        } else {
            draw
        }
    });
    assert_eq!(trained(Metric::L2, &rows, TRAIN_ROWS, 8), Plan::Exact);
    // Far from the origin, but alike: the mean is taken off.
    let rows = lines(TRAIN_ROWS, 8, |_, s| 1e4 + s.uniform() as f32);
    assert!(matches!(
        trained(Metric::L2, &rows, TRAIN_ROWS, 8),
        Plan::Coded(_)
    ));
}

#[test]
fn hard_rows_do_no_harm() {
    for value in [0.0f32, 1e17, 1e-30, -1.0] {
        let rows = lines(TRAIN_ROWS, 70, |_, _| value);
        for metric in Metric::ALL {
            if let Plan::Coded(codec) = trained(metric, &rows, TRAIN_ROWS, 70) {
                let mut codes = Codes::new(codec, metric);
                codes.append(&rows, 0..9, &Workers::serial()).unwrap();
                assert!(codes.between(1, 2).is_finite());
            }
        }
    }
}

#[test]
fn threads_do_not_change_the_codec() {
    let rows = lines(TRAIN_ROWS, 130, |j, s| s.uniform() as f32 / (1 + j) as f32);
    let space = Space::new(130, Metric::L2).unwrap();
    let one = train(&space, &rows, TRAIN_ROWS, &Workers::serial()).unwrap();
    assert_eq!(
        one,
        train(&space, &rows, TRAIN_ROWS, &Workers::of(3)).unwrap()
    );
}
