//! The number of threads, and the loops that run on them.

mod team;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::error::{Error, Result};

/// More threads than this are refused.
pub const MAX_THREADS: usize = 1024;

/// Names the number of threads before the first call of [`set_num_threads`].
pub const THREADS_VARIABLE: &str = "RUVECTOR_NUM_THREADS";

static NUM_THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// What [`use_threads`] set on this thread; 0 for nothing.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Threads that parallel calls use from now on.
pub fn set_num_threads(threads: usize) -> Result<()> {
    if threads == 0 {
        return Err(out_of_range(threads));
    }
    NUM_THREADS.store(in_range(threads)?, Ordering::Relaxed);
    Ok(())
}

/// Threads for calls that start on the calling thread, whatever the process has set; 0 goes back
/// to that. Returns what held here before.
pub fn use_threads(threads: usize) -> Result<usize> {
    Ok(HERE.replace(in_range(threads)?))
}

fn in_range(threads: usize) -> Result<usize> {
    if threads > MAX_THREADS {
        return Err(out_of_range(threads));
    }
    Ok(threads)
}

fn out_of_range(threads: usize) -> Error {
    Error::invalid(
        "num_threads",
        format!("is {threads} but must lie between 1 and {MAX_THREADS}"),
    )
}

/// Threads that parallel calls use: what was set for this thread, else for the process, else the
/// environment's number, else one a core.
pub fn num_threads() -> usize {
    match (HERE.get(), NUM_THREADS.load(Ordering::Relaxed)) {
        (0, 0) => default_threads(),
        (0, threads) | (threads, _) => threads,
    }
}

/// The number of threads that `RUVECTOR_NUM_THREADS` asks for, else one a core; fails where the
/// variable holds anything but a whole number in range.
pub fn requested_threads() -> Result<usize> {
    match std::env::var_os(THREADS_VARIABLE) {
        Some(text) => parse_threads(&text.to_string_lossy()),
        None => Ok(std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MAX_THREADS)),
    }
}

fn parse_threads(text: &str) -> Result<usize> {
    text.trim()
        .parse()
        .ok()
        .filter(|threads| (1..=MAX_THREADS).contains(threads))
        .ok_or_else(|| {
            Error::invalid(
                THREADS_VARIABLE,
                format!(
                    "is {text:?} but must be a whole number between 1 and {MAX_THREADS}; \
                     unset it for one thread a core"
                ),
            )
        })
}

/// The binding refuses to load where the variable cannot be read, so only a Rust caller that
/// never asked [`requested_threads`] meets the single thread.
fn default_threads() -> usize {
    static DEFAULT: OnceLock<usize> = OnceLock::new();
    *DEFAULT.get_or_init(|| requested_threads().unwrap_or(1))
}

/// How a call may use the machine: its number of threads and the flag that asks it to stop.
pub struct Workers<'a> {
    threads: usize,
    stop: &'a AtomicBool,
}

static NEVER: AtomicBool = AtomicBool::new(false);

impl<'a> Workers<'a> {
    /// Up to `threads` threads until `stop` becomes true.
    pub fn new(threads: usize, stop: &'a AtomicBool) -> Self {
        Self {
            threads: threads.clamp(1, MAX_THREADS),
            stop,
        }
    }

