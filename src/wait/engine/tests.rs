//! The engine under a paused clock, exact to the millisecond, with scripted probes only.

mod choice;
mod confirm;
mod scripted;

use scripted::{
    Fails, Hangs, Panics, PanicsAtOnce, Ready, Says, Step, Takes, Wait, ms, never, plain,
    ready_from, timeout,
};

use crate::{
    probe::{Class, Failure, Verdict},
    wait::{
        event::End,
        settings::{Backoff, OnTimeout, Settings, Timeout, Until},
    },
};

#[tokio::test(start_paused = true)]
async fn ready_dependencies_take_no_time() {
    let out = Wait::new().on("a", plain, ready_from(0)).on("b", plain, ready_from(0)).run().await;
    assert_eq!((out.end, out.took), (End::Ready, 0));
    assert_eq!(out.lines, ["0 a: ready: fine [1 0]", "0 b: ready: fine [1 0]"]);
    assert_eq!(Wait::new().run().await.end, End::Ready);
}

#[tokio::test(start_paused = true)]
async fn attempts_follow_the_schedule_to_the_last_one_before_the_end() {
    let out = Wait::new().on("a", timeout(1000), never).run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 1000));
    assert_eq!(out.asked, [[0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 980]]);
    assert_eq!(out.lines.last().unwrap(), "1000 a: timed out: connect [11 1000]");

    let linear = |settings: &mut Settings| {
        settings.backoff = Backoff::Linear;
        settings.max_interval = ms(350);
        settings.timeout = Timeout::After(ms(2000));
    };
    let out = Wait::new().on("a", linear, never).run().await;
    assert_eq!(out.asked, [[0, 100, 300, 600, 950, 1300, 1650, 1980]]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_shortened_by_jitter_alone() {
    let jittered = |settings: &mut Settings| {
        settings.jitter = 0.5;
        settings.timeout = Timeout::After(ms(400));
    };
    let mut wait = Wait::new().on("a", jittered, never);
    wait.random = || 1.0;
    assert_eq!(wait.run().await.asked, [[0, 50, 100, 150, 200, 250, 300, 350, 380]]);
}

#[tokio::test(start_paused = true)]
async fn each_dependency_runs_on_its_own_clock() {
    let slow = |settings: &mut Settings| settings.interval = Some(ms(400));
    let out = Wait::new()
        .on("fast", plain, ready_from(500))
        .on("slow", slow, ready_from(500))
        .on(
            "hung",
            |settings| settings.attempt_timeout = ms(700),
            |n, _| if n == 1 { Hangs } else { Ready },
        )
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Ready, 800));
    assert_eq!(out.asked, [vec![0, 100, 200, 300, 400, 500], vec![0, 400, 800], vec![0, 800]]);
}

#[tokio::test(start_paused = true)]
async fn timeouts_run_side_by_side_not_one_after_the_other() {
    let proceed = |ms| {
        move |settings: &mut Settings| {
            timeout(ms)(settings);
            settings.on_timeout = OnTimeout::Proceed;
        }
    };
    let out = Wait::new()
        .on("a", proceed(1000), never)
        .on("b", proceed(900), never)
        .on("c", proceed(800), never)
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Ready, 1000));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_attempt_is_cut_at_its_bound() {
    let short = |settings: &mut Settings| settings.attempt_timeout = ms(200);
    let out = Wait::new().on("a", short, |n, _| if n < 3 { Hangs } else { Ready }).run().await;
    assert_eq!(out.asked, [[0, 300, 600]]);
    assert_eq!(out.lines[0], "200 a: no answer within 0.2s [1 200]");
    assert_eq!(out.end, End::Ready);
}

