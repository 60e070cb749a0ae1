//! The messages of one connection: reads and writes them within bounds, and detects other
//! protocols.

use std::{fmt, io};

use bytes::BytesMut;
use postgres_protocol::message::{
    backend::{Header, Message},
    frontend,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::yield_now,
};

use super::classify::PgError;
use crate::{
    connect::{Endpoint, Stream, is_closed, stream_failure},
    probe::{Class, Failure},
    text::{it_says, one_line},
    tls::{ClientCertificate, Secured, is_tls_record, tls_stream_failure},
};

/// The longest message before the login is done, in bytes. libpq takes 2,000 for a request and
/// 30,000 for an error.
const MAX_BEFORE_LOGIN: usize = 32 * 1024;
/// The longest message after the login, in bytes: a row, or an error that quotes a statement.
const MAX_AFTER_LOGIN: usize = 4 * 1024 * 1024;

/// Version 3.0 of the protocol in the startup packet (PostgreSQL manual, section 54.7).
pub(super) const PROTOCOL_3_0: u32 = 3 << 16;
/// Version 3.2, of PostgreSQL 18.
pub(super) const PROTOCOL_3_2: u32 = 3 << 16 | 2;

/// The most messages of one login or one reply that are neither rows nor its end: notices, changed
/// settings.
///
/// A server may send them without end, and the session needs none of them.
#[derive(Default)]
pub(super) struct Notices {
    count: usize,
    bytes: usize,
}

impl Notices {
    const MOST: usize = 10_000;
    const MOST_BYTES: usize = 1024 * 1024;

    /// Counts the last message.
    pub(super) fn count(&mut self, wire: &Wire) -> Result<(), Failure> {
        self.count += 1;
        self.bytes += wire.last_length;
        if self.count > Self::MOST || self.bytes > Self::MOST_BYTES {
            return Err(wire.garbage("notices without end"));
        }
        Ok(())
    }
}

/// The first bytes of messages during login: R, E, N, S, K, Z, and v from a server that negotiates.
const TAGS_OF_LOGIN: &[u8] = b"RENSKZv";

/// A connection that carries PostgreSQL's protocol.
pub(super) struct Wire {
    pub(super) stream: Box<dyn Stream>,
    pub(super) endpoint: Endpoint,
    pub(super) encrypted: bool,
    /// The hash of the server's certificate, for channel binding.
    pub(super) end_point: Option<Vec<u8>>,
    /// The use of our certificate in the TLS handshake.
    pub(super) client_certificate: ClientCertificate,
    /// The lowest protocol version that a server may negotiate.
    pub(super) least_protocol: u32,
    pub(super) logged_in: bool,
    /// Bytes that were read and not yet parsed.
    input: BytesMut,
    /// Bytes to send next.
    pub(super) output: BytesMut,
    /// True if the first message was valid.
    known: bool,
    /// The length of the last message, in bytes.
    last_length: usize,
}

/// The reason why a conversation failed.
#[derive(Debug)]
pub enum Error {
    /// The server sent an error.
    Server(PgError),
    /// Any other failure.
    Failed(Failure),
}

/// The way in which our side closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    /// Reads to the end first, because unread bytes would turn the close into a reset.
    Yes,
    /// Closes at once, because no bytes are on their way.
    No,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::Failed(failure)
    }
}

