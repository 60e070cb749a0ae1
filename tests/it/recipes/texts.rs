//! Command lines out of Dockerfiles, YAML, units, scripts and Markdown.

use std::fs;
use std::path::{Path, PathBuf};
use yaml_rust2::{Yaml, YamlLoader};

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
pub fn read(path: &str) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a directory of the repository.
pub fn files(below: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![repository().join(below)];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            if entry.path().is_dir() { left.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    found
}

pub fn is_afterall(word: &str) -> bool {
    word.rsplit('/').next() == Some("afterall")
}

/// `ENTRYPOINT` and `CMD` of the last stage, in their exec form.
#[track_caller]
pub fn entrypoint(dockerfile: &str) -> Vec<String> {
    let text = dockerfile.replace("\\\n", " ");
    let words = |instruction: &str| -> Vec<String> {
        let line = text.lines().rev().find_map(|line| line.strip_prefix(instruction)).unwrap();
        serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{instruction} is not in exec form: {error}"))
    };
    [words("ENTRYPOINT"), words("CMD")].concat()
}

#[track_caller]
pub fn yaml(text: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(text).unwrap()
}

#[track_caller]
pub fn words(list: &Yaml) -> Vec<String> {
    let list = list.as_vec().unwrap_or_else(|| panic!("not a list: {list:?}"));
    list.iter()
        .map(|word| word.as_str().unwrap_or_else(|| panic!("not a string: {word:?}")).to_owned())
        .collect()
}

/// The lists of words of every mapping that starts `afterall`, wherever it stands: Kubernetes has
/// `command` and `args`, Compose `entrypoint` and `command`, bpm `executable` and `args`.
pub fn in_yaml(document: &Yaml) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    if let Some(list) = document.as_vec() {
        found.extend(list.iter().flat_map(in_yaml));
    }
    let Some(map) = document.as_hash() else { return found };
    let first = |name: &str| match &document[name] {
        Yaml::String(word) => Some(vec![word.clone()]),
        list @ Yaml::Array(_) => Some(words(list)),
        _ => None,
    };
    let pairs = [("entrypoint", "command"), ("command", "args"), ("executable", "args")];
    let called = pairs.iter().find_map(|&(program, rest)| {
        let program = first(program).filter(|words| is_afterall(&words[0]))?;
        Some([program, first(rest).unwrap_or_default()].concat())
    });
    found.extend(called);
    found.extend(map.iter().flat_map(|(_, value)| in_yaml(value)));
    found
}

/// The calls of `afterall` in a shell script, each up to where the shell does something else with
/// it.
#[track_caller]
pub fn in_script(script: &str) -> Vec<Vec<String>> {
    let joined = script.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.filter_map(call).collect()
}

/// From `afterall` on, and the assignments before it; other words before it are another
/// chain-loader's.
#[track_caller]
fn call(line: &str) -> Option<Vec<String>> {
    // Only the rest must be well-formed shell, so `split` must not see the whole.
    let start = line.split_inclusive(' ').scan(0, |at, word| {
        let start = *at;
        *at += word.len();
        Some((start, word.trim()))
    });
    let (start, _) = start.into_iter().find(|(_, word)| is_afterall(word))?;
    let words =
        shell_words::split(&line[start..]).unwrap_or_else(|error| panic!("{line}: {error}"));
    let ends = |word: &String| {
        ["&", "&&", "||", "|", ";"].contains(&word.as_str())
            || word.trim_start_matches('2').starts_with(['<', '>'])
    };
    let assignments = match line.split_once('=') {
        Some((name, _))
            if !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_') =>
        {
            shell_words::split(&line[..start]).unwrap()
        }
        _ => Vec::new(),
    };
    Some(assignments.into_iter().chain(words.into_iter().take_while(|word| !ends(word))).collect())
}

/// The calls in the fenced blocks of a page, and in its inline code.
#[track_caller]
pub fn in_markdown(page: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (n, part) in page.split("```").enumerate() {
        if n % 2 == 1 {
            // The first line is the language. Only shell blocks are read.
            let (language, block) = part.split_once('\n').unwrap_or_default();
            match language {
                "sh" => found.extend(in_script(block)),
                "yaml" => found.extend(yaml(block).iter().flat_map(in_yaml)),
                "dockerfile" => found.push(entrypoint(block)),
                _ => {}
            }
        } else {
            let inline = part.split('`').skip(1).step_by(2);
            found.extend(inline.filter(|code| code.starts_with("afterall ")).flat_map(in_script));
        }
    }
    found
}

/// `ExecStart` as systemd splits it: `$$` is a `$`, `%d` the directory of the credentials, `%%` a
/// `%`.
#[track_caller]
pub fn exec_start(unit: &str, credentials: &str) -> Vec<String> {
    let joined = unit.replace("\\\n", " ");
    let line = joined.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words = shell_words::split(line).unwrap();
    let word = |word: String| {
        assert!(!word.replace("$$", "").contains('$'), "systemd would expand {word}");
        let word = word.replace("$$", "$").replace("%d", credentials);
        assert!(!word.replace("%%", "").contains('%'), "systemd would expand {word}");
        word.replace("%%", "%")
    };
    words.into_iter().map(word).collect()
}
