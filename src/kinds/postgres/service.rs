//! The connection service file: libpq's `pg_service.conf` (PostgreSQL manual, section 34.17).

use super::dsn::Params;
use crate::os::read_small;

/// Returns the settings of `service` from the first of `files` that has it. Skips files that do not
/// exist.
pub(super) fn read(service: &str, files: &[String]) -> Result<Params, String> {
    let mut missing = Vec::new();
    for path in files {
        match read_small(path) {
            Ok(text) => match section(&text, service) {
                Some(params) => return Ok(params),
                None => missing.push(format!("not in {path}")),
            },
            Err(why) => missing.push(format!("{path}: {why}")),
        }
    }
    Err(format!("the service {service} is not defined ({})", missing.join("; ")))
}

/// Reads `[NAME]`, then `KEY=VALUE` lines without quotes. `#` begins a comment. The first value of
/// a key counts.
fn section(text: &str, service: &str) -> Option<Params> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| {
        line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) == Some(service)
    })?;
    let mut params = Params::default();
    for line in
        lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'))
    {
        if let Some((key, value)) = line.split_once('=')
            && params.get(key).is_none()
        {
            params.set(key, value);
        }
    }
    Some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_found_in_the_first_file_that_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, system) = (dir.path().join("mine"), dir.path().join("system"));
        std::fs::write(&mine, "# x\n[a]\nhost=one\nport=1\nhost=two\n\n[b]\nhost=three\n").unwrap();
        std::fs::write(&system, "[c]\n# host=four\nuser=five\npassword=a=b #c\n").unwrap();
        let files = [mine.display().to_string(), system.display().to_string()];
        let a = read("a", &files).unwrap();
        assert_eq!((a.get("host"), a.get("port"), a.get("user")), (Some("one"), Some("1"), None));
        let c = read("c", &files).unwrap();
        assert_eq!(
            (c.get("host"), c.get("user"), c.get("password")),
            (None, Some("five"), Some("a=b #c"))
        );
        assert!(
            read("d", &files).err().unwrap().starts_with("the service d is not defined (not in ")
        );
        assert!(read("d", &["/does/not/exist".to_owned()]).err().unwrap().contains("no such file"));
    }
}