#[tokio::test(start_paused = true)]
async fn no_hang_and_no_retry_after_makes_a_wait_end_late() {
    let out = Wait::new().on("a", timeout(1000), |_, _| Hangs).run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 1000));
    assert_eq!(out.lines.last().unwrap(), "1000 a: timed out: no answer within 1.0s [1 1000]");

    let patient = |_, _| {
        let failure = Failure::new(Class::Busy, "later")
            .with(|reason| reason.retry_after = Some(ms(3_600_000)));
        Says(Verdict::NotYet(failure))
    };
    let out = Wait::new().on("a", timeout(1000), patient).run().await;
    assert_eq!((out.took, &out.asked[0]), (1000, &vec![0, 980]));

    // The failure before the cut is more informative than the cut.
    let out = Wait::new()
        .on("a", timeout(1000), |n, _| if n == 1 { Fails(Class::Auth) } else { Hangs })
        .run()
        .await;
    assert_eq!(
        (out.took, out.lines.last().unwrap().as_str()),
        (1000, "1000 a: timed out: auth [2 1000]")
    );

    // A long attempt leaves no time for another.
    let out = Wait::new()
        .on("a", timeout(1000), |_, _| Takes(450, Box::new(Fails(Class::Busy))))
        .run()
        .await;
    assert_eq!((out.took, &out.asked[0]), (1000, &vec![0, 550]));
}

#[tokio::test(start_paused = true)]
async fn a_success_in_the_last_attempt_counts() {
    let out = Wait::new().on("a", timeout(1000), ready_from(980)).run().await;
    assert_eq!((out.end, out.took), (End::Ready, 980));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_0_is_one_attempt_of_any_length() {
    let out = Wait::new().on("a", once, never).run().await;
    assert_eq!(
        (out.end, out.took, &out.lines),
        (End::TimedOut, 0, &vec!["0 a: timed out: connect [1 0]".to_owned()])
    );
    let out = Wait::new().on("a", once, |_, _| Takes(3000, Box::new(Ready))).run().await;
    assert_eq!((out.end, out.took), (End::Ready, 3000));
    let out = Wait::new().on("a", once, |_, _| Hangs).run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 5000));
    // One attempt, so one success.
    let thrice = |settings: &mut Settings| {
        settings.timeout = Timeout::Once;
        settings.successes = 3;
    };
    assert_eq!(Wait::new().on("a", thrice, ready_from(0)).run().await.asked, [[0]]);
}

fn once(settings: &mut Settings) {
    settings.timeout = Timeout::Once;
}

fn hopeless(_: usize, _: u64) -> Step {
    Says(Verdict::Hopeless(Failure::new(Class::Config, "wrong")))
}

#[tokio::test(start_paused = true)]
async fn an_only_attempt_comes_to_its_own_end() {
    let out = Wait::new()
        .on("dead", once, never)
        .on("slow", once, |_, _| Takes(3000, Box::new(Ready)))
        .on("wrong", once, |_, _| Takes(1000, Box::new(hopeless(1, 0))))
        .on("hung", once, |_, _| Hangs)
        .on("other", plain, never)
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Hopeless, 5000));
    assert_eq!(
        out.lines,
        [
            "0 dead: timed out: connect [1 0]",
            "0 other: connect [1 0]",
            "1000 wrong: hopeless: wrong [1 1000]",
            "3000 slow: ready: fine [1 3000]",
            "5000 hung: timed out: no answer within 5.0s [1 5000]",
        ]
    );
    // A signal cuts even an only attempt.
    let mut wait = Wait::new().on("dead", once, never).on("hung", once, |_, _| Hangs);
    wait.signal = Some((350, 15));
    let out = wait.run().await;
    assert_eq!((out.end, out.took), (End::Signal(15), 350));
    // After a failure nothing is started any more.
    let later = |settings: &mut Settings| {
        once(settings);
        settings.after = vec!["slow".to_owned()];
    };
    let out = Wait::new()
        .on("dead", once, never)
        .on("slow", once, |_, _| Takes(100, Box::new(Ready)))
        .on("later", later, ready_from(0))
        .run()
        .await;
    assert_eq!((out.end, out.took, out.asked[2].len()), (End::TimedOut, 100, 0));
}

