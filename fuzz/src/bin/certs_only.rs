//! The certs-only bag: certificates come out as they went in, in the order of a SET OF.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::{Input, chosen};
use touchmark_x509::pkcs7::{BAG_CERTIFICATES_MAX, BAG_OCTETS_MAX, certs_only, parse_certs_only};

fuzz_target!(|data: &[u8]| match chosen(data) {
    (0, bag) => {
        let Ok(found) = parse_certs_only(bag) else { return };
        assert!(bag.len() <= BAG_OCTETS_MAX && found.len() <= BAG_CERTIFICATES_MAX);
        carries(&found);
    }
    (_, octets) => {
        let mut input = Input::new(octets);
        let mut elements = Vec::new();
        while !input.is_empty() && elements.len() < BAG_CERTIFICATES_MAX {
            let content = input.short();
            let mut element = vec![0x30];
            if content.len() > 127 {
                element.push(0x81);
            }
            element.push(content.len() as u8);
            element.extend_from_slice(content);
            elements.push(element);
        }
        carries(&elements);
    }
});

fn carries(elements: &[Vec<u8>]) {
    let parts: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    let mut sorted = elements.to_vec();
    sorted.sort_unstable();
    assert!(parse_certs_only(&certs_only(&parts)).as_ref() == Ok(&sorted));
}
