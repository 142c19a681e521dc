//! Writers and readers of one index at once, for two seconds or for as many as
//! `RUVECTOR_STRESS_SECONDS` says, half of them of an index with codes. `tools/sanitize.sh` runs it under ThreadSanitizer.

// The helpers are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ruvector_core::Error;
use ruvector_core::index::changes::{Existing, Missing};
use ruvector_core::index::codes::TRAIN_ROWS;
use ruvector_core::index::flat::{self, Flat};
use ruvector_core::index::hnsw::{self, Hnsw, Params};
use ruvector_core::index::shared::Shared;
use ruvector_core::matrix::Matrix;
use ruvector_core::metric::Metric;
use ruvector_core::pool::Workers;
use ruvector_core::rng::Stream;

const DIM: usize = 8;
const WRITERS: u64 = 2;
const READERS: u64 = 4;

/// Rows of the first add, each the nearest to itself for ever.
const FIRST: usize = 200;

/// An index that has grown so far is replaced by a fresh one.
const ENOUGH: usize = 4000;

/// Or by so many rows, where it began with enough for codes.
const MORE: usize = 2500;

fn draw(rows: usize, stream: &mut Stream) -> Vec<f32> {
    (0..rows * DIM)
        .map(|_| stream.uniform() as f32 * 2.0 - 1.0)
        .collect()
}

fn matrix(data: &[f32]) -> Matrix<'_, f32> {
    Matrix::new(data, data.len() / DIM, DIM).unwrap()
}

fn seconds() -> f64 {
    std::env::var("RUVECTOR_STRESS_SECONDS").map_or(2.0, |text| text.parse().unwrap())
}

/// How often each thing was done.
#[derive(Debug, Default)]
struct Counts {
    added: AtomicUsize,
    replaced: AtomicUsize,
    removed: AtomicUsize,
    compacted: AtomicUsize,
    recoded: AtomicUsize,
    interrupted: AtomicUsize,
    searched: AtomicUsize,
    saved: AtomicUsize,
    checked: AtomicUsize,
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What a writer does.
enum Verb {
    Add,
    Update,
    Replace,
    Remove,
    Compact,
}

/// Adds, replaces, removes its own rows and compacts until there are `enough` rows; one change in
/// eight is asked to stop at some moment. Later rows are further out, so that codes change.
fn write(
    index: &Shared<Hnsw>,
    seed: u64,
    enough: usize,
    over: &AtomicBool,
    end: Instant,
    counts: &Counts,
) {
    let mut stream = Stream::new(seed, 1);
    let mut own: Vec<i64> = Vec::new();
    while Instant::now() < end && !over.load(Ordering::Relaxed) {
        let before = index.read().unwrap().rows.visible();
        if before >= enough {
            break;
        }
        let size = 1 + stream.below(150) as usize;
        let verb = match stream.below(16) {
            0..=3 if own.len() >= size => Verb::Remove,
            4 | 5 if own.len() >= size => Verb::Update,
            6 | 7 if own.len() >= size => Verb::Replace,
            8 => Verb::Compact,
            _ => Verb::Add,
        };
        let mut data = draw(size, &mut stream);
        let out = 1.0 + 20.0 * (own.len() / 300) as f32;
        data.iter_mut().step_by(3).for_each(|x| *x += out);
        let some = own[own.len().saturating_sub(size)..].to_vec();
        let stop = AtomicBool::new(false);
        let changing = || {
            let workers = Workers::new(2, &stop);
            let adding = |ids| hnsw::Adding::new(matrix(&data), ids);
            match verb {
                Verb::Add => index.change(adding(None), &workers),
                Verb::Update => {
                    let updating = adding(Some(&some)).over(Existing::Require);
                    index.change(updating, &workers)
                }
                Verb::Replace => {
                    // Half of them are new.
                    let mut new = Stream::new(own.len() as u64, seed);
                    let ids = (0..size).map(|i| match i % 2 {
                        0 => some[i],
                        _ => (1 << 50) + new.below(1 << 60) as i64,
                    });
                    let ids: Vec<i64> = ids.collect();
                    index.change(adding(Some(&ids)).over(Existing::Replace), &workers)
                }
                Verb::Compact => {
                    index.change(hnsw::Removing::compacting(), &workers)?;
                    Ok(Vec::new())
                }
                Verb::Remove => {
                    let removing = hnsw::Removing::new(&some, Missing::Refuse);
                    let removed = index.change(removing, &workers)?;
                    assert_eq!(removed, some.len());
                    Ok(Vec::new())
                }
            }
        };
        let outcome = if stream.below(8) == 0 {
            let moment = Duration::from_micros(stream.below(5000));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(moment);
                    stop.store(true, Ordering::Relaxed);
                });
                changing()
            })
        } else {
            changing()
        };
        match outcome {
            Ok(ids) => {
                // Seen at once by whoever asks after the call.
                let guard = index.read().unwrap();
                match verb {
                    Verb::Remove => {
                        assert!(some.iter().all(|&id| guard.rows.number(id).is_none()));
                        own.truncate(own.len() - size);
                        count(&counts.removed);
                    }
                    Verb::Add | Verb::Update | Verb::Replace => {
                        assert_eq!(guard.rows.get(&ids).unwrap(), data);
                        own.extend(ids.iter().filter(|id| !some.contains(id)));
                        count(match verb {
                            Verb::Add => &counts.added,
                            _ => &counts.replaced,
                        });
                    }
                    Verb::Compact => count(&counts.compacted),
                }
            }
            Err(Error::Interrupted) => {
                let guard = index.read().unwrap();
                assert!(own.iter().all(|&id| guard.rows.number(id).is_some()));
                count(&counts.interrupted);
            }
            Err(error) => panic!("{error}"),
        }
    }
    over.store(true, Ordering::Relaxed);
}