#[tokio::test(start_paused = true)]
async fn timeouts_of_the_same_instant_are_all_reported() {
    let mut wait = Wait::new();
    for n in 0..50 {
        wait =
            wait.on(&format!("d{n}"), timeout(700), if n % 2 == 0 { never } else { |_, _| Hangs });
    }
    let out = wait.on("later", timeout(800), never).run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 700));
    assert_eq!(out.lines.iter().filter(|line| line.contains("timed out")).count(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_breaks_off_is_an_internal_error() {
    let mut wait = Wait::new().on("a", plain, never).on("b", plain, |_, _| Hangs);
    wait.random = || panic!("a defect outside of every attempt");
    let out = wait.run().await;
    assert_eq!((out.end, out.took), (End::Hopeless, 0));
    assert_eq!(
        out.lines,
        ["0 a: hopeless: internal error: the wait for this dependency has broken off; please \
          report it [0 0]"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_all_is_exact_and_obeys_on_timeout() {
    let forever = |settings: &mut Settings| settings.timeout = Timeout::Never;
    let mut wait = Wait::new().on("a", forever, never).on("b", forever, |_, _| Hangs);
    wait.deadline = Some(700);
    let out = wait.run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 700));

    let proceed = |settings: &mut Settings| settings.on_timeout = OnTimeout::Proceed;
    let mut wait = Wait::new().on("a", proceed, never).on("b", proceed, |_, _| Hangs).on(
        "c",
        plain,
        ready_from(0),
    );
    wait.deadline = Some(700);
    let out = wait.run().await;
    assert_eq!((out.end, out.took), (End::Ready, 700));
    assert_eq!(out.lines.iter().filter(|line| line.contains("proceeded")).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn several_successes_are_consecutive_and_max_interval_apart() {
    let thrice = |settings: &mut Settings| {
        settings.successes = 3;
        settings.max_interval = ms(200);
    };
    let out = Wait::new().on("a", thrice, ready_from(0)).run().await;
    assert_eq!(out.asked, [[0, 200, 400]]);
    assert_eq!(out.lines, ["400 a: ready: fine [3 400]"]);
    let out = Wait::new()
        .on("a", thrice, |n, _| if n == 3 { Fails(Class::Busy) } else { Ready })
        .run()
        .await;
    assert_eq!(out.asked, [[0, 200, 400, 500, 700, 900]]);
}

#[tokio::test(start_paused = true)]
async fn too_few_successes_before_the_timeout_are_a_timeout() {
    let often = |settings: &mut Settings| {
        settings.successes = 4;
        timeout(1500)(settings);
    };
    let out = Wait::new().on("a", often, ready_from(0)).run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 1500));
}

#[tokio::test(start_paused = true)]
async fn a_dependent_starts_with_its_own_clock_once_its_predecessor_is_ready() {
    let later = |settings: &mut Settings| {
        settings.after = vec!["a".to_owned()];
        timeout(500)(settings);
    };
    let out = Wait::new().on("a", plain, ready_from(700)).on("b", later, never).run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 1200));
    assert_eq!(out.asked[1], [700, 800, 900, 1000, 1100, 1180]);
    assert_eq!(out.lines.last().unwrap(), "1200 b: timed out: connect [6 500]");
}

#[tokio::test(start_paused = true)]
async fn a_dependent_starts_after_its_predecessor_was_proceeded_past() {
    let proceed = |settings: &mut Settings| {
        timeout(300)(settings);
        settings.on_timeout = OnTimeout::Proceed;
    };
    let later = |settings: &mut Settings| settings.after = vec!["a".to_owned()];
    let out = Wait::new().on("a", proceed, never).on("b", later, ready_from(0)).run().await;
    assert_eq!((out.end, out.took, out.asked[1].as_slice()), (End::Ready, 300, &[300][..]));
}

#[tokio::test(start_paused = true)]
async fn on_timeout_proceed_passes_timeouts_and_not_hopeless_failures() {
    let proceed = |settings: &mut Settings| {
        timeout(300)(settings);
        settings.on_timeout = OnTimeout::Proceed;
        settings.fail_fast = vec![Class::Auth];
    };
    let out = Wait::new().on("a", proceed, never).run().await;
    assert_eq!(
        (out.end, out.lines.last().unwrap().as_str()),
        (End::Ready, "300 a: proceeded: connect [4 300]")
    );
    let hopeless = |n, _| if n < 2 { Fails(Class::Connect) } else { Fails(Class::Auth) };
    let out = Wait::new().on("a", proceed, hopeless).run().await;
    assert_eq!((out.end, out.took), (End::Hopeless, 100));
}

#[tokio::test(start_paused = true)]
async fn a_hopeless_dependency_ends_the_wait_at_once() {
    let out = Wait::new()
        .on("a", plain, never)
        .on("b", plain, |_, _| Hangs)
        .on("c", plain, hopeless)
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Hopeless, 0));
    assert_eq!(out.lines.last().unwrap(), "0 c: hopeless: wrong [1 0]");
}

