use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::graph::EMPTY;
use super::{Hnsw, Params};
use crate::Error;
use crate::index::changes::Missing;
use crate::index::codes::{Codes, TRAIN_ROWS};
use crate::index::flat::Flat;
use crate::matrix::Matrix;
use crate::metric::Metric;
use crate::pool::Workers;
use crate::rng::Stream;

const DIM: usize = 12;

fn draw(rows: usize, seed: u64) -> Vec<f32> {
    let mut stream = Stream::new(seed, 0);
    (0..rows * DIM)
        .map(|_| stream.uniform() as f32 * 2.0 - 1.0)
        .collect()
}

fn matrix(data: &[f32]) -> Matrix<'_, f32> {
    Matrix::new(data, data.len() / DIM, DIM).unwrap()
}

fn built(rows: usize, metric: Metric, threads: usize) -> Hnsw {
    let params = Params::new(6, 40, 3).unwrap();
    let mut index = Hnsw::new(DIM, metric, params).unwrap();
    index
        .add(matrix(&draw(rows, 9)), None, &Workers::of(threads))
        .unwrap();
    index
}

#[test]
fn threads_do_not_change_the_graph() {
    for metric in Metric::ALL {
        let one = built(3000, metric, 1).to_bytes().unwrap();
        assert!(one == built(3000, metric, 3).to_bytes().unwrap());
    }
}

#[test]
fn most_of_the_nearest_are_found() {
    let queries = draw(100, 10);
    for metric in Metric::ALL {
        let index = built(3000, metric, 2);
        index.check().unwrap();
        let mut exact = Flat::new(DIM, metric).unwrap();
        exact.add(matrix(&draw(3000, 9)), None).unwrap();
        let workers = Workers::serial();
        let got = index
            .search(matrix(&queries), 10, Some(100), &workers)
            .unwrap();
        let want = exact.search(matrix(&queries), 10, &workers).unwrap();
        let found = got
            .ids
            .chunks(10)
            .zip(want.ids.chunks(10))
            .map(|(got, want)| got.iter().filter(|id| want.contains(id)).count())
            .sum::<usize>();
        assert!(found >= 980, "{metric:?}: {found} of 1000");
    }
}

#[test]
fn small_m_keeps_the_tree_within_the_lists() {
    for m in [2, 3, 4] {
        let params = Params::new(m, 10, 0).unwrap();
        for copies in [false, true] {
            let mut data = draw(600, 1);
            if copies {
                data.iter_mut()
                    .enumerate()
                    .for_each(|(i, x)| *x = (i % DIM) as f32);
            }
            let mut index = Hnsw::new(DIM, Metric::L2, params).unwrap();
            for part in data.chunks(DIM * 150) {
                index.add(matrix(part), None, &Workers::serial()).unwrap();
                index.check().unwrap();
            }
        }
    }
}

#[test]
fn an_interrupted_add_leaves_the_bytes_as_they_were() {
    let mut index = built(2000, Metric::L2, 2);
    let before = index.to_bytes().unwrap();
    let more = draw(4000, 77);
    let mut interrupted = 0;
    for micros in [0, 300, 3_000, 30_000] {
        let stop = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_micros(micros));
                stop.store(true, Ordering::Relaxed);
            });
            index
                .add(matrix(&more), None, &Workers::new(2, &stop))
                .map(|_| ())
        });
        if let Err(error) = outcome {
            assert!(matches!(error, Error::Interrupted));
            interrupted += 1;
            assert!(index.to_bytes().unwrap() == before);
            index.check().unwrap();
        } else {
            index = Hnsw::from_bytes(&before).unwrap();
        }
    }
    assert!(interrupted > 0);
}

/// Each kind of damage must be told, or the checks in other tests prove nothing.
#[test]
fn damage_is_found() {
    let damaged = |damage: &dyn Fn(&mut Hnsw)| {
        let mut index = built(500, Metric::Cosine, 1);
        index.check().unwrap();
        damage(&mut index);
        index.check().unwrap_err()
    };
    let first = |index: &Hnsw| index.graph.links(0, 7).to_vec();
    let set = |index: &mut Hnsw, links: Vec<u32>| index.graph.set(0, 7, links.into_iter());
    let message = damaged(&|index| set(index, vec![500]));
    assert!(message.contains("does not exist"), "{message}");
    let message = damaged(&|index| set(index, vec![7]));
    assert!(message.contains("to itself"), "{message}");
    let message = damaged(&|index| {
        let link = first(index)[0];
        set(index, vec![link, link]);
    });
    assert!(message.contains("twice"), "{message}");
    let message = damaged(&|index| set(index, Vec::new()));
    assert!(message.contains("not linked"), "{message}");
    let message = damaged(&|index| index.graph.base[7 * 12] = EMPTY);
    assert!(message.contains("after the end"), "{message}");
    let message = damaged(&|index| {
        let entry = index.graph.entry;
        let low = (0..500).find(|&node| index.graph.level(node) == 0).unwrap();
        index.graph.set(1, entry, [low].into_iter());
    });
    assert!(message.contains("not on this level"), "{message}");
    let message = damaged(&|index| {
        index.graph.entry = (0..500).find(|&node| index.graph.level(node) == 0).unwrap();
    });
    assert!(message.contains("entry point"), "{message}");
    let message = damaged(&|index| {
        index.graph.parents[9] = EMPTY;
    });
    assert!(message.contains("no parent"), "{message}");
    let message = damaged(&|index| {
        index.graph.guards.set(9, 9);
    });
    assert!(message.contains("guard"), "{message}");
}