fn read(index: &Shared<Hnsw>, first: &[f32], seed: u64, over: &AtomicBool, counts: &Counts) {
    let mut stream = Stream::new(seed, 2);
    let mut turns = 0;
    while !over.load(Ordering::Relaxed) || turns == 0 {
        turns += 1;
        let guard = index.read().unwrap();
        let live = guard.rows.live();
        assert!(live >= FIRST, "rows disappeared");
        match stream.below(64) {
            0 => {
                let copy = Hnsw::from_bytes(&guard.to_bytes().unwrap()).unwrap();
                assert_eq!(copy.rows.live_ids(), guard.rows.live_ids());
                count(&counts.saved);
            }
            1 => {
                guard.verify(&Workers::serial()).unwrap();
                assert_eq!(guard.stats().rows, live);
                count(&counts.checked);
            }
            _ => {
                let start = stream.below(FIRST as u64 - 4) as usize;
                let queries = matrix(&first[start * DIM..(start + 4) * DIM]);
                let k = 1 + stream.below(20) as usize;
                let workers = Workers::of(1 + stream.below(2) as usize);
                let hits = guard.search(queries, k, None, &workers).unwrap();
                assert!(hits.counts.iter().all(|&hits| hits == k as i64));
                for (i, (ids, distances)) in
                    hits.ids.chunks(k).zip(hits.distances.chunks(k)).enumerate()
                {
                    assert_eq!(ids[0], (start + i) as i64);
                    assert!(distances.windows(2).all(|pair| pair[0] <= pair[1]));
                    assert!(ids.iter().all(|&id| guard.rows.number(id).is_some()));
                }
                count(&counts.searched);
            }
        }
    }
}

#[test]
fn writers_and_readers_agree_on_what_there_is() {
    let (beginning, counts) = (Instant::now(), Counts::default());
    let mut seed = 0;
    for (share, rows, more) in [(0.5, TRAIN_ROWS, MORE), (1.0, FIRST, ENOUGH - FIRST)] {
        let end = beginning + Duration::from_secs_f64(share * seconds());
        while Instant::now() < end {
            seed += 1;
            agree(seed, rows, rows + more, end, &counts);
        }
    }
    eprintln!("{counts:?}, {seed} indexes");
    let all = seconds() >= 10.0;
    let rare = [
        counts.replaced,
        counts.removed,
        counts.compacted,
        counts.recoded,
        counts.interrupted,
        counts.saved,
        counts.checked,
    ];
    assert!(counts.added.into_inner() > 0 && counts.searched.into_inner() > 0);
    assert!(!all || rare.into_iter().all(|count| count.into_inner() > 0));
}

