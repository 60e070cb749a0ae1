//! `mongodb+srv:`: servers and options from SRV and TXT records.
//!
//! Source: the drivers' specification "Initial DNS Seedlist Discovery".

use super::target::Records;
use crate::{
    connect::{Endpoint, Record, RecordType},
    probe::{Attempt, Class, Failure},
};

/// The most servers that are asked.
const MAX_SERVERS: usize = 50;

/// The content of the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) servers: Vec<Endpoint>,
    pub(super) set: Option<String>,
    /// `authSource`: the database that holds the user.
    pub(super) database: Option<String>,
    pub(super) balanced: bool,
}

/// Looks the records up.
pub(super) async fn look_up(attempt: &Attempt<'_>, records: &Records) -> Result<Found, Failure> {
    let name = format!("_{}._tcp.{}", records.service, records.host);
    let servers = attempt.records(&name, RecordType::Srv).await?;
    let servers = checked(&records.host, &name, servers)?;
    // A name without texts may not exist at all.
    let texts = match attempt.records(&records.host, RecordType::Txt).await {
        Err(failure) if failure.means_down => Vec::new(),
        texts => texts?,
    };
    let mut found = Found { servers, ..Found::default() };
    read_texts(&mut found, records, &texts)?;
    Ok(found)
}

/// The servers of the records. They must be in the domain that the URL names: a forged record must
/// not lead the login elsewhere.
fn checked(host: &str, name: &str, records: Vec<Record>) -> Result<Vec<Endpoint>, Failure> {
    let failure = |message: String| Failure::new(Class::Dns, format!("{name}: {message}"));
    let domain = match host.split_once('.') {
        Some((_, domain)) if domain.contains('.') => domain,
        _ => host,
    };
    let suffix = format!(".{}", domain.to_ascii_lowercase());
    let mut servers = Vec::new();
    for record in records {
        let Record::Srv(server, port) = record else { continue };
        if !server.to_ascii_lowercase().ends_with(&suffix) {
            return Err(failure(format!("the server {server} is outside of the domain {domain}")));
        }
        servers.push(Endpoint::Tcp(server, port));
    }
    servers.truncate(MAX_SERVERS);
    if servers.is_empty() {
        Err(failure("there are no SRV records".to_owned()))
    } else {
        Ok(servers)
    }
}

fn read_texts(found: &mut Found, records: &Records, texts: &[Record]) -> Result<(), Failure> {
    let failure = |message: &str| {
        Failure::new(Class::Dns, format!("the TXT record of {}: {message}", records.host))
    };
    let text = match texts {
        [] => return Ok(()),
        [Record::Txt(text)] => text,
        _ => return Err(failure("there must be one at most")),
    };
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let overridden = records.overridden.iter().any(|known| is(known));
        if is("authSource") {
            found.database = Some(value.to_owned()).filter(|_| !overridden);
        } else if is("replicaSet") {
            found.set = Some(value.to_owned()).filter(|_| !overridden);
        } else if is("loadBalanced") {
            found.balanced = value == "true" && !overridden;
        } else {
            return Err(failure("only authSource, replicaSet and loadBalanced are allowed"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn servers_must_be_in_the_domain_of_the_url() {
        let srv = |host: &str| Record::Srv(host.to_owned(), 27017);
        for (host, record, is_fine) in [
            ("c.example.com", "a.example.com", true),
            ("c.example.com", "A.B.Example.com", true),
            ("c.example.com", "a.other.com", false),
            ("c.example.com", "aexample.com", false),
            ("c.example.com", "example.com", false),
            ("example.com", "a.example.com", true),
            ("example.com", "a.other.com", false),
            ("localhost", "a.localhost", true),
        ] {
            assert_eq!(checked(host, "n", vec![srv(record)]).is_ok(), is_fine, "{host} {record}");
        }
        assert!(checked("c.example.com", "n", Vec::new()).is_err());
    }

    #[test]
    fn a_text_may_set_three_options_that_the_url_overrides() {
        let records = |overridden: &[&'static str]| Records {
            host: "c.test".to_owned(),
            service: "mongodb".to_owned(),
            overridden: overridden.to_vec(),
        };
        let read = |overridden: &[&'static str], texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| Record::Txt((*text).to_owned())).collect();
            let mut found = Found::default();
            read_texts(&mut found, &records(overridden), &texts).map(|()| found)
        };
        let found = read(&[], &["authSource=thisDB&replicaSet=repl0"]).unwrap();
        assert_eq!(found.database.as_deref(), Some("thisDB"));
        assert_eq!(found.set.as_deref(), Some("repl0"));
        let found = read(&["authSource"], &["authSource=thisDB&loadBalanced=true"]).unwrap();
        assert_eq!((found.database, found.balanced), (None, true));
        assert_eq!(read(&[], &[]).unwrap(), Found::default());
        assert!(read(&[], &["tls=false"]).is_err() && read(&[], &["a=b", "c=d"]).is_err());
    }
}
