use super::*;
use crate::rng::Stream;

type Triplet = (i64, i64, i64);

/// By plain loops in f64; what is compared is exact, so ties are ties.
fn expected(
    rows: &[Vec<f64>],
    labels: &[i64],
    excluded: &dyn Fn(usize, usize) -> bool,
    choice: Choice,
) -> Vec<Triplet> {
    let count = rows.len();
    let closeness = |a: usize, b: usize| {
        let pairs = rows[a].iter().zip(&rows[b]);
        -pairs.map(|(x, y)| (x - y).powi(2)).sum::<f64>()
    };
    let key = |row: usize| (labels[row] < 0, labels[row].max(0), row);
    let first_of = |rows: Vec<usize>, score: &dyn Fn(usize) -> f64| {
        rows.into_iter()
            .min_by(|&a, &b| score(b).total_cmp(&score(a)).then(key(a).cmp(&key(b))))
    };
    let mut found = Vec::new();
    for a in 0..count {
        let same = |b: usize| labels[a] >= 0 && labels[a] == labels[b];
        let positives: Vec<usize> = (0..count).filter(|&b| b != a && same(b)).collect();
        let others = (0..count).filter(|&b| b != a && !same(b) && !excluded(a, b));
        let mut negatives: Vec<usize> = others.collect();
        let skip = match choice.skip {
            Skip::Count(rows) => rows,
            Skip::Share(share) => (share * negatives.len() as f64) as usize,
        };
        for _ in 0..skip.min(negatives.len()) {
            let nearest = first_of(negatives.clone(), &|b| closeness(a, b));
            negatives.retain(|&b| Some(b) != nearest);
        }
        if choice.selection == Selection::BatchHard {
            let p = first_of(positives, &|b| -closeness(a, b));
            let n = first_of(negatives, &|b| closeness(a, b));
            found.extend(p.zip(n).map(|(p, n)| (a as i64, p as i64, n as i64)));
            continue;
        }
        for p in positives {
            let near = closeness(a, p);
            let least = choice.distance.beyond(near, choice.margin);
            let farther = |&n: &usize| closeness(a, n) < near && closeness(a, n) > least;
            let among: Vec<usize> = negatives.iter().copied().filter(farther).collect();
            let taken = if choice.selection == Selection::SemiHard {
                first_of(among, &|b| closeness(a, b)).into_iter().collect()
            } else {
                among
            };
            found.extend(taken.iter().map(|&n| (a as i64, p as i64, n as i64)));
        }
    }
    found
}

fn check<T: Real>(count: usize, classes: u64, limited: bool, choice: Choice) {
    let mut stream = Stream::new(3, count as u64 + classes);
    // Few distinct rows: ties and repeats.
    let rows: Vec<Vec<f64>> = (0..count)
        .map(|_| (0..3).map(|_| stream.below(6) as f64).collect())
        .collect();
    let labels: Vec<i64> = (0..count)
        .map(|_| stream.below(classes + 1) as i64 - 1)
        .collect();
    let flat: Vec<T> = rows.iter().flatten().map(|&x| T::of(x)).collect();
    let rows_of = Matrix::new(&flat, count, 3).unwrap();
    // Every third row is not to have some others.
    let lists: Vec<Vec<i64>> = (0..count as i64)
        .map(|a| {
            (0..count as i64)
                .filter(|b| a % 3 == 0 && (a + b) % 4 == 1)
                .collect()
        })
        .collect();
    let indices = lists.concat();
    let ends = lists.iter().scan(0, |end, list| {
        *end += list.len() as i64;
        Some(*end)
    });
    let indptr: Vec<i64> = std::iter::once(0).chain(ends).collect();
    let with = limited.then(|| Lists::new(&indptr, &indices, count, count, "exclude").unwrap());
    let excluded = |a: usize, b: usize| limited && a.is_multiple_of(3) && (a + b) % 4 == 1;
    let want = expected(&rows, &labels, &excluded, choice);
    for threads in [1, 2, 3] {
        let found = mine(&Workers::of(threads), rows_of, &labels, with, choice).unwrap();
        let pairs = found.positives.iter().zip(&found.negatives);
        let triplets = found.anchors.iter().zip(pairs);
        let got: Vec<Triplet> = triplets.map(|(&a, (&p, &n))| (a, p, n)).collect();
        assert_eq!(
            got, want,
            "{count} {classes} {limited} {choice:?} {threads}"
        );
        for (i, &(a, p, _)) in got.iter().enumerate() {
            let squared: f64 = rows[a as usize]
                .iter()
                .zip(&rows[p as usize])
                .map(|(x, y)| (x - y).powi(2))
                .sum();
            let want = choice.distance.of(-squared);
            assert!((f64::from(found.positive_distances[i]) - want).abs() < 1e-5);
            assert!(
                choice.selection == Selection::BatchHard
                    || found.negative_distances[i] > found.positive_distances[i]
            );
        }
    }
}

