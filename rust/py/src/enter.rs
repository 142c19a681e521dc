//! The one way into the core: the GIL released, Ctrl-C heard, failures mapped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use pyo3::prelude::*;
use ruvector_core::Result;
use ruvector_core::pool::{Workers, num_threads};

use crate::errors::to_python;

/// How often a long call looks whether Ctrl-C was pressed.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// Calls that do less than about this many multiplications finish before anybody could interrupt
/// them; they run on the calling thread.
pub const LONG_WORK: usize = 50_000_000;

/// Runs `job` on the package's threads with the GIL released.
///
/// `work` is a rough count of its multiplications. A long job runs on a thread of its own while
/// this one waits for signals; when one raises an exception, the job is asked to stop and the
/// exception is returned once it has.
pub fn enter<R: Send>(
    py: Python<'_>,
    work: usize,
    job: impl FnOnce(&Workers<'_>) -> Result<R> + Send,
) -> PyResult<R> {
    let threads = num_threads();
    if work < LONG_WORK {
        return py
            .detach(|| {
                job(&Workers::of(if work < LONG_WORK / 100 {
                    1
                } else {
                    threads
                }))
            })
            .map_err(|error| to_python(py, error));
    }
    let stop = AtomicBool::new(false);
    let mut signal = None;
    let outcome = py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(1);
            let stop = &stop;
            let runner = scope.spawn(move || {
                let outcome = job(&Workers::new(threads, stop));
                // The receiver outlives the scope, so this cannot fail.
                let _ = sender.send(());
                outcome
            });
            while let Err(RecvTimeoutError::Timeout) = receiver.recv_timeout(SIGNAL_INTERVAL) {
                if signal.is_none()
                    && let Err(error) = Python::attach(|py| py.check_signals())
                {
                    signal = Some(error);
                    stop.store(true, Ordering::Relaxed);
                }
            }
            runner
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    });
    match signal {
        Some(error) => Err(error),
        None => outcome.map_err(|error| to_python(py, error)),
    }
}
