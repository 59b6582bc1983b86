//! SPIFFE identities: `spiffe://<trust domain>/d/<handle>`, compared as exact values, never parsed out of a DN.

use crate::{BadName, Name, TrustDomain};
use core::fmt;
use core::str::FromStr;

/// Why a URI is not one of our identities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSpiffeId {
    /// The scheme is not `spiffe://`.
    #[error("an identity starts with spiffe://")]
    Scheme,
    /// The path is not one kind letter and one name.
    #[error("an identity's path is /d/<device>, /s/<service> or /o/<operator>")]
    Path,
    /// The trust domain or the name breaks its grammar.
    #[error(transparent)]
    Name(#[from] BadName),
}

/// Who may be behind an identity; device ports accept only [`PathKind::Device`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathKind {
    /// `/d/`: a device.
    Device,
    /// `/s/`: a service or gateway.
    Service,
    /// `/o/`: an operator.
    Operator,
}

impl PathKind {
    fn letter(self) -> &'static str {
        match self {
            Self::Device => "d",
            Self::Service => "s",
            Self::Operator => "o",
        }
    }
}

/// An identity as known in one environment; the certificate's one URI SAN.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    /// The environment's immutable trust domain.
    pub trust_domain: TrustDomain,
    /// Device, service or operator.
    pub kind: PathKind,
    /// The opaque handle.
    pub name: Name,
}

impl SpiffeId {
    /// The name of the authority's own service identity. Nobody else can be given it, in any environment.
    pub const AUTHORITY: &str = "authority";

    /// Whether the authority itself answers to this identity, and not a gateway or another service.
    ///
    /// The trust domain is not asked: one authority serves several environments under one certificate, and a device
    /// without a certificate knows the root only.
    pub fn is_authority(&self) -> bool {
        self.kind == PathKind::Service && self.name.as_str() == Self::AUTHORITY
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}/{}", self.trust_domain, self.kind.letter(), self.name)
    }
}

impl FromStr for SpiffeId {
    type Err = BadSpiffeId;
    fn from_str(uri: &str) -> Result<Self, BadSpiffeId> {
        let rest = uri.strip_prefix("spiffe://").ok_or(BadSpiffeId::Scheme)?;
        let mut parts = rest.split('/');
        let (Some(domain), Some(letter), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadSpiffeId::Path);
        };
        let kind = [PathKind::Device, PathKind::Service, PathKind::Operator]
            .into_iter()
            .find(|kind| kind.letter() == letter)
            .ok_or(BadSpiffeId::Path)?;
        Ok(Self { trust_domain: domain.parse()?, kind, name: name.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_one_exact_form() {
        let rows: &[(&str, &str, bool)] = &[
            ("device", "spiffe://lab.touchmark.internal/d/pump-01", true),
            ("service", "spiffe://lab.touchmark.internal/s/gateway", true),
            ("operator", "spiffe://lab.touchmark.internal/o/dev", true),
            ("capital scheme", "SPIFFE://lab.touchmark.internal/d/pump-01", false),
            ("another scheme", "urn:uuid:0", false),
            ("unknown kind", "spiffe://lab.touchmark.internal/x/pump-01", false),
            ("climbing", "spiffe://lab.touchmark.internal/d/..", false),
            ("deeper path", "spiffe://lab.touchmark.internal/d/a/b", false),
            ("no name", "spiffe://lab.touchmark.internal/d/", false),
            ("query", "spiffe://lab.touchmark.internal/d/a?b", false),
            ("port", "spiffe://lab.touchmark.internal:1/d/a", false),
            ("user", "spiffe://u@lab.touchmark.internal/d/a", false),
        ];
        for (name, uri, good) in rows {
            let read = uri.parse::<SpiffeId>();
            assert_eq!(read.is_ok(), *good, "{name}");
            if let Ok(id) = read {
                assert_eq!(id.to_string(), *uri, "{name}: writes what it read");
            }
        }
    }

    #[test]
    fn only_a_service_of_one_name_is_the_authority() {
        let rows = [
            ("lab.touchmark.internal/s/authority", true),
            ("plant.touchmark.internal/s/authority", true),
            ("lab.touchmark.internal/s/gateway", false),
            ("lab.touchmark.internal/s/authority-2", false),
            ("lab.touchmark.internal/d/authority", false),
            ("lab.touchmark.internal/o/authority", false),
        ];
        for (path, expected) in rows {
            let id: SpiffeId = format!("spiffe://{path}").parse().unwrap();
            assert_eq!(id.is_authority(), expected, "{path}");
        }
    }
}
