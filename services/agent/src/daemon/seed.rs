//! The device's seed: drawn once, so that a fleet's renewals and retries spread, and each device keeps its place.

use super::BadStart;
use rustls::crypto::aws_lc_rs;
use std::path::Path;
use touchmark_durable::{Mode, write_atomic};

const OCTETS: usize = 16;

/// What was drawn before, else a new one. A seed that is lost or broken costs nothing but the place.
pub(super) fn of_this_device(state: &Path) -> Result<[u8; OCTETS], BadStart> {
    let path = state.join("lot");
    if let Some(seed) = std::fs::read(&path).ok().and_then(|octets| octets.try_into().ok()) {
        return Ok(seed);
    }
    let mut seed = [0; OCTETS];
    let drawn = aws_lc_rs::default_provider().secure_random.fill(&mut seed);
    drawn.map_err(|_| BadStart::System { what: "randomness", why: "the provider failed".to_owned() })?;
    write_atomic(&path, &seed, Mode::Private0600)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lot_is_drawn_once_and_a_broken_one_again() {
        let folder = tempfile::tempdir().unwrap();
        let first = of_this_device(folder.path()).unwrap();
        assert_eq!(of_this_device(folder.path()).unwrap(), first);
        std::fs::write(folder.path().join("lot"), "short").unwrap();
        let second = of_this_device(folder.path()).unwrap();
        assert_ne!(second, first);
        assert_eq!(of_this_device(folder.path()).unwrap(), second);
    }
}
