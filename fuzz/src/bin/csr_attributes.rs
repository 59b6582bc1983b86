//! CsrAttrs, which is only written here: strict DER, with every attribute in its place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_enrol::est::{CsrAttribute, encode_csr_attributes};
use touchmark_fuzz::Input;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut parts: Vec<Vec<&[u8]>> = Vec::new();
    while !input.is_empty() && parts.len() < 64 {
        let count = usize::from(input.octet() % 4) + 1;
        parts.push((0..count).map(|_| input.long()).collect());
    }
    let attributes: Vec<CsrAttribute<'_>> = parts
        .iter()
        .map(|oids| match oids.as_slice() {
            [one] => CsrAttribute::Oid(one),
            [kind, values @ ..] => CsrAttribute::Attribute { kind, values },
            [] => CsrAttribute::Oid(&[]),
        })
        .collect();
    let der = encode_csr_attributes(&attributes);

    let (tag, mut list, after) = element(&der);
    assert!(tag == 0x30 && after.is_empty());
    for oids in &parts {
        let (tag, content, after) = element(list);
        list = after;
        match oids.as_slice() {
            [one] => assert_eq!((tag, content), (0x06, *one)),
            [kind, values @ ..] => {
                assert_eq!(tag, 0x30);
                let (tag, found, after) = element(content);
                assert_eq!((tag, found), (0x06, *kind));
                let (tag, mut set, after) = element(after);
                assert!(tag == 0x31 && after.is_empty());
                for value in values {
                    let (tag, found, after) = element(set);
                    assert_eq!((tag, found), (0x06, *value));
                    set = after;
                }
                assert!(set.is_empty());
            }
            [] => unreachable!("each has one at least"),
        }
    }
    assert!(list.is_empty());
});

/// Tag, content and what follows; panics at a length that is not the shortest.
fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (octets, body) = match der[1] {
        short @ 0..0x80 => (usize::from(short), &der[2..]),
        long => {
            let (digits, body) = der[2..].split_at(usize::from(long & 0x7f));
            let octets = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            assert!(octets >= 0x80 && digits[0] != 0, "not the shortest length");
            (octets, body)
        }
    };
    (der[0], &body[..octets], &body[octets..])
}
