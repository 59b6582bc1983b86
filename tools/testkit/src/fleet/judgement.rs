//! The judgement: each invariant, asked where it could break and once more at the end.

use super::device::Look;
use super::invariant::Invariant;
use super::run::{Fleet, Happens};
use super::server::Request;
use crate::replay::{journal, replayed};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use touchmark_identity::{DeviceId, Fingerprint, Name};
use touchmark_inventory::{CertificateState, Store, StoredEntry};
use touchmark_journal::{Event, Standing};

/// Certificates last to the end of their last second.
const LAST_SECOND: Duration = Duration::from_secs(1);

impl Fleet {
    /// After a write and at a start: is there a whole pair, and did the authority see it before the old one went?
    pub(super) fn look(&mut self, device: usize) {
        match self.devices[device].look() {
            Look::Unchanged | Look::Nothing => {}
            Look::Gone => self.violated(Invariant::WorkingPair, device, "the pair is gone"),
            Look::Broken(touchmark_agent::store::StoreFault::Mixed) => {
                self.violated(Invariant::NoMixedPair, device, "key and chain do not belong together");
            }
            Look::Broken(fault) => self.violated(Invariant::WorkingPair, device, &fault.to_string()),
            Look::Another(held) => {
                let (fingerprint, validity) = (held.fingerprint, held.validity);
                let before = self.devices[device].held.replace(held).map(|held| held.fingerprint);
                if before != Some(fingerprint) {
                    self.taken_over(device, &fingerprint, before);
                    let ends = validity.not_after().plus(LAST_SECOND);
                    self.timeline.add(ends, Happens::Ends { device, fingerprint });
                    let grace_ends = ends.plus(self.scenario.grace);
                    self.timeline.add(grace_ends, Happens::GraceEnds { device, fingerprint });
                }
            }
        }
    }

    fn taken_over(&mut self, device: usize, now: &Fingerprint, before: Option<Fingerprint>) {
        self.trace(device, 6);
        let proven = self.authority.row_of(now).is_some_and(|row| row.confirmed_at.is_some());
        // A copy starts with what its original proved.
        if !proven {
            self.violated(Invariant::ProvenBeforeSwap, device, "the new pair was never used");
        }
        if before.is_none() {
            return;
        }
        self.summary.swapped += 1;
        self.devices[device].asked_at = None;
        let Some(aftermath) = &mut self.aftermath else { return };
        if aftermath.behind.remove(&device) {
            let passed = self.now.since(aftermath.since);
            if aftermath.behind.is_empty() {
                self.summary.drained_in = Some(passed);
            }
            if aftermath.behind.len() * 10 <= self.summary.due_then {
                aftermath.nearly_through.get_or_insert(passed.as_secs() / 60);
            }
        }
    }

    /// What the device holds is what the authority goes by: its newest proven certificate, or that one's successor.
    pub(super) fn judge_what_is_held(&mut self, device: usize) {
        let judged = &self.devices[device];
        let Some(held) = judged.held.as_ref().filter(|_| !judged.excused) else { return };
        let counts = |fingerprint: &Fingerprint| {
            let row = self.authority.row_of(fingerprint).map(|row| row.state);
            matches!(row, Some(CertificateState::Issued | CertificateState::Confirmed))
        };
        let successor =
            || judged.store.successor().ok().flatten().map(|pair| pair.chain.leaf().fingerprint());
        if !counts(&held.fingerprint) && !successor().is_some_and(|successor| counts(&successor)) {
            self.violated(
                Invariant::HoldsWhatCounts,
                device,
                "neither of its certificates is the current one",
            );
        }
    }

    /// Before a successor is forgotten: it must not be the one that counts.
    pub(super) fn judge_a_drop(&mut self, device: usize) {
        let judged = &self.devices[device];
        let successor = judged.store.successor().ok().flatten().map(|pair| pair.chain.leaf().fingerprint());
        let row = successor.and_then(|successor| self.authority.row_of(&successor));
        if !judged.excused && row.is_some_and(|row| row.state == CertificateState::Confirmed) {
            self.violated(Invariant::HoldsWhatCounts, device, "it forgets the certificate that counts");
        }
    }

    /// After a request that could change an identity.
    pub(super) fn judge_identity(&mut self, request: &Request, given: bool) {
        self.judge_queue();
        let named = self.authority.device_named(&request.name).expect("rows");
        let Some(device) = named.map(|row| row.device) else { return };
        if given && self.banned.contains(&device) {
            self.violated(Invariant::BannedStaysOut, request.device, "it was given a certificate");
        }
        let rows = self.authority.certificates_of(device);
        let unconfirmed = rows.iter().filter(|row| row.state == CertificateState::Issued).count();
        if unconfirmed > 1 {
            self.violated(Invariant::OneUnconfirmed, request.device, &format!("{unconfirmed} of them"));
        }
        let mut generations: Vec<u64> = rows.iter().map(|row| row.generation).collect();
        generations.sort_unstable();
        if !generations.iter().copied().eq(1..=rows.len() as u64) {
            self.violated(Invariant::GenerationsRiseByOne, request.device, &format!("{generations:?}"));
        }
    }

