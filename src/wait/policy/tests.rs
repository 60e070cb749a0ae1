use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn settings(backoff: Backoff, interval: u64, max_interval: u64, jitter: f64) -> Settings {
    Settings {
        backoff,
        interval: Some(ms(interval)),
        max_interval: ms(max_interval),
        jitter,
        ..Settings::default()
    }
}

fn refused() -> Failure {
    Failure::new(Class::Connect, "refused")
}

/// The pauses after failures of these classes, one second apart.
fn pauses(pace: &mut Pace, failures: &[Class]) -> Vec<u128> {
    let each = failures.iter().enumerate();
    each.map(|(n, class)| {
        pace.after_failure(&Failure::new(*class, "x"), ms(1), ms(1000 * n as u64), 0.5).as_millis()
    })
    .collect()
}

#[test]
fn linear_without_jitter_is_interval_times_consecutive_failures() {
    use Class::{Busy, Connect};
    let mut pace = Pace::new(&settings(Backoff::Linear, 100, 350, 0.0), true);
    assert_eq!(pauses(&mut pace, &[Connect; 5]), [100, 200, 300, 350, 350]);
    pace.after_success();
    assert_eq!(pauses(&mut pace, &[Connect; 2]), [100, 200]);
    // A new class resets the pace; a return to an earlier one does not.
    assert_eq!(pauses(&mut pace, &[Busy, Busy, Connect, Busy]), [100, 200, 300, 350]);
}

#[test]
fn exponential_doubles_and_constant_stays_under_the_same_cap() {
    let mut pace = Pace::new(&settings(Backoff::Exponential, 100, 1000, 0.0), true);
    assert_eq!(pauses(&mut pace, &[Class::Connect; 6]), [100, 200, 400, 800, 1000, 1000]);
    let mut long = Pace::new(&settings(Backoff::Exponential, 100, 1000, 0.0), true);
    assert_eq!(pauses(&mut long, &[Class::Connect; 100]).last(), Some(&1000));
    let mut pace = Pace::new(&settings(Backoff::Constant, 100, 1000, 0.0), true);
    assert_eq!(pauses(&mut pace, &[Class::Connect; 3]), [100, 100, 100]);
}

fn adaptive(is_local: bool) -> Pace {
    Pace::new(&Settings { jitter: 0.0, ..Settings::default() }, is_local)
}

#[test]
fn adaptive_grows_with_the_square_root_of_the_wait() {
    for (is_local, pauses) in [
        (true, [10.0, 10.35, 20.7, 41.4, 103.5, 207.0, 1000.0]),
        (false, [50.0, 50.0, 50.0, 80.0, 200.0, 400.0, 1000.0]),
    ] {
        let mut pace = adaptive(is_local);
        for (now, want) in [0, 1, 4, 16, 100, 400, 10_000].into_iter().zip(pauses) {
            let pause = pace.after_failure(&refused(), ms(0), ms(1000 * now), 0.0);
            assert_eq!(pause.as_secs_f64() * 1000.0, want, "{is_local} {now}");
        }
    }
}

#[test]
fn a_new_class_resets_the_pace_and_an_old_one_does_not() {
    let mut pace = adaptive(true);
    let starting = Failure::new(Class::Busy, "starting").cost(Cost::Nothing);
    for (failure, now, want) in [
        (refused(), 0, 10_000),
        (refused(), 400_000, 207_000),
        (starting.clone(), 400_000, 10_000),
        (starting, 404_000, 20_700),
        (refused(), 409_000, 31_050),
    ] {
        let pause = pace.after_failure(&failure, ms(0), ms(now), 0.0);
        assert_eq!(pause, Duration::from_micros(want), "{now}");
    }
}

#[test]
fn adaptive_spares_a_server_by_what_it_was_asked_for() {
    for (cost, took, want) in [
        (Cost::Nothing, 5000, 50),
        (Cost::Answer, 2, 50),
        (Cost::Answer, 20, 200),
        (Cost::Login, 5, 500),
        (Cost::Logged, 1, 500),
        (Cost::Logged, 8, 800),
        (Cost::Login, 50, 1000),
    ] {
        let mut pace = adaptive(false);
        let mut pause = || pace.after_failure(&refused().cost(cost), ms(took), ms(took), 0.0);
        // The first attempt after a change may have queued, so its duration does not count.
        let first = if cost == Cost::Logged { 500 } else { 50 };
        assert_eq!((pause(), pause()), (ms(first), ms(want)), "{cost:?} {took}");
    }
}

