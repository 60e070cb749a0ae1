//! Connection strings of MongoDB in every form.

use super::*;
use crate::{kinds::mongodb::KIND, spec::expand::Env};

fn read(text: &str) -> Result<Target, String> {
    let env = Env::new(|_| None);
    let spec = Spec::parse("m", &KIND, text, &env).map_err(|error| error.to_string())?;
    Target::from_spec(&spec).map_err(|error| error.to_string())
}

fn servers(target: &Target) -> String {
    match &target.source {
        Source::Listed(servers) => {
            servers.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(" ")
        }
        Source::Records(records) => format!("_{}._tcp.{}", records.service, records.host),
    }
}

#[test]
fn servers_roles_and_sets_are_read_as_the_drivers_read_them() {
    for (text, at, role, set, encrypted) in [
        ("mongodb://a", "a:27017", Role::Primary, "", false),
        ("mongodb://a:1,b:2/app?replicaSet=rs0", "a:1 b:2", Role::Primary, "rs0", false),
        ("mongodb://[::1]:1", "[::1]:1", Role::Primary, "", false),
        (
            "mongodb://%2Ftmp%2Fmongodb-27017.sock/",
            "/tmp/mongodb-27017.sock",
            Role::Primary,
            "",
            false,
        ),
        ("mongodb://a/?readPreference=secondary", "a:27017", Role::Secondary, "", false),
        ("mongodb://a/?readpreference=Nearest&retryWrites=false", "a:27017", Role::Any, "", false),
        ("mongodb://a/?directConnection=true", "a:27017", Role::Any, "", false),
        (
            "mongodb://a/?directConnection=true&readPreference=secondary&readPreferenceTags=dc:ny",
            "a:27017",
            Role::Any,
            "",
            false,
        ),
        ("mongodb://a/?directConnection=true#role=primary", "a:27017", Role::Primary, "", false),
        ("mongodb://a?TLS=true&replicaSet=x#replica-set=y", "a:27017", Role::Primary, "y", true),
        ("mongodb://a#insecure", "a:27017", Role::Primary, "", true),
        ("mongodb+srv://c.example.com/app", "_mongodb._tcp.c.example.com", Role::Primary, "", true),
        (
            "mongodb+srv://c.example.com./?srvServiceName=own&ssl=false",
            "_own._tcp.c.example.com",
            Role::Primary,
            "",
            false,
        ),
    ] {
        let target = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(servers(&target), at, "{text}");
        assert_eq!(target.wanted.role, role, "{text}");
        assert_eq!(target.wanted.set.unwrap_or_default(), set, "{text}");
        assert_eq!(target.tls.is_some(), encrypted, "{text}");
    }
    let tagged =
        "mongodb://a/?readPreference=secondary&readPreferenceTags=dc:ny,rack:1&readPreferenceTags=";
    assert_eq!(read(tagged).unwrap().wanted.tags.len(), 2);
}

#[test]
fn a_login_knows_the_database_of_its_user() {
    for (text, want) in [
        ("mongodb://a/app", None),
        ("mongodb://u:p%40@a", Some("u p@ admin")),
        ("mongodb://u:p@a/app", Some("u p app")),
        ("mongodb://u:p@a/app?authSource=users", Some("u p users")),
        ("mongodb://u:p@a/app?authMechanism=PLAIN", Some("u p $external")),
        ("mongodb://a/?authMechanism=MONGODB-X509&tls=true", Some("  $external")),
        ("mongodb://a/app#user=u,password=p", Some("u p app")),
    ] {
        let target = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let shown = target
            .login
            .map(|login| format!("{} {} {}", login.user, login.password.reveal(), login.database));
        assert_eq!(shown.as_deref(), want, "{text}");
    }
}

#[test]
fn a_wrong_connection_string_states_what_must_be() {
    for (text, says) in [
        ("mongodb://u@a", "must have a password beside the user"),
        ("mongodb://a?authMechanism=SCRAM-SHA-1", "must have a user"),
        ("mongodb://u:p@a/?authMechanism=GSSAPI", "authMechanism: must be SCRAM-SHA-256"),
        ("mongodb://u:p@a/?authMechanism=MONGODB-AWS", "authMechanism: must be SCRAM-SHA-256"),
        ("mongodb://a,b/?directConnection=true", "directConnection=true must have one server"),
        ("mongodb://a/?loadBalanced=true&replicaSet=x", "loadBalanced=true must have one server"),
        ("mongodb://a/?tls=yes", "tls: must be true or false"),
        ("mongodb://a/?tls=true&ssl=false", "tls and ssl: must not contradict each other"),
        ("mongodb://a/?ssl=true&tls=x", "tls: must be true or false"),
        ("mongodb://a/?readPreference=first", "readPreference: must be primary"),
        ("mongodb://a/?readPreferenceTags=dc:ny", "readPreferenceTags: must have a readPreference"),
        (
            "mongodb://a/?readPreference=nearest&readPreferenceTags=ny",
            "readPreferenceTags: must be NAME:VALUE",
        ),
        ("mongodb://a/?proxyHost=p", "proxyHost: must be left out"),
        ("mongodb://a/#role=first", "role: must be primary, secondary or any"),
        ("mongodb+srv://a.b.c:1", "mongodb+srv: must have one name, without a port"),
        ("mongodb+srv://a.b.c,d.b.c", "mongodb+srv: must have one name, without a port"),
        ("mongodb://a/?tls=false#insecure", "tls=false contradicts"),
        ("mongodb:a", "must be followed by //"),
    ] {
        let error = read(text).err().unwrap_or_default();
        assert!(error.contains(says), "{text}: {error}");
    }
}
