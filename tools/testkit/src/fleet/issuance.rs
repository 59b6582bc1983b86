//! The authority's second half: from an admitted order to a certificate, confirmation, and the alarm about clones.

use super::admission::{Denied, Given, draw, hint};
use super::authority::{ALARM_QUIET, Authority, sha256};
use touchmark_ca::{LoggedCertificate, Recorded, issue, plan};
use touchmark_enrol::{RenewalHint, RenewalPlanner};
use touchmark_identity::{Actor, DeviceId, Fingerprint, Incarnation, Timestamp};
use touchmark_inventory::{
    CertificateRow, CertificateState, Command, Conflict, Holder, Precondition, Store, StoreFault,
};
use touchmark_journal::{BurnCause, Draft, Salt};
use touchmark_ra::{
    Admitted, PlaceKey, Refusal, Urgency, burn, confirm, holder_actor, suspect_clone, take_place,
};
use touchmark_x509::Certificate;

/// As `services/authority`: how often it is decided again when rows change under it.
const TRIES: usize = 4;

impl Authority {
    /// The certificate that this request got before, if it may be handed out again.
    pub(super) fn again(&mut self, row: &CertificateRow, now: Timestamp) -> Result<Option<Given>, Denied> {
        match (row.state, &row.der) {
            (CertificateState::Issued, Some(der)) => {
                let certificate = Certificate::from_der(der).expect("what we issued can be read");
                let window = self.planner.window(certificate.validity(), draw(certificate.serial()));
                Ok(Some(Given { certificate, hint: hint(window, now), fresh: false }))
            }
            (CertificateState::Intended, _) => {
                self.commit(burn(recovery(), row, BurnCause::Crash, now))?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Plan, record, sign, record, hand out.
    pub(super) fn issue(&mut self, admitted: Admitted, now: Timestamp) -> Result<Given, Denied> {
        let Admitted { order, mut preconditions, still, mut entries, envelope } = admitted;
        let (urgency, on_death) = match order.parts().renewal {
            Some(_) => (Urgency::Renewal, Refusal::Revoked),
            None => (Urgency::First, Refusal::TokenVoid),
        };
        let place = place_key(&order.parts().identity.to_string());
        let turn = self.issue_schedule.ask(place, urgency, now);
        self.waiting_most = self.waiting_most.max(self.issue_schedule.waiting());
        turn.map_err(|retry_after| Denied::Paced { retry_after })?;
        let device = order.parts().device.expect("the fleet has devices only");
        let random = self.chance.octets();
        let planned = plan(order, &self.profile, &self.issuing, Incarnation::FIRST, now, random);
        let planned = planned.expect("the profile is prepared and the issuer lives");
        let (authority_version, serial) = planned.serial();
        preconditions.push(Precondition::SerialFree { authority_version, serial });
        let (event, private) = planned.intent(sha256);
        let salt = Salt(self.chance.octets());
        entries.push(Draft { envelope: envelope.clone(), event, private: Some((salt, private)) });
        self.commit(Command { preconditions, entries })?;
        let issued = issue(Recorded::recorded_unchecked(planned), &self.signer).expect("the key signs");
        let mine = issued.id();
        for _ in 0..TRIES {
            let (event, private) = issued.event();
            let salt = Salt(self.chance.octets());
            let draft = Draft { envelope: envelope.clone(), event, private: Some((salt, private)) };
            let alive =
                Precondition::CertificateInState { certificate: mine, state: CertificateState::Intended };
            let preconditions = std::iter::once(alive).chain(still.iter().cloned()).collect();
            let mut command = Command { preconditions, entries: vec![draft] };
            let siblings = self.store.current_certificates(&Holder::Device(device))?;
            take_place(&mut command, &envelope, mine, &siblings, now);
            match self.commit(command) {
                Ok(()) => {
                    let logged = LoggedCertificate::logged_unchecked(issued, 0);
                    return Ok(self.given(logged.certificate().clone(), now));
                }
                Err(StoreFault::Conflict(Conflict {
                    failed: Precondition::CertificateInState { certificate, .. },
                })) if certificate != mine => {}
                Err(StoreFault::Conflict(_)) => return Err(on_death.into()),
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(on_death.into())
    }

    fn given(&mut self, certificate: Certificate, now: Timestamp) -> Given {
        let planner: &mut RenewalPlanner = &mut self.planner;
        let window = planner.plan(certificate.validity(), draw(certificate.serial()), now);
        let hint: RenewalHint = hint(window, now);
        Given { certificate, hint, fresh: true }
    }

    /// Records that the key of this certificate was proven. A certificate that is over counts only for its renewal.
    pub(super) fn proven(
        &mut self,
        peer: &Fingerprint,
        for_renewal: bool,
        cause: &str,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        for _ in 0..TRIES {
            let Some(row) = self.store.certificate_by_fingerprint(peer)? else { return Ok(()) };
            if row.state != CertificateState::Issued || !(for_renewal || row.validity.contains(now)) {
                return Ok(());
            }
            let siblings = match row.device {
                Some(device) => self.store.certificates_of_device(device)?,
                None => Vec::new(),
            };
            let actor = holder_actor(&row).unwrap_or_else(recovery);
            let of = row.device.map(|device| self.store.device(device)).transpose()?.flatten();
            let Some(command) = confirm(actor, cause, &row, of.as_ref(), &siblings, self.overlap, now) else {
                return Ok(());
            };
            match self.commit(command) {
                Err(StoreFault::Conflict(_)) => {}
                outcome => return outcome,
            }
        }
        Ok(())
    }

    /// `confirm`: the holder asks for it by name.
    pub(super) fn confirmed(&mut self, peer: &Fingerprint, now: Timestamp) -> Result<(), Denied> {
        const CAUSE: &str = "confirm";
        let rows = self.rows(peer)?;
        if let Err(refusal) = self.presented(&rows).may_confirm(None, now) {
            // Only once its overlap is over is the use of an older certificate suspicious.
            let over = rows.row.refused_from.is_some_and(|from| now >= from);
            if over && matches!(refusal, Refusal::Superseded { newer: Some(_) }) {
                self.suspect(peer, CAUSE, now);
            }
            return Err(refusal.into());
        }
        self.proven(peer, false, CAUSE, now)?;
        let rows = self.rows(peer)?;
        self.presented(&rows).may_confirm(None, now)?;
        let (certificate, state) = (rows.row.certificate, CertificateState::Confirmed);
        match rows.row.state {
            CertificateState::Issued => {
                let failed = Precondition::CertificateInState { certificate, state };
                Err(StoreFault::from(Conflict { failed }).into())
            }
            _ => Ok(()),
        }
    }

    /// An older certificate was used after a newer one: the alarm, and the quarantine if the profile wants it.
    pub(super) fn suspect(&mut self, peer: &Fingerprint, cause: &str, now: Timestamp) {
        let Ok(rows) = self.rows(peer) else { return };
        let est = "est".parse().expect("the word is a name");
        let Some(command) = suspect_clone(&self.presented(&rows), &est, self.on_clone, cause, now) else {
            return;
        };
        let certificate = rows.row.certificate;
        if self.rang.get(&certificate).is_some_and(|last| now.since(*last) < ALARM_QUIET) {
            return;
        }
        // After a fault the next use is looked at again.
        if self.commit(command).is_ok() {
            self.rang.insert(certificate, now);
        }
    }

    /// Certificates of a device, newest first.
    pub(super) fn certificates_of(&self, device: DeviceId) -> Vec<CertificateRow> {
        self.store.certificates_of_device(device).expect("rows")
    }

    /// The row of a certificate that a device holds.
    pub(super) fn row_of(&self, fingerprint: &Fingerprint) -> Option<CertificateRow> {
        self.store.certificate_by_fingerprint(fingerprint).expect("rows")
    }
}

/// FNV-1a: whose place it is.
fn place_key(identity: &str) -> PlaceKey {
    identity
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3))
}

/// Who burns what was left half-done.
fn recovery() -> Actor {
    Actor::automation("recovery".parse().expect("the word is a name"))
}
