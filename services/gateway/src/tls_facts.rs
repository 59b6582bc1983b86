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
