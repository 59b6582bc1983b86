//! CsrAttrs: what the server would like to find in a request (RFC 7030 §4.5.2, ASN.1 as corrected by RFC 8951 §4).

const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// AttrOrOID, with values that are object identifiers: nothing else is asked for.
/// Object identifiers are held as the content octets of their DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsrAttribute<'a> {
    /// Use this: an algorithm, or an attribute whose value is the client's to fill.
    Oid(&'a [u8]),
    /// Use this attribute with these values.
    Attribute {
        /// The attribute's type.
        kind: &'a [u8],
        /// Its values.
        values: &'a [&'a [u8]],
    },
}

impl CsrAttribute<'static> {
    /// What our profiles like best: a P-256 key, and a request signed by ECDSA with SHA-256.
    pub const PREFERRED: [Self; 2] = [
        // id-ecPublicKey with prime256v1 (RFC 5480 §2.1.1).
        Self::Attribute {
            kind: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
            values: &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]],
        },
        // ecdsa-with-SHA256 (RFC 5758 §3.2).
        Self::Oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]),
    ];
}

/// CsrAttrs in DER.
pub fn encode_csr_attributes(attributes: &[CsrAttribute<'_>]) -> Vec<u8> {
    let content: Vec<u8> = attributes
        .iter()
        .flat_map(|attribute| match attribute {
            CsrAttribute::Oid(oid) => element(OID, oid),
            CsrAttribute::Attribute { kind, values } => {
                let values: Vec<u8> = values.iter().flat_map(|value| element(OID, value)).collect();
                element(SEQUENCE, &[element(OID, kind), element(SET, &values)].concat())
            }
        })
        .collect();
    element(SEQUENCE, &content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let octets: Vec<u8> =
                content.len().to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
            // At most eight length octets on any machine.
            out.push(0x80 | octets.len() as u8);
            out.extend(octets);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::est::write_csr_attributes;

    #[test]
    fn the_example_of_rfc_8951_comes_out_to_the_byte() {
        let attributes = [
            // challengePassword
            CsrAttribute::Oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07]),
            // id-ecPublicKey, secp384r1
            CsrAttribute::Attribute {
                kind: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
                values: &[&[0x2b, 0x81, 0x04, 0x00, 0x22]],
            },
            // extensionRequest, macAddress
            CsrAttribute::Attribute {
                kind: &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e],
                values: &[&[0x2b, 0x06, 0x01, 0x01, 0x01, 0x01, 0x16]],
            },
            // ecdsa-with-SHA384
            CsrAttribute::Oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03]),
        ];
        let example = "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJ\n\
                       BgcrBgEBAQEWBggqhkjOPQQDAw==\n";
        let written = write_csr_attributes(&attributes, Some("libest 3.2.0p"));
        assert_eq!(String::from_utf8(written.bytes).unwrap(), example);
    }

    #[test]
    fn long_content_has_a_long_length() {
        for (octets, head) in
            [(0x7f, vec![6, 0x7f]), (0x80, vec![6, 0x81, 0x80]), (0x1234, vec![6, 0x82, 0x12, 0x34])]
        {
            assert_eq!(element(OID, &vec![1; octets])[..head.len()], head);
        }
    }
}
