//! Name lookups: at most one per name and second, shared by all dependencies.
//!
//! A lookup blocks, for 10 seconds or more if a name server is silent. Each lookup runs on a
//! thread. At most [`YOUNG_LOOKUPS`] run at once. A lookup that has run for [`YOUNG`] no longer
//! counts. So a silent name server delays other names by about a second.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, timeout},
};

use super::{
    getaddrinfo::{Family, LookupError},
    is_local_limit, sandbox,
};
use crate::{
    blocking::on_thread,
    os::describe,
    verdict::{Class, Failure, Stage},
};

/// A blocking lookup: every address of a name, with port 0.
pub type Resolve = fn(&str, Family) -> Result<Vec<SocketAddr>, LookupError>;

/// The least time between two lookups of one name.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// The time for which an unused answer stays valid: longer than any resolver tries.
const FRESH_FOR: Duration = Duration::from_secs(60);

/// The most young lookups at once.
const YOUNG_LOOKUPS: usize = 8;

/// A lookup that has run for this long probably waits for a silent server, and no longer delays
/// other lookups.
const YOUNG: Duration = Duration::from_secs(1);

/// The time after which a silent lookup is repeated. By default a resolver resends a lost packet
/// after 5 seconds.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// The most lookups that may wait for silent servers. Each holds a thread and a descriptor.
const MAX_LOOKUPS: usize = 256;

/// The most names in the cache. A server's redirects may name any number of hosts.
const MAX_NAMES: usize = 1024;

type Answer = Result<Vec<SocketAddr>, Failure>;

type Name = (String, Family);

/// The requested names, each with its last or running lookup.
pub(super) struct Resolver {
    known: Mutex<BTreeMap<Name, Lookup>>,
    /// Made for the first lookup: addresses need none.
    resources: LazyLock<LookupResources, Box<dyn FnOnce() -> LookupResources + Send>>,
}

/// The resources that all lookups share.
#[derive(Clone)]
struct LookupResources {
    resolve: Resolve,
    young: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

struct Lookup {
    begun: Instant,
    /// No attempt has used the answer yet. An unused answer is valid however long the lookup took.
    unused: bool,
    progress: watch::Receiver<Progress>,
}

/// The progress of a lookup.
enum Progress {
    /// The lookup waits for others.
    Queued,
    Running,
    Answered(Answer),
}

impl Lookup {
    fn is_running(&self) -> bool {
        // The channel is closed if the task was lost.
        !matches!(*self.progress.borrow(), Progress::Answered(_))
            && self.progress.has_changed().is_ok()
    }
}

impl Resolver {
    /// Makes a resolver that calls `resolve`, and uses at most `descriptors` descriptors for
    /// lookups.
    pub(super) fn new(resolve: Resolve, descriptors: fn() -> usize) -> Self {
        let resources = move || LookupResources {
            resolve,
            young: Arc::new(Semaphore::new(YOUNG_LOOKUPS)),
            all: Arc::new(Semaphore::new(descriptors().clamp(YOUNG_LOOKUPS, MAX_LOOKUPS))),
        };
        Self { known: Mutex::default(), resources: LazyLock::new(Box::new(resources)) }
    }

    /// Returns every address of `host`. The caller may drop this future at any time. The lookup
    /// then goes on, and the next attempt uses its answer.
    pub(super) async fn addresses(&self, host: &str, family: Family, stage: &Stage) -> Answer {
        let name = (host.to_owned(), family);
        let mut progress = self.lookup(&name);
        let answer = loop {
            match &*progress.borrow_and_update() {
                Progress::Queued => {
                    stage.set(format!(
                        "{host} is not looked up yet, after other names without an answer"
                    ));
                }
                Progress::Running => stage.set(format!("no answer from the resolver for {host}")),
                Progress::Answered(answer) => break answer.clone(),
            }
            if progress.changed().await.is_err() {
                break Err(Failure::new(Class::Local, format!("the lookup of {host} was lost")));
            }
        };
        if let Some(lookup) = self.known().get_mut(&name) {
            lookup.unused = false;
        }
        answer
    }

