//! CRLs: one per authority version and shard, signed again as the journal says and before it grows old.

use super::lock;
use super::place::{BATCH, Place};
use crate::issuance::hierarchy::{Hierarchy, Trust};
use crate::sha256;
use crate::steady_time::SteadyTime;
use crate::store::commit::Commits;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use touchmark_ca::{CRL_LIFETIME, CrlFault, ENDED_KEPT, Fill, sign_crl};
use touchmark_identity::{Actor, AuthorityVersionId, Timestamp};
use touchmark_inventory::{Command, Precondition, StoreFault};
use touchmark_journal::{CrlPublished, Draft, Envelope, Event, Scope};
use touchmark_projections::{CrlName, crl_changes};
use touchmark_x509::crl::CRL_ENTRIES_MAX;
use touchmark_x509::{Certificate, Signer};

/// Why a CRL stayed as it was.
#[derive(Debug, thiserror::Error)]
pub enum CrlPublishFault {
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// Signing or reading back.
    #[error(transparent)]
    Crl(#[from] CrlFault),
}

/// A CRL as it is served.
#[derive(Clone)]
pub(crate) struct Published {
    /// DER.
    pub der: Arc<Vec<u8>>,
    /// When it was made, as it says.
    pub this_update: Timestamp,
    /// When the next one is signed at the latest.
    pub due: Timestamp,
    pub number: u64,
    /// How full it is.
    fill: Fill,
    /// It says what all entries before this one recorded.
    read_to: u64,
}

/// Well before a CRL has more entries than its readers take, and at each further one.
fn tell(version: AuthorityVersionId, shard: u32, fill: Fill) {
    match fill {
        Fill::Low => {}
        Fill::Half => tracing::warn!(
            %version, shard, most = CRL_ENTRIES_MAX,
            "a CRL has half of the entries that its readers take at most: plan for another authority"
        ),
        Fill::High => tracing::error!(
            %version, shard, most = CRL_ENTRIES_MAX,
            "a CRL has 80 % of the entries that its readers take at most: another authority is needed soon"
        ),
        Fill::Over => tracing::error!(
            %version, shard, most = CRL_ENTRIES_MAX,
            "a CRL has more entries than readers take: it is signed and served, and some will refuse it"
        ),
    }
}

/// Of certificates that ended before it neither CRLs nor feeds say anything: a CRL names a revoked certificate once more
/// after its end (RFC 5280 §3.3), and clocks differ.
pub(crate) fn kept_from(time: &SteadyTime) -> Timestamp {
    let kept = ENDED_KEPT.as_secs();
    Timestamp::from_unix_s(time.at_least().unix_s().saturating_sub(kept))
}

/// The CRLs being served.
pub(crate) struct Crls {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    roots: Vec<RootCrl>,
    time: SteadyTime,
    published: Mutex<HashMap<CrlName, Published>>,
    place: Arc<Mutex<Place>>,
    /// One signing at a time keeps numbers rising without conflicts.
    signing: tokio::sync::Mutex<()>,
}

/// A root, whose CRL lists issuing authorities.
pub(crate) struct RootCrl {
    /// Its version.
    pub version: AuthorityVersionId,
    pub scope: Scope,
    /// Its certificate.
    pub certificate: Certificate,
    /// Its key.
    pub signer: Arc<dyn Signer>,
}

impl Crls {
    /// Nothing is served before [`Crls::refresh_all`]. `next` is the length of the journal.
    pub(crate) fn new(
        commits: Commits,
        hierarchy: Arc<Hierarchy>,
        roots: Vec<RootCrl>,
        time: SteadyTime,
        next: u64,
    ) -> Self {
        let place = Arc::new(Mutex::new(Place::at(next)));
        commits.pass_to_crls(place.clone());
        Self {
            commits,
            hierarchy,
            roots,
            time,
            published: Mutex::default(),
            place,
            signing: tokio::sync::Mutex::default(),
        }
    }

    /// The newest CRL of a shard.
    pub(crate) fn get(&self, version: AuthorityVersionId, shard: u32) -> Option<Published> {
        lock(&self.published).get(&(version, shard)).cloned()
    }

    /// Follows the journal, and signs whatever is missing or past half of its life.
    ///
    /// # Errors
    /// [`CrlPublishFault`] of the first that failed; the others were tried.
    pub(crate) async fn refresh_all(&self) -> Result<(), CrlPublishFault> {
        let mut outcome = self.follow().await;
        for trust in self.hierarchy.all() {
            for shard in self.shards(&trust)? {
                if self.is_due(trust.issuing.version(), shard) {
                    outcome = outcome.and(self.sign_issuing(&trust, shard, None).await);
                }
            }
        }
        for root in &self.roots {
            if self.is_due(root.version, 0) {
                let signed = self
                    .sign((root.version, 0), None, root.scope.clone(), &root.certificate, &*root.signer)
                    .await;
                outcome = outcome.and(signed);
            }
        }
        outcome
    }