    /// `threads` threads, never asked to stop.
    pub fn of(threads: usize) -> Workers<'static> {
        Workers::new(threads, &NEVER)
    }

    /// The calling thread alone.
    pub fn serial() -> Workers<'static> {
        Workers::of(1)
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Fails with [`Error::Interrupted`] once the caller has asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        Ok(())
    }

    /// Calls `item` for each of `0..count`, in any order, on all threads.
    pub fn for_each(&self, count: usize, item: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
        let portion = self.portion(count);
        let portions = (0..count).step_by(portion);
        self.share(portions, |start| {
            (start..count.min(start + portion)).try_for_each(|i| {
                self.check()?;
                item(i)
            })
        })
    }

    /// The results of `item` for each of `0..count`, in order.
    pub fn map<R: Send>(
        &self,
        count: usize,
        item: impl Fn(usize) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let mut results = Vec::from_iter((0..count).map(|_| None));
        self.for_each_piece(&mut results, 1, |i, result| {
            result[0] = Some(item(i)?);
            Ok(())
        })?;
        Ok(results.into_iter().flatten().collect())
    }

    /// Sorts, on all threads; equal values must be the same ones.
    pub fn sort<T: Ord + Send>(&self, data: &mut [T]) -> Result<()> {
        if self.threads == 1 {
            data.sort_unstable();
            return Ok(());
        }
        let share = data.len().div_ceil(self.threads);
        self.for_each_piece(data, share, |_, piece| {
            piece.sort_unstable();
            Ok(())
        })?;
        // Merges what is in order already.
        data.sort();
        Ok(())
    }

    /// Splits `data` into pieces of `size` values (the last may be shorter) and calls `item`
    /// with each piece's number and values, in any order, on all threads.
    pub fn for_each_piece<T: Send>(
        &self,
        data: &mut [T],
        size: usize,
        item: impl Fn(usize, &mut [T]) -> Result<()> + Sync,
    ) -> Result<()> {
        let size = size.max(1);
        let portion = self.portion(data.len().div_ceil(size));
        let portions = data.chunks_mut(size.saturating_mul(portion)).enumerate();
        self.share(portions, |(i, values)| {
            for (j, piece) in values.chunks_mut(size).enumerate() {
                self.check()?;
                item(i * portion + j, piece)?;
            }
            Ok(())
        })
    }

    /// Items that a thread takes at a time. Few: at the end the others wait for the last ones.
    fn portion(&self, count: usize) -> usize {
        (count / (128 * self.threads)).max(1)
    }

    /// Calls `item` for each of `portions`, on all threads; the first failure ends it.
    fn share<P: Send>(
        &self,
        mut portions: impl ExactSizeIterator<Item = P> + Send,
        item: impl Fn(P) -> Result<()> + Sync,
    ) -> Result<()> {
        if self.threads == 1 || portions.len() <= 1 {
            return portions.try_for_each(item);
        }
        let wanted = self.threads.min(portions.len()) - 1;
        let left = Mutex::new((Some(portions), Ok(())));
        let lock = || left.lock().unwrap_or_else(PoisonError::into_inner);
        let next = || lock().0.as_mut()?.next();
        team::together(self.threads - 1, wanted, &|| {
            while let Some(portion) = next() {
                if let Err(error) = item(portion) {
                    let (portions, outcome) = &mut *lock();
                    *portions = None;
                    *outcome = std::mem::replace(outcome, Ok(())).and(Err(error));
                }
            }
        })?;
        left.into_inner().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_for_any_number_of_threads() {
        let square = |workers: Workers| workers.map(100, |i| Ok(i * i)).unwrap();
        assert_eq!(square(Workers::serial()), square(Workers::of(3)));
    }

    #[test]
    fn pieces_cover_everything_once() {
        let mut data = vec![0u32; 1003];
        Workers::of(2)
            .for_each_piece(&mut data, 10, |_, piece| {
                piece.iter_mut().for_each(|value| *value += 1);
                Ok(())
            })
            .unwrap();
        assert!(data.iter().all(|&value| value == 1));
    }

    #[test]
    fn a_raised_flag_stops_the_loop() {
        let stop = AtomicBool::new(true);
        let outcome = Workers::new(2, &stop).for_each(10, |_| Ok(()));
        assert!(matches!(outcome, Err(Error::Interrupted)));
    }

    #[test]
    fn a_panic_reaches_the_caller_and_harms_no_later_loop() {
        let workers = Workers::of(3);
        for bad in [0, 50, 99] {
            let outcome = std::panic::catch_unwind(|| {
                workers.for_each(100, |i| {
                    assert_ne!(i, bad);
                    Ok(())
                })
            });
            assert!(outcome.is_err());
        }
        assert_eq!(workers.map(100, Ok).unwrap(), Vec::from_iter(0..100));
    }

    #[test]
    fn loops_within_loops_of_several_callers_end() {
        let sums = |workers: &Workers| {
            workers.map(40, |i| {
                let parts = workers.map(40, |j| Ok(i * j))?;
                Ok(parts.into_iter().sum::<usize>())
            })
        };
        let want: Vec<usize> = (0..40).map(|i| i * 780).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        assert_eq!(sums(&Workers::of(2)).unwrap(), want);
                    }
                });
            }
        });
    }

    /// Keeps two threads busy until `over`, once they both are.
    fn busy<'scope>(scope: &'scope std::thread::Scope<'scope, '_>, over: &'scope AtomicBool) {
        let (sender, receiver) = std::sync::mpsc::channel();
        scope.spawn(move || {
            let sender = Mutex::new(sender);
            Workers::of(2).for_each(2, |_| {
                sender.lock().unwrap().send(()).unwrap();
                wait(|| over.load(Ordering::Relaxed));
                Ok(())
            })
        });
        (0..2).for_each(|_| receiver.recv().unwrap());
    }

    fn wait(done: impl Fn() -> bool) {
        while !done() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_busy_helper_keeps_no_other_caller_waiting() {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            busy(scope, &over);
            for _ in 0..200 {
                let got = Workers::of(2).map(100, Ok).unwrap();
                assert_eq!(got, Vec::from_iter(0..100));
            }
            over.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_helper_joins_work_begun_while_it_was_busy() {
        let (over, here) = (AtomicBool::new(false), std::thread::current().id());
        let joined = AtomicBool::new(false);
        std::thread::scope(|scope| {
            busy(scope, &over);
            Workers::of(2)
                .for_each(100, |_| {
                    over.store(true, Ordering::Relaxed);
                    match std::thread::current().id() == here {
                        true => wait(|| joined.load(Ordering::Relaxed)),
                        false => joined.store(true, Ordering::Relaxed),
                    }
                    Ok(())
                })
                .unwrap();
        });
    }

    #[test]
    fn sorting_on_several_threads_is_sorting() {
        for count in [0, 1, 2, 5, 1000] {
            let mut data: Vec<u64> = (0..count).map(|i| i * 7919 % 1009).collect();
            let mut want = data.clone();
            want.sort_unstable();
            Workers::of(3).sort(&mut data).unwrap();
            assert_eq!(data, want);
        }
    }

    #[test]
    fn zero_threads_are_refused() {
        assert!(set_num_threads(0).is_err());
        assert!(set_num_threads(MAX_THREADS + 1).is_err());
    }

    #[test]
    fn a_number_for_one_thread_is_seen_by_no_other() {
        let before = num_threads();
        assert_eq!(use_threads(before + 7).unwrap(), 0);
        assert_eq!(num_threads(), before + 7);
        let elsewhere = std::thread::spawn(num_threads).join().unwrap();
        assert_eq!(elsewhere, before);
        assert!(use_threads(MAX_THREADS + 1).is_err());
        assert_eq!(use_threads(0).unwrap(), before + 7);
        assert_eq!(num_threads(), before);
    }

    #[test]
    fn the_variable_is_a_number_in_range() {
        assert_eq!(parse_threads(" 3 ").unwrap(), 3);
        assert_eq!(parse_threads("1024").unwrap(), MAX_THREADS);
        for text in ["", "0", "-1", "1025", "2.0", "two", "99999999999999999999"] {
            let message = parse_threads(text).unwrap_err().to_string();
            assert!(message.contains(THREADS_VARIABLE) && message.contains("between 1 and 1024"));
        }
    }
}
