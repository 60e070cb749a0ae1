//! A kind for the tests of the registry. A kind needs no more than this file and two lines in
//! `mod.rs`.
//!
//! It uses every field of [`Kind`], so that nothing outside of `kinds` can depend on the real ones.

use std::path::PathBuf;

use crate::{
    plan,
    probe::{Attempt, AttemptFuture, Probe, Verdict},
    spec::{ConfigError, Declaration, Declared, Grammar, Key, Kind, Mistakes, Spec, expand::Env},
    wait::settings::Settings,
};

pub(super) static KIND: Kind = Kind {
    name: "fake",
    schemes: &["fake+plain", "fake+plains"],
    dialects: &[&["plane", "jdbc:plain"]],
    has_drivers: true,
    prefix: "fake+",
    grammar: Grammar::ServersWithLogins,
    usage: "fake+plain://HOST",
    summary: "always",
    keys: &[&[Key { name: "tag", value: "TEXT", help: "may be given several times" }]],
    repeats: &["tag"],
    awaited_file: Some(|_| PathBuf::from("/fake")),
    alternatives: None,
    harmed_by_connects: None,
    build,
};

struct Fake;

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    if spec.all("tag").any(|tag| tag == "wrong") {
        Err(spec.key_error("tag", "must not be wrong"))
    } else {
        Ok(Box::new(Fake))
    }
}

impl Probe for Fake {
    fn attempt<'a>(&'a mut self, _: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async { Verdict::ready("always") })
    }
}

fn env() -> Env {
    Env::new(|name| match name {
        "URL" => Some("plains://u:p@a,plains://b/x".into()),
        "JDBC" => Some("jdbc:plain://c".into()),
        _ => None,
    })
}

fn planned(text: &str) -> Result<plan::Plan, String> {
    let (mut declared, mut mistakes) = (Declared::default(), Mistakes::default());
    declared.add(None, Declaration::parse("dependency 1", text, &env()), &mut mistakes);
    let plan = plan::plan(declared, &Settings::default(), &env(), &mut mistakes);
    mistakes.check().map(|()| plan).map_err(|errors| errors.to_string())
}

fn built(plan: plan::Plan) -> Result<(), String> {
    let mut mistakes = Mistakes::default();
    plan::build(plan.planned, &mut mistakes);
    mistakes.check().map_err(|errors| errors.to_string())
}

#[test]
fn a_kind_is_read_by_its_own_statement_alone() {
    for (text, name, rest) in [
        (
            "fake+plain://u:p@a:1,fake+plain://v:q@b:2/x",
            "fake+plain://a:1,b:2/x",
            "//u:p@a:1,v:q@b:2/x",
        ),
        ("fake+plain+py_driver://a", "fake+plain+py_driver://a", "//a"),
        ("fake+plane://a", "fake+plane://a", "//a"),
        ("fake+jdbc:plain://a", "fake+jdbc", "plain://a"),
        ("fake+${JDBC}", "fake+${JDBC}", "plain://c"),
        ("fake+env:URL#tag=1", "fake+${URL}", "//u:p@a,plains://b/x"),
        ("fake+plain:${URL}", "fake+plain:${URL}", "//u:p@a,plains://b/x"),
        ("x=fake+plain://a#tag=1,tag=2", "x", "//a"),
    ] {
        let plan = planned(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let planned = &plan.planned[0];
        assert_eq!(planned.kind.name, "fake", "{text}");
        assert_eq!(
            (planned.spec.name.as_str(), planned.spec.rest.expanded().as_str()),
            (name, rest)
        );
        assert_eq!(planned.kind.awaited_file.map(|file| file(&planned.spec)), Some("/fake".into()));
        assert_eq!(built(plan), Ok(()), "{text}");
    }
}

#[test]
fn what_a_kind_does_not_state_is_refused() {
    for (text, want) in [
        ("fake+plain://a:0", "dependency 1: the port must be a number"),
        ("fake+plain://a#timeout=1s,timeout=2s", "fake+plain://a: timeout: is given twice"),
        ("fake+plain://a#tga=1", "fake+plain://a: unknown key tga, did you mean tag?"),
        ("fake+jdbc:other://a", "dependency 1: of the jdbc: URLs"),
        ("fake+plainer://a", "dependency 1: unknown scheme fake+plainer:, did you mean fake+plain"),
    ] {
        let error = planned(text).err().unwrap_or_else(|| panic!("{text}"));
        assert!(error.starts_with(want), "{text}: {error}");
    }
    let plan = planned("x=fake+plain://a#tag=wrong").unwrap();
    assert_eq!(built(plan).unwrap_err(), "x: tag: must not be wrong");
}

#[test]
fn no_room_below_the_kinds_knows_one_by_name() {
    let names = super::KINDS.iter().flat_map(|kind| kind.schemes.iter().chain([&kind.name]));
    // The grammar gives `HOST:PORT` this scheme, whatever HOST is called.
    let names: Vec<String> =
        names.filter(|name| **name != "tcp").map(|name| format!("\"{name}\"")).collect();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    for room in ["spec", "plan", "cli", "main.rs"] {
        for (path, text) in sources(&std::path::Path::new(source).join(room)) {
            let product = text.split("#[cfg(test)]").next().unwrap_or_default();
            for name in &names {
                assert!(!product.contains(name.as_str()), "{} knows {name}", path.display());
            }
        }
    }
}

/// Returns every Rust file at or below `path` except tests, with its text.
fn sources(path: &std::path::Path) -> Vec<(PathBuf, String)> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        return entries.flat_map(|entry| sources(&entry.unwrap().path())).collect();
    }
    if path.ends_with("tests.rs") {
        Vec::new()
    } else {
        vec![(path.to_owned(), std::fs::read_to_string(path).unwrap())]
    }
}
