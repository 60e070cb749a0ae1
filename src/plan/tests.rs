use super::*;
use crate::cli::options::{VARIABLE, declare};
use crate::wait::settings::{OnTimeout, Timeout};
use std::{ffi::OsString, time::Duration};

fn env() -> Env {
    Env::new(|name| match name {
        "URL" => Some("tcp://app:1".into()),
        "Z" => Some("/z z".into()),
        VARIABLE => Some("tcp://a:1 'b=file:/x y'  c=file:${Z}".into()),
        _ => None,
    })
}

fn planned_with(texts: &[&str], defaults: &Settings) -> Result<Plan, String> {
    let (declared, mut mistakes) = declared(texts);
    let plan = plan(declared, defaults, &env(), &mut mistakes);
    mistakes.check().map(|()| plan).map_err(|errors| errors.to_string())
}

fn declared(texts: &[&str]) -> (Declared, Mistakes) {
    let args: Vec<OsString> = texts.iter().map(Into::into).collect();
    let (mut declared, mut mistakes) = (Declared::default(), Mistakes::default());
    declare(&args, &env(), &mut declared, &mut mistakes);
    (declared, mistakes)
}

fn planned(declared: &[&str]) -> Result<Plan, String> {
    planned_with(declared, &Settings::default())
}

fn called(declared: &[&str]) -> Vec<String> {
    planned(declared).unwrap().planned.into_iter().map(|planned| planned.spec.name).collect()
}

fn wrong(declared: &[&str]) -> String {
    planned(declared).err().expect("an error")
}

#[test]
fn a_dependency_is_called_by_its_name_or_by_what_it_is() {
    let declared =
        ["db=tcp://a:1", "tcp://a:1", "a:2", "file:/run/x", "${URL}", "env:URL", "tcp://[::1]:5"];
    assert_eq!(
        called(&declared),
        ["db", "tcp://a:1", "tcp://a:2", "file:/run/x", "${URL}", "${URL}-2", "tcp://[::1]:5"]
    );
}

#[test]
fn a_repeat_is_numbered_and_never_takes_a_name_that_was_given() {
    assert_eq!(called(&["file:x", "file:x", "file:x"]), ["file:x", "file:x-2", "file:x-3"]);
    assert_eq!(called(&["a=file:x", "b=file:x", "file:x"]), ["a", "b", "file:x"]);
}

#[test]
fn a_name_given_twice_is_an_error() {
    assert_eq!(wrong(&["a=file:x", "a=file:y"]), "a: the name is given to two dependencies");
}

#[test]
fn a_key_beats_the_option_which_beats_the_default() {
    let defaults = Settings { timeout: Timeout::Never, successes: 3, ..Settings::default() };
    let plan =
        planned_with(&["a=file:x#timeout=5s,on-timeout=proceed", "b=file:y"], &defaults).unwrap();
    let settings: Vec<_> = plan.planned.iter().map(|planned| &planned.settings).collect();
    assert_eq!(settings[0].timeout, Timeout::After(Duration::from_secs(5)));
    assert_eq!((settings[0].on_timeout, settings[0].successes), (OnTimeout::Proceed, 3));
    assert_eq!((settings[1].timeout, settings[1].on_timeout), (Timeout::Never, OnTimeout::Fail));
}

#[test]
fn mistakes_name_the_dependency_and_key_without_a_value() {
    for (declared, want) in [
        (&["a=file:x#tiemout=S3CR"][..], "a: unknown key tiemout, did you mean timeout?"),
        (&["a=file:x#timeout=S3CR"], "a: timeout: must be a duration, 0 or never, e.g. 30s, 2m"),
        (&["a=file:x#timeout=1s,timeout=2s"], "a: timeout: is given twice"),
        (
            &["a=file:x#interval=2s"],
            "a: interval: must not be longer than max-interval, which is 1s",
        ),
        (
            &["a=file:x#interval=500ms,max-interval=200ms"],
            "a: max-interval: must not be shorter than interval, which is 500ms",
        ),
        (
            &["a=file:x#S3CR"],
            "a: behind the # must stand KEY=VALUE pairs, joined by commas (a literal comma in a \
            value is %2C; a # in a path or command must come from a variable, e.g. ${NAME})",
        ),
        (&["a=filr:x"], "a: unknown scheme filr:, did you mean file:?"),
        (
            &["a=app:${NONE:-5432}"],
            "a: a port in a variable must follow its scheme, e.g. tcp://db:${PORT}",
        ),
        (
            &["a=tcp://app:${NONE:-x}"],
            "a: the variable NONE must hold a port: a number from 1 to 65535",
        ),
        (
            &["a=tcp://${NONE:-app:1}:5432"],
            "a: the variable NONE must hold a host: a name or an address",
        ),
        (
            &["a=app:S3CR@tcp(db:3306)/app"],
            "a: a connection string of Go's MySQL driver must follow its scheme, e.g. \
            mysql:${NAME}",
        ),
        (
            &["file:x", "a=oracle://:S3CR@h"],
            "a: oracle: is not checked by its own protocol; tcp://HOST:PORT waits for the port, \
            exec: for a command",
        ),
        (
            &["a=file:x", "S3CR"],
            "dependency 2: must be a URL or HOST:PORT, e.g. postgres://app@db/app, cache:6379",
        ),
        (&["a=${NONE}"], "a: the variable NONE is not set (a default is written ${NONE:-...})"),
    ] {
        assert_eq!(wrong(declared), want);
    }
}

