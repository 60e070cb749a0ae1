use super::*;
use crate::probe::Attempt;

async fn addresses(net: &Net, host: &str) -> Result<Vec<SocketAddr>, Failure> {
    net.addresses(host, Family::Any, &Stage::default()).await
}

fn v4(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], 1))
}

fn v6(last: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, last], 1))
}

#[test]
fn the_families_take_turns_beginning_with_the_resolvers_first() {
    assert_eq!(
        interleave(vec![v6(1), v6(2), v4(1), v4(2), v4(3)]),
        [v6(1), v4(1), v6(2), v4(2), v4(3)]
    );
    assert_eq!(interleave(vec![v4(1), v6(1)]), [v4(1), v6(1)]);
    assert_eq!(interleave(vec![]), []);
}

#[test]
fn a_limit_of_ours_is_never_the_dependencys_failure() {
    let failure = connect_failure(&io::Error::from_raw_os_error(libc::EMFILE), "127.0.0.1:1");
    assert_eq!((failure.class, failure.means_down), (Class::Local, false));
    assert_eq!(&*failure.message, "a limit of this process: too many open files (127.0.0.1:1)");
}

#[tokio::test]
async fn a_name_is_looked_up_once_a_second_for_all() {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let net = Net::new(|_, _| {
        ASKED.fetch_add(1, Relaxed);
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([127, 0, 0, 1], 0))])
    });
    let (a, b) = tokio::join!(addresses(&net, "x"), addresses(&net, "x"));
    assert_eq!((a.unwrap().len(), b.unwrap().len()), (1, 1));
    addresses(&net, "x").await.unwrap();
    assert_eq!(ASKED.load(Relaxed), 1);
}

#[tokio::test]
async fn a_lookup_outlives_the_attempt_that_began_it() {
    static GO: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let net = Net::new(|_, _| {
        drop(GO.lock());
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
    });
    let held = GO.lock();
    assert!(tokio::time::timeout(Duration::from_millis(1), addresses(&net, "x")).await.is_err());
    drop(held);
    assert_eq!(addresses(&net, "x").await.unwrap().len(), 1);
}

#[tokio::test]
async fn every_address_is_tried_and_every_refusal_is_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    // Bound, so that nobody else listens there.
    let reserved = tokio::net::TcpSocket::new_v4().unwrap();
    reserved.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let closed = reserved.local_addr().unwrap();
    assert_eq!(
        connect_any(&[closed, open], STAGGER, || {}).await.unwrap().peer_addr().unwrap(),
        open
    );
    let failure = connect_any(&[closed, closed], STAGGER, || {}).await.unwrap_err();
    assert_eq!(&*failure.message, format!("connection refused ({closed}, {closed})"));
    assert!(failure.means_down);
}

#[tokio::test]
async fn silent_addresses_do_not_hide_the_last_one() {
    // The queue of connections has room for one. More of them get no answer.
    let hole = tokio::net::TcpSocket::new_v4().unwrap();
    hole.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let hole = hole.listen(0).unwrap();
    let silent = hole.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&silent, Duration::from_millis(50)) {
        queued.push(stream);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let mut addresses = vec![silent; 12];
    addresses.push(open);
    let bound = Duration::from_secs(2);
    let connecting = connect_any(&addresses, stagger(addresses.len(), bound), || {});
    let stream = tokio::time::timeout(bound, connecting).await.unwrap().unwrap();
    assert_eq!(stream.peer_addr().unwrap(), open);
    // Few addresses, and many.
    for (addresses, remaining, want) in
        [(0, 5000, 250), (2, 5000, 250), (25, 5000, 100), (99, 9, 50)]
    {
        let delay = stagger(addresses, Duration::from_millis(remaining));
        assert_eq!(delay, Duration::from_millis(want), "{addresses} {remaining}");
    }
}

