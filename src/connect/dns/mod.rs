//! Records that getaddrinfo(3) does not look up: SRV and TXT, asked of the name servers of
//! /etc/resolv.conf.
//!
//! The clients that need these records have resolvers of their own, too. A name is absolute here:
//! no search domains, no hosts file.

mod packet;

use std::{
    fmt,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

pub use packet::{Record, RecordType};

use super::{is_local_limit, sandbox};
use crate::{
    blocking::BlockingLane,
    os::{describe, read_bytes},
    verdict::{Class, Failure, Stage},
};
use packet::{Outcome, Response};

const PATH: &str = "/etc/resolv.conf";
/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024;
const PORT: u16 = 53;
/// The most name servers that are asked (resolv.conf(5)).
const MAX_SERVERS: usize = 3;
/// The longest answer by UDP, in bytes: none is longer without EDNS (RFC 1035, section 4.2.1).
const MAX_DATAGRAM: usize = 512;
/// The time that a name server has to answer, before the next one is asked.
const TURN: Duration = Duration::from_secs(2);

/// Looks up the records of `name`. A name without such records has none.
///
/// # Errors
/// `dns` where the name does not exist, or no name server answers.
pub(super) async fn lookup(
    name: &str,
    kind: RecordType,
    stage: &Stage,
) -> Result<Vec<Record>, Failure> {
    stage.set(format!("{PATH} is not read"));
    let file = BlockingLane::default().run(|| read_bytes(PATH, MAX_FILE)).await?;
    // Without the file, the name server is on this machine (resolv.conf(5)).
    let file = file.unwrap_or_default();
    ask_all(&name_servers(&String::from_utf8_lossy(&file)), name, kind, stage).await
}

async fn ask_all(
    servers: &[SocketAddr],
    name: &str,
    kind: RecordType,
    stage: &Stage,
) -> Result<Vec<Record>, Failure> {
    let query = packet::query(fastrand::u16(..), name, kind).ok_or_else(|| {
        Failure::new(Class::Config, format!("{name} is not a name that DNS can hold"))
    })?;
    let unanswered = |server: &SocketAddr, message: &dyn fmt::Display| {
        let server = format!("the name server {server}");
        let message = format!("{name}: the {kind} record is not known: {server} {message}");
        Failure::new(Class::Dns, message)
    };
    let lane = BlockingLane::default();
    // The attempt ends the rounds.
    loop {
        let mut failed = None;
        for server in servers {
            stage.set(format!("no answer from the name server {server} for {name} ({kind})"));
            let (server, query) = (*server, query.clone());
            match lane.run(move || ask(server, &query, kind, Turn::begin())).await? {
                Ok(Outcome::Records(records)) => return Ok(records),
                Ok(Outcome::NoName) => {
                    let message = format!("{name} has no {kind} record: no such name");
                    return Err(Failure::new(Class::Dns, message).means_down());
                }
                Ok(Outcome::Refused(code)) => {
                    failed = Some(unanswered(&server, &format_args!("answers {code}")));
                }
                Err(error) if is_silence(&error) => {}
                Err(error) if is_local_limit(&error) => {
                    return Err(Failure::local(&error, format_args!("looking up {name}")));
                }
                Err(error) => {
                    if let Some(forbidden) = sandbox::forbids_ip() {
                        return Err(forbidden);
                    }
                    let reason = describe(&error);
                    failed = Some(unanswered(&server, &format_args!("does not answer: {reason}")));
                }
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
    }
}

/// The time that one name server has left.
#[derive(Clone, Copy)]
struct Turn(Instant);

impl Turn {
    fn begin() -> Self {
        Self(Instant::now() + TURN)
    }

    /// # Errors
    /// `TimedOut` if nothing is left.
    fn left(self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// Returns true if a name server's turn ended without an answer.
fn is_silence(error: &io::Error) -> bool {
    // The kernel ends a read at its timeout with EAGAIN.
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// Asks one name server, by UDP, and by TCP where the answer is cut.
///
/// Blocks its thread for one turn at most. With the runtime's sockets the code would be four times
/// as large. A turn continues even if its attempt is cut.
fn ask(server: SocketAddr, query: &[u8], wanted: RecordType, turn: Turn) -> io::Result<Outcome> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        SocketAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
    };
    let socket = UdpSocket::bind(any)?;
    // Only this server's datagrams are received.
    socket.connect(server)?;
    socket.send(query)?;
    let mut answer = [0; MAX_DATAGRAM];
    loop {
        socket.set_read_timeout(Some(turn.left()?))?;
        let length = socket.recv(&mut answer)?;
        match packet::read(query, wanted, &answer[..length]) {
            Response::Whole(outcome) => return Ok(outcome),
            Response::Cut => break,
            // A late answer to another question, or a forged one.
            Response::Other => {}
        }
    }
    let mut stream = TcpStream::connect_timeout(&server, turn.left()?)?;
    // A new connection has room for the query.
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    fill(&mut stream, &mut length, turn)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    fill(&mut stream, &mut answer, turn)?;
    match packet::read(query, wanted, &answer) {
        Response::Whole(outcome) => Ok(outcome),
        Response::Cut | Response::Other => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Fills `buffer` within the turn. `Read::read_exact` would wait for as long as bytes trickle in.
fn fill(stream: &mut TcpStream, mut buffer: &mut [u8], turn: Turn) -> io::Result<()> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(turn.left()?))?;
        match stream.read(buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => buffer = &mut buffer[read..],
        }
    }
    Ok(())
}

/// The `nameserver` lines of a resolv.conf.
fn name_servers(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let word = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        word.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, PORT))
    };
    let mut servers: Vec<_> = text.lines().filter_map(address).take(MAX_SERVERS).collect();
    if servers.is_empty() {
        servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
    }
    servers
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UdpSocket,
    };

    use super::*;

    #[test]
    fn name_servers_are_read_from_the_file() {
        let text = "# x\nsearch a.b\nnameserver 10.0.0.1\n nameserver\t::1 \nnameserver x\n\
            nameserver 10.0.0.2\nnameserver 10.0.0.3";
        let servers = name_servers(text);
        let shown: Vec<_> = servers.iter().map(SocketAddr::to_string).collect();
        assert_eq!(shown, ["10.0.0.1:53", "[::1]:53", "10.0.0.2:53"]);
        assert_eq!(name_servers("").len(), 1);
    }

    /// Answers by UDP that the answer is cut, and then whole by TCP.
    #[tokio::test]
    async fn a_cut_answer_is_asked_for_again_by_tcp() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let Ok(socket) = UdpSocket::bind(at).await else { return };
        tokio::spawn(async move {
            let mut query = [0; 512];
            let (length, from) = socket.recv_from(&mut query).await.unwrap();
            let mut cut = query[..length].to_vec();
            cut[2..4].copy_from_slice(&[0x83, 0x80]);
            // A forged answer with another number comes first.
            let mut forged = cut.clone();
            forged[0] ^= 1;
            socket.send_to(&forged, from).await.unwrap();
            socket.send_to(&cut, from).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let length = usize::from(stream.read_u16().await.unwrap());
            let mut answer = vec![0; length];
            stream.read_exact(&mut answer).await.unwrap();
            answer[2..4].copy_from_slice(&[0x81, 0x80]);
            answer[7] = 1;
            answer.extend(b"\xc0\x0c\0\x10\0\x01\0\0\0\0\0\x04\x03a=b");
            stream.write_u16(answer.len() as u16).await.unwrap();
            stream.write_all(&answer).await.unwrap();
            let _ = stream.read_u8().await;
        });
        let records = ask_all(&[at], "c.test", RecordType::Txt, &Stage::default()).await.unwrap();
        assert_eq!(records, [Record::Txt("a=b".to_owned())]);
    }

    #[test]
    fn a_turn_ends_although_bytes_come() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"ab").unwrap();
        let mut bytes = [0; 2];
        let over = Turn(Instant::now());
        assert!(is_silence(&fill(&mut stream, &mut bytes, over).unwrap_err()));
        fill(&mut stream, &mut bytes, Turn::begin()).unwrap();
        assert_eq!(&bytes, b"ab");
        let short = Turn(Instant::now() + Duration::from_millis(1));
        assert!(is_silence(&fill(&mut stream, &mut bytes, short).unwrap_err()));
        drop(peer);
        let ended = fill(&mut stream, &mut bytes, Turn::begin()).unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_name_server_that_refuses_is_reported() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        tokio::spawn(async move {
            for code in [3, 5] {
                let mut answer = [0; 512];
                let (length, from) = socket.recv_from(&mut answer).await.unwrap();
                answer[2..4].copy_from_slice(&[0x81, 0x80 | code]);
                socket.send_to(&answer[..length], from).await.unwrap();
            }
        });
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for (server, says, means_down) in [
            (at, "c.test has no SRV record: no such name".to_owned(), true),
            (at, format!("the name server {at} answers REFUSED"), false),
            (
                closed,
                format!("the name server {closed} does not answer: connection refused"),
                false,
            ),
        ] {
            let asked = ask_all(&[server], "c.test", RecordType::Srv, &Stage::default()).await;
            let failure = asked.unwrap_err();
            let unknown = format!("c.test: the SRV record is not known: {says}");
            let want = if means_down { says } else { unknown };
            assert_eq!(&*failure.message, want);
            assert_eq!((failure.class, failure.means_down), (Class::Dns, means_down));
        }
    }
}
