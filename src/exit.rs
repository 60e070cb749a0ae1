//! The exit codes: a contract with scripts and supervisors.

/// How the process ends when the command does not take its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything is ready, and there was no command.
    Ready,
    /// Usage or config error, found before the first attempt.
    Usage,
    /// A dependency cannot become ready.
    Hopeless,
    /// A panic outside of every attempt.
    Defect,
    /// Standard output cannot be written.
    Output,
    /// Not ready in time.
    TimedOut,
    /// The command cannot be executed.
    NotExecutable,
    /// The command does not exist.
    NotFound,
}

impl Exit {
    /// Returns the exit code.
    pub const fn code(self) -> i32 {
        match self {
            Exit::Ready => 0,
            Exit::Usage => 64,
            Exit::Hopeless => 69,
            Exit::Defect => 70,
            Exit::Output => 74,
            Exit::TimedOut => 124,
            Exit::NotExecutable => 126,
            Exit::NotFound => 127,
        }
    }
}

/// The table for help, man page and README.
pub static TABLE: &[(&str, &str)] = &[
    ("0", "everything is ready, and there was no command"),
    ("64", "usage or config error, found before the first attempt"),
    (
        "69",
        "a dependency cannot become ready (hopeless, learned from an attempt), or `--once` found \
        one not ready",
    ),
    ("70", "an error inside afterall: please report it"),
    ("74", "standard output cannot be written"),
    ("124", "not ready in time"),
    ("126, 127", "the command cannot be executed, does not exist"),
    ("128+n", "ended by signal n"),
    ("other", "the command's own"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_table() {
        let listed: Vec<&str> = TABLE.iter().flat_map(|(codes, _)| codes.split(", ")).collect();
        for exit in [
            Exit::Ready,
            Exit::Usage,
            Exit::Hopeless,
            Exit::Defect,
            Exit::Output,
            Exit::TimedOut,
            Exit::NotExecutable,
            Exit::NotFound,
        ] {
            assert!(listed.contains(&exit.code().to_string().as_str()), "{exit:?}");
        }
    }
}
