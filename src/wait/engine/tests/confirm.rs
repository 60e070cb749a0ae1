//! The confirming round, and dependencies that are lost in it.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_old_success_is_confirmed_before_the_end() {
    let out =
        Wait::new().on("a", plain, ready_from(0)).on("b", plain, ready_from(1500)).run().await;
    assert_eq!((out.end, out.took), (End::Ready, 1500));
    assert_eq!((out.asked[0].as_slice(), out.asked[1].last()), (&[0, 1500][..], Some(&1500)));
    assert_eq!(
        out.lines.iter().filter(|line| line.contains("ready:")).count(),
        2,
        "the confirmation is not news"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fresh_success_is_not_confirmed() {
    let out = Wait::new().on("a", plain, ready_from(0)).on("b", plain, ready_from(900)).run().await;
    assert_eq!((out.end, out.took, out.asked[0].as_slice()), (End::Ready, 900, &[0][..]));
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_success_counts_from_its_answer() {
    let mut wait = Wait::new().on("a", plain, ready_from(0));
    wait.stands_still = 1500;
    let out = wait.run().await;
    assert_eq!((out.end, out.asked[0].as_slice()), (End::Ready, &[0, 1500][..]));
}

#[tokio::test(start_paused = true)]
async fn there_is_one_confirming_round_of_any_length() {
    let slow = |n: usize, _| if n == 1 { Ready } else { Takes(3000, Box::new(Ready)) };
    let out = Wait::new()
        .on("a", plain, slow)
        .on("b", plain, ready_from(0))
        .on("c", plain, ready_from(1500))
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Ready, 4500));
    assert_eq!((out.asked[0].len(), out.asked[1].len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn proceeding_and_a_timeout_of_0_are_not_confirmed() {
    let proceed = |settings: &mut Settings| {
        timeout(300)(settings);
        settings.on_timeout = OnTimeout::Proceed;
    };
    let out = Wait::new()
        .on("a", once, ready_from(0))
        .on("b", proceed, never)
        .on("c", plain, ready_from(1500))
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Ready, 1500));
    assert_eq!((out.asked[0].as_slice(), out.asked[1].last()), (&[0][..], Some(&280)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_dependency_is_retried() {
    let flapping = |_, now| if (1000..2000).contains(&now) { Fails(Class::Connect) } else { Ready };
    let out = Wait::new().on("a", plain, flapping).on("b", plain, ready_from(1500)).run().await;
    assert_eq!((out.end, out.took), (End::Ready, 2000));
    assert_eq!(out.asked[0], [0, 1500, 1600, 1700, 1800, 1900, 2000]);
    assert!(out.lines.contains(&"1500 a: lost: connect [2 1500]".to_owned()), "{:?}", out.lines);
    assert_eq!(out.lines.last().unwrap(), "2000 a: ready: fine [7 2000]");
}

#[tokio::test(start_paused = true)]
async fn a_loss_makes_the_other_old_successes_stale_again() {
    let flapping = |_, now| if (1000..4000).contains(&now) { Fails(Class::Connect) } else { Ready };
    let out = Wait::new().on("a", plain, flapping).on("b", plain, ready_from(1500)).run().await;
    assert_eq!((out.end, out.took), (End::Ready, 4000));
    assert_eq!(out.asked[1].last(), Some(&4000));
}

#[tokio::test(start_paused = true)]
async fn all_lost_dependencies_share_one_timeout() {
    let a = |_, now| if (1000..3000).contains(&now) { Fails(Class::Connect) } else { Ready };
    let c = |_, now| if now >= 3000 { Fails(Class::Busy) } else { Ready };
    let out = Wait::new()
        .on("a", timeout(2000), a)
        .on("b", plain, ready_from(1500))
        .on("c", timeout(2000), c)
        .run()
        .await;
    // `a` is lost at 1500 and back at 3000; `c`, lost then, gets only what is left.
    assert_eq!((out.end, out.took), (End::TimedOut, 3500));
    assert!(out.lines.last().unwrap().starts_with("3500 c: timed out: busy"), "{:?}", out.lines);
}

#[tokio::test(start_paused = true)]
async fn a_loss_never_makes_the_wait_end_late() {
    let patient = |n, _| {
        let failure = Failure::new(Class::Busy, "later")
            .with(|reason| reason.retry_after = Some(ms(3_600_000)));
        if n == 1 { Ready } else { Says(Verdict::NotYet(failure)) }
    };
    let mut wait = Wait::new().on("a", plain, patient).on("b", plain, ready_from(1500));
    wait.deadline = Some(2000);
    let out = wait.run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 2000));
    let out =
        Wait::new().on("a", timeout(1600), patient).on("b", plain, ready_from(1500)).run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 3100));
}

#[tokio::test(start_paused = true)]
async fn a_lost_dependency_with_a_retry_after_is_retried_in_time() {
    let patient = |n, now| {
        let failure = Failure::new(Class::Busy, "later")
            .with(|reason| reason.retry_after = Some(ms(3_600_000)));
        if n == 1 || now > 1600 { Ready } else { Says(Verdict::NotYet(failure)) }
    };
    let out =
        Wait::new().on("a", timeout(2000), patient).on("b", plain, ready_from(1500)).run().await;
    assert_eq!(out.end, End::Ready, "{:?}", out.lines);
    assert!(out.took <= 3500, "{}", out.took);
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_cut_by_the_deadline_keeps_the_success() {
    let mut wait = Wait::new()
        .on("a", plain, |n, _| if n == 1 { Ready } else { Hangs })
        .on("b", plain, |n, _| {
            if n == 2 {
                Ready
            } else if n == 1 {
                Fails(Class::Busy)
            } else {
                Hangs
            }
        })
        .on("c", plain, ready_from(1500));
    wait.deadline = Some(2000);
    let out = wait.run().await;
    assert_eq!((out.end, out.took), (End::Ready, 2000));
    // The attempt's own bound is another matter.
    let short = |settings: &mut Settings| settings.attempt_timeout = ms(200);
    let mut wait = Wait::new().on("a", short, |n, _| if n == 1 { Ready } else { Hangs }).on(
        "b",
        plain,
        ready_from(1500),
    );
    wait.deadline = Some(2000);
    assert_eq!(wait.run().await.end, End::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_failed_confirmation_counts_even_at_the_deadline() {
    let late = |n, _| if n == 1 { Ready } else { Takes(500, Box::new(Fails(Class::Busy))) };
    let mut wait = Wait::new().on("a", plain, late).on("b", plain, ready_from(1500));
    wait.deadline = Some(2000);
    let out = wait.run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 2000));
    assert!(out.lines.last().unwrap().starts_with("2000 a: timed out: busy"), "{:?}", out.lines);
}

#[tokio::test(start_paused = true)]
async fn a_hopeless_confirmation_ends_the_wait() {
    let hopeless = |n, _| {
        if n == 1 { Ready } else { Says(Verdict::Hopeless(Failure::new(Class::Config, "wrong"))) }
    };
    let out = Wait::new().on("a", plain, hopeless).on("b", plain, ready_from(1500)).run().await;
    assert_eq!((out.end, out.took), (End::Hopeless, 1500));
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_a_confirming_round_too() {
    let mut wait = Wait::new().on("a", plain, |n, _| if n == 1 { Ready } else { Hangs }).on(
        "b",
        plain,
        ready_from(1500),
    );
    wait.signal = Some((1700, 15));
    let out = wait.run().await;
    assert_eq!((out.end, out.took), (End::Signal(15), 1700));
}
