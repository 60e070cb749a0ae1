//! A request that was made for HTTP/1.1, and its response, over HTTP/2.

use hyper::{
    Request, Uri, Version,
    header::{CONNECTION, HOST},
};

use super::{
    answer::Answer,
    exchange::{COURTESY, MAX_LINE, MaxBody},
    failure,
};
use crate::{
    connect::{Endpoint, Stream},
    kinds::http2::{self, Call, Part},
    probe::{Attempt, Class, Failure},
};

/// Sends `request`, whose URI has a path alone, and reads the response.
pub(super) async fn exchange<B>(
    attempt: &Attempt<'_>,
    stream: Box<dyn Stream>,
    endpoint: &Endpoint,
    request: Request<B>,
    scheme: &str,
    max_body: MaxBody<'_>,
) -> Result<Answer, Failure> {
    let request = translated(request, scheme)
        .map_err(|_| Failure::new(Class::Config, "header: Host must be HOST or HOST:PORT"))?;
    let call = Call { request, content: None, with_tls: "https:" };
    let part = |status| match max_body(status) {
        Some(max) => {
            let status = failure::shown(status);
            attempt.stage(format!("{status} from {endpoint}, but its body did not end"));
            Part { max, within: None }
        }
        None => Part { max: MAX_LINE, within: Some(COURTESY.min(attempt.remaining() / 4)) },
    };
    let response = http2::exchange(attempt, stream, endpoint, call, &part).await?;
    let http2::Response { status, headers, body, cut, .. } = response;
    Ok(Answer { status, headers, body, cut })
}

/// HTTP/2 has the host in the URI, and no header about the connection (RFC 9113, section 8.2.2).
fn translated<B>(request: Request<B>, scheme: &str) -> Result<Request<()>, hyper::http::Error> {
    let (mut head, _) = request.into_parts();
    head.headers.remove(CONNECTION);
    let host = head.headers.remove(HOST);
    let mut uri = Uri::builder().scheme(scheme);
    if let Some(host) = &host {
        uri = uri.authority(host.as_bytes());
    }
    if let Some(path) = head.uri.path_and_query() {
        uri = uri.path_and_query(path.clone());
    }
    head.uri = uri.build()?;
    head.version = Version::HTTP_2;
    Ok(Request::from_parts(head, ()))
}
