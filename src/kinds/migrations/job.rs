//! Work on a thread whose result is kept. If an attempt is cut, the next one finds the result.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::blocking::on_thread;

/// One piece of work and its result.
pub(super) struct Job<T>(Arc<Shared<T>>);

struct Shared<T> {
    progress: Mutex<Progress<T>>,
    done: Condvar,
    notify: Notify,
}

#[derive(Clone)]
enum Progress<T> {
    Running,
    Done(T),
    Panicked,
}

impl<T> Clone for Job<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Progress<T>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Send + 'static> Job<T> {
    /// Starts the work.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn start(work: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            progress: Mutex::new(Progress::Running),
            done: Condvar::new(),
            notify: Notify::new(),
        });
        let own = Arc::clone(&shared);
        on_thread(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            *own.lock() = result.map_or(Progress::Panicked, Progress::Done);
            own.done.notify_all();
            own.notify.notify_waiters();
        })?;
        Ok(Self(shared))
    }

    /// The result, if it is there within `bound`. Blocks.
    pub(super) fn wait_for(&self, bound: Duration) -> Option<T> {
        let is_running = |progress: &mut Progress<T>| matches!(progress, Progress::Running);
        let waiting = self.0.done.wait_timeout_while(self.0.lock(), bound, is_running);
        match &*waiting.unwrap_or_else(PoisonError::into_inner).0 {
            Progress::Done(result) => Some(result.clone()),
            Progress::Running | Progress::Panicked => None,
        }
    }

    /// The result, once it is there.
    pub(super) async fn result(&self) -> T {
        loop {
            // Registered before the look, so that an end in between is not missed.
            let notified = self.0.notify.notified();
            let progress = self.0.lock().clone();
            match progress {
                Progress::Done(result) => return result,
                // The engine reports a panic of an attempt, and this work is part of one.
                Progress::Panicked => {
                    resume_unwind(Box::new("reading the directory of migrations"))
                }
                Progress::Running => notified.await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_result_outlives_the_attempt_that_asked_for_it() {
        let (release, held) = mpsc::channel::<()>();
        let job = Job::start(move || held.recv().map_or(7, |()| 8)).unwrap();
        let cut = tokio::time::timeout(Duration::from_millis(1), job.result()).await;
        assert!(cut.is_err());
        assert_eq!(job.wait_for(Duration::from_millis(1)), None);
        drop(release);
        assert_eq!(job.result().await, 7);
        assert_eq!(job.wait_for(Duration::ZERO), Some(7));
    }
}
