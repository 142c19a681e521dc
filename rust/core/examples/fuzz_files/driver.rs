//! Makes bad files, loads them in every way, and uses what loads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ruvector_core::index::changes::{Existing, Missing};
use ruvector_core::index::codes::TRAIN_ROWS;
use ruvector_core::index::flat::Flat;
use ruvector_core::index::hnsw::{Hnsw, Params};
use ruvector_core::matrix::Matrix;
use ruvector_core::metric::Metric;
use ruvector_core::pool::Workers;
use ruvector_core::rng::Stream;
use ruvector_core::{Error, Result};

use super::craft::{Parts, damage};
use super::memory::peak;

/// A case that takes longer hangs: the slowest takes milliseconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Loading may hold so many bytes for each of the file's, and so many more.
const BYTES_A_BYTE: usize = 4;
const BYTES_MORE: usize = 32 << 10;

/// One case in so many is about a file with codes.
const CODED_SHARE: u64 = 16;

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub cases: u64,
    /// Files that loaded into memory and were used.
    pub loaded: u64,
    /// Files that were mapped and searched.
    pub mapped: u64,
    /// Of those, the ones in which verifying found damage.
    pub found_later: u64,
    /// Files with codes that loaded into memory, and those whose codes verifying found wrong.
    pub coded: u64,
    pub wrong_codes: u64,
    /// The most bytes that loading held for a byte of the file, of files beyond 4 KiB.
    pub most_a_byte: f64,
}

/// Runs until `time` is over, or returns what went wrong in which case.
pub fn run(seed: u64, first: u64, time: Duration) -> std::result::Result<Counts, String> {
    let folder = std::env::temp_dir().join(format!("ruvector-fuzz-{}-{seed}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("case.ruv");
    let beginning = Instant::now();
    let (case, over) = (
        Arc::new(AtomicU64::new(first)),
        Arc::new(AtomicBool::new(false)),
    );
    let watch = std::thread::spawn({
        let (case, over) = (case.clone(), over.clone());
        move || watch(&case, &over, seed)
    });
    let (whole, coded) = (whole_files(), coded_files());
    let mut counts = Counts::default();
    let outcome = loop {
        if beginning.elapsed() >= time {
            break Ok(counts);
        }
        let number = case.load(Relaxed);
        let mut draw = Stream::new(seed, number);
        // Files with codes are large, and take as long as many others.
        let among = if draw.below(CODED_SHARE) == 0 {
            &coded
        } else {
            &whole
        };
        let bytes = bad_file(among, &mut draw);
        let tried = catch_unwind(AssertUnwindSafe(|| try_file(&bytes, &path, &mut counts)));
        let problem = match tried {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem),
            Err(_) => Some("panicked".into()),
        };
        if let Some(problem) = problem {
            std::fs::write(&path, &bytes).unwrap();
            let file = path.display();
            break Err(format!("seed {seed}, case {number}: {problem}; see {file}"));
        }
        counts.cases += 1;
        case.store(number + 1, Relaxed);
    };
    over.store(true, Relaxed);
    watch.thread().unpark();
    watch.join().unwrap();
    if outcome.is_ok() {
        std::fs::remove_dir_all(folder).unwrap();
    }
    outcome
}

/// Ends the process when a case hangs, which cannot be done more gently.
fn watch(case: &AtomicU64, over: &AtomicBool, seed: u64) {
    let mut seen = (case.load(Relaxed), Instant::now());
    while !over.load(Relaxed) {
        std::thread::park_timeout(Duration::from_millis(500));
        let now = case.load(Relaxed);
        if now != seen.0 {
            seen = (now, Instant::now());
        } else if seen.1.elapsed() > LIMIT && !over.load(Relaxed) {
            println!("seed {seed}, case {now}: hangs");
            std::process::abort();
        }
    }
}

fn draw_rows(rows: usize, dim: usize, copies: bool, seed: u64) -> Vec<f32> {
    let mut draw = Stream::new(seed, 0);
    (0..rows * dim)
        .map(|_| {
            let x = draw.uniform() as f32 * 4.0 - 2.0;
            if copies { x.round() } else { x }
        })
        .collect()
}

/// Good files of every kind.
fn whole_files() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for metric in Metric::ALL {
        for (rows, dim, m, copies) in [
            (0, 3, 2, false),
            (1, 1, 2, false),
            (2, 17, 128, false),
            (60, 2, 2, true),
            (90, 5, 4, false),
            (150, 20, 3, false),
        ] {
            let data = draw_rows(rows, dim, copies, rows as u64);
            let vectors = Matrix::new(&data, rows, dim).unwrap();
            let ids: Vec<i64> = (0..rows as i64).map(|i| i * 37 % 151 * 1_000_003).collect();
            let params = Params::new(m, 20, 5).unwrap();
            let mut hnsw = Hnsw::new(dim, metric, params).unwrap();
            hnsw.add(vectors, Some(&ids), &Workers::serial()).unwrap();
            files.push(hnsw.to_bytes().unwrap());
            let mut flat = Flat::new(dim, metric).unwrap();
            flat.add(vectors, Some(&ids)).unwrap();
            files.push(flat.to_bytes().unwrap());
        }
    }
    files
}

