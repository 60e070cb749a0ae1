//! README.md and docs/ against the code: tables, command lines and exit codes.

use crate::recipes::texts;
use crate::support::{Afterall, Dir, has_every_kind};
use afterall::cli::options::Options;
use afterall::kinds::KINDS;
use afterall::spec::expand::Env;
use afterall::wait::settings::{COMMON, Settings};
use afterall::{
    cli::{
        args::{Definition, definition, definitions},
        config,
        usage::{self, Parsed},
    },
    exit, plan,
    spec::Mistakes,
    wait::settings::common as common_key,
};
use afterall::{probe::Class, spec::Key};
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

/// The form of each kind, and its condition of readiness.
fn kinds() -> String {
    let row = |kind: &&afterall::spec::Kind| {
        let schemes: Vec<String> =
            kind.schemes.iter().map(|scheme| code(&format!("{scheme}:"))).collect();
        let usages: Vec<String> = kind.usage.split(", ").map(code).collect();
        vec![schemes.join(" "), usages.join("<br>"), kind.summary.to_owned()]
    };
    table(&["kind", "written", "ready when"], KINDS.iter().map(row))
}

/// The facts about each migration tool.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn migration_tools() -> String {
    let codes =
        |words: &[String]| words.iter().map(|word| code(word)).collect::<Vec<_>>().join("<br>");
    let row = |tool: afterall::kinds::migrations::documented::Documented| {
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
    table(&head, afterall::kinds::migrations::documented::documented().into_iter().map(row))
}

/// A build without these databases knows no migration tool.
#[cfg(not(any(feature = "postgres", feature = "mysql")))]
fn migration_tools() -> String {
    String::new()
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
    // Keys of many kinds come last.
    rows.sort_by_key(|(_, kinds)| kinds.len() > 2);
    let rows = rows
        .into_iter()
        .map(|(key, kinds)| vec![written(key), kinds.join(" "), key.help.to_owned()]);
    table(&["key", "kinds", "meaning"], rows)
}

/// An option as it is typed, and its variable.
fn option(definition: &Definition, with_value: bool) -> (String, String) {
    let short = definition.short.map(|short| format!("-{short}"));
    let value = if with_value && definition.takes_value() {
        format!(" {}", definition.value)
    } else {
        String::new()
    };
    let long = (!definition.name.is_empty()).then(|| format!("--{}{value}", definition.name));
    let names: Vec<String> = short.into_iter().chain(long).map(|name| code(&name)).collect();
    let variable = definition.variable().map(|name| code(&name)).unwrap_or_default();
    (names.join(", "), variable)
}

fn common() -> String {
    let row = |common: &afterall::wait::settings::Common| {
        let definition = definition(common.key.name);
        let (option, variable) = definition.map(|known| option(&known, false)).unwrap_or_default();
        vec![written(&common.key), option, variable, common.default(), common.key.help.to_owned()]
    };
    table(&["key", "option", "variable", "default", "meaning"], COMMON.iter().map(row))
}

/// The options that are not the default of a key.
fn options() -> String {
    let others = definitions().filter(|known| common_key(known.name).is_none());
    let rows = others.map(|known| {
        let (option, variable) = option(&known, true);
        vec![option, variable, known.help.to_owned()]
    });
    table(&["option", "variable", "meaning"], rows)
}

/// The variables that `--from-env` reads.
fn from_env() -> String {
    let rows = afterall::cli::from_env::VARIABLES.chunks(3);
    let cells = |row: &[&str]| row.iter().map(|name| code(name)).collect();
    table(&["variables", "", ""], rows.map(cells))
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
        ("from-env", from_env()),
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

/// The pages' code blocks in this language.
fn blocks(language: &str) -> Vec<String> {
    let pages = pages();
    let blocks = pages.split("```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'))
        .map(str::to_owned)
        .collect()
}

/// The words behind the name of the binary.
fn of_binary(words: Vec<String>) -> (Vec<String>, Option<i32>) {
    assert!(texts::is_afterall(&words[0]), "{words:?}");
    (words[1..].to_vec(), None)
}

/// The lines of the pages' code blocks in this language, those that end in a backslash joined with
/// the next.
fn lines_of_code(language: &str) -> Vec<String> {
    let joined = blocks(language).into_iter().map(|block| block.replace("\\\n", " "));
    joined.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Returns the arguments of `afterall` in every command line of the pages, with the exit code in
/// its comment.
fn command_lines() -> Vec<(Vec<String>, Option<i32>)> {
    let mut found = Vec::new();
    // In a block that shows a terminal, typed lines follow a prompt.
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
    for block in blocks("yaml") {
        found.extend(texts::yaml(&block).iter().flat_map(texts::in_yaml).map(of_binary));
    }
    for unit in blocks("ini") {
        found.push(of_binary(texts::exec_start(&unit, "/run/credentials")));
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
        // An image's CMD follows.
        let cmd = words.last().is_some_and(|word| word == "--").then(|| "true".into());
        let args = args.chain(cmd);
        let Parsed::Run(line) = usage::parse(args, &env()) else {
            panic!("a command line that only asks for help: {words:?}");
        };
        let mut options = Options::read(line, &env());
        plan::plan(options.declared, &options.defaults, &env(), &mut options.mistakes);
        if let Err(error) = options.mistakes.check() {
            panic!("{words:?} (stated: {states:?}): {error}");
        }
    }
}

#[test]
fn the_documented_config_file_is_accepted() {
    let dir = Dir::new();
    let mut mistakes = Mistakes::default();
    let read = config::read(&config_file(&dir), &env(), &mut mistakes);
    let plan = plan::plan(read.declared, &Settings::default(), &env(), &mut mistakes);
    mistakes.check().unwrap_or_else(|errors| panic!("{errors}"));
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
    let text = help.stdout_text();
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for known in definitions().filter(|known| !known.name.is_empty()) {
        assert!(pages.contains(&format!("--{}", known.name)), "nothing documents --{}", known.name);
    }
    for (codes, meaning) in exit::TABLE {
        assert!(flat.contains(&format!("{codes} {meaning}")), "--help lacks exit code {codes}");
    }
    help.any_stdout();
}
