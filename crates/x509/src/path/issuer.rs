//! The search for issuers: depth first, anchors before presented certificates, paid from one budget.
//!
//! An issuer is found by name and exact key identifier, allowed by its own extensions, and proven
//! by its signature, in this order: the cheap checks come before the arithmetic. What cannot lead to an anchor by names
//! and key identifiers is not looked at.

use super::{Budget, DEPTH_MAX, Named, PathFault, Purpose, in_time, understood};
use crate::certificate::{Certificate, KEY_CERT_SIGN};
use crate::extensions::ANY_EXTENDED_KEY_USAGE;
use touchmark_identity::Timestamp;

pub(super) struct Search<'a> {
    presented: Vec<&'a Certificate>,
    anchors: Vec<&'a Certificate>,
    now: Timestamp,
    purpose: Purpose,
    budget: &'a mut Budget,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        budget: &'a mut Budget,
        leaf: &'a Certificate,
        presented: &'a [Certificate],
        anchors: &'a [Certificate],
        now: Timestamp,
        purpose: Purpose,
    ) -> Self {
        // An anchor that several environments share is one.
        let mut of_use: Vec<&Certificate> = Vec::new();
        for anchor in anchors {
            let issues = |below| may_have_issued(anchor, below);
            if (issues(leaf) || presented.iter().any(issues)) && !of_use.contains(&anchor) {
                of_use.push(anchor);
            }
        }
        Self { presented: leading_to(&of_use, presented), anchors: of_use, now, purpose, budget }
    }

    /// Finds the way from `below` to an anchor. `between` holds the authorities already on the path, leaf side first.
    pub(super) fn climb(
        &mut self,
        below: &Certificate,
        between: &mut Vec<Certificate>,
    ) -> Result<(Vec<Certificate>, Certificate), PathFault> {
        // Leaf, those between, and the issuer that is looked for now.
        if between.len() + 2 > DEPTH_MAX {
            return Err(PathFault::TooDeep);
        }
        let mut telling: Option<PathFault> = None;
        let mut note = |fault: PathFault| {
            if !matches!(fault, PathFault::UnknownIssuer { .. }) {
                telling.get_or_insert(fault);
            }
        };
        for at in 0..self.anchors.len() {
            let Some(anchor) = self.anchors.get(at).copied().filter(|anchor| may_have_issued(anchor, below))
            else {
                continue;
            };
            match self.accept(anchor, below, between) {
                Ok(()) => return Ok((between.clone(), anchor.clone())),
                Err(PathFault::BudgetExhausted) => return Err(PathFault::BudgetExhausted),
                Err(fault) => note(fault),
            }
        }
        for at in 0..self.presented.len() {
            let Some(issuer) =
                self.presented.get(at).copied().filter(|issuer| may_have_issued(issuer, below))
            else {
                continue;
            };
            // The same name and key a second time cannot lead anywhere new: it is a circle.
            let seen = |known: &Certificate| {
                known.subject_der() == issuer.subject_der() && known.public_key() == issuer.public_key()
            };
            if between.iter().any(seen) || seen(below) {
                continue;
            }
            let climbed = self.accept(issuer, below, between).and_then(|()| {
                between.push(issuer.clone());
                let climbed = self.climb(issuer, between);
                between.pop();
                climbed
            });
            match climbed {
                Ok(path) => return Ok(path),
                Err(PathFault::BudgetExhausted) => return Err(PathFault::BudgetExhausted),
                Err(fault) => note(fault),
            }
        }
        Err(telling.unwrap_or_else(|| PathFault::UnknownIssuer { subject: Named::of(below) }))
    }

    fn accept(
        &mut self,
        issuer: &Certificate,
        below: &Certificate,
        between: &[Certificate],
    ) -> Result<(), PathFault> {
        may_issue(issuer, self.now, self.purpose)?;
        // RFC 5280 §6.1.4 (l): self-issued certificates, as in a key roll-over, do not count.
        let counted = between.iter().filter(|authority| !authority.is_self_issued()).count();
        if issuer.path_len().is_some_and(|most| u32::try_from(counted).unwrap_or(u32::MAX) > most) {
            return Err(PathFault::PathLength { subject: Named::of(issuer) });
        }
        let key = issuer.public_key();
        self.budget.pay(key.algorithm())?;
        key.verify(below.signature_algorithm(), below.tbs_der(), below.signature())
            .map_err(|_| PathFault::BadSignature { subject: Named::of(below) })
    }
}

/// What an authority's own certificate must allow, wherever on a path it stands.
pub(super) fn may_issue(issuer: &Certificate, now: Timestamp, purpose: Purpose) -> Result<(), PathFault> {
    let subject = || Named::of(issuer);
    in_time(issuer, now)?;
    understood(issuer)?;
    if issuer.has_name_constraints() {
        return Err(PathFault::NameConstraints { subject: subject() });
    }
    if !issuer.is_ca() {
        return Err(PathFault::NotAnAuthority { subject: subject() });
    }
    // RFC 5280 §4.2.1.3: keyUsage must be there in an authority's certificate.
    let may_sign = issuer.key_usage().map_or(purpose.trusts_silence(), |usage| usage & KEY_CERT_SIGN != 0);
    if !may_sign {
        return Err(PathFault::KeyUsage { subject: subject() });
    }
    let wide_enough = issuer.extended_key_usages().is_none_or(|usages| {
        usages.contains(&purpose.usage()) || usages.iter().any(|usage| usage.oid() == ANY_EXTENDED_KEY_USAGE)
    });
    if !wide_enough {
        return Err(PathFault::NotAuthorised { subject: subject(), purpose });
    }
    Ok(())
}

/// Those of `presented` that have a way to an anchor by names and key identifiers, in their order.
fn leading_to<'a>(anchors: &[&Certificate], presented: &'a [Certificate]) -> Vec<&'a Certificate> {
    let mut leads: Vec<bool> =
        presented.iter().map(|below| anchors.iter().any(|anchor| may_have_issued(anchor, below))).collect();
    // Each round that changes nothing is the last: at most as many rounds as certificates.
    loop {
        let leading: Vec<_> =
            presented.iter().zip(&leads).filter(|(_, leads)| **leads).map(|(c, _)| c).collect();
        let more: Vec<bool> = presented
            .iter()
            .zip(&leads)
            .map(|(below, leads)| *leads || leading.iter().any(|issuer| may_have_issued(issuer, below)))
            .collect();
        if more == leads {
            return leading;
        }
        leads = more;
    }
}

/// The key identifier exactly, where one is named, and the name as RFC 5280 §7.1 compares names: the signature decides.
fn may_have_issued(issuer: &Certificate, below: &Certificate) -> bool {
    below.names_as_issuer(issuer)
}
