//! Names, addresses and connections, for every kind: one shared lookup per name, every address within one attempt.

mod lookup;
mod recorded;
mod tcp;

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};

pub use lookup::Resolve;
pub use recorded::{FirstBytes, RecordingStream};

use crate::{
    os::describe,
    probe::{
        failure::{Class, Failure},
        stage::Stage,
    },
    text::{MAX_FOREIGN, one_line},
};

/// RFC 8305, section 8: the next address is tried so long after the one before.
const STAGGER: Duration = Duration::from_millis(250);

/// Connects that may be open at once for one attempt.
pub const MAX_CONNECTS: usize = 4;

/// What all dependencies share of the network.
pub struct Net {
    names: lookup::Resolver,
    dial: Option<Dial>,
}

/// Opens a stream in place of the operating system.
type Dial = Box<dyn Fn(&Endpoint) -> Result<Box<dyn Stream>, Failure> + Send + Sync>;

/// A byte stream to a server, whatever is underneath.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A name or an address, and a port.
    Tcp(String, u16),
    /// The path of a Unix socket; one that starts with `@` is abstract.
    Unix(String),
}

impl Endpoint {
    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Endpoint::Unix(_) => true,
            Endpoint::Tcp(host, _) => match host.parse::<IpAddr>() {
                Ok(address) => address.is_loopback(),
                Err(_) => host == "localhost" || host.ends_with(".localhost"),
            },
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Unix(path) => f.write_str(path),
            Endpoint::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Endpoint::Tcp(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

impl Net {
    /// The network as the system resolves it; `resolve` may block and is called on a thread of its own.
    pub fn new(resolve: Resolve) -> Self {
        Self { names: lookup::Resolver::new(resolve), dial: None }
    }

    /// A network whose streams `dial` opens, for tests that play the server in memory.
    pub fn dialing(
        dial: impl Fn(&Endpoint) -> Result<Box<dyn Stream>, Failure> + Send + Sync + 'static,
    ) -> Self {
        Self { dial: Some(Box::new(dial)), ..Self::system() }
    }

    /// The network as the operating system's resolver knows it.
    pub fn system() -> Self {
        Self::new(lookup::system)
    }

    /// Every address that `host` has now. Asked of the resolver at most once a second, whoever asks.
    pub async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, Failure> {
        self.names.addresses(host).await
    }

    /// Connects to `endpoint`: over every address that it has, until one accepts or all have refused.
    pub async fn connect(
        &self,
        endpoint: &Endpoint,
        stage: &Stage,
    ) -> Result<Box<dyn Stream>, Failure> {
        if let Some(dial) = &self.dial {
            return dial(endpoint);
        }
        match endpoint {
            Endpoint::Unix(path) => {
                stage.set(format!("no connection to {path}"));
                match connect_unix(path) {
                    Ok(stream) => Ok(Box::new(stream)),
                    // On a Unix socket that is not a limit of ours: the server accepts more slowly than it is asked.
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(Failure::new(
                        Class::Busy,
                        format!("its queue of connections is full ({path})"),
                    )),
                    Err(e) => Err(connect_failure(&e, path)),
                }
            }
            Endpoint::Tcp(host, port) => {
                let mut addresses = match host.parse::<IpAddr>() {
                    Ok(address) => vec![SocketAddr::new(address, *port)],
                    Err(_) => {
                        stage.set(format!("no answer from the resolver for {host}"));
                        self.addresses(host).await?
                    }
                };
                addresses.iter_mut().for_each(|address| address.set_port(*port));
                stage.set(format!("no connection to {endpoint}"));
                let stream = connect_any(&interleave(addresses)).await?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// Connects to a Unix socket, one whose path begins with `@` being abstract.
///
/// On a non-blocking socket that ends at once, one way or the other; on any other it would wait for room in the server's queue.
fn connect_unix(path: &str) -> io::Result<UnixStream> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
        None => SocketAddrUnix::new(path)?,
    };
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::connect(&socket, &address)?;
    UnixStream::from_std(socket.into())
}

/// RFC 8305, section 4: the families in turn, beginning with the one that the resolver put first.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (a, b): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    let mut out = Vec::new();
    loop {
        let (x, y) = (a.next(), b.next());
        if x.is_none() && y.is_none() {
            return out;
        }
        out.extend(x);
        out.extend(y);
    }
}

/// Connects to the first address that accepts.
///
/// The next one is tried as soon as those before have failed, or 250 ms after the last began. The list is gone round again while
/// some address has not answered: a SYN that a rate-limited REJECT dropped then costs 250 ms and not the kernel's
/// second. Once [`MAX_CONNECTS`] are open, the oldest makes way only for an address that was not tried yet.
async fn connect_any(addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
    let mut open = JoinSet::<(usize, io::Result<TcpStream>)>::new();
    let mut oldest_first = VecDeque::<AbortHandle>::new();
    let mut refused: Vec<Option<io::Error>> = addresses.iter().map(|_| None).collect();
    let mut begun = 0;
    let mut next = Instant::now();
    while refused.iter().any(Option::is_none) {
        let again = || {
            (0..addresses.len())
                .map(|i| (begun + i) % addresses.len())
                .find(|&i| refused[i].is_none())
        };
        let candidate = match begun < addresses.len() {
            true => Some(begun),
            false => again().filter(|_| open.len() < MAX_CONNECTS),
        };
        // Not left to a sleep of nothing, which would cost a tick of the timer, a millisecond.
        let ended = if let Some(index) = candidate.filter(|_| Instant::now() >= next) {
            if open.len() >= MAX_CONNECTS
                && let Some(oldest) = oldest_first.pop_front()
            {
                oldest.abort();
            }
            begun += 1;
            next = Instant::now() + STAGGER;
            match tcp::begin(addresses[index]) {
                Ok(tcp::Begun::Connected(stream)) => Some((index, TcpStream::from_std(stream))),
                Ok(tcp::Begun::Pending(socket)) => {
                    let address = addresses[index];
                    oldest_first.push_back(
                        open.spawn(async move { (index, tcp::finish(socket, address).await) }),
                    );
                    None
                }
                Err(error) => Some((index, Err(error))),
            }
        } else {
            tokio::select! {
                biased;
                // A task that was aborted made way for another address.
                done = open.join_next(), if !open.is_empty() => done.and_then(Result::ok),
                () = sleep_until(next), if candidate.is_some() => None,
            }
        };
        match ended {
            None => {}
            Some((_, Ok(stream))) => return Ok(stream),
            Some((index, Err(error))) if is_local_limit(&error) => {
                return Err(connect_failure(&error, &addresses[index].to_string()));
            }
            Some((index, Err(error))) => {
                refused[index] = Some(error);
                if begun < addresses.len() {
                    next = Instant::now();
                }
            }
        }
    }
    Err(all_refused(addresses, refused))
}

fn all_refused(addresses: &[SocketAddr], errors: Vec<Option<io::Error>>) -> Failure {
    let mut said: Vec<(io::Error, Vec<String>)> = Vec::new();
    for (address, error) in addresses.iter().zip(errors) {
        let Some(error) = error else { continue };
        match said.iter_mut().find(|(other, _)| other.kind() == error.kind()) {
            Some((_, places)) => places.push(address.to_string()),
            None => said.push((error, vec![address.to_string()])),
        }
    }
    let failures: Vec<_> =
        said.iter().map(|(error, places)| connect_failure(error, &places.join(", "))).collect();
    let words: Vec<_> = failures.iter().map(|failure| failure.message.as_str()).collect();
    let words = one_line(&words.join("; "), MAX_FOREIGN);
    let means_down = failures.iter().all(|failure| failure.means_down);
    // Refused by one address says more than silence from another.
    let first =
        failures.iter().find(|failure| failure.class == Class::Connect).or(failures.first());
    let class = first.map_or(Class::Connect, |failure| failure.class);
    Failure { means_down, ..Failure::new(class, words) }
}

/// The failure of one connect; `place` is shown behind the system's words.
pub fn connect_failure(error: &io::Error, place: &str) -> Failure {
    use io::ErrorKind::*;
    let message = format!("{} ({place})", describe(error));
    if is_local_limit(error) {
        return Failure::new(Class::Local, format!("a limit of this process: {message}"));
    }
    match error.kind() {
        TimedOut => Failure::new(Class::Timeout, message),
        // Our ports are used up, or the address is of a family that is off here.
        AddrNotAvailable => {
            Failure::new(Class::Local, format!("nothing to connect from: {message}"))
        }
        PermissionDenied => {
            Failure::new(Class::Connect, message).hint("this user may not connect to that socket")
        }
        ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable | NotFound
        | NotADirectory => Failure::new(Class::Connect, message).means_down(),
        _ => Failure::new(Class::Connect, message),
    }
}

/// The failure of reading or writing on an open connection.
pub fn stream_failure(error: &io::Error, endpoint: &Endpoint) -> Failure {
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof => "connection closed by the server".to_owned(),
        _ => describe(error),
    };
    let class = if is_local_limit(error) { Class::Local } else { Class::Connect };
    Failure::new(class, format!("{what} ({endpoint})"))
}

/// Out of descriptors, memory, threads or buffers: a limit of ours, whatever the dependency does.
///
/// EADDRNOTAVAIL is not one of them: it is what `::1` says where IPv6 is off, and the next address may answer.
pub fn is_local_limit(error: &io::Error) -> bool {
    const LIMITS: [i32; 5] =
        [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EAGAIN];
    error.raw_os_error().is_some_and(|code| LIMITS.contains(&code))
}

#[cfg(test)]
mod tests;
