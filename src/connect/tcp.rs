//! One TCP connect, without the reactor at first: on loopback the answer precedes the call's
//! return.

use std::{io, net, net::SocketAddr};

use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{AddressFamily, connect, sockopt},
};
use tokio::net::TcpStream;

use super::{ConnectError, sandbox};

/// The state of a connect when the call returns.
pub(super) enum Begun {
    /// The server has accepted.
    Connected(net::TcpStream),
    /// The server has not answered yet.
    Pending(net::TcpStream),
}

/// Begins to connect.
///
/// On loopback the answer comes at once. A second connect(2) fetches it, in place of poll(2) and
/// getsockopt(2). A refused connection then takes four system calls and no wake-up.
pub(super) fn begin(address: SocketAddr) -> Result<Begun, ConnectError> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket: OwnedFd = sandbox::open_socket(family).map_err(ConnectError::Socket)?;
    match connect(&socket, &address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => match connect(&socket, &address) {
            Ok(()) | Err(Errno::ISCONN) => {}
            Err(Errno::ALREADY) => return Ok(Begun::Pending(socket.into())),
            Err(error) => return Err(io::Error::from(error).into()),
        },
        Err(error) => return Err(io::Error::from(error).into()),
    }
    Ok(Begun::Connected(connected(socket.into(), address)?))
}

/// Waits for the answer.
pub(super) async fn finish(
    socket: net::TcpStream,
    address: SocketAddr,
) -> io::Result<net::TcpStream> {
    let socket = TcpStream::from_std(socket)?;
    socket.writable().await?;
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    connected(socket.into_std()?, address)
}

fn connected(stream: net::TcpStream, address: SocketAddr) -> io::Result<net::TcpStream> {
    if is_itself(&stream, address)? {
        // A normal close would leave TIME_WAIT on the port that the server is about to bind. So the
        // connection is reset.
        sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO))?;
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// Hands a connection to the reactor.
pub(super) fn registered(stream: net::TcpStream) -> io::Result<TcpStream> {
    // Every protocol here sends short messages and waits for the reply.
    stream.set_nodelay(true)?;
    TcpStream::from_std(stream)
}

/// Returns true if a socket is connected to itself.
///
/// If a port of this machine has no listener, the kernel may pick the same port as our local port.
/// TCP then connects the socket to itself (RFC 9293, simultaneous open). With an attempt every few
/// milliseconds this happens within minutes.
fn is_itself(stream: &net::TcpStream, address: SocketAddr) -> io::Result<bool> {
    let own = stream.local_addr()?;
    Ok(own.port() == address.port() && own.ip() == address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_to_itself_is_not_a_server() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let stream = socket.connect(address).await.unwrap().into_std().unwrap();
        assert!(connected(stream, address).is_err());
        // No socket remains, so a server can listen on the port at once.
        net::TcpListener::bind(address).unwrap();
    }

    #[test]
    fn a_local_server_has_answered_when_the_call_returns() {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(matches!(begin(address), Ok(Begun::Connected(_))));
        drop(listener);
        let error = begin(address).err().map(|error| error.io().kind());
        assert_eq!(error, Some(io::ErrorKind::ConnectionRefused));
    }
}