#[test]
fn one_slow_answer_buys_no_long_pause() {
    let mut pace = adaptive(true);
    let starting = Failure::new(Class::Busy, "starting");
    let pauses = [2, 2, 90, 90, 2, 90, 90, 90]
        .map(|took| pace.after_failure(&starting, ms(took), ms(100), 0.0).as_millis());
    // Only three slow answers in a row mean that the server is slow.
    assert_eq!(pauses, [10, 20, 20, 20, 20, 20, 20, 900]);
    // A refusal is not an answer: the server's speed is unknown while it is down.
    assert_eq!(pace.after_failure(&refused(), ms(0), ms(100), 0.0), ms(10));
    assert_eq!(pace.after_failure(&refused(), ms(0), ms(100), 0.0), ms(10));
    assert_eq!(pace.after_failure(&starting, ms(90), ms(100), 0.0), ms(900));
}

#[test]
fn attempts_that_write_a_log_line_slow_down_within_15_s() {
    for (max_interval, pauses) in
        [(1000, [500, 600, 800, 1000, 1000]), (10_000, [500, 2400, 6200, 10_000, 10_000])]
    {
        let settings =
            Settings { jitter: 0.0, max_interval: ms(max_interval), ..Settings::default() };
        let mut pace = Pace::new(&settings, true);
        for (now, want) in [0, 3, 9, 15, 60].into_iter().zip(pauses) {
            let refused = Failure::new(Class::Auth, "28P01");
            let pause = pace.after_failure(&refused, ms(0), ms(1000 * now), 0.0);
            assert_eq!(pause, ms(want), "{max_interval} {now}");
        }
    }
}

/// A dependency each of whose attempts takes this long and finds what is there at its beginning.
struct Simulated {
    is_local: bool,
    took: Duration,
    failure: Failure,
}

impl Simulated {
    /// When the attempts of one wait begin, up to the first one after `end`. The clock is
    /// simulated. To wake up takes 100 us.
    fn schedule(&self, end: Duration, random: &mut fastrand::Rng) -> Vec<Duration> {
        let mut pace = Pace::new(&Settings::default(), self.is_local);
        let mut begins = vec![Duration::ZERO];
        while let Some(last) = begins.last().filter(|last| **last < end) {
            let now = *last + self.took;
            let pause = pace.after_failure(&self.failure, self.took, now, random.f64());
            begins.push(now + pause + Duration::from_micros(100));
        }
        begins
    }

    /// How late readiness after about this many seconds is noticed, in ms: the median and the 95th
    /// percentile. Then the mean number of attempts.
    fn latency(&self, about: u64) -> (u64, u64, usize) {
        let mut random = fastrand::Rng::with_seed(about);
        let (mut late, mut attempts) = (Vec::new(), 0);
        for _ in 0..60 {
            let begins = self.schedule(Duration::from_secs(about).mul_f64(1.25), &mut random);
            for _ in 0..200 {
                let ready = Duration::from_secs(about).mul_f64(0.8 + 0.45 * random.f64());
                let before = begins.partition_point(|begin| *begin < ready);
                late.push(begins[before] + self.took - ready);
                attempts += before + 1;
            }
        }
        late.sort();
        let at = |share: usize| late[late.len() * share / 100].as_millis() as u64;
        (at(50), at(95), attempts / late.len())
    }
}

#[test]
fn readiness_is_noticed_soon_however_long_the_wait() {
    let local =
        |took, failure| Simulated { is_local: true, took: Duration::from_micros(took), failure };
    let busy = Failure::new(Class::Busy, "503");
    let remote = Simulated { is_local: false, took: ms(1), failure: refused() };
    for (who, simulated, about, median, p95, attempts) in [
        ("tcp", local(100, refused()), 1, 6, 12, 120),
        ("tcp", local(100, refused()), 10, 16, 32, 550),
        ("tcp", local(100, refused()), 60, 40, 80, 1_600),
        ("tcp", local(100, refused()), 300, 85, 170, 3_700),
        ("http", local(400, busy), 10, 16, 32, 550),
        ("remote", remote, 60, 85, 165, 750),
    ] {
        let got = simulated.latency(about);
        assert!(got.0 <= median && got.1 <= p95 && got.2 <= attempts, "{who} {about} s: {got:?}");
    }
}

#[test]
fn jitter_shortens_a_pause() {
    let mut pace = Pace::new(&settings(Backoff::Constant, 1000, 1000, 0.2), true);
    assert_eq!(pace.after_failure(&refused(), ms(0), ms(0), 0.0), ms(1000));
    assert_eq!(pace.after_failure(&refused(), ms(0), ms(0), 1.0), ms(800));
}

