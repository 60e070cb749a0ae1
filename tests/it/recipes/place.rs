//! A directory for a recipe's files: every path that it names is moved below it, and holds valid
//! content.

use super::texts::is_afterall;
use crate::support::{Afterall, Authority, Dir, Identity};
use std::cell::RefCell;
use std::fs;
use std::path::Path;

/// The recipes' password, from any source.
pub const PASSWORD: &str = "p#a/s%s@word";

pub struct Place {
    pub dir: Dir,
    pub authority: Authority,
    client: Identity,
    files: Vec<(String, String)>,
    env: Vec<(String, String)>,
    awaited: RefCell<Vec<String>>,
}

/// The text before a path, and the required content. That text is a key of the command line, of a
/// config file, or an expansion.
const ROLES: &[(&str, Role)] = &[
    ("ca=", Role::Ca),
    ("ca = \"", Role::Ca),
    ("cert=", Role::Cert),
    ("cert = \"", Role::Cert),
    ("key=", Role::Key),
    ("key = \"", Role::Key),
    ("creds=", Role::Creds),
    ("dir=", Role::Migrations),
    ("dir = \"", Role::Migrations),
    ("${file:", Role::Secret),
    ("=file:", Role::Awaited),
    ("--config=", Role::Named),
    ("--config ", Role::Named),
];

#[derive(Clone, Copy)]
enum Role {
    Ca,
    Cert,
    Key,
    Creds,
    Migrations,
    Secret,
    /// The content that the test declares.
    Named,
    /// Not there yet.
    Awaited,
}

/// Only the server checks a user's JWT. The seed must be valid.
const CREDS: &str = "-----BEGIN NATS USER JWT-----\neyJhbGciOiJub25lIn0.e30.e30\n------END NATS \
    USER JWT------\n\
    -----BEGIN USER NKEY SEED-----\nSUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n\
    ------END USER NKEY SEED------\n";

/// The migrations of every recipe, as Sequel names them.
pub const MIGRATIONS: [&str; 2] = ["20260801110000_jobs.rb", "20260801120000_users.rb"];

impl Place {
    pub fn new() -> Self {
        let authority = Authority::new("recipes");
        let client = authority.client("recipe");
        Self {
            dir: Dir::new(),
            authority,
            client,
            files: Vec::new(),
            env: Vec::new(),
            awaited: RefCell::default(),
        }
    }

    /// A file that the recipe names with `--config`.
    pub fn add_file(&mut self, path: &str, content: &str) {
        self.files.push((path.to_owned(), content.to_owned()));
    }

    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The text with its paths moved here.
    pub fn moved(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (prefix, role) in ROLES {
            let mut from = 0;
            while let Some(found) = text[from..].find(prefix) {
                let start = from + found + prefix.len();
                from = start;
                let before = text[..start - prefix.len()].chars().next_back();
                let path: String =
                    text[start..].chars().take_while(|c| !",}\"' \n".contains(*c)).collect();
                let within_a_word = prefix.starts_with(char::is_alphabetic)
                    && before.is_some_and(|c| c.is_alphanumeric() || c == '-');
                let own = path.starts_with(self.dir.path().to_str().unwrap());
                if within_a_word || !path.starts_with('/') || path.starts_with("//") || own {
                    continue;
                }
                self.furnish(&path, *role);
                text.replace_range(start..start + path.len(), &self.at(&path));
            }
        }
        text
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.dir.path().display())
    }

    /// The files that recipes wait for are there from now on.
    pub fn bring_awaited(&self) {
        self.awaited.borrow().iter().for_each(|name| drop(self.dir.write(name, "1")));
    }

    fn furnish(&self, path: &str, role: Role) {
        let name = path.trim_start_matches('/');
        let content = match role {
            Role::Awaited => {
                self.dir.mkdir(Path::new(name).parent().unwrap().to_str().unwrap());
                self.awaited.borrow_mut().push(name.to_owned());
                return;
            }
            Role::Migrations => {
                let dir = name.replace('*', "x");
                MIGRATIONS
                    .iter()
                    .for_each(|file| drop(self.dir.write(&format!("{dir}/{file}"), "")));
                return;
            }
            Role::Ca => fs::read(&self.authority.cert).unwrap(),
            Role::Cert => fs::read(&self.client.cert).unwrap(),
            Role::Key => fs::read(&self.client.key).unwrap(),
            Role::Creds => CREDS.into(),
            Role::Secret => format!("{PASSWORD}\n").into(),
            Role::Named => {
                let known = self.files.iter().find(|(known, _)| known == path);
                self.moved(&known.unwrap_or_else(|| panic!("what is {path}?")).1).into()
            }
        };
        self.dir.write_secret(name, content);
    }

    /// The words between `afterall` and its command, moved here, and true if a command follows.
    pub fn declared(&self, words: &[String]) -> (Vec<String>, bool) {
        let (wait, command) = match words.iter().position(|word| word == "--") {
            Some(end) => (&words[1..end], words.get(end + 1)),
            None => (&words[1..], None),
        };
        let separate = |word: &String| word.replace("--config=", "--config ");
        let wait = wait
            .iter()
            .map(|word| self.moved(&separate(word)).replace("--config ", "--config="))
            .collect();
        (wait, command.is_some())
    }

    /// Where the recipe runs, with the variables that it counts on.
    pub fn afterall(&self, words: impl IntoIterator<Item = String>) -> Afterall {
        let afterall = Afterall::waiting_for(words).cwd(self.dir.path());
        self.env.iter().fold(afterall, |afterall, (name, value)| afterall.env(name, value))
    }

    /// Asserts that the binary accepts every word and every file without a remark.
    #[track_caller]
    pub fn accepts(&self, words: &[String]) {
        let (assignments, words) =
            words.split_at(words.iter().position(|word| is_afterall(word)).unwrap());
        let (wait, has_command) = self.declared(words);
        assert!(
            has_command || !words.iter().any(|word| word == "--"),
            "nothing follows the --: {words:?}"
        );
        let afterall = self.afterall(wait).arg("--print-plan");
        let afterall = if has_command { afterall.becoming(["/bin/true"]) } else { afterall };
        let assign = |afterall: Afterall, word: &String| {
            let (name, value) = word.split_once('=').unwrap();
            afterall.env(name, self.moved(value))
        };
        let done = assignments.iter().fold(afterall, assign).run().any_stdout();
        assert!(
            done.status().success() && done.stderr_text().is_empty(),
            "{words:?}: {}",
            done.stderr_text()
        );
    }
}