/// Good files of indexes that are just large enough to have codes, with projections and without.
fn coded_files() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for (metric, dim) in [
        (Metric::L2, 3),
        (Metric::Cosine, 20),
        (Metric::InnerProduct, 5),
        (Metric::L2, 80),
    ] {
        let mut data = draw_rows(TRAIN_ROWS, dim, false, 7);
        // Rows of few directions are projected.
        for row in data.chunks_mut(dim).filter(|_| dim > 64) {
            for i in 4..dim {
                row[i] = row[i % 4] * (i as f32).cos() - row[i * 7 % 4] * (i as f32).sin();
            }
        }
        let params = Params::new(3, 12, 5).unwrap();
        let mut hnsw = Hnsw::new(dim, metric, params).unwrap();
        let vectors = Matrix::new(&data, TRAIN_ROWS, dim).unwrap();
        hnsw.add(vectors, None, &Workers::serial()).unwrap();
        let codes = hnsw.rows.coding.codes.as_ref().unwrap();
        assert_eq!(codes.codec.projection.is_some(), dim > 64);
        files.push(hnsw.to_bytes().unwrap());
    }
    files
}

fn bad_file(whole: &[Vec<u8>], draw: &mut Stream) -> Vec<u8> {
    let file = &whole[draw.below(whole.len() as u64) as usize];
    let mut parts = Parts::of(file);
    assert!(parts.file() == *file, "the format was taken apart wrongly");
    let raw = draw.below(4) == 0;
    for _ in 0..draw.below(4) + u64::from(!raw) {
        match parts.is_coded() && draw.below(3) > 0 {
            true => parts.change_codes(draw),
            false => parts.change(draw),
        }
    }
    let mut bytes = parts.file();
    if raw {
        for _ in 0..=draw.below(3) {
            if !bytes.is_empty() {
                damage(&mut bytes, draw);
            }
        }
    }
    bytes
}

/// What a loader says to a bad file: nothing, or that it is bad.
fn judged<I>(outcome: Result<I>) -> std::result::Result<Option<I>, String> {
    match outcome {
        Ok(index) => Ok(Some(index)),
        Err(Error::Corrupt { .. } | Error::UnsupportedVersion { .. }) => Ok(None),
        Err(other) => Err(format!("loading failed otherwise: {other}")),
    }
}

fn try_file(bytes: &[u8], path: &Path, counts: &mut Counts) -> std::result::Result<(), String> {
    std::fs::write(path, bytes).unwrap();
    let owned = |path: &PathBuf| {
        let workers = Workers::serial();
        (Hnsw::load(path, &workers), Flat::load(path, &workers))
    };
    let mapped = |path: &PathBuf| {
        let workers = Workers::serial();
        (Hnsw::map(path, &workers), Flat::map(path, &workers))
    };
    let path = path.to_path_buf();
    let ((hnsw, flat), one) = peak(|| owned(&path));
    let ((far_hnsw, far_flat), two) = peak(|| mapped(&path));
    let most = one.max(two);
    if most > BYTES_A_BYTE * bytes.len() + BYTES_MORE {
        return Err(format!("held {most} bytes for a file of {}", bytes.len()));
    }
    if bytes.len() > 4096 {
        counts.most_a_byte = counts.most_a_byte.max(most as f64 / bytes.len() as f64);
    }
    if let Some(mut index) = judged(hnsw)? {
        counts.loaded += 1;
        let same = Hnsw::from_bytes(bytes).is_ok_and(|other| other.rows.ids() == index.rows.ids());
        if !same {
            return Err("the file loads but its bytes do not".into());
        }
        if index.rows.coding.codes.is_some() {
            counts.coded += 1;
            let found = judged(index.verify(&Workers::serial()))?;
            counts.wrong_codes += u64::from(found.is_none());
        }
        use_hnsw(&mut index, true)?;
    }
    if let Some(mut index) = judged(flat)? {
        counts.loaded += 1;
        use_flat(&mut index, true)?;
    }
    if let Some(mut index) = judged(far_hnsw)? {
        counts.mapped += 1;
        counts.found_later += u64::from(judged(index.verify(&Workers::serial()))?.is_none());
        use_hnsw(&mut index, false)?;
    }
    if let Some(mut index) = judged(far_flat)? {
        counts.mapped += 1;
        counts.found_later += u64::from(judged(index.verify(&Workers::serial()))?.is_none());
        use_flat(&mut index, false)?;
    }
    Ok(())
}

