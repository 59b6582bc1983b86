//! The search for issuers: depth first, anchors before presented certificates, paid from one budget.
//!
//! An issuer is found by raw name bytes and exact key identifier, allowed by its own extensions, and proven
//! by its signature, in this order: the cheap checks come before the arithmetic.

use super::{DEPTH_MAX, Named, PathFault, Purpose, SIGNATURES_MAX, in_time, understood};
use crate::certificate::{Certificate, KEY_CERT_SIGN};
use crate::extensions::ANY_EXTENDED_KEY_USAGE;
use touchmark_identity::Timestamp;

pub(super) struct Search<'a> {
    presented: &'a [Certificate],
    anchors: &'a [Certificate],
    now: Timestamp,
    purpose: Purpose,
    signatures_left: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        presented: &'a [Certificate],
        anchors: &'a [Certificate],
        now: Timestamp,
        purpose: Purpose,
    ) -> Self {
        Self { presented, anchors, now, purpose, signatures_left: SIGNATURES_MAX }
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
        for anchor in self.anchors.iter().filter(|anchor| may_have_issued(anchor, below)) {
            match self.accept(anchor, below, between) {
                Ok(()) => return Ok((between.clone(), anchor.clone())),
                Err(PathFault::BudgetExhausted) => return Err(PathFault::BudgetExhausted),
                Err(fault) => note(fault),
            }
        }
        for issuer in self.presented.iter().filter(|issuer| may_have_issued(issuer, below)) {
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
        self.signatures_left = self.signatures_left.checked_sub(1).ok_or(PathFault::BudgetExhausted)?;
        issuer
            .public_key()
            .verify(below.signature_algorithm(), below.tbs_der(), below.signature())
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

/// Names as raw bytes (case folding has fooled others), and the key identifier exactly, where one is named.
fn may_have_issued(issuer: &Certificate, below: &Certificate) -> bool {
    issuer.subject_der() == below.issuer_der()
        && below.authority_key_id().is_none_or(|id| issuer.subject_key_id() == Some(id))
}
