//! The machine's own limits, measured in each round: what ratios are taken against.
//!
//! Thread CPU time for the three operations of a handshake and an issuance, on a core that has nothing else to do;
//! wall clock for the disk.

use crate::limits::Probes;
use crate::table::Table;

/// One round's microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calibration {
    pub(crate) sign: f64,
    pub(crate) verify: f64,
    pub(crate) x25519: f64,
    pub(crate) fdatasync: f64,
}

impl Calibration {
    /// What an issuance cannot do without: the request's signature verified, the certificate's made.
    pub(crate) fn issuance(&self) -> f64 {
        self.sign + self.verify
    }

    /// A full handshake with a chain of one intermediate, and an issuance in it: two signatures made, three verified,
    /// one key exchange; and connect, accept and close, 15 us of the kernel.
    pub(crate) fn issuance_and_handshake(&self) -> f64 {
        2.0 * self.sign + 3.0 * self.verify + self.x25519 + 15.0
    }
}

/// Probes, and what they said so far.
pub(crate) struct Calibrator {
    probes: Probes,
    rounds: Vec<Calibration>,
}

impl Calibrator {
    pub(crate) fn new() -> Self {
        Self { probes: Probes::new(), rounds: Vec::new() }
    }

    /// Measures once: 100 ms.
    pub(crate) fn round(&mut self) -> Calibration {
        let now = self.probes.measure();
        self.rounds.push(now);
        now
    }

    /// The medians so far.
    pub(crate) fn tell(&self, table: &mut Table) {
        let of = |pick: fn(&Calibration) -> f64| self.rounds.iter().map(pick).collect::<Vec<_>>();
        table.section("this machine");
        table.tell("P-256 sign", "us", &of(|one| one.sign), "thread CPU");
        table.tell("P-256 verify", "us", &of(|one| one.verify), "thread CPU");
        table.tell("X25519: make a key and agree", "us", &of(|one| one.x25519), "thread CPU");
        table.tell("append 4 KiB and fdatasync", "us", &of(|one| one.fdatasync), "wall clock");
    }
}