#[tokio::test]
async fn a_unix_socket_with_a_full_queue_is_busy_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s").to_str().unwrap().to_owned();
    let name = format!("@{path}");
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(
            &path,
        )
        .unwrap();
    let _listeners = [
        std::os::unix::net::UnixListener::bind(&path).unwrap(),
        std::os::unix::net::UnixListener::bind_addr(&address).unwrap(),
    ];
    for endpoint in [path, name].map(Endpoint::Unix) {
        let (net, stage) = (Net::system(), crate::probe::Stage::default());
        let attempt = Attempt::new(&net, Instant::now() + Duration::from_secs(5), &stage);
        let mut open = Vec::new();
        let failure = loop {
            match attempt.connect(&endpoint).await {
                Ok(stream) => open.push(stream),
                Err(failure) => break failure,
            }
            assert!(open.len() < 100_000);
        };
        assert_eq!((failure.class, failure.means_down), (Class::Busy, false));
    }
}

#[test]
fn only_what_shows_that_nobody_is_there_counts_as_gone() {
    use {Class::*, libc::*};
    for (code, class, gone) in [
        (ECONNREFUSED, Connect, true),
        (EHOSTUNREACH, Connect, true),
        (ENETUNREACH, Connect, true),
        (ENOENT, Connect, true),
        (ETIMEDOUT, Timeout, false),
        (EADDRNOTAVAIL, Local, false),
        (ENOPROTOOPT, Connect, true),
        (EPROTOTYPE, Connect, false),
        (EACCES, Connect, false),
    ] {
        let failure = connect_failure(&io::Error::from_raw_os_error(code), "x");
        assert_eq!((failure.class, failure.means_down), (class, gone), "{code}");
        let error = || Some(ConnectError::from(io::Error::from_raw_os_error(code)));
        let both = all_refused(&[v4(1), v4(2)], vec![error(), error()]);
        assert_eq!((both.class, both.means_down), (class, gone), "{code}");
    }
    let mixed = [ETIMEDOUT, ECONNREFUSED]
        .map(|code| Some(ConnectError::from(io::Error::from_raw_os_error(code))));
    let mixed = all_refused(&[v4(1), v4(2)], mixed.into());
    assert_eq!((mixed.class, mixed.means_down), (Connect, false));
}

#[tokio::test]
async fn silent_names_do_not_hold_up_another_name() {
    static GO: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let net = std::sync::Arc::new(Net::new(|host, _| {
        if host.starts_with("silent") {
            drop(GO.lock());
        }
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
    }));
    let held = GO.lock();
    let mut silent = JoinSet::new();
    for n in 0..40 {
        let net = std::sync::Arc::clone(&net);
        silent.spawn(async move { addresses(&net, &format!("silent{n}")).await });
    }
    let stage = Stage::default();
    tokio::task::yield_now().await;
    let ninth = net.addresses("silent39", Family::Any, &stage);
    assert!(tokio::time::timeout(Duration::from_millis(50), ninth).await.is_err());
    assert_eq!(stage.take(), "silent39 is not looked up yet, after other names without an answer");
    // Five rounds of eight, each a second.
    let good = tokio::time::timeout(Duration::from_secs(20), addresses(&net, "good")).await;
    assert_eq!(good.unwrap().unwrap().len(), 1);
    drop(held);
    while let Some(found) = silent.join_next().await {
        assert_eq!(found.unwrap().unwrap().len(), 1);
    }
}

#[test]
fn a_forbidden_socket_is_local_and_final_unless_another_family_may_connect() {
    let forbidden = |family| {
        let error = io::Error::from_raw_os_error(libc::EAFNOSUPPORT);
        Some(ConnectError::Socket(sandbox::Refused::new(error, family)))
    };
    let both = vec![forbidden(AddressFamily::INET), forbidden(AddressFamily::INET6)];
    let failure = all_refused(&[v4(1), v6(1)], both);
    assert_eq!((failure.class, failure.is_final, failure.means_down), (Class::Local, true, false));
    let says = "this process may not open IPv4 sockets (RestrictAddressFamilies, seccomp?)";
    assert_eq!(&*failure.message, says);
    let refused = Some(ConnectError::from(io::Error::from_raw_os_error(libc::ECONNREFUSED)));
    let failure = all_refused(&[v6(1), v4(1)], vec![forbidden(AddressFamily::INET6), refused]);
    assert_eq!((failure.class, failure.is_final), (Class::Connect, false));
}
