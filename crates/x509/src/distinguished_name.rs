//! The little of a distinguished name that we read (RFC 5280 §4.1.2.4): common names, serial numbers of hardware, and
//! whether more is there.
//!
//! Names are compared elsewhere, and only as raw bytes; nothing here is an identity.

use crate::der::{OID, SEQUENCE, SET, UTF8_STRING};
use crate::strict::{BadShape, Element, Field};

const COMMON_NAME: &str = "2.5.4.3";
const SERIAL_NUMBER: &str = "2.5.4.5";
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
/// Most attributes in one name: real ones have about 8.
const ATTRIBUTES_MAX: usize = 64;

/// What one distinguished name says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DistinguishedName {
    /// Common names in UTF8String, PrintableString or IA5String.
    pub(crate) common_names: Vec<String>,
    /// serialNumber attributes, in the same sorts of text: a maker's name for the hardware.
    pub(crate) serial_numbers: Vec<String>,
    /// An attribute of another type than commonName stands there, or one in a character set that we do not read.
    pub(crate) other: bool,
}

impl DistinguishedName {
    /// Reads an RDNSequence whose shape was walked.
    pub(crate) fn read(name: Element<'_>) -> Result<Self, BadShape> {
        if name.tag != SEQUENCE {
            return Err(BadShape);
        }
        let mut read = Self::default();
        for (attributes, attribute) in name.children().enumerate() {
            let set = attribute?;
            if set.tag != SET || set.content.is_empty() || attributes == ATTRIBUTES_MAX {
                return Err(BadShape);
            }
            for attribute in set.children() {
                read.take(attribute?)?;
            }
        }
        Ok(read)
    }

    fn take(&mut self, attribute: Element<'_>) -> Result<(), BadShape> {
        let [Some(kind), Some(value)] = attribute.fields([Field::One(OID), Field::OptionalAny])? else {
            return Err(BadShape);
        };
        let text = match value.tag {
            UTF8_STRING | PRINTABLE_STRING | IA5_STRING => core::str::from_utf8(value.content).ok(),
            _ => None,
        };
        let kind = kind.oid_text()?;
        match text {
            Some(text) if kind == COMMON_NAME => self.common_names.push(text.to_owned()),
            Some(text) if kind == SERIAL_NUMBER => {
                self.serial_numbers.push(text.to_owned());
                self.other = true;
            }
            _ => self.other = true,
        }
        Ok(())
    }
}
