//! README.md and docs/ against the code: tables, command lines and exit codes.

use crate::support::{Afterall, Dir, has_every_kind};
use afterall::cli::options::Options;
use afterall::kinds::KINDS;
use afterall::spec::expand::Env;
use afterall::wait::settings::{COMMON, Settings};
use afterall::{
    cli::{Cli, config, usage},
    exit, plan,
};
use afterall::{probe::Class, spec::Key};
use clap::CommandFactory;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The pages that this module compares with the code.
pub(crate) const PAGES: [&str; 3] = ["README.md", "docs/reference.md", "docs/migrations.md"];

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(page)
}

fn read(page: &str) -> String {
    std::fs::read_to_string(path(page)).unwrap()
}

/// All pages in one text.
fn pages() -> String {
    PAGES.map(read).join("\n")
}

fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | ").trim_end());
    let head_line = line(head.iter().map(|cell| (*cell).to_owned()).collect());
    let rule = line(head.iter().map(|_| "---".to_owned()).collect());
    let escaped =
        |cells: Vec<String>| cells.into_iter().map(|cell| cell.replace('|', "\\|")).collect();
    let rows: String = rows.into_iter().map(|cells| line(escaped(cells))).collect();
    format!("{head_line}{rule}{rows}")
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

fn written(key: &Key) -> String {
    if key.value.is_empty() { code(key.name) } else { code(&format!("{}={}", key.name, key.value)) }
}

/// How each kind is written, and when it is ready.
fn kinds() -> String {
    let row = |kind: &&afterall::spec::Kind| {
        let schemes: Vec<String> =
            kind.schemes.iter().map(|scheme| code(&format!("{scheme}:"))).collect();
        let usages: Vec<String> = kind.usage.split(", ").map(code).collect();
        vec![schemes.join(" "), usages.join("<br>"), kind.summary.to_owned()]
    };
    table(&["kind", "written", "ready when"], KINDS.iter().map(row))
}

/// What the table of each migration tool tells.
fn migration_tools() -> String {
    let codes =
        |words: &[String]| words.iter().map(|word| code(word)).collect::<Vec<_>>().join("<br>");
    let row = |tool: afterall::kinds::migrations::Documented| {
        let files: Vec<String> = tool.files.iter().map(|file| (*file).to_owned()).collect();
        vec![
            code(tool.name),
            codes(&tool.tables),
            codes(&files),
            tool.states.join(", "),
            tool.at_work.join(", "),
            tool.unknown.join("; "),
        ]
    };
    let head = [
        "`tool`",
        "table",
        "a file in `dir`",
        "states beside applied",
        "at work",
        "cannot be known",
    ];
    table(&head, afterall::kinds::migrations::documented().into_iter().map(row))
}

/// Each key once, with all the kinds that have it in this meaning.
fn keys() -> String {
    let mut rows: Vec<(&Key, Vec<String>)> = Vec::new();
    for kind in KINDS {
        for key in kind.own_keys() {
            let scheme = code(kind.schemes[0]);
            match rows.iter_mut().find(|(known, _)| {
                (known.name, known.value, known.help) == (key.name, key.value, key.help)
            }) {
                Some((_, kinds)) => kinds.push(scheme),
                None => rows.push((key, vec![scheme])),
            }
        }
    }
    // What many share comes last.
    rows.sort_by_key(|(_, kinds)| kinds.len() > 2);
    let rows = rows
        .into_iter()
        .map(|(key, kinds)| vec![written(key), kinds.join(" "), key.help.to_owned()]);
    table(&["key", "kinds", "meaning"], rows)
}

/// The option of this name, as it is typed, and its variable.
fn option(long: &str, with_value: bool) -> Option<(String, String)> {
    let command = Cli::command();
    let arg = command.get_arguments().find(|arg| arg.get_long() == Some(long))?;
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let with_value = with_value && arg.get_action().takes_values();
    let value = arg
        .get_value_names()
        .filter(|_| with_value)
        .map(|names| format!(" {}", names[0]))
        .unwrap_or_default();
    let variable = arg.get_env().map(|name| code(name.to_str().unwrap())).unwrap_or_default();
    Some((format!("{short}`--{long}{value}`"), variable))
}

