//! A fault on purpose (ADR 0016): a certificate is handed out before its result is durable. The crash tests must notice.

use std::sync::Arc;
use std::time::Duration;
use touchmark_inventory::{Command, Receipt, Store};
use touchmark_journal::Event;

/// Long enough that a random kill falls into it, short enough that a device's next step does not.
const LATE: Duration = Duration::from_millis(20);

/// Whether this is the commit after which a device is given its certificate.
pub(crate) fn is_enrolment_result(command: &Command) -> bool {
    let of_device = |cause: &str| cause == "est/simpleenroll";
    command
        .entries
        .iter()
        .any(|draft| matches!(draft.event, Event::CertificateIssued(_)) && of_device(&draft.envelope.cause))
}

/// The answer goes out now, the commit follows.
#[expect(clippy::disallowed_methods, reason = "a fault on purpose")]
pub(crate) fn answer_first(store: &Arc<dyn Store>, command: Command) -> Receipt {
    let store = Arc::clone(store);
    tokio::spawn(async move {
        tokio::time::sleep(LATE).await;
        store.submit(command, Box::new(drop));
    });
    Receipt { first_seq: 0, entries: 1 }
}