/// More dimensions are not worth the time: they only occur in indexes without rows.
const MAX_DIM: usize = 4096;

fn said(what: &'static str) -> impl Fn(Error) -> String {
    move |error| format!("{what} failed: {error}")
}

/// Calls every verb; what was read whole must be sound before and after, what was mapped must
/// only do no harm and refuse changes.
fn use_hnsw(index: &mut Hnsw, owned: bool) -> std::result::Result<(), String> {
    let dim = index.rows.space.dim;
    if owned {
        index.check()?;
    }
    if dim > MAX_DIM {
        return Ok(());
    }
    let data = draw_rows(3, dim, false, 1);
    let queries = Matrix::new(&data, 3, dim).unwrap();
    for ef in [1, 12, index.rows.len().max(1)] {
        let hits = index
            .search(queries, 5, Some(ef), &Workers::serial())
            .map_err(said("search"))?;
        if owned
            && hits
                .counts
                .iter()
                .any(|&n| n != index.rows.live().min(5) as i64)
        {
            return Err("too few hits".into());
        }
    }
    let live = index.rows.live_ids();
    let some = &live[..live.len().min(9)];
    index.rows.get(some).map_err(said("get"))?;
    let _ = (index.rows.number(7), index.rows.bytes(), index.stats());
    let ids = free_ids(index.rows.ids());
    let added = index.add(queries, Some(&ids), &Workers::serial());
    if !owned {
        // Written again, damage must not get right checksums: this fails or what it gives does.
        if let Some(copy) = judged(index.to_bytes())? {
            judged(Hnsw::from_bytes(&copy))?;
        }
        return match added {
            Err(Error::ReadOnly { .. }) => Ok(()),
            _ => Err("a mapped index was changed".into()),
        };
    }
    let serial = Workers::serial();
    added.map_err(said("add"))?;
    index.check()?;
    index
        .store(queries, Some(&ids), Existing::Require, &serial)
        .map_err(said("update"))?;
    index
        .remove(some, Missing::Refuse, &serial)
        .map_err(said("remove"))?;
    index.check()?;
    index.compact(&serial).map_err(said("compact"))?;
    index.check()?;
    let copy = index.to_bytes().map_err(said("to_bytes"))?;
    Hnsw::from_bytes(&copy).map_err(said("from_bytes"))?;
    Ok(())
}

fn use_flat(index: &mut Flat, owned: bool) -> std::result::Result<(), String> {
    let dim = index.rows.space.dim;
    if owned {
        index.rows.check()?;
    }
    if dim > MAX_DIM {
        return Ok(());
    }
    let data = draw_rows(3, dim, false, 1);
    let queries = Matrix::new(&data, 3, dim).unwrap();
    index
        .search(queries, 5, &Workers::serial())
        .map_err(said("search"))?;
    let some = index.rows.ids()[..index.rows.len().min(9)].to_vec();
    index.rows.get(&some).map_err(said("get"))?;
    let ids = free_ids(index.rows.ids());
    let added = index.add(queries, Some(&ids)).map(<[i64]>::to_vec);
    if !owned {
        if let Some(copy) = judged(index.to_bytes())? {
            judged(Flat::from_bytes(&copy))?;
        }
        return match added {
            Err(Error::ReadOnly { .. }) => Ok(()),
            _ => Err("a mapped index was changed".into()),
        };
    }
    added.map_err(said("add"))?;
    index.rows.check()?;
    Ok(())
}

/// Three ids that are not stored.
fn free_ids(stored: &[i64]) -> Vec<i64> {
    (0..).filter(|id| !stored.contains(id)).take(3).collect()
}
