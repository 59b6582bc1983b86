//! Whether an HTTP request names its host: once, and as an address (RFC 9112 §3.2, RFC 9110 §7.2).
//!
//! No request is routed by its host here. But whatever stands between a client and us may, and two readers who see
//! two hosts in one request are how requests are smuggled.

use core::net::Ipv6Addr;

/// Why a request is answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    /// HTTP/1.1 without it.
    #[error("the request has no Host field; HTTP/1.1 demands one")]
    Missing,
    /// More than one field line.
    #[error("the request has more than one Host field")]
    Several,
    /// Not a name or an address with a port.
    #[error(
        "the Host field, or the address that the request begins with, is not a host with or without a port"
    )]
    Invalid,
}

/// Checks the Host fields of a request. `authority` is that of a target in absolute form. Before HTTP/1.1 the field may
/// be absent; wherever it stands, it must be one, and valid.
///
/// # Errors
/// [`BadHost`].
pub fn check_host<'a>(
    http_1_1: bool,
    fields: impl IntoIterator<Item = &'a [u8]>,
    authority: Option<&str>,
) -> Result<(), BadHost> {
    let mut fields = fields.into_iter();
    let first = fields.next();
    if fields.next().is_some() {
        return Err(BadHost::Several);
    }
    match first {
        None if http_1_1 => return Err(BadHost::Missing),
        Some(host) if !is_host(host) => return Err(BadHost::Invalid),
        None | Some(_) => {}
    }
    match authority {
        Some(authority) if !is_host(authority.as_bytes()) => Err(BadHost::Invalid),
        None | Some(_) => Ok(()),
    }
}

/// `uri-host [ ":" port ]` (RFC 3986 §3.2), without the punctuation that a registered name might have and no host has: it
/// separates lists. An `http` URI has no empty host (RFC 9110 §4.2.1).
fn is_host(value: &[u8]) -> bool {
    let Ok(value) = core::str::from_utf8(value) else { return false };
    let (host, port) = match value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) if address.parse::<Ipv6Addr>().is_ok() => (None, after),
        Some(_) => return false,
        None => {
            let (host, port) = value.split_at(value.find(':').unwrap_or(value.len()));
            (Some(host), port)
        }
    };
    host.is_none_or(is_name) && is_port(port)
}

fn is_name(name: &str) -> bool {
    let mut rest = name.bytes();
    let hex = |octet: Option<u8>| octet.is_some_and(|octet| octet.is_ascii_hexdigit());
    let mut all = true;
    while let Some(octet) = rest.next() {
        all &= match octet {
            b'%' => hex(rest.next()) && hex(rest.next()),
            b'-' | b'.' | b'_' | b'~' => true,
            other => other.is_ascii_alphanumeric(),
        };
    }
    all && !name.is_empty()
}

/// Nothing, or a colon and perhaps a number.
fn is_port(after: &str) -> bool {
    match after.strip_prefix(':') {
        None => after.is_empty(),
        Some(digits) => {
            digits.is_empty()
                || (digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.parse::<u16>().is_ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_valid_host_or_400() {
        use BadHost::{Invalid, Missing, Several};
        type Row<'a> = (&'a str, bool, &'a [&'a str], Option<&'a str>, Result<(), BadHost>);
        let rows: &[Row<'_>] = &[
            ("a name", true, &["lab"], None, Ok(())),
            ("a name and a port", true, &["est.example.org:7443"], None, Ok(())),
            ("a port that is not said", true, &["lab:"], None, Ok(())),
            ("IPv4", true, &["192.0.2.1:80"], None, Ok(())),
            ("IPv6", true, &["[2001:db8::1]:80"], None, Ok(())),
            ("IPv6 without a port", true, &["[::1]"], None, Ok(())),
            ("an escaped octet", true, &["a%2db"], None, Ok(())),
            ("none", true, &[], None, Err(Missing)),
            ("none, with the host in the target", true, &[], Some("lab"), Err(Missing)),
            ("none in HTTP/1.0", false, &[], None, Ok(())),
            ("two", true, &["lab", "lab"], None, Err(Several)),
            ("two in HTTP/1.0", false, &["lab", "other"], None, Err(Several)),
            ("a list", true, &["lab, other"], None, Err(Invalid)),
            ("a list without space", true, &["lab,other"], None, Err(Invalid)),
            ("empty", true, &[""], None, Err(Invalid)),
            ("a port alone", true, &[":80"], None, Err(Invalid)),
            ("a space", true, &["la b"], None, Err(Invalid)),
            ("a path", true, &["lab/x"], None, Err(Invalid)),
            ("a URL", true, &["https://lab"], None, Err(Invalid)),
            ("a user", true, &["user@lab"], None, Err(Invalid)),
            ("a port of letters", true, &["lab:http"], None, Err(Invalid)),
            ("a port with a sign", true, &["lab:+80"], None, Err(Invalid)),
            ("a port that is none", true, &["lab:65536"], None, Err(Invalid)),
            ("two ports", true, &["lab:80:81"], None, Err(Invalid)),
            ("IPv6 without brackets", true, &["2001:db8::1"], None, Err(Invalid)),
            ("brackets around a name", true, &["[lab]"], None, Err(Invalid)),
            ("an open bracket", true, &["[::1"], None, Err(Invalid)),
            ("text behind the bracket", true, &["[::1]x"], None, Err(Invalid)),
            ("half an escape", true, &["a%2"], None, Err(Invalid)),
            ("letters that are not ASCII", true, &["l\u{e4}b"], None, Err(Invalid)),
            ("invalid in HTTP/1.0", false, &["a b"], None, Err(Invalid)),
            ("absolute form", true, &["lab"], Some("lab:80"), Ok(())),
            ("absolute form of another host", true, &["lab"], Some("other"), Ok(())),
            ("absolute form with a user", true, &["lab"], Some("user@lab"), Err(Invalid)),
        ];
        for (name, http_1_1, fields, authority, expected) in rows {
            let fields = fields.iter().map(|field| field.as_bytes());
            assert_eq!(check_host(*http_1_1, fields, *authority), *expected, "{name}");
        }
    }
}
