//! The shape of DER, checked before any decoder sees it: one element, definite and minimal lengths,
//! low tag numbers, bounded depth, no trailing octets, and each SEQUENCE holding just the fields it may.
//!
//! In: untrusted bytes. Out: borrowed elements. No meaning is read here (X.690 §10).

use crate::der::{BIT_STRING, OID, SEQUENCE};

/// Deepest nesting that is accepted: certificates and requests need about 12; parsers recurse (RUSTSEC-2023-0062).
pub(crate) const DEPTH_MAX: usize = 32;

/// Longest object identifier: real ones stay below 20 octets, and their text is kept and shown.
const OID_OCTETS_MAX: usize = 40;

/// The bytes are not DER, or not of the expected shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadShape;

/// One tag, length and value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// Tag, length and content.
    pub(crate) raw: &'a [u8],
}

/// A place in a SEQUENCE.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    /// An element with this tag.
    One(u8),
    /// An element with this tag, or nothing.
    Optional(u8),
    /// Any one element, or nothing.
    OptionalAny,
}

impl<'a> Element<'a> {
    /// Reads the one element that `input` is, and walks everything inside it.
    pub(crate) fn whole(input: &'a [u8]) -> Result<Self, BadShape> {
        let (element, rest) = Self::first(input)?;
        if !rest.is_empty() {
            return Err(BadShape);
        }
        element.walk(DEPTH_MAX)?;
        Ok(element)
    }

    /// The first element of `input`, whose inside was not walked, and what follows it.
    pub(crate) fn first(input: &'a [u8]) -> Result<(Self, &'a [u8]), BadShape> {
        let (&tag, after_tag) = input.split_first().ok_or(BadShape)?;
        // 0x1f starts a tag number of several octets; nothing that we read has one.
        if tag & 0x1f == 0x1f || tag == 0 {
            return Err(BadShape);
        }
        let (&short, after_length) = after_tag.split_first().ok_or(BadShape)?;
        let (length, body) = match short {
            0..=0x7f => (usize::from(short), after_length),
            0x81..=0x83 => {
                let (octets, body) =
                    after_length.split_at_checked(usize::from(short & 0x7f)).ok_or(BadShape)?;
                let length = octets.iter().fold(0, |sum, octet| (sum << 8) | usize::from(*octet));
                let minimal = match octets.len() {
                    1 => 0x80,
                    more => 1 << (8 * (more - 1)),
                };
                (if length >= minimal { length } else { return Err(BadShape) }, body)
            }
            // 0x80 is the indefinite form; longer lengths exceed every bound of ours.
            _ => return Err(BadShape),
        };
        let (content, rest) = body.split_at_checked(length).ok_or(BadShape)?;
        let raw = input.get(..input.len() - rest.len()).ok_or(BadShape)?;
        Ok((Self { tag, content, raw }, rest))
    }

    fn walk(self, depth: usize) -> Result<(), BadShape> {
        let depth = depth.checked_sub(1).ok_or(BadShape)?;
        let (universal, constructed) = (self.tag & 0xc0 == 0, self.tag & 0x20 != 0);
        // DER has no constructed strings, and no primitive SEQUENCE or SET.
        if universal && constructed != matches!(self.tag & 0x1f, 0x10 | 0x11) {
            return Err(BadShape);
        }
        if constructed {
            self.children().try_for_each(|child| child?.walk(depth))?;
        }
        Ok(())
    }

