//! Sentinels: they know the master and the replicas of a name.

use super::{
    failure::is_denied,
    resp::{Reply, command, read},
    session::{self, authenticate, authenticated, unexpected},
    target::{Sentinel, Target, WantedRole},
};
use crate::{
    connect::Endpoint,
    kinds::wire::Wire,
    probe::{
        Attempt, Class, Failure, ListedServer, Message, Order, Start, Turn, TurnFuture, Verdict,
        try_servers,
    },
};

/// The most replicas of one master that are asked in one attempt.
const MAX_REPLICAS: usize = 8;

/// A server that a Sentinel has named.
struct NamedServer<'a> {
    target: &'a Target,
    endpoint: Endpoint,
}

impl ListedServer for NamedServer<'_> {
    fn ask<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> TurnFuture<'a> {
        Box::pin(async {
            let asked = session::ask(attempt, self.target, &self.endpoint).await;
            Turn::from(asked.map_or_else(Verdict::from, Verdict::ready))
        })
    }
}

/// Asks the Sentinel at `at` for the server, then that server. Of several replicas, one must be
/// ready.
///
/// A Sentinel reports the last known address of a master, even if it is down. Only the server
/// itself can prove that it is up.
pub(super) async fn ask(
    attempt: &Attempt<'_>,
    target: &Target,
    sentinel: &Sentinel,
    at: &Endpoint,
) -> Result<String, Failure> {
    let found = find(attempt, target, sentinel, at).await?;
    let named = |endpoint| NamedServer { target, endpoint };
    let mut servers: Vec<_> = found.into_iter().map(named).collect();
    let turn = try_servers(attempt, &mut servers, &mut Order::new(Start::First)).await;
    let failure = match turn.verdict() {
        Verdict::Ready(ready) => return Ok(ready.detail),
        Verdict::NotYet(failure) | Verdict::Hopeless(failure) => failure,
    };
    // The address may be reachable for the Sentinel alone.
    let says = format!("{}; the Sentinel {at} names it for {}", failure.message, sentinel.master);
    Err(failure.with(|reason| {
        reason.message = Message::from(says).one_line();
        reason.means_down = false;
    }))
}

async fn find(
    attempt: &Attempt<'_>,
    target: &Target,
    sentinel: &Sentinel,
    at: &Endpoint,
) -> Result<Vec<Endpoint>, Failure> {
    let mut wire = session::connect(attempt, target, at).await?;
    attempt.stage(format!("connected to {at}, but no answer from a Sentinel"));
    let replicas = target.wanted.role == Some(WantedRole::Replica);
    let question = if replicas {
        ["SENTINEL", "slaves", &sentinel.master]
    } else {
        ["SENTINEL", "get-master-addr-by-name", &sentinel.master]
    };
    let mut reply = exchange(&mut wire, sentinel.login.as_ref(), &question).await?;
    // The Sentinels' password is usually that of the servers, or there is none.
    let is_refused = matches!(&reply, Reply::Error(text) if text.starts_with("NOAUTH"));
    if let (true, None, Some(login)) = (is_refused, &sentinel.login, &target.login) {
        reply = exchange(&mut wire, Some(login), &question).await?;
    }
    let found = match &reply {
        Reply::Array(Some(instances)) if replicas => up(instances),
        Reply::Array(Some(address)) => address_of(address).into_iter().collect(),
        Reply::Array(None) | Reply::Text(None) => Vec::new(),
        Reply::Error(text) if text.contains("No such master") => Vec::new(),
        Reply::Error(text) if is_denied(text) => {
            let failure = unexpected(&wire, reply);
            return Err(failure.hint("not a Sentinel? Sentinels usually listen on port 26379"));
        }
        _ => return Err(unexpected(&wire, reply)),
    };
    wire.close().await;
    if !found.is_empty() {
        return Ok(found);
    }
    let message = if replicas {
        format!("the Sentinel knows no replica of {} that is up", sentinel.master)
    } else {
        format!("the Sentinel knows no master called {}", sentinel.master)
    };
    Err(Failure::new(Class::Absent, format!("{message} ({at})")))
}

async fn exchange(
    wire: &mut Wire,
    login: Option<&super::target::Login>,
    question: &[&str],
) -> Result<Reply, Failure> {
    let mut out = Vec::new();
    if let Some(login) = login {
        authenticate(&mut out, login);
    }
    command(&mut out, question);
    wire.send(&out).await?;
    if let Some(login) = login {
        authenticated(wire, login).await?;
    }
    read(wire).await
}

/// `[HOST, PORT]`.
fn address_of(address: &[Reply]) -> Option<Endpoint> {
    match address {
        [Reply::Text(Some(host)), Reply::Text(Some(port))] => {
            Some(Endpoint::Tcp(host.clone(), port.parse().ok()?))
        }
        _ => None,
    }
}

/// The replicas that the Sentinel takes to be up. Each is an array of names and values.
fn up(instances: &[Reply]) -> Vec<Endpoint> {
    let endpoint = |instance: &Reply| {
        let Reply::Array(Some(fields)) = instance else { return None };
        let value = |wanted: &str| {
            fields.chunks_exact(2).find_map(|pair| match pair {
                [Reply::Text(Some(name)), Reply::Text(Some(value))] if name == wanted => {
                    Some(value.clone())
                }
                _ => None,
            })
        };
        let flags = value("flags")?;
        let is_down = ["s_down", "o_down", "disconnected"].iter().any(|down| flags.contains(down));
        (!is_down).then_some(())?;
        Some(Endpoint::Tcp(value("ip")?, value("port")?.parse().ok()?))
    };
    instances.iter().filter_map(endpoint).take(MAX_REPLICAS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_that_are_up_are_chosen() {
        let text = |text: &str| Reply::Text(Some(text.to_owned()));
        let instance = |ip: &str, flags: &str| {
            let fields = ["ip", ip, "port", "6379", "flags", flags];
            Reply::Array(Some(fields.iter().map(|field| text(field)).collect()))
        };
        let instances = [
            instance("10.0.0.1", "s_down,slave"),
            instance("10.0.0.2", "slave"),
            instance("10.0.0.3", "slave"),
        ];
        let to = |ip: &str| Endpoint::Tcp(ip.to_owned(), 6379);
        assert_eq!(up(&instances), [to("10.0.0.2"), to("10.0.0.3")]);
        assert_eq!(up(&instances[..1]), []);
        assert_eq!(up(&[Reply::Integer(1)]), []);
        assert_eq!(address_of(&[text("db"), text("x")]), None);
    }
}
