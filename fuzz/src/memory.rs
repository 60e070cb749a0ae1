//! Servers in memory: one plays what it was given, one records a real server.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use afterall::{
    connect::{Net, Stream},
    probe::{Class, Failure},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Ends one connection's bytes in a conversation. No UTF-8 text holds these bytes.
pub const SEPARATOR: [u8; 3] = [0xfe; 3];

/// Ends one turn of the server, after which the client writes. No read crosses it. A turn is empty
/// where the client writes once more.
const TURN: [u8; 3] = [0xfd; 3];

/// The server's bytes for each connection, in the order in which connections are opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Conversation(VecDeque<Vec<u8>>);

impl Conversation {
    /// Reads the connections between separators.
    pub fn read(mut bytes: &[u8]) -> Self {
        let mut connections = VecDeque::new();
        while let Some((connection, rest)) = split_once(bytes) {
            connections.push_back(connection.to_vec());
            bytes = rest;
        }
        connections.push_back(bytes.to_vec());
        Self(connections)
    }

    /// Returns true if a server sends these bytes.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|sent| sent.windows(bytes.len()).any(|window| window == bytes))
    }

    /// A network whose servers play the conversation. Each closes when it has sent everything.
    pub fn into_net(self) -> Net {
        let connections = Mutex::new(self.0);
        Net::dialing(move |_| {
            let sent = connections.lock().unwrap().pop_front().unwrap_or_default();
            Ok(Box::new(Player { turns: turns(&sent), waits: 0 }))
        })
    }
}

/// Returns the bytes before and after the first separator.
pub fn split_once(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    split_at(bytes, SEPARATOR)
}

fn split_at(bytes: &[u8], mark: [u8; 3]) -> Option<(&[u8], &[u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

fn turns(mut sent: &[u8]) -> VecDeque<VecDeque<u8>> {
    let mut turns = VecDeque::new();
    while let Some((turn, rest)) = split_at(sent, TURN) {
        turns.push_back(turn.iter().copied().collect());
        sent = rest;
    }
    turns.push_back(sent.iter().copied().collect());
    turns
}

/// Sends each turn when the client has written, or when it has long waited without writing.
struct Player {
    turns: VecDeque<VecDeque<u8>>,
    /// The number of times that the client was made to wait.
    waits: u8,
}

impl Player {
    /// Begins the next turn once the client has read this one.
    fn advance(&mut self) {
        if self.turns.front().is_some_and(VecDeque::is_empty) {
            self.turns.pop_front();
        }
        self.waits = 0;
    }
}

impl AsyncRead for Player {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turns.len() > 1 && self.turns[0].is_empty() {
            if self.waits < 4 {
                self.waits += 1;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.advance();
        }
        if let Some(turn) = self.turns.front_mut() {
            let length = buffer.remaining().min(turn.len());
            buffer.put_slice(&turn.drain(..length).collect::<Vec<u8>>());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Player {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.advance();
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Connections to a real server, with its bytes on each.
#[derive(Clone, Default)]
pub struct Recording(Arc<Mutex<Vec<Received>>>);

/// The bytes that one server has sent.
type Received = Arc<Mutex<Vec<u8>>>;

impl Recording {
    /// A network whose streams all lead to `server`.
    pub fn of(&self, server: SocketAddr) -> Net {
        let recording = self.clone();
        Net::dialing(move |_| {
            let received = Received::default();
            recording.0.lock().unwrap().push(Arc::clone(&received));
            let lost = |error: io::Error| Failure::new(Class::Connect, error.to_string());
            let stream = std::net::TcpStream::connect(server).map_err(lost)?;
            stream.set_nonblocking(true).map_err(lost)?;
            let inner = TcpStream::from_std(stream).map_err(lost)?;
            let recorder = Recorder { inner, received };
            Ok(Box::new(recorder) as Box<dyn Stream>)
        })
    }

    /// The conversation in the form that [`Conversation::read`] reads.
    pub fn bytes(&self) -> Vec<u8> {
        let connections = self.0.lock().unwrap();
        let received: Vec<Vec<u8>> =
            connections.iter().map(|received| received.lock().unwrap().clone()).collect();
        received.join(&SEPARATOR[..])
    }
}

struct Recorder {
    inner: TcpStream,
    received: Received,
}

impl AsyncRead for Recorder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.received.lock().unwrap().extend_from_slice(&buffer.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, data);
        // A slow server reads several writes before its turn, which must not come earlier.
        if polled.is_ready() {
            self.received.lock().unwrap().extend_from_slice(&TURN);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
