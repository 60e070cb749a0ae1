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
        pace.pause(&Failure::new(*class, "x"), ms(1), ms(1000 * n as u64), 0.5).as_millis()
    })
    .collect()
}

#[test]
fn linear_without_jitter_is_interval_times_consecutive_failures() {
    use Class::{Busy, Connect};
    let mut pace = Pace::new(&settings(Backoff::Linear, 100, 350, 0.0), true);
    assert_eq!(pauses(&mut pace, &[Connect; 5]), [100, 200, 300, 350, 350]);
    pace.succeeded();
    assert_eq!(pauses(&mut pace, &[Connect; 2]), [100, 200]);
    // A class seen for the first time starts anew; a return to an earlier one does not.
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

#[test]
fn adaptive_spends_a_small_share_of_the_wait() {
    let mut pace = Pace::new(&Settings { jitter: 0.0, ..Settings::default() }, true);
    for (now, want) in [
        (0, 10),
        (1_000, 10),
        (2_000, 10),
        (4_000, 20),
        (10_000, 50),
        (60_000, 300),
        (600_000, 1000),
    ] {
        assert_eq!(pace.pause(&refused(), ms(0), ms(now), 0.0), ms(want), "{now}");
    }
    // Something has moved: full speed again, counted from now.
    let starting = Failure::new(Class::Busy, "starting").cost(Cost::Nothing);
    assert_eq!(pace.pause(&starting, ms(0), ms(600_000), 0.0), ms(10));
    assert_eq!(pace.pause(&starting, ms(0), ms(604_000), 0.0), ms(20));
    assert_eq!(pace.pause(&refused(), ms(0), ms(608_000), 0.0), ms(40));
}

#[test]
fn adaptive_spares_a_server_that_answers_by_what_it_was_asked_for() {
    for (cost, took, want) in [
        (Cost::Nothing, 5000, 50),
        (Cost::Answer, 2, 50),
        (Cost::Answer, 20, 200),
        (Cost::Login, 5, 500),
        (Cost::Logged, 1, 500),
        (Cost::Logged, 8, 800),
        (Cost::Login, 50, 1000),
    ] {
        let mut pace = Pace::new(&Settings { jitter: 0.0, ..Settings::default() }, false);
        // The first of its class may have met the change itself, and what it took does not count.
        let first = if cost == Cost::Logged { 500 } else { 50 };
        assert_eq!(
            pace.pause(&refused().cost(cost), ms(took), ms(took), 0.0),
            ms(first),
            "{cost:?} {took}"
        );
        assert_eq!(
            pace.pause(&refused().cost(cost), ms(took), ms(took), 0.0),
            ms(want),
            "{cost:?} {took}"
        );
    }
}

#[test]
fn jitter_shortens_a_pause_and_lengthens_what_the_server_asked_for() {
    let mut pace = Pace::new(&settings(Backoff::Constant, 1000, 1000, 0.2), true);
    assert_eq!(pace.pause(&refused(), ms(0), ms(0), 0.0), ms(1000));
    assert_eq!(pace.pause(&refused(), ms(0), ms(0), 1.0), ms(800));
    let busy = |seconds| Failure {
        retry_after: Some(Duration::from_secs(seconds)),
        ..Failure::new(Class::Busy, "503")
    };
    assert_eq!(pace.pause(&busy(10), ms(0), ms(0), 0.5), ms(11_000));
    assert_eq!(pace.pause(&busy(0), ms(0), ms(0), 0.5), ms(900));
}

#[test]
fn a_pause_near_the_deadline_ends_in_time_for_one_more_attempt() {
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
        assert_eq!(
            next_attempt(ms(pause), ms(now), ms(took), Some(ms(1000)), ms(500)),
            want.map(ms),
            "{pause} {now} {took}"
        );
    }
    assert_eq!(next_attempt(ms(7), ms(3), ms(1), None, ms(500)), Some(ms(10)));
}

#[test]
fn no_schedule_ever_reaches_past_its_deadline_or_stands_still() {
    let mut random = fastrand::Rng::with_seed(7);
    let classes = [Class::Connect, Class::Busy, Class::Auth, Class::Timeout, Class::Absent];
    for _ in 0..2_000 {
        let backoff = [Backoff::Adaptive, Backoff::Linear, Backoff::Exponential, Backoff::Constant]
            [random.usize(0..4)];
        let settings = settings(backoff, random.u64(1..200), random.u64(200..2000), random.f64());
        let (deadline, bound) = (ms(random.u64(1..5000)), ms(random.u64(1..1000)));
        let mut pace = Pace::new(&settings, random.bool());
        let (mut now, mut took, mut attempts) = (Duration::ZERO, ms(random.u64(0..50)), 0);
        loop {
            now += took;
            let failure = Failure::new(classes[random.usize(0..5)], "x");
            let pause = pace.pause(&failure, took, now, random.f64());
            assert!(pause <= settings.max_interval);
            let Some(next) = next_attempt(pause, now, took, Some(deadline), bound) else { break };
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
fn until_down_means_gone_and_not_merely_failing() {
    let down = Settings { until: Until::Down, fail_fast: vec![Class::Auth], ..Settings::default() };
    let judged = |verdict| match judge(verdict, &down) {
        NextStep::Ready(text) => format!("ready {text}"),
        NextStep::Again(failure) => format!("again {}", failure.message),
        NextStep::Hopeless(failure) => format!("hopeless {}", failure.message),
    };
    assert_eq!(judged(Verdict::Ready("PostgreSQL".to_owned())), "again still there: PostgreSQL");
    assert_eq!(judged(Verdict::NotYet(refused().means_down())), "ready gone: refused");
    assert_eq!(judged(Verdict::NotYet(Failure::new(Class::Timeout, "silent"))), "again silent");
    assert_eq!(judged(Verdict::NotYet(Failure::new(Class::Auth, "28P01"))), "hopeless 28P01");
    assert_eq!(judged(Failure::new(Class::Config, "bad").verdict()), "hopeless bad");
}
