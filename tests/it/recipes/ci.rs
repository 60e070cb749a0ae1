//! Recipes for CI. The action's shell is run as GitHub runs it, against a server that publishes an
//! archive. The command lines of the workflows are read.

use super::place::Place;
use super::texts::{in_script, read, yaml};
use crate::support::{Afterall, Dir, Http, response};
use std::fs;
use std::process::{Command, Output};
use yaml_rust2::Yaml;

/// The step of the action that has this name.
fn step(action: &Yaml, name: &str) -> Yaml {
    let steps = action["runs"]["steps"].as_vec().unwrap();
    steps.iter().find(|step| step["name"].as_str() == Some(name)).unwrap().clone()
}

struct Job {
    dir: Dir,
    action: Yaml,
    server: Http,
}

impl Job {
    /// A server that publishes a release whose `afterall` is the binary of these tests.
    fn new(is_whole: bool) -> Self {
        let dir = Dir::new();
        let name = format!("afterall-1.2.3-{}-linux", std::env::consts::ARCH);
        let real = Afterall::program().display();
        dir.write_script(&format!("{name}/afterall"), &format!("#!/bin/sh\nexec {real} \"$@\"\n"));
        let script = format!(
            "tar -czf {name}.tar.gz {name} && sha256sum {name}.tar.gz >SHA256SUMS && mkdir temp"
        );
        let made = Command::new("sh").args(["-c", &script]).current_dir(dir.path()).status();
        assert!(made.unwrap().success());
        let mut archive = fs::read(dir.join(format!("{name}.tar.gz"))).unwrap();
        if !is_whole {
            archive.push(0);
        }
        let sums = fs::read(dir.join("SHA256SUMS")).unwrap();
        let server = Http::answering(move |_, request| {
            let path = request.split(' ').nth(1).unwrap();
            let body = match path.strip_prefix("/owner/afterall/releases/download/v1.2.3/") {
                Some("SHA256SUMS") => &sums,
                Some(file) if file == format!("{name}.tar.gz") => &archive,
                _ => return response(404, ""),
            };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", body.len());
            [format!("{head}Connection: close\r\n\r\n").as_bytes(), body].concat()
        });
        let action = yaml(&read("action.yml")).remove(0);
        Self { dir, action, server }
    }

    /// Runs a step as the runner does: its variables, with the expressions replaced.
    fn run(&self, name: &str, expressions: &[(&str, &str)]) -> Output {
        let step = step(&self.action, name);
        assert_eq!(step["shell"].as_str(), Some("bash"));
        let script = self.dir.write("step", step["run"].as_str().unwrap());
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(script);
        command.env("RUNNER_TEMP", self.dir.join("temp")).env("GITHUB_ACTIONS", "true");
        command.env("GITHUB_PATH", self.dir.join("path"));
        command.env("GITHUB_SERVER_URL", format!("http://{}", self.server.address()));
        for (name, value) in step["env"].as_hash().unwrap() {
            let value = value.as_str().unwrap();
            let expression = value.strip_prefix("${{ ").and_then(|rest| rest.strip_suffix(" }}"));
            let expression = expression.unwrap_or_else(|| panic!("{value} is no expression"));
            let known = expressions.iter().find(|(known, _)| *known == expression);
            let (_, value) = known.unwrap_or_else(|| panic!("what is {expression}?"));
            command.env(name.as_str().unwrap(), value);
        }
        command.output().unwrap()
    }

    fn install(&self) -> Output {
        let version = ("inputs.version || github.action_ref", "v1.2.3");
        self.run("Install afterall", &[version, ("github.action_repository", "owner/afterall")])
    }
}

#[track_caller]
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_action_installs_the_release_and_waits() {
    let job = Job::new(true);
    let installed = job.install();
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    let path = job.dir.read("path");
    assert!(fs::metadata(format!("{}/afterall", path.trim())).is_ok(), "GITHUB_PATH: {path}");
    let api = Http::always(200, "ready");
    let declared = format!("api={}\n'again={}'\n", api.url("/ready"), api.url("/live"));
    let inputs = [("inputs.dependencies", declared.as_str()), ("inputs.timeout", "30s")];
    let waited = job.run("Wait", &inputs);
    assert!(waited.status.success(), "{}", text(&waited.stderr));
    let requests = api.requests();
    for path in ["/ready", "/live"] {
        assert!(requests.iter().any(|request| request.text.contains(path)), "{path}");
    }
}

#[test]
fn the_action_fails_with_the_reason_as_an_annotation() {
    let job = Job::new(true);
    assert!(job.install().status.success());
    let inputs = [("inputs.dependencies", "db=127.0.0.1:1"), ("inputs.timeout", "0")];
    let waited = job.run("Wait", &inputs);
    assert_eq!(waited.status.code(), Some(124));
    let said = format!("{}{}", text(&waited.stdout), text(&waited.stderr));
    assert!(said.contains("::error::") && said.contains("connection refused"), "{said}");
}

#[test]
fn the_action_refuses_an_archive_with_another_checksum() {
    let job = Job::new(false);
    let installed = job.install();
    assert!(!installed.status.success());
    assert!(!job.dir.join("temp/afterall/afterall").exists(), "it was unpacked all the same");
}

#[test]
fn the_inputs_of_the_workflow_are_those_of_the_action() {
    let (action, workflow) = (&yaml(&read("action.yml"))[0], &yaml(&read(GITHUB))[0]);
    let steps = workflow["jobs"]["tests"]["steps"].as_vec().unwrap();
    let uses = steps.iter().find(|step| !step["with"].is_badvalue()).unwrap();
    for (name, value) in uses["with"].as_hash().unwrap() {
        assert!(!action["inputs"][name.as_str().unwrap()].is_badvalue(), "{name:?}");
        assert!(value.as_str().is_some());
    }
    let declared = uses["with"]["dependencies"].as_str().unwrap();
    let place = place().with_env("AFTERALL_DEPENDENCIES", declared);
    place.afterall([]).arg("--print-plan").run().code(0).stdout_has("nats");
}

const GITHUB: &str = "examples/ci/github.yml";

fn place() -> Place {
    Place::new().with_env("DATABASE_URL", "postgres://app:secret@db/app")
}

#[test]
fn every_command_line_of_the_workflows_is_accepted() {
    let github = &yaml(&read(GITHUB))[0];
    let steps = github["jobs"]["tests"]["steps"].as_vec().unwrap();
    let mut scripts: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    let gitlab = &yaml(&read("examples/ci/gitlab-ci.yml"))[0];
    let lines = gitlab["tests"]["script"].as_vec().unwrap();
    scripts.extend(lines.iter().filter_map(Yaml::as_str));
    let found: Vec<_> = scripts.into_iter().flat_map(in_script).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    found.iter().for_each(|words| place().accepts(words));
}
