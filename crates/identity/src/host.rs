//! Hosts: names as certificates carry them, and where somebody listens.

use core::fmt;
use core::net::Ipv6Addr;

const OCTETS_MAX: usize = 253;

/// A DNS name in lower case, without wildcards (RFC 1035 §2.3.1, RFC 1123 §2.1, RFC 6125 §6.4.1). A last label of
/// digits alone would be read as an IPv4 address.
pub fn is_dns_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
    };
    let numeric = |label: &str| label.bytes().all(|octet| octet.is_ascii_digit());
    host.len() <= OCTETS_MAX && host.split('.').all(label) && !host.rsplit('.').next().is_some_and(numeric)
}

/// A host and a port: `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port` (RFC 3986 §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// Why a text is no host and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHostPort {
    /// No name and no address; one of IPv6 stands in brackets.
    #[error("the host is neither a name nor an IP address")]
    Host,
    /// Missing, or no number from 1 to 65535.
    #[error("the port is no number from 1 to 65535")]
    Port,
    /// What comes after it belongs to a longer URL, or what comes before it names a user.
    #[error("there is more than a host and a port")]
    More,
}

impl HostPort {
    /// `default` is the port of a text that names none.
    ///
    /// # Errors
    /// [`BadHostPort`].
    pub fn parse(text: &str, default: Option<u16>) -> Result<Self, BadHostPort> {
        if text.contains(['/', '?', '#', '@', '\\']) {
            return Err(BadHostPort::More);
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']').ok_or(BadHostPort::Host)?;
                let _: Ipv6Addr = host.parse().map_err(|_| BadHostPort::Host)?;
                (host, port)
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        if host.is_empty() || host.bytes().any(|octet| octet <= b' ' || octet == 0x7f) {
            return Err(BadHostPort::Host);
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => default,
            // `parse` alone would take a sign.
            Some(digits) if digits.bytes().all(|c| c.is_ascii_digit()) => digits.parse().ok(),
            Some(_) | None => None,
        };
        let port = port.filter(|&port| port != 0).ok_or(BadHostPort::Port)?;
        Ok(Self { host: host.to_owned(), port })
    }

    /// Name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_and_nothing_else() {
        use BadHostPort::{Host, More, Port};
        let rows: &[(&str, Option<u16>, Result<&str, BadHostPort>)] = &[
            ("localhost:8443", None, Ok("localhost:8443")),
            ("localhost", Some(443), Ok("localhost:443")),
            ("localhost", None, Err(Port)),
            ("127.0.0.1:1", None, Ok("127.0.0.1:1")),
            ("127.0.0.1:65535", Some(443), Ok("127.0.0.1:65535")),
            ("[::1]:1", None, Ok("[::1]:1")),
            ("[::1]", Some(443), Ok("[::1]:443")),
            ("::1", Some(443), Err(Host)),
            ("::1:1883", None, Err(Host)),
            ("[::1", Some(443), Err(Host)),
            ("[lab]:1", None, Err(Host)),
            ("[::1]1", Some(443), Err(Port)),
            ("[::1]:", Some(443), Err(Port)),
            ("", Some(443), Err(Host)),
            (":1", None, Err(Host)),
            ("a b:1", None, Err(Host)),
            ("a\n:1", None, Err(Host)),
            ("a\x7f:1", None, Err(Host)),
            ("a:0", None, Err(Port)),
            ("a:", Some(443), Err(Port)),
            ("a:+1", None, Err(Port)),
            ("a:65536", None, Err(Port)),
            ("a:1:2", None, Err(Port)),
            ("a:1/x", None, Err(More)),
            ("a?x", Some(443), Err(More)),
            ("u:p@a", Some(443), Err(More)),
            ("a\\b", Some(443), Err(More)),
        ];
        for (text, default, expected) in rows {
            let read = HostPort::parse(text, *default).map(|read| read.to_string());
            assert_eq!(read, expected.map(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn names_that_a_resolver_takes() {
        let (long, longer) = ("a".repeat(63), "a".repeat(64));
        let whole = [long.as_str(); 4].join(".");
        let rows: &[(&str, bool)] = &[
            ("lab", true),
            ("gw-1.example.org", true),
            ("3com.example", true),
            (&long, true),
            (&longer, false),
            (&whole[..253], true),
            (&whole[..254], false),
            ("", false),
            ("a..b", false),
            ("a.", false),
            ("-a", false),
            ("a-", false),
            ("A", false),
            ("*.a", false),
            ("bad host!", false),
            ("192.0.2.1", false),
            ("a.1", false),
            ("ä", false),
        ];
        for (host, good) in rows {
            assert_eq!(is_dns_name(host), *good, "{host:?}");
        }
    }
}
