//! Files and errors of the operating system.

use std::{fs::OpenOptions, io::Read, os::unix::fs::OpenOptionsExt};

use crate::text::strip_byte_order_mark;

/// The largest file that `${file:PATH}` reads, in bytes.
pub const MAX_FILE: u64 = 64 * 1024;

/// Reads a secret's file: a regular one of at most 64 KiB. One line end at its end is removed, and
/// so is a byte order mark.
///
/// # Errors
/// The reason why it cannot be read, without the path.
pub fn read_small(path: &str) -> Result<String, String> {
    let mut text = read_text(path, MAX_FILE)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Reads a regular file of at most `max` bytes as UTF-8, without a byte order mark.
///
/// # Errors
/// The reason why it cannot be read, without the path.
pub fn read_text(path: &str, max: u64) -> Result<String, String> {
    let bytes = read_bytes(path, max)?;
    let text = std::str::from_utf8(strip_byte_order_mark(&bytes));
    text.map(str::to_owned).map_err(|_| "not UTF-8".to_owned())
}

/// Reads a regular file of at most `max` bytes. The error does not repeat the path.
///
/// Opened without blocking, so that a FIFO cannot hold us up before it is refused.
pub fn read_bytes(path: &str, max: u64) -> Result<Vec<u8>, String> {
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

/// The text of ECONNREFUSED.
pub const REFUSED: &str = "connection refused";

/// An I/O error in the words of the system, without Rust's `(os error 2)`.
pub fn describe(error: &std::io::Error) -> String {
    // The usual error of a wait, many times a second. The way below takes 3,400 instructions.
    if error.raw_os_error() == Some(libc::ECONNREFUSED) {
        return REFUSED.to_owned();
    }
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, content).unwrap();
        read_small(file.path().to_str().unwrap())
    }

    #[test]
    fn line_end_and_byte_order_mark_are_stripped_from_secrets() {
        for (content, want) in [
            (&b"s3cr3t"[..], "s3cr3t"),
            (b"s3cr3t\n", "s3cr3t"),
            (b"s3cr3t\r\n", "s3cr3t"),
            (b"s3cr3t\n\n", "s3cr3t\n"),
            (b"\xef\xbb\xbfs3cr3t\r\n", "s3cr3t"),
            (b"\r", "\r"),
        ] {
            assert_eq!(read(content).as_deref(), Ok(want), "{content:?}");
        }
    }

    #[test]
    fn files_up_to_64_kib_are_read() {
        assert_eq!(read(&vec![b'x'; 64 * 1024]).map(|text| text.len()), Ok(64 * 1024));
        assert_eq!(read(&vec![b'x'; 64 * 1024 + 1]), Err("larger than 64 KiB".to_owned()));
    }
}
