//! Entries about what dies by set, and about clones of operators and services.

use super::{JournalBuilder, name};
use touchmark_identity::{CertificateId, RevocationReason};
use touchmark_inventory::Holder;
use touchmark_journal::{
    CertificateRevoked, Draft, Event, HolderRevoked, IdentityKind, PartyCloneSuspected, PartyName,
};

impl JournalBuilder {
    /// Everything of a holder. What dies is written by the store.
    pub fn holder_revoked(&mut self, holder: Holder) -> Draft {
        let (device, party) = match holder {
            Holder::Device(device) => (Some(device), None),
            Holder::Party { kind, name } => (None, Some(PartyName { kind, name })),
        };
        let reason = RevocationReason::KeyCompromise;
        self.draft(
            Event::HolderRevoked(HolderRevoked { device, party, certificates: Vec::new(), reason }),
            None,
        )
    }

    /// One certificate, and its successors that nobody proved.
    pub fn certificate_revoked(&mut self, certificate: CertificateId) -> Draft {
        let reason = RevocationReason::KeyCompromise;
        let event = CertificateRevoked { certificate, certificates: Vec::new(), reason };
        self.draft(Event::CertificateRevoked(event), None)
    }

    /// An older certificate of a party was used.
    pub fn party_clone_suspected(&mut self, kind: IdentityKind, party: &str) -> Draft {
        let party = PartyName { kind, name: name(party) };
        let (older, newer) = (self.certificate_id(), self.certificate_id());
        let event = PartyCloneSuspected { party, older, newer, seen_by: name("api") };
        self.draft(Event::PartyCloneSuspected(event), None)
    }
}