    /// Returns the progress of a lookup that is running or recent, or of a new one.
    fn lookup(&self, name: &Name) -> watch::Receiver<Progress> {
        let mut known = self.known();
        if let Some(lookup) = known.get(name) {
            let age = lookup.begun.elapsed();
            if lookup.is_running() || age < AT_MOST_EVERY || lookup.unused && age < FRESH_FOR {
                return lookup.progress.clone();
            }
        }
        let (sender, progress) = watch::channel(Progress::Queued);
        let (resources, asked) = (LookupResources::clone(&self.resources), name.clone());
        tokio::spawn(async move {
            // This code never closes the semaphore, so a permit always comes.
            let (Ok(any), Ok(young)) = (
                Arc::clone(&resources.all).acquire_owned().await,
                Arc::clone(&resources.young).acquire_owned().await,
            ) else {
                return;
            };
            let _ = sender.send(Progress::Running);
            let answer = resources.ask(&asked, any, young).await;
            let _ = sender.send(Progress::Answered(answer));
        });
        if known.len() >= MAX_NAMES {
            known.retain(|_, lookup| lookup.is_running());
        }
        let lookup = Lookup { begun: Instant::now(), unused: true, progress: progress.clone() };
        known.insert(name.clone(), lookup);
        progress
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<Name, Lookup>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LookupResources {
    /// Starts a lookup, and a second one if no answer comes. The first answer counts.
    async fn ask(
        &self,
        name: &Name,
        any: OwnedSemaphorePermit,
        young: OwnedSemaphorePermit,
    ) -> Answer {
        let (sender, mut answers) = mpsc::channel(2);
        self.start(name, any, sender.clone())?;
        let lost = || Err(Failure::new(Class::Local, format!("the lookup of {} was lost", name.0)));
        if let Ok(answer) = timeout(YOUNG, answers.recv()).await {
            return answer.unwrap_or_else(lost);
        }
        drop(young);
        if let Ok(answer) = timeout(ASK_AGAIN - YOUNG, answers.recv()).await {
            return answer.unwrap_or_else(lost);
        }
        if let Ok(any) = Arc::clone(&self.all).try_acquire_owned() {
            // If no thread is left for the second lookup, the first one still runs.
            let _ = self.start(name, any, sender.clone());
        }
        drop(sender);
        answers.recv().await.unwrap_or_else(lost)
    }

    /// Starts one lookup on a thread. The thread keeps the permit until the resolver returns.
    fn start(
        &self,
        name: &Name,
        any: OwnedSemaphorePermit,
        sender: mpsc::Sender<Answer>,
    ) -> Result<(), Failure> {
        let ((host, family), resolve) = (name.clone(), self.resolve);
        let shown = name.0.clone();
        on_thread(move || {
            let found = resolve(&host, family);
            let answer = found.map_err(|error| failure(&host, family, error));
            let _ = sender.try_send(answer.and_then(|found| distinct(&host, family, found)));
            drop(any);
        })
        .map_err(|error| Failure::local(&error, format_args!("looking up {shown}")))
    }
}

/// Returns each address once. A resolver may repeat an address, e.g. for each line of the hosts
/// file.
fn distinct(host: &str, family: Family, mut addresses: Vec<SocketAddr>) -> Answer {
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    if addresses.is_empty() { Err(no_address(host, family)) } else { Ok(addresses) }
}

fn no_address(host: &str, family: Family) -> Failure {
    let absent = |kind| Failure::new(Class::Absent, format!("{host} has no {kind} address"));
    match family {
        Family::Any => {
            Failure::new(Class::Dns, format!("{host} does not resolve: no address")).means_down()
        }
        Family::V4 => absent("IPv4"),
        Family::V6 => absent("IPv6"),
    }
}

/// Returns the failure that an error of the resolver means.
fn failure(host: &str, family: Family, error: LookupError) -> Failure {
    let to = match family {
        Family::Any => "",
        Family::V4 => " to an IPv4 address",
        Family::V6 => " to an IPv6 address",
    };
    let unresolved =
        |words: &str| Failure::new(Class::Dns, format!("{host} does not resolve{to}: {words}"));
    let words = match error {
        LookupError::NoName(words) => return unresolved(&words).means_down(),
        LookupError::NoAddress => return no_address(host, family),
        LookupError::System(error) if is_local_limit(&error) => {
            return Failure::local(&error, format_args!("looking up {host}"));
        }
        LookupError::System(error) => describe(&error),
        LookupError::Resolver(words) => words,
    };
    // If the resolver may not open a socket, it reports that its servers did not reply.
    sandbox::forbids_ip().unwrap_or_else(|| unresolved(&words))
}
