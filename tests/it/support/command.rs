//! Commands that `afterall` becomes: /bin/sh scripts, and one that counts its executions.

use super::dir::Dir;
use std::path::PathBuf;

/// `/bin/sh -c SCRIPT`, by its full path, so that it is found under any PATH.
pub fn sh(script: &str) -> [String; 3] {
    ["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()]
}

/// A command that records each of its executions.
pub struct Counted {
    dir: Dir,
    script: PathBuf,
}

impl Counted {
    pub fn new() -> Self {
        Self::doing("")
    }

    /// `then` is the shell code after the line that records the execution.
    pub fn doing(then: &str) -> Self {
        let dir = Dir::new();
        let runs = dir.text("runs");
        let script = dir.write_script("command", &format!("#!/bin/sh\necho $$ >>{runs}\n{then}\n"));
        Self { dir, script }
    }

    pub fn path(&self) -> &str {
        self.script.to_str().unwrap()
    }

    pub fn runs(&self) -> usize {
        self.pids().len()
    }

    /// The pid of each execution. It equals `afterall`'s pid where `afterall` became the command.
    pub fn pids(&self) -> Vec<i32> {
        self.dir.read("runs").lines().map(|line| line.parse().unwrap()).collect()
    }
}
