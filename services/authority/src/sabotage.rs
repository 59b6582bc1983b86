//! Deliberate faults, compiled in only by features that no build of ours turns on: the crash tests build them, and
//! fail if they do not notice. `sabotage-no-fsync` stands where the database is opened.

/// A build with a fault in it does not start by accident.
///
/// # Panics
/// Unless `TOUCHMARK_SABOTAGE=1`.
pub(crate) fn demand_consent() {
    let consent = std::env::var_os("TOUCHMARK_SABOTAGE").is_some_and(|value| value == "1");
    assert!(consent, "this build breaks its promises on purpose, for tests: TOUCHMARK_SABOTAGE is not 1");
}

#[cfg(feature = "sabotage-answer-before-commit")]
pub(crate) use early::{answer_first, is_enrolment_result};

#[cfg(feature = "sabotage-answer-before-commit")]
mod early {
    use std::sync::Arc;
    use std::time::Duration;
    use touchmark_inventory::{Command, Receipt, Store};
    use touchmark_journal::Event;

    /// Long enough that a random kill falls into it, short enough that a device's next step does not.
    const LATE: Duration = Duration::from_millis(20);

    /// Whether this is the commit after which a device is given its certificate.
    pub(crate) fn is_enrolment_result(command: &Command) -> bool {
        let of_device = |cause: &str| cause == "est/simpleenroll";
        command.entries.iter().any(|draft| {
            matches!(draft.event, Event::CertificateIssued(_)) && of_device(&draft.envelope.cause)
        })
    }

    /// The answer goes out now, the commit follows.
    pub(crate) fn answer_first(store: &Arc<dyn Store>, command: Command) -> Receipt {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            tokio::time::sleep(LATE).await;
            store.submit(command, Box::new(drop));
        });
        Receipt { first_seq: 0, entries: 1 }
    }
}
