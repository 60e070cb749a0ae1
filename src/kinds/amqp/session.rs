//! The conversation with one broker: log in, open the vhost, look for a queue or an exchange,
//! close.

use super::{
    failure::close_failure,
    frame::{Arguments, Fields, Method, Received, receive},
    target::Target,
};
use crate::{
    connect::Endpoint,
    kinds::wire::Wire,
    probe::{Attempt, Class, Cost, Failure},
    text::one_line,
};

const START: Method = (10, 10);
const START_OK: Method = (10, 11);
const TUNE: Method = (10, 30);
const TUNE_OK: Method = (10, 31);
const OPEN: Method = (10, 40);
const OPEN_OK: Method = (10, 41);
const CLOSE: Method = (10, 50);
const CLOSE_OK: Method = (10, 51);
const CHANNEL_OPEN: Method = (20, 10);
const CHANNEL_OPEN_OK: Method = (20, 11);
const CHANNEL_CLOSE: Method = (20, 40);
const CHANNEL_CLOSE_OK: Method = (20, 41);
const EXCHANGE_DECLARE: Method = (40, 10);
const EXCHANGE_DECLARE_OK: Method = (40, 11);
const QUEUE_DECLARE: Method = (50, 10);
const QUEUE_DECLARE_OK: Method = (50, 11);

/// Passive: checks that the object exists, and creates nothing.
const PASSIVE: u8 = 1;
/// The code of a queue that belongs to another connection, and so exists.
const RESOURCE_LOCKED: u16 = 405;
const SUCCESS: u16 = 200;

/// Asks the broker at `endpoint` for everything that `target` wants. Returns the broker's name.
pub(super) async fn ask(
    attempt: &Attempt<'_>,
    target: &Target,
    endpoint: &Endpoint,
) -> Result<String, Failure> {
    let wire = Wire::open(attempt, endpoint, target.tls.as_ref(), "AMQP").await?;
    let mut session = Session { target, wire };
    let asked = session.ask(attempt).await;
    let detail = asked.map_err(|failure| match failure.class {
        // Each of these attempts leaves a line in the broker's log.
        Class::Connect | Class::Timeout | Class::Busy | Class::Absent | Class::Protocol => {
            failure.cost(Cost::Logged)
        }
        _ => failure,
    })?;
    session.wire.close().await;
    Ok(detail)
}

struct Session<'a> {
    target: &'a Target,
    wire: Wire,
}

