//! Conditional requests for what is published (RFC 9110 §13): a poll that brings nothing new costs a few octets.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use touchmark_identity::Timestamp;

/// What is published, as of now.
pub(super) struct Representation {
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// Without quotes.
    pub etag: String,
    pub modified: Timestamp,
    pub max_age_s: u64,
}

/// The representation, or that it did not change. `If-None-Match` decides where both are given (§13.1.3).
pub(super) fn answer(asked: &HeaderMap, what: Representation) -> Response {
    let etag = format!("\"{}\"", what.etag);
    let fresh = match asked.get(header::IF_NONE_MATCH) {
        Some(known) => known.to_str().is_ok_and(|known| names(known, &etag)),
        None => asked
            .get(header::IF_MODIFIED_SINCE)
            .and_then(|since| read_date(since.to_str().ok()?))
            .is_some_and(|since| what.modified.unix_s() <= since.unix_s()),
    };
    let mut response = Response::new(if fresh { Body::empty() } else { Body::from(what.body) });
    if fresh {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(what.content_type));
    }
    let cache = format!("public, max-age={}", what.max_age_s);
    for (name, text) in
        [(header::ETAG, etag), (header::LAST_MODIFIED, date(what.modified)), (header::CACHE_CONTROL, cache)]
    {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Weak comparison (§8.8.3.2): what a cache made weak is still the same list.
fn names(known: &str, etag: &str) -> bool {
    known.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// IMF-fixdate (§5.6.7).
fn date(moment: Timestamp) -> String {
    let text = moment.to_string();
    let part = |range: core::ops::Range<usize>| text.get(range).unwrap_or_default();
    // 1970-01-01 was a Thursday.
    let day = DAYS.get((moment.unix_s() / 86_400 % 7) as usize).copied().unwrap_or_default();
    let month = part(5..7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    format!(
        "{day}, {} {} {} {} GMT",
        part(8..10),
        month.copied().unwrap_or_default(),
        part(0..4),
        part(11..19)
    )
}

/// The form that is sent today; of the obsolete ones nothing is read, which costs the asker a whole answer.
fn read_date(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.trim().split_once(", ")?;
    let [day, month, year, time, "GMT"] = rest.split(' ').collect::<Vec<_>>()[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_and_read_as_http_wants_them() {
        let rows = [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT"),
        ];
        for (s, text) in rows {
            let moment = Timestamp::from_unix_s(s);
            assert_eq!((date(moment).as_str(), read_date(text)), (text, Some(moment)), "{s}");
        }
        for bad in ["", "yesterday", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT"] {
            assert_eq!(read_date(bad), None, "{bad}");
        }
    }

    #[test]
    #[expect(clippy::type_complexity, reason = "a table of rows")]
    fn a_poll_hears_whether_there_is_news() {
        let modified = Timestamp::from_unix_s(784_111_777);
        let rows: [(&str, &[(&str, &str)], u16); 9] = [
            ("nothing known", &[], 200),
            ("this list", &[("if-none-match", "\"7-ab\"")], 304),
            ("this one among others, made weak", &[("if-none-match", "\"6-aa\", W/\"7-ab\"")], 304),
            ("any", &[("if-none-match", "*")], 304),
            ("another list", &[("if-none-match", "\"6-aa\"")], 200),
            ("since then", &[("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")], 304),
            ("since before", &[("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT")], 200),
            (
                "another list, though not since then: the tag decides",
                &[("if-none-match", "\"6-aa\""), ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")],
                200,
            ),
            ("no date", &[("if-modified-since", "yesterday")], 200),
        ];
        for (what, headers, status) in rows {
            let mut asked = HeaderMap::new();
            for (name, value) in headers {
                asked.append(*name, HeaderValue::from_static(value));
            }
            let body = b"list".to_vec();
            let etag = "7-ab".to_owned();
            let list =
                Representation { content_type: "application/pkix-crl", body, etag, modified, max_age_s: 9 };
            let response = answer(&asked, list);
            let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(response.status(), status, "{what}");
            assert_eq!(header("etag"), Some("\"7-ab\""), "{what}");
            assert_eq!(header("last-modified"), Some("Sun, 06 Nov 1994 08:49:37 GMT"), "{what}");
            assert_eq!(header("cache-control"), Some("public, max-age=9"), "{what}");
        }
    }
}