#[test]
fn an_unknown_key_without_a_near_one_lists_all_keys() {
    let said = wrong(&["a=tcp://a:1#zebra=S3CR"]);
    assert!(
        said.starts_with("a: unknown key zebra; tcp takes timeout, attempt-timeout, interval, "),
        "{said}"
    );
    // A key of another kind is unknown here.
    assert!(wrong(&["a=tcp://a:1#query=S3CR"]).starts_with("a: unknown key query"));
}

#[test]
fn after_names_other_dependencies_and_no_chain_comes_back() {
    for (declared, want) in [
        (&["a=file:x#after=b"][..], "a: after: must name a dependency; none is called b"),
        (
            &["db=file:x", "b=file:y#after=bd"],
            "b: after: must name a dependency; none is called bd, did you mean db?",
        ),
        (&["a=file:x#after=a"], "a: after: must not lead back to itself"),
        (&["a=file:x#after=b", "b=file:y#after=a"], "a: after: must not lead back to itself"),
        (
            &["a=file:x#after=b", "b=file:y#after=c", "c=file:z#after=a"],
            "a: after: must not lead back to itself",
        ),
        (
            &["d=file:w#after=a", "a=file:x#after=b", "b=file:y#after=a"],
            "a: after: must not lead back to itself",
        ),
    ] {
        assert_eq!(wrong(declared), want);
    }
    let plan = planned(&["c=file:z#after=a+b", "a=file:x", "b=file:y#after=a"]).unwrap();
    let (built, _) = build(plan.planned, &mut Mistakes::default());
    let after: Vec<_> = built.iter().map(|dependency| dependency.after.clone()).collect();
    assert_eq!(after, [vec![1, 2], vec![], vec![1]]);
}

#[test]
fn the_variable_is_read_where_argv_declares_nothing() {
    let of = |args: &[&str]| {
        let (declared, mut mistakes) = declared(args);
        mistakes.check().unwrap();
        let declarations = declared.declarations.into_iter();
        declarations.map(|d| (d.name, d.rest.expanded())).collect::<Vec<_>>()
    };
    let named = |name: &str, rest: &str| (Some(name.to_owned()), rest.to_owned());
    assert_eq!(of(&[]), [(None, "//a:1".to_owned()), named("b", "/x y"), named("c", "/z z")]);
    assert_eq!(of(&["d=file:w"]), [named("d", "w")]);
    let wrong = |words: &'static str| {
        let mut mistakes = Mistakes::default();
        let env = Env::new(move |name| (name == VARIABLE).then(|| words.into()));
        declare(&[], &env, &mut Declared::default(), &mut mistakes);
        mistakes.check().map_err(|errors| errors.to_string())
    };
    assert_eq!(wrong(""), Ok(()));
    assert_eq!(wrong("tcp://a:1\r\ntcp://b:2\r"), Ok(()));
    assert_eq!(wrong("'S3CR").unwrap_err(), "AFTERALL_DEPENDENCIES: a quote must be closed");
    assert_eq!(
        wrong("file:x S3CR").unwrap_err(),
        "AFTERALL_DEPENDENCIES 2: must be a URL or HOST:PORT, e.g. postgres://app@db/app, \
        cache:6379"
    );
}

#[cfg(feature = "http")]
#[test]
fn all_mistakes_are_reported_in_order() {
    let errors = wrong(&[
        "potsgres://a",
        "b=http://x#statsu=1,timeout=x",
        "d=env:NOPE",
        "e=tcp://x:1#after=d",
        "f=tcp://x:1#after=g",
    ]);
    let lines: Vec<&str> = errors.lines().collect();
    for (line, want) in lines.iter().zip([
        "d: the variable NOPE is not set",
        "dependency 1: unknown scheme potsgres:",
        "b: unknown key statsu",
        "b: timeout: must be",
        "f: after: must name a dependency; none is called g",
    ]) {
        assert!(line.starts_with(want), "{line}");
    }
    assert_eq!(lines.len(), 5, "a broken dependency is still a name: {errors}");
}

#[test]
fn an_argument_that_is_not_utf8_is_an_error() {
    use std::os::unix::ffi::OsStringExt;
    let args = [OsString::from("file:x"), OsString::from_vec(vec![0xff])];
    let mut mistakes = Mistakes::default();
    declare(&args, &env(), &mut Declared::default(), &mut mistakes);
    assert_eq!(mistakes.check().unwrap_err().to_string(), "dependency 2: must be UTF-8");
}

