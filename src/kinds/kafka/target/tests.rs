//! Declarations of Kafka in every form.

use super::*;
use crate::{kinds::kafka::KIND, spec::expand::Env};

fn read(text: &str) -> Result<Target, String> {
    let env = Env::new(|name| (name == "BROKERS").then(|| "a,b:9093".into()));
    let spec = Spec::parse("k", &KIND, text, &env).map_err(|error| error.to_string())?;
    Target::from_spec(&spec).map_err(|error| error.to_string())
}

#[test]
fn servers_topics_and_login_are_read_from_every_form() {
    for (text, servers, topics, login, encrypted) in [
        ("kafka://a", "a:9092", "", "", false),
        ("kafka://a:1,b:2/orders", "a:1 b:2", "orders", "", false),
        ("kafka:a:1,b:2#topic=x", "a:1 b:2", "x", "", false),
        ("kafka:${BROKERS}#topic=x", "a:9092 b:9093", "x", "", false),
        ("kafka://a#topic=x+y", "a:9092", "x y", "", false),
        ("kafkas://a:9093", "a:9093", "", "", true),
        ("kafka://a#insecure", "a:9092", "", "", true),
        ("kafka+ssl://a:1,kafka+ssl://b:2", "a:1 b:2", "", "", true),
        ("kafka://u:p%40@a,b#sasl=scram-sha-512", "a:9092 b:9092", "", "SCRAM-SHA-512 u p@", false),
        ("kafka://u:p@a,u:p@b#sasl=plain", "a:9092 b:9092", "", "PLAIN u p", false),
        (
            "kafka://a?security.protocol=SASL_SSL&sasl.mechanism=SCRAM-SHA-256&sasl.username=u&sasl\
            .password=p&acks=all",
            "a:9092",
            "",
            "SCRAM-SHA-256 u p",
            true,
        ),
        ("kafka://a#user=u,password=p,sasl=plain", "a:9092", "", "PLAIN u p", false),
    ] {
        let target = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let shown: Vec<_> = target.servers.iter().map(Endpoint::to_string).collect();
        assert_eq!(shown.join(" "), servers, "{text}");
        assert_eq!(target.wanted.topics.join(" "), topics, "{text}");
        let shown = target.login.map(|login| {
            format!("{} {} {}", login.mechanism.name(), login.user, login.password.reveal())
        });
        assert_eq!(shown.unwrap_or_default(), login, "{text}");
        assert_eq!(target.tls.is_some(), encrypted, "{text}");
    }
}

#[test]
fn a_wrong_declaration_states_what_must_be() {
    for (text, says) in [
        ("kafka://u:p@a", "sasl: must be set where there is a user"),
        ("kafka://a#sasl=plain", "sasl: must have a user and a password"),
        ("kafka://u:p@a#sasl=scram-sha-1", "sasl: must be plain, scram-sha-256 or scram-sha-512"),
        ("kafka://u:p@a#sasl=gssapi", "sasl: must be plain, scram-sha-256 or scram-sha-512"),
        ("kafka://u:p@a,v:p@b#sasl=plain", "must have the same user and password"),
        ("kafka://a/b/c", "topic: must be a name of 1 to 249 letters"),
        ("kafka://a#topic=a b", "topic: must be a name of 1 to 249 letters"),
        ("kafka://a#brokers=0", "brokers: must be a number from 1"),
        ("kafka://a#partitions=3", "partitions: must have a topic beside it"),
        ("kafka://a#advertised=maybe", "advertised: must be true or false"),
        ("kafka://a?security.protocol=TLS", "security.protocol: must be PLAINTEXT, SSL"),
        ("kafka://:9092", "needs a host"),
    ] {
        let error = read(text).err().unwrap_or_default();
        assert!(error.contains(says), "{text}: {error}");
    }
}