/// One index from `rows` rows to `enough`, or to the end.
fn agree(seed: u64, rows: usize, enough: usize, end: Instant, counts: &Counts) {
    let first = draw(rows, &mut Stream::new(seed, 0));
    let params = Params::new(6, 40, seed).unwrap();
    let mut fresh = Hnsw::new(DIM, Metric::L2, params).unwrap();
    fresh.add(matrix(&first), None, &Workers::serial()).unwrap();
    let coding = |index: &Hnsw| index.rows.coding.head(0);
    let before = coding(&fresh);
    assert_eq!(before[1] == 1, rows >= TRAIN_ROWS, "codes");
    let index = Shared::new(fresh);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (index, over, counts) = (&index, &over, &counts);
            scope.spawn(move || write(index, seed * 10 + writer, enough, over, end, counts));
        }
        for reader in 0..READERS {
            let (index, first, over, counts) = (&index, &first, &over, &counts);
            scope.spawn(move || read(index, first, seed * 10 + reader, over, counts));
        }
    });
    let index = index.read().unwrap();
    index.verify(&Workers::serial()).unwrap();
    if rows >= TRAIN_ROWS && coding(&index) != before {
        count(&counts.recoded);
    }
}

#[test]
fn a_flat_index_grows_while_it_is_searched() {
    let end = Instant::now() + Duration::from_secs_f64(seconds() / 4.0);
    let index = Shared::new(Flat::new(DIM, Metric::Cosine).unwrap());
    let data = draw(2500, &mut Stream::new(1, 0));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0.. {
                if turn > 0 && (Instant::now() >= end || turn > 40) {
                    break;
                }
                index
                    .change(flat::Adding::new(matrix(&data), None), &Workers::serial())
                    .unwrap();
            }
            over.store(true, Ordering::Relaxed);
        });
        for _ in 0..READERS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let guard = index.read().unwrap();
                    let visible = guard.rows.visible();
                    assert_eq!(visible % 2500, 0);
                    let hits = guard
                        .search(matrix(&data[..DIM]), 3, &Workers::serial())
                        .unwrap();
                    assert_eq!(hits.counts[0], 3.min(visible) as i64);
                    assert!(hits.ids.iter().all(|&id| id < visible as i64));
                }
            });
        }
    });
    assert_eq!(index.read().unwrap().rows.visible() % 2500, 0);
}

#[test]
fn an_index_whose_change_panicked_is_refused() {
    struct Panicking;
    impl ruvector_core::index::shared::Change<Flat> for Panicking {
        type Step = ();
        type Done = ();
        fn plan(&mut self, _: &Flat, _: &Workers<'_>) -> ruvector_core::Result<Option<()>> {
            Ok(Some(()))
        }
        fn apply(&mut self, _: &mut Flat, _: &mut ()) -> ruvector_core::Result<()> {
            panic!("meant")
        }
        fn finish(&mut self, _: &mut Flat) {}
        fn undo(&mut self, _: &mut Flat) {}
    }
    let index = Shared::new(Flat::new(DIM, Metric::L2).unwrap());
    let workers = Workers::serial();
    let outcome = std::thread::scope(|scope| {
        scope
            .spawn(|| index.change(Panicking, &workers).unwrap())
            .join()
    });
    assert!(outcome.is_err());
    assert!(matches!(index.read(), Err(Error::Broken { .. })));
    assert!(matches!(index.write(&workers), Err(Error::Broken { .. })));
    assert!(matches!(
        index.try_change(Panicking, &workers),
        Err(Error::Broken { .. })
    ));
}

#[test]
fn turns_are_taken_in_order_and_can_be_given_up() {
    let index = Shared::new(Flat::new(DIM, Metric::L2).unwrap());
    let workers = Workers::serial();
    let turn = index.write(&workers).unwrap();
    let data = draw(1, &mut Stream::new(1, 0));
    let busy = index.try_change(flat::Adding::new(matrix(&data), None), &workers);
    assert!(matches!(busy, Ok(Err(_))));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let impatient = scope.spawn(|| {
            let workers = Workers::new(1, &stop);
            index.change(flat::Adding::new(matrix(&data), None), &workers)
        });
        std::thread::sleep(Duration::from_millis(30));
        stop.store(true, Ordering::Relaxed);
        let outcome = impatient.join().unwrap();
        assert!(matches!(outcome, Err(Error::Interrupted)));
        drop(turn);
    });
    let added = index.change(flat::Adding::new(matrix(&data), None), &workers);
    assert_eq!(added.unwrap(), [0]);
}
