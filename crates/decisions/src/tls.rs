//! The TLS parameters of a session, as the numbers of IANA's registry, with the names people know.

use core::fmt;

/// What was negotiated. Numbers are kept, so a later name changes no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tls {
    /// `ProtocolVersion`: 0x0303 is TLS 1.2, 0x0304 TLS 1.3.
    pub version: u16,
    /// `CipherSuite`.
    pub cipher_suite: u16,
    /// `NamedGroup` of the key exchange; 0 when there was none.
    pub group: u16,
}

impl Tls {
    fn version_name(self) -> Option<&'static str> {
        Some(match self.version {
            0x0303 => "TLSv1.2",
            0x0304 => "TLSv1.3",
            _ => return None,
        })
    }

    fn cipher_suite_name(self) -> Option<&'static str> {
        Some(match self.cipher_suite {
            0x1301 => "TLS_AES_128_GCM_SHA256",
            0x1302 => "TLS_AES_256_GCM_SHA384",
            0x1303 => "TLS_CHACHA20_POLY1305_SHA256",
            0xc02b => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            0xc02c => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            0xc02f => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            0xc030 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            0xcca8 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            0xcca9 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            _ => return None,
        })
    }

    fn group_name(self) -> Option<&'static str> {
        Some(match self.group {
            0x0017 => "secp256r1",
            0x0018 => "secp384r1",
            0x0019 => "secp521r1",
            0x001d => "x25519",
            0x11eb => "SecP256r1MLKEM768",
            0x11ec => "X25519MLKEM768",
            _ => return None,
        })
    }
}

impl fmt::Display for Tls {
    /// Version, cipher suite and group; a number without a name in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.version_name(), self.version),
            (self.cipher_suite_name(), self.cipher_suite),
            (self.group_name(), self.group),
        ];
        for (position, (name, number)) in parts.into_iter().enumerate() {
            if position > 0 {
                f.write_str(" ")?;
            }
            match name {
                Some(name) => f.write_str(name)?,
                None => write!(f, "0x{number:04x}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_have_names_and_others_stay_numbers() {
        let usual = Tls { version: 0x0304, cipher_suite: 0x1301, group: 0x11ec };
        assert_eq!(usual.to_string(), "TLSv1.3 TLS_AES_128_GCM_SHA256 X25519MLKEM768");
        let odd = Tls { version: 0x0302, cipher_suite: 0x002f, group: 0 };
        assert_eq!(odd.to_string(), "0x0302 0x002f 0x0000");
    }
}
