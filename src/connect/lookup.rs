//! Names: asked of the resolver at most once a second, shared by all who need them, on a bounded number of threads.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, task::spawn_blocking, time::Instant};

use crate::{
    os::describe,
    probe::failure::{Class, Failure},
};

/// A blocking lookup: every address of a name, with port 0.
pub type Resolve = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// A name is looked up at most once in this time.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// An answer that nobody has taken is good for so long after it was asked for: longer than any resolver tries.
const FRESH_FOR: Duration = Duration::from_secs(60);

/// The operating system's resolver: hosts file, DNS, whatever nsswitch.conf says.
pub fn system(host: &str) -> io::Result<Vec<SocketAddr>> {
    (host, 0).to_socket_addrs().map(Iterator::collect)
}

type Answer = Result<Vec<SocketAddr>, Failure>;

/// The names that were asked for, with their last or running lookup.
pub struct Resolver {
    resolve: Resolve,
    known: Mutex<HashMap<String, Lookup>>,
}

struct Lookup {
    begun: Instant,
    /// Nobody has taken the answer yet: it is good however long the lookup took.
    fresh: bool,
    answer: watch::Receiver<Option<Answer>>,
}

impl Resolver {
    pub fn new(resolve: Resolve) -> Self {
        Self { resolve, known: Mutex::default() }
    }

    /// Every address of `host`. May be dropped at any time: the lookup goes on, and the next who asks takes its answer.
    pub async fn addresses(&self, host: &str) -> Answer {
        let mut answer = self.lookup(host);
        let answer = match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone(),
            Err(_) => None,
        };
        if let Some(lookup) =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).get_mut(host)
        {
            lookup.fresh = false;
        }
        answer.unwrap_or_else(|| {
            Err(Failure::new(Class::Local, format!("the lookup of {host} was lost")))
        })
    }

    fn lookup(&self, host: &str) -> watch::Receiver<Option<Answer>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = known.get(host) {
            let running = lookup.answer.borrow().is_none() && lookup.answer.has_changed().is_ok();
            let is_fresh = lookup.fresh && lookup.begun.elapsed() < FRESH_FOR;
            if running || is_fresh || lookup.begun.elapsed() < AT_MOST_EVERY {
                return lookup.answer.clone();
            }
        }
        let (sender, answer) = watch::channel(None);
        let (resolve, name) = (self.resolve, host.to_owned());
        // The runtime's limit of blocking threads bounds what a dead resolver can hold.
        spawn_blocking(move || {
            let _ = sender.send(Some(
                resolve(&name)
                    .map_err(|e| failure(&name, &e))
                    .and_then(|found| not_empty(&name, found)),
            ));
        });
        known.insert(
            host.to_owned(),
            Lookup { begun: Instant::now(), fresh: true, answer: answer.clone() },
        );
        answer
    }
}

fn not_empty(host: &str, mut addresses: Vec<SocketAddr>) -> Answer {
    // The resolver names an address once for each kind of socket and each line of the hosts file.
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    match addresses.is_empty() {
        true => Err(Failure::new(Class::Dns, format!("{host} has no address"))),
        false => Ok(addresses),
    }
}

/// What getaddrinfo said. Rust keeps its words and drops its number.
fn failure(host: &str, error: &io::Error) -> Failure {
    if super::is_local_limit(error) {
        return Failure::new(
            Class::Local,
            format!("a limit of this process: {} (looking up {host})", describe(error)),
        );
    }
    let text = error.to_string();
    let words = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    let failure =
        Failure::new(Class::Dns, format!("{host} does not resolve: {}", words.to_lowercase()));
    // EAI_NONAME and EAI_NODATA say that there is no such name; EAI_AGAIN and EAI_FAIL, that the resolver does not know.
    match words.contains("not known") || words.contains("No address") {
        true => failure.means_down(),
        false => failure,
    }
}
