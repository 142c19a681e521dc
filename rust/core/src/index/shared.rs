//! One index for several threads: searched while it is changed.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::{RwLockReadGuard, RwLockWriteGuard};

use crate::error::Result;
use crate::index::gate::{Gate, Turn};
use crate::pool::Workers;

/// A change in steps. What takes long is planned while others read; what is planned is then
/// written, for which they wait.
///
/// After every step the index is whole: searches find what they found before the change, or what
/// they will find after it.
pub trait Change<I> {
    /// What one step writes.
    type Step;
    /// What the caller gets.
    type Done;

    /// The next step, or `None` when all are written.
    fn plan(&mut self, index: &I, workers: &Workers<'_>) -> Result<Option<Self::Step>>;

    /// Writes a step that was planned from this state of the index. Nothing that takes long, and
    /// what the step has replaced stays in it, to be freed when the readers are back.
    fn apply(&mut self, index: &mut I, step: &mut Self::Step) -> Result<()>;

    /// Makes the change visible, at once.
    fn finish(&mut self, index: &mut I) -> Self::Done;

    /// Puts the index back after a step failed or the caller asked to stop.
    fn undo(&mut self, index: &mut I);
}

/// Makes a change to an index that nobody else sees.
pub fn make<I, C: Change<I>>(
    index: &mut I,
    mut change: C,
    workers: &Workers<'_>,
) -> Result<C::Done> {
    loop {
        let outcome = match change.plan(index, workers) {
            Ok(Some(mut step)) => change.apply(index, &mut step),
            Ok(None) => return Ok(change.finish(index)),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            change.undo(index);
            return Err(error);
        }
    }
}

/// An index that many threads may read while one changes it.
///
/// Forks are allowed at any moment: see [`crate::index::gate`]. A thread must not fork while it
/// holds one of the guards itself.
pub struct Shared<I> {
    gate: Gate,
    index: UnsafeCell<I>,
}

// SAFETY: threads reach the index through the gate alone, which gives out shared references, or
// one that is exclusive; `I` may be sent and shared for both.
unsafe impl<I: Send + Sync> Sync for Shared<I> {}

impl<I> Shared<I> {
    pub fn new(index: I) -> Self {
        Self {
            gate: Gate::default(),
            index: UnsafeCell::new(index),
        }
    }

    /// The index as it stands; it does not change before the guard is dropped.
    pub fn read(&self) -> Result<Reading<'_, I>> {
        Ok(self.reading(self.gate.read()?))
    }

    /// The index alone, to be changed at a stroke. Those who search wait meanwhile.
    pub fn write(&self, workers: &Workers<'_>) -> Result<Writing<'_, I>> {
        let turn = self.gate.turn(workers)?;
        let guard = turn.write();
        Ok(self.writing(guard, Some(turn)))
    }

    /// Makes a change while others search, after all changes that were asked for before.
    pub fn change<C: Change<I>>(&self, change: C, workers: &Workers<'_>) -> Result<C::Done> {
        self.drive(&self.gate.turn(workers)?, change, workers)
    }

    /// Makes a change unless another one is under way; then it is given back.
    pub fn try_change<C: Change<I>>(
        &self,
        change: C,
        workers: &Workers<'_>,
    ) -> Result<std::result::Result<C::Done, C>> {
        match self.gate.try_turn()? {
            Some(turn) => self.drive(&turn, change, workers).map(Ok),
            None => Ok(Err(change)),
        }
    }

    /// What [`make`] does, a lock at a time.
    fn drive<C: Change<I>>(
        &self,
        turn: &Turn<'_>,
        mut change: C,
        workers: &Workers<'_>,
    ) -> Result<C::Done> {
        let writing = || self.writing(turn.write(), None);
        loop {
            let planned = change.plan(&self.reading(turn.read()), workers);
            let outcome = match planned {
                Ok(Some(mut step)) => change.apply(&mut writing(), &mut step),
                Ok(None) => return Ok(change.finish(&mut writing())),
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                change.undo(&mut writing());
                return Err(error);
            }
        }
    }

    fn reading<'a>(&'a self, guard: RwLockReadGuard<'a, ()>) -> Reading<'a, I> {
        Reading {
            // SAFETY: while the guard lives nobody writes.
            index: unsafe { &*self.index.get() },
            _guard: guard,
        }
    }

    fn writing<'a>(
        &'a self,
        guard: RwLockWriteGuard<'a, ()>,
        turn: Option<Turn<'a>>,
    ) -> Writing<'a, I> {
        Writing {
            // SAFETY: while the guard lives nobody else reads or writes.
            index: unsafe { &mut *self.index.get() },
            _guard: guard,
            _turn: turn,
        }
    }
}

/// A shared reference to the index.
pub struct Reading<'a, I> {
    index: &'a I,
    _guard: RwLockReadGuard<'a, ()>,
}

impl<I> Deref for Reading<'_, I> {
    type Target = I;

    fn deref(&self) -> &I {
        self.index
    }
}

/// The only reference to the index.
pub struct Writing<'a, I> {
    index: &'a mut I,
    _guard: RwLockWriteGuard<'a, ()>,
    /// Given back last.
    _turn: Option<Turn<'a>>,
}

impl<I> Deref for Writing<'_, I> {
    type Target = I;

    fn deref(&self) -> &I {
        self.index
    }
}

impl<I> DerefMut for Writing<'_, I> {
    fn deref_mut(&mut self) -> &mut I {
        self.index
    }
}
