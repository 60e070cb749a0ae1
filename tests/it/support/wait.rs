//! Waiting for conditions. A test must not let time pass in another way.

use std::thread;
use std::time::{Duration, Instant};

/// A bound that suits a loaded machine.
pub const LONG: Duration = Duration::from_secs(120);

const POLL: Duration = Duration::from_millis(2);

/// Shorthand, so that `took(ms(900)..ms(1500))` reads as one sentence.
pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Panics with `awaited` if the condition does not come true in time.
#[track_caller]
pub fn wait_until(awaited: &str, timeout: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(awaited, timeout, || condition().then_some(()));
}

/// Like `wait_until`, for a condition that brings a value with it.
#[track_caller]
pub fn wait_for<T>(
    awaited: &str,
    timeout: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        // The time is read first, so that a condition that came true in between still counts.
        let late = start.elapsed() > timeout;
        if let Some(value) = condition() {
            return value;
        }
        assert!(!late, "waited {timeout:?} in vain: {awaited}");
        thread::sleep(POLL);
    }
}
