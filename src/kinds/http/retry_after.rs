//! `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date, which is compared with the
//! response's Date.

use std::time::Duration;

use httpdate::parse_http_date;
use hyper::header::{DATE, HeaderMap, RETRY_AFTER};

/// The longest pause that a server can ask for. A proxy's mistake must not stop the attempts for
/// ever.
const LONGEST: Duration = Duration::from_secs(3600);

/// Returns the pause that the server asks for, at most an hour. `None`: zero, a past date or an
/// invalid value.
pub(super) fn parse(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let value = text(RETRY_AFTER)?;
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let wanted = if is_number {
        value.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        // Both clocks may be wrong, but the difference of the server's two dates is right.
        let (until, now) = (parse_http_date(value).ok()?, parse_http_date(text(DATE)?).ok()?);
        until.duration_since(now).ok()?
    };
    (!wanted.is_zero()).then_some(wanted.min(LONGEST))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_ahead_is_a_pause_and_at_most_an_hour() {
        const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (retry_after, date, want) in [
            ("120", None, Some(120)),
            ("0", None, None),
            ("-5", None, None),
            ("1.5", None, None),
            ("86400", None, Some(3600)),
            ("4294967295", None, Some(3600)),
            ("99999999999999999999999", None, Some(3600)),
            ("", None, None),
            ("soon", Some(NOW), None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(NOW), Some(30)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(NOW), Some(30)),
            ("Sun Nov  6 08:50:07 1994", Some(NOW), Some(30)),
            ("Sun, 06 Nov 9994 08:50:07 GMT", Some(NOW), Some(3600)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(NOW), None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", None, None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some("now"), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            assert_eq!(parse(&headers), want.map(Duration::from_secs), "{retry_after}");
        }
        assert_eq!(parse(&HeaderMap::new()), None);
    }
}
