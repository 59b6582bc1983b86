//! The port between what is decided and what is durable.
//!
//! A [`Command`] is a list of preconditions and the entries to append if they all hold. Commands of many
//! callers share one durable commit; each is accepted or refused by itself. Rows change only by [`crate::project`].

use crate::facts::{Facts, Query};
use crate::rows::*;
use touchmark_identity::{
    AuthorityVersionId, CertificateId, DeviceId, EnvironmentName, Fingerprint, MakerId, Name, SerialNumber,
    SpkiHash, Timestamp, TokenId,
};
use touchmark_journal::{Draft, Entry, IdentityKind, Standing};

/// Whose a key is: one device, or one operator or service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A device, registered or about to be.
    Device(DeviceId),
    /// An operator or service: their names are the organisation's.
    Party {
        /// Operator or service.
        kind: IdentityKind,
        name: Name,
    },
}

impl Holder {
    /// The device, service or operator of a certificate; `None` once it is erased.
    pub fn of(row: &CertificateRow) -> Option<Self> {
        match (row.device, &row.identity) {
            (Some(device), _) => Some(Self::Device(device)),
            (None, Some(identity)) => Some(Self::Party { kind: row.kind, name: identity.name.clone() }),
            (None, None) => None,
        }
    }
}

/// What must hold inside the transaction for a command to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The token has a use left, is not void and has not expired.
    TokenUsable { token: TokenId, now: Timestamp },
    /// No device has this name.
    DeviceNameFree { environment: EnvironmentName, name: Name },
    /// The device has this standing.
    DeviceStanding { device: DeviceId, standing: Standing },
    /// No certificate was ever intended with this serial under this authority version.
    SerialFree {
        /// Under whom.
        authority_version: AuthorityVersionId,
        serial: SerialNumber,
    },
    /// The key is not denied, and no certificate of anybody else holds it. Burned intents hold nothing:
    /// nobody was handed a certificate for them.
    KeyUsable {
        spki: SpkiHash,
        /// Who may hold it already.
        holder: Holder,
    },
    /// The certificate is in this state.
    CertificateInState { certificate: CertificateId, state: CertificateState },
    /// The certificate, or its intent, is neither revoked nor burned.
    CertificateAlive(CertificateId),
    /// The device is known and not banned.
    DeviceNotBanned(DeviceId),
    /// The device is in quarantine, and its end is this one.
    QuarantinedUntil {
        device: DeviceId,
        /// The end.
        until: Option<Timestamp>,
    },
    /// The device was last revoked then: not since the caller read it.
    DeviceRevokedAt {
        device: DeviceId,
        /// When; `None` for never.
        at: Option<Timestamp>,
    },
    /// The newest certificate of a holder, intents included, has this generation, or there is none and it is 0.
    /// Every certificate's is higher than those before: none came while the caller decided.
    NewestGeneration { holder: Holder, generation: u64 },
    /// No operator or service of this kind and name belongs to another environment: their names are the
    /// organisation's.
    PartyHome {
        /// Operator or service.
        kind: IdentityKind,
        name: Name,
        /// Where it may be known already.
        environment: EnvironmentName,
    },
    /// This piece of hardware is not expected to become another device.
    HardwareFree {
        environment: EnvironmentName,
        /// Who made it.
        maker: MakerId,
        /// Its identifier.
        hardware_id: String,
        /// What it may be expected to become already.
        device: DeviceId,
    },
    /// This piece of hardware is expected to become this device, its maker is in force, and nothing made it void.
    HardwareUsable {
        environment: EnvironmentName,
        /// Who made it.
        maker: MakerId,
        /// Its identifier.
        hardware_id: String,
        device: DeviceId,
    },
    /// No maker in force has this name.
    MakerFree { environment: EnvironmentName, name: Name },
    /// No environment has this name. (A trust domain that is taken is refused as a key: `UniqueKey`.)
    EnvironmentFree { name: EnvironmentName },
    /// The newest CRL of the shard has a lower number.
    CrlNumberAbove {
        authority_version: AuthorityVersionId,
        /// Which shard.
        shard: u32,
        /// The number to publish.
        number: u64,
    },
}

/// One all-or-nothing change.
#[derive(Clone, Debug)]
pub struct Command {
    /// All must hold.
    pub preconditions: Vec<Precondition>,
    /// Appended in order. What dies by a revocation by set is found as the command is accepted: see [`crate::Dying`].
    pub entries: Vec<Draft>,
}

/// Durable: the entries have their places in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Place of the command's first entry.
    pub first_seq: u64,
    /// How many entries: more than the command had, when one leaf cannot hold all that died.
    pub entries: u64,
}

/// A command was refused: nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("precondition does not hold: {failed:?}")]
pub struct Conflict {
    /// The first precondition that does not hold.
    pub failed: Precondition,
}

