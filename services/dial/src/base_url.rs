//! A base URL: scheme, host and port, nothing else.

use crate::DialFault;
use ::http::Uri;
use core::fmt;
use core::str::FromStr;

/// `https://host:port` or `http://host:port`, parsed once; a path, query or user name is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    https: bool,
    host: String,
    port: u16,
}

impl BaseUrl {
    /// Whether requests go through TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Host name or address, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port, the scheme's own where the text named none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` as a `Host` header and a resolver take it, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority())
    }
}

impl FromStr for BaseUrl {
    type Err = DialFault;

    fn from_str(text: &str) -> Result<Self, DialFault> {
        let bad = |why| DialFault::BadTarget { target: text.to_owned(), why };
        let uri: Uri = text.parse().map_err(|_| bad("it is no URL"))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(bad("it must start with https:// or http://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("a base URL carries no user name or password"));
        }
        if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
            return Err(bad("a base URL ends after the port"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(bad("it names no host"));
        }
        // Read here, since `Authority::port` takes a number out of range for no port.
        let port = match authority.as_str().strip_prefix(authority.host()).unwrap_or_default() {
            "" if https => 443,
            "" => 80,
            rest => rest
                .strip_prefix(':')
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| bad("its port is no number from 0 to 65535"))?,
        };
        Ok(Self { https, host: host.to_owned(), port })
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