#[test]
fn a_row_without_links_to_it_is_counted() {
    let mut index = built(500, Metric::L2, 1);
    assert_eq!(index.stats().unreachable, 0);
    for node in 0..500 {
        let links = index.graph.links(0, node).to_vec();
        index
            .graph
            .set(0, node, links.into_iter().filter(|&link| link != 400));
    }
    assert_eq!(
        index.stats().unreachable,
        usize::from(index.graph.entry != 400)
    );
}

/// Gives changed bytes the checksums they would have had.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let u64_at = |bytes: &[u8], at: usize| {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
    };
    let sections = bytes[12] as usize;
    for entry in (0..sections).map(|i| 64 + 48 * i) {
        let (start, len) = (u64_at(&bytes, entry + 16), u64_at(&bytes, entry + 24));
        let crc = crc32fast::hash(&bytes[start..start + len]);
        bytes[entry + 32..entry + 36].copy_from_slice(&crc.to_le_bytes());
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..60]);
    crc.update(&bytes[64..64 + 48 * sections]);
    bytes[60..64].copy_from_slice(&crc.finalize().to_le_bytes());
    bytes
}

#[test]
fn crafted_files_with_right_checksums_do_no_harm() {
    let mut index = built(40, Metric::Cosine, 1);
    let serial = Workers::serial();
    index.remove(&[3, 17], Missing::Refuse, &serial).unwrap();
    let bytes = index.to_bytes().unwrap();
    assert_eq!(sealed(bytes.clone()), bytes);
    let queries = draw(3, 4);
    let body = 64 + 48 * bytes[12] as usize;
    let mut stream = Stream::new(6, 0);
    let mut refused = 0;
    for _ in 0..4000 {
        let mut crafted = bytes.clone();
        let at = body + stream.below((bytes.len() - body) as u64) as usize;
        crafted[at] = stream.next_u64() as u8;
        match Hnsw::from_bytes(&sealed(crafted)) {
            Err(Error::Corrupt { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
            Ok(index) => {
                index
                    .search(matrix(&queries), 5, Some(10), &Workers::serial())
                    .unwrap();
            }
        }
    }
    assert!(refused > 1000);
}

/// A file may hold any number of levels drawn before, up to which it was once refused after adds.
#[test]
fn an_index_that_drew_all_levels_there_are_goes_on() {
    let serial = Workers::serial();
    let mut index = built(40, Metric::L2, 1);
    index.graph.drawn = u64::MAX - 2;
    let mut index = Hnsw::from_bytes(&index.to_bytes().unwrap()).unwrap();
    index.add(matrix(&draw(5, 9)), None, &serial).unwrap();
    assert_eq!(index.check(), Ok(()));
    let again = Hnsw::from_bytes(&index.to_bytes().unwrap()).unwrap();
    assert_eq!((again.rows.len(), again.graph.drawn), (45, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_operations_keep_the_invariants(
        m in 2usize..8, ef in 1usize..40, metric in 0usize..3, seed: u64,
        steps in proptest::collection::vec((0u8..4, 1usize..120), 1..12),
    ) {
        let metric = Metric::ALL[metric];
        let mut index = Hnsw::new(DIM, metric, Params::new(m, ef, seed).unwrap()).unwrap();
        let mut rows = 0;
        for (step, (kind, size)) in steps.into_iter().enumerate() {
            let workers = Workers::of(1 + step % 2);
            let mut data = draw(size, seed ^ step as u64);
            match kind {
                // Few different values: copies and ties.
                0 => data.iter_mut().for_each(|x| *x = x.round()),
                1 => {
                    let bytes = index.to_bytes().unwrap();
                    index = Hnsw::from_bytes(&bytes).unwrap();
                    prop_assert!(index.to_bytes().unwrap() == bytes);
                    continue;
                }
                2 => {
                    let k = 1 + size % 30;
                    let hits = index.search(matrix(&data), k, Some(size), &workers).unwrap();
                    prop_assert!(hits.counts.iter().all(|&count| count == k.min(rows) as i64));
                    let sorted = |row: &[f32]| row.windows(2).all(|pair| pair[0] <= pair[1]);
                    prop_assert!(hits.distances.chunks(k).all(sorted));
                    continue;
                }
                _ => {}
            }
            index.add(matrix(&data), None, &workers).unwrap();
            rows += size;
            prop_assert_eq!(index.rows.len(), rows);
            prop_assert_eq!(index.check(), Ok(()));
        }
    }
}

/// More rows than an index without codes has, in clusters.
fn clustered(rows: usize, seed: u64) -> Vec<f32> {
    let mut stream = Stream::new(seed, 1);
    (0..rows)
        .flat_map(|i| {
            let mut centre = Stream::new(i as u64 % 37, 2);
            (0..DIM)
                .map(|_| (3.0 * centre.uniform() + stream.uniform()) as f32)
                .collect::<Vec<_>>()
        })
        .collect()
}

fn coded(metric: Metric) -> Hnsw {
    let mut index = Hnsw::new(DIM, metric, Params::new(8, 60, 1).unwrap()).unwrap();
    let data = clustered(TRAIN_ROWS + 500, 3);
    index.add(matrix(&data), None, &Workers::of(2)).unwrap();
    assert!(index.rows.coding.codes.is_some());
    index.check().unwrap();
    index
}

#[test]
fn rows_with_codes_are_found_at_their_true_distance() {
    for metric in Metric::ALL {
        let index = coded(metric);
        let mut exact = Flat::new(DIM, metric).unwrap();
        exact
            .add(matrix(&clustered(TRAIN_ROWS + 500, 3)), None)
            .unwrap();
        let queries = clustered(100, 8);
        let workers = Workers::serial();
        let got = index.search(matrix(&queries), 10, Some(80), &workers);
        let (got, want) = (got.unwrap(), exact.search(matrix(&queries), 10, &workers));
        let want = want.unwrap();
        let mut found = 0;
        for i in 0..100 {
            let truth = &want.ids[10 * i..10 * i + 10];
            for j in 10 * i..10 * i + 10 {
                if let Some(k) = truth.iter().position(|&id| id == got.ids[j]) {
                    assert_eq!(got.distances[j], want.distances[10 * i + k]);
                    found += 1;
                }
            }
        }
        assert!(found >= 980, "{metric:?}: {found} of 1000");
    }
}

#[test]
fn codes_follow_their_rows() {
    let mut index = coded(Metric::L2);
    let workers = Workers::of(2);
    let gone: Vec<i64> = (0..900).map(|i| i * 5).collect();
    index.remove(&gone, Missing::Refuse, &workers).unwrap();
    index
        .add(matrix(&clustered(300, 5)), None, &workers)
        .unwrap();
    index.compact(&workers).unwrap();
    index.check().unwrap();
    let codes = index.rows.coding.codes.as_ref().unwrap();
    assert_eq!(codes.len(), index.rows.len());
    let mut anew = Codes::new(codes.codec.clone(), Metric::L2);
    anew.append(&index.rows.vectors, 0..codes.len(), &workers)
        .unwrap();
    assert!((0..codes.len()).all(|i| codes.code(i) == anew.code(i)));

    let bytes = index.to_bytes().unwrap();
    let mut loaded = Hnsw::from_bytes(&bytes).unwrap();
    assert!(loaded.to_bytes().unwrap() == bytes);
    let more = clustered(4 * TRAIN_ROWS, 6);
    index.add(matrix(&more), None, &workers).unwrap();
    loaded.add(matrix(&more), None, &Workers::serial()).unwrap();
    assert!(loaded.to_bytes().unwrap() == index.to_bytes().unwrap());
}

#[test]
fn an_interrupted_add_leaves_the_codes_as_they_were() {
    let mut index = coded(Metric::L2);
    let before = index.to_bytes().unwrap();
    // Enough to have all rows coded anew.
    let more = clustered(4 * TRAIN_ROWS, 7);
    for delay in [0, 20, 100, 300] {
        let stop = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(delay));
                stop.store(true, Ordering::Relaxed);
            });
            index.add(matrix(&more), None, &Workers::new(2, &stop))
        });
        assert!(outcome.is_err(), "it was done before it was stopped");
        assert!(index.to_bytes().unwrap() == before);
    }
}
