//! A list of servers within one attempt. Each has its share of the time, so that a silent server
//! cannot hide a good one.

use std::{future::Future, pin::Pin};

use tokio::time::{Instant, timeout_at};

use crate::{
    probe::{Attempt, Class, Failure, Message, Verdict},
    sort::sort_by_key,
};

/// The effect of one server's verdict on the whole list.
#[derive(Debug)]
pub enum Turn {
    /// The verdict of the attempt: no further server is asked.
    Decides(Verdict),
    /// The next server is asked.
    MakesWay(Failure),
}

/// Only a failure that the other side can mend makes way.
impl From<Verdict> for Turn {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::NotYet(failure) => Turn::MakesWay(failure),
            verdict => Turn::Decides(verdict),
        }
    }
}

impl Turn {
    /// The verdict of a list in which no server is left.
    pub fn verdict(self) -> Verdict {
        match self {
            Turn::Decides(verdict) => verdict,
            Turn::MakesWay(failure) => failure.verdict(),
        }
    }
}

/// The future of one server's turn. It may be dropped at any await.
pub type TurnFuture<'a> = Pin<Box<dyn Future<Output = Turn> + Send + 'a>>;

/// One server of a list.
pub trait ListedServer: Send {
    /// Asks the server once, through its whole protocol.
    fn ask<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> TurnFuture<'a>;
}

/// The server with which an attempt begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Always the first one of the declaration, as libpq does.
    First,
    /// The one after that of the attempt before: for clients that spread themselves over the list.
    Next,
    /// A new order each time, as libpq with `load_balance_hosts=random`.
    Random,
}

/// The order in which the servers of a list are asked. Kept from attempt to attempt.
#[derive(Debug)]
pub struct Order {
    start: Start,
    next: usize,
    /// True for each server that did not answer when it was asked last. The list's length sets its
    /// size.
    silent: Vec<bool>,
}

impl Order {
    /// The order of a list before the first attempt.
    pub fn new(start: Start) -> Self {
        Self { start, next: 0, silent: Vec::new() }
    }

    /// The indices of `count` servers for one attempt: those that were silent last time come last.
    fn begin(&mut self, count: usize) -> Vec<usize> {
        self.silent.resize(count, false);
        let start = match self.start {
            Start::First | Start::Random => 0,
            Start::Next => self.next % count.max(1),
        };
        // Moved on before the first await: an attempt that is cut makes way for the next server
        // too.
        self.next = start + 1;
        let mut order: Vec<_> = (0..count).map(|n| (start + n) % count).collect();
        if self.start == Start::Random {
            fastrand::shuffle(&mut order);
        }
        // A stable sort: the others keep their order.
        sort_by_key(&mut order, |index| self.silent[*index]);
        order
    }
}

/// Asks the servers in turn until one decides.
///
/// Each server is bounded, through its whole protocol, by its share of what is left of the attempt.
/// A server that was silent last time has at most an equal part of the attempt, even as the last
/// one. Where no server decides, the failure of the latest stage is returned, with the messages of
/// all.
pub async fn try_servers<S: ListedServer>(
    attempt: &Attempt<'_>,
    servers: &mut [S],
    order: &mut Order,
) -> Turn {
    if let [only] = servers {
        return only.ask(attempt).await;
    }
    let servers = servers.iter_mut().map(|server| server as &mut dyn ListedServer).collect();
    try_several(attempt, servers, order).await
}

/// Compiled once for the servers of all kinds.
async fn try_several(
    attempt: &Attempt<'_>,
    mut servers: Vec<&mut dyn ListedServer>,
    order: &mut Order,
) -> Turn {
    let count = servers.len();
    let equal_part = attempt.remaining() / count.max(1) as u32;
    let mut failures: Vec<Failure> = Vec::new();
    for (asked, index) in order.begin(count).into_iter().enumerate() {
        let share = attempt.remaining() / (count - asked) as u32;
        let share = if order.silent[index] { share.min(equal_part) } else { share };
        let bounded = attempt.with_deadline(Instant::now() + share);
        // Set before the await: a server that holds a cut attempt up was silent.
        order.silent[index] = true;
        let turn = timeout_at(bounded.deadline, servers[index].ask(&bounded)).await;
        let turn = turn.unwrap_or_else(|_| Turn::MakesWay(bounded.timed_out(share)));
        order.silent[index] =
            matches!(&turn, Turn::MakesWay(failure) if failure.class == Class::Timeout);
        match turn {
            Turn::Decides(Verdict::NotYet(refusal)) => {
                return Turn::Decides(Verdict::NotYet(refusal_of(failures, refusal, count)));
            }
            Turn::Decides(verdict) => return Turn::Decides(verdict),
            Turn::MakesWay(failure) => failures.push(failure),
        }
    }
    Turn::MakesWay(joined(failures))
}

