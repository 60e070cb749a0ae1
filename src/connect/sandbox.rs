//! Sandboxes that forbid sockets: systemd's RestrictAddressFamilies, a container's seccomp filter.

use std::io;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::verdict::{Class, Failure};

/// Opens a stream socket. If the system refuses, the dependency is not at fault.
///
/// # Errors
/// [`Refused`] with the error of socket(2).
pub(super) fn open_socket(family: AddressFamily) -> Result<rustix::fd::OwnedFd, Refused> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(family, SocketType::STREAM, flags, None)
        .map_err(|error| Refused::new(error.into(), family))
}

/// A socket that the system did not open.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) error: io::Error,
    family: AddressFamily,
}

impl Refused {
    pub(super) fn new(error: io::Error, family: AddressFamily) -> Self {
        Self { error, family }
    }

    /// Returns true if the refusal is permanent, unlike e.g. the limit of open files.
    pub(super) fn is_forbidden(&self) -> bool {
        let code = self.error.raw_os_error();
        code.is_some_and(|code| [libc::EAFNOSUPPORT, libc::EPERM, libc::EACCES].contains(&code))
    }

    /// Returns the failure of an attempt that needs this family. No later attempt can succeed.
    pub(super) fn failure(&self) -> Failure {
        let family = match self.family {
            AddressFamily::INET => "IPv4",
            AddressFamily::INET6 => "IPv6",
            _ => "Unix",
        };
        let message = format!(
            "this process may not open {family} sockets (RestrictAddressFamilies, seccomp?)"
        );
        Failure::new(Class::Local, message).is_final()
    }
}

/// Returns the failure of all IP connections, if this process may open neither IPv4 nor IPv6
/// sockets.
pub(super) fn forbids_ip() -> Option<Failure> {
    let refused = open_socket(AddressFamily::INET).err().filter(Refused::is_forbidden)?;
    open_socket(AddressFamily::INET6).err().filter(Refused::is_forbidden)?;
    Some(refused.failure())
}