impl Session<'_> {
    async fn ask(&mut self, attempt: &Attempt<'_>) -> Result<String, Failure> {
        self.wire.send(b"AMQP\0\0\x09\x01").await?;
        let start = self.expect(START).await?;
        let (product, mechanisms) = self.read_start(&start)?;
        self.log_in(&mechanisms).await?;
        attempt.stage(format!("logged in to {}, but no answer", self.wire.endpoint()));
        let mut detail = format!("{product}, vhost {}", self.target.vhost);
        if self.target.queue.is_some() || self.target.exchange.is_some() {
            let looked = self.look().await;
            if looked.is_err() {
                let _ = self.say_goodbye().await;
            }
            detail += &looked?;
        }
        self.say_goodbye().await?;
        Ok(detail)
    }

    fn read_start(&self, start: &Received) -> Result<(String, String), Failure> {
        let mut fields = start.arguments();
        fields.u16();
        let table = fields.long().unwrap_or_default();
        let mechanisms = fields.long().map(|text| String::from_utf8_lossy(text).into_owned());
        let mechanisms = mechanisms.ok_or_else(|| self.odd("a Start without mechanisms"))?;
        let text = |name| Fields::table_text(table, name);
        let product = text("product").unwrap_or_else(|| "AMQP".to_owned());
        let version = text("version").map(|version| format!(" {version}")).unwrap_or_default();
        Ok((one_line(&format!("{product}{version}"), 60), mechanisms))
    }

    async fn log_in(&mut self, mechanisms: &str) -> Result<(), Failure> {
        let (mechanism, response) = self.target.response();
        if !mechanisms.split(' ').any(|offered| offered == mechanism) {
            let message =
                format!("the server offers no {mechanism} login, it offers: {mechanisms}");
            return Err(self.wire.failure(Class::Auth, message));
        }
        // Without this, the broker answers a wrong password with three seconds of silence and a
        // reset.
        let capabilities =
            Arguments::default().short_text("authentication_failure_close").u8(b't').u8(1);
        let properties = Arguments::default()
            .short_text("product")
            .u8(b'S')
            .long(b"afterall")
            .short_text("capabilities")
            .u8(b'F')
            .long(&capabilities.into_bytes());
        let mut out = Vec::new();
        Arguments::default()
            .long(&properties.into_bytes())
            .short_text(mechanism)
            .long(&response)
            .short_text("en_US")
            .put(&mut out, 0, START_OK);
        self.wire.send(&out).await?;
        let tune = self.expect(TUNE).await?;
        let mut fields = tune.arguments();
        let (Some(channels), Some(frame)) = (fields.u16(), fields.u32()) else {
            return Err(self.odd("a Tune without its numbers"));
        };
        let mut out = Vec::new();
        // The server's own limits: RabbitMQ resets a connection that asks for more. No heartbeats.
        Arguments::default().u16(channels).u32(frame).u16(0).put(&mut out, 0, TUNE_OK);
        let open = Arguments::default().short_text(&self.target.vhost).short_text("").u8(0);
        open.put(&mut out, 0, OPEN);
        self.wire.send(&out).await?;
        self.expect(OPEN_OK).await.map(drop)
    }

    /// Looks for the exchange and the queue. Returns their names.
    async fn look(&mut self) -> Result<String, Failure> {
        let mut out = Vec::new();
        Arguments::default().short_text("").put(&mut out, 1, CHANNEL_OPEN);
        self.wire.send(&out).await?;
        self.expect(CHANNEL_OPEN_OK).await?;
        let mut found = String::new();
        if let Some(exchange) = &self.target.exchange {
            let declare = Arguments::default().u16(0).short_text(exchange).short_text("");
            let declare = declare.u8(PASSIVE).long(b"");
            self.declare(declare, EXCHANGE_DECLARE, EXCHANGE_DECLARE_OK).await?;
            found += &format!(", exchange {exchange}");
        }
        if let Some(queue) = &self.target.queue {
            let declare = Arguments::default().u16(0).short_text(queue).u8(PASSIVE).long(b"");
            self.declare(declare, QUEUE_DECLARE, QUEUE_DECLARE_OK).await?;
            found += &format!(", queue {queue}");
        }
        Ok(found)
    }

    async fn declare(
        &mut self,
        arguments: Arguments,
        method: Method,
        answer: Method,
    ) -> Result<(), Failure> {
        let mut out = Vec::new();
        arguments.put(&mut out, 1, method);
        self.wire.send(&out).await?;
        let reply = receive(&mut self.wire).await?;
        match reply.method {
            found if found == answer => Ok(()),
            CHANNEL_CLOSE => {
                let (code, text) = self.read_close(&reply)?;
                let mut out = Vec::new();
                Arguments::default().put(&mut out, 1, CHANNEL_CLOSE_OK);
                self.wire.send(&out).await?;
                match code {
                    RESOURCE_LOCKED => Ok(()),
                    code => Err(close_failure(code, &text, self.wire.endpoint())),
                }
            }
            _ => Err(self.refused(reply).await),
        }
    }

    async fn expect(&mut self, wanted: Method) -> Result<Received, Failure> {
        let reply = receive(&mut self.wire).await?;
        if reply.method == wanted { Ok(reply) } else { Err(self.refused(reply).await) }
    }

    /// Returns the failure of an unexpected method. It usually is a close with its reason.
    async fn refused(&mut self, reply: Received) -> Failure {
        if reply.method != CLOSE {
            return self.odd("a method that was not asked for");
        }
        let mut out = Vec::new();
        Arguments::default().put(&mut out, 0, CLOSE_OK);
        // The reason is known; whether the broker reads the answer does not matter.
        let _ = self.wire.send(&out).await;
        match self.read_close(&reply) {
            Ok((code, text)) => close_failure(code, &text, self.wire.endpoint()),
            Err(failure) => failure,
        }
    }

    fn read_close(&self, close: &Received) -> Result<(u16, String), Failure> {
        let mut fields = close.arguments();
        match (fields.u16(), fields.short_text()) {
            (Some(code), Some(text)) => Ok((code, text)),
            _ => Err(self.odd("a close without its reason")),
        }
    }

    /// A connection that ends without it is a warning in the broker's log.
    async fn say_goodbye(&mut self) -> Result<(), Failure> {
        let mut out = Vec::new();
        Arguments::default().u16(SUCCESS).short_text("").u16(0).u16(0).put(&mut out, 0, CLOSE);
        self.wire.send(&out).await?;
        self.expect(CLOSE_OK).await.map(drop)
    }

    fn odd(&self, message: &str) -> Failure {
        self.wire.failure(Class::Protocol, format_args!("not what AMQP sends: {message}"))
    }
}