/// Why a commit or read gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// The caller's picture was out of date; nothing was written.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The storage failed: an operator must act. Whether the command was stored is unknown.
    #[error("storage failed: {0}")]
    Storage(String),
    /// There is no space left: whoever runs the machine must make some. Nothing was written.
    #[error("the disk is full")]
    DiskFull,
    /// A row or entry is not one that this program writes.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// Too much is queued; ask again later. Nothing was written.
    #[error("the commit queue is full")]
    Busy,
}

/// Called once with the outcome, from the store's own thread: it must not block.
pub type CommitDone = Box<dyn FnOnce(Result<Receipt, StoreFault>) + Send>;

/// An entry with the bytes of its leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// The entry.
    pub entry: Entry,
    /// What the log holds.
    pub leaf: Vec<u8>,
}

/// The newest signed head of the journal's log, kept beside the rows so that it never goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// Leaves.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

/// Which devices a page lists, in order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFilter {
    /// Only this environment.
    pub environment: Option<EnvironmentName>,
    /// Only names after this one (keyset paging).
    pub after: Option<Name>,
    /// Only this standing.
    pub standing: Option<Standing>,
    /// At most this many, and then those of the last one's name in other environments: a page never ends
    /// between two of one name, so that paging by name skips none.
    pub limit: usize,
}

/// Rows and journal, together. Two implementations: memory and SQLite.
pub trait Store: Send + Sync {
    /// Queues a command; `done` is called once it is durable or refused.
    fn submit(&self, command: Command, done: CommitDone);

