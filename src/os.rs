//! Files and errors of the operating system.

use std::{fs::OpenOptions, io::Read, os::unix::fs::OpenOptionsExt};

use crate::signals;

/// The largest file that `${file:PATH}` reads, in bytes.
pub const MAX_FILE: u64 = 64 * 1024;

/// Reads a secret's file: a regular one of at most 64 KiB, one trailing newline removed.
pub fn read_small(path: &str) -> Result<String, String> {
    let bytes = read_bytes(path, MAX_FILE)?;
    let mut text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// Reads a regular file of at most `max` bytes. The error does not repeat the path.
///
/// Opened without blocking, so that a FIFO cannot hold us up before it is refused.
pub fn read_bytes(path: &str, max: u64) -> Result<Vec<u8>, String> {
    signals::stoppable(|| read_regular(path, max))
}

fn read_regular(path: &str, max: u64) -> Result<Vec<u8>, String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|e| describe(&e))?;
    let is_file = file.metadata().map_err(|e| describe(&e))?.is_file();
    if !is_file {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(|e| describe(&e))?;
    if bytes.len() as u64 > max {
        return Err(format!("larger than {} KiB", max / 1024));
    }
    Ok(bytes)
}

/// An I/O error in the words of the system, without Rust's `(os error 2)`.
pub fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
