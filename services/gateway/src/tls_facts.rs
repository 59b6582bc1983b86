//! What was negotiated, from the TLS library's names to the numbers of IANA's registry that the log keeps.

use touchmark_decisions::Tls;
use touchmark_listen::{TlsFacts, TlsVersion};

const CIPHER_SUITES: [(&str, u16); 9] = [
    ("TLS13_AES_128_GCM_SHA256", 0x1301),
    ("TLS13_AES_256_GCM_SHA384", 0x1302),
    ("TLS13_CHACHA20_POLY1305_SHA256", 0x1303),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xc02b),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xc02c),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xc02f),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xc030),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca8),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca9),
];

const GROUPS: [(&str, u16); 5] = [
    ("secp256r1", 0x0017),
    ("secp384r1", 0x0018),
    ("X25519", 0x001d),
    ("secp256r1MLKEM768", 0x11eb),
    ("X25519MLKEM768", 0x11ec),
];

/// A name that is not listed becomes 0, which is no number of the registry.
pub(crate) fn tls_numbers(facts: TlsFacts) -> Tls {
    let number = |table: &[(&str, u16)], name: &str| {
        table.iter().find(|(known, _)| *known == name).map_or(0, |(_, number)| *number)
    };
    Tls {
        version: match facts.version {
            TlsVersion::Tls12 => 0x0303,
            TlsVersion::Tls13 => 0x0304,
        },
        cipher_suite: number(&CIPHER_SUITES, facts.cipher_suite),
        group: number(&GROUPS, facts.group),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_and_group_that_is_offered_has_its_number() {
        let rows = [
            ("TLS13_AES_128_GCM_SHA256", "X25519MLKEM768", (0x1301, 0x11ec)),
            ("TLS13_AES_256_GCM_SHA384", "X25519", (0x1302, 0x001d)),
            ("TLS13_CHACHA20_POLY1305_SHA256", "secp256r1", (0x1303, 0x0017)),
            ("something newer", "something newer", (0, 0)),
        ];
        for (cipher_suite, group, expected) in rows {
            let tls = tls_numbers(TlsFacts { version: TlsVersion::Tls13, cipher_suite, group });
            assert_eq!((tls.cipher_suite, tls.group), expected, "{cipher_suite} {group}");
            assert_eq!(tls.version, 0x0304);
        }
    }
}