#[test]
fn a_host_named_like_a_kind_gets_a_remark() {
    assert_eq!(planned(&["file:5", "cache:6379"]).unwrap().notes, Vec::<String>::new());
    #[cfg(feature = "mysql")]
    for harmful in ["db:3306", "tcp://db:3306", "mysql:3306"] {
        let notes = planned(&[harmful]).unwrap().notes;
        assert!(notes[0].contains("blocks this host"), "{notes:?}");
    }
    // `unix`, `file`, `dns` and `exec` name no servers, and `tcp` checks as little.
    assert_eq!(
        planned(&["tcp:1", "unix:1", "dns:1", "exec:1"]).unwrap().notes,
        Vec::<String>::new()
    );
    for name in
        ["postgres", "nats", "http"].into_iter().filter(|name| kinds::find(name, "").is_ok())
    {
        let notes = planned(&[&format!("{name}:5432")]).unwrap().notes;
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].starts_with(&format!(
            "tcp://{name}:5432: waits for the port alone; {name}://{name}:5432 checks more"
        )));
    }
}

#[test]
fn a_choice_names_dependencies_that_ask_something() {
    let plan = planned(&["a=file:x", "b=file:y#after=one", "c=file:z", "one=any:a+c"]).unwrap();
    assert_eq!(plan.planned[3].after, [0, 2]);
    assert_eq!(plan.planned[1].after, [3]);
    for (declared, want) in [
        (&["one=any:a+b", "a=file:x"][..], "one: must name a dependency; none is called b"),
        (
            &["one=any:cach+db", "cache=file:x", "db=file:y"],
            "one: must name a dependency; none is called cach, did you mean cache?",
        ),
        (&["one=any:a", "a=file:x"], "one: must be the names of at least two dependencies"),
        (&["one=any:", "a=file:x"], "one: must be the names of at least two dependencies"),
        (&["one=any:a+a", "a=file:x"], "one: must be the names of at least two dependencies"),
        (&["one=any:one+a", "a=file:x"], "one: must not name one, which is a choice itself"),
        (
            &["a=file:x", "b=file:y", "one=any:a+b", "two=any:one+a"],
            "two: must not name one, which is a choice itself",
        ),
        (&["a=file:x", "b=file:y#after=one", "one=any:a+b"], "one: must not lead back to itself"),
        (
            &["a=file:x", "b=file:y", "one=any:a+b#timeout=3s"],
            "one: timeout: must be a key of the named dependencies",
        ),
    ] {
        let errors = wrong(declared);
        assert!(errors.starts_with(want), "{declared:?}: {errors}");
    }
}

#[test]
fn a_chain_through_a_choice_counts_its_longest_alternative() {
    let declared = [
        "a=file:x#timeout=10s",
        "b=file:x#timeout=20s",
        "one=any:a+b",
        "c=file:x#timeout=5s,after=one",
    ];
    let plan = planned(&declared).unwrap();
    let told = |seconds| warnings(&plan.planned, Some(Duration::from_secs(seconds))).join("");
    assert_eq!(told(25), "");
    assert!(told(24).contains("add up to 25s"), "{}", told(24));
    let plan = planned(&declared[..3]).unwrap();
    assert_eq!(warnings(&plan.planned, Some(Duration::from_secs(1))), [""; 0]);
}

#[test]
fn the_longest_chain_of_after_is_compared_with_the_deadline() {
    let declared = [
        "a=file:x#timeout=10s",
        "b=file:x#timeout=20s,after=a",
        "c=file:x#timeout=5s,after=a",
        "d=file:x#timeout=1s,after=b+c",
    ];
    let plan = planned(&declared).unwrap();
    let told = |seconds| warnings(&plan.planned, Some(Duration::from_secs(seconds))).join("");
    assert_eq!(told(31), "");
    assert!(told(30).contains("add up to 31s, more than the deadline of 30s"), "{}", told(30));
    // Forty layers in which each waits for both of the layer before: 2^40 ways.
    let layer = |n: usize, side: &str| match n {
        0 => format!("{side}0=file:x#timeout=1s"),
        n => format!("{side}{n}=file:x#timeout=1s,after=a{0}+b{0}", n - 1),
    };
    let layers: Vec<String> = (0..40).flat_map(|n| [layer(n, "a"), layer(n, "b")]).collect();
    let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
    assert!(
        warnings(&planned(&layers).unwrap().planned, Some(Duration::from_secs(1)))[0]
            .contains("add up to 40s")
    );
    // A chain with an unlimited dependency has no limit.
    let plan = planned(&["a=file:x#timeout=never", "b=file:x#after=a"]).unwrap();
    assert_eq!(warnings(&plan.planned, Some(Duration::from_secs(1))), [""; 0]);
}
