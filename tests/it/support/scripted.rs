//! Scripted TCP servers, for the faults that a real one cannot show.

use super::ports::Address;
use super::wait::LONG;
use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;

type Conversation = dyn Fn(usize, TcpStream) + Send + Sync;

/// A server that calls a closure for each connection, in a thread of its own.
pub struct Scripted {
    at: SocketAddr,
    shared: Arc<Shared>,
    _address: Option<Address>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    arrivals: Mutex<Vec<Instant>>,
    // Connections of `connections` itself, by the address that they come from.
    marks: Mutex<HashSet<SocketAddr>>,
    // For drop, which ends the open conversations.
    open: Mutex<Vec<(usize, TcpStream)>>,
}

impl Scripted {
    /// `conversation` gets the connection's number, from 1, and the connection; when it returns,
    /// the connection is closed.
    pub fn new(conversation: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        Reserved::new().serve(conversation)
    }

    /// Accepts, and never sends anything.
    pub fn silent() -> Self {
        Self::new(|_, stream| listen_until_closed(stream))
    }

    /// Accepts, and closes at once.
    pub fn closing() -> Self {
        Self::new(|_, _| {})
    }

    /// Accepts, and resets at once.
    pub fn resetting() -> Self {
        Self::new(|_, stream| reset(stream))
    }

    /// Sends this, and keeps the connection.
    pub fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |_, mut stream| {
            let _ = stream.write_all(&bytes);
            listen_until_closed(stream);
        })
    }

    /// Sends this, and closes.
    pub fn saying_then_closing(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |_, mut stream| {
            let _ = stream.write_all(&bytes);
            finish(stream);
        })
    }

    /// Waits for the client's first bytes, sends this, and closes.
    pub fn answering_then_closing(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |_, mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&bytes);
            finish(stream);
        })
    }

    /// Sends this for ever, one byte at a time.
    pub fn dripping(bytes: impl Into<Vec<u8>>, pause: Duration) -> Self {
        let bytes = bytes.into();
        Self::new(move |_, mut stream| {
            let _ = stream.set_nodelay(true);
            for byte in bytes.iter().cycle() {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                // The pause is the fault, not a wait.
                thread::sleep(pause);
            }
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.at
    }

    pub fn port(&self) -> u16 {
        self.at.port()
    }

    pub fn host(&self) -> String {
        self.at.ip().to_string()
    }

    /// The connections so far. A client may have come and gone before its connection is accepted.
    /// So this first waits until the server has accepted all that were made before.
    pub fn connections(&self) -> usize {
        let mut mark = {
            let mut marks = self.shared.marks.lock().unwrap();
            let mark = TcpStream::connect_timeout(&self.at, LONG).unwrap();
            marks.insert(mark.local_addr().unwrap());
            mark
        };
        // The server accepts in order, and closes the mark.
        let _ = mark.read(&mut [0]);
        self.shared.arrivals.lock().unwrap().len()
    }

    pub fn arrivals(&self) -> Vec<Instant> {
        self.shared.arrivals.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for (_, stream) in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the accepting thread, which then closes the port.
        let _ = TcpStream::connect_timeout(&self.at, Duration::from_secs(1));
    }
}

fn serve(listener: TcpListener, shared: &Arc<Shared>, conversation: &Arc<Conversation>) {
    loop {
        let accepted = listener.accept();
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok((stream, peer)) = accepted else { continue };
        if shared.marks.lock().unwrap().remove(&peer) {
            continue;
        }
        let number = {
            let mut arrivals = shared.arrivals.lock().unwrap();
            arrivals.push(Instant::now());
            arrivals.len()
        };
        let Ok(watched) = stream.try_clone() else { continue };
        shared.open.lock().unwrap().push((number, watched));
        let (shared, conversation) = (Arc::clone(shared), Arc::clone(conversation));
        thread::spawn(move || {
            conversation(number, stream);
            // The second handle would keep the connection open.
            shared.open.lock().unwrap().retain(|(other, _)| *other != number);
        });
    }
}

/// Returns once the client is gone or the server is dropped.
pub fn listen_until_closed(mut stream: TcpStream) {
    let _ = io::copy(&mut stream, &mut io::sink());
}

/// Closes so that the client gets all bytes. Unread bytes from the client would turn the close into
/// a reset.
pub fn finish(stream: TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    listen_until_closed(stream);
}

/// Closes with a RST.
pub fn reset(stream: TcpStream) {
    // The option is the socket's, not the handle's, and there is one more handle.
    let _ = TcpSocket::from_std_stream(stream).set_zero_linger();
}

/// A reserved port that refuses connections until it listens.
pub struct Reserved {
    socket: TcpSocket,
    address: Address,
}

impl Reserved {
    pub fn new() -> Self {
        Self::on(Address::claim())
    }

    pub fn on(address: Address) -> Self {
        let v4 = address.ip().is_ipv4();
        let socket = if v4 { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::new(address.ip(), 0)).unwrap();
        Self { socket, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// Serves the port from now on.
    pub fn serve(
        self,
        conversation: impl Fn(usize, TcpStream) + Send + Sync + 'static,
    ) -> Scripted {
        let (listener, address) = self.listen(128);
        let at = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let conversation: Arc<Conversation> = Arc::new(conversation);
        thread::spawn(move || serve(listener, &theirs, &conversation));
        Scripted { at, shared, _address: Some(address) }
    }

    /// From now on the kernel accepts connections. Keep the address as long as the listener.
    pub fn listen(self, backlog: u32) -> (TcpListener, Address) {
        // std binds and listens in one call; tokio can separate them, within a runtime.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _guard = runtime.enter();
        let listener = self.socket.listen(backlog).unwrap().into_std().unwrap();
        listener.set_nonblocking(false).unwrap();
        (listener, self.address)
    }
}

/// A server with a full backlog: the kernel drops every further SYN.
pub struct BlackHole {
    listener: TcpListener,
    fillers: Vec<TcpStream>,
    _address: Address,
}

impl BlackHole {
    pub fn new() -> Self {
        let (listener, _address) = Reserved::new().listen(0);
        let at = listener.local_addr().unwrap();
        let mut fillers = Vec::new();
        // Linux accepts more than the backlog; the number is measured.
        while let Ok(stream) = TcpStream::connect_timeout(&at, Duration::from_millis(100)) {
            fillers.push(stream);
            assert!(fillers.len() < 64, "a backlog of 0 took {} connections", fillers.len());
        }
        Self { listener, fillers, _address }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// Accepts the connections in the backlog, so that the next SYN succeeds. Its connection gets
    /// no reply.
    pub fn open(&mut self) {
        for _ in self.fillers.drain(..) {
            let _ = self.listener.accept();
        }
    }
}
