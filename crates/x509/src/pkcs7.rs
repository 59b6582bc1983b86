//! The certs-only bag: a degenerate SignedData without content or signers (RFC 5652 §5, RFC 7030 §4.1.3).
//!
//! In and out: certificates as DER, unread. This is how EST hands out certificates; nothing in it is authenticated
//! but by the certificates themselves.

use crate::der::{self, NotDer, Reader};

/// Largest bag that is looked into: [`BAG_CERTIFICATES_MAX`] of 8 KiB, where ours have 1 KiB.
pub const BAG_OCTETS_MAX: usize = 256 * 1024;
/// Most certificates in a bag: a chain of six in two generations, and room.
pub const BAG_CERTIFICATES_MAX: usize = 32;

const ID_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const ID_SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// CMSVersion: 1 with id-data, X.509 certificates only and no signers; 3 is let pass, since some servers write it.
const VERSIONS: [u64; 2] = [1, 3];

/// Why octets are no certs-only bag; the server that sent them must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBag {
    /// More than [`BAG_OCTETS_MAX`].
    #[error("a certs-only bag has at most {BAG_OCTETS_MAX} octets, this one has {octets}")]
    TooLarge {
        /// Length as given.
        octets: usize,
    },
    /// More than [`BAG_CERTIFICATES_MAX`].
    #[error("a certs-only bag has at most {BAG_CERTIFICATES_MAX} certificates")]
    TooMany,
    /// Not the DER of a ContentInfo with a SignedData.
    #[error("not a PKCS#7 SignedData in DER")]
    Malformed,
    /// A ContentInfo of another type.
    #[error("the PKCS#7 is not a SignedData")]
    NotSignedData,
    /// Content, digests or signers where a certs-only bag has none.
    #[error("the SignedData carries more than certificates")]
    NotCertsOnly,
}

impl From<NotDer> for BadBag {
    fn from(NotDer: NotDer) -> Self {
        Self::Malformed
    }
}

/// Puts certificates into a bag in DER: they stand in the order of a SET OF, whatever order they are given in.
pub fn certs_only(certificates: &[&[u8]]) -> Vec<u8> {
    let mut sorted = certificates.to_vec();
    // X.690 §11.6: as octet strings. No certificate is the beginning of another, so padding decides nothing.
    sorted.sort_unstable();
    let mut out = Vec::with_capacity(certificates.iter().map(|der| der.len()).sum::<usize>() + 64);
    der::nest(&mut out, der::SEQUENCE, |content_info| {
        der::put(content_info, der::OID, ID_SIGNED_DATA);
        der::nest(content_info, der::context_constructed(0), |explicit| {
            der::nest(explicit, der::SEQUENCE, |signed_data| {
                der::put_unsigned(signed_data, 1);
                der::put(signed_data, der::SET, &[]);
                der::nest(signed_data, der::SEQUENCE, |content| der::put(content, der::OID, ID_DATA));
                der::nest(signed_data, der::context_constructed(0), |set| {
                    sorted.iter().for_each(|der| set.extend_from_slice(der));
                });
                der::put(signed_data, der::SET, &[]);
            });
        });
    });
    out
}

/// Takes the certificates out of a bag, in their order; they are not read.
///
/// # Errors
/// [`BadBag`]; only DER is taken, and nothing but certificates (an empty set of CRLs may stand beside them).
pub fn parse_certs_only(bag: &[u8]) -> Result<Vec<Vec<u8>>, BadBag> {
    if bag.len() > BAG_OCTETS_MAX {
        return Err(BadBag::TooLarge { octets: bag.len() });
    }
    let mut outer = Reader::new(bag);
    let mut content_info = outer.enter(der::SEQUENCE)?;
    outer.finish()?;
    if content_info.content(der::OID)? != ID_SIGNED_DATA {
        return Err(BadBag::NotSignedData);
    }
    let mut explicit = content_info.enter(der::context_constructed(0))?;
    content_info.finish()?;
    let mut signed_data = explicit.enter(der::SEQUENCE)?;
    explicit.finish()?;

    if !VERSIONS.contains(&signed_data.unsigned()?) {
        return Err(BadBag::Malformed);
    }
    let digests = signed_data.content(der::SET)?;
    let mut content = signed_data.enter(der::SEQUENCE)?;
    let id_data = content.content(der::OID)? == ID_DATA;
    let certificates = signed_data.optional(der::context_constructed(0))?.unwrap_or_default();
    let crls = signed_data.optional(der::context_constructed(1))?.unwrap_or_default();
    let signers = signed_data.content(der::SET)?;
    signed_data.finish()?;
    if !id_data || ![digests, crls, signers].iter().all(|set| set.is_empty()) || content.finish().is_err() {
        return Err(BadBag::NotCertsOnly);
    }

    let mut found = Vec::new();
    let mut set = Reader::new(certificates);
    while !set.is_empty() {
        if found.len() == BAG_CERTIFICATES_MAX {
            return Err(BadBag::TooMany);
        }
        found.push(set.whole(der::SEQUENCE)?.to_vec());
    }
    Ok(found)
}
