//! `mongodb:`, `mongodb+srv:` — a server with the wanted part in its replica set, logged in.
//!
//! `hello` names that part without a login. Drivers use the addresses that the replica set names. A
//! member that this host cannot reach there is not ready, whatever the declared server replies.
//!
//! A server logs every connection. So it is asked seldom, and not again to confirm.
//!
//! ```text
//! uri -> target -> [records] -> session -> login
//!                               member, message, bson, failure
//! ```

mod bson;
mod failure;
mod login;
mod member;
mod message;
mod records;
mod session;
mod target;
mod uri;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    connect::Endpoint,
    kinds::options::LOGIN_KEYS,
    probe::{
        Attempt, AttemptFuture, Class, Cost, Failure, ListedServer, Order, Probe, Start, Turn,
        TurnFuture, Verdict, try_servers,
    },
    spec::{ConfigError, Kind, Spec},
    tls::KEYS as TLS_KEYS,
};
use member::Wanted;
use records::Found;
use session::Question;
use target::{KEYS, Records, Source, Target};

/// The kind.
pub static KIND: Kind = Kind {
    name: "mongodb",
    schemes: &["mongodb", "mongodb+srv"],
    usage: "mongodb://[USER:PASSWORD@]HOST[:PORT][,...][/DATABASE][?OPTIONS]",
    summary: "a primary, or the part that readPreference names; logged in",
    keys: &[KEYS, LOGIN_KEYS, TLS_KEYS],
    build,
    ..Kind::DEFAULT
};

/// The least time between two lookups of the records.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// The servers that are asked, and when their addresses were looked up.
struct Mongo {
    target: Arc<Target>,
    servers: Vec<Server>,
    order: Order,
    looked_up: Option<(Instant, Result<Found, Failure>)>,
}

/// One server of the list.
struct Server {
    endpoint: Endpoint,
    shared: Arc<Shared>,
}

/// The settings that all servers of the list share.
struct Shared {
    target: Arc<Target>,
    wanted: Wanted,
    /// The database that holds the user.
    database: String,
    declared: Vec<Endpoint>,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let target = Arc::new(Target::from_spec(spec)?);
    let servers = match &target.source {
        Source::Listed(endpoints) => {
            servers(&target, Found { servers: endpoints.clone(), ..Found::default() })
        }
        Source::Records(_) => Vec::new(),
    };
    Ok(Box::new(Mongo { target, servers, order: Order::new(Start::Next), looked_up: None }))
}

fn servers(target: &Arc<Target>, found: Found) -> Vec<Server> {
    let of_target = target.login.as_ref().map(|login| login.database.clone());
    let set = target.wanted.set.clone().or(found.set);
    let shared = Arc::new(Shared {
        target: Arc::clone(target),
        wanted: Wanted {
            set,
            balanced: target.wanted.balanced || found.balanced,
            several: found.servers.len() > 1,
            ..target.wanted.clone()
        },
        database: found.database.or(of_target).unwrap_or_default(),
        declared: found.servers,
    });
    let server =
        |endpoint: &Endpoint| Server { endpoint: endpoint.clone(), shared: Arc::clone(&shared) };
    shared.declared.iter().map(server).collect()
}

impl Mongo {
    /// Looks the servers up, unless that was done a moment ago.
    async fn find(&mut self, attempt: &Attempt<'_>, records: &Records) -> Result<(), Failure> {
        let recent = self.looked_up.as_ref();
        let recent = recent.filter(|(begun, _)| begun.elapsed() < AT_MOST_EVERY);
        if let Some((_, found)) = recent {
            return found.as_ref().map(drop).map_err(Failure::clone);
        }
        let begun = Instant::now();
        let found = records::look_up(attempt, records).await;
        let known = self.looked_up.take().and_then(|(_, found)| found.ok());
        // Known servers keep their turns.
        if let Ok(found) = &found
            && known.as_ref() != Some(found)
        {
            self.servers = servers(&self.target, found.clone());
            self.order = Order::new(Start::Next);
        }
        let result = found.as_ref().map(drop).map_err(Failure::clone);
        self.looked_up = Some((begun, found));
        result
    }
}

impl Probe for Mongo {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async {
            let target = Arc::clone(&self.target);
            if let Source::Records(records) = &target.source
                && let Err(failure) = self.find(attempt, records).await
            {
                return failure.verdict();
            }
            try_servers(attempt, &mut self.servers, &mut self.order).await.verdict()
        })
    }

    /// The server logs every connection, with its usual settings.
    fn leaves_a_trace(&self) -> bool {
        true
    }

    fn is_local(&self) -> bool {
        // Servers from records are not known yet.
        !self.servers.is_empty() && self.servers.iter().all(|server| server.endpoint.is_local())
    }
}

impl ListedServer for Server {
    fn ask<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> TurnFuture<'a> {
        Box::pin(async {
            let Shared { target, wanted, database, declared } = &*self.shared;
            let question = Question { target, wanted, database, declared };
            let asked =
                question.ask(attempt, &self.endpoint).await.map_err(|failure| {
                    match failure.class {
                        Class::Protocol | Class::Auth | Class::Busy | Class::Absent => {
                            failure.cost(Cost::Logged)
                        }
                        _ => failure,
                    }
                });
            Turn::from(asked.map_or_else(Verdict::from, Verdict::ready))
        })
    }
}
