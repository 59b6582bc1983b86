//! Distinguished names (RFC 5280 §4.1.2.4): their attributes as text, and whether two names are the same (§7.1).
//!
//! In: an RDNSequence whose shape was walked. Out: attributes, for people and for comparison; nothing here is an
//! identity. Compared are characters whatever string type holds them, without case and with white space folded;
//! the Unicode normalisation of RFC 4518 is left out.

use crate::der::{
    BMP_STRING, IA5_STRING, NUMERIC_STRING, OID, PRINTABLE_STRING, SEQUENCE, SET, TELETEX_STRING,
    UNIVERSAL_STRING, UTF8_STRING, VISIBLE_STRING,
};
use crate::strict::{BadShape, Element, Field};
use std::borrow::Cow;

pub(crate) const COMMON_NAME: &str = "2.5.4.3";
pub(crate) const SERIAL_NUMBER: &str = "2.5.4.5";
/// Most attributes in one name: real ones have about 8.
const ATTRIBUTES_MAX: usize = 64;

/// One attribute of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its type, as dotted object identifier.
    pub oid: String,
    /// Its value; `None` when it is no text, or broken text.
    pub text: Option<String>,
}

/// What one distinguished name says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DistinguishedName {
    /// All attributes, in their order.
    pub(crate) attributes: Vec<Attribute>,
}

impl DistinguishedName {
    /// Reads an RDNSequence whose shape was walked.
    pub(crate) fn read(name: Element<'_>) -> Result<Self, BadShape> {
        if name.tag != SEQUENCE {
            return Err(BadShape);
        }
        let mut read = Self::default();
        for set in name.children() {
            let set = set?;
            if set.tag != SET || set.content.is_empty() {
                return Err(BadShape);
            }
            for attribute in set.children() {
                if read.attributes.len() == ATTRIBUTES_MAX {
                    return Err(BadShape);
                }
                let (kind, value) = parts(attribute?)?;
                read.attributes.push(Attribute { oid: kind.oid_text()?, text: text(value) });
            }
        }
        Ok(read)
    }

    /// The texts of all attributes of one type.
    pub(crate) fn texts(&self, oid: &str) -> Vec<String> {
        self.attributes.iter().filter(|one| one.oid == oid).filter_map(|one| one.text.clone()).collect()
    }
}

/// Type and value of an AttributeTypeAndValue.
fn parts(attribute: Element<'_>) -> Result<(Element<'_>, Element<'_>), BadShape> {
    match attribute.fields([Field::One(OID), Field::OptionalAny])? {
        [Some(kind), Some(value)] => Ok((kind, value)),
        _ => Err(BadShape),
    }
}

/// The characters of a DirectoryString or its kin. TeletexString is read as Latin-1, as everybody writes it.
pub(crate) fn text(value: Element<'_>) -> Option<String> {
    characters(value).map(Cow::into_owned)
}