    /// Queues a command and waits: for callers that own their thread.
    ///
    /// # Errors
    /// As [`StoreFault`] says.
    fn commit(&self, command: Command) -> Result<Receipt, StoreFault> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        self.submit(
            command,
            Box::new(move |outcome| {
                // The waiter is this function; it cannot have gone away.
                let _ = tell.send(outcome);
            }),
        );
        told.recv().map_err(|_| StoreFault::Storage("the store stopped".into()))?
    }

    /// Entries from `seq` on, at most `limit`.
    fn journal_from(&self, seq: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreFault>;
    /// How many entries there are.
    fn journal_len(&self) -> Result<u64, StoreFault>;
    /// Entries that concern a device, newest first.
    fn journal_of_device(&self, device: DeviceId, limit: usize) -> Result<Vec<StoredEntry>, StoreFault>;

    /// The newest signed head.
    fn log_head(&self) -> Result<Option<LogHead>, StoreFault>;
    /// Replaces the head if its size is `from` (0 for none): compare and swap, durable.
    fn advance_log_head(&self, from: u64, head: LogHead) -> Result<(), StoreFault>;

    /// (epoch, incarnation) of the last start; `(0, 1)` before the first.
    fn started(&self) -> Result<(u64, u8), StoreFault>;
    /// What one decision asks, of one moment; `None` where there is no such row.
    fn facts(&self, query: &Query) -> Result<Option<Facts>, StoreFault>;

    /// All authority versions.
    fn authorities(&self) -> Result<Vec<AuthorityRow>, StoreFault>;
    /// All environments.
    fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreFault>;
    /// All profile versions, oldest first.
    fn profiles(&self) -> Result<Vec<ProfileRow>, StoreFault>;
    /// All operators and services.
    fn parties(&self) -> Result<Vec<PartyRow>, StoreFault>;
    /// The policy in force in an environment.
    fn policy(&self, environment: &EnvironmentName) -> Result<Option<PolicyRow>, StoreFault>;

    /// The token with this password hash.
    fn token_by_secret(&self, secret_sha256: &[u8; 32]) -> Result<Option<TokenRow>, StoreFault>;
    /// The token with this identifier.
    fn token(&self, token: TokenId) -> Result<Option<TokenRow>, StoreFault>;
    /// Tokens of an environment that were made before `before`, newest first, at most `limit` (keyset paging).
    fn tokens(
        &self,
        environment: &EnvironmentName,
        before: Option<TokenId>,
        limit: usize,
    ) -> Result<Vec<TokenRow>, StoreFault>;
    /// The device with this name.
    fn device_by_name(
        &self,
        environment: &EnvironmentName,
        name: &Name,
    ) -> Result<Option<DeviceRow>, StoreFault>;
    /// Devices of this name in any environment.
    fn devices_named(&self, name: &Name) -> Result<Vec<DeviceRow>, StoreFault>;
    /// The device with this identifier.
    fn device(&self, device: DeviceId) -> Result<Option<DeviceRow>, StoreFault>;
    /// What an environment knows by this handle.
    fn identity(
        &self,
        environment: &EnvironmentName,
        kind: IdentityKind,
        handle: &Name,
    ) -> Result<Option<IdentityRow>, StoreFault>;
    /// All identities of a device, ordered by environment, kind and handle.
    fn identities_of_device(&self, device: DeviceId) -> Result<Vec<IdentityRow>, StoreFault>;
    /// A page of devices.
    fn devices(&self, filter: &DeviceFilter) -> Result<Vec<DeviceRow>, StoreFault>;
    /// Devices that are quarantined or banned, in an environment.
    fn standing_exceptions(&self, environment: &EnvironmentName) -> Result<Vec<DeviceRow>, StoreFault>;

    /// The certificate with this identifier.
    fn certificate(&self, certificate: CertificateId) -> Result<Option<CertificateRow>, StoreFault>;
    /// The certificate with this hash.
    fn certificate_by_fingerprint(
        &self,
        fingerprint: &Fingerprint,
    ) -> Result<Option<CertificateRow>, StoreFault>;
    /// Certificates with this serial, under any authority version.
    fn certificates_by_serial(&self, serial: &SerialNumber) -> Result<Vec<CertificateRow>, StoreFault>;
    /// Certificates with this key.
    fn certificates_by_key(&self, spki: &SpkiHash) -> Result<Vec<CertificateRow>, StoreFault>;
    /// All certificates of a device, the highest generation first.
    fn certificates_of_device(&self, device: DeviceId) -> Result<Vec<CertificateRow>, StoreFault>;
    /// All certificates of an operator or service, the highest generation first.
    fn certificates_of_party(
        &self,
        kind: IdentityKind,
        name: &Name,
    ) -> Result<Vec<CertificateRow>, StoreFault>;
    /// The certificates of a holder that are intended, issued or confirmed, newest first: few, whatever its age.
    fn current_certificates(&self, holder: &Holder) -> Result<Vec<CertificateRow>, StoreFault>;
    /// The certificates that were given on the word of this one, intents included, newest first.
    fn successors_of(&self, certificate: CertificateId) -> Result<Vec<CertificateRow>, StoreFault>;
    /// Intents that were neither issued nor burned.
    fn open_intents(&self) -> Result<Vec<CertificateRow>, StoreFault>;
    /// Revoked and burned certificates of a CRL shard that had not expired at `now`.
    fn revoked(
        &self,
        authority_version: AuthorityVersionId,
        shard: u32,
        now: Timestamp,
    ) -> Result<Vec<CertificateRow>, StoreFault>;
    /// Superseded certificates of an environment that had not expired at `now`.
    fn superseded(
        &self,
        environment: &EnvironmentName,
        now: Timestamp,
    ) -> Result<Vec<CertificateRow>, StoreFault>;
    /// Superseded certificates of a kind whose overlap is over and that had not expired at `now`: those that were
    /// refused first come first, at most `limit`.
    fn superseded_due(
        &self,
        environment: &EnvironmentName,
        kind: IdentityKind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<CertificateRow>, StoreFault>;
    /// Denied keys of an environment.
    fn denied_keys(&self, environment: &EnvironmentName) -> Result<Vec<DeniedKeyRow>, StoreFault>;

    /// How a device's renewals went; `None` before the first.
    fn renewals_of(&self, device: DeviceId) -> Result<Option<RenewalRow>, StoreFault>;
    /// All makers of an environment, by name and then by age, withdrawn ones too.
    fn makers(&self, environment: &EnvironmentName) -> Result<Vec<MakerRow>, StoreFault>;
    /// A piece of hardware that is expected.
    fn hardware(
        &self,
        environment: &EnvironmentName,
        maker: MakerId,
        hardware_id: &str,
    ) -> Result<Option<HardwareRow>, StoreFault>;
    /// What is expected to become a device.
    fn hardware_of_device(&self, device: DeviceId) -> Result<Vec<HardwareRow>, StoreFault>;

    /// The newest CRL of each shard.
    fn crls(&self) -> Result<Vec<CrlRow>, StoreFault>;
    /// What was said of gateways that do not run, ended absences included.
    fn gateway_absences(&self) -> Result<Vec<GatewayAbsenceRow>, StoreFault>;
    /// What each gateway last reported.
    fn enforcements(&self) -> Result<Vec<EnforcementRow>, StoreFault>;

    /// Adds counts from a decision log to the sightings, with the log's new position, durably and together.
    /// `position` is the next expected sequence number of that gateway and epoch.
    fn add_sightings(
        &self,
        gateway: &Name,
        position: (u32, u64),
        sightings: &[SightingRow],
    ) -> Result<(), StoreFault>;
    /// The position given to the last [`Store::add_sightings`] of a gateway.
    fn sightings_position(&self, gateway: &Name) -> Result<Option<(u32, u64)>, StoreFault>;
    /// Where a certificate was used, in order of relying party, action and resource.
    fn sightings_of(&self, fingerprint: &Fingerprint) -> Result<Vec<SightingRow>, StoreFault>;

    /// Every derived row as one line of text, sorted: equal dumps mean equal rows. Sightings are left out.
    fn dump_rows(&self) -> Result<Vec<String>, StoreFault>;
}
