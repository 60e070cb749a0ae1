//! A connection with a bounded input buffer, for the kinds that bring their own codec.

use std::{fmt, io};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    connect::{Endpoint, Stream, is_closed},
    probe::{Attempt, Class, Failure},
    text::it_says,
    tls::{Tls, connect_to, is_tls_record, tls_stream_failure},
};

/// The most bytes that one read adds to the buffer.
const CHUNK: usize = 16 * 1024;

/// A connection to one server, and the bytes that it has sent so far.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    endpoint: Endpoint,
    /// Bytes that were received and not yet taken. Taking moves an offset and copies nothing.
    input: BytesMut,
    /// The server has sent at least one byte.
    heard: bool,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, endpoint: Endpoint) -> Self {
        Self { stream, endpoint, input: BytesMut::new(), heard: false }
    }

    /// Connects to `endpoint`, by TLS if `tls` is set. `server` is its name in the stage, e.g.
    /// `Kafka`.
    #[cfg_attr(
        not(any(feature = "amqp", feature = "kafka", feature = "mongodb", feature = "memcached")),
        allow(dead_code, reason = "the other kinds do more before the first byte")
    )]
    pub(super) async fn open(
        attempt: &Attempt<'_>,
        endpoint: &Endpoint,
        tls: Option<&Tls>,
        server: &str,
    ) -> Result<Self, Failure> {
        let stream = connect_to(attempt, endpoint, tls).await?;
        attempt.stage(format!("connected to {endpoint}, but no answer from {server}"));
        Ok(Self::new(stream, endpoint.clone()))
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns true if the server has sent anything on this connection.
    #[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "only redis asks"))]
    pub(super) fn heard(&self) -> bool {
        self.heard
    }

    /// Sends `bytes`.
    ///
    /// A closed connection is not a failure yet: the server's reason may still be read.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let sent = match self.stream.write_all(bytes).await {
            Ok(()) => self.stream.flush().await,
            Err(error) => Err(error),
        };
        match sent {
            Err(error) if !is_closed(&error) => Err(self.lost(&error)),
            _ => Ok(()),
        }
    }

    /// The bytes that were received and not yet taken.
    pub(super) fn received(&self) -> &[u8] {
        &self.input
    }

    /// The next `n` bytes. The caller bounds `n`.
    #[cfg_attr(
        not(any(feature = "redis", feature = "mysql", feature = "amqp")),
        allow(dead_code, reason = "only these protocols have lengths in front")
    )]
    pub(super) async fn take(&mut self, n: usize) -> Result<BytesMut, Failure> {
        self.fill_to(n).await?;
        Ok(self.input.split_to(n))
    }

    /// Reads until at least `n` bytes are buffered. The caller bounds `n`.
    pub(super) async fn fill_to(&mut self, n: usize) -> Result<(), Failure> {
        while self.input.len() < n {
            self.fill().await?;
        }
        Ok(())
    }

    /// Returns the next line without its line end, or `None` if it is longer than `max` bytes.
    #[cfg_attr(
        not(any(feature = "redis", feature = "memcached")),
        allow(dead_code, reason = "only these protocols have lines")
    )]
    pub(super) async fn line(&mut self, max: usize) -> Result<Option<BytesMut>, Failure> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.input[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.input.split_to(searched + at);
                self.input.advance(1);
                if line.ends_with(b"\r") {
                    line.truncate(line.len() - 1);
                }
                return Ok(Some(line));
            }
            searched = self.input.len();
            if searched > max {
                return Ok(None);
            }
            self.fill().await?;
        }
    }

    /// Reads once.
    pub(super) async fn fill(&mut self) -> Result<(), Failure> {
        self.input.reserve(CHUNK);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => Err(self.lost(&io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {
                self.heard = true;
                Ok(())
            }
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Returns the stream for a TLS handshake. The caller has taken all received bytes.
    #[cfg(feature = "mysql")]
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }

    /// Closes the connection, TLS included. A failure to close it does not matter any more.
    pub(super) async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Returns a failure whose message names the server.
    pub(super) fn failure(&self, class: Class, message: impl fmt::Display) -> Failure {
        self.failure_of(class, &message)
    }

    // Compiled once for all types of messages.
    #[cold]
    #[inline(never)]
    fn failure_of(&self, class: Class, message: &dyn fmt::Display) -> Failure {
        Failure::new(class, format!("{message} ({})", self.endpoint))
    }

    /// Returns the failure of a server that speaks another protocol. It quotes the server's bytes.
    /// `remedy` is how the user asks for TLS, for a server that speaks TLS.
    pub(super) fn foreign(&self, message: &str, remedy: Option<&str>) -> Failure {
        let message = format!("{message}{}", it_says(&self.input));
        let failure = self.failure(Class::Protocol, message);
        match remedy {
            Some(remedy) if is_tls_record(self.received()) => {
                failure.hint(format!("the server speaks TLS: {remedy}"))
            }
            _ => failure,
        }
    }

    fn lost(&self, error: &io::Error) -> Failure {
        tls_stream_failure(error, &self.endpoint)
    }
}

#[cfg(all(
    test,
    any(
        feature = "redis",
        feature = "mysql",
        feature = "amqp",
        feature = "kafka",
        feature = "mongodb"
    )
))]
pub(super) mod testing {
    //! A wire whose other end is a byte string.

    use super::*;

    /// A wire on which the server sends `bytes` and closes.
    pub(in crate::kinds) fn wire(bytes: &[u8]) -> Wire {
        let (ours, theirs) = tokio::io::duplex(bytes.len().max(1));
        let bytes = bytes.to_vec();
        tokio::spawn(async move {
            let (_, mut writer) = tokio::io::split(theirs);
            let _ = writer.write_all(&bytes).await;
        });
        Wire::new(Box::new(ours), Endpoint::Tcp("db".to_owned(), 1))
    }
}
