//! Loopback addresses and ports that no other test uses.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// A 127.x.y.z address that belongs to one test while the value lives.
///
/// A free port may be taken before a server binds it. An address of its own excludes that, so that
/// tests run beside each other in threads and processes.
pub struct Address {
    ip: IpAddr,
    // Only one socket can have it. The kernel releases it however the process ends.
    claim: Option<UdpSocket>,
    // The kernel may give a port twice, as long as nobody has bound it.
    given: Mutex<HashSet<u16>>,
}

const CLAIM_PORT: u16 = 20_047;

impl Address {
    pub fn claim() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Processes with neighbouring pids start far apart. Where they meet, the claim decides.
        let start = std::process::id().wrapping_mul(4_099);
        for _ in 0..10_000 {
            let n = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            // 127.0.x.y is for others, and .0 and .255 look like networks.
            let (d, c, b) = (1 + n % 254, n / 254 % 256, 1 + n / (254 * 256) % 255);
            let [b, c, d] = [b, c, d].map(|part| u8::try_from(part).unwrap());
            let ip = Ipv4Addr::new(127, b, c, d);
            if let Ok(claim) = UdpSocket::bind((ip, CLAIM_PORT)) {
                return Self { ip: ip.into(), claim: Some(claim), given: Mutex::default() };
            }
        }
        panic!("no loopback address could be claimed: is UDP port {CLAIM_PORT} bound on 0.0.0.0?");
    }

    /// An address that others use too, e.g. 127.0.0.1 or ::1, for tests that need that one.
    pub fn shared(ip: &str) -> Self {
        Self { ip: ip.parse().unwrap(), claim: None, given: Mutex::default() }
    }

    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// A port that was free a moment ago, and another one at each call.
    pub fn free_port(&self) -> u16 {
        loop {
            let port = TcpListener::bind((self.ip, 0)).unwrap().local_addr().unwrap().port();
            if self.given.lock().unwrap().insert(port) {
                return port;
            }
        }
    }

    pub fn free(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.free_port())
    }
}

/// A port of 127.0.0.1 that belongs to one test while the value lives, for programs that bind this
/// address whatever one tells them.
///
/// It is below the ports that the kernel gives to clients. Nearly all clients of the tests have
/// this address, and a port stays theirs for a minute after the last connection.
pub struct LocalPort {
    number: u16,
    _claim: UdpSocket,
}

impl LocalPort {
    pub fn claim() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let start = std::process::id().wrapping_mul(4_099);
        for _ in 0..10_000 {
            let n = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
            let number = CLAIM_PORT + 1 + u16::try_from(n).unwrap();
            let at = (Ipv4Addr::LOCALHOST, number);
            if let (Ok(_claim), Ok(_)) = (UdpSocket::bind(at), TcpListener::bind(at)) {
                return Self { number, _claim };
            }
        }
        panic!("no port of 127.0.0.1 could be claimed");
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}
