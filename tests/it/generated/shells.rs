//! The completions in real shells: the tests type keys and read the screen.

use super::root;
use crate::support::process::program;
use crate::support::{Dir, Terminal};
use std::process::Command;

/// The text that is typed before Tab, and the words on the screen after it.
const CASES: &[(&str, &[&str])] = &[
    ("afterall --back", &["afterall --backoff"]),
    ("afterall --inter", &["afterall --interval"]),
    ("afterall --max-", &["afterall --max-interval"]),
    ("afterall -", &["--once", "--print-plan", "--fail-fast", "--help", "--version"]),
    ("afterall --backoff ", &["adaptive", "linear", "exponential", "constant"]),
    ("afterall --on-timeout pro", &["--on-timeout proceed"]),
    ("afterall --on-timeout=pro", &["--on-timeout=proceed"]),
    ("afterall --until d", &["--until down"]),
    ("afterall --format ", &["auto", "live", "plain", "json"]),
    ("afterall --fail-fast au", &["--fail-fast auth"]),
    ("afterall --fail-fast auth+tl", &["--fail-fast auth+tls"]),
    ("afterall -c DIR/some", &["DIR/some-file.toml"]),
    ("afterall --config DIR/some", &["DIR/some-file.toml"]),
    ("afterall ", &["postgres://", "nats://", "tcp://", "unix:", "dns:", "file:", "exec:"]),
    ("afterall na", &["afterall nats://"]),
    ("afterall tcp://db:1 na", &["afterall tcp://db:1 nats://"]),
    ("afterall file:DIR/some", &["file:DIR/some-file.toml"]),
    ("afterall db=na", &["afterall db=nats://"]),
    ("afterall cfg=file:DIR/some", &["cfg=file:DIR/some-file.toml"]),
    ("afterall tcp://db:1#max-", &["afterall tcp://db:1#max-interval="]),
    ("afterall db=nats://db#timeout=3s,jet", &["db=nats://db#timeout=3s,jetstream"]),
    ("afterall tcp://db:1#fail-fast=au", &["tcp://db:1#fail-fast=auth"]),
    (
        "afterall tcp://db:1#timeout=3s,fail-fast=auth+tl",
        &["tcp://db:1#timeout=3s,fail-fast=auth+tls"],
    ),
    ("afterall schema=tcp://db:1 tcp://db:2#after=sch", &["tcp://db:2#after=schema"]),
    ("afterall -t 3 file:/ -- mkfif", &["-- mkfifo"]),
    ("afterall file:/ -- cat DIR/some", &["cat DIR/some-file.toml"]),
];

fn is_completed_in(shell: &[&str], setup: &[String]) {
    let dir = Dir::new();
    dir.write("some-file.toml", "");
    let terminal = Terminal::new(200, 50, shell);
    for line in setup {
        terminal.enters(line);
    }
    terminal.wait_for("the prompt", |screen| screen.trim_end().ends_with("ready>"));
    for (typed, wanted) in CASES {
        let here = |text: &str| text.replace("DIR", dir.path().to_str().unwrap());
        // Not C-c: zsh takes it for the end of a completion that is still under way, and keeps the
        // line.
        terminal.press(&["C-u", "C-l"]);
        terminal.wait_for("an empty line", |screen| screen.trim_end() == "ready>");
        terminal.types(&here(typed));
        terminal.press(&["Tab"]);
        let is_there = |screen: &str| wanted.iter().all(|word| screen.contains(&here(word)));
        terminal.wait_for(&format!("{typed}<Tab> shows {wanted:?}"), |screen| is_there(screen));
    }
}

#[test]
fn bash_completes_options_values_schemes_files_and_the_command() {
    let script = root().join("completions/afterall.bash");
    let setup = [
        "bind 'set show-all-if-ambiguous on'".to_owned(),
        format!(". {}; PS1='ready> '", script.display()),
    ];
    is_completed_in(
        &[program("bash", "bash").to_str().unwrap(), "--norc", "--noprofile", "-i"],
        &setup,
    );
}

#[test]
fn bash_completes_the_same_where_bash_completion_is_loaded() {
    let base = "/usr/share/bash-completion/bash_completion";
    assert!(std::path::Path::new(base).exists(), "apt-get install -y bash-completion");
    let script = root().join("completions/afterall.bash");
    let setup = [
        "bind 'set show-all-if-ambiguous on'".to_owned(),
        format!(". {base}; . {}; PS1='ready> '", script.display()),
    ];
    is_completed_in(
        &[program("bash", "bash").to_str().unwrap(), "--norc", "--noprofile", "-i"],
        &setup,
    );
}

#[test]
fn zsh_completes_options_values_schemes_files_and_the_command() {
    let dir = root().join("completions");
    let setup = [
        format!("fpath=({} $fpath); autoload -U compinit; compinit -D -u", dir.display()),
        "unsetopt list_ambiguous list_beep; bindkey -e; PS1='ready> '".to_owned(),
    ];
    is_completed_in(&[program("zsh", "zsh").to_str().unwrap(), "-f", "-i"], &setup);
}

#[test]
fn fish_completes_options_values_schemes_files_and_the_command() {
    let dir = Dir::new();
    dir.write("some-file.toml", "");
    let script = root().join("completions/afterall.fish");
    for (typed, wanted) in CASES {
        let here = |text: &str| text.replace("DIR", dir.path().to_str().unwrap());
        let mut fish = Command::new(program("fish", "fish"));
        fish.args([
            "--no-config",
            "-c",
            "source $argv[1]; complete -C $argv[2]",
            script.to_str().unwrap(),
            &here(typed),
        ]);
        let output = fish.env("HOME", dir.path()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && stderr.is_empty(), "{typed}: {stderr}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        // fish prints only the completed word, with its description after a tab.
        let words: Vec<&str> =
            stdout.lines().map(|line| line.split('\t').next().unwrap()).collect();
        for wanted in *wanted {
            let wanted = here(wanted.split(' ').next_back().unwrap());
            assert!(words.contains(&wanted.as_str()), "{typed}: no {wanted} in {words:?}");
        }
    }
}
