//! The committed files that are generated from the registries: the manual page and the completions.
//! `UPDATE=1` rewrites them.

mod completions;
mod man;
mod shells;

use crate::support::{Afterall, FEATURES, has_every_kind, process::program};
use afterall::cli::args::{Definition, definitions};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A path in the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn is_up_to_date(path: &str, wanted: &str) {
    // A build with fewer kinds has a shorter manual: UPDATE=1 writes that one.
    if !has_every_kind() && std::env::var_os("UPDATE").is_none() {
        return;
    }
    let file = root().join(path);
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, wanted).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let line =
        found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted).unwrap_or(0)
            + 1;
    assert!(found == wanted, "{path} is stale from line {line} on: UPDATE=1 cargo test generated");
}

/// An option of the command line, as the generated files need it.
struct Opt {
    long: String,
    short: Option<char>,
    /// The placeholder of its value; none for a flag.
    value: Option<String>,
    help: String,
    variable: Option<String>,
}

impl Opt {
    fn new(definition: &Definition) -> Self {
        let default = definition.default();
        let default = if default.is_empty() { default } else { format!(" [default: {default}]") };
        Self {
            long: definition.name.to_owned(),
            short: definition.short,
            value: definition.takes_value().then(|| definition.value.to_owned()),
            help: format!("{}{default}", definition.help),
            variable: definition.variable(),
        }
    }

    /// Its spelling: `-t`, `--timeout`.
    fn written(&self) -> Vec<String> {
        let long = (!self.long.is_empty()).then(|| format!("--{}", self.long));
        self.short.map(|short| format!("-{short}")).into_iter().chain(long).collect()
    }

    /// Its help without the default, for where there is little room.
    fn brief(&self) -> &str {
        self.help.split(" [default").next().unwrap()
    }

    /// The words that it takes, where they can be listed.
    fn choices(&self) -> Vec<&'static str> {
        match self.long.as_str() {
            "format" => afterall::report::Format::ALL.map(|(name, _)| name).to_vec(),
            long => afterall::wait::settings::choices(long),
        }
    }

    /// Returns true if several of its words can be joined by +.
    fn is_list(&self) -> bool {
        self.long == "fail-fast"
    }

    fn is_file(&self) -> bool {
        self.value.as_deref() == Some("FILE")
    }
}

fn options() -> Vec<Opt> {
    definitions().map(|definition| Opt::new(&definition)).collect()
}

#[test]
fn the_manual_page_is_what_the_registries_say() {
    is_up_to_date("man/afterall.1", &man::page());
}

#[test]
fn the_completions_are_what_the_registries_say() {
    is_up_to_date("completions/afterall.bash", &completions::bash());
    is_up_to_date("completions/_afterall", &completions::zsh());
    is_up_to_date("completions/afterall.fish", &completions::fish());
}

#[test]
fn the_default_features_are_those_that_the_tests_know() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let default = manifest.lines().find_map(|line| line.strip_prefix("default = [")).unwrap();
    let names: Vec<_> = default.split('"').skip(1).step_by(2).collect();
    assert_eq!(names, FEATURES.map(|(name, _)| name));
}

#[test]
fn help_manual_and_completions_show_the_kinds_of_this_build() {
    let run = Afterall::new().arg("--help").run().code(0);
    let help = run.stdout_text().to_owned();
    run.any_stdout();
    let manual = man::page();
    let shells = [completions::bash(), completions::zsh(), completions::fish()];
    for (name, is_here) in FEATURES {
        assert_eq!(help.contains(&format!("\n  {name}")), is_here, "--help and {name}");
        assert_eq!(manual.contains(&format!("\n.SS {name}")), is_here, "the manual and {name}");
        for shell in &shells {
            // zsh escapes the colon.
            let of_kind = |word: &str| {
                word.strip_prefix(name).is_some_and(|rest| rest.starts_with([':', '\\']))
            };
            let shown = shell.split([' ', '\'', '\n']).any(of_kind);
            assert_eq!(shown, is_here, "{name} in\n{shell}");
        }
    }
}

#[test]
fn every_option_says_what_it_is_for() {
    for option in options() {
        assert!(!option.help.is_empty(), "--{}", option.long);
    }
}

fn man_page() -> PathBuf {
    root().join("man/afterall.1")
}

#[test]
fn the_manual_page_has_no_mistake_that_mandoc_can_find() {
    let output = Command::new(program("mandoc", "mandoc"))
        .args(["-Tlint", "-Wstyle"])
        .arg(man_page())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    // Other pages may not be installed, and the length of source lines does not matter.
    let is_harmless = |line: &&str| {
        line.contains("referenced manual not found") || line.contains("line longer than 80 bytes")
    };
    let wrong: Vec<_> = said.lines().filter(|line| !is_harmless(line)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn man_shows_every_section_kind_key_option_and_exit_code() {
    let man = program("man", "man-db");
    let output = Command::new(man)
        .args(["--warnings", "--nh", "--nj", "-P", "cat", "-E", "UTF-8"])
        .arg(man_page())
        .env("MANWIDTH", "200")
        .output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    // Returns the text as a terminal shows it: a letter that is struck twice is bold.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = without_overstrikes(&text);
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "DEPENDENCIES",
        "KINDS",
        "KEYS",
        "OPTIONS",
        "CONFIG FILE",
        "PACING",
        "OUTPUT",
        "EXIT STATUS",
        "ENVIRONMENT",
        "FILES",
        "SIGNALS",
        "EXAMPLES",
        "SECURITY",
    ] {
        assert!(text.lines().any(|line| line == section), "no section {section} in\n{text}");
    }
    let mut wanted: Vec<String> = options().iter().flat_map(Opt::written).collect();
    for kind in afterall::kinds::KINDS {
        wanted.extend(kind.schemes.iter().map(|scheme| format!("{scheme}:")));
        wanted.extend(kind.own_keys().map(|key| key.help.to_owned()));
    }
    wanted.extend(afterall::wait::settings::COMMON.iter().map(|common| common.key.help.to_owned()));
    wanted.extend(afterall::exit::TABLE.iter().map(|(_, meaning)| meaning.replace('`', "")));
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    for wanted in wanted {
        let wanted = wanted.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        assert!(flat.contains(&wanted), "the page does not say {wanted:?}:\n{text}");
    }
}

fn without_overstrikes(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\u{8}' => drop(out.pop()),
            c => out.push(c),
        }
    }
    out
}
