//! A server's bytes take a bounded amount of memory.

use crate::support::{Afterall, Http, LONG, Running, Scripted, response};
use std::io::{Read, Write};
use std::net::TcpStream;

/// The most memory that one server's input may take, in KiB.
const BOUND: u64 = 16 * 1024;

/// The most memory that a process has had, in KiB.
fn peak(running: &Running) -> u64 {
    let status = running.proc("status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.split_whitespace().next().unwrap().parse().unwrap()
}

/// The peak of a wait, once it has reported `words`.
fn peak_at(url: &str, words: &str) -> u64 {
    let bounds = ["--timeout", "never", "--attempt-timeout", "2m"];
    let running = Afterall::waiting_for([url]).args(bounds).spawn();
    running.wait_for_stderr(words, LONG);
    peak(&running)
}

#[track_caller]
fn stays_small(large: u64, small: u64) {
    assert!(large < small + BOUND, "{large} KiB, and {small} KiB for a small answer");
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32 + 4;
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

/// Reads one message of a client. Returns its tag.
fn read_message(stream: &mut TcpStream, has_tag: bool) -> std::io::Result<u8> {
    let (mut tag, mut length) = ([0], [0; 4]);
    if has_tag {
        stream.read_exact(&mut tag)?;
    }
    stream.read_exact(&mut length)?;
    stream.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize - 4])?;
    Ok(tag[0])
}

/// A PostgreSQL that admits everybody, and replies to each question with this row for ever.
fn rows_without_end(row: &[u8]) -> Scripted {
    let ready = message(b'Z', b"I");
    let login = [message(b'R', &[0; 4]), ready.clone()].concat();
    let begun = [message(b'C', b"BEGIN\0"), ready].concat();
    let rows = message(b'D', row).repeat(4096);
    let converse = move |stream: &mut TcpStream| -> std::io::Result<()> {
        read_message(stream, false)?;
        stream.write_all(&login)?;
        loop {
            match read_message(stream, true)? {
                b'Q' => stream.write_all(&begun)?,
                b'S' => loop {
                    stream.write_all(&rows)?;
                },
                _ => {}
            }
        }
    };
    Scripted::new(move |_, mut stream| drop(converse(&mut stream)))
}

#[test]
fn rows_of_a_migrations_table_are_bounded_in_memory() {
    let url = |server: &Scripted| {
        format!("migrations+postgres://u@{}/d?sslmode=disable", server.address())
    };
    let small = peak_at(&url(&Scripted::closing()), "[class=connect");
    // A row without columns costs more than its bytes.
    for row in [&b"\0\0"[..], b"\0\x01\xff\xff\xff\xff", b"\0\x03\0\0\0\0\0\0\0\0\0\0\0\0"] {
        let server = rows_without_end(row);
        stays_small(peak_at(&url(&server), "the answer takes more than 8 MiB"), small);
    }
}

#[test]
fn a_body_of_many_objects_is_bounded_in_memory() {
    let count = 349_000;
    let body = format!("[{}{{}}]", "{},".repeat(count - 1));
    let large = Http::answering(move |_, _| response(200, &body));
    let small = Http::answering(|_, _| response(200, "[{}]"));
    let peak = |server: &Http, place: usize| {
        peak_at(&format!("{}#json=/{place}/ready", server.url("/")), "but the body has no")
    };
    stays_small(peak(&large, count - 1), peak(&small, 0));
}
