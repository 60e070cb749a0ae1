//! The systemd unit.

use super::place::Place;
use super::ready::becomes_its_service_when_all_is_ready;
use super::texts::{exec_start, read};
use crate::support::Dir;
use crate::support::process::program;
use std::process::Command;

const UNIT: &str = "examples/systemd/scheduler.service";

/// systemd's directory of credentials.
const CREDENTIALS: &str = "/run/credentials/scheduler.service";

fn words() -> Vec<String> {
    exec_start(&read(UNIT), CREDENTIALS)
}

#[test]
fn the_unit_starts_a_command_line_that_is_accepted() {
    Place::new().with_env("DATABASE_URL", "postgres://app:secret@db/app").accepts(&words());
}

#[test]
fn the_unit_becomes_its_service_when_the_real_servers_are_ready() {
    // The credentials of a real account would be another test.
    let words = words()
        .into_iter()
        .map(|word| word.replace(&format!("#creds={CREDENTIALS}/nats.creds"), ""));
    becomes_its_service_when_all_is_ready([words.collect()]);
}

#[test]
fn the_unit_does_not_restart_what_no_restart_can_mend() {
    let unit = read(UNIT);
    for line in ["Restart=on-failure", "RestartPreventExitStatus=64 69", "Type=notify"] {
        assert!(unit.lines().any(|known| known == line), "{line} is not in the unit");
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let dir = Dir::new();
    // systemd-analyze requires the programs, which are not installed here.
    let unit = read(UNIT).replace("/usr/bin/afterall", "/bin/true");
    let file = dir.write("scheduler.service", unit);
    let output = Command::new(program("systemd-analyze", "systemd"))
        .args(["verify", "--man=no"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let own: Vec<_> = said.lines().filter(|line| line.contains("scheduler.service")).collect();
    assert!(output.status.success() && own.is_empty(), "{said}");
}
