//! HTTP Basic credentials (RFC 7617), as EST clients send a token, and the choice between token and certificate.

use super::base64_text;
use crate::{Intent, PresentedCredential};
use touchmark_identity::{Fingerprint, NamePrefix, Secret};

/// Longest header value looked at: a name of 64, a password of 26, and room for generous clients.
const HEADER_OCTETS_MAX: usize = 1024;

/// A user name and a password, unverified.
#[derive(Debug)]
pub struct BasicCredentials {
    /// The device's name, or a token's prefix.
    pub username: NamePrefix,
    /// The token's secret.
    pub password: Secret<String>,
}

/// Reads the value of an Authorization header. `None` for any other scheme, for what is malformed and for a user
/// name that no device can have: all of these are answered like a wrong password.
pub fn basic_credentials(header: &str) -> Option<BasicCredentials> {
    if header.len() > HEADER_OCTETS_MAX {
        return None;
    }
    let (scheme, token) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    // Wiped when it goes, as the password in it is.
    let octets = Secret::new(base64_text::read_field(token.trim())?);
    let text = core::str::from_utf8(octets.expose()).ok()?;
    let (username, password) = text.split_once(':')?;
    let username = username.parse().ok()?;
    Some(BasicCredentials { username, password: Secret::new(password.to_owned()) })
}

/// On whose word a request comes, if it brings both a token and a certificate: a renewal rests on the certificate
/// (RFC 7030 §4.2.2), anything else on the token, which someone just put there on purpose.
pub fn presented_credential(
    intent: Intent,
    authorization: Option<&str>,
    client_certificate: Option<Fingerprint>,
) -> PresentedCredential {
    let token = authorization
        .and_then(basic_credentials)
        .map(|BasicCredentials { username, password }| PresentedCredential::Token { username, password });
    let certificate = client_certificate.map(PresentedCredential::ClientCertificate);
    let chosen = match intent {
        Intent::Enrol => token.or(certificate),
        Intent::Renew => certificate.or(token),
    };
    chosen.unwrap_or(PresentedCredential::None)
}

/// Writes the value of an Authorization header.
pub(super) fn authorization(username: &str, password: &Secret<String>) -> Secret<String> {
    let text = Secret::new(format!("{username}:{}", password.expose()));
    Secret::new(format!("Basic {}", base64_text::write_field(text.expose().as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_clients_write_them() {
        let long = format!("Basic {}", "A".repeat(HEADER_OCTETS_MAX));
        type Read = Option<(&'static str, &'static str)>;
        let rows: &[(&str, &str, Read)] = &[
            // pump:secret
            ("plain", "Basic cHVtcDpzZWNyZXQ=", Some(("pump", "secret"))),
            ("scheme in another case", "basic cHVtcDpzZWNyZXQ=", Some(("pump", "secret"))),
            ("two blanks", "Basic  cHVtcDpzZWNyZXQ=", Some(("pump", "secret"))),
            ("no padding", "Basic cHVtcDpzZWNyZXQ", Some(("pump", "secret"))),
            // pump:a:b
            ("colon in the password", "Basic cHVtcDphOmI=", Some(("pump", "a:b"))),
            // pump:
            ("no password", "Basic cHVtcDo=", Some(("pump", ""))),
            // pump
            ("no colon", "Basic cHVtcA==", None),
            // pump-:secret
            ("a prefix", "Basic cHVtcC06c2VjcmV0", Some(("pump-", "secret"))),
            // Pump:secret
            ("no device's name", "Basic UHVtcDpzZWNyZXQ=", None),
            // :secret
            ("no name", "Basic OnNlY3JldA==", None),
            ("another scheme", "Bearer cHVtcDpzZWNyZXQ=", None),
            ("no base64", "Basic ????", None),
            ("not UTF-8", "Basic //86Og==", None),
            ("too long", &long, None),
            ("scheme alone", "Basic", None),
            ("nothing", "", None),
        ];
        for (name, header, expected) in rows {
            let read = basic_credentials(header);
            let shown = read.as_ref().map(|read| (read.username.as_str(), read.password.expose().as_str()));
            assert_eq!(shown, *expected, "{name}");
            assert!(!format!("{read:?}").contains("secret"), "{name}: never printed");
        }
    }

    #[test]
    fn what_was_written_reads_back() {
        let (name, password) = ("pump-01", Secret::new("a:b c".to_owned()));
        let read = basic_credentials(authorization(name, &password).expose()).unwrap();
        assert_eq!((read.username.as_str(), read.password.expose().as_str()), (name, "a:b c"));
    }

    #[test]
    fn a_renewal_rests_on_the_certificate_and_the_rest_on_the_token() {
        let token = Some("Basic cHVtcDpzZWNyZXQ=");
        let certificate = Some(Fingerprint([7; 32]));
        let rows: &[(Intent, Option<&str>, Option<Fingerprint>, &str)] = &[
            (Intent::Enrol, token, certificate, "Token"),
            (Intent::Enrol, None, certificate, "ClientCertificate"),
            (Intent::Enrol, Some("Basic ?"), None, "None"),
            (Intent::Renew, token, certificate, "ClientCertificate"),
            (Intent::Renew, token, None, "Token"),
            (Intent::Renew, None, None, "None"),
        ];
        for (intent, token, certificate, expected) in rows {
            let chosen = format!("{:?}", presented_credential(*intent, *token, *certificate));
            assert!(chosen.starts_with(expected), "{intent:?}: {chosen}");
        }
    }
}