#[tokio::test(start_paused = true)]
async fn the_first_timeout_ends_the_whole_wait() {
    let out = Wait::new().on("a", timeout(300), never).on("b", timeout(9000), never).run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 300));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_is_a_failed_attempt() {
    let script = |n, _| match n {
        1 => Panics,
        2 => PanicsAtOnce,
        3 => Takes(10, Box::new(Panics)),
        _ => Ready,
    };
    let out = Wait::new().on("a", plain, script).run().await;
    assert_eq!((out.end, out.asked[0].as_slice()), (End::Ready, &[0, 100, 200, 310][..]));
    assert_eq!(out.lines[0], "0 a: the probe failed: this is a defect of afterall [1 0]");
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_the_wait_at_once() {
    let mut wait = Wait::new().on("a", plain, never).on("b", plain, |_, _| Hangs);
    wait.signal = Some((350, 15));
    let out = wait.run().await;
    assert_eq!((out.end, out.took), (End::Signal(15), 350));
    // Also before anything that happens at the same time.
    let mut wait = Wait::new().on("a", plain, ready_from(400));
    wait.signal = Some((400, 2));
    assert_eq!(wait.run().await.end, End::Signal(2));
}

#[tokio::test(start_paused = true)]
async fn secrets_that_a_server_echoes_are_redacted() {
    let echo = |n, _| match n {
        1 => Says(Verdict::NotYet(Failure::new(Class::Auth, "no s3cr3t").hint("is s3cr3t right?"))),
        2 => Says(Verdict::ready("welcome s3cr3t")),
        3 => Says(Verdict::NotYet(Failure::new(Class::Auth, "lost s3cr3t"))),
        _ => Says(Verdict::Hopeless(Failure::new(Class::Config, "never s3cr3t"))),
    };
    let out = Wait::new().on("a", plain, echo).on("b", plain, ready_from(1500)).run().await;
    let heard = out.lines.join("\n");
    assert!(!heard.contains("s3cr3t") && heard.matches("***").count() == 5, "{heard}");
}

#[tokio::test(start_paused = true)]
async fn until_down_is_ready_only_when_nobody_is_there() {
    let down = |settings: &mut Settings| settings.until = Until::Down;
    let script = |n, _| match n {
        1 => Ready,
        2 => Fails(Class::Auth),
        3 => Fails(Class::Timeout),
        _ => Says(Verdict::NotYet(Failure::new(Class::Connect, "refused").means_down())),
    };
    let out = Wait::new().on("a", down, script).run().await;
    let said: Vec<_> = out.lines.iter().map(|line| line.split(" [").next().unwrap()).collect();
    assert_eq!(
        said,
        ["0 a: still there: fine", "100 a: auth", "200 a: timeout", "300 a: ready: gone: refused"]
    );
}

#[tokio::test(start_paused = true)]
async fn open_attempts_are_limited_and_queueing_is_not_the_attempts_time() {
    let takes = |_, _| Takes(300, Box::new(Ready));
    let short = |settings: &mut Settings| settings.attempt_timeout = ms(400);
    let mut wait = Wait::new().on("a", short, takes).on("b", short, takes).on("c", short, takes);
    wait.open_attempts = 1;
    let out = wait.run().await;
    assert_eq!((out.end, out.took), (End::Ready, 900));
    assert_eq!(out.asked, [[0], [300], [600]]);
    // Queueing takes the dependency's own time, though.
    let mut wait = Wait::new().on("a", plain, |_, _| Takes(4000, Box::new(Ready))).on(
        "b",
        timeout(1000),
        takes,
    );
    wait.open_attempts = 1;
    let out = wait.run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 1000));
    assert_eq!(out.lines, ["1000 b: timed out: nothing [0 1000]"]);
}

#[tokio::test(start_paused = true)]
async fn the_listener_is_called_each_tick() {
    let slow = |settings: &mut Settings| settings.attempt_timeout = ms(10_000);
    let out = Wait::new().on("a", slow, |_, _| Takes(3500, Box::new(Ready))).run().await;
    assert_eq!((out.end, out.ticks), (End::Ready, vec![1000, 2000, 3000]));
}
