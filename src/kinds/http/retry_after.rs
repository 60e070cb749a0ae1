//! `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date that is measured against the response's own.

use std::time::Duration;

use hyper::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::civil::days_from_civil;

/// How long the server asks us to stay away. Nothing, zero, the past and garbage are no hint.
pub(super) fn of(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let value = text(RETRY_AFTER)?;
    let seconds = match value.parse::<u32>() {
        Ok(seconds) => u64::from(seconds),
        // Our own clock may be wrong, and so may the server's: between its two dates it does not matter.
        Err(_) => u64::try_from(seconds_of(value)? - seconds_of(text(DATE)?)?).ok()?,
    };
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// An HTTP-date in any of its three forms (RFC 9110, section 5.6.7), in seconds since 1970.
fn seconds_of(date: &str) -> Option<i64> {
    let words: Vec<&str> = date.split([' ', ',', '-']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, time) = match words[..] {
        // Sun, 06 Nov 1994 08:49:37 GMT and Sunday, 06-Nov-94 08:49:37 GMT
        [_, day, month, year, time, "GMT"] => (day, month, year, time),
        // Sun Nov  6 08:49:37 1994
        [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let day = day.parse::<i64>().ok().filter(|day| (1..=31).contains(day))?;
    let year = match (year.len(), year.parse::<i64>().ok()?) {
        (4, year) => year,
        // A year of two digits is this century's: nobody asks us to come back in the last one.
        (2, year) => 2000 + year,
        _ => return None,
    };
    let mut clock =
        time.split(':').map(|part| part.parse::<i64>().ok().filter(|n| (0..=60).contains(n)));
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    Some(days_from_civil(year, month, day) * 86_400 + hours * 3_600 + minutes * 60 + seconds)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_date_is_read() {
        for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(seconds_of(date), Some(784_111_777), "{date}");
        }
        assert_eq!(seconds_of("Sunday, 06-Nov-94 08:49:37 GMT"), Some(3_939_871_777));
        assert_eq!(seconds_of("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        for garbage in [
            "",
            "soon",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
        ] {
            assert_eq!(seconds_of(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn a_hint_is_only_what_lies_ahead() {
        const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (retry_after, date, want) in [
            ("120", None, Some(120)),
            ("0", None, None),
            ("-5", None, None),
            ("1.5", None, None),
            ("99999999999", None, None),
            ("soon", Some(NOW), None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(NOW), Some(30)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(NOW), None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            assert_eq!(of(&headers), want.map(Duration::from_secs), "{retry_after}");
        }
        assert_eq!(of(&HeaderMap::new()), None);
    }
}
