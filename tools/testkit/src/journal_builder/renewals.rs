//! Entries about successors, and about tokens that are taken back.

use super::{JournalBuilder, name};
use touchmark_identity::{CertificateId, DeviceId, TokenId};
use touchmark_journal::{CloneSuspected, Draft, Event, RenewalRefused, TokenVoided};

impl JournalBuilder {
    /// A token is taken back.
    pub fn token_voided(&mut self, token: TokenId) -> Draft {
        self.draft(Event::TokenVoided(TokenVoided { token }), None)
    }

    /// A device's renewals were refused.
    pub fn renewal_refused(&mut self, device: DeviceId, code: &str, count: u64) -> Draft {
        let event = RenewalRefused { device, code: code.into(), count };
        self.draft(Event::RenewalRefused(event), None)
    }

    /// A clone is suspected.
    pub fn clone_suspected(&mut self, device: DeviceId, older: CertificateId, newer: CertificateId) -> Draft {
        let event = CloneSuspected { device, older, newer, seen_by: name("gw-1") };
        self.draft(Event::CloneSuspected(event), None)
    }
}
