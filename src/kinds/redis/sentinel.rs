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
    probe::{Attempt, Class, Failure},
    text::{MAX_FOREIGN, one_line},
};

/// Asks the Sentinel at `at` for the server, then that server.
///
/// A Sentinel reports the last known address of a master, even if it is down. Only the server
/// itself can prove that it is up.
pub(super) async fn ask(
    attempt: &Attempt<'_>,
    target: &Target,
    sentinel: &Sentinel,
    at: &Endpoint,
) -> Result<String, Failure> {
    let endpoint = find(attempt, target, sentinel, at).await?;
    session::ask(attempt, target, &endpoint).await.map_err(|failure| {
        // The address may be reachable for the Sentinel alone.
        let says =
            format!("{}; the Sentinel {at} names it for {}", failure.message, sentinel.master);
        failure.with(|reason| {
            reason.message = one_line(&says, MAX_FOREIGN);
            reason.means_down = false;
        })
    })
}

async fn find(
    attempt: &Attempt<'_>,
    target: &Target,
    sentinel: &Sentinel,
    at: &Endpoint,
) -> Result<Endpoint, Failure> {
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
        Reply::Array(Some(instances)) if replicas => replica(instances),
        Reply::Array(Some(address)) => address_of(address),
        Reply::Array(None) | Reply::Text(None) => None,
        Reply::Error(text) if text.contains("No such master") => None,
        Reply::Error(text) if is_denied(text) => {
            let failure = unexpected(&wire, reply);
            return Err(failure.hint("not a Sentinel? Sentinels usually listen on port 26379"));
        }
        _ => return Err(unexpected(&wire, reply)),
    };
    wire.close().await;
    found.ok_or_else(|| {
        let message = if replicas {
            format!("the Sentinel knows no replica of {} that is up", sentinel.master)
        } else {
            format!("the Sentinel knows no master called {}", sentinel.master)
        };
        Failure::new(Class::Absent, format!("{message} ({at})"))
    })
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

/// The first replica that the Sentinel takes to be up. Each is an array of names and values.
fn replica(instances: &[Reply]) -> Option<Endpoint> {
    instances.iter().find_map(|instance| {
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_replica_that_is_up_is_chosen() {
        let text = |text: &str| Reply::Text(Some(text.to_owned()));
        let instance = |ip: &str, flags: &str| {
            let fields = ["ip", ip, "port", "6379", "flags", flags];
            Reply::Array(Some(fields.iter().map(|field| text(field)).collect()))
        };
        let instances = [instance("10.0.0.1", "s_down,slave"), instance("10.0.0.2", "slave")];
        assert_eq!(replica(&instances), Some(Endpoint::Tcp("10.0.0.2".to_owned(), 6379)));
        assert_eq!(replica(&instances[..1]), None);
        assert_eq!(replica(&[Reply::Integer(1)]), None);
        assert_eq!(address_of(&[text("db"), text("x")]), None);
    }
}