fn characters(value: Element<'_>) -> Option<Cow<'_, str>> {
    let octets = value.content;
    match value.tag {
        UTF8_STRING => core::str::from_utf8(octets).ok().map(Cow::Borrowed),
        PRINTABLE_STRING | IA5_STRING | NUMERIC_STRING | VISIBLE_STRING | TELETEX_STRING
            if octets.is_ascii() =>
        {
            core::str::from_utf8(octets).ok().map(Cow::Borrowed)
        }
        TELETEX_STRING => Some(octets.iter().copied().map(char::from).collect()),
        BMP_STRING => wide::<2>(octets).map(Cow::Owned),
        UNIVERSAL_STRING => wide::<4>(octets).map(Cow::Owned),
        _ => None,
    }
}

/// Characters of `N` octets each, big-endian; surrogates are no characters.
fn wide<const N: usize>(octets: &[u8]) -> Option<String> {
    let (characters, rest) = octets.as_chunks::<N>();
    let character = |octets: &[u8; N]| {
        char::from_u32(octets.iter().fold(0_u32, |sum, octet| (sum << 8) | u32::from(*octet)))
    };
    if rest.is_empty() { characters.iter().map(character).collect() } else { None }
}

/// Whether two encoded names are the same (RFC 5280 §7.1). Equal octets cost nothing; else the comparison ends at
/// the first attribute that differs, so that a long name from a stranger costs no more than the shorter one.
pub(crate) fn same_name(one: &[u8], other: &[u8]) -> bool {
    one == other || folded_equal(one, other).unwrap_or(false)
}

fn folded_equal(one: &[u8], other: &[u8]) -> Result<bool, BadShape> {
    let mut ones = Element::first(one)?.0.children();
    let mut others = Element::first(other)?.0.children();
    loop {
        match (ones.next().transpose()?, others.next().transpose()?) {
            (None, None) => return Ok(true),
            (Some(one), Some(other)) if same_rdn(one, other)? => {}
            _ => return Ok(false),
        }
    }
}

/// A RelativeDistinguishedName is a set: its attributes may stand in another order.
fn same_rdn(one: Element<'_>, other: Element<'_>) -> Result<bool, BadShape> {
    // Nearly every set holds one attribute.
    let mut firsts = (one.children(), other.children());
    if let (Some(first), Some(its), None, None) =
        (firsts.0.next(), firsts.1.next(), firsts.0.next(), firsts.1.next())
    {
        let ((kind, value), (its_kind, its_value)) = (parts(first?)?, parts(its?)?);
        return Ok(kind.content == its_kind.content && same_value(value, its_value));
    }
    let ones = one.children().map(|child| parts(child?)).collect::<Result<Vec<_>, _>>()?;
    let mut others = other.children().map(|child| parts(child?)).collect::<Result<Vec<_>, _>>()?;
    if ones.len() != others.len() {
        return Ok(false);
    }
    for (kind, value) in ones {
        let found = others.iter().position(|(its_kind, its_value)| {
            its_kind.content == kind.content && same_value(value, *its_value)
        });
        match found {
            Some(place) => drop(others.swap_remove(place)),
            None => return Ok(false),
        }
    }
    Ok(true)
}

fn same_value(one: Element<'_>, other: Element<'_>) -> bool {
    if one.raw == other.raw {
        return true;
    }
    match (characters(one), characters(other)) {
        (Some(one), Some(other)) => folded(&one).eq(folded(&other)),
        (None, _) | (_, None) => false,
    }
}

/// Lower case, without white space at the ends, every other run of it as one space.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.split_whitespace().enumerate().flat_map(|(place, word)| {
        let space = if place == 0 { "" } else { " " };
        space.chars().chain(word.chars().flat_map(char::to_lowercase))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::{element, oid};

    fn rdn(attributes: &[(&str, u8, &[u8])]) -> Vec<u8> {
        let pairs: Vec<u8> = attributes
            .iter()
            .flat_map(|(kind, tag, value)| element(SEQUENCE, &[&oid(kind), &element(*tag, &[value])]))
            .collect();
        element(SET, &[&pairs])
    }

    fn name(rdns: &[Vec<u8>]) -> Vec<u8> {
        element(SEQUENCE, &[&rdns.concat()])
    }

    fn common(tag: u8, value: &[u8]) -> Vec<u8> {
        name(&[rdn(&[(COMMON_NAME, tag, value)])])
    }

    #[test]
    fn names_are_the_same_whatever_case_white_space_and_string_type() {
        let plain = common(UTF8_STRING, b"Acme Root");
        let (o, cn) = (("2.5.4.10", UTF8_STRING, &b"Acme"[..]), (COMMON_NAME, UTF8_STRING, &b"Root"[..]));
        let rows: &[(&str, Vec<u8>, Vec<u8>, bool)] = &[
            ("itself", plain.clone(), plain.clone(), true),
            ("another string type", plain.clone(), common(PRINTABLE_STRING, b"Acme Root"), true),
            ("Teletex", plain.clone(), common(TELETEX_STRING, b"Acme Root"), true),
            (
                "BMP",
                common(UTF8_STRING, "Zürich".as_bytes()),
                common(BMP_STRING, b"\0Z\0\xfc\0r\0i\0c\0h"),
                true,
            ),
            ("Universal", common(UTF8_STRING, b"A"), common(UNIVERSAL_STRING, b"\0\0\0a"), true),
            ("case", plain.clone(), common(UTF8_STRING, b"ACME ROOT"), true),
            ("white space", plain.clone(), common(UTF8_STRING, b"  Acme \t Root "), true),
            ("no white space", plain.clone(), common(UTF8_STRING, b"AcmeRoot"), false),
            ("a longer one", plain.clone(), common(UTF8_STRING, b"Acme Root 2"), false),
            ("a shorter one", plain.clone(), common(UTF8_STRING, b"Acme"), false),
            (
                "another type of attribute",
                plain,
                name(&[rdn(&[("2.5.4.10", UTF8_STRING, b"Acme Root")])]),
                false,
            ),
            ("set in another order", name(&[rdn(&[o, cn])]), name(&[rdn(&[cn, o])]), true),
            (
                "sequence in another order",
                name(&[rdn(&[o]), rdn(&[cn])]),
                name(&[rdn(&[cn]), rdn(&[o])]),
                false,
            ),
            ("set against sequence", name(&[rdn(&[o, cn])]), name(&[rdn(&[o]), rdn(&[cn])]), false),
            ("twice against once", name(&[rdn(&[cn, cn])]), name(&[rdn(&[cn, o])]), false),
            ("broken text", common(UTF8_STRING, b"\xff"), common(PRINTABLE_STRING, b"\xff"), false),
            ("nothing against something", name(&[]), common(UTF8_STRING, b"A"), false),
        ];
        for (row, one, other, same) in rows {
            assert_eq!(same_name(one, other), *same, "{row}");
            assert_eq!(same_name(other, one), *same, "{row}, the other way round");
        }
    }

    #[test]
    fn every_string_type_is_read_and_what_is_no_text_is_kept_as_none() {
        let rows: &[(&str, u8, &[u8], Option<&str>)] = &[
            ("UTF8String", UTF8_STRING, "pümp".as_bytes(), Some("pümp")),
            ("PrintableString", PRINTABLE_STRING, b"pump", Some("pump")),
            ("IA5String", IA5_STRING, b"a@b", Some("a@b")),
            ("NumericString", NUMERIC_STRING, b"12", Some("12")),
            ("TeletexString", TELETEX_STRING, b"SN-1", Some("SN-1")),
            ("BMPString", BMP_STRING, b"\0p\0x", Some("px")),
            ("UniversalString", UNIVERSAL_STRING, b"\0\0\0p", Some("p")),
            ("half a character", BMP_STRING, b"\0p\0", None),
            ("a surrogate", BMP_STRING, b"\xd8\0", None),
            ("broken UTF-8", UTF8_STRING, b"\xff", None),
            ("an INTEGER", 2, b"\x01", None),
        ];
        for (row, tag, value, expected) in rows {
            let der = common(*tag, value);
            let read = DistinguishedName::read(Element::whole(&der).unwrap()).unwrap();
            assert_eq!(read.attributes.len(), 1, "{row}");
            assert_eq!(read.attributes[0].text.as_deref(), *expected, "{row}");
        }
    }
}
