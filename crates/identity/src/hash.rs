//! SHA-256 values that must not be confused with each other. Hashing itself happens where the bytes are known.

use core::fmt;
use core::str::FromStr;

/// A hash was not 64 hexadecimal digits (colons between octets are allowed).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 value: expected 64 hexadecimal digits, with or without colons")]
pub struct BadHash;

macro_rules! sha256_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 octets.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = BadHash;
            fn try_from(bytes: &[u8]) -> Result<Self, BadHash> {
                bytes.try_into().map(Self).map_err(|_| BadHash)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = BadHash;
            fn from_str(text: &str) -> Result<Self, BadHash> {
                let digits: String = text.chars().filter(|c| *c != ':').collect();
                let mut octets = [0; 32];
                hex::decode_to_slice(digits, &mut octets).map_err(|_| BadHash)?;
                Ok(Self(octets))
            }
        }
    };
}

sha256_newtype!(
    /// SHA-256 of one certificate's DER: the key under which a certificate is known everywhere.
    Fingerprint
);
sha256_newtype!(
    /// SHA-256 of a SubjectPublicKeyInfo's DER: survives re-encoding of the signature around it.
    SpkiHash
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_with_and_without_colons() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        let rows: [(&str, &str, bool); 5] = [
            ("plain", &plain, true),
            ("openssl's colons and capitals", &colons, true),
            ("short", "abcd", false),
            ("long", &format!("{plain}00"), false),
            ("not hex", &"zz".repeat(32), false),
        ];
        for (name, text, good) in rows {
            assert_eq!(text.parse::<Fingerprint>().is_ok(), good, "{name}");
        }
        assert_eq!(colons.parse::<Fingerprint>().unwrap().to_string(), plain);
    }
}