    /// The elements inside; an error ends the walk.
    pub(crate) fn children(self) -> impl Iterator<Item = Result<Element<'a>, BadShape>> {
        let mut rest = self.content;
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            Some(Self::first(rest).map(|(child, after)| {
                rest = after;
                child
            }))
            .inspect(|read| {
                if read.is_err() {
                    rest = &[];
                }
            })
        })
    }

    /// The fields of this SEQUENCE, which must be just these, in this order.
    pub(crate) fn fields<const N: usize>(
        self,
        schema: [Field; N],
    ) -> Result<[Option<Element<'a>>; N], BadShape> {
        if self.tag != SEQUENCE {
            return Err(BadShape);
        }
        self.contents(schema)
    }

    /// As [`Element::fields`], for an IMPLICIT tag whose number the caller has checked.
    pub(crate) fn contents<const N: usize>(
        self,
        schema: [Field; N],
    ) -> Result<[Option<Element<'a>>; N], BadShape> {
        let mut children = self.children().peekable();
        let mut found = [None; N];
        for (place, field) in found.iter_mut().zip(schema) {
            let fits = match (children.peek(), field) {
                (Some(Err(bad)), _) => return Err(*bad),
                (Some(Ok(child)), Field::One(tag) | Field::Optional(tag)) => child.tag == tag,
                (Some(Ok(_)), Field::OptionalAny) => true,
                (None, _) => false,
            };
            match (fits, field) {
                (true, _) => *place = children.next().transpose()?,
                (false, Field::One(_)) => return Err(BadShape),
                (false, _) => {}
            }
        }
        if children.next().is_some() { Err(BadShape) } else { Ok(found) }
    }

    /// This OBJECT IDENTIFIER as dotted numbers.
    pub(crate) fn oid_text(self) -> Result<String, BadShape> {
        if self.tag != OID || self.content.is_empty() || self.content.len() > OID_OCTETS_MAX {
            return Err(BadShape);
        }
        let mut text = String::new();
        let mut arc: Option<u128> = None;
        for octet in self.content {
            // A leading 0x80 would pad the arc.
            if arc.is_none() && *octet == 0x80 {
                return Err(BadShape);
            }
            let sum = arc.unwrap_or(0).checked_mul(128).ok_or(BadShape)? | u128::from(octet & 0x7f);
            arc = Some(sum).filter(|_| octet & 0x80 != 0);
            match (octet & 0x80 != 0, text.is_empty()) {
                (true, _) => {}
                (false, true) => {
                    let root = (sum / 40).min(2);
                    text = format!("{root}.{}", sum - root * 40);
                }
                (false, false) => text.push_str(&format!(".{sum}")),
            }
        }
        if arc.is_some() { Err(BadShape) } else { Ok(text) }
    }

    /// The octets of this BIT STRING, which must be whole.
    pub(crate) fn whole_bits(self) -> Result<&'a [u8], BadShape> {
        match self.content.split_first() {
            Some((0, octets)) if self.tag == BIT_STRING => Ok(octets),
            _ => Err(BadShape),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::{BOOLEAN, INTEGER, OCTET_STRING, SET};

    fn nested(depth: usize) -> Vec<u8> {
        (1..depth).fold(vec![SEQUENCE, 0], |inner, _| {
            let length: &[u8] =
                if inner.len() < 128 { &[inner.len() as u8] } else { &[0x81, inner.len() as u8] };
            [&[SEQUENCE], length, &inner].concat()
        })
    }

    #[test]
    fn only_der_of_bounded_depth_passes() {
        let long = [&[OCTET_STRING, 0x82, 1, 0][..], &[7; 256]].concat();
        let rows: &[(&str, &[u8], bool)] = &[
            ("an empty sequence", &[SEQUENCE, 0], true),
            ("a long string", &long, true),
            ("as deep as allowed", &nested(DEPTH_MAX), true),
            ("one deeper", &nested(DEPTH_MAX + 1), false),
            ("nothing", &[], false),
            ("a tag alone", &[SEQUENCE], false),
            ("trailing octet", &[SEQUENCE, 0, 0], false),
            ("content missing", &[OCTET_STRING, 2, 0], false),
            ("indefinite length", &[SEQUENCE, 0x80, 0, 0], false),
            ("length in more octets than needed", &[OCTET_STRING, 0x81, 1, 0], false),
            ("length with a leading zero", &[OCTET_STRING, 0x82, 0, 1, 0], false),
            ("length of 2^31", &[OCTET_STRING, 0x84, 0x80, 0, 0, 0], false),
            ("length wider than a word", &[OCTET_STRING, 0xff, 1], false),
            ("tag number in several octets", &[0x1f, 0x81, 1, 0], false),
            ("constructed OCTET STRING", &[0x24, 2, OCTET_STRING, 0], false),
            ("primitive SEQUENCE", &[0x10, 0], false),
            ("bad child", &[SEQUENCE, 2, OCTET_STRING, 1], false),
        ];
        for (name, der, good) in rows {
            assert_eq!(Element::whole(der).is_ok(), *good, "{name}");
        }
    }

    #[test]
    fn an_object_identifier_reads_as_numbers() {
        let rows: &[(&str, &[u8], Option<&str>)] = &[
            ("common name", &[OID, 3, 0x55, 4, 3], Some("2.5.4.3")),
            ("rsaEncryption's root", &[OID, 6, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d], Some("1.2.840.113549")),
            ("second arc above 39", &[OID, 2, 0x88, 0x37], Some("2.999")),
            ("empty", &[OID, 0], None),
            ("cut off", &[OID, 2, 0x2a, 0x86], None),
            ("padded arc", &[OID, 3, 0x2a, 0x80, 1], None),
            ("arc beyond 128 bits", &[&[OID, 21, 0x2a][..], &[0xff; 19], &[1]].concat(), None),
        ];
        for (name, der, expected) in rows {
            let read = Element::whole(der).unwrap().oid_text().ok();
            assert_eq!(read.as_deref(), *expected, "{name}");
        }
    }

    #[test]
    fn a_sequence_holds_just_its_fields() {
        let schema = [Field::One(INTEGER), Field::Optional(BOOLEAN), Field::OptionalAny];
        type Row<'a> = (&'a str, &'a [u8], Option<[bool; 3]>);
        let rows: &[Row<'_>] = &[
            ("first only", &[SEQUENCE, 3, INTEGER, 1, 1], Some([true, false, false])),
            ("any in third place", &[SEQUENCE, 5, INTEGER, 1, 1, 5, 0], Some([true, false, true])),
            ("required is missing", &[SEQUENCE, 3, BOOLEAN, 1, 255], None),
            ("one too many", &[SEQUENCE, 9, INTEGER, 1, 1, 5, 0, 5, 0, 5, 0], None),
            ("not a sequence", &[SET, 3, INTEGER, 1, 1], None),
        ];
        for (name, der, expected) in rows {
            let found = Element::whole(der).unwrap().fields(schema).ok();
            assert_eq!(found.map(|fields| fields.map(|field| field.is_some())), *expected, "{name}");
        }
    }
}
