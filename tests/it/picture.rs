//! The picture of a wait in README.md: its text is what `docs/record` makes now.
//!
//! `UPDATE=1 cargo test --test it -- picture` records it anew.

use crate::support::{Afterall, has_every_kind};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The text of each screen: words in their order, every number as `N`.
///
/// Lines that report an earlier failure are left out, because their number depends on the pace.
fn screens(svg: &str) -> Vec<String> {
    svg.split("<g ").skip(1).map(screen).collect()
}

fn screen(group: &str) -> String {
    let mut text = String::new();
    for line in group.lines().filter(|line| line.starts_with("<text")) {
        // A line that is full continues below; the view's own lines are indented.
        let continues = !line.contains("x=\"14\"") || !starts_an_entry(line);
        text.push_str(if continues { " " } else { "\n" });
        text.push_str(&words(line));
    }
    let entries = text.split('\n').filter(|entry| !entry.contains(": waiting:"));
    entries.map(without_numbers).collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn starts_an_entry(line: &str) -> bool {
    let text = words(line);
    let is_moving = text.starts_with(|c: char| ('\u{2800}'..='\u{28ff}').contains(&c));
    is_moving || ["$", "afterall:", "run:"].iter().any(|start| text.starts_with(start))
}

/// The text between the tags.
fn words(line: &str) -> String {
    let parts = line.split('<').filter_map(|part| Some(part.split_once('>')?.1));
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn without_numbers(entry: &str) -> String {
    let mut text = String::new();
    // Where a line was cut at the terminal's edge depends on the length of the numbers before.
    for c in entry.chars().filter(|c| !c.is_whitespace()) {
        match c {
            '0'..='9' if text.ends_with('N') => {}
            '0'..='9' => text.push('N'),
            '\u{2800}'..='\u{28ff}' => text.push('*'),
            c => text.push(c),
        }
    }
    text
}

#[test]
fn the_picture_of_a_wait_is_what_the_script_records() {
    if !has_every_kind() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("docs/record")).arg(Afterall::program()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docs/record: {error}");
    let (made, file) = (String::from_utf8(output.stdout).unwrap(), root.join("docs/wait.svg"));
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::write(&file, &made).unwrap();
    }
    let (made, kept) = (screens(&made), screens(&fs::read_to_string(file).unwrap_or_default()));
    assert_eq!(made.len(), 5);
    assert!(made.join("\n").contains("run:started"), "{made:#?}");
    assert_eq!(made, kept, "UPDATE=1 cargo test --test it -- picture records it anew");
}