    pub(super) fn certificate_ends(&mut self, device: usize, fingerprint: &Fingerprint) {
        let judged = &self.devices[device];
        let same = judged.held.as_ref().is_some_and(|held| held.fingerprint == *fingerprint);
        self.summary.expired += u64::from(same && !judged.excused);
    }

    pub(super) fn grace_ends(&mut self, device: usize, fingerprint: &Fingerprint) {
        let judged = &self.devices[device];
        let same = judged.held.as_ref().is_some_and(|held| held.fingerprint == *fingerprint);
        if !same || judged.excused {
            return;
        }
        self.summary.locked_out += 1;
        // A device without power is its owner's matter.
        if judged.lifecycle.is_some() {
            self.violated(Invariant::NobodyLockedOut, device, "its certificate and its grace are over");
        }
    }

    /// What the authority's records say of a device: successors granted, attempts refused.
    pub(super) fn records_of(&self, name: &Name) -> (u64, u64) {
        let device = self.authority.device_named(name).expect("rows");
        let row = device.and_then(|device| self.authority.store.renewals_of(device.device).expect("rows"));
        row.map_or((0, 0), |row| (row.renewals, row.refused))
    }

    /// Over the whole journal.
    pub(super) fn judge_the_end(&mut self) {
        for device in 0..self.devices.len() {
            self.judge_what_is_held(device);
        }
        let journal = journal(&self.authority.store);
        if replayed(&journal) != self.authority.store.tables() {
            self.violated(Invariant::RowsEqualReplay, usize::MAX, "replay gives other rows");
        }
        self.judge_serials(&journal);
        self.judge_standings(&journal);
        self.judge_records(&journal);
    }

    fn judge_serials(&mut self, journal: &[StoredEntry]) {
        let mut serials = BTreeSet::new();
        for stored in journal {
            if let Event::CertificateIntended(intended) = &stored.entry.event
                && !serials.insert((intended.authority_version, intended.serial))
            {
                self.violated(Invariant::SerialOnce, usize::MAX, &intended.serial.to_string());
            }
        }
    }

    /// Nobody who is held off gets a certificate, at any place in the journal.
    fn judge_standings(&mut self, journal: &[StoredEntry]) {
        let mut standings: BTreeMap<DeviceId, Standing> = BTreeMap::new();
        for stored in journal {
            match &stored.entry.event {
                Event::StandingChanged(changed) => drop(standings.insert(changed.device, changed.standing)),
                Event::CloneSuspected(_) => self.summary.clone_alarms += 1,
                Event::CertificateIntended(intended) => {
                    let standing = intended.device.and_then(|device| standings.get(&device));
                    let invariant = match standing {
                        None | Some(Standing::Active) => continue,
                        Some(Standing::Banned) => Invariant::BannedStaysOut,
                        Some(Standing::Quarantined) => Invariant::QuarantineHolds,
                    };
                    self.violated(invariant, usize::MAX, &format!("entry {}", stored.entry.seq));
                }
                _ => {}
            }
        }
    }

    /// The rows of each device's renewals against the journal, and against what we saw.
    fn judge_records(&mut self, journal: &[StoredEntry]) {
        let mut told: BTreeMap<DeviceId, (u64, u64)> = BTreeMap::new();
        for stored in journal {
            match &stored.entry.event {
                Event::CertificateIntended(intended) if intended.renewal.is_some() => {
                    let device = intended.device.expect("only devices are here");
                    told.entry(device).or_default().0 += 1;
                }
                Event::RenewalRefused(refused) => told.entry(refused.device).or_default().1 += refused.count,
                _ => {}
            }
        }
        let chances = self.scenario.chances;
        // An intent that was stored and reported lost is burned, and its renewal counted again.
        let exact = chances.commit_lost == 0 && chances.commit_reported_lost == 0;
        let mut wrong = Vec::new();
        for (device, seen) in &self.seen {
            let row = self.authority.store.renewals_of(*device).expect("rows");
            let rows = row.map_or((0, 0), |row| (row.renewals, row.refused));
            let journal = told.get(device).copied().unwrap_or_default();
            let as_seen = rows.1 == seen.1 && if exact { rows.0 == seen.0 } else { rows.0 >= seen.0 };
            if rows != journal || !as_seen {
                wrong.push(format!("{device}: rows {rows:?}, journal {journal:?}, seen {seen:?}"));
            }
        }
        for found in wrong {
            self.violated(Invariant::RecordsAddUp, usize::MAX, &found);
        }
    }
}
