//! Secrets of Redis, MySQL and MongoDB.

use super::*;

/// A Redis that repeats the credentials in its refusal.
#[cfg(feature = "redis")]
fn redis_that_repeats() -> Scripted {
    Scripted::new(|_, mut stream| {
        let text = heard(&mut stream);
        let _ = stream
            .write_all(format!("-WRONGPASS {}\r\n", around(&text).unwrap_or_default()).as_bytes());
        finish(stream);
    })
}

#[cfg(feature = "redis")]
#[test]
fn what_logs_in_to_redis_is_shown_nowhere() {
    let (server, dead, dir) = (redis_that_repeats(), Reserved::new(), Dir::new());
    dir.write_secret("password", CANARY);
    let file = dir.text("password");
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("redis://:{CANARY}@{at}"),
        format!("redis://u:{CANARY}@{at}/1"),
        format!("redis://{CANARY}@{at}"),
        format!("redis://{at}?password={CANARY}"),
        format!("redis://{at}#password={CANARY}"),
        format!("redis://u@{at}#password=${{file:{file}}}"),
        format!("redis://{at}#sentinel=m,sentinel-password={CANARY}"),
        format!("redis+sentinel://:{CANARY}@{at}/m#sentinel-password={CANARY}"),
    ] {
        places.push(Place::new(&declared).echoed());
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
    }
    places.push(Place::new("${CACHE}").env("CACHE", format!("redis://u:{CANARY}@{at}")).echoed());
    for wrong in [
        format!("redis://:{CANARY}@{at}/x"),
        format!("redis://:{CANARY}@"),
        format!("redis://:{CANARY}@{at}/0#role=x"),
        format!("redis://:%zz{CANARY}@{at}"),
        format!("rediss://:{CANARY}@{at}?ssl_cert_reqs={CANARY}"),
        format!("redis+unix://:{CANARY}@/none/sock"),
        format!("redis+unix://:{CANARY}@{at}"),
    ] {
        places.push(Place::new(wrong));
    }
    hear_nothing(&places);
}

/// A MySQL that refuses everybody. The password itself is never sent to it.
#[cfg(feature = "mysql")]
fn mysql_that_refuses() -> Scripted {
    Scripted::new(|_, mut stream| {
        let mut greeting =
            b"\x4a\0\0\0\x0a8.0.36\0\x07\0\0\0abcdefgh\0\xff\xf7\xff\x02\0\xff\xdf\x15".to_vec();
        greeting.extend(b"\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0mysql_native_password\0");
        greeting[0] = greeting.len() as u8 - 4;
        let _ = stream.write_all(&greeting);
        let _ = stream.read(&mut [0; 4096]);
        let error = b"\xff\x15\x04#28000no";
        let _ = stream.write_all(&[&[error.len() as u8, 0, 0, 2], &error[..]].concat());
        finish(stream);
    })
}

#[cfg(feature = "mysql")]
#[test]
fn what_logs_in_to_mysql_is_shown_nowhere() {
    let (server, dead, dir) = (mysql_that_refuses(), Reserved::new(), Dir::new());
    dir.write_secret("password", CANARY);
    let file = dir.text("password");
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("mysql://u:{CANARY}@{at}/db"),
        format!("mysql+pymysql://u:{CANARY}@{at}/db"),
        format!("jdbc:mysql://{at}/db?user=u&password={CANARY}"),
        format!("mysql:u:{CANARY}@tcp({at})/db"),
        format!("mysql://u:{CANARY}@tcp({at})/db"),
        format!("mysql:host={};port={};password={CANARY}#user=u", at.ip(), at.port()),
        format!("mysql://u@{at}/db#password=${{file:{file}}}"),
        format!("mysql://u@{at}/db#password={CANARY}"),
    ] {
        places.push(Place::new(&declared));
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
        places.push(Place::new("${DSN}").env("DSN", declared));
    }
    places.push(Place::new(format!("mysql://u@{at}/db")).env("MYSQL_PWD", CANARY));
    for wrong in [
        format!("mysql://u:{CANARY}@db:x/app"),
        format!("mysql://u:%zz{CANARY}@{at}/app"),
        format!("mysql:u:{CANARY}@udp({at})/db"),
        format!("mysql:u:{CANARY}@tcp({at})"),
        format!("mysql:u:{CANARY}@tcp({at}"),
        format!("mysql:password={CANARY};{CANARY}"),
        format!("mysql://u:{CANARY}@{at}/app?ssl-mode={CANARY}"),
        format!("mysql://u:{CANARY}@{at}/app?useSSL={CANARY}"),
        format!("jdbc:mysql://{at}/db?password={CANARY}"),
    ] {
        places.extend([Place::new("${DSN}").env("DSN", &wrong), Place::new(&wrong)]);
    }
    hear_nothing(&places);
}

/// A MongoDB that repeats the credentials in its refusal.
#[cfg(feature = "mongodb")]
fn mongodb_that_repeats() -> Scripted {
    Scripted::new(|_, mut stream| {
        let reply = |elements: &[u8]| {
            let document = [&(elements.len() as u32 + 5).to_le_bytes(), elements, b"\0"].concat();
            let head = [document.len() as u32 + 21, 1, 1, 2013, 0];
            let head = head.map(u32::to_le_bytes).concat();
            [&head[..], b"\0", &document].concat()
        };
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&reply(b"\x08ismaster\0\x01\x10ok\0\x01\0\0\0"));
        let text = format!("no {}", around(&heard(&mut stream)).unwrap_or_default());
        let errmsg = [&(text.len() as u32 + 1).to_le_bytes(), text.as_bytes(), b"\0"].concat();
        let elements = [&b"\x02errmsg\0"[..], &errmsg, b"\x10code\0\x12\0\0\0"].concat();
        let _ = stream.write_all(&reply(&elements));
        finish(stream);
    })
}

#[cfg(feature = "mongodb")]
#[test]
fn what_logs_in_to_mongodb_is_shown_nowhere() {
    let (server, dead) = (mongodb_that_repeats(), Reserved::new());
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("mongodb://u:{CANARY}@{at}/?authMechanism=PLAIN"),
        format!("mongodb://{at}/?authMechanism=PLAIN#user=u,password={CANARY}"),
        format!("mongodb://u:${{CANARY}}@{at}/?authMechanism=PLAIN"),
    ] {
        places.push(Place::new(&declared).echoed());
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
    }
    // SCRAM never sends the password.
    places.push(Place::new(format!("mongodb://u:{CANARY}@{at}/db")));
    for wrong in [
        format!("mongodb://u:{CANARY}@{at}/?authMechanism={CANARY}"),
        format!("mongodb://u:{CANARY}@{at}/?readPreference={CANARY}"),
        format!("mongodb://u:{CANARY}@{at}/?{CANARY}={CANARY}"),
        format!("mongodb://u:{CANARY}@{at}/?tls={CANARY}"),
        format!("mongodb://u:%zz{CANARY}@{at}"),
        format!("mongodb://{CANARY}@{at}"),
        format!("mongodb://u:{CANARY}@{at}/a#role={CANARY}"),
        format!("mongodb+srv://u:{CANARY}@{at}"),
    ] {
        places.push(Place::new(wrong));
    }
    hear_nothing(&places);
}
