//! The NATS client protocol, as far as a probe needs it: lines, and messages of a known length.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{failure, info::Info};
use crate::{
    connect::{Endpoint, Stream},
    probe::{Class, Failure},
    tls::tls_stream_failure,
};

/// The longest line or message that is read, in bytes.
const MAX: usize = 1 << 20;

/// What a server sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Op {
    Info(Info),
    Ping,
    Pong,
    Ok,
    /// A message: the status in its header, if it has one, and its payload.
    Message {
        status: Option<u16>,
        payload: Vec<u8>,
    },
}

/// A connection to one server.
pub(super) struct Wire<'a> {
    stream: Box<dyn Stream>,
    endpoint: &'a Endpoint,
    buffer: Vec<u8>,
}

impl<'a> Wire<'a> {
    pub(super) fn new(stream: Box<dyn Stream>, endpoint: &'a Endpoint) -> Self {
        Self { stream, endpoint, buffer: Vec::new() }
    }

    /// The first INFO. Whatever else speaks first is not NATS, which is said without waiting for more of it.
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

    fn begins_like_nats(&self) -> bool {
        let begins =
            |word: &[u8]| self.buffer.iter().zip(word).all(|(a, b)| a.eq_ignore_ascii_case(b));
        begins(b"INFO") || begins(b"-ERR")
    }

    /// The stream, for TLS to be spoken on it. Nothing may have been said in clear behind INFO.
    pub(super) async fn into_stream(mut self) -> Result<Box<dyn Stream>, Failure> {
        match self.buffer.is_empty() {
            true => Ok(self.stream),
            // Most likely the reason why it will not speak to us.
            false => Err(match self.next().await {
                Err(failure) => failure,
                Ok(_) => Failure::new(
                    Class::Protocol,
                    format!("the server goes on in clear behind INFO ({})", self.endpoint),
                ),
            }),
        }
    }

    /// Sends `bytes`. Where that fails, what the server said before it closed tells more.
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

    /// What the server sends next. Its `-ERR` is a failure.
    pub(super) async fn next(&mut self) -> Result<Op, Failure> {
        let line = self.line().await?;
        let (word, rest) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
        match word.to_ascii_uppercase().as_str() {
            "INFO" => match Info::parse(rest) {
                Some(info) => Ok(Op::Info(info)),
                None => Err(failure::not_nats(line.as_bytes(), &self.endpoint.to_string())),
            },
            "PING" => Ok(Op::Ping),
            "PONG" => Ok(Op::Pong),
            "+OK" => Ok(Op::Ok),
            "-ERR" => Err(failure::of_err(rest, self.endpoint)),
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
        if header > total || total > MAX {
            return Err(self.garbled("a message of an impossible size"));
        }
        while self.buffer.len() < total + 2 {
            self.more().await?;
        }
        let mut payload: Vec<u8> = self.buffer.drain(..total + 2).take(total).collect();
        let header: Vec<u8> = payload.drain(..header).collect();
        // NATS/1.0 503
        let first = String::from_utf8_lossy(&header);
        let status = first
            .lines()
            .next()
            .and_then(|line| line.split_ascii_whitespace().nth(1))
            .and_then(|code| code.parse().ok());
        Ok(Op::Message { status, payload })
    }

    fn garbled(&self, what: &str) -> Failure {
        Failure::new(Class::Protocol, format!("not what NATS says: {what} ({})", self.endpoint))
    }

    async fn line(&mut self) -> Result<String, Failure> {
        let mut looked_at = 0;
        loop {
            if let Some(end) = self.buffer[looked_at..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=looked_at + end).collect();
                return Ok(String::from_utf8_lossy(&line).trim().to_owned());
            }
            looked_at = self.buffer.len();
            if looked_at > MAX {
                return Err(self.garbled("a line of more than 1 MiB"));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Failure> {
        self.buffer.reserve(8 * 1024);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => {
                Err(tls_stream_failure(&std::io::ErrorKind::UnexpectedEof.into(), self.endpoint))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(tls_stream_failure(&error, self.endpoint)),
        }
    }

    /// Says goodbye, TLS included; what becomes of it does not matter any more.
    pub(super) async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }
}
