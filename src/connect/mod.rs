//! Names, addresses and connections, for every kind: one shared lookup per name, every address
//! within one attempt.

#[cfg(feature = "mongodb")]
mod dns;
mod fair;
mod getaddrinfo;
mod lookup;
mod recorded;
mod sandbox;
mod tcp;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::OwnedFd,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketAddrUnix};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};

#[cfg(feature = "mongodb")]
pub use dns::{Record, RecordType};
pub use fair::FairStream;
pub use getaddrinfo::Family;
pub use lookup::Resolve;
pub use recorded::{FirstBytes, RecordingStream};

use crate::{
    blocking::BlockingLane,
    os::describe,
    text::{MAX_FOREIGN, one_line},
    verdict::{Class, Failure, Stage},
};

/// The longest delay before the next address is tried (RFC 8305, section 8).
const STAGGER: Duration = Duration::from_millis(250);

/// The shortest delay before the next address is tried.
const LEAST_STAGGER: Duration = Duration::from_millis(50);

/// The most open connects of one attempt.
pub const MAX_CONNECTS: usize = 4;

/// The network resources that all dependencies share.
pub struct Net {
    names: lookup::Resolver,
    dial: Option<Dial>,
    /// A thread for each path of a Unix socket.
    lanes: Mutex<BTreeMap<String, BlockingLane>>,
}

/// Opens a stream in place of the operating system.
type Dial = Box<dyn Fn(&Endpoint) -> Result<Box<dyn Stream>, Failure> + Send + Sync>;

/// A byte stream to a server over any transport.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A host name or IP address, and a port.
    Tcp(String, u16),
    /// The path of a Unix socket; a path that starts with `@` is abstract.
    Unix(String),
}

impl Endpoint {
    /// Returns true if the endpoint is on this machine.
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
    /// Makes a network that looks names up by `resolve`, which may block.
    pub fn new(resolve: Resolve) -> Self {
        let names = lookup::Resolver::new(resolve, lookup_descriptors);
        Self { names, dial: None, lanes: Mutex::default() }
    }

    /// Makes a network whose streams `dial` opens, for tests with servers in memory.
    #[allow(dead_code, reason = "the fuzz targets and the tests that run them use it")]
    pub fn dialing(
        dial: impl Fn(&Endpoint) -> Result<Box<dyn Stream>, Failure> + Send + Sync + 'static,
    ) -> Self {
        Self { dial: Some(Box::new(dial)), ..Self::system() }
    }

    /// Makes a network with the operating system's resolver.
    pub fn system() -> Self {
        Self::new(getaddrinfo::getaddrinfo)
    }

    /// Returns every address of `host`. All dependencies together cause at most one lookup per
    /// second.
    pub async fn addresses(
        &self,
        host: &str,
        family: Family,
        stage: &Stage,
    ) -> Result<Vec<SocketAddr>, Failure> {
        self.names.addresses(host, family, stage).await
    }

    /// Returns the records of `name`, which is absolute. A name without such records has none.
    #[cfg(feature = "mongodb")]
    pub async fn records(
        &self,
        name: &str,
        kind: RecordType,
        stage: &Stage,
    ) -> Result<Vec<Record>, Failure> {
        dns::lookup(name, kind, stage).await
    }

    /// Connects to a Unix socket, or fails.
    ///
    /// A file system that does not answer would hold up connect(2) for ever, so a thread calls it.
    pub async fn connect_unix(&self, path: &str, stage: &Stage) -> Result<UnixStream, Failure> {
        stage.set(format!("no connection to {path}"));
        let socket = if path.starts_with('@') {
            connect_unix(path)
        } else {
            let own = path.to_owned();
            self.lane(path).run(move || connect_unix(&own)).await?
        };
        let stream = socket.and_then(|socket| Ok(UnixStream::from_std(socket.into())?));
        stream.map_err(|error| unix_failure(error, path))
    }

    /// Returns the lane of a socket's path: whoever connects to it shares one thread.
    fn lane(&self, path: &str) -> BlockingLane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(path.to_owned()).or_default().clone()
    }

    /// Connects to `endpoint`. Tries all of its addresses, until one accepts or all have refused.
    ///
    /// `remaining` is the time that is left for the attempt.
    pub async fn connect(
        &self,
        endpoint: &Endpoint,
        remaining: Duration,
        stage: &Stage,
    ) -> Result<Box<dyn Stream>, Failure> {
        if let Some(dial) = &self.dial {
            return Ok(Box::new(FairStream::new(dial(endpoint)?)));
        }
        match endpoint {
            Endpoint::Unix(path) => {
                Ok(Box::new(FairStream::new(self.connect_unix(path, stage).await?)))
            }
            Endpoint::Tcp(host, port) => {
                let stream = self.connect_tcp(endpoint, host, *port, remaining, stage).await?;
                let stream = tcp::registered(stream);
                let stream = stream.map_err(|error| stream_failure(&error, endpoint))?;
                Ok(Box::new(FairStream::new(stream)))
            }
        }
    }

    /// Connects to `endpoint`, and closes the connection at once.
    ///
    /// Nothing is read or written, so the reactor never learns of the connection. That saves three
    /// system calls.
    pub async fn reach(
        &self,
        endpoint: &Endpoint,
        remaining: Duration,
        stage: &Stage,
    ) -> Result<(), Failure> {
        match endpoint {
            Endpoint::Tcp(host, port) if self.dial.is_none() => {
                self.connect_tcp(endpoint, host, *port, remaining, stage).await.map(drop)
            }
            _ => self.connect(endpoint, remaining, stage).await.map(drop),
        }
    }

    async fn connect_tcp(
        &self,
        endpoint: &Endpoint,
        host: &str,
        port: u16,
        remaining: Duration,
        stage: &Stage,
    ) -> Result<TcpStream, Failure> {
        let mut addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self.addresses(host, Family::Any, stage).await?,
        };
        addresses.iter_mut().for_each(|address| address.set_port(port));
        let waits = || stage.set(format!("no connection to {endpoint}"));
        let delay = stagger(addresses.len(), remaining);
        connect_any(&interleave(addresses), delay, waits).await
    }
}

