//! The sleeps between attempts: one timer of the kernel ends them all.
//!
//! A wait for a closed port consists of little but pauses, and most of its CPU goes into waking up.
//! The runtime's timers wake the process up to three times for a pause: when the timer is set,
//! where its wheel turns (each 64 ms), and at the end, which is a whole millisecond.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    future::poll_fn,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{Instant, sleep_until},
};

/// The sleeps of all dependencies.
pub struct Pauses {
    /// Made for the first pause: a dependency that is ready at once needs none.
    alarm: OnceLock<Option<Arc<Alarm>>>,
}

impl Pauses {
    /// Pauses that the kernel ends. Where it gives no timer (no descriptor is left, or a sandbox
    /// forbids it), the runtime ends them.
    pub fn by_kernel() -> Self {
        Self { alarm: OnceLock::new() }
    }

    /// Pauses that the runtime ends, whose clock a test can stop.
    #[cfg(test)]
    pub fn by_runtime() -> Self {
        Self { alarm: OnceLock::from(None) }
    }

    /// Sleeps until this time. To be called within a runtime that has its I/O driver.
    pub async fn until(&self, time: Instant) {
        match self.alarm.get_or_init(|| Alarm::start().ok()) {
            Some(alarm) => poll_fn(|context| alarm.poll_until(time, context)).await,
            // Boxed, because every wait would reserve memory for it.
            None => Box::pin(sleep_until(time)).await,
        }
    }
}

/// A timer of the kernel, set to the first of the times at which somebody is to be woken.
struct Alarm {
    timer: AsyncFd<OwnedFd>,
    sleepers: Mutex<BinaryHeap<Sleeper>>,
}

impl Alarm {
    /// Creates the timer, and the task that is woken by it and wakes the sleepers.
    #[allow(unsafe_code)]
    fn start() -> io::Result<Arc<Self>> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: the registered value owns the descriptor and never exchanges it for another.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        let alarm = Arc::new(Self { timer, sleepers: Mutex::default() });
        tokio::spawn(Arc::clone(&alarm).ring());
        Ok(alarm)
    }

    /// Wakes every sleeper in time, for as long as the runtime lives.
    async fn ring(self: Arc<Self>) {
        // The timer is not read: epoll reports each expiry of its own accord, and setting the timer
        // forgets the last one.
        while let Ok(mut rung) = self.timer.readable().await {
            rung.clear_ready();
            self.wake();
        }
    }

    /// Wakes those whose time has come, and sets the timer for the next.
    fn wake(&self) {
        let mut sleepers = self.sleepers();
        let now = Instant::now();
        while let Some(first) = sleepers.peek() {
            if first.until > now {
                self.set(first.until - now);
                return;
            }
            if let Some(first) = sleepers.pop() {
                first.waker.wake();
            }
        }
    }

    /// Is ready from `until` on. Each earlier poll records the task to wake. To wake a task twice
    /// is harmless, and a task that is gone cannot be woken.
    fn poll_until(&self, until: Instant, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        if until <= now {
            return Poll::Ready(());
        }
        let mut sleepers = self.sleepers();
        if sleepers.peek().is_none_or(|first| until < first.until) {
            self.set(until - now);
        }
        sleepers.push(Sleeper { until, waker: context.waker().clone() });
        Poll::Pending
    }

    /// Lets the timer expire after `pause`.
    fn set(&self, pause: Duration) {
        // A length of zero would switch it off.
        let pause = pause.max(Duration::from_nanos(1));
        let length = Timespec::try_from(pause).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let once = Itimerspec { it_interval: Timespec::default(), it_value: length };
        // The call fails only if the descriptor is not a timer, and it is one.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once);
    }

    fn sleepers(&self) -> MutexGuard<'_, BinaryHeap<Sleeper>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task and the time at which it is to be woken. The earlier one is the greater, because a
/// [`BinaryHeap`] gives the greatest first.
struct Sleeper {
    until: Instant,
    waker: Waker,
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> Ordering {
        other.until.cmp(&self.until)
    }
}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.until == other.until
    }
}

impl Eq for Sleeper {}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_ms(ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(ms)
    }

    /// Sleeps until each of these times at once. Returns them in the order of their ends.
    async fn order_of_ends(pauses: &Arc<Pauses>, times: &[Instant]) -> Vec<Instant> {
        let mut sleeps = tokio::task::JoinSet::new();
        for &time in times {
            let pauses = Arc::clone(pauses);
            sleeps.spawn(async move {
                pauses.until(time).await;
                assert!(Instant::now() >= time, "a pause ended early");
                time
            });
        }
        let mut ends = Vec::new();
        while let Some(ended) = sleeps.join_next().await {
            ends.push(ended.unwrap());
        }
        ends
    }

    #[tokio::test]
    async fn pauses_end_in_the_order_of_their_times() {
        for pauses in [Pauses::by_kernel(), Pauses::by_runtime()].map(Arc::new) {
            // Set earlier, later and between the others, and one that is past already.
            let times = [30, 10, 50, 20, 40, 0].map(in_ms);
            let mut sorted = times;
            sorted.sort();
            assert_eq!(order_of_ends(&pauses, &times).await, sorted);
            // The timer is set anew after it has expired.
            let again = [in_ms(10)];
            assert_eq!(order_of_ends(&pauses, &again).await, again);
        }
    }

    #[tokio::test]
    async fn a_sleeper_that_is_gone_delays_no_other() {
        let pauses = Arc::new(Pauses::by_kernel());
        let gone = tokio::spawn({
            let pauses = Arc::clone(&pauses);
            async move { pauses.until(in_ms(5)).await }
        });
        tokio::task::yield_now().await;
        gone.abort();
        let times = [in_ms(10)];
        assert_eq!(order_of_ends(&pauses, &times).await, times);
    }

    #[test]
    fn a_pause_may_be_longer_than_the_kernel_counts() {
        let alarm = || Alarm::start().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async { alarm().set(Duration::MAX) });
        runtime.block_on(async { alarm().set(Duration::ZERO) });
    }
}
