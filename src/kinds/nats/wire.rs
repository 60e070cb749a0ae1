//! The NATS client protocol, as far as a probe needs it: lines, and messages of a known length.

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{failure, info::Info};
use crate::{
    connect::{Endpoint, Stream},
    probe::{Class, Failure, compute},
    tls::tls_stream_failure,
};

/// The longest line that is read, in bytes. An INFO that lists a thousand servers has half of it.
const MAX_LINE: usize = 64 * 1024;

/// The longest message that is read, in bytes: the largest one that nats-server sends by default.
const MAX_MESSAGE: usize = 1 << 20;

/// The most that one read takes, in bytes. It bounds the work between two awaits.
const MAX_READ: usize = 8 * 1024;

/// The most operations that are read from one connection. A server sends fewer than ten before the
/// reply to a request.
const MAX_OPERATIONS: usize = 1000;

/// An operation that a server sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Op {
    Info(Info),
    Ping,
    Pong,
    Ok,
    /// A message: the status in its header, if it has one, and its payload.
    Message {
        status: Option<u16>,
        payload: BytesMut,
    },
}

/// A connection to one server.
pub(super) struct Wire<'a> {
    stream: Box<dyn Stream>,
    endpoint: &'a Endpoint,
    /// Received bytes that are not yet consumed.
    buffer: BytesMut,
    operations: usize,
}

impl<'a> Wire<'a> {
    pub(super) fn new(stream: Box<dyn Stream>, endpoint: &'a Endpoint) -> Self {
        Self { stream, endpoint, buffer: BytesMut::new(), operations: 0 }
    }

    /// Returns the first INFO. Anything else is not NATS and fails at once.
    pub(super) async fn first_info(&mut self) -> Result<Info, Failure> {
        while self.buffer.len() < 4 {
            if !self.begins_like_nats() {
                break;
            }
            self.more().await?;
        }
        if !self.begins_like_nats() {
            return Err(failure::not_nats(&self.buffer, &self.endpoint.to_string()));
        }
        match self.next().await? {
            Op::Info(info) => Ok(info),
            _ => Err(failure::not_nats(b"", &self.endpoint.to_string())),
        }
    }

    /// Returns true if the server has not sent a byte yet.
    pub(super) fn has_received_nothing(&self) -> bool {
        self.buffer.is_empty() && self.operations == 0
    }

    fn begins_like_nats(&self) -> bool {
        let begins =
            |word: &[u8]| self.buffer.iter().zip(word).all(|(a, b)| a.eq_ignore_ascii_case(b));
        begins(b"INFO") || begins(b"-ERR")
    }

    /// Returns the stream for a TLS handshake. The server must not have sent anything behind INFO.
    pub(super) async fn into_stream(mut self) -> Result<Box<dyn Stream>, Failure> {
        if self.buffer.is_empty() {
            Ok(self.stream)
        } else {
            // Most likely an -ERR, e.g. of a server that is full.
            Err(match self.next().await {
                Err(failure) => failure,
                Ok(_) => Failure::new(
                    Class::Protocol,
                    format!("the server goes on in clear behind INFO ({})", self.endpoint),
                ),
            })
        }
    }

    /// Sends `bytes`. Where that fails, the server's last -ERR is the failure, if there is one.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let Err(error) = sent.await else { return Ok(()) };
        loop {
            match self.next().await {
                Ok(_) => {}
                Err(failure) if failure.class == Class::Connect => {
                    return Err(tls_stream_failure(&error, self.endpoint));
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Returns the server's next operation. Its `-ERR` is a failure.
    pub(super) async fn next(&mut self) -> Result<Op, Failure> {
        self.operations += 1;
        if self.operations > MAX_OPERATIONS {
            return Err(
                self.garbled("more than 1000 operations and not the one that was asked for")
            );
        }
        let line = self.line().await?;
        let (word, rest) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
        match word.to_ascii_uppercase().as_str() {
            "INFO" => {
                let (text, start) = (line.clone(), line.len() - rest.len());
                match compute(text.len(), move || Info::parse(&text[start..])).await? {
                    Some(info) => Ok(Op::Info(info)),
                    None => Err(failure::not_nats(line.as_bytes(), &self.endpoint.to_string())),
                }
            }
            "PING" => Ok(Op::Ping),
            "PONG" => Ok(Op::Pong),
            "+OK" => Ok(Op::Ok),
            "-ERR" => Err(failure::err_failure(rest, self.endpoint)),
            // MSG subject sid [reply] bytes
            "MSG" => self.message(None, rest.split_ascii_whitespace().next_back()).await,
            // HMSG subject sid [reply] header-bytes total-bytes
            "HMSG" => {
                let mut sizes = rest.split_ascii_whitespace();
                let total = sizes.next_back();
                self.message(sizes.next_back(), total).await
            }
            _ => Err(self.garbled(&line)),
        }
    }

    async fn message(&mut self, header: Option<&str>, total: Option<&str>) -> Result<Op, Failure> {
        let size = |text: Option<&str>| text.and_then(|text| text.parse::<usize>().ok());
        let header_size = match header {
            Some(header) => size(Some(header)),
            None => Some(0),
        };
        let (Some(header), Some(total)) = (header_size, size(total)) else {
            return Err(self.garbled("a message without its size"));
        };
        if header > total || total > MAX_MESSAGE {
            return Err(self.garbled("a message of an impossible size"));
        }
        while self.buffer.len() < total + 2 {
            self.more().await?;
        }
        let header = self.buffer.split_to(header);
        let payload = self.buffer.split_to(total - header.len());
        self.buffer.advance(2);
        // NATS/1.0 503
        let first = String::from_utf8_lossy(&header);
        let status = first
            .lines()
            .next()
            .and_then(|line| line.split_ascii_whitespace().nth(1))
            .and_then(|code| code.parse().ok());
        Ok(Op::Message { status, payload })
    }

    fn garbled(&self, message: &str) -> Failure {
        Failure::new(Class::Protocol, format!("not NATS: {message} ({})", self.endpoint))
    }

    async fn line(&mut self) -> Result<String, Failure> {
        let mut searched = 0;
        loop {
            let end = self.buffer[searched..].iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let line = self.buffer.split_to(searched + end + 1);
                return Ok(String::from_utf8_lossy(&line).trim().to_owned());
            }
            searched = self.buffer.len();
            if searched > MAX_LINE {
                return Err(self.garbled("a line of more than 64 KiB"));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Failure> {
        match self.stream.read_buf(&mut (&mut self.buffer).limit(MAX_READ)).await {
            Ok(0) => {
                Err(tls_stream_failure(&std::io::ErrorKind::UnexpectedEof.into(), self.endpoint))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(tls_stream_failure(&error, self.endpoint)),
        }
    }

    /// Closes the connection, TLS included. Errors no longer matter.
    pub(super) async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }
}
