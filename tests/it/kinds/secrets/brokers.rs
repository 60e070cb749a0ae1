//! Secrets of NATS, RabbitMQ and Kafka.

use super::*;

/// A NATS server that repeats the credentials in its refusal.
fn nats_that_repeats() -> Scripted {
    Scripted::new(|_, mut stream| {
        let _ = stream.write_all(
            b"INFO {\"version\":\"2.9.10\",\"nonce\":\"abc\",\"auth_required\":true}\r\n",
        );
        let text = heard(&mut stream);
        let _ = stream
            .write_all(format!("-ERR 'no {}'\r\n", around(&text).unwrap_or_default()).as_bytes());
        finish(stream);
    })
}

#[test]
fn what_logs_in_to_nats_is_shown_nowhere() {
    let (server, dead, dir) = (nats_that_repeats(), Reserved::new(), Dir::new());
    dir.write_secret("token", CANARY);
    dir.write_secret("broken.nk", format!("SU{CANARY}"));
    dir.write_secret("other.nk", CANARY);
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let creds = |jwt: &str, seed: &str| {
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n-----BEGIN USER \
            NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    };
    dir.write_secret("right.creds", creds(&format!("eyJ{CANARY}"), seed));
    dir.write_secret("seed.creds", creds("eyJ", &format!("SU{CANARY}")));
    dir.write_secret("none.creds", creds(CANARY, CANARY));
    let token = dir.text("token");
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("nats://u:{CANARY}@{at}"),
        format!("nats://{CANARY}@{at}"),
        format!("nats://u:x@{dead},v:{CANARY}@{at}"),
        format!("nats://u:{CANARY}@{dead},{at}"),
        format!("nats://{at}#token={CANARY}"),
        format!("nats://{at}#token=${{file:{token}}}"),
        format!("nats://{at}#user=u,password={CANARY}"),
        format!("nats://u@{at}#password=${{CANARY}}"),
        format!("nats://{at}#creds={}", dir.text("right.creds")),
    ] {
        places.push(Place::new(&declared).echoed());
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
    }
    places.push(Place::new("${BUS}").env("BUS", format!("nats://u:{CANARY}@{at}")).echoed());
    for wrong in [
        format!("nats://u:{CANARY}@{at}/x"),
        format!("nats://u:{CANARY}@a:x"),
        format!("nats://u:{CANARY}@{at},nats"),
        format!("nats://u:%zz{CANARY}@{at}"),
        format!("nats://u:{CANARY}@{at}#token={CANARY},nkey=x"),
        format!("nats://{at}#password={CANARY}"),
        format!("nats://{at}#stream={CANARY}.x,user=u,password={CANARY}"),
        format!("tls://u:{CANARY}@{at}#insecure"),
        format!("tls://u:{CANARY}@{at}#ca=/none"),
        format!("nats://{at}#nkey={}", dir.text("broken.nk")),
        format!("nats://{at}#nkey={}", dir.text("other.nk")),
        format!("nats://{at}#creds={}", dir.text("seed.creds")),
        format!("nats://{at}#creds={}", dir.text("none.creds")),
        format!("nats://{at}#creds={token}"),
        format!("nats://{at}#creds=${{file:{}}}", dir.text("none.creds")),
        format!("nats://{at}#nkey=${{file:{}}}", dir.text("broken.nk")),
        format!("nats://{at}#nkey={CANARY}"),
    ] {
        places.push(Place::new(wrong));
    }
    hear_nothing(&places);
}

/// A RabbitMQ that repeats the credentials in its refusal.
#[cfg(feature = "amqp")]
fn rabbitmq_that_repeats() -> Scripted {
    Scripted::new(|_, mut stream| {
        let frame = |method: &[u8]| {
            let size = (method.len() as u32).to_be_bytes();
            [&[1, 0, 0], &size[..], method, b"\xce"].concat()
        };
        let start = b"\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US";
        let _ = stream.write_all(&frame(start));
        let text = format!("ACCESS_REFUSED {}", around(&heard(&mut stream)).unwrap_or_default());
        let close =
            [b"\0\x0a\0\x32\x01\x93", &[text.len() as u8][..], text.as_bytes(), b"\0\0\0\0"];
        let _ = stream.write_all(&frame(&close.concat()));
        finish(stream);
    })
}

#[cfg(feature = "amqp")]
#[test]
fn what_logs_in_to_rabbitmq_is_shown_nowhere() {
    let (server, dead) = (rabbitmq_that_repeats(), Reserved::new());
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("amqp://u:{CANARY}@{at}"),
        format!("pyamqp://u:{CANARY}@{at}//"),
        format!("amqp://u@{at}/v#password={CANARY}"),
        format!("amqp://u@{at}/v#password=${{CANARY}}"),
    ] {
        places.push(Place::new(&declared).echoed());
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
    }
    for wrong in [
        format!("amqp://u:{CANARY}@mq:x/v"),
        format!("amqp://u:%zz{CANARY}@{at}/v"),
        format!("amqp://u:{CANARY}@/v"),
        format!("memcached://u:{CANARY}@{at}"),
        format!("memcached://:{CANARY}@{at}"),
    ] {
        places.push(Place::new(wrong));
    }
    hear_nothing(&places);
}

/// A Kafka that repeats the credentials in its refusal.
#[cfg(feature = "kafka")]
fn kafka_that_repeats() -> Scripted {
    Scripted::new(|_, mut stream| {
        let body = |number: u8, body: &[u8]| {
            [&[0, 0, 0, body.len() as u8 + 4, 0, 0, 0, number], body].concat()
        };
        let _ = stream.read(&mut [0; 4096]);
        let apis = b"\0\0\0\0\0\x02\0\x03\0\0\0\x08\0\x24\0\0\0\0";
        let _ = stream.write_all(&body(1, apis));
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&body(2, b"\0\0\0\0\0\x01\0\x05PLAIN"));
        let text = format!("no {}", around(&heard(&mut stream)).unwrap_or_default());
        let refusal = [&[0, 58, 0, text.len() as u8], text.as_bytes(), &[0; 4]].concat();
        let _ = stream.write_all(&body(3, &refusal));
        finish(stream);
    })
}

#[cfg(feature = "kafka")]
#[test]
fn what_logs_in_to_kafka_is_shown_nowhere() {
    let (server, dead) = (kafka_that_repeats(), Reserved::new());
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("kafka://u:{CANARY}@{at}#sasl=plain"),
        format!("kafka://{at}?sasl.mechanism=PLAIN&sasl.username=u&sasl.password={CANARY}"),
        format!("kafka://{at}#sasl=plain,user=u,password=${{CANARY}}"),
    ] {
        places.push(Place::new(&declared).echoed());
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
    }
    for wrong in [
        format!("kafka://u:{CANARY}@{at}"),
        format!("kafka://u:{CANARY}@{at}/a/b#sasl=plain"),
        format!("kafka://u:{CANARY}@{at}#sasl={CANARY}"),
        format!("kafka://u:%zz{CANARY}@{at}#sasl=plain"),
        format!("kafka://u:{CANARY}@{at},v:{CANARY}x@{at}#sasl=plain"),
        format!("kafka://{at}?security.protocol={CANARY}&sasl.password={CANARY}"),
    ] {
        places.push(Place::new(wrong));
    }
    hear_nothing(&places);
}