fn common() -> String {
    let row = |common: &afterall::wait::settings::Common| {
        let (option, variable) = option(common.key.name, false).unwrap_or_default();
        vec![
            written(&common.key),
            option,
            variable,
            common.default.to_owned(),
            common.key.help.to_owned(),
        ]
    };
    table(&["key", "option", "variable", "default", "meaning"], COMMON.iter().map(row))
}

/// The options that are not the default of a key.
fn options() -> String {
    let command = Cli::command();
    let longs =
        command.get_arguments().filter_map(|arg| arg.get_long().map(|long| (long, arg.get_help())));
    let rows = longs.filter(|(long, _)| COMMON.iter().all(|common| common.key.name != *long));
    let rows = rows.map(|(long, help)| {
        let (option, variable) = option(long, true).unwrap();
        vec![option, variable, help.unwrap().to_string()]
    });
    table(&["option", "variable", "meaning"], rows)
}

fn exit_codes() -> String {
    table(
        &["code", "meaning"],
        exit::TABLE.iter().map(|(codes, meaning)| vec![(*codes).to_owned(), (*meaning).to_owned()]),
    )
}

/// `UPDATE=1 cargo test docs` writes the tables anew.
#[test]
fn the_tables_of_the_documentation_are_those_of_the_code() {
    // A build with fewer kinds has shorter tables.
    if !has_every_kind() {
        return;
    }
    let mut tables = vec![
        ("kinds", kinds()),
        ("keys", keys()),
        ("migration-tools", migration_tools()),
        ("common", common()),
        ("options", options()),
        ("exit", exit_codes()),
    ];
    for page in PAGES {
        let old = read(page);
        let mut new = old.clone();
        tables.retain(|(name, table)| {
            let begin = format!("<!-- table: {name} -->\n");
            let Some((before, rest)) = new.split_once(&begin) else { return true };
            let (_, after) = rest.split_once("<!-- end -->").unwrap();
            new = format!("{before}{begin}{table}<!-- end -->{after}");
            false
        });
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path(page), new).unwrap();
            continue;
        }
        let is_new = |line: &&str| !old.lines().any(|known| known == *line);
        let differ: Vec<_> = new.lines().filter(is_new).collect();
        assert!(
            old == new,
            "{page} is stale; UPDATE=1 cargo test docs writes these lines:\n{}",
            differ.join("\n")
        );
    }
    let missing: Vec<_> = tables.iter().map(|(name, _)| name).collect();
    assert!(missing.is_empty(), "no page has the tables {missing:?}");
}

#[test]
fn the_readme_is_a_page_that_one_reads() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 200, "README.md has {lines} lines; details belong into docs/");
}

#[test]
fn the_readme_explains_every_class_of_failure_and_no_other() {
    let pages = pages();
    let rows = pages
        .split_once("| class |")
        .unwrap()
        .1
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let explained: Vec<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    assert_eq!(explained, Class::ALL.map(Class::name));
}

