//! Sqitch: the plan lists the changes in order; a name that is listed again is a rework.

use std::collections::HashMap;

use crate::kinds::migrations::{
    dir::Listing,
    wanted::{Wanted, WantedMigration},
};

const PLAN: &str = "sqitch.plan";

/// Returns true if a plan lies here.
pub(crate) fn recognises(listing: &Listing) -> bool {
    listing.flat().any(|file| file.path == PLAN)
}

/// Reads `sqitch.plan` in the project's directory.
pub(crate) fn read(listing: &Listing) -> Result<Wanted, String> {
    let mut list = Vec::new();
    for file in listing.flat().filter(|file| file.path == PLAN) {
        list.extend(plan(&listing.text(file)?)?);
    }
    Ok(Wanted::list(list))
}

/// `%pragma=value`, `@tag ...`, `[+]change [dependencies] time planner # note`.
fn plan(text: &str) -> Result<Vec<WantedMigration>, String> {
    let lines = || {
        text.lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .filter(|line| !line.is_empty())
    };
    let project = lines()
        .find_map(|line| {
            let (name, value) = line.strip_prefix('%')?.split_once('=')?;
            (name.trim() == "project").then(|| value.trim())
        })
        .ok_or("sqitch.plan: must name its project, e.g. %project=flipr")?;
    let mut times: HashMap<&str, usize> = HashMap::new();
    let mut list = Vec::new();
    for line in lines().filter(|line| !line.starts_with(['%', '@'])) {
        let Some(name) = line.trim_start_matches(['+', ' ']).split_whitespace().next() else {
            continue;
        };
        if name == "-" {
            continue;
        }
        let time = times.entry(name).and_modify(|time| *time += 1).or_insert(1);
        let (again, label) = match *time {
            1 => (String::new(), name.to_owned()),
            n => (format!("#{n}"), format!("{name} (rework {n})")),
        };
        list.push(WantedMigration::new(label, format!("{project}:{name}{again}")));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_its_changes_and_a_rework_is_wanted_once_more() {
        let text = "%syntax-version=1.0.0\n%project=flipr\n\n# note\na 2026-11-21T00:04:29Z t \
            <t@x> # a\nb [a] 2026 t <t@x>\n\
            @v1 2026 t <t@x> # t\na [a@v1] 2026 t <t@x> # again\n";
        let keys: Vec<_> = plan(text).unwrap().into_iter().flat_map(|want| want.keys).collect();
        assert_eq!(keys, ["flipr:a", "flipr:b", "flipr:a#2"]);
        let keys = plan("% project = flipr\n+ a 2026 t").unwrap().remove(0).keys;
        assert_eq!(keys, ["flipr:a"]);
        assert_eq!(
            plan("a 2026 t").unwrap_err(),
            "sqitch.plan: must name its project, e.g. %project=flipr"
        );
    }
}
