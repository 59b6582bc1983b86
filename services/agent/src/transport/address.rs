//! Where the authority is: scheme, host and port, parsed once; nothing a server says ever becomes one.

use core::fmt;
use core::str::FromStr;
use rustls_pki_types::ServerName;

const SCHEME: &str = "https://";
const PORT: u16 = 443;

/// Why a text is no server's address; whoever wrote the configuration must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Plain HTTP, another scheme, or none.
    #[error("a server's address starts with https://")]
    Scheme,
    /// A path, a query, a user name.
    #[error("a server's address ends after the port: https://host:port")]
    Rest,
    /// Neither a host name nor an IP address.
    #[error("the host is neither a name nor an IP address")]
    Host,
    /// Not 1 to 65535.
    #[error("the port is no number from 1 to 65535")]
    Port,
}

/// `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    name: ServerName<'static>,
    host: String,
    port: u16,
}

impl ServerAddress {
    /// What the server's certificate must be for.
    pub fn name(&self) -> &ServerName<'static> {
        &self.name
    }

    /// Host name or address, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` as the Host header has it, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.authority())
    }
}

impl FromStr for ServerAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let authority = text.strip_prefix(SCHEME).ok_or(BadAddress::Scheme)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '?', '#', '@', '\\']) {
            return Err(BadAddress::Rest);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) = bracketed.split_once(']').ok_or(BadAddress::Host)?;
                match rest {
                    "" => (host, None),
                    rest => (host, Some(rest.strip_prefix(':').ok_or(BadAddress::Port)?)),
                }
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            None => PORT,
            // `parse` alone would take a sign.
            Some(digits) if digits.bytes().all(|c| c.is_ascii_digit()) => {
                digits.parse().ok().filter(|&port| port != 0).ok_or(BadAddress::Port)?
            }
            Some(_) => return Err(BadAddress::Port),
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| BadAddress::Host)?;
        Ok(Self { name, host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_host_and_port_only() {
        use BadAddress::*;
        let rows: &[(&str, &str, Result<&str, BadAddress>)] = &[
            ("name and port", "https://localhost:8443", Ok("https://localhost:8443")),
            ("one slash", "https://localhost:8443/", Ok("https://localhost:8443")),
            ("https' own port", "https://est.example", Ok("https://est.example:443")),
            ("IPv4", "https://127.0.0.1:1", Ok("https://127.0.0.1:1")),
            ("IPv6", "https://[::1]:8443", Ok("https://[::1]:8443")),
            ("IPv6 alone", "https://[::1]", Ok("https://[::1]:443")),
            ("IPv6 without brackets", "https://::1", Err(Port)),
            ("plain HTTP", "http://localhost", Err(Scheme)),
            ("no scheme", "localhost:8443", Err(Scheme)),
            ("path", "https://localhost/api", Err(Rest)),
            ("two slashes", "https://localhost//", Err(Rest)),
            ("query", "https://localhost?x", Err(Rest)),
            ("user", "https://u:p@localhost", Err(Rest)),
            ("no host", "https://:1", Err(Host)),
            ("empty", "https://", Err(Host)),
            ("white space", "https://a b", Err(Host)),
            ("line feed", "https://a\n", Err(Host)),
            ("port 0", "https://a:0", Err(Port)),
            ("port with sign", "https://a:+1", Err(Port)),
            ("port too large", "https://a:65536", Err(Port)),
            ("empty port", "https://a:", Err(Port)),
        ];
        for (name, text, expected) in rows {
            let read = text.parse::<ServerAddress>().map(|address| address.to_string());
            assert_eq!(read, expected.map(str::to_owned), "{name}");
        }
    }
}
