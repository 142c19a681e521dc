//! Threads of the package's own that help a caller with its work.
//!
//! The caller works too, and waits only for helpers that are at it: whoever is busy with another
//! caller's work, or slow to wake, comes later or not at all. So sharing work never makes it wait
//! in a queue. A thread that waits takes up nothing else meanwhile: what it holds locked cannot be
//! asked for by work that it runs itself.
//!
//! Never rayon's global pool: a child made by `fork` inherits its locks but not its threads and
//! would wait for ever. Teams are kept by process id instead, so a child starts its own.

use std::any::Any;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::MAX_THREADS;
use crate::error::{Error, Result};

/// How long a thread stays awake for what is likely to come: waking one takes about 50 µs, and
/// most work is a sequence of loops with less than this between them.
const LINGER: Duration = Duration::from_micros(200);

/// Looks at what is waited for before others are let run in between.
const LOOKS: usize = 64;

/// Helpers, and the work that they may join.
struct Team {
    process: u32,
    threads: ThreadPool,
    desk: Mutex<Desk>,
    /// How many calls are on the desk, to be seen without its lock.
    open: AtomicUsize,
}

#[derive(Default)]
struct Desk {
    /// Work that may be joined, each with how many more helpers it can use.
    calls: Vec<(Arc<Call>, usize)>,
    /// Helpers that are awake for this desk.
    awake: usize,
    /// Those of them that have nothing to do.
    idle: usize,
}

/// Teams by their number of helpers. One is never freed: there are few, and one inherited through
/// `fork` has no threads that could be joined.
static TEAMS: [AtomicPtr<Team>; MAX_THREADS] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; MAX_THREADS];

fn team_of(helpers: usize) -> Result<&'static Team> {
    let slot = &TEAMS[helpers];
    let process = std::process::id();
    let current = slot.load(Ordering::Acquire);
    // SAFETY: teams are leaked boxes, so a non-null pointer stays valid.
    if let Some(team) = unsafe { current.as_ref() }
        && team.process == process
    {
        return Ok(team);
    }
    let fresh = Box::into_raw(Box::new(Team {
        process,
        threads: ThreadPoolBuilder::new()
            .num_threads(helpers)
            .thread_name(|i| format!("ruvector-{i}"))
            .build()
            .map_err(|error| Error::Io(std::io::Error::other(error)))?,
        desk: Mutex::default(),
        open: AtomicUsize::new(0),
    }));
    match slot.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: `fresh` was just leaked and is never freed.
        Ok(_) => Ok(unsafe { &*fresh }),
        Err(winner) => {
            // SAFETY: `fresh` was never shared; `winner` is a leaked team of this process.
            unsafe {
                drop(Box::from_raw(fresh));
                Ok(&*winner)
            }
        }
    }
}

impl Team {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    /// Tells helpers what they may join, and wakes as many as are missing.
    fn open(&'static self, call: &Arc<Call>, wanted: usize) {
        let mut desk = self.desk();
        desk.calls.push((Arc::clone(call), wanted));
        self.open.store(desk.calls.len(), Ordering::Release);
        let wanted: usize = desk.calls.iter().map(|(_, wanted)| wanted).sum();
        let asleep = self.threads.current_num_threads() - desk.awake;
        let missing = wanted.saturating_sub(desk.idle).min(asleep);
        desk.awake += missing;
        drop(desk);
        for _ in 0..missing {
            self.threads.spawn(|| self.serve());
        }
    }

    /// Lets nobody join any more and waits for those at work.
    fn close(&self, call: &Arc<Call>) {
        let mut desk = self.desk();
        desk.calls.retain(|(other, _)| !Arc::ptr_eq(other, call));
        self.open.store(desk.calls.len(), Ordering::Release);
        drop(desk);
        let done = || call.helpers.load(Ordering::Acquire) == 0;
        watch(Instant::now() + LINGER, done);
        while !done() {
            thread::park();
        }
    }

    /// A helper's life from waking up until there has been nothing to do for [`LINGER`].
    fn serve(&self) {
        let mut until = Instant::now() + LINGER;
        let mut desk = self.desk();
        loop {
            if let Some((call, wanted)) = desk.calls.first_mut() {
                let call = Arc::clone(call);
                call.helpers.fetch_add(1, Ordering::Relaxed);
                *wanted -= 1;
                if *wanted == 0 {
                    desk.calls.remove(0);
                    self.open.store(desk.calls.len(), Ordering::Release);
                }
                drop(desk);
                call.help();
                until = Instant::now() + LINGER;
                desk = self.desk();
                continue;
            }
            desk.idle += 1;
            drop(desk);
            let came = watch(until, || self.open.load(Ordering::Acquire) > 0);
            desk = self.desk();
            desk.idle -= 1;
            if !came && desk.calls.is_empty() {
                desk.awake -= 1;
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for `done`, but not longer than `until`; whether it came.
fn watch(until: Instant, done: impl Fn() -> bool) -> bool {
    loop {
        for _ in 0..LOOKS {
            if done() {
                return true;
            }
            spin_loop();
        }
        if Instant::now() >= until {
            return false;
        }
        thread::yield_now();
    }
}

/// What a caller and its helpers know of one another.
struct Call {
    /// Valid while a helper is counted.
    work: *const (dyn Fn() + Sync),
    /// How many helpers are at work. More come only while the call is on the desk.
    helpers: AtomicUsize,
    caller: Thread,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: what `work` points to may be shared, and is reached through shared references alone.
unsafe impl Send for Call {}
// SAFETY: the same.
unsafe impl Sync for Call {}

impl Call {
    /// What a helper that has been counted does.
    fn help(&self) {
        // SAFETY: this helper is counted, so the caller still waits in `close`, or will.
        let work = unsafe { &*self.work };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            lock(&self.panic).get_or_insert(panic);
        }
        if self.helpers.fetch_sub(1, Ordering::Release) == 1 {
            self.caller.unpark();
        }
    }
}

/// Closes a call even if the caller panics.
struct Closing<'a> {
    team: &'static Team,
    call: &'a Arc<Call>,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.team.close(self.call);
    }
}

/// Runs `work` on this thread and meanwhile on up to `wanted` of a team's `helpers` too.
pub(super) fn together(helpers: usize, wanted: usize, work: &(dyn Fn() + Sync)) -> Result<()> {
    let team = team_of(helpers)?;
    let shared: *const (dyn Fn() + Sync + '_) = work;
    let call = Arc::new(Call {
        // SAFETY: only the lifetime changes. Helpers reach it while they are counted, and
        // `Closing` returns when none is and none can be any more.
        work: unsafe {
            std::mem::transmute::<*const (dyn Fn() + Sync + '_), *const (dyn Fn() + Sync)>(shared)
        },
        helpers: AtomicUsize::new(0),
        caller: thread::current(),
        panic: Mutex::new(None),
    });
    let closing = Closing { team, call: &call };
    team.open(&call, wanted);
    work();
    drop(closing);
    let panic = lock(&call.panic).take();
    match panic {
        Some(panic) => resume_unwind(panic),
        None => Ok(()),
    }
}
