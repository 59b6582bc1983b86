//! What several fuzz targets share: taking a fuzzer's octets apart, and fixed keys to sign with.
//!
//! Targets are the programs in `bin/`, one for each reader of outside bytes. A target states what must hold
//! for every input and panics where it does not; that an input is refused is never a fault.

mod input;
mod keys;

pub use input::{Input, chosen};
pub use keys::FixedKey;

/// SHA-256, as everywhere in the product.
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets).as_ref());
    hash
}
