//! Processes in unusual states, and a program that reports what it inherits: see `odd.c`.

use super::process::program;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{fs, io, process};

/// A chain-loader that sets the state in `ops`, e.g. `.under(odd(["block=10", "close=0"]))`.
pub fn odd<'a>(ops: impl IntoIterator<Item = &'a str>) -> Vec<OsString> {
    let ops = ops.into_iter().map(OsString::from);
    [OsString::from(programs().join("odd"))].into_iter().chain(ops).chain(["--".into()]).collect()
}

/// The program that writes what it inherits to the file `$REPORT`.
pub fn inspect() -> String {
    programs().join("inspect").to_str().unwrap().to_owned()
}

/// The program that ends with 99 on SIGTERM.
pub fn handler() -> String {
    programs().join("handler").to_str().unwrap().to_owned()
}

/// The directory of the programs, which are compiled once for each version of the source.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        const SOURCE: &str = include_str!("odd.c");
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let version =
            SOURCE.bytes().fold(5381_u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte));
        let there = base.join(format!("odd-{version:x}"));
        if there.is_dir() {
            return there;
        }
        let unfinished = base.join(format!("odd-{version:x}-{}", process::id()));
        fs::create_dir_all(&unfinished).unwrap();
        let at = |name: &str| unfinished.join(name);
        fs::write(at("odd.c"), SOURCE).unwrap();
        // A C compiler is present, since Rust needs one to link.
        let mut compiler = Command::new(program("cc", "gcc libc6-dev"));
        compiler.args(["-O1", "-o"]).args([at("odd"), at("odd.c")]);
        assert!(compiler.status().unwrap().success(), "odd.c does not compile");
        for name in ["inspect", "handler"] {
            fs::hard_link(at("odd"), at(name)).unwrap();
        }
        match fs::rename(&unfinished, &there) {
            Ok(()) => {}
            // Another process was faster.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                let _ = fs::remove_dir_all(&unfinished);
            }
            Err(error) => panic!("{}: {error}", there.display()),
        }
        there
    })
}
