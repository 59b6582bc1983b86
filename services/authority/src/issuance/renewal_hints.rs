//! When each certificate is to be renewed, as this authority would like it: carried by EST's answers, and asked for by
//! itself. A restart forgets what was planned; windows stay spread by chance.

use crate::issuance::Enrolled;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use touchmark_enrol::{Draw, RenewalHint, RenewalPlanner, RenewalWindow};
use touchmark_identity::{EnvironmentName, Fingerprint, Timestamp, Validity};
use touchmark_journal::IdentityKind;

/// Planners, one per environment and kind of identity.
#[derive(Default)]
pub(crate) struct RenewalHints {
    planners: Mutex<HashMap<(EnvironmentName, IdentityKind), RenewalPlanner>>,
}

impl RenewalHints {
    /// For an answer with a certificate; one that was made just now is counted.
    pub(crate) fn with_answer(&self, enrolled: &Enrolled, now: Timestamp) -> RenewalHint {
        let (validity, draw) = (enrolled.certificate.validity(), draw(&enrolled.certificate.fingerprint()));
        let window =
            self.with(&enrolled.environment, enrolled.kind, validity, |planner| match enrolled.fresh {
                true => planner.plan(validity, draw, now),
                false => planner.window(validity, draw),
            });
        hint(window, now)
    }

    /// For a certificate that was handed out before.
    pub(crate) fn asked(
        &self,
        environment: &EnvironmentName,
        kind: IdentityKind,
        validity: Validity,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> RenewalHint {
        let window =
            self.with(environment, kind, validity, |planner| planner.window(validity, draw(fingerprint)));
        hint(window, now)
    }

    fn with(
        &self,
        environment: &EnvironmentName,
        kind: IdentityKind,
        validity: Validity,
        ask: impl FnOnce(&mut RenewalPlanner) -> RenewalWindow,
    ) -> RenewalWindow {
        let mut planners = self.planners.lock().unwrap_or_else(PoisonError::into_inner);
        let planner = planners
            .entry((environment.clone(), kind))
            .or_insert_with(|| RenewalPlanner::new(validity.lifetime()));
        ask(planner)
    }
}

fn draw(fingerprint: &Fingerprint) -> Draw {
    let mut draw = Draw::default();
    draw.copy_from_slice(&fingerprint.0[..16]);
    draw
}

fn hint(window: RenewalWindow, now: Timestamp) -> RenewalHint {
    let wait = window.start().since(now).as_secs().max(1);
    RenewalHint { window, retry_after: Some(Duration::from_secs(wait)) }
}
