//! The system's resolver: hosts file, DNS, and the other sources in nsswitch.conf.
#![allow(unsafe_code)] // The standard library has no lookup by family, and hides error numbers.

use std::{
    ffi::{CStr, CString},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    ptr,
};

/// The family of addresses that a lookup asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Both families.
    #[default]
    Any,
    /// IPv4 addresses only: the name servers get a query for A records alone.
    V4,
    /// IPv6 addresses only: the name servers get a query for AAAA records alone.
    V6,
}

/// The reason why a lookup returned no address.
#[derive(Debug)]
pub enum LookupError {
    /// The name does not exist.
    NoName(String),
    /// The name exists, but has no address of the family.
    NoAddress,
    /// The name servers failed or did not reply.
    Resolver(String),
    /// The system refused a call, e.g. because no descriptor is left.
    System(io::Error),
}

/// glibc's numbers for a name without an address of the family, which POSIX does not have
/// (netdb.h).
const EAI_NODATA: libc::c_int = -5;
const EAI_ADDRFAMILY: libc::c_int = -9;

/// Looks `host` up. Blocks until the resolver gives up, usually 10 seconds or more.
///
/// # Errors
/// See [`LookupError`]. The texts are those of gai_strerror(3), in lower case.
pub(super) fn getaddrinfo(host: &str, family: Family) -> Result<Vec<SocketAddr>, LookupError> {
    let name = CString::new(host)
        .map_err(|_| LookupError::NoName("name or service not known".to_owned()))?;
    // SAFETY: addrinfo is a plain structure, for which zeros are valid.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_family = match family {
        Family::Any => libc::AF_UNSPEC,
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    // Without a socket type, getaddrinfo returns each address once per type.
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    // SAFETY: name and hints outlive the call, and list can hold its result.
    let code = unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &hints, &mut list) };
    if code != 0 {
        return Err(error_of(code));
    }
    let mut addresses = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: the list comes from the resolver, and is freed below, after its last use.
        let entry = unsafe { &*next };
        // SAFETY: ai_addr points to ai_addrlen bytes, or is null.
        addresses.extend(unsafe { address_of(entry) });
        next = entry.ai_next;
    }
    // SAFETY: list came from getaddrinfo and is freed once.
    unsafe { libc::freeaddrinfo(list) };
    Ok(addresses)
}

/// # Safety
/// `entry.ai_addr` must be null or point to `entry.ai_addrlen` readable bytes.
unsafe fn address_of(entry: &libc::addrinfo) -> Option<SocketAddr> {
    let length = entry.ai_addrlen as usize;
    if entry.ai_addr.is_null() {
        return None;
    }
    match entry.ai_family {
        libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: family and length show that this is a sockaddr_in.
            let address = unsafe { entry.ai_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            Some(SocketAddr::new(IpAddr::V4(ip), 0))
        }
        libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: family and length show that this is a sockaddr_in6.
            let address = unsafe { entry.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, 0, 0, address.sin6_scope_id)))
        }
        _ => None,
    }
}

fn error_of(code: libc::c_int) -> LookupError {
    if code == libc::EAI_SYSTEM {
        return LookupError::System(io::Error::last_os_error());
    }
    if code == libc::EAI_MEMORY {
        return LookupError::System(io::Error::from_raw_os_error(libc::ENOMEM));
    }
    // SAFETY: gai_strerror returns a static string for every number.
    let text = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
    let text = text.to_string_lossy().to_lowercase();
    match code {
        libc::EAI_NONAME => LookupError::NoName(text),
        EAI_NODATA | EAI_ADDRFAMILY => LookupError::NoAddress,
        _ => LookupError::Resolver(text),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_unknown_names_are_told_apart() {
        let ips = |host, family| {
            let addresses = getaddrinfo(host, family).unwrap();
            addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(ips("127.0.0.1", Family::Any), ["127.0.0.1"]);
        assert_eq!(ips("127.0.0.1", Family::V4), ["127.0.0.1"]);
        assert_eq!(ips("::1", Family::V6), ["::1"]);
        assert!(matches!(
            getaddrinfo("127.0.0.1", Family::V6),
            Err(LookupError::NoAddress | LookupError::NoName(_))
        ));
        assert!(matches!(getaddrinfo("a\0b", Family::Any), Err(LookupError::NoName(_))));
    }
}
