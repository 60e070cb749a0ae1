use super::*;
use crate::{
    kinds::postgres::{KIND, dsn},
    spec::expand::Env,
};

/// Mode, verification and authorities, or the error. `~` is the home directory, which is empty.
fn asked(text: &str, env: &[(&str, &str)]) -> String {
    let spec = Spec::parse("db", &KIND, text, &Env::new(|_| None)).unwrap();
    let declared = dsn::read(&spec).unwrap();
    let mut variables = Params::default();
    env.iter().for_each(|(keyword, value)| variables.set(keyword, *value));
    let effective = declared.clone().or(variables);
    match decide(&spec, &declared, &effective, Some("/does/not/exist")) {
        Ok(asked) => format!(
            "{} {:?} {}",
            asked.mode.word(),
            asked.verify,
            asked.files.ca.as_deref().unwrap_or("-")
        ),
        Err(error) => error.to_string(),
    }
}

#[test]
fn sslmode_means_what_it_means_to_libpq() {
    for (text, want) in [
        ("postgres://h", "prefer Nothing -"),
        ("postgres://h?sslmode=disable", "disable Nothing -"),
        ("postgres://h?sslmode=allow", "allow Nothing -"),
        ("postgres://h?sslmode=require", "require Nothing -"),
        ("postgres://h?sslmode=require&sslrootcert=ca", "require Chain ca"),
        ("postgres://h?sslmode=prefer&sslrootcert=ca", "prefer Chain ca"),
        ("postgres://h?sslmode=verify-ca&sslrootcert=ca", "verify-ca Chain ca"),
        ("postgres://h?sslmode=verify-full&sslrootcert=ca", "verify-full Full ca"),
        ("postgres://h?sslmode=verify-full", "verify-full Full -"),
        ("postgres://h?sslrootcert=system", "verify-full Full system"),
        (
            "postgres://h?sslmode=require&sslrootcert=system",
            "db: sslmode=require is too weak for sslrootcert=system: must be verify-full, as libpq \
            has it",
        ),
        ("postgres:host=h requiressl=1", "require Nothing -"),
        ("postgres://h?sslmode=no-verify&sslrootcert=ca", "require Nothing ca"),
        (
            "postgres://h?sslmode=requrie",
            "db: sslmode (or PGSSLMODE): must be one of disable, allow, prefer, require, \
            verify-ca, verify-full; did you mean require?",
        ),
        (
            "postgres://h?sslmode=yes",
            "db: sslmode (or PGSSLMODE): must be one of disable, allow, prefer, require, \
            verify-ca, verify-full",
        ),
    ] {
        assert_eq!(asked(text, &[]), want, "{text}");
    }
}

#[test]
fn our_keys_mean_verify_full_and_are_not_contradicted() {
    const NOT_PROVED: &str = "under which the server need not prove itself";
    for (text, want) in [
        ("postgres://h#ca=/c", "verify-full Full /c"),
        ("postgres://h#server-name=x", "verify-full Full -"),
        ("postgres://h#cert=/c,key=/k", "verify-full Full -"),
        ("postgres://h?sslmode=require#ca=/c", "require Chain /c"),
        ("postgres://h?sslmode=verify-ca&sslrootcert=x#ca=/c", "verify-ca Chain /c"),
        (
            "postgres://h?sslmode=prefer#ca=/c",
            &format!("db: ca: contradicts sslmode=prefer, {NOT_PROVED}"),
        ),
        (
            "postgres://h?sslmode=disable#server-name=c",
            &format!("db: server-name: contradicts sslmode=disable, {NOT_PROVED}"),
        ),
        ("postgres://h#insecure", "require Nothing -"),
        ("postgres://h?sslmode=require#insecure", "require Nothing -"),
        (
            "postgres://h?sslmode=verify-full#insecure",
            "db: insecure: contradicts sslmode=verify-full",
        ),
        ("postgres://h?sslmode=disable#insecure", "db: insecure: contradicts sslmode=disable"),
        ("postgres://h?sslrootcert=ca#insecure", "db: insecure: contradicts sslrootcert"),
    ] {
        assert_eq!(asked(text, &[]), want, "{text}");
    }
}