/// The lines of the pages' code blocks in this language, those that end in a backslash joined with the next.
fn lines_of_code(language: &str) -> Vec<String> {
    let pages = pages();
    let blocks = pages.split("```").skip(1).step_by(2);
    let blocks = blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    blocks
        .flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// What stands behind `afterall` in every command line of the pages, and the exit code that is stated behind it.
fn command_lines() -> Vec<(Vec<String>, Option<i32>)> {
    let mut found = Vec::new();
    // In a block that shows a terminal, what is typed stands behind a prompt.
    let typed = lines_of_code("console")
        .into_iter()
        .filter_map(|line| line.strip_prefix("$ ").map(str::to_owned));
    for line in lines_of_code("sh").into_iter().chain(typed) {
        let (line, comment) = line.split_once(" # ").unwrap_or((&line, ""));
        let states = comment
            .trim()
            .strip_prefix("exits ")
            .map(|rest| rest.split([':', ' ']).next().unwrap().parse().unwrap());
        let words = shell_words::split(line).unwrap();
        if words.first().is_some_and(|word| word == "afterall") {
            found.push((words[1..].to_vec(), states));
        }
    }
    for line in lines_of_code("dockerfile") {
        if let Some(list) = line.strip_prefix("ENTRYPOINT ") {
            let words: Vec<String> = serde_json::from_str(list).unwrap();
            assert_eq!(words[0], "afterall");
            found.push((words[1..].to_vec(), None));
        }
    }
    let pages = pages();
    for inline in pages.split('`').filter(|text| text.starts_with("afterall -")) {
        found.push((shell_words::split(inline).unwrap()[1..].to_vec(), None));
    }
    found
}

/// Variables as they may be in a deployment.
fn env() -> Env {
    Env::new(|name| match name {
        "DATABASE_URL" => Some("postgres://app:secret@db/app".into()),
        "API_TOKEN" => Some("secret".into()),
        _ => None,
    })
}

/// The config file that the reference shows.
fn config_file(dir: &Dir) -> String {
    dir.write("afterall.toml", lines_of_code("toml").join("\n")).to_str().unwrap().to_owned()
}

#[test]
fn every_documented_command_line_is_accepted() {
    let dir = Dir::new();
    let toml = config_file(&dir);
    let secret = dir.write("secret", "secret").to_str().unwrap().to_owned();
    let lines = command_lines();
    assert!(lines.len() > 10, "only {} command lines were found", lines.len());
    for (words, states) in lines.into_iter().filter(|(_, states)| *states != Some(64)) {
        let here = |word: &String| {
            word.replace("afterall.toml", &toml).replace("/run/secrets/db", &secret)
        };
        let args = std::iter::once("afterall".to_owned())
            .chain(words.iter().map(here))
            .map(OsString::from);
        let planned = usage::parse(args).and_then(|asked| match asked {
            usage::Asked::Wait(cli) => {
                let options = Options::read(&cli, &env())?;
                plan::plan(options.declarations, &options.defaults, &env())
            }
            usage::Asked::Text(_) => panic!("a command line that only asks for help: {words:?}"),
        });
        if let Err(error) = planned {
            panic!("{words:?} (stated: {states:?}): {error}");
        }
    }
}

#[test]
fn the_documented_config_file_is_accepted() {
    let dir = Dir::new();
    let mut defaults = Settings::default();
    let read = config::read(&config_file(&dir), &mut defaults, &env())
        .unwrap_or_else(|error| panic!("{error}"));
    let plan =
        plan::plan(read.declarations, &defaults, &env()).unwrap_or_else(|error| panic!("{error}"));
    assert!(plan.planned.len() > 1);
}

#[test]
fn a_command_line_that_states_its_exit_code_ends_with_it() {
    let stating: Vec<_> =
        command_lines().into_iter().filter_map(|(words, code)| Some((words, code?))).collect();
    assert!(stating.len() > 2, "only {stating:?}");
    for (words, code) in stating {
        Afterall::new().args(&words).run().code(code).any_stderr();
    }
}

#[test]
fn every_option_is_documented() {
    let (pages, help) = (pages(), Afterall::new().arg("--help").run().code(0));
    for arg in Cli::command().get_arguments() {
        if let Some(long) = arg.get_long() {
            assert!(pages.contains(&format!("--{long}")), "the documentation lacks --{long}");
        }
    }
    for (codes, meaning) in exit::TABLE {
        assert!(
            help.stdout_text().contains(&format!("{codes:<10}{meaning}")),
            "--help lacks exit code {codes}"
        );
    }
    help.any_stdout();
}