/// Returns the delay between two addresses, with which the last one has its turn in the first half
/// of the remaining time.
fn stagger(addresses: usize, remaining: Duration) -> Duration {
    (remaining / 2 / addresses.max(1) as u32).clamp(LEAST_STAGGER, STAGGER)
}

/// Returns a quarter of the descriptors that `ulimit -n` allows. Connections need the others.
fn lookup_descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| limit as usize / 4)
}

/// The reason why there is no connection to one address.
#[derive(Debug)]
enum ConnectError {
    /// socket(2) failed.
    Socket(sandbox::Refused),
    /// connect(2) or a later call failed.
    Connect(io::Error),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Connect(error)
    }
}

impl ConnectError {
    fn io(&self) -> &io::Error {
        match self {
            Self::Socket(refused) => &refused.error,
            Self::Connect(error) => error,
        }
    }

    /// Returns true if both have the same cause, so that one message can report both.
    fn is_like(&self, other: &Self) -> bool {
        self.io().kind() == other.io().kind()
            && std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Returns the failure at `place`, which is one address or several.
    fn failure(&self, place: &str) -> Failure {
        match self {
            Self::Socket(refused) if refused.is_forbidden() => refused.failure(),
            other => connect_failure(other.io(), place),
        }
    }
}

/// Connects to a Unix socket. A path that begins with `@` is an abstract socket.
///
/// A non-blocking socket connects at once or fails. A blocking socket would wait for room in the
/// server's queue.
fn connect_unix(path: &str) -> Result<OwnedFd, ConnectError> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
        None => SocketAddrUnix::new(path),
    };
    let address = address.map_err(io::Error::from)?;
    let socket = sandbox::open_socket(AddressFamily::UNIX).map_err(ConnectError::Socket)?;
    rustix::net::connect(&socket, &address).map_err(io::Error::from)?;
    Ok(socket)
}

fn unix_failure(error: ConnectError, path: &str) -> Failure {
    match error {
        // EAGAIN of a Unix socket means that the server's queue is full, not that we are at a
        // limit.
        ConnectError::Connect(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Failure::new(Class::Busy, format!("its queue of connections is full ({path})"))
        }
        ConnectError::Connect(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            connect_failure(&error, path).hint("this user may not connect to that socket")
        }
        error => error.failure(path),
    }
}

