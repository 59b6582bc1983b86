//! Revocations by set: a draft names whose certificates die, and the store finds them inside the transaction.
//!
//! A list that was read before the commit misses what came meanwhile, and a holder that renews fast enough could make
//! each such commit fail. So a store puts into [`Event::HolderRevoked`] and [`Event::CertificateRevoked`] what is alive
//! when the command is accepted, whatever stood there. Replay reads the list from the entry.

use crate::rows::{CertificateRow, CertificateState};
use crate::store::Holder;
use touchmark_identity::{CertificateId, Timestamp};
use touchmark_journal::{Draft, Envelope, Event, RevokedCertificate};

/// Certificates in one event: 52 octets each, in a leaf of 65,535 at most.
pub const REVOKED_IN_ONE_EVENT: usize = 1_000;

/// What dies by an event, as the rows stand when its command is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dying {
    /// Everything of a holder that [`lives`].
    Of(Holder),
    /// One certificate, and the successors that were given on its word and that nobody proved.
    Line(CertificateId),
}

impl Dying {
    /// `None` for an event that says itself what it changes.
    pub fn by(event: &Event) -> Option<Self> {
        match event {
            Event::HolderRevoked(e) => match (&e.device, &e.party) {
                (Some(device), _) => Some(Self::Of(Holder::Device(*device))),
                (None, Some(party)) => {
                    Some(Self::Of(Holder::Party { kind: party.kind, name: party.name.clone() }))
                }
                (None, None) => None,
            },
            Event::CertificateRevoked(e) => Some(Self::Line(e.certificate)),
            _ => None,
        }
    }

    /// Whether a row belongs to the line of `root`, itself aside.
    pub(crate) fn is_successor(row: &CertificateRow, root: CertificateId) -> bool {
        row.replaces == Some(root) && row.token.is_none() && row.confirmed_at.is_none()
    }
}

/// Whether a certificate opens something, or may come to: intents in flight, and what is past its end, which a grace
/// would renew back to life. A superseded one is over with its validity, whose last second counts.
pub fn lives(row: &CertificateRow, now: Timestamp) -> bool {
    match row.state {
        CertificateState::Intended | CertificateState::Issued | CertificateState::Confirmed => true,
        CertificateState::Superseded => now.unix_s() <= row.validity.not_after().unix_s(),
        CertificateState::Revoked | CertificateState::Burned => false,
    }
}

/// The drafts that take the place of one whose certificates were found: several where one leaf cannot hold them all,
/// and one for a holder that has none, whose tokens are void all the same.
pub fn filled(envelope: &Envelope, event: &Event, found: &[RevokedCertificate]) -> Vec<Draft> {
    let draft = |part: &[RevokedCertificate]| {
        let mut event = event.clone();
        match &mut event {
            Event::HolderRevoked(e) => e.certificates = part.to_vec(),
            Event::CertificateRevoked(e) => e.certificates = part.to_vec(),
            _ => {}
        }
        Draft { envelope: envelope.clone(), event, private: None }
    };
    if found.is_empty() {
        return vec![draft(&[])];
    }
    found.chunks(REVOKED_IN_ONE_EVENT).map(draft).collect()
}

/// What the event killed.
pub fn killed(event: &Event) -> &[RevokedCertificate] {
    match event {
        Event::CertificatesRevoked(e) => &e.certificates,
        Event::HolderRevoked(e) => &e.certificates,
        Event::CertificateRevoked(e) => &e.certificates,
        _ => &[],
    }
}
