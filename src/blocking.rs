//! Calls that may block, each made on a thread. A deadline, a signal and an attempt that is cut
//! never wait for them.
//!
//! A file system or a resolver that does not answer can hold a thread for minutes. Such a thread is
//! left alone. Other dependencies have threads all the same: each [`BlockingLane`] makes one call
//! at a time, without a common limit.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use tokio::sync::{Semaphore, oneshot};

use crate::{signals, verdict::Failure};

/// The stack of a thread, in bytes: enough for the C library's resolver and its plug-ins.
const STACK: usize = 1 << 20;

/// Threads that are kept for the next call. A start would otherwise pay for a thread per attempt.
const IDLE_THREADS: usize = 4;

type Call = Box<dyn FnOnce() + Send>;

/// The blocking calls of one dependency: one at a time, each on a thread.
#[derive(Clone, Default)]
pub struct BlockingLane(Arc<tokio::sync::Mutex<()>>);

impl BlockingLane {
    /// Returns what `call` returns. May be dropped at any time: the call goes on, and its result is
    /// thrown away.
    ///
    /// Where an earlier call of this lane still runs, the new call waits for its end. A lane
    /// therefore never holds more than one thread.
    ///
    /// # Errors
    /// [`Class::Local`](crate::verdict::Class::Local) where no thread can be started.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        run_in_turn(Some(self), boxed(call)).await.map(unboxed)
    }
}

/// The largest input that is worked on at once, in bytes: it takes a tenth of a millisecond.
const AT_ONCE: usize = 16 * 1024;

/// The computations that run at once. They never block, so each has its turn. More of them would
/// only take the processor from the runtime's thread.
static COMPUTING: Semaphore = Semaphore::const_new(2);

/// Returns what `work` returns, which takes time in proportion to `size`, the bytes of its input. A
/// large input is worked on by a thread. May be dropped at any time.
///
/// # Errors
/// [`Class::Local`](crate::verdict::Class::Local) where no thread can be started.
pub async fn compute<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let work = boxed(work);
    let product = if size <= AT_ONCE { work() } else { run_in_turn(None, work).await? };
    Ok(unboxed(product))
}

/// A call and its result without their types, so that [`run_in_turn`] is compiled once.
type Work = Box<dyn FnOnce() -> Product + Send>;
type Product = Box<dyn Any + Send>;

fn boxed<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Work {
    Box::new(|| Box::new(work()))
}

fn unboxed<T: 'static>(product: Product) -> T {
    *product.downcast().unwrap_or_else(|_| unreachable!("`boxed` took a call that returns a T"))
}

/// Makes a call on a thread: in the turn of `lane`, or among the computations. The turn is over
/// when the call has ended, even if nobody waits for it.
async fn run_in_turn(lane: Option<&BlockingLane>, work: Work) -> Result<Product, Failure> {
    let turn: Box<dyn Send> = match lane {
        Some(lane) => Box::new(Arc::clone(&lane.0).lock_owned().await),
        None => match COMPUTING.acquire().await {
            Ok(turn) => Box::new(turn),
            Err(_) => unreachable!("nothing closes the semaphore"),
        },
    };
    let (sender, result) = oneshot::channel();
    on_thread(move || {
        let result = catch_unwind(AssertUnwindSafe(work));
        drop(turn);
        let _ = sender.send(result);
    })
    .map_err(|error| Failure::local(&error, "starting a thread"))?;
    match result.await {
        Ok(Ok(product)) => Ok(product),
        // The engine reports a panic of an attempt, and this call is part of one.
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => Err(Failure::local(&io::ErrorKind::BrokenPipe.into(), "a thread was lost")),
    }
}

/// Threads that wait for a call.
static IDLE: Mutex<Vec<mpsc::Sender<Call>>> = Mutex::new(Vec::new());

/// Makes a call on a thread, if possible an idle one.
///
/// # Errors
/// The error of the system where no thread can be started, e.g. EAGAIN under a limit of processes.
pub fn on_thread(call: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut call: Call = Box::new(call);
    if let Some(idle) = idle {
        match idle.send(call) {
            Ok(()) => return Ok(()),
            Err(mpsc::SendError(unsent)) => call = unsent,
        }
    }
    let builder = thread::Builder::new().name("blocking".to_owned()).stack_size(STACK);
    builder.spawn(move || {
        signals::leave_to_main_thread();
        call();
        let (own, calls) = mpsc::channel::<Call>();
        while wait_for_calls(&own) {
            let Ok(call) = calls.recv() else { return };
            call();
        }
    })?;
    Ok(())
}

/// Offers the calling thread for another call. False: enough threads are idle.
fn wait_for_calls(own: &mpsc::Sender<Call>) -> bool {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = idle.len() < IDLE_THREADS;
    if wanted {
        idle.push(own.clone());
    }
    wanted
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn a_call_that_never_returns_holds_up_only_its_own_lane() {
        let stuck: Vec<_> = (0..40).map(|_| BlockingLane::default()).collect();
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for lane in &stuck {
            let held = Arc::clone(&held);
            let call = lane.run(move || drop(held.lock().map(|held| held.recv())));
            assert!(tokio::time::timeout(Duration::from_millis(1), call).await.is_err());
        }
        assert_eq!(BlockingLane::default().run(|| 7).await.unwrap(), 7);
        // The lane's next call waits for the one before, and is not made where the attempt is cut.
        static CALLED: AtomicBool = AtomicBool::new(false);
        let next = stuck[0].run(|| CALLED.store(true, Relaxed));
        assert!(tokio::time::timeout(Duration::from_millis(20), next).await.is_err());
        assert!(!CALLED.load(Relaxed));
        drop(release);
        stuck[0].run(|| CALLED.store(true, Relaxed)).await.unwrap();
        assert!(CALLED.load(Relaxed));
    }

    #[tokio::test]
    async fn a_large_input_is_worked_on_by_a_thread() {
        let thread = || thread::current().id();
        let own = thread();
        assert_eq!(compute(AT_ONCE, thread).await.unwrap(), own);
        assert_ne!(compute(AT_ONCE + 1, thread).await.unwrap(), own);
        let many: Vec<_> = (0..20).map(|n| tokio::spawn(compute(usize::MAX, move || n))).collect();
        for (n, one) in many.into_iter().enumerate() {
            assert_eq!(one.await.unwrap().unwrap(), n);
        }
    }

    #[tokio::test]
    async fn a_panic_reaches_the_attempt() {
        let task = tokio::spawn(async {
            BlockingLane::default().run(|| -> u8 { panic!("expected by this test") }).await
        });
        assert!(task.await.unwrap_err().is_panic());
    }
}
