//! Writes the PKCS#10 request (RFC 2986) with which a device asks for a certificate.
//!
//! In: the name it believes to have, and its signer. Out: DER. The RA takes only the key from it; a name that
//! is absent, or equal to what will be issued, passes. Requests are read in `csr`, not here.

use crate::der;
use crate::signer::{Signer, SigningFault};
use crate::tbs::{put_common_name, put_uri};
use touchmark_identity::SpiffeId;

/// extensionRequest (RFC 2985 §5.4.2).
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];

/// A CertificationRequest for the signer's key. An empty common name gives an empty subject.
///
/// # Errors
/// As [`Signer::sign`].
pub fn certification_request(
    common_name: &str,
    uri: Option<&SpiffeId>,
    signer: &dyn Signer,
) -> Result<Vec<u8>, SigningFault> {
    let mut info = Vec::with_capacity(512);
    der::nest(&mut info, der::SEQUENCE, |info| {
        // version v1
        der::put_unsigned(info, 0);
        if common_name.is_empty() {
            der::put(info, der::SEQUENCE, &[]);
        } else {
            put_common_name(info, common_name);
        }
        info.extend_from_slice(signer.public_key().spki_der());
        // attributes [0] is not optional: without any it stands empty.
        der::nest(info, der::context_constructed(0), |attributes| {
            if let Some(uri) = uri {
                put_extension_request(attributes, uri);
            }
        });
    });
    let signature = signer.sign(&info)?;
    Ok(der::signed(&info, signer.algorithm().algorithm_identifier_der(), &signature))
}

fn put_extension_request(out: &mut Vec<u8>, uri: &SpiffeId) {
    der::nest(out, der::SEQUENCE, |attribute| {
        der::put(attribute, der::OID, EXTENSION_REQUEST);
        der::nest(attribute, der::SET, |values| {
            der::nest(values, der::SEQUENCE, |extensions| {
                der::put_extension(extensions, der::oids::SUBJECT_ALT_NAME, der::Critical::No, |value| {
                    der::nest(value, der::SEQUENCE, |names| put_uri(names, uri));
                });
            });
        });
    });
}
