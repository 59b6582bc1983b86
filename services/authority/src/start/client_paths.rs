//! Which client certificates finish a handshake, port by port. What they may do is asked on every request.
//!
//! In: a chain as sent, and the moment. Out: yes, or a refusal that becomes a TLS alert and a counter.

use crate::issuance::hierarchy::{Hierarchy, Trust};
use crate::issuance::makers::Makers;
use std::sync::Arc;
use touchmark_identity::Timestamp;
use touchmark_listen::{PathCheck, PathRefusal};
use touchmark_x509::Certificate;
use touchmark_x509::path::{Budget, Purpose, validate_within};

const MALFORMED: PathRefusal = PathRefusal { code: "path-malformed" };
const UNKNOWN_ISSUER: PathRefusal = PathRefusal { code: "path-unknown-issuer" };

/// The API port: a certificate of any of our environments, valid now.
pub(super) struct ApiPaths {
    pub(super) hierarchy: Arc<Hierarchy>,
    /// What we sign has the smaller s from here on.
    pub(super) low_s_since: Timestamp,
}

/// The EST port: a certificate of any of our environments, over or not, since what comes late may still renew
/// within its profile's grace. Nothing on that port may take the handshake's word for a certificate's time:
/// `simpleenroll` does not look at a certificate of ours, and what rests on one judges its row. Else a maker's initial
/// certificate, valid now, which opens `simpleenroll` and nothing else.
pub(super) struct EnrolmentPaths {
    pub(super) hierarchy: Arc<Hierarchy>,
    pub(super) makers: Arc<Makers>,
    pub(super) low_s_since: Timestamp,
}

impl PathCheck for ApiPaths {
    fn check(&self, leaf: &[u8], intermediates: &[&[u8]], now: Timestamp) -> Result<(), PathRefusal> {
        let shown = ClientChain::read(leaf, intermediates)?;
        let mut budget = Budget::default();
        shown.leads_to_any(&self.hierarchy.all(), now, Purpose::Client, self.low_s_since, &mut budget)
    }
}

impl PathCheck for EnrolmentPaths {
    fn check(&self, leaf: &[u8], intermediates: &[&[u8]], now: Timestamp) -> Result<(), PathRefusal> {
        let shown = ClientChain::read(leaf, intermediates)?;
        let trusts = self.hierarchy.all();
        // One for both searches: whoever is at the other end has proven nothing yet.
        let mut budget = Budget::default();
        let ours = shown.leads_to_any(&trusts, now, Purpose::Renewal, self.low_s_since, &mut budget);
        if ours.is_ok() {
            return ours;
        }
        self.makers.vouch(&shown.leaf, &shown.presented, now, &mut budget).or_else(|fault| match fault {
            _ if shown.names_an_issuer_of(&trusts) => ours,
            Some(fault) => Err(PathRefusal { code: fault.code() }),
            None => Err(UNKNOWN_ISSUER),
        })
    }
}

struct ClientChain {
    leaf: Certificate,
    presented: Vec<Certificate>,
}

impl ClientChain {
    fn read(leaf: &[u8], intermediates: &[&[u8]]) -> Result<Self, PathRefusal> {
        let leaf = Certificate::from_der(leaf).map_err(|_| MALFORMED)?;
        let presented = intermediates.iter().map(|der| Certificate::from_der(der)).collect::<Result<_, _>>();
        Ok(Self { leaf, presented: presented.map_err(|_| MALFORMED)? })
    }

    /// Then we have more to say about it than any maker.
    fn names_an_issuer_of(&self, trusts: &[Arc<Trust>]) -> bool {
        let issuers = trusts.iter().flat_map(|trust| trust.chain());
        issuers.into_iter().any(|issuer| issuer.subject_der() == self.leaf.issuer_der())
    }

    /// One search over the anchors of all environments: their number must not multiply what a stranger costs.
    fn leads_to_any(
        &self,
        trusts: &[Arc<Trust>],
        now: Timestamp,
        purpose: Purpose,
        low_s_since: Timestamp,
        budget: &mut Budget,
    ) -> Result<(), PathRefusal> {
        let anchors: Vec<_> = trusts.iter().flat_map(|trust| trust.above()).collect();
        validate_within(budget, &self.leaf, &self.presented, &anchors, now, purpose)
            .and_then(|path| path.in_our_form(low_s_since))
            .map(drop)
            .map_err(|fault| PathRefusal { code: fault.code() })
    }
}

#[cfg(test)]
mod tests;
