//! A real NATS cluster of three servers with JetStream, and a client that publishes to it.

use super::nats::Nats;
use super::ports::Address;
use super::wait::{LONG, secs, wait_for};
use async_nats::ConnectOptions;
use async_nats::jetstream::{self, Context, stream};
use std::time::Duration;

pub struct Cluster {
    pub servers: Vec<Nats>,
    _routes: Vec<Address>,
}

impl Cluster {
    /// Returns when each server listens. The servers may not have elected a leader yet.
    pub fn started() -> Self {
        let routes: Vec<Address> = (0..3).map(|_| Address::claim()).collect();
        let listens: Vec<String> = routes.iter().map(|route| route.free().to_string()).collect();
        let urls: Vec<String> =
            listens.iter().map(|listen| format!("\"nats-route://{listen}\"")).collect();
        let routes_line = urls.join(", ");
        let server = |(n, listen): (usize, &String)| {
            Nats::new(&format!(
                "server_name: n{n}\njetstream {{ store_dir: \"@DIR@/js\" }}\n\
                 cluster {{ name: c, listen: \"{listen}\", routes: [{routes_line}] }}"
            ))
        };
        let cluster =
            Self { servers: listens.iter().enumerate().map(server).collect(), _routes: routes };
        cluster.start();
        cluster
    }

    pub fn start(&self) {
        self.servers.iter().for_each(Nats::start);
    }

    /// `nats://A,B,C`, as an application declares it.
    pub fn url(&self) -> String {
        let addresses: Vec<String> =
            self.servers.iter().map(|server| server.address().to_string()).collect();
        format!("nats://{}", addresses.join(","))
    }

    /// Makes a stream with three replicas, as soon as the cluster lets the client.
    pub fn create_stream(&self, name: &str) {
        let config = stream::Config {
            name: name.to_owned(),
            subjects: vec![format!("{name}.>")],
            num_replicas: 3,
            ..Default::default()
        };
        wait_for(&format!("the cluster takes the stream {name}"), LONG, || {
            let config = config.clone();
            self.ask(secs(5), async |context| {
                context.create_stream(config).await.map(drop).map_err(|error| error.to_string())
            })
            .ok()
        });
    }

    /// Returns a real client's result for a message: an acknowledgement from a majority, or an
    /// error.
    pub fn publish(&self, stream: &str, patience: Duration) -> Result<(), String> {
        self.ask(patience, async |context| {
            let sent = context.publish(format!("{stream}.x"), "message".into()).await;
            let acknowledged = sent.map_err(|error| error.to_string())?.await;
            acknowledged.map(drop).map_err(|error| error.to_string())
        })
    }

    /// The server that leads the stream.
    pub fn leader(&self, stream: &str) -> &Nats {
        let name = wait_for("the stream has a leader", LONG, || {
            self.ask(secs(5), async |context| {
                let stream = context.get_stream(stream).await.map_err(|error| error.to_string())?;
                let cluster = stream.cached_info().cluster.as_ref();
                cluster.and_then(|cluster| cluster.leader.clone()).ok_or_else(String::new)
            })
            .ok()
        });
        &self.servers[name.trim_start_matches('n').parse::<usize>().unwrap()]
    }

    /// Runs one request on a new connection to whichever server is up.
    fn ask<T>(
        &self,
        patience: Duration,
        request: impl AsyncFnOnce(Context) -> Result<T, String>,
    ) -> Result<T, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let servers: Vec<String> = self.servers.iter().map(Nats::url).collect();
            let client = ConnectOptions::new()
                .connection_timeout(patience)
                .request_timeout(Some(patience))
                .connect(servers)
                .await
                .map_err(|error| error.to_string())?;
            let mut context = jetstream::new(client);
            context.set_timeout(patience);
            request(context).await
        })
    }
}
