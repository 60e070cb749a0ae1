//! The conversation with one server, and with the member of its replica set that is wanted.

use tokio::time::timeout;

use super::{
    bson::Builder,
    failure::{code, is_not_serving, may_know_old_name, reply_failure},
    login::{log_in, name_for_hello},
    member::{Hello, Role, Wanted},
    message::{ask as ask_command, odd},
    target::Target,
};
use crate::{
    connect::Endpoint,
    kinds::wire::Wire,
    probe::{Attempt, Class, Cost, Failure},
    text::one_line,
};

/// The most members that one attempt asks beside the declared server.
const MAX_FOLLOWED: usize = 8;

/// The question of one attempt to each server. All addresses are known.
pub(super) struct Question<'a> {
    pub(super) target: &'a Target,
    pub(super) wanted: &'a Wanted,
    /// The database that holds the user.
    pub(super) database: &'a str,
    /// The servers of the declaration, each of which has a turn of its own.
    pub(super) declared: &'a [Endpoint],
}

impl Question<'_> {
    /// Asks the server at `endpoint`, or the member that it names. Returns the detail of success.
    pub(super) async fn ask(
        &self,
        attempt: &Attempt<'_>,
        endpoint: &Endpoint,
    ) -> Result<String, Failure> {
        let (wire, hello) = self.meet(attempt, endpoint).await?;
        let verdict = self.wanted.check(&hello);
        let place = |failure: Failure| {
            let message = format!("{} ({endpoint})", failure.message);
            failure.with(|reason| reason.message = message.into())
        };
        let is_alone = self.wanted.direct || self.wanted.balanced || hello.set.is_none();
        let asked = endpoint.to_string();
        let other = hello.other_address(&asked).filter(|_| !is_alone);
        match (verdict, other) {
            (Ok(()), None) => self.finish(attempt, wire, &hello).await,
            // Drivers drop an address that the replica set does not know.
            (Ok(()), Some(me)) => {
                wire.close().await;
                self.follow(attempt, &hello, me, &format!("{endpoint} names itself {me}")).await
            }
            (Err(failure), _) => {
                wire.close().await;
                let belongs = self.wanted.set.is_none() || hello.set == self.wanted.set;
                if is_alone || !belongs {
                    Err(place(failure))
                } else {
                    self.follow_members(attempt, &hello, endpoint, place(failure)).await
                }
            }
        }
    }

    /// Connects, and reads the server's description of itself.
    async fn meet(
        &self,
        attempt: &Attempt<'_>,
        endpoint: &Endpoint,
    ) -> Result<(Wire, Hello), Failure> {
        let mut wire = Wire::open(attempt, endpoint, self.target.tls.as_ref(), "MongoDB").await?;
        match self.hello(&mut wire).await {
            Ok(hello) => Ok((wire, hello)),
            Err(failure) if failure.class == Class::Connect && self.target.tls.is_none() => {
                if wire.heard() {
                    Err(failure)
                } else {
                    Err(failure.hint("a port that wants TLS closes so: tls=true then"))
                }
            }
            Err(failure) => Err(failure),
        }
    }

    async fn hello(&self, wire: &mut Wire) -> Result<Hello, Failure> {
        let user = self.target.login.as_ref();
        let user = user.and_then(|login| name_for_hello(login, self.database));
        let mut failed = None;
        // Servers before 4.4.2 know the old name alone. Azure Cosmos DB serves no other one before
        // a login; drivers begin with the old name.
        for name in ["hello", "isMaster"] {
            let mut command = Builder::default().i32(name, 1).bool("helloOk", true);
            if let Some(user) = &user {
                command = command.text("saslSupportedMechs", user);
            }
            if self.wanted.balanced {
                command = command.bool("loadBalanced", true);
            }
            let reply = ask_command(wire, command, "admin").await?;
            match code(reply.document()) {
                None => return Ok(Hello::read(reply.document())),
                Some(code) => {
                    failed = Some(reply_failure(reply.document(), wire.endpoint()));
                    if !may_know_old_name(code) {
                        break;
                    }
                }
            }
        }
        Err(failed.unwrap_or_else(|| odd(wire, "no reply to hello")))
    }

    /// Logs in to the server that is wanted, and asks it for something harmless.
    async fn finish(
        &self,
        attempt: &Attempt<'_>,
        mut wire: Wire,
        hello: &Hello,
    ) -> Result<String, Failure> {
        let endpoint = wire.endpoint().clone();
        match &self.target.login {
            Some(login) => {
                attempt.stage(format!("connected to {endpoint}, but no end of the login"));
                log_in(&mut wire, login, self.database, &hello.mechanisms).await?;
                attempt.stage(format!("logged in to {endpoint}, but no answer to ping"));
                let ping = Builder::default().i32("ping", 1);
                let reply = ask_command(&mut wire, ping, "admin").await?;
                if code(reply.document()).is_some() {
                    return Err(reply_failure(reply.document(), &endpoint).cost(Cost::Login));
                }
            }
            None => self.is_open(&mut wire).await?,
        }
        wire.close().await;
        Ok(format!("MongoDB, {} ({endpoint})", hello.shown()))
    }

    /// Checks that the server serves without a login. `hello` and `ping` prove nothing: they need
    /// none.
    async fn is_open(&self, wire: &mut Wire) -> Result<(), Failure> {
        let command = Builder::default()
            .i32("listDatabases", 1)
            .bool("nameOnly", true)
            .document("filter", Builder::default().text("name", "admin"))
            .document("$readPreference", Builder::default().text("mode", "primaryPreferred"));
        let reply = ask_command(wire, command, "admin").await?;
        let Some(code) = code(reply.document()) else { return Ok(()) };
        let failure = reply_failure(reply.document(), wire.endpoint());
        match failure.class {
            Class::Auth => {
                Err(failure.hint("no credentials were given: mongodb://USER:PASSWORD@HOST"))
            }
            _ if is_not_serving(code) => Err(failure),
            // Servers of other makers may not know the command.
            _ => Ok(()),
        }
    }

    /// Asks the members that a server names, unless they have a turn of their own.
    async fn follow_members(
        &self,
        attempt: &Attempt<'_>,
        hello: &Hello,
        endpoint: &Endpoint,
        failure: Failure,
    ) -> Result<String, Failure> {
        let asked = endpoint.to_string();
        let is_new = |host: &&str| {
            let is_declared = |known: &Endpoint| known.to_string().eq_ignore_ascii_case(host);
            !host.eq_ignore_ascii_case(&asked) && !self.declared.iter().any(is_declared)
        };
        let candidates = hello.candidates();
        let candidates: Vec<&str> = candidates.into_iter().filter(is_new).collect();
        let mut first = None;
        let count = candidates.len().min(MAX_FOLLOWED);
        for (followed, host) in candidates.into_iter().take(count).enumerate() {
            let share = attempt.remaining() / (count - followed) as u32;
            let bounded = attempt.with_deadline(tokio::time::Instant::now() + share);
            let why = format!("{endpoint} names {host}");
            match self.follow(&bounded, hello, host, &why).await {
                Ok(detail) => return Ok(detail),
                Err(failure) => first.get_or_insert(failure),
            };
        }
        // Without a primary the declared server's own state is the reason.
        let is_reason = hello.primary.is_some() || self.wanted.role != Role::Primary;
        Err(first.filter(|_| is_reason).unwrap_or(failure))
    }

    /// Asks the member at the address `host`, as the replica set of `namer` has it. `why` names the
    /// server that gave it.
    async fn follow(
        &self,
        attempt: &Attempt<'_>,
        namer: &Hello,
        host: &str,
        why: &str,
    ) -> Result<String, Failure> {
        let why = one_line(why, 200);
        let Some(endpoint) = endpoint_of(host) else {
            return Err(Failure::new(Class::Protocol, format!("{why}, which is no address")));
        };
        // A little shorter than the attempt's own bound, so that the reason is reported.
        let bound = attempt.remaining().mul_f64(0.9);
        let met = match timeout(bound, self.meet(attempt, &endpoint)).await {
            Ok(met) => met,
            Err(_) => Err(attempt.timed_out(bound)),
        };
        let (wire, hello) = met.map_err(|failure| {
            let message = match failure.class {
                Class::Dns | Class::Connect | Class::Timeout => "which this host does not reach",
                _ => "which answers",
            };
            let message = format!("{why}, {message}: {}", failure.message);
            let failure = failure.with(|reason| {
                reason.message = message.into();
                reason.means_down = false;
            });
            failure.cost(Cost::Answer).hint(
                "drivers use the replica set's own addresses; directConnection=true does without",
            )
        })?;
        // On this host the address may be that of something else, e.g. localhost.
        let verdict = if hello.set == namer.set {
            self.wanted.check(&hello)
        } else {
            let message = format!("{why}, which is {}, and no member", hello.shown());
            Err(Failure::new(Class::Absent, message))
        };
        match verdict {
            Ok(()) => self.finish(attempt, wire, &hello).await,
            Err(failure) => {
                wire.close().await;
                let message = format!("{} ({endpoint})", failure.message);
                Err(failure.with(|reason| reason.message = message.into()))
            }
        }
    }
}

/// `HOST:PORT` as the members of a replica set write it.
fn endpoint_of(host: &str) -> Option<Endpoint> {
    let (name, port) = host.rsplit_once(':')?;
    let name = name.trim_matches(['[', ']']);
    let is_odd = |c: char| c.is_control() || c.is_whitespace();
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!name.is_empty() && !name.contains(is_odd)).then(|| Endpoint::Tcp(name.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_members_address_is_read() {
        let tcp = |host: &str, port| Some(Endpoint::Tcp(host.to_owned(), port));
        assert_eq!(endpoint_of("a.test:27017"), tcp("a.test", 27017));
        assert_eq!(endpoint_of("[::1]:1"), tcp("::1", 1));
        for odd in ["a", "a:x", ":1", "a:0", "a b:1"] {
            assert_eq!(endpoint_of(odd), None, "{odd}");
        }
    }
}
