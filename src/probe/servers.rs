//! A list of servers within one attempt: each gets its share of the time, so that a silent one cannot hide a good one.

use tokio::time::{Instant, timeout_at};

use crate::{
    probe::{Attempt, AttemptFuture, Class, Failure, Verdict},
    text::{MAX_FOREIGN, one_line},
};

/// Asks the servers in turn until one is ready, beginning with `*first`; the next attempt begins with the next one.
///
/// Each is bounded, through its whole protocol, by its share of what is left of the attempt. A server that finds our side
/// wrong ends the attempt; otherwise the failure that came farthest is told, with the words of all.
pub async fn try_servers<S: Sync>(
    attempt: &Attempt<'_>,
    servers: &[S],
    first: &mut usize,
    ask: impl for<'x> Fn(&'x Attempt<'x>, &'x S) -> AttemptFuture<'x> + Send + Sync,
) -> Verdict {
    let start = *first % servers.len().max(1);
    // Moved on before the first await: a cut attempt too makes way for the next server.
    *first = start + 1;
    if let [only] = servers {
        return ask(attempt, only).await;
    }
    let mut failures: Vec<Failure> = Vec::new();
    for n in 0..servers.len() {
        let share = attempt.remaining() / (servers.len() - n) as u32;
        let bounded = attempt.with_deadline(Instant::now() + share);
        match timeout_at(bounded.deadline, ask(&bounded, &servers[(start + n) % servers.len()]))
            .await
        {
            Ok(Verdict::NotYet(failure)) => failures.push(failure),
            Ok(ready_or_hopeless) => return ready_or_hopeless,
            Err(_) => failures.push(bounded.timed_out(share)),
        }
    }
    Verdict::NotYet(farthest(failures))
}

fn farthest(failures: Vec<Failure>) -> Failure {
    let mut words: Vec<&str> = Vec::new();
    for failure in &failures {
        if !words.contains(&failure.message.as_str()) {
            words.push(&failure.message);
        }
    }
    let words = words.join("; ");
    let means_down = failures.iter().all(|failure| failure.means_down);
    let cost = failures.iter().map(|failure| failure.cost).max();
    match failures.into_iter().max_by_key(|failure| failure.class) {
        Some(failure) => Failure {
            message: one_line(&words, MAX_FOREIGN),
            means_down,
            cost: cost.unwrap_or(failure.cost),
            ..failure
        },
        None => Failure::new(Class::Config, "no server to ask"),
    }
}