/// A refusal that ends the list, with the messages of the servers before.
fn refusal_of(mut failures: Vec<Failure>, refusal: Failure, count: usize) -> Failure {
    failures.push(refusal.clone());
    let rest = if failures.len() < count { "; a refusal ends the list of servers" } else { "" };
    let all = joined(failures);
    let message = Message::from(format!("{}{rest}", all.message));
    refusal.with(|reason| reason.message = message.one_line())
}

/// The failure of the latest stage, with the messages of all.
fn joined(failures: Vec<Failure>) -> Failure {
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
        Some(failure) => failure.with(|reason| {
            reason.message = Message::from(words).one_line();
            reason.means_down = means_down;
            reason.cost = cost.unwrap_or(reason.cost);
        }),
        None => Failure::new(Class::Config, "no server to ask"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        connect::Net,
        probe::{Cost, Stage},
    };

    /// A server that answers with its script, or not at all.
    struct Scripted(&'static str, Vec<Duration>);

    impl ListedServer for Scripted {
        fn ask<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> TurnFuture<'a> {
            self.1.push(attempt.remaining());
            Box::pin(async move {
                match self.0 {
                    "ready" => Turn::Decides(Verdict::ready("x")),
                    "refuses" => Turn::Decides(
                        Failure::new(Class::Auth, "refused").cost(Cost::Logged).into(),
                    ),
                    "down" => Turn::MakesWay(Failure::new(Class::Connect, "down").means_down()),
                    _ => std::future::pending().await,
                }
            })
        }
    }

    async fn ask(servers: &mut [Scripted], order: &mut Order) -> (String, Duration) {
        let (net, stage, began) = (Net::system(), Stage::default(), Instant::now());
        let attempt = Attempt::new(&net, began + Duration::from_secs(6), &stage);
        let text = match try_servers(&attempt, servers, order).await.verdict() {
            Verdict::Ready(_) => "ready".to_owned(),
            Verdict::NotYet(f) | Verdict::Hopeless(f) => format!("{}: {}", f.class, f.message),
        };
        (text, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_decides_or_makes_way() {
        for (scripts, want) in [
            (["down", "ready"], "ready"),
            (["refuses", "ready"], "auth: refused; a refusal ends the list of servers"),
            (["down", "refuses"], "auth: down; refused"),
            (["down", "down"], "connect: down"),
            (["silent", "ready"], "ready"),
            (["silent", "down"], "timeout: no answer within 3.0s; down"),
        ] {
            let mut servers = scripts.map(|script| Scripted(script, Vec::new()));
            let (text, _) = ask(&mut servers, &mut Order::new(Start::First)).await;
            assert_eq!(text, want, "{scripts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_goes_last_and_keeps_its_share() {
        let mut servers = [Scripted("silent", Vec::new()), Scripted("down", Vec::new())];
        let mut order = Order::new(Start::First);
        for _ in 0..3 {
            let (_, took) = ask(&mut servers, &mut order).await;
            assert_eq!(took, Duration::from_secs(3));
        }
        servers[1].0 = "ready";
        assert_eq!(ask(&mut servers, &mut order).await, ("ready".to_owned(), Duration::ZERO));
        servers[0].0 = "ready";
        servers[1].0 = "down";
        assert_eq!(ask(&mut servers, &mut order).await.0, "ready");
        assert_eq!(order.begin(2), [0, 1], "a server that answers is in its place again");
    }

    #[test]
    fn an_attempt_starts_with_the_first_or_the_next_server() {
        let (mut first, mut next) = (Order::new(Start::First), Order::new(Start::Next));
        assert_eq!((first.begin(3), first.begin(3)), (vec![0, 1, 2], vec![0, 1, 2]));
        assert_eq!((next.begin(3), next.begin(3)), (vec![0, 1, 2], vec![1, 2, 0]));
    }
}
