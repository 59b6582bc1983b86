//! What follows by itself: a certificate that is used although its successor was proven, and one whose overlap is over.

use crate::renewal::Presented;
use touchmark_identity::{Actor, Name, RevocationReason, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, Command, Precondition, REVOKED_IN_ONE_EVENT};
use touchmark_journal::{
    CertificatesRevoked, CloneResponse, CloneSuspected, Draft, Envelope, Event, PartyCloneSuspected,
    PartyName, RevokedCertificate, Standing, StandingChanged,
};

/// Records that an older certificate was used after a newer one, and holds the device off if its profile says so.
/// `None` when there is nothing to suspect: no newer certificate that was proven.
///
/// Which of the two is the thief nobody knows: quarantine holds both off until a person looked. Operators and services
/// have no standing: of them people are told.
pub fn suspect_clone(
    presented: &Presented<'_>,
    seen_by: &Name,
    response: CloneResponse,
    cause: &str,
    now: Timestamp,
) -> Option<Command> {
    let newer = presented.newer()?;
    let actor = Actor::automation("clone-alarm".parse().expect("the word is a name"));
    let envelope = Envelope { scope: presented.row.scope.clone(), actor, cause: cause.into(), at: now };
    let (older, seen_by) = (presented.row.certificate, seen_by.clone());
    let Some(device) = presented.device else {
        let name = presented.row.identity.as_ref()?.name.clone();
        let party = PartyName { kind: presented.row.kind, name };
        let event = Event::PartyCloneSuspected(PartyCloneSuspected { party, older, newer, seen_by });
        let entries = vec![Draft { envelope, event, private: None }];
        return Some(Command { preconditions: Vec::new(), entries });
    };
    let alarm = Event::CloneSuspected(CloneSuspected { device: device.device, older, newer, seen_by });
    let mut command = Command {
        preconditions: Vec::new(),
        entries: vec![Draft { envelope: envelope.clone(), event: alarm, private: None }],
    };
    if response == CloneResponse::Quarantine && device.standing == Standing::Active {
        let held = StandingChanged { device: device.device, standing: Standing::Quarantined, until: None };
        command
            .preconditions
            .push(Precondition::DeviceStanding { device: device.device, standing: Standing::Active });
        command.entries.push(Draft { envelope, event: Event::StandingChanged(held), private: None });
    }
    Some(command)
}

/// Revokes superseded certificates of one environment whose overlap is over: for profiles that want it on the CRL.
/// At most a thousand at once; `None` when there is nothing to do.
pub fn revoke_superseded(rows: &[CertificateRow], now: Timestamp) -> Option<Command> {
    let due = |row: &&CertificateRow| {
        row.state == CertificateState::Superseded
            && row.spki.is_some()
            && row.refused_from.is_some_and(|from| now >= from)
    };
    let dying: Vec<&CertificateRow> = rows.iter().filter(due).take(REVOKED_IN_ONE_EVENT).collect();
    let scope = dying.first()?.scope.clone();
    let still = |row: &&CertificateRow| Precondition::CertificateInState {
        certificate: row.certificate,
        state: CertificateState::Superseded,
    };
    let revoked = |row: &&CertificateRow| {
        row.spki.map(|spki| RevokedCertificate { certificate: row.certificate, spki })
    };
    let event = Event::CertificatesRevoked(CertificatesRevoked {
        // Not the device's end: its tokens and its newer certificate stay.
        device: None,
        certificates: dying.iter().filter_map(revoked).collect(),
        reason: RevocationReason::Superseded,
    });
    let actor = Actor::automation("supersession".parse().expect("the word is a name"));
    let envelope = Envelope { scope, actor, cause: "profile/revoke-superseded".into(), at: now };
    Some(Command {
        preconditions: dying.iter().map(still).collect(),
        entries: vec![Draft { envelope, event, private: None }],
    })
}