#[test]
fn a_retry_after_is_a_minimum_spread_upwards() {
    // (jitter, asked for in s, random, want in ms)
    for (jitter, asked, random, want) in [
        (0.2, 10, 0.0, 10_000),
        (0.2, 10, 1.0, 13_000), // at least 30%, so that a fleet does not come in step
        (0.0, 10, 0.5, 11_500),
        (0.5, 10, 1.0, 15_000),
        (0.2, 0, 0.5, 900),            // no hint
        (0.2, 1, 0.0, 1_000),          // the longer of both
        (0.2, 86_400, 0.0, 3_600_000), // an hour is the most
        (0.2, u64::from(u32::MAX), 1.0, 4_680_000),
    ] {
        let mut pace = Pace::new(&settings(Backoff::Constant, 1000, 1000, jitter), true);
        let retry_after = Some(Duration::from_secs(asked));
        let busy = Failure::new(Class::Busy, "503").with(|reason| reason.retry_after = retry_after);
        let pause = pace.after_failure(&busy, ms(0), ms(0), random);
        assert_eq!(pause.as_millis(), want, "{jitter} {asked} {random}");
    }
}

#[test]
fn a_pause_near_the_deadline_leaves_time_for_one_more_attempt() {
    let settings = Settings { attempt_timeout: ms(500), ..Settings::default() };
    let pace = Pace::new(&settings, true);
    for (pause, now, took, want) in [
        (100, 500, 1, Some(600)),
        (1000, 500, 1, Some(980)),    // 20 ms are kept
        (1000, 500, 100, Some(800)),  // twice what the last one took
        (1000, 500, 5000, Some(750)), // at most half of attempt-timeout
        (480, 500, 1, Some(980)),
        (5, 985, 1, Some(990)), // in the last stretch the pace goes on
        (100, 985, 1, None),
        (15, 985, 1, None),
    ] {
        let clock = Clock { now: ms(now), deadline: Some(ms(1000)) };
        assert_eq!(
            pace.next_attempt(ms(pause), ms(took), clock),
            want.map(ms),
            "{pause} {now} {took}"
        );
    }
    let for_ever = Clock { now: ms(3), deadline: None };
    assert_eq!(pace.next_attempt(ms(7), ms(1), for_ever), Some(ms(10)));
}

#[test]
fn no_schedule_passes_its_deadline_or_stops() {
    let mut random = fastrand::Rng::with_seed(7);
    let classes = [Class::Connect, Class::Busy, Class::Auth, Class::Timeout, Class::Absent];
    for _ in 0..2_000 {
        let backoff = [Backoff::Adaptive, Backoff::Linear, Backoff::Exponential, Backoff::Constant]
            [random.usize(0..4)];
        let (deadline, bound) = (ms(random.u64(1..5000)), ms(random.u64(1..1000)));
        let settings = Settings {
            attempt_timeout: bound,
            ..settings(backoff, random.u64(1..200), random.u64(200..2000), random.f64())
        };
        let mut pace = Pace::new(&settings, random.bool());
        let (mut now, mut took, mut attempts) = (Duration::ZERO, ms(random.u64(0..50)), 0);
        loop {
            now += took;
            let failure = Failure::new(classes[random.usize(0..5)], "x");
            let pause = pace.after_failure(&failure, took, now, random.f64());
            assert!(pause <= settings.max_interval);
            let clock = Clock { now, deadline: Some(deadline) };
            let Some(next) = pace.next_attempt(pause, took, clock) else { break };
            assert!(next < deadline && next >= now, "{next:?} {now:?} {deadline:?}");
            assert!(next > now || took > Duration::ZERO || pause == Duration::ZERO);
            now = next;
            took = ms(random.u64(0..50)).min(bound).min(deadline - now);
            attempts += 1;
            assert!(attempts < 10_000);
        }
    }
}

#[test]
fn until_down_means_gone_and_not_failing() {
    let down = Settings { until: Until::Down, fail_fast: vec![Class::Auth], ..Settings::default() };
    let judged = |verdict| match next_step(verdict, &down) {
        NextStep::Ready(ready) => format!("ready {}", ready.detail),
        NextStep::Again(failure) => format!("again {}", failure.message),
        NextStep::Hopeless(failure) => format!("hopeless {}", failure.message),
    };
    assert_eq!(judged(Verdict::ready("PostgreSQL")), "again still there: PostgreSQL");
    assert_eq!(judged(Verdict::NotYet(refused().means_down())), "ready gone: refused");
    assert_eq!(judged(Verdict::NotYet(Failure::new(Class::Timeout, "silent"))), "again silent");
    assert_eq!(judged(Verdict::NotYet(Failure::new(Class::Auth, "28P01"))), "hopeless 28P01");
    assert_eq!(judged(Failure::new(Class::Config, "bad").verdict()), "hopeless bad");
}