/// Yields the thread after every 256th message, because one read may return many messages.
pub(super) async fn let_others_run(messages: usize) {
    if messages.is_multiple_of(256) {
        yield_now().await;
    }
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, endpoint: Endpoint) -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Self {
            stream,
            endpoint,
            encrypted: false,
            end_point: None,
            client_certificate: ClientCertificate::NotRequested,
            least_protocol: 0,
            logged_in: false,
            input,
            output,
            known: false,
            last_length: 0,
        }
    }

    /// Makes the wire of a stream after a TLS handshake.
    pub(super) fn secured(secured: Secured, endpoint: Endpoint) -> Self {
        Self {
            encrypted: true,
            end_point: secured.end_point,
            client_certificate: secured.client_certificate,
            ..Self::new(secured.stream, endpoint)
        }
    }

    /// Sends the bytes in `output`.
    ///
    /// A closed connection is not a failure yet, because the server's reason is still to be read.
    pub(super) async fn send(&mut self) -> Result<(), Failure> {
        let output = self.output.split();
        let sent = match self.stream.write_all(&output).await {
            Ok(()) => self.stream.flush().await,
            Err(error) => Err(error),
        };
        match sent {
            Err(error) if !is_closed(&error) => Err(self.lost(&error)),
            _ => Ok(()),
        }
    }

    /// Returns the next message, which may be an ErrorResponse.
    pub(super) async fn receive(&mut self) -> Result<Message, Failure> {
        loop {
            if let Some(text) = self.error_of_old() {
                return Err(Failure::new(Class::Busy, format!("{text} ({})", self.endpoint)));
            }
            let whole = self.next_length()?.unwrap_or(5);
            if self.input.len() < whole {
                self.input.reserve((whole - self.input.len()).min(64 * 1024));
                self.fill().await?;
                continue;
            }
            match self.input.first() {
                Some(b'v') => {
                    let message = self.input.split_to(whole);
                    self.check_protocol(&message)?;
                    continue;
                }
                // BackendKeyData serves cancel requests, which are never sent. From version 3.2 on
                // its key is too long for the library.
                Some(b'K') => {
                    drop(self.input.split_to(whole));
                    self.known = true;
                    continue;
                }
                _ => {}
            }
            match Message::parse(&mut self.input) {
                Ok(Some(message)) => {
                    (self.known, self.last_length) = (true, whole);
                    return Ok(message);
                }
                Ok(None) => {}
                Err(error) => return Err(self.garbage(error)),
            }
        }
    }

    /// Reads one byte, which must be the only one. Bytes in clear before a handshake may come from
    /// an attacker (CVE-2021-23222).
    pub(super) async fn receive_byte(&mut self) -> Result<u8, Failure> {
        self.fill().await?;
        match self.input[..] {
            [byte @ (b'S' | b'N')] => {
                self.input.clear();
                Ok(byte)
            }
            // `receive` reads an error.
            [b'E', ..] => Ok(b'E'),
            _ => Err(self.not_postgres()),
        }
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        self.input.reserve(512);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => Err(self.lost(&io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Returns the length of the next message with its tag, once enough bytes are there.
    fn next_length(&self) -> Result<Option<usize>, Failure> {
        let Some(tag) = self.input.first() else { return Ok(None) };
        if !self.logged_in && !TAGS_OF_LOGIN.contains(tag) {
            return Err(self.not_postgres());
        }
        let header = Header::parse(&self.input).map_err(|e| self.garbage(e))?;
        let Some(header) = header else { return Ok(None) };
        let max = if self.logged_in { MAX_AFTER_LOGIN } else { MAX_BEFORE_LOGIN };
        match usize::try_from(header.len()) {
            Ok(length) if length <= max => Ok(Some(length + 1)),
            _ => Err(self.garbage("a message of impossible length")),
        }
    }

    /// Reads NegotiateProtocolVersion: the server's newest version, which must be high enough.
    fn check_protocol(&self, message: &[u8]) -> Result<(), Failure> {
        let newest = message.get(5..9).and_then(|bytes| bytes.try_into().ok());
        let newest = newest.map_or(0, u32::from_be_bytes);
        // Some poolers send only the minor version.
        let newest = if newest < PROTOCOL_3_0 { PROTOCOL_3_0 | newest } else { newest };
        if newest >= self.least_protocol {
            Ok(())
        } else {
            Err(Failure::new(
                Class::Protocol,
                format!(
                    "the server's protocol is {}.{}, and min_protocol_version wants a newer one \
                    ({})",
                    newest >> 16,
                    newest & 0xffff,
                    self.endpoint
                ),
            ))
        }
    }

    /// Reads the error of a server that cannot start a process: `E`, text, NUL, as before version
    /// 7.4.
    fn error_of_old(&self) -> Option<String> {
        let text = self.input.strip_prefix(b"Ecould not fork")?;
        Some(one_line(
            &format!("could not fork{}", String::from_utf8_lossy(text).trim_end_matches('\0')),
            200,
        ))
    }

    /// Sends Terminate and closes our side. Has no time limit of its own.
    pub(super) async fn close(&mut self, drain: Drain) {
        self.output.clear();
        frontend::terminate(&mut self.output);
        if self.send().await.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        let mut rest = [0; 512];
        while drain == Drain::Yes && self.stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
    }

    /// Returns the failure of reading or writing.
    pub(super) fn lost(&self, error: &io::Error) -> Failure {
        if self.encrypted {
            tls_stream_failure(error, &self.endpoint)
        } else {
            stream_failure(error, &self.endpoint)
        }
    }

    fn garbage(&self, message: impl fmt::Display) -> Failure {
        if self.known {
            Failure::new(
                Class::Protocol,
                format!("PostgreSQL's protocol is broken: {message} ({})", self.endpoint),
            )
        } else {
            self.not_postgres()
        }
    }

    fn not_postgres(&self) -> Failure {
        let detail = if is_tls_record(&self.input) {
            ", it speaks TLS from the first byte".to_owned()
        } else {
            it_says(&self.input)
        };
        Failure::new(Class::Protocol, format!("not PostgreSQL{detail} ({})", self.endpoint))
    }
}
