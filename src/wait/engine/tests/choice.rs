//! Dependencies of which one is enough.

use super::*;

fn hopeless(_: usize, _: u64) -> Step {
    Says(Verdict::Hopeless(Failure::new(Class::Config, "wrong")))
}

fn proceed(settings: &mut Settings) {
    timeout(300)(settings);
    settings.on_timeout = OnTimeout::Proceed;
}

fn after(name: &'static str) -> impl FnOnce(&mut Settings) {
    move |settings| settings.after = vec![name.to_owned()]
}

#[tokio::test(start_paused = true)]
async fn the_first_ready_alternative_cuts_the_others() {
    let out = Wait::new()
        .on("a", plain, ready_from(250))
        .on("b", plain, |_, _| Hangs)
        .any("one", &["a", "b"])
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Ready, 300));
    assert_eq!(
        out.lines[2..],
        [
            "200 a: connect [3 200]",
            "300 a: ready: fine [4 300]",
            "300 b: not needed [0 300]",
            "300 one: ready: fine [1 0]",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_alternative_may_fail_while_another_is_left() {
    for script in [hopeless as fn(usize, u64) -> Step, never] {
        let out = Wait::new()
            .on("a", timeout(500), script)
            .on("b", plain, ready_from(1000))
            .any("one", &["a", "b"])
            .run()
            .await;
        assert_eq!((out.end, out.took), (End::Ready, 1000));
        assert_eq!(out.lines.last().unwrap(), "1000 one: ready: fine [1 0]");
        assert!(out.lines.iter().any(|line| line.starts_with("1000 a: not needed")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_choice_fails_with_its_last_alternative() {
    let two = |first: fn(usize, u64) -> Step| {
        Wait::new()
            .on("a", timeout(500), first)
            .on("b", timeout(700), hopeless)
            .on("other", plain, never)
            .any("one", &["a", "b"])
            .run()
    };
    let out = two(hopeless).await;
    assert_eq!((out.end, out.took), (End::Hopeless, 0));
    let out = two(never).await;
    assert_eq!((out.end, out.took), (End::TimedOut, 500));
    assert_eq!(out.lines.last().unwrap(), "500 one: timed out: none of them is ready [0 500]");
}

#[tokio::test(start_paused = true)]
async fn a_choice_is_proceeded_past_where_an_alternative_may_be() {
    let out = Wait::new()
        .on("a", proceed, never)
        .on("b", timeout(500), never)
        .any("one", &["a", "b"])
        .on("last", after("one"), ready_from(0))
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Ready, 500));
    assert!(out.lines.iter().any(|line| line.starts_with("500 one: proceeded: none")));
    assert_eq!(out.lines.last().unwrap(), "500 last: ready: fine [1 0]");
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_choice_or_an_unneeded_one_is_started() {
    let out = Wait::new()
        .on("a", plain, ready_from(200))
        .on("b", plain, never)
        .any("one", &["a", "b"])
        .on("behind one", after("one"), ready_from(0))
        .on("behind b", after("b"), ready_from(0))
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Ready, 200));
    assert_eq!((&out.asked[3][..], &out.asked[4][..]), (&[200][..], &[200][..]));
}

#[tokio::test(start_paused = true)]
async fn an_alternative_that_has_not_started_is_not_started() {
    let out = Wait::new()
        .on("a", plain, ready_from(200))
        .on("slow", plain, ready_from(400))
        .on("b", after("slow"), ready_from(0))
        .any("one", &["a", "b"])
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Ready, 400));
    assert_eq!(out.asked[2], [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_confirming_round_asks_the_ready_alternative_alone() {
    let flapping = |_, now| if (1000..2000).contains(&now) { Fails(Class::Connect) } else { Ready };
    let out = Wait::new()
        .on("a", plain, flapping)
        .on("b", plain, never)
        .any("one", &["a", "b"])
        .on("late", plain, ready_from(1500))
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Ready, 2000));
    assert_eq!(out.asked[1].len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_loss_of_the_chosen_alternative_ends_the_wait() {
    let lost = |n, now| if now < 1000 { Ready } else { hopeless(n, now) };
    let out = Wait::new()
        .on("a", plain, lost)
        .on("b", plain, never)
        .any("one", &["a", "b"])
        .on("late", plain, ready_from(1500))
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Hopeless, 1500));
}

#[tokio::test(start_paused = true)]
async fn a_look_ends_well_with_one_alternative() {
    let look = |first: fn(usize, u64) -> Step| {
        let mut wait = Wait::new()
            .on("a", once, first)
            .on("b", once, |_, _| Takes(100, Box::new(Ready)))
            .any("one", &["a", "b"])
            .on("c", once, |_, _| Takes(200, Box::new(Ready)));
        wait.ask_all = true;
        wait.run()
    };
    let out = look(never).await;
    assert_eq!((out.end, out.took), (End::Ready, 200));
    let out = look(|_, _| Ready).await;
    assert_eq!((out.end, out.took), (End::Ready, 200));
    assert!(out.lines.iter().any(|line| line.starts_with("0 b: not needed")));
}

#[tokio::test(start_paused = true)]
async fn a_choice_without_alternatives_fails_at_once() {
    let out = Wait::new().any("one", &[]).run().await;
    assert_eq!((out.end, out.took), (End::TimedOut, 0));
}

#[tokio::test(start_paused = true)]
async fn an_alternative_after_one_that_was_given_up_does_not_hold_the_wait() {
    for (script, end, took) in [
        (never as fn(usize, u64) -> Step, End::TimedOut, 500),
        (hopeless as fn(usize, u64) -> Step, End::Hopeless, 0),
    ] {
        let out = Wait::new()
            .on("a", timeout(500), script)
            .on("between", after("a"), ready_from(0))
            .on("b", after("between"), ready_from(0))
            .any("one", &["a", "b"])
            .on("other", plain, never)
            .run()
            .await;
        assert_eq!((out.end, out.took), (end, took), "{:?}", out.lines);
        assert_eq!((&out.asked[1][..], &out.asked[2][..]), (&[][..], &[][..]));
    }
}

#[tokio::test(start_paused = true)]
async fn an_alternative_after_a_failed_one_waits_while_another_is_left() {
    let out = Wait::new()
        .on("a", timeout(500), never)
        .on("b", after("a"), never)
        .on("c", plain, ready_from(1000))
        .any("one", &["a", "b", "c"])
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::Ready, 1000));
    // A choice that is itself behind the failed one.
    let out = Wait::new()
        .on("a", timeout(500), never)
        .on("d", after("a"), ready_from(0))
        .on("e", after("a"), ready_from(0))
        .any("two", &["d", "e"])
        .on("b", after("two"), ready_from(0))
        .any("one", &["a", "b"])
        .run()
        .await;
    assert_eq!((out.end, out.took), (End::TimedOut, 500));
}
