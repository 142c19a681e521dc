//! Who may read an index and who may change it, also after a fork.
//!
//! A child made by `fork` has the memory of its parent but one thread alone: locks that other
//! threads held then are never released. So the locks belong to a process. A child that finds its
//! parent's makes its own, for no thread of the child can be inside; and what it finds behind
//! them is whole unless a change was under way, which the parent's locks tell.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering, fence};
use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::pool::Workers;

/// How often one who waits for a turn looks whether to give up.
const PATIENCE: Duration = Duration::from_millis(20);

/// The locks of one process.
struct Locks {
    process: u32,
    /// Held while the index is read, and while one step of a change is written.
    access: RwLock<()>,
    queue: Mutex<Queue>,
    freed: Condvar,
    /// Whether somebody has the turn. An atomic for the sake of children, whom `queue` may never
    /// let in.
    changing: AtomicBool,
    /// Whether a change panicked.
    broken: AtomicBool,
    /// Whether it was of no use when this process was forked.
    inherited: bool,
}

/// Those who wait for the turn to change the index, in the order they came.
#[derive(Default)]
struct Queue {
    next: u64,
    waiting: VecDeque<u64>,
}

impl Locks {
    fn new(inherited: bool) -> Self {
        Self {
            process: std::process::id(),
            access: RwLock::new(()),
            queue: Mutex::default(),
            freed: Condvar::new(),
            changing: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            inherited,
        }
    }

    fn check(&self) -> Result<()> {
        let broken = self.broken.load(Ordering::Acquire) || self.access.is_poisoned();
        if self.inherited {
            return Err(Error::broken(
                "the index was being changed by another thread when this process was forked; \
                 load it again, or fork when no change is under way",
            ));
        }
        if broken {
            return Err(Error::broken(
                "the index was left half-changed by an internal failure; load it again",
            ));
        }
        Ok(())
    }

    /// Nothing that is done under this lock can fail half-way.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Turn<'_> {
        self.changing.store(true, Ordering::Relaxed);
        // A child that sees any of the change must see that there was one.
        fence(Ordering::SeqCst);
        Turn { locks: self }
    }
}

/// Many readers or one who writes; one change at a time.
pub struct Gate {
    /// A leaked box, never null. Only the gate's own last one is freed: the parent's may be in
    /// any state, and there is one for each fork.
    locks: AtomicPtr<Locks>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            locks: AtomicPtr::new(Box::into_raw(Box::new(Locks::new(false)))),
        }
    }
}

impl Gate {
    /// The locks of this process, made if they are still the parent's.
    fn locks(&self) -> &Locks {
        let found = self.locks.load(Ordering::Acquire);
        // SAFETY: the pointer comes from a box that lives until the gate is dropped.
        let locks = unsafe { &*found };
        if locks.process == std::process::id() {
            return locks;
        }
        let broken = locks.inherited
            || locks.changing.load(Ordering::Acquire)
            || locks.broken.load(Ordering::Acquire)
            || locks.access.is_poisoned();
        let fresh = Box::into_raw(Box::new(Locks::new(broken)));
        let outcome =
            self.locks
                .compare_exchange(found, fresh, Ordering::AcqRel, Ordering::Acquire);
        match outcome {
            // SAFETY: as above, from now on.
            Ok(_) => unsafe { &*fresh },
            Err(winner) => {
                // SAFETY: `fresh` was never shared; `winner` was installed by another thread of
                // this process and lives as long as the gate.
                unsafe {
                    drop(Box::from_raw(fresh));
                    &*winner
                }
            }
        }
    }

    /// Waits for the step that is being written, if any.
    pub fn read(&self) -> Result<RwLockReadGuard<'_, ()>> {
        let locks = self.locks();
        let guard = locks.access.read().unwrap_or_else(PoisonError::into_inner);
        locks.check()?;
        Ok(guard)
    }

    /// The turn to change the index, once all who came before have had theirs. Gives up when the
    /// caller asks to stop.
    pub fn turn(&self, workers: &Workers<'_>) -> Result<Turn<'_>> {
        let locks = self.locks();
        let mut queue = locks.queue();
        let ticket = queue.next;
        queue.next += 1;
        queue.waiting.push_back(ticket);
        loop {
            let outcome = workers.check().and_then(|()| locks.check());
            if let Err(error) = outcome {
                queue.waiting.retain(|&other| other != ticket);
                drop(queue);
                locks.freed.notify_all();
                return Err(error);
            }
            let first = queue.waiting.front() == Some(&ticket);
            if first && !locks.changing.load(Ordering::Acquire) {
                queue.waiting.pop_front();
                return Ok(locks.take());
            }
            let waited = locks.freed.wait_timeout(queue, PATIENCE);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The turn if nobody has it or waits for it.
    pub fn try_turn(&self) -> Result<Option<Turn<'_>>> {
        let locks = self.locks();
        locks.check()?;
        let queue = locks.queue();
        let free = queue.waiting.is_empty() && !locks.changing.load(Ordering::Acquire);
        Ok(free.then(|| locks.take()))
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // SAFETY: nobody borrows the gate any more, so nobody its locks.
        drop(unsafe { Box::from_raw(*self.locks.get_mut()) });
    }
}

/// The right to change the index, step by step.
pub struct Turn<'a> {
    locks: &'a Locks,
}

impl<'a> Turn<'a> {
    /// Reads; nobody else changes anything meanwhile.
    pub fn read(&self) -> RwLockReadGuard<'a, ()> {
        let access = &self.locks.access;
        access.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody reads. Readers that come meanwhile wait in their turn.
    pub fn write(&self) -> RwLockWriteGuard<'a, ()> {
        let access = &self.locks.access;
        access.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.locks.broken.store(true, Ordering::Release);
        }
        let queue = self.locks.queue();
        self.locks.changing.store(false, Ordering::Release);
        drop(queue);
        self.locks.freed.notify_all();
    }
}
