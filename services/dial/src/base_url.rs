//! A base URL: scheme, host and port, nothing else.

use crate::DialFault;
use core::fmt;
use core::str::FromStr;
use touchmark_identity::{BadHostPort, HostPort};

/// Where a client connects to, parsed once; nothing a server says ever becomes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    https: bool,
    place: HostPort,
}

impl BaseUrl {
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Host name or address, without brackets.
    pub fn host(&self) -> &str {
        self.place.host()
    }

    pub fn port(&self) -> u16 {
        self.place.port()
    }

    /// `host:port`, as the Host header and a resolver take it.
    pub fn authority(&self) -> String {
        self.place.to_string()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.place)
    }
}

impl FromStr for BaseUrl {
    type Err = DialFault;

    fn from_str(text: &str) -> Result<Self, DialFault> {
        let bad = |why| DialFault::BadTarget { target: text.to_owned(), why };
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let (https, port) = match scheme {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return Err(bad("it must start with https:// or http://")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let place = HostPort::parse(rest, Some(port)).map_err(|fault| {
            bad(match fault {
                BadHostPort::Host => "it names no host",
                BadHostPort::Port => "its port is no number from 1 to 65535",
                BadHostPort::More => "a base URL has no user, and ends after the port",
            })
        })?;
        Ok(Self { https, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_scheme_host_and_port_only() {
        let rows: &[(&str, &str, Option<&str>)] = &[
            ("name and port", "https://localhost:8443", Some("https://localhost:8443")),
            ("one slash", "https://localhost:8443/", Some("https://localhost:8443")),
            ("https' own port", "https://est.example", Some("https://est.example:443")),
            ("http's own port", "http://127.0.0.1", Some("http://127.0.0.1:80")),
            ("IPv6", "https://[::1]:1", Some("https://[::1]:1")),
            ("no scheme", "localhost:8443", None),
            ("another scheme", "ftp://localhost", None),
            ("user", "https://u:p@localhost", None),
            ("path", "https://localhost/api", None),
            ("query", "https://localhost?x", None),
            ("empty", "", None),
            ("no host", "https://:1", None),
            ("port too large", "https://localhost:65536", None),
        ];
        for (name, text, expected) in rows {
            let read = text.parse::<BaseUrl>().ok().map(|url| url.to_string());
            assert_eq!(read.as_deref(), *expected, "{name}");
        }
    }
}
