//! BOSH: bpm's processes, their config files, monit's rule and post-start.

use super::place::Place;
use super::ready::becomes_its_service_with;
use super::texts::{in_script, in_yaml, read, words, yaml};
use crate::support::{Afterall, secs};
use yaml_rust2::Yaml;

const PROCESSES: [&str; 3] = [
    "examples/bosh/director.bpm.yml",
    "examples/bosh/nats.bpm.yml",
    "examples/bosh/health_monitor.bpm.yml",
];

/// The config files, under their deployed names.
pub fn files() -> [(&'static str, String); 3] {
    [
        ("/var/vcap/jobs/director/config/database.toml", read("examples/bosh/database.toml")),
        ("/var/vcap/jobs/director/config/schema.toml", read("examples/bosh/schema.toml")),
        (
            "/var/vcap/jobs/health_monitor/config/afterall.toml",
            read("examples/bosh/health_monitor.toml"),
        ),
    ]
}

fn place() -> Place {
    let mut place = Place::new();
    files().iter().for_each(|(path, content)| place.add_file(path, content));
    place
}

fn bpm() -> Vec<Yaml> {
    PROCESSES
        .iter()
        .flat_map(|path| yaml(&read(path)))
        .flat_map(|job| job["processes"].as_vec().unwrap().clone())
        .collect()
}

pub fn named(name: &str) -> Vec<String> {
    let process = bpm().into_iter().find(|process| process["name"].as_str() == Some(name)).unwrap();
    in_yaml(&process).remove(0)
}

fn post_start() -> Vec<String> {
    in_script(&read("examples/bosh/post-start")).remove(0)
}

#[test]
fn every_process_of_bpm_is_accepted() {
    let waiting: Vec<_> = bpm().iter().flat_map(in_yaml).collect();
    assert_eq!(waiting.len(), 5, "{waiting:?}");
    waiting.iter().for_each(|words| place().accepts(words));
}

#[test]
fn bpm_starts_programs_by_their_full_path_and_never_in_a_hook() {
    for process in bpm() {
        assert!(
            process["executable"].as_str().unwrap().starts_with('/'),
            "bpm has no PATH of ours: {process:?}"
        );
        assert!(process["hooks"].is_badvalue(), "{process:?}");
        for word in words(&process["args"]) {
            assert!(!word.replace("${file:", "").contains('$'), "nobody would expand {word}");
        }
    }
}

#[test]
fn every_bosh_job_starts_when_the_real_servers_are_ready() {
    becomes_its_service_with(
        &files(),
        ["director", "scheduler", "worker_1", "bosh_nats_sync"].map(named),
    );
}

/// `18` of `for 18 cycles`, each of 10 s.
fn patience(rules: &str) -> u64 {
    let (_, rest) = rules
        .split("\n")
        .filter(|line| !line.trim_start().starts_with('#'))
        .find_map(|line| line.split_once(" for "))
        .unwrap();
    rest.split(' ').next().unwrap().parse::<u64>().unwrap() * 10
}

#[test]
fn the_health_rule_is_more_patient_than_the_wait_is_long() {
    let config = read("examples/bosh/health_monitor.toml");
    let timeout = config.lines().find_map(|line| line.strip_prefix("timeout = \"")).unwrap();
    let timeout: u64 = timeout.trim_end_matches("s\"").parse().unwrap();
    assert!(patience(&read("examples/bosh/health_monitor.monit")) >= timeout + 30);
}

#[test]
fn post_start_ends_with_0_when_the_director_serves() {
    place().accepts(&post_start());
    becomes_its_service_with(&files(), [post_start()]);
}

#[test]
fn post_start_ends_with_124_before_bosh_gives_up() {
    let place = place();
    let (wait, _) = place.declared(&post_start());
    let timeout = wait.iter().position(|word| word == "--timeout").unwrap() + 1;
    assert_eq!(wait[timeout], "4m", "BOSH itself waits for five minutes");
    let wait = wait.iter().enumerate().map(|(n, word)| {
        if n == timeout {
            "300ms".to_owned()
        } else {
            word.replace("127.0.0.1:25555", "127.0.0.1:1")
        }
    });
    Afterall::waiting_for(wait).run().code(124).stderr_has("director: ").took(..secs(20));
}
