//! A stream with three replicas on a real cluster: ready exactly where a client's message is
//! acknowledged.

use crate::support::{Afterall, Cluster, LONG, Nats, secs, wait_until};

/// Waits for the stream, and then publishes at once, as the service does.
#[track_caller]
fn ready_means_publishable(cluster: &Cluster) {
    let url = format!("bus={}#stream=S,timeout=3m", cluster.url());
    Afterall::waiting_for([url]).run().code(0).stderr_has("bus: ready: NATS 2.");
    assert_eq!(cluster.publish("S", secs(30)), Ok(()));
}

/// The exit code of one attempt.
fn once(cluster: &Cluster, keys: &str) -> Option<i32> {
    let url = format!("bus={}#{keys}", cluster.url());
    Afterall::once().arg(&url).run().any_stdout().any_stderr().status().code()
}

#[test]
fn a_replicated_stream_is_ready_where_a_message_is_acknowledged() {
    let cluster = Cluster::started();
    let url = format!("bus={}#stream=S,timeout=3m", cluster.url());
    let waiting = Afterall::waiting_for([url]).spawn();
    cluster.create_stream("S");
    waiting.done().code(0).stderr_has("bus: ready: NATS 2.");
    assert_eq!(cluster.publish("S", secs(30)), Ok(()));

    let leader = cluster.leader("S");
    leader.kill();
    ready_means_publishable(&cluster);

    // Without a majority nothing is acknowledged, whatever the survivor remembers of its leader.
    let second = cluster.servers.iter().find(|server| server.is_running()).unwrap();
    second.kill();
    wait_until("one server of three is not ready", LONG, || once(&cluster, "stream=S") == Some(69));
    assert!(cluster.publish("S", secs(2)).is_err());
    for keys in ["stream=S", "jetstream", "jetstream,stream=S", "stream=S"] {
        wait_until(&format!("{keys} is not ready"), LONG, || once(&cluster, keys) == Some(69));
    }
    // The connection alone does not need a majority.
    assert_eq!(once(&cluster, "attempt-timeout=20s"), Some(0));

    second.start();
    ready_means_publishable(&cluster);
    leader.start();

    cluster.servers.iter().for_each(Nats::stop);
    let url = format!("bus={}#stream=S,timeout=3m", cluster.url());
    let waiting = Afterall::waiting_for([url]).spawn();
    waiting.wait_for_stderr("[class=connect", secs(20));
    cluster.start();
    waiting.wait(secs(300)).code(0).any_stderr();
    assert_eq!(cluster.publish("S", secs(30)), Ok(()));
}
