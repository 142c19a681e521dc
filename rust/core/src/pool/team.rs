//! Threads of the package's own that help a caller with its work.
//!
//! The caller works too, and waits only for helpers that have begun. One that is busy with another
//! caller's work, or slow to wake, finds this work done and goes; so sharing work never makes it
//! wait in a queue. A thread that waits takes up nothing else meanwhile: what it holds locked
//! cannot be asked for by work that it runs itself.
//!
//! Never rayon's global pool: a child made by `fork` inherits its locks but not its threads and
//! would wait for ever. Pools are kept by process id instead, so a child starts its own.

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

/// Calls that threads of a pool have not heard yet, a thread: while all are busy for long, no more
/// are left for them.
const UNHEARD: usize = 64;

struct Pool {
    process: u32,
    threads: ThreadPool,
    desk: Mutex<Desk>,
    /// How many calls lie on the desk, to be seen without its lock.
    calls: AtomicUsize,
}

#[derive(Default)]
struct Desk {
    /// Helpers that wait for a call, less the calls that lie here for them.
    lingering: usize,
    calls: Vec<Arc<Call>>,
    unheard: usize,
}

/// Pools by their number of threads. One is never freed: there are few, and one inherited
/// through `fork` has no threads that could be joined.
static POOLS: [AtomicPtr<Pool>; MAX_THREADS] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; MAX_THREADS];

fn pool_of(threads: usize) -> Result<&'static Pool> {
    let slot = &POOLS[threads];
    let process = std::process::id();
    let current = slot.load(Ordering::Acquire);
    // SAFETY: pools are leaked boxes, so a non-null pointer stays valid.
    if let Some(pool) = unsafe { current.as_ref() }
        && pool.process == process
    {
        return Ok(pool);
    }
    let fresh = Box::into_raw(Box::new(Pool {
        process,
        threads: ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("ruvector-{i}"))
            .build()
            .map_err(|error| Error::Io(std::io::Error::other(error)))?,
        desk: Mutex::default(),
        calls: AtomicUsize::new(0),
    }));
    match slot.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: `fresh` was just leaked and is never freed.
        Ok(_) => Ok(unsafe { &*fresh }),
        Err(winner) => {
            // SAFETY: `fresh` was never shared; `winner` is a leaked pool of this process.
            unsafe {
                drop(Box::from_raw(fresh));
                Ok(&*winner)
            }
        }
    }
}

impl Pool {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a call to a helper that lingers, or else to the next one that is free.
    fn ask(&'static self, call: Arc<Call>) {
        let mut desk = self.desk();
        if desk.lingering > 0 {
            desk.lingering -= 1;
            desk.calls.push(call);
            self.calls.store(desk.calls.len(), Ordering::Release);
        } else if desk.unheard < UNHEARD * self.threads.current_num_threads() {
            desk.unheard += 1;
            drop(desk);
            self.threads.spawn(move || {
                self.desk().unheard -= 1;
                let mut next = Some(call);
                while let Some(call) = next {
                    call.help();
                    next = self.linger();
                }
            });
        }
    }

    /// The next call, if one comes soon.
    fn linger(&self) -> Option<Arc<Call>> {
        self.desk().lingering += 1;
        watch(|| self.calls.load(Ordering::Acquire) > 0);
        let mut desk = self.desk();
        let call = desk.calls.pop();
        match call {
            Some(_) => self.calls.store(desk.calls.len(), Ordering::Release),
            None => desk.lingering -= 1,
        }
        call
    }
}

/// Returns when `done` is true, or after [`LINGER`].
fn watch(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() && begun.elapsed() < LINGER {
        spin_loop();
    }
}

/// What a caller and its helpers know of one another.
struct Call {
    /// Valid for helpers at work.
    work: &'static (dyn Fn() + Sync),
    /// How many helpers are at work, and [`CLOSED`] when no other may begin.
    state: AtomicUsize,
    caller: Thread,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

const CLOSED: usize = 1 << (usize::BITS - 1);

impl Call {
    /// Takes part, unless the work is done.
    fn help(&self) {
        let enter = |state| (state & CLOSED == 0).then_some(state + 1);
        let entered = self
            .state
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, enter);
        if entered.is_err() {
            return;
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(self.work)) {
            *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
        if self.state.fetch_sub(1, Ordering::Release) == CLOSED + 1 {
            self.caller.unpark();
        }
    }

    /// Lets no helper begin any more and waits for the others; returns what one panicked with.
    fn close(&self) -> Option<Box<dyn Any + Send>> {
        self.state.fetch_or(CLOSED, Ordering::Relaxed);
        let left = || self.state.load(Ordering::Acquire) == CLOSED;
        watch(left);
        while !left() {
            thread::park();
        }
        self.panic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Runs `work` on this thread and, as far as they come in time, on `helpers` others at once.
///
/// When it returns here, nothing may be left that another thread could begin.
pub(super) fn together(helpers: usize, work: &(dyn Fn() + Sync)) -> Result<()> {
    let pool = pool_of(helpers)?;
    // SAFETY: only the lifetime changes. Helpers use the reference between entering an open call
    // and leaving it; `close` returns when none is there and none can enter, and nothing between
    // here and there returns or unwinds.
    let work: &'static (dyn Fn() + Sync) = unsafe { std::mem::transmute(work) };
    let call = Arc::new(Call {
        work,
        state: AtomicUsize::new(0),
        caller: thread::current(),
        panic: Mutex::new(None),
    });
    for _ in 0..helpers {
        pool.ask(Arc::clone(&call));
    }
    let own = catch_unwind(AssertUnwindSafe(work));
    let theirs = call.close();
    match own.err().or(theirs) {
        Some(panic) => resume_unwind(panic),
        None => Ok(()),
    }
}
