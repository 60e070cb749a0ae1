//! A scripted HTTP/1.1 server: the test decides each response, and the server records each request.

use super::scripted::{Reserved, Scripted, finish};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A request and the time of its arrival.
#[derive(Clone)]
pub struct Request {
    pub at: Instant,
    /// Head and body as the client sent them.
    pub text: String,
}

pub struct Http {
    server: Scripted,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Http {
    /// `answer` gets the request's number, from 1, and its text, and returns the bytes of the
    /// response. An empty response closes the connection.
    pub fn answering(answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::on(Reserved::new(), answer)
    }

    pub fn on(
        port: Reserved,
        answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let seen = Arc::clone(&requests);
        let server = port.serve(move |_, mut stream| {
            while let Some(text) = read_request(&mut stream) {
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(Request { at: Instant::now(), text: text.clone() });
                    seen.len()
                };
                let response = answer(number, &text);
                let keep = !String::from_utf8_lossy(&response)
                    .to_ascii_lowercase()
                    .contains("connection: close");
                if stream.write_all(&response).is_err() || !keep || response.is_empty() {
                    finish(stream);
                    return;
                }
            }
        });
        Self { server, requests }
    }

    /// A server with one response.
    pub fn always(status: u16, body: &str) -> Self {
        let bytes = response(status, body);
        Self::answering(move |_, _| bytes.clone())
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub fn arrivals(&self) -> Vec<Instant> {
        self.requests().iter().map(|request| request.at).collect()
    }

    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }
}

pub fn response(status: u16, body: &str) -> Vec<u8> {
    response_with(status, &[], body)
}

/// A response that closes the connection. For another, write the bytes out.
pub fn response_with(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Length: {length}\r\nConnection: close\r\n\
        {headers}\r\n{body}"
    )
    .into_bytes()
}

/// Reads one request, head and body. `None`: the client has closed.
pub fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let wanted = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse().unwrap_or(0));
            if body.len() >= wanted {
                return Some(text.into_owned());
            }
        }
        let read = stream.read(&mut buffer).ok().filter(|&read| read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    }
}