/// Returns the addresses with families alternating, the resolver's first family first (RFC 8305,
/// section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if addresses.len() == 1 {
        return addresses;
    }
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
/// The next address is tried once all before it have failed, or `stagger` after the last connect
/// began. Silent addresses are tried again. If a rate-limited REJECT drops a SYN, the retry comes
/// after 250 ms instead of the kernel's second. Once [`MAX_CONNECTS`] are open, the oldest connect
/// is aborted only for an address that was not tried yet. `waits` is called before each wait for an
/// answer.
async fn connect_any(
    addresses: &[SocketAddr],
    stagger: Duration,
    waits: impl Fn(),
) -> Result<TcpStream, Failure> {
    // Made for the first address that does not answer at once.
    let mut open: Option<JoinSet<(usize, Result<TcpStream, ConnectError>)>> = None;
    let mut oldest_first = VecDeque::<AbortHandle>::new();
    let mut refused: Vec<Option<ConnectError>> = addresses.iter().map(|_| None).collect();
    let mut begun = 0;
    let mut next = Instant::now();
    while refused.iter().any(Option::is_none) {
        let opened = open.as_ref().map_or(0, JoinSet::len);
        let again = || {
            (0..addresses.len())
                .map(|i| (begun + i) % addresses.len())
                .find(|&i| refused[i].is_none())
        };
        let candidate = if begun < addresses.len() {
            Some(begun)
        } else {
            again().filter(|_| opened < MAX_CONNECTS)
        };
        let now = Instant::now();
        // A sleep of zero length would take a millisecond, one tick of the timer.
        let ended = if let Some(index) = candidate.filter(|_| now >= next) {
            if opened >= MAX_CONNECTS
                && let Some(oldest) = oldest_first.pop_front()
            {
                oldest.abort();
            }
            begun += 1;
            next = now + stagger;
            match tcp::begin(addresses[index]) {
                Ok(tcp::Begun::Connected(stream)) => Some((index, Ok(stream))),
                Ok(tcp::Begun::Pending(socket)) => {
                    let address = addresses[index];
                    let connecting = async move {
                        (index, tcp::finish(socket, address).await.map_err(ConnectError::from))
                    };
                    oldest_first.push_back(open.get_or_insert_default().spawn(connecting));
                    None
                }
                Err(error) => Some((index, Err(error))),
            }
        } else {
            waits();
            tokio::select! {
                biased;
                // The task was aborted in favour of another address.
                done = open.get_or_insert_default().join_next(), if opened > 0 =>
                    done.and_then(Result::ok),
                () = sleep_until(next), if candidate.is_some() => None,
            }
        };
        match ended {
            None => {}
            Some((_, Ok(stream))) => return Ok(stream),
            Some((index, Err(error))) if is_local_limit(error.io()) => {
                return Err(error.failure(&addresses[index].to_string()));
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

/// Returns the failure of an attempt that all addresses have refused. It joins their messages, each
/// once.
fn all_refused(addresses: &[SocketAddr], errors: Vec<Option<ConnectError>>) -> Failure {
    if let ([address], [Some(ConnectError::Connect(error))]) = (addresses, &*errors)
        && error.kind() == io::ErrorKind::ConnectionRefused
    {
        return Failure::refused(*address);
    }
    let mut causes: Vec<(ConnectError, Vec<String>)> = Vec::new();
    for (address, error) in addresses.iter().zip(errors) {
        let Some(error) = error else { continue };
        match causes.iter_mut().find(|(other, _)| other.is_like(&error)) {
            Some((_, places)) => places.push(address.to_string()),
            None => causes.push((error, vec![address.to_string()])),
        }
    }
    if let [(error, places)] = causes.as_slice() {
        return error.failure(&places.join(", "));
    }
    let failures: Vec<_> =
        causes.iter().map(|(error, places)| error.failure(&places.join(", "))).collect();
    let words: Vec<_> = failures.iter().map(|failure| failure.message.as_str()).collect();
    let words = one_line(&words.join("; "), MAX_FOREIGN);
    let means_down = failures.iter().all(|failure| failure.means_down);
    let is_final = failures.iter().all(|failure| failure.is_final);
    // A refusal by one address is more informative than the silence of another.
    let first =
        failures.iter().find(|failure| failure.class == Class::Connect).or(failures.first());
    let class = first.map_or(Class::Connect, |failure| failure.class);
    let hint = failures.iter().find_map(|failure| failure.hint.clone());
    Failure::new(class, words).with(|reason| {
        reason.means_down = means_down;
        reason.is_final = is_final;
        reason.hint = hint;
    })
}

/// Returns the failure of one connect. The message ends with `place`.
pub fn connect_failure(error: &io::Error, place: &str) -> Failure {
    use io::ErrorKind::*;
    let message = format!("{} ({place})", describe(error));
    if is_local_limit(error) {
        return Failure::local(error, place);
    }
    match (error.kind(), error.raw_os_error()) {
        (TimedOut, _) => Failure::new(Class::Timeout, message),
        // All local ports are in use, or this machine has no address of the family.
        (AddrNotAvailable, _) => {
            Failure::new(Class::Local, format!("no local address or port: {message}"))
        }
        (PermissionDenied, _) => Failure::new(Class::Connect, message)
            .hint("a route or a firewall rule of this machine forbids it (ip route, nft)"),
        // connect(2) returns EINVAL if the route has the type blackhole.
        (InvalidInput, _) => {
            Failure::new(Class::Connect, message).hint("the route to it may be a blackhole")
        }
        // A router that rejects with ICMP "protocol unreachable" causes ENOPROTOOPT.
        (ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable, _)
        | (NotFound | NotADirectory, _)
        | (_, Some(libc::ENOPROTOOPT)) => Failure::new(Class::Connect, message).means_down(),
        _ => Failure::new(Class::Connect, message),
    }
}

/// Returns the failure of reading or writing on an open connection.
pub fn stream_failure(error: &io::Error, endpoint: &Endpoint) -> Failure {
    let message = match error.kind() {
        io::ErrorKind::UnexpectedEof => "connection closed by the server".to_owned(),
        _ => describe(error),
    };
    if is_local_limit(error) {
        return Failure::local(error, endpoint);
    }
    Failure::new(Class::Connect, format!("{message} ({endpoint})"))
}

/// Returns true if the other side has closed the connection on which this side writes.
pub fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// Returns true if the system is out of descriptors, memory, threads or buffers: a limit of this
/// side.
///
/// EADDRNOTAVAIL is not such a limit. A connect to `::1` causes it where IPv6 is off, and the next
/// address may accept.
pub fn is_local_limit(error: &io::Error) -> bool {
    const LIMITS: [i32; 5] =
        [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EAGAIN];
    error.raw_os_error().is_some_and(|code| LIMITS.contains(&code))
}

#[cfg(test)]
mod tests;
