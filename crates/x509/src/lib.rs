//! X.509 as this product needs it: keys, requests, certificates, paths, lints, CRLs, certs-only PKCS#7.
//!
//! Readers take untrusted bytes and are bounded; writers emit DER from typed parts. The [`Signer`] port
//! stands in front of every private key. No CA policy, no clock, no file lives here.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod certificate;
pub mod crl;
pub mod csr;
mod der;
mod distinguished_name;
mod extensions;
#[cfg(test)]
mod forge;
pub mod hardware;
pub mod key;
pub mod lint;
mod low_s;
mod oid_names;
pub mod path;
pub mod pkcs7;
pub mod request;
mod signature_algorithm;
pub mod signer;
mod strict;
pub mod tbs;

pub use certificate::Certificate;
pub use key::{KeyAlgorithm, PublicKey, SignatureAlgorithm};
pub use signer::{KeyPlace, Signer, SigningFault, SoftwareKey};
