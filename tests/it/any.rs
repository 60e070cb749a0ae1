//! `any:`: one of several dependencies is enough.

use crate::support::{Afterall, Reserved, Scripted, secs, sh};

fn silent_pair() -> (Scripted, Reserved) {
    (Scripted::silent(), Reserved::new())
}

#[test]
fn one_ready_alternative_starts_the_command() {
    let (up, down) = silent_pair();
    let declared = [
        format!("a=tcp://{}", down.address()),
        format!("b=tcp://{}", up.address()),
        "db=any:a+b".to_owned(),
        "later=exec:true#after=db".to_owned(),
        "other=exec:true#after=a".to_owned(),
    ];
    Afterall::waiting_for(&declared)
        .becoming(sh("echo started"))
        .run()
        .code(0)
        .stdout("started\n")
        .stderr_has("afterall: b: ready: ")
        .stderr_has("afterall: a: not needed: another one is ready")
        .stderr_has("afterall: db: ready: one of a, b is ready")
        .stderr_has("afterall: later: ready: ")
        .stderr_has("afterall: other: ready: ")
        .took(secs(0)..secs(20));
    let json = Afterall::waiting_for(&declared).args(["--format", "json"]).run().code(0);
    json.stderr_has(r#""event":"unneeded","dependency":"a""#)
        .stderr_has(r#""event":"ready","dependency":"db""#);
    Afterall::waiting_for(&declared).arg("-q").run().code(0);
}

#[test]
fn a_choice_without_a_ready_alternative_fails() {
    let (one, two) = (Reserved::new(), Reserved::new());
    let declared = [
        format!("a=tcp://{}#timeout=300ms", one.address()),
        format!("b=tcp://{}#timeout=600ms", two.address()),
        "db=any:a+b".to_owned(),
    ];
    Afterall::waiting_for(&declared)
        .becoming(["true"])
        .run()
        .code(124)
        .stderr_has("afterall: a: timed out: connection refused")
        .stderr_has("afterall: db: timed out: none of them is ready")
        .took(secs(0)..secs(20));
}

#[test]
fn a_look_shows_what_is_not_needed() {
    let (up, down) = silent_pair();
    let declared = |first: &str| {
        [first.to_owned(), format!("b=tcp://{}", up.address()), "db=any:a+b".to_owned()]
    };
    let refusing = format!("a=tcp://{}", down.address());
    Afterall::new()
        .arg("--once")
        .args(declared(&refusing))
        .run()
        .code(0)
        .stdout_has("a   not needed")
        .stdout_has("db  ready")
        .stdout_has("2 of 2 ready");
    Afterall::new()
        .args(["--once", "--format", "json"])
        .args(declared(&refusing))
        .run()
        .code(0)
        .stdout_has(r#""event":"unneeded","dependency":"a""#);
    // The other alternative cannot be asked, and its place is not counted.
    Afterall::new()
        .arg("--once")
        .args(declared("a=env:NOT_SET"))
        .run()
        .code(64)
        .stdout_has("cannot be asked")
        .stdout_has("one of a, b is ready");
    Afterall::new()
        .arg("--once")
        .args([refusing, format!("b=tcp://{}", down.address()), "db=any:a+b".to_owned()])
        .run()
        .code(69)
        .stdout_has("none of them is ready");
}

#[test]
fn a_plan_shows_no_settings_of_a_choice() {
    Afterall::waiting_for(["a=tcp://h:1", "b=tcp://h:2", "db=any:a+b", "--print-plan"])
        .run()
        .code(0)
        .stdout_has("any:a+b")
        .stdout_has("ready when       one of the dependencies with these names is ready");
    Afterall::waiting_for(["a=tcp://h:1", "db=any:a+c"])
        .run()
        .code(64)
        .stderr_has("db: must name a dependency; none is called c");
}
