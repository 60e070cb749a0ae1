//! A service that is up and not ready, and many that wait for it.

use crate::support::{Afterall, Http, Reserved, Scripted, ms, response, response_with, secs};
use std::collections::HashMap;
use std::time::{Duration, Instant};

#[test]
fn only_status_200_is_ready_not_an_open_port() {
    let main_port = Scripted::closing();
    let admin = Reserved::new();
    let url = format!("api=http://{}/ready", admin.address());
    let waiting = Afterall::waiting_for(["-v", &url]).becoming(["/bin/echo", "started"]).spawn();
    waiting.wait_for_stderr("[class=connect", secs(20));
    let admin = Http::on(admin, |number, _| response([503, 500, 200][(number - 1).min(2)], ""));
    waiting.done().code(0).stdout("started\n").stderr_has("status 503").stderr_has("status 500");
    assert_eq!((admin.count(), main_port.connections()), (3, 0));
}

/// From a waiter's first question to its second one; each waiter asks for a path of its own.
fn gaps(server: &Http) -> Vec<Duration> {
    let mut arrivals: HashMap<String, Vec<Instant>> = HashMap::new();
    for request in server.requests() {
        let path = request.text.split(' ').nth(1).unwrap().to_owned();
        arrivals.entry(path).or_default().push(request.at);
    }
    arrivals.values().map(|at| at[1] - at[0]).collect()
}

/// 503 with these headers to everybody's first question, 200 to the second.
fn busy_at_first(headers: &'static [(&'static str, &'static str)]) -> Http {
    let seen = std::sync::Mutex::new(HashMap::<String, usize>::new());
    Http::answering(move |_, request| {
        let path = request.split(' ').nth(1).unwrap().to_owned();
        let mut seen = seen.lock().unwrap();
        let times = seen.entry(path).or_default();
        *times += 1;
        if *times == 1 { response_with(503, headers, "") } else { response(200, "") }
    })
}

fn wait_in_a_crowd(server: &Http, waiters: usize) -> Vec<Duration> {
    let start = |n| Afterall::waiting_for(["-q".to_owned(), server.url(&format!("/{n}"))]).spawn();
    let waiting: Vec<_> = (0..waiters).map(start).collect();
    waiting.into_iter().for_each(|running| drop(running.done().code(0)));
    let gaps = gaps(server);
    assert_eq!(gaps.len(), waiters);
    gaps
}

#[test]
fn twenty_waiters_come_back_after_retry_after_and_not_together() {
    let gaps = wait_in_a_crowd(&busy_at_first(&[("Retry-After", "2")]), 20);
    let (first, last) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
    assert!(*first >= secs(2), "{gaps:?}");
    // Spread over 30% of two seconds; twenty do not fall into a quarter of that by chance.
    assert!(*last - *first >= ms(150), "{gaps:?}");
}

#[test]
fn a_retry_after_of_0_is_no_hint() {
    // The header is ignored: without it the pause is the usual one.
    let gaps = wait_in_a_crowd(&busy_at_first(&[("Retry-After", "0")]), 1);
    assert!(gaps[0] >= ms(9) && gaps[0] < secs(20), "{gaps:?}");
}

#[test]
fn a_retry_after_date_is_measured_by_the_servers_clock() {
    // Two seconds after a Date that is years away from ours.
    let headers = &[
        ("Date", "Tue, 03 Mar 2015 10:00:00 GMT"),
        ("Retry-After", "Tue, 03 Mar 2015 10:00:02 GMT"),
    ];
    let gaps = wait_in_a_crowd(&busy_at_first(headers), 1);
    assert!(gaps[0] >= secs(2), "{gaps:?}");
}

#[test]
fn a_long_retry_after_ends_at_the_timeout_with_a_last_attempt() {
    const HOUR: &[(&str, &str)] = &[("Retry-After", "3600")];
    // The last attempt has 20 ms, which a loaded machine may not give. One run of many must.
    let found = (0..50).any(|_| {
        // The service has become ready meanwhile, and the last attempt finds it.
        let server = busy_at_first(HOUR);
        let done = Afterall::waiting_for(["-q", "-t", "1s", &server.url("/")]).run().any_stderr();
        done.status().success() && server.count() == 2
    });
    assert!(found);
    let always_busy = Http::answering(|_, _| response_with(503, HOUR, ""));
    Afterall::waiting_for(["-t", "1s", &always_busy.url("/")])
        .run()
        .code(124)
        .any_stderr()
        .took(ms(900)..secs(5));
    // Not asked before the hour, but for a last attempt. An attempt that took long on a loaded
    // machine makes the last one early, and leaves time for another.
    assert!((1..=4).contains(&always_busy.count()), "{}", always_busy.count());
}