#[test]
fn a_variable_gives_way_to_the_declaration() {
    let env = [("sslmode", "disable"), ("sslrootcert", "/env")];
    for (text, want) in [
        ("postgres://h", "disable Chain /env"),
        ("postgres://h?sslmode=verify-ca", "verify-ca Chain /env"),
        ("postgres://h#ca=/c", "verify-full Full /c"),
        ("postgres://h#insecure", "require Nothing /env"),
    ] {
        assert_eq!(asked(text, &env), want, "{text}");
    }
}

#[test]
fn the_keys_file_is_ours_alone() {
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for (mode, by_root, by_others) in
        [(0o600, true, true), (0o640, true, false), (0o644, false, false), (0o660, false, false)]
    {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let owned_by_root = fs::metadata(path).unwrap().uid() == 0;
        assert_eq!(
            check_key_file(path).is_ok(),
            if owned_by_root { by_root } else { by_others },
            "{mode:o}"
        );
    }
    let why = check_key_file(path).unwrap_err();
    assert_eq!(
        why,
        format!(
            "{path}: its mode is 0660, and must be 0600 or less, or 0640 or less where root owns it"
        )
    );
}

fn decided(text: &str) -> Result<Requested, String> {
    let spec = Spec::parse("db", &KIND, text, &Env::new(|_| None)).unwrap();
    let declared = dsn::read(&spec).unwrap();
    decide(&spec, &declared, &declared, None).map_err(|error| error.to_string())
}

#[test]
fn versions_are_those_that_libpq_allows() {
    for (query, want) in [
        ("", "Both"),
        ("&ssl_min_protocol_version=TLSv1", "Both"),
        ("&ssl_min_protocol_version=TLSv1.3", "Only13"),
        ("&ssl_max_protocol_version=TLSv1.2", "Only12"),
        (
            "&ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
            "db: ssl_min_protocol_version",
        ),
        ("&ssl_max_protocol_version=TLSv1.1", "db: ssl_max_protocol_version"),
        ("&ssl_min_protocol_version=1.3", "db: ssl_min_protocol_version"),
    ] {
        let got = decided(&format!("postgres://h?sslmode=require{query}"));
        let got = got.map_or_else(|error| error, |asked| format!("{:?}", asked.versions));
        assert!(got.starts_with(want), "{query}: {got}");
    }
}

#[test]
fn direct_negotiation_wants_a_mode_that_requires_tls() {
    for (mode, ok) in
        [("require", true), ("verify-full", true), ("prefer", false), ("disable", false)]
    {
        let got = decided(&format!("postgres://h?sslmode={mode}&sslnegotiation=direct"));
        assert_eq!(got.is_ok(), ok, "{mode}: {got:?}");
    }
    let error = decided("postgres://h?sslnegotiation=direct").unwrap_err();
    assert!(error.contains("sslmode=prefer is too weak for sslnegotiation=direct"), "{error}");
    assert!(decided("postgres://h?sslnegotiation=maybe").unwrap_err().contains("must be one of"));
}

#[test]
fn files_that_libpq_leaves_out_are_left_out_with_a_note() {
    for (text, ca, cert, noted) in [
        (
            "postgres://h?sslmode=require&sslcert=/none&sslkey=/none",
            None,
            None,
            "sslcert (or PGSSLCERT): names no file",
        ),
        ("postgres://h?sslmode=require&sslkey=/none", None, None, ""),
        (
            "postgres://h?sslmode=require&sslrootcert=/none",
            None,
            None,
            "sslrootcert (or PGSSLROOTCERT): names no file",
        ),
        ("postgres://h?sslmode=verify-ca&sslrootcert=/none", Some("/none"), None, ""),
        ("postgres://h#ca=/none", Some("/none"), None, ""),
        ("postgres://h#cert=/none,key=/none", None, Some("/none"), ""),
        ("postgres://h?sslmode=verify-full&sslrootcert=system", Some("system"), None, ""),
    ] {
        let spec = Spec::parse("db", &KIND, text, &Env::new(|_| None)).unwrap();
        let declared = dsn::read(&spec).unwrap();
        let asked = decide(&spec, &declared, &declared, None).unwrap();
        let files = existing(&spec, &declared, asked.files, asked.mode).unwrap();
        assert_eq!((files.ca.as_deref(), files.cert.as_deref()), (ca, cert), "{text}");
        let notes = spec.notes().concat();
        assert!(notes.contains(noted) && notes.is_empty() == noted.is_empty(), "{text}: {notes}");
    }
}
