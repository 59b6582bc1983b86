//! The suite that every store passes: named cases over the port alone, each on a fresh store.
//!
//! After every case the journal must be whole and the rows must equal its replay.

mod certificates;
mod commits;
mod facts;
mod journal;
mod lists;
mod makers;
mod preconditions;
mod renewals;
mod revocations;
mod sightings;
mod tokens;

use crate::journal_builder::{Intent, JournalBuilder, command};
use crate::replay::assert_rows_equal_replay;
use std::panic::{AssertUnwindSafe, catch_unwind};
use touchmark_identity::{AuthorityVersionId, DeviceId, Fingerprint};
use touchmark_inventory::{Conflict, Precondition, Receipt, Store, StoreFault};
use touchmark_journal::Draft;

/// One claim.
type Claim = (&'static str, fn(&mut Case<'_>));

const CLAIMS: &[&[Claim]] = &[
    preconditions::CLAIMS,
    commits::CLAIMS,
    tokens::CLAIMS,
    renewals::CLAIMS,
    revocations::CLAIMS,
    makers::CLAIMS,
    certificates::CLAIMS,
    facts::CLAIMS,
    lists::CLAIMS,
    journal::CLAIMS,
    sightings::CLAIMS,
];

/// Runs every case on a store that `make` gives, and fails with the names of those that are false.
///
/// # Panics
/// When a claim is false.
pub fn run(make: impl Fn() -> Box<dyn Store>) {
    let mut false_claims = Vec::new();
    for (name, claim) in CLAIMS.iter().copied().flatten() {
        let store = make();
        let held = catch_unwind(AssertUnwindSafe(|| {
            let mut case = Case::new(store.as_ref());
            claim(&mut case);
            assert_rows_equal_replay(store.as_ref());
        }));
        if held.is_err() {
            eprintln!("false: {name}");
            false_claims.push(*name);
        }
    }
    assert!(false_claims.is_empty(), "{} claims are false: {false_claims:#?}", false_claims.len());
}

/// A store and a writer of entries for it.
pub(crate) struct Case<'a> {
    store: &'a dyn Store,
    builder: JournalBuilder,
    authority: AuthorityVersionId,
}

impl<'a> Case<'a> {
    fn new(store: &'a dyn Store) -> Self {
        let mut builder = JournalBuilder::new();
        let authority = builder.authority_version();
        Self { store, builder, authority }
    }

    fn submit(
        &self,
        preconditions: impl IntoIterator<Item = Precondition>,
        entries: impl IntoIterator<Item = Draft>,
    ) -> Result<Receipt, StoreFault> {
        self.store.commit(command(preconditions, entries))
    }

    /// Commits what must be accepted.
    fn accept(&self, entries: impl IntoIterator<Item = Draft>) -> Receipt {
        self.submit([], entries).expect("a command without preconditions is accepted")
    }

    /// Asks for one precondition. A refusal must name it and must write nothing.
    fn holds(&mut self, precondition: Precondition) -> bool {
        let before = self.store.journal_len().expect("the journal can be read");
        let entry = self.builder.refused("asked", 1, None);
        let outcome = self.submit([precondition.clone()], [entry]);
        let after = self.store.journal_len().expect("the journal can be read");
        match outcome {
            Ok(receipt) => {
                assert_eq!(receipt, Receipt { first_seq: before, entries: 1 });
                assert_eq!(after, before + 1);
                true
            }
            Err(StoreFault::Conflict(Conflict { failed })) => {
                assert_eq!(failed, precondition);
                assert_eq!(after, before, "a refused command wrote something");
                false
            }
            Err(other) => panic!("neither accepted nor refused: {other}"),
        }
    }

    fn device(&mut self, handle: &str) -> DeviceId {
        let device = self.builder.device_id();
        let entry = self.builder.device_registered(device, handle);
        self.accept([entry]);
        device
    }

    /// An intent that is in the store.
    fn intended(&mut self, device: Option<DeviceId>) -> Intent {
        let intent = self.builder.intent(device, self.authority);
        self.record(&intent);
        intent
    }

    fn record(&mut self, intent: &Intent) {
        let entry = self.builder.intended(intent);
        self.accept([entry]);
    }

    fn issue(&mut self, intent: &Intent) -> Fingerprint {
        let fingerprint = Fingerprint(self.builder.hash());
        let entry = self.builder.issued(intent.certificate, fingerprint);
        self.accept([entry]);
        fingerprint
    }

    fn revoke(&mut self, device: Option<DeviceId>, intents: &[&Intent]) {
        let entry = self.builder.revoked(device, intents);
        self.accept([entry]);
    }
}
