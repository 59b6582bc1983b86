//! Where the authority is: scheme, host and port, parsed once; nothing a server says ever becomes one.

use core::fmt;
use core::str::FromStr;
use rustls_pki_types::ServerName;
use touchmark_identity::{BadHostPort, HostPort};

const SCHEME: &str = "https://";
const PORT: u16 = 443;

/// Why a text is no server's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("a server's address starts with https://")]
    Scheme,
    #[error("a server's address is https://host:port: {0}")]
    Place(#[from] BadHostPort),
}

/// An authority's base URL. It is the only place where the name that its certificate must carry comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    name: ServerName<'static>,
    place: HostPort,
}

impl ServerAddress {
    /// What its certificate must carry.
    pub fn name(&self) -> &ServerName<'static> {
        &self.name
    }

    /// Host name or address, without brackets: for the resolver.
    pub fn host(&self) -> &str {
        self.place.host()
    }

    pub fn port(&self) -> u16 {
        self.place.port()
    }

    /// `host:port`, as the Host header takes it.
    pub fn authority(&self) -> String {
        self.place.to_string()
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.place)
    }
}

impl FromStr for ServerAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let place = text.strip_prefix(SCHEME).ok_or(BadAddress::Scheme)?;
        let place = HostPort::parse(place.strip_suffix('/').unwrap_or(place), Some(PORT))?;
        let name = ServerName::try_from(place.host().to_owned()).map_err(|_| BadHostPort::Host)?;
        Ok(Self { name, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_host_and_port_only() {
        use BadAddress::{Place, Scheme};
        let (host, port, rest) =
            (Place(BadHostPort::Host), Place(BadHostPort::Port), Place(BadHostPort::More));
        let rows: &[(&str, &str, Result<&str, BadAddress>)] = &[
            ("name and port", "https://localhost:8443", Ok("https://localhost:8443")),
            ("one slash", "https://localhost:8443/", Ok("https://localhost:8443")),
            ("https' own port", "https://est.example", Ok("https://est.example:443")),
            ("IPv4", "https://127.0.0.1:1", Ok("https://127.0.0.1:1")),
            ("IPv6", "https://[::1]:8443", Ok("https://[::1]:8443")),
            ("IPv6 alone", "https://[::1]", Ok("https://[::1]:443")),
            ("IPv6 without brackets", "https://::1", Err(host)),
            ("plain HTTP", "http://localhost", Err(Scheme)),
            ("no scheme", "localhost:8443", Err(Scheme)),
            ("path", "https://localhost/api", Err(rest)),
            ("two slashes", "https://localhost//", Err(rest)),
            ("query", "https://localhost?x", Err(rest)),
            ("user", "https://u:p@localhost", Err(rest)),
            ("no host", "https://:1", Err(host)),
            ("empty", "https://", Err(host)),
            ("white space", "https://a b", Err(host)),
            ("line feed", "https://a\n", Err(host)),
            ("port 0", "https://a:0", Err(port)),
            ("port with sign", "https://a:+1", Err(port)),
            ("port too large", "https://a:65536", Err(port)),
            ("empty port", "https://a:", Err(port)),
        ];
        for (name, text, expected) in rows {
            let read = text.parse::<ServerAddress>().map(|address| address.to_string());
            assert_eq!(read, expected.map(str::to_owned), "{name}");
        }
    }
}
