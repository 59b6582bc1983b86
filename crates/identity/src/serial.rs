//! Serial numbers (RFC 5280 §4.1.2.2): one prefix octet, then sixteen random octets.

use core::fmt;
use core::str::FromStr;

/// Why octets are not a serial number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSerial {
    /// No octets.
    #[error("a serial number has at least one octet")]
    Empty,
    /// The sign bit is set.
    #[error("a serial number is positive")]
    Negative,
    /// A zero octet that DER forbids.
    #[error("a serial number has no needless leading zero")]
    Padded,
    /// The number zero.
    #[error("a serial number is not zero")]
    Zero,
    /// More than twenty octets.
    #[error("a serial number has at most 20 octets, this one has {octets}")]
    TooLong {
        /// Length as given.
        octets: usize,
    },
    /// Text that is not pairs of hexadecimal digits.
    #[error("a serial number is written in hexadecimal")]
    NotHex,
}

/// The life of one authority's store: raised when a backup is adopted, so that no serial of a lost future returns.
///
/// 0x01..=0x7f keeps the sign bit clear, which some clients need; 0x4c is kept for pseudonyms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Incarnation(u8);

impl Incarnation {
    /// The first life.
    pub const FIRST: Self = Self(1);

    /// The prefix octet.
    pub fn octet(self) -> u8 {
        self.0
    }

    /// The next life, or `None` when the octet is used up.
    pub fn next(self) -> Option<Self> {
        Self::try_from(self.0 + 1).or_else(|()| Self::try_from(self.0 + 2)).ok()
    }
}

impl TryFrom<u8> for Incarnation {
    type Error = ();
    fn try_from(octet: u8) -> Result<Self, ()> {
        if (0x01..=0x7f).contains(&octet) && octet != 0x4c { Ok(Self(octet)) } else { Err(()) }
    }
}

/// Serial number of one certificate: at most 20 octets in DER. Ours are positive; makers have also issued zero and
/// negative ones, which [`SerialNumber::of_stranger`] reads.
///
/// No `Default`, no `From<u64>`: a serial is drawn by the CA or read from a certificate. Kept as a two's complement of
/// 160 bits, so that no two numbers are the same octets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SerialNumber([u8; SerialNumber::OCTETS]);

impl SerialNumber {
    /// Most octets that RFC 5280 allows.
    pub const OCTETS: usize = 20;

    /// A new serial: the prefix octet and 128 random bits.
    pub fn draw(incarnation: Incarnation, random: [u8; 16]) -> Self {
        let mut octets = [0; Self::OCTETS];
        octets[3] = incarnation.octet();
        octets[4..].copy_from_slice(&random);
        Self(octets)
    }

    /// Content octets of the DER INTEGER: minimal, and the sign bit clear unless the number is negative.
    pub fn der_content(&self) -> &[u8] {
        let pad = if self.is_negative() { 0xff } else { 0 };
        let padding = self.0.iter().take_while(|octet| **octet == pad).count();
        // One octet must stay to carry the sign, or to be the number.
        let sign = usize::from(self.0.get(padding).is_none_or(|octet| (octet ^ pad) & 0x80 != 0));
        &self.0[padding.saturating_sub(sign)..]
    }

    /// Reads the content octets of a DER INTEGER in a certificate that may be another's: zero and negative numbers break
    /// RFC 5280 §4.1.2.2, which asks readers to handle them gracefully.
    ///
    /// # Errors
    /// [`BadSerial`] for what is no DER, or longer than 20 octets.
    pub fn of_stranger(der: &[u8]) -> Result<Self, BadSerial> {
        let pad = match der {
            [] => return Err(BadSerial::Empty),
            [0, second, ..] if second & 0x80 == 0 => return Err(BadSerial::Padded),
            [0xff, second, ..] if second & 0x80 != 0 => return Err(BadSerial::Padded),
            _ if der.len() > Self::OCTETS => return Err(BadSerial::TooLong { octets: der.len() }),
            [first, ..] if first & 0x80 != 0 => 0xff,
            _ => 0,
        };
        let mut octets = [pad; Self::OCTETS];
        octets[Self::OCTETS - der.len()..].copy_from_slice(der);
        Ok(Self(octets))
    }

    /// Whether RFC 5280 §4.1.2.2 allows it: greater than zero.
    pub fn is_positive(&self) -> bool {
        !self.is_negative() && self.0.iter().any(|octet| *octet != 0)
    }

    fn is_negative(&self) -> bool {
        self.0[0] & 0x80 != 0
    }
}

