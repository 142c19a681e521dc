//! Random operations: after each the invariants hold, and searches agree with a plain copy.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::{Hnsw, Params};
use crate::Error;
use crate::index::changes::{Existing, Missing};
use crate::index::flat::Flat;
use crate::matrix::Matrix;
use crate::metric::Metric;
use crate::pool::Workers;
use crate::rng::Stream;

const DIM: usize = 6;

fn draw(rows: usize, seed: u64, rounded: bool) -> Vec<f32> {
    let mut stream = Stream::new(seed, 1);
    let mut value = || stream.uniform() as f32 * 2.0 - 1.0;
    let draw = (0..rows * DIM).map(|_| value());
    match rounded {
        true => draw.map(f32::round).collect(),
        false => draw.collect(),
    }
}

fn matrix(data: &[f32]) -> Matrix<'_, f32> {
    Matrix::new(data, data.len() / DIM, DIM).unwrap()
}

/// What the index should hold.
type Model = BTreeMap<i64, Vec<f32>>;

fn some_ids(model: &Model, size: usize, stream: &mut Stream) -> Vec<i64> {
    let mut ids: Vec<i64> = model.keys().copied().collect();
    for i in 0..size.min(ids.len()) {
        let other = i + stream.below((ids.len() - i) as u64) as usize;
        ids.swap(i, other);
    }
    ids.truncate(size);
    ids
}

fn put(model: &mut Model, ids: &[i64], data: &[f32]) {
    for (&id, row) in ids.iter().zip(data.chunks(DIM)) {
        model.insert(id, row.to_vec());
    }
}

fn agrees(index: &Hnsw, model: &Model, queries: &[f32], k: usize, workers: &Workers<'_>) {
    let ids: Vec<i64> = model.keys().copied().collect();
    let data: Vec<f32> = model.values().flatten().copied().collect();
    let mut exact = Flat::new(DIM, index.rows.space.metric).unwrap();
    exact.add(matrix(&data), Some(&ids)).unwrap();
    let (queries, ef) = (matrix(queries), model.len().max(1));
    let want = exact.search(queries, k, workers).unwrap();
    let got = index.search(queries, k, Some(ef), workers).unwrap();
    assert_eq!(got, want);
    let few = index.search(queries, k, Some(1), workers).unwrap();
    assert_eq!(few.counts, want.counts);
    assert!(few.ids.iter().all(|id| *id == -1 || model.contains_key(id)));
}

#[test]
fn an_interrupted_change_leaves_the_bytes_as_they_were() {
    let params = Params::new(6, 40, 3).unwrap();
    let mut index = Hnsw::new(DIM, Metric::L2, params).unwrap();
    let data = draw(3000, 1, false);
    let serial = Workers::serial();
    index.add(matrix(&data), None, &serial).unwrap();
    index.remove(&[5, 6, 7], Missing::Refuse, &serial).unwrap();
    let before = index.to_bytes().unwrap();
    let ids: Vec<i64> = (100..1300).collect();
    let new = draw(ids.len(), 2, false);
    let mut interrupted = 0;
    for (micros, update) in [0, 200, 2_000, 10_000, 60_000]
        .into_iter()
        .flat_map(|micros| [(micros, false), (micros, true)])
    {
        let stop = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_micros(micros));
                stop.store(true, Ordering::Relaxed);
            });
            let workers = Workers::new(2, &stop);
            match update {
                true => index
                    .store(matrix(&new), Some(&ids), Existing::Require, &workers)
                    .map(|_| ()),
                false => index.remove(&ids, Missing::Refuse, &workers).map(|_| ()),
            }
        });
        match outcome {
            Err(error) => {
                assert!(matches!(error, Error::Interrupted));
                interrupted += 1;
                assert!(index.to_bytes().unwrap() == before);
                index.check().unwrap();
            }
            Ok(()) => index = Hnsw::from_bytes(&before).unwrap(),
        }
    }
    assert!(interrupted > 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_changes_keep_the_invariants(
        m in 2usize..8, ef in 1usize..40, metric in 0usize..3, seed: u64, rounded: bool,
        steps in proptest::collection::vec((0u8..12, 1usize..200), 1..24),
    ) {
        let metric = Metric::ALL[metric];
        let params = Params::new(m, ef, seed).unwrap();
        let mut index = Hnsw::new(DIM, metric, params).unwrap();
        let mut model = Model::new();
        for (step, (verb, size)) in steps.into_iter().enumerate() {
            let workers = Workers::of(1 + step % 2);
            let mut stream = Stream::new(seed, 1000 + step as u64);
            let data = draw(size, seed ^ step as u64, rounded);
            match verb {
                0..=2 => {
                    let ids = index.store(matrix(&data), None, Existing::Refuse, &workers).unwrap();
                    prop_assert!(ids.iter().all(|id| !model.contains_key(id)));
                    put(&mut model, &ids, &data);
                }
                3..=5 => {
                    let ids = some_ids(&model, size, &mut stream);
                    let removed = index.remove(&ids, Missing::Refuse, &workers).unwrap();
                    prop_assert_eq!(removed, ids.len());
                    ids.iter().for_each(|id| { model.remove(id); });
                }
                6 => {
                    let ids: Vec<i64> = model.keys().copied().collect();
                    index.remove(&ids, Missing::Refuse, &workers).unwrap();
                    model.clear();
                }
                7 | 8 => {
                    let ids = some_ids(&model, size, &mut stream);
                    let data = &data[..ids.len() * DIM];
                    index.store(matrix(data), Some(&ids), Existing::Require, &workers).unwrap();
                    put(&mut model, &ids, data);
                }
                9 => {
                    let ids: Vec<i64> = (0..size as i64).map(|i| i * 3).collect();
                    index.store(matrix(&data), Some(&ids), Existing::Replace, &workers).unwrap();
                    put(&mut model, &ids, &data);
                }
                10 => {
                    let bytes = index.to_bytes().unwrap();
                    index = Hnsw::from_bytes(&bytes).unwrap();
                    prop_assert!(index.to_bytes().unwrap() == bytes);
                }
                _ => {
                    index.compact(&workers).unwrap();
                    prop_assert_eq!(index.rows.len(), model.len());
                }
            }
            prop_assert_eq!(index.check(), Ok(()));
            prop_assert_eq!(index.rows.live(), model.len());
            agrees(&index, &model, &draw(3, !seed, rounded), 1 + size % 20, &workers);
        }
    }
}