#[test]
fn they_are_those_of_plain_loops() {
    for (_, selection) in Selection::ALL {
        for (distance, margin) in [
            (Distance::Euclidean, f64::INFINITY),
            (Distance::Euclidean, 0.3),
            (Distance::Squared, 1.5),
        ] {
            let choice = Choice {
                selection,
                distance,
                margin,
                skip: Skip::Count(0),
            };
            for skip in [Skip::Count(0), Skip::Count(3), Skip::Share(0.2)] {
                for (count, classes) in [(0, 1), (2, 1), (40, 1), (70, 9)] {
                    check::<f32>(count, classes, true, Choice { skip, ..choice });
                    check::<f64>(count, classes, false, Choice { skip, ..choice });
                }
            }
            // One block and several; classes of few rows and of more than a sweep has bounds for.
            for (count, classes) in [(0, 1), (1, 1), (2, 1), (40, 1), (70, 30), (500, 300)] {
                check::<f32>(count, classes, false, choice);
                check::<f64>(count, classes, false, choice);
            }
            if selection != Selection::AllSemiHard {
                check::<f32>(460, 3, false, choice);
            }
        }
    }
}

#[test]
fn both_ways_to_semi_hard_agree() {
    let mut stream = Stream::new(4, 0);
    let rows: Vec<f32> = (0..600 * 17)
        .map(|_| stream.uniform() as f32 - 0.4)
        .collect();
    let labels: Vec<i64> = (0..600).map(|row| row % 37).collect();
    let classes = Classes::new(&labels);
    let workers = Workers::of(2);
    for (_, distance) in Distance::ALL {
        let rows = Matrix::new(&rows, 600, 17).unwrap();
        let space = Space::new(rows, &classes, distance, &workers).unwrap();
        for margin in [f64::INFINITY, 0.02] {
            let swept = sweep::semi_hard(&workers, &space, &classes, margin).unwrap();
            let choice = Choice {
                selection: Selection::SemiHard,
                distance,
                margin,
                skip: Skip::Count(0),
            };
            let listed = listed::mine(&workers, &space, &classes, None, choice).unwrap();
            assert!(swept == listed, "{distance:?} {margin}");
            assert!(!swept.anchors.is_empty());
        }
    }
}

#[test]
fn what_cannot_be_an_anchor_is_counted() {
    let rows = [0.0f32, 1.0, 2.0, 3.0];
    let rows = Matrix::new(&rows, 4, 1).unwrap();
    for (labels, without) in [
        ([0, 0, 0, 0], (0, 4)),
        ([-1, -1, -1, -1], (4, 0)),
        ([0, 1, 2, 3], (4, 0)),
        ([5, 5, -1, 7], (2, 0)),
    ] {
        for (_, selection) in Selection::ALL {
            let choice = Choice {
                selection,
                distance: Distance::Cosine,
                margin: f64::INFINITY,
                skip: Skip::Count(0),
            };
            let found = mine(&Workers::serial(), rows, &labels, None, choice).unwrap();
            assert_eq!((found.without_positive, found.without_negative), without);
            assert_eq!(
                found.anchors.is_empty(),
                labels != [5, 5, -1, 7] || selection != Selection::BatchHard
            );
        }
    }
}

#[test]
fn rows_whose_distances_overflow_are_refused() {
    let rows = [1.0f32, 3e19, 0.0, 1.0];
    let rows = Matrix::new(&rows, 2, 2).unwrap();
    for (_, distance) in Distance::ALL {
        let choice = Choice {
            selection: Selection::BatchHard,
            distance,
            margin: f64::INFINITY,
            skip: Skip::Count(0),
        };
        let found = mine(&Workers::serial(), rows, &[0, 0], None, choice);
        assert_eq!(found.is_ok(), distance == Distance::Cosine);
    }
}