impl TryFrom<&[u8]> for SerialNumber {
    type Error = BadSerial;
    /// Reads the content octets of a DER INTEGER that must be positive.
    fn try_from(der: &[u8]) -> Result<Self, BadSerial> {
        match der {
            [first, ..] if first & 0x80 != 0 => Err(BadSerial::Negative),
            [0] => Err(BadSerial::Zero),
            _ => Self::of_stranger(der),
        }
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As OpenSSL writes it: a sign, and the magnitude.
        let mut magnitude = self.0;
        if self.is_negative() {
            f.write_str("-")?;
            let mut carry = true;
            for octet in magnitude.iter_mut().rev() {
                let (sum, over) = (!*octet).overflowing_add(u8::from(carry));
                (*octet, carry) = (sum, over);
            }
        }
        let zeros = magnitude.iter().take_while(|octet| **octet == 0).count().min(Self::OCTETS - 1);
        magnitude.iter().skip(zeros).try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

impl FromStr for SerialNumber {
    type Err = BadSerial;
    /// Reads hexadecimal as `openssl x509 -serial` prints it, colons allowed.
    fn from_str(text: &str) -> Result<Self, BadSerial> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let octets = hex::decode(digits).map_err(|_| BadSerial::NotHex)?;
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        let value = octets.get(zeros..).unwrap_or_default();
        match value {
            [] if octets.is_empty() => Err(BadSerial::Empty),
            [] => Err(BadSerial::Zero),
            [first, ..] if first & 0x80 != 0 => Self::try_from([&[0], value].concat().as_slice()),
            _ => Self::try_from(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_is_read_as_rfc_5280_allows() {
        use BadSerial::*;
        let cases: &[(&str, &[u8], Result<(), BadSerial>)] = &[
            ("no octets", &[], Err(Empty)),
            ("zero is not positive", &[0x00], Err(Zero)),
            ("sign bit", &[0x80], Err(Negative)),
            ("sign bit kept clear by a zero", &[0x00, 0x80], Ok(())),
            ("zero that DER forbids", &[0x00, 0x01], Err(Padded)),
            ("twenty octets", &[0x7f; 20], Ok(())),
            ("one octet too many", &[0x7f; 21], Err(TooLong { octets: 21 })),
        ];
        for (name, der, expected) in cases {
            let read = SerialNumber::try_from(*der);
            assert_eq!(read.clone().map(drop), *expected, "{name}");
            if let Ok(serial) = read {
                assert_eq!(serial.der_content(), *der, "{name}: writes what it read");
                assert_eq!(serial.to_string().parse(), Ok(serial), "{name}: text reads back");
            }
        }
    }

    #[test]
    fn a_strangers_serial_is_read_whatever_its_sign_and_no_two_are_the_same() {
        let rows: &[(&str, &[u8], Result<&str, BadSerial>)] = &[
            ("zero", &[0], Ok("00")),
            ("one", &[1], Ok("01")),
            ("-1", &[0xff], Ok("-01")),
            ("-32510", &[0x81, 0x02], Ok("-7efe")),
            ("33026", &[0, 0x81, 0x02], Ok("8102")),
            ("-128", &[0x80], Ok("-80")),
            ("-129", &[0xff, 0x7f], Ok("-81")),
            (
                "the smallest",
                &[&[0x80][..], &[0; 19]].concat(),
                Ok("-8000000000000000000000000000000000000000"),
            ),
            ("padded", &[0xff, 0x80], Err(BadSerial::Padded)),
            ("padded zero", &[0, 0], Err(BadSerial::Padded)),
            ("nothing", &[], Err(BadSerial::Empty)),
            ("too long", &[0x80; 21], Err(BadSerial::TooLong { octets: 21 })),
        ];
        let mut seen = std::collections::BTreeSet::new();
        for (name, der, expected) in rows {
            let read = SerialNumber::of_stranger(der);
            assert_eq!(
                read.as_ref().map(ToString::to_string),
                expected.as_ref().map(|t| (*t).to_owned()),
                "{name}"
            );
            if let Ok(serial) = read {
                assert_eq!(serial.der_content(), *der, "{name}: writes what it read");
                assert_eq!(serial.is_positive(), SerialNumber::try_from(*der).is_ok(), "{name}");
                assert!(seen.insert(serial), "{name}");
            }
        }
    }

    #[test]
    fn a_drawn_serial_has_its_incarnation_first_and_a_clear_top_bit() {
        let serial = SerialNumber::draw(Incarnation::FIRST, [0xff; 16]);
        assert_eq!(serial.der_content().first(), Some(&0x01));
        assert_eq!(serial.der_content().len(), 17);
    }

    #[test]
    fn incarnations_step_over_the_octet_kept_for_pseudonyms_and_end() {
        let before = Incarnation::try_from(0x4b).unwrap();
        assert_eq!(before.next().map(Incarnation::octet), Some(0x4d));
        assert_eq!(Incarnation::try_from(0x7f).unwrap().next(), None);
        assert!(Incarnation::try_from(0x4c).is_err());
    }
}