    /// Signs again what entries changed that were recorded since.
    ///
    /// # Errors
    /// [`CrlPublishFault`]; the next call begins at the same entry.
    pub(crate) async fn follow(&self) -> Result<(), CrlPublishFault> {
        loop {
            let next = lock(&self.place).next();
            let entries = self.commits.store().journal_from(next, BATCH)?;
            let Some(last) = entries.last().map(|stored| stored.entry.seq) else { return Ok(()) };
            let mut changed = BTreeMap::new();
            for stored in &entries {
                let names = crl_changes(&stored.entry.event, &**self.commits.store())?;
                changed.extend(names.into_iter().map(|name| (name, stored.entry.seq)));
            }
            let mut outcome = Ok(());
            for trust in self.hierarchy.all() {
                for (&(_, shard), &seq) in
                    changed.iter().filter(|((version, _), _)| *version == trust.issuing.version())
                {
                    outcome = outcome.and(self.sign_issuing(&trust, shard, Some(seq)).await);
                }
            }
            outcome?;
            lock(&self.place).reached(last + 1);
        }
    }

    fn shards(&self, trust: &Trust) -> Result<std::ops::Range<u32>, CrlPublishFault> {
        let rows = self.commits.store().authorities()?;
        let row = rows.iter().find(|row| row.authority_version == trust.issuing.version());
        Ok(0..row.map_or(1, |row| row.crl_shards))
    }

    /// One that lies in the future was signed while the clock was ahead: nobody could use it.
    fn is_due(&self, version: AuthorityVersionId, shard: u32) -> bool {
        let now = self.time.to_sign();
        let due = |published: &Published| now >= published.due || published.this_update > now;
        lock(&self.published).get(&(version, shard)).is_none_or(due)
    }

    async fn sign_issuing(
        &self,
        trust: &Trust,
        shard: u32,
        named: Option<u64>,
    ) -> Result<(), CrlPublishFault> {
        let scope = Scope {
            organisation: trust.environment.scope.organisation.clone(),
            environment: Some(trust.environment.name.clone()),
        };
        let certificate = trust.issuing.certificate();
        let version = trust.issuing.version();
        let signer =
            self.hierarchy.signer(version).ok_or(CrlFault::Signing(touchmark_x509::SigningFault::Keeper))?;
        self.sign((version, shard), named, scope, certificate, &*signer).await
    }

    /// Signs one, unless there is one already that was made after the entry at `named`.
    async fn sign(
        &self,
        (version, shard): CrlName,
        named: Option<u64>,
        scope: Scope,
        issuer: &Certificate,
        signer: &dyn Signer,
    ) -> Result<(), CrlPublishFault> {
        let _turn = self.signing.lock().await;
        let read_to = |published: Published| published.read_to;
        if named.is_some_and(|seq| self.get(version, shard).map(read_to) > Some(seq)) {
            return Ok(());
        }
        let now = self.time.to_sign();
        let store = self.commits.store();
        let read_to = store.journal_len()?;
        let newest =
            store.crls()?.into_iter().find(|row| (row.authority_version, row.shard) == (version, shard));
        let number = newest.map_or(1, |row| row.number + 1);
        let revoked = store.revoked(version, shard, kept_from(&self.time))?;
        let entries =
            revoked.iter().filter_map(|row| Some((row.serial, row.revoked_at?, row.revocation_reason?)));
        let signed = sign_crl(issuer, signer, number, entries, now)?;
        let event = Event::CrlPublished(CrlPublished {
            authority_version: version,
            shard,
            number,
            sha256: sha256(&signed.der),
        });
        let actor = Actor::automation("crl".parse().expect("the word is a name"));
        let envelope = Envelope { scope, actor, cause: "crl".into(), at: now };
        let preconditions = vec![Precondition::CrlNumberAbove { authority_version: version, shard, number }];
        let entries = vec![Draft { envelope, event, private: None }];
        // A crash before this commit leaves the old CRL; after it, a number that is skipped.
        self.commits.commit(Command { preconditions, entries }).await?;
        let (this_update, due) = (signed.this_update, now.plus(CRL_LIFETIME / 2));
        let fill = signed.fill;
        let before =
            lock(&self.published).get(&(version, shard)).map(|published| (published.fill, published.due));
        // Once when it gets so full, and with each list that is made because of its age.
        if before.is_none_or(|(before, due)| fill > before || now >= due) {
            tell(version, shard, fill);
        }
        let published = Published { der: Arc::new(signed.der), this_update, due, number, fill, read_to };
        lock(&self.published).insert((version, shard), published);
        Ok(())
    }
}
