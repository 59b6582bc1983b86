//! Random octets, drawn at the edge and handed down as values.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// Random octets from the provider.
///
/// # Panics
/// When the system's random source fails: nothing safe can be done without it.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    SystemRandom::new().fill(&mut octets).expect("the system's random source works");
    octets
}
