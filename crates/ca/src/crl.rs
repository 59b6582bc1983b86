//! Revoked set -> CRL (RFC 5280 §5).

use crate::plan::backdated;
use core::time::Duration;
use touchmark_identity::{RevocationReason, SerialNumber, Timestamp};
use touchmark_x509::crl::{BadCrl, CRL_ENTRIES_MAX, Crl, CrlContents, RevokedEntry, crl_tbs};
use touchmark_x509::{Certificate, Signer, SigningFault};

/// How long a CRL may be relied on. A new one is signed after each revocation and at half of this time.
pub const CRL_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How long after a certificate's end its revocation is told: one more CRL must name it (RFC 5280 §3.3), and clocks differ.
pub const ENDED_KEPT: Duration = Duration::from_secs(CRL_LIFETIME.as_secs() + 300);

/// Why no CRL was signed.
#[derive(Debug, thiserror::Error)]
pub enum CrlFault {
    /// The key did not sign.
    #[error(transparent)]
    Signing(#[from] SigningFault),
    /// What was signed cannot be read back or does not verify.
    #[error(transparent)]
    Crl(#[from] BadCrl),
}

/// A CRL that was read back and verified.
#[derive(Debug)]
pub struct SignedCrl {
    /// DER.
    pub der: Vec<u8>,
    pub number: u64,
    /// When it was made, as it says: a little earlier, for readers whose clock is slow.
    pub this_update: Timestamp,
    /// When the next one is due at the latest.
    pub next_update: Timestamp,
    /// How full it is.
    pub fill: Fill,
}

/// How many certificates a CRL names, against [`CRL_ENTRIES_MAX`], which readers of ours take at most; others take less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fill {
    /// Less than half of it.
    Low,
    /// Half of it or more: time to plan for another authority version.
    Half,
    /// Four fifths or more.
    High,
    /// More than readers take.
    Over,
}

impl Fill {
    fn of(entries: usize) -> Self {
        match entries {
            many if many > CRL_ENTRIES_MAX => Self::Over,
            many if many >= CRL_ENTRIES_MAX / 5 * 4 => Self::High,
            many if many >= CRL_ENTRIES_MAX / 2 => Self::Half,
            _ => Self::Low,
        }
    }
}

/// Signs the CRL number `number` of one shard over `revoked`, which must be complete for the shard.
///
/// # Errors
/// [`CrlFault`]; the old CRL stays published.
pub fn sign_crl(
    issuer: &Certificate,
    signer: &dyn Signer,
    number: u64,
    revoked: impl IntoIterator<Item = (SerialNumber, Timestamp, RevocationReason)>,
    now: Timestamp,
) -> Result<SignedCrl, CrlFault> {
    let entries: Vec<RevokedEntry> =
        revoked.into_iter().map(|(serial, at, reason)| RevokedEntry { serial, at, reason }).collect();
    let this_update = backdated(now);
    let next_update = now.plus(CRL_LIFETIME);
    let tbs = crl_tbs(&CrlContents {
        issuer,
        number,
        this_update,
        next_update,
        signature_algorithm: signer.algorithm(),
        entries: &entries,
    });
    let signature = signer.sign(tbs.as_bytes())?;
    let der = tbs.into_crl(signer.algorithm(), &signature);
    Crl::from_own_der(&der)?.verify(issuer)?;
    Ok(SignedCrl { der, number, this_update, next_update, fill: Fill::of(entries.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_full_a_list_is() {
        for (entries, fill) in [
            (0, Fill::Low),
            (249_999, Fill::Low),
            (250_000, Fill::Half),
            (399_999, Fill::Half),
            (400_000, Fill::High),
            (500_000, Fill::High),
            (500_001, Fill::Over),
        ] {
            assert_eq!(Fill::of(entries), fill, "{entries}");
        }
    }
}
