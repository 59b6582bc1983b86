//! Audit from outside: the journal's log, its entries, the rows, and every gateway's decision log, recomputed
//! from the files alone. Works beside a running authority; shares no state with it.

pub(crate) mod archive;
pub(crate) mod explain;
pub(crate) mod journal_log;
pub(crate) mod log_rebuild;
pub(crate) mod refusals;
pub(crate) mod sightings;

mod decisions;
#[cfg(test)]
mod tests;

use crate::audit::archive::ArchiveFault;
use crate::config::{database, decisions as archives, log, log_vkey};
use crate::store::SqliteStore;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};
use touchmark_identity::{CertificateId, DeviceId, Name};
use touchmark_inventory::{LogHead, Store, StoreFault, StoredEntry, Tables, concerned_device, project};
use touchmark_journal::{Entry, Event, Private};
use touchmark_tilelog::{AuditReport, WitnessFinding, audit_dir};
use touchmark_tlog::{Checkpoint, Frontier, Hash, VerifierKey, leaf_hash, open_note};

/// Entries read from the database at a time.
const BATCH: usize = 4096;

/// How long a missing head may be on its way into the database, and how often to look.
const FIRST_MOMENT: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What does not hold. Every fault names the first place.
#[derive(Debug, thiserror::Error)]
pub enum AuditFault {
    /// There is nothing to audit here.
    #[error("{0} holds no journal")]
    NoJournal(std::path::PathBuf),
    /// The key file.
    #[error("the log's verifier key cannot be read")]
    Key,
    /// The witness is not a head of this log.
    #[error("the witness is not a signed head of this log: {0}")]
    Witness(String),
    /// The tiles, the head, or the comparison with the witness.
    #[error("journal log: {0}")]
    Log(#[from] touchmark_tilelog::AuditFault),
    /// The database.
    #[error("database: {0}")]
    Store(#[from] StoreFault),
    /// An entry's private part, or its place.
    #[error("journal entry {seq}: {what}")]
    Entry { seq: u64, what: String },
    /// The log holds other leaves than the database.
    #[error("journal entry {seq} in the database is not the leaf in the log")]
    Leaf { seq: u64 },
    /// The head that the database holds as the floor of the log.
    #[error("the log head in the database: {0}")]
    Head(String),
    /// Rows that the journal does not explain.
    #[error("the rows differ from what the journal says; first difference: {0}")]
    Rows(String),
    /// A decision log.
    #[error("decision log of {gateway}: {what}")]
    Decisions { gateway: Name, what: String },
    /// The archives.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
}

/// A decision log that holds.
#[derive(Clone, Debug, Serialize)]
pub struct GatewayAudit {
    pub gateway: String,
    /// Frames.
    pub frames: u64,
    /// Decisions.
    pub decisions: u64,
    /// Crashes of the gateway, each of which may have taken the acts of up to 50 ms.
    pub gaps: u64,
    /// The last of them, with its bounds.
    pub last_gap: Option<String>,
    /// Frames covered by a verified head.
    pub covered: u64,
    /// Octets behind the last whole frame: the beginning of one that is being written, or was at a crash.
    /// Nobody was told that it is here.
    pub unfinished: u64,
    /// Rows of sightings that the decisions gave again.
    pub sightings: usize,
}

/// Everything holds.
#[derive(Clone, Debug, Serialize)]
pub struct AuditOutcome {
    /// Leaves under the journal's head.
    pub size: u64,
    /// Its root, hexadecimal.
    pub root: String,
    /// Entries in the database, those after the head included.
    pub entries: u64,
    /// Rows that a replay of the journal gave again.
    pub rows: usize,
    /// What was compared with an outside head.
    pub witness: String,
    /// Every gateway's decision log.
    pub gateways: Vec<GatewayAudit>,
    /// The signed head, to be kept as a witness.
    pub checkpoint: String,
}

impl fmt::Display for AuditOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "journal   {} leaves under the signed head, root {}", self.size, self.root)?;
        writeln!(f, "entries   {} in the database, each the leaf that the log holds", self.entries)?;
        writeln!(f, "rows      {} equal a replay of the journal", self.rows)?;
        for gateway in &self.gateways {
            writeln!(
                f,
                "decisions {}: {} decisions in {} frames, none missing; {} frames under its signed head; {} sightings add up",
                gateway.gateway, gateway.decisions, gateway.frames, gateway.covered, gateway.sightings
            )?;
            if let Some(gap) = &gateway.last_gap {
                writeln!(
                    f,
                    "          {}: {} crashes; at the last one, {gap}",
                    gateway.gateway, gateway.gaps
                )?;
            }
            if gateway.unfinished > 0 {
                writeln!(
                    f,
                    "          {}: {} octets of a frame that is being written, or was when the authority died",
                    gateway.gateway, gateway.unfinished
                )?;
            }
        }
        if self.gateways.is_empty() {
            writeln!(f, "decisions no data")?;
        }
        write!(f, "witness   {}", self.witness)
    }
}

/// Audits everything below a data directory.
///
/// # Errors
/// [`AuditFault`]: the first thing that does not hold.
pub fn verify(data: &Path, witness: Option<&str>) -> Result<AuditOutcome, AuditFault> {
    let since = Instant::now();
    loop {
        match look(data, witness) {
            // In an authority's first moment the log's head is signed before the database has it.
            Err(AuditFault::Head(_)) if since.elapsed() < FIRST_MOMENT => std::thread::sleep(LOOK_AGAIN),
            outcome => return outcome,
        }
    }
}

fn look(data: &Path, witness: Option<&str>) -> Result<AuditOutcome, AuditFault> {
    if !database(data).exists() {
        return Err(AuditFault::NoJournal(data.to_owned()));
    }
    let key: VerifierKey = std::fs::read_to_string(log_vkey(data))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or(AuditFault::Key)?;
    let witness: Option<Checkpoint> = witness
        .map(|note| open_note(note, &key).map_err(|fault| AuditFault::Witness(fault.to_string())))
        .transpose()?;
    let store = SqliteStore::open_to_read(&database(data))?;
    // Before the log: a running authority signs the log's head first.
    let floor = store.log_head()?;
    let mut leaves: Vec<Hash> = Vec::new();
    let report = audit_dir(&log(data), &key, witness.as_ref(), |index, leaf| {
        leaves.push(leaf_hash(leaf));
        Entry::read(index, leaf, None).map(drop).map_err(|fault| fault.to_string())
    })?;
    audit_floor(floor.as_ref(), &key, &report, &leaves)?;
    let Replayed { entries, rows } = replay(&store, &report, &leaves)?;
    Ok(AuditOutcome {
        size: report.size,
        root: report.root.to_string(),
        entries,
        rows,
        witness: match report.witness {
            WitnessFinding::Compared { size } => format!("compared with an outside head of {size} leaves"),
            WitnessFinding::NotCompared => "not compared with an outside head".to_owned(),
        },
        gateways: decisions::audit(&archives(data), &store)?,
        checkpoint: report.note,
    })
}

/// The head that the database holds keeps the log from being cut back: it must be one of this log's own.
fn audit_floor(
    floor: Option<&LogHead>,
    key: &VerifierKey,
    report: &AuditReport,
    leaves: &[Hash],
) -> Result<(), AuditFault> {
    let fault = |what: String| Err(AuditFault::Head(what));
    let Some(floor) = floor else {
        return match report.size {
            0 => Ok(()),
            leaves => fault(format!("it is gone, the log has {leaves} leaves")),
        };
    };
    let head = match open_note(&floor.note, key) {
        Ok(head) => head,
        Err(why) => return fault(why.to_string()),
    };
    if head.size != floor.size {
        return fault(format!("its row says {} leaves, its note {}", floor.size, head.size));
    }
    let size = usize::try_from(head.size).ok().filter(|size| *size <= leaves.len());
    let Some(covered) = size.and_then(|size| leaves.get(..size)) else {
        return fault(format!("it covers {} leaves, the log's own {}", head.size, report.size));
    };
    let mut frontier = Frontier::new();
    covered.iter().for_each(|leaf| frontier.append(*leaf));
    if frontier.root() != head.root {
        return fault("it was signed over other leaves".into());
    }
    Ok(())
}

/// What a replay of the journal gave.
struct Replayed {
    entries: u64,
    rows: usize,
}

/// What stands beside the rows, to find them by: it must follow from the journal as they do.
#[derive(Default)]
struct Beside {
    devices: HashMap<CertificateId, DeviceId>,
    parties: BTreeMap<CertificateId, Name>,
}

impl Beside {
    fn follow(&mut self, stored: &StoredEntry) {
        let Event::CertificateIntended(intended) = &stored.entry.event else { return };
        match (intended.device, &stored.entry.private) {
            (Some(device), _) => drop(self.devices.insert(intended.certificate, device)),
            (None, Some(Private::Intent(private))) => {
                self.parties.insert(intended.certificate, private.identity.name.clone());
            }
            (None, _) => {}
        }
    }

    fn device_of(&self, stored: &StoredEntry) -> Option<DeviceId> {
        concerned_device(&stored.entry.event, |certificate| self.devices.get(&certificate).copied())
    }

    /// The first certificate whose party is not the one in the journal.
    fn other_party(&self, stored: &[(CertificateId, Name)]) -> Option<String> {
        let stored: BTreeMap<&CertificateId, &Name> = stored.iter().map(|(id, party)| (id, party)).collect();
        let wrong = self.parties.iter().find(|(id, party)| stored.get(id) != Some(party)).map(|(id, _)| id);
        let more = || stored.keys().find(|id| !self.parties.contains_key(id)).copied();
        let certificate = wrong.or_else(more)?;
        let word = |party: Option<&Name>| party.map_or("none".to_owned(), |party| format!("`{party}`"));
        let (says, expected) = (stored.get(certificate).copied(), self.parties.get(certificate));
        Some(format!(
            "certificate {certificate} has party {}, its journal entry {}",
            word(says),
            word(expected)
        ))
    }
}

/// Whether an event says only half without its private part. Nothing erases one yet, so none may be missing.
fn has_private_part(event: &Event) -> bool {
    match event {
        Event::TokenCreated(_)
        | Event::DeviceRegistered(_)
        | Event::CertificateIntended(_)
        | Event::CertificateIssued(_)
        | Event::HardwareRegistered(_) => true,
        Event::AuthorityCreated(_)
        | Event::EnvironmentCreated(_)
        | Event::ProfileActivated(_)
        | Event::PartyRegistered(_)
        | Event::CertificateBurned(_)
        | Event::CertificateConfirmed(_)
        | Event::CertificateSuperseded(_)
        | Event::CertificatesRevoked(_)
        | Event::StandingChanged(_)
        | Event::PolicyActivated(_)
        | Event::CrlPublished(_)
        | Event::EnforcementReported(_)
        | Event::Refused(_)
        | Event::TokenVoided(_)
        | Event::GatewayDeclared(_)
        | Event::RenewalRefused(_)
        | Event::CloneSuspected(_)
        | Event::PartyCloneSuspected(_)
        | Event::HolderRevoked(_)
        | Event::CertificateRevoked(_)
        | Event::MakerRegistered(_)
        | Event::MakerWithdrawn(_)
        | Event::Started(_) => false,
    }
}

fn replay(store: &SqliteStore, report: &AuditReport, leaves: &[Hash]) -> Result<Replayed, AuditFault> {
    // Rows first: a commit that comes between the two reads shows as entries to replay on top, so read rows
    // until two looks at the journal's length agree.
    let (rows, parties, length) = loop {
        let before = store.journal_len()?;
        let (rows, parties) = (store.dump_rows()?, store.certificate_parties()?);
        if store.journal_len()? == before {
            break (rows, parties, before);
        }
    };
    if length < report.size {
        return Err(AuditFault::Entry { seq: length, what: "in the log but not in the database".into() });
    }
    let mut tables = Tables::default();
    let mut beside = Beside::default();
    let mut seq = 0;
    while seq < length {
        let batch = store.journal_from(seq, BATCH)?;
        let mut devices = store.journal_devices(seq, BATCH)?.into_iter();
        if batch.is_empty() {
            return Err(AuditFault::Entry { seq, what: "missing from the database".into() });
        }
        for stored in batch.into_iter().take_while(|stored| stored.entry.seq < length) {
            if stored.entry.seq != seq {
                return Err(AuditFault::Entry { seq, what: "missing from the database".into() });
            }
            let logged = usize::try_from(seq).ok().and_then(|index| leaves.get(index));
            if logged.is_some_and(|leaf| *leaf != leaf_hash(&stored.leaf)) {
                return Err(AuditFault::Leaf { seq });
            }
            if stored.entry.private.is_none() && has_private_part(&stored.entry.event) {
                return Err(AuditFault::Entry { seq, what: "its private part is missing".into() });
            }
            beside.follow(&stored);
            if devices.next() != Some((seq, beside.device_of(&stored))) {
                return Err(AuditFault::Entry {
                    seq,
                    what: "it stands under another device than its own".into(),
                });
            }
            let changes =
                project(&stored.entry).map_err(|fault| AuditFault::Entry { seq, what: fault.to_string() })?;
            changes.into_iter().for_each(|change| tables.apply(change));
            seq += 1;
        }
    }
    let replayed = tables.dump();
    if replayed != rows {
        let differing = replayed.iter().find(|row| !rows.contains(row));
        let extra = rows.iter().find(|row| !replayed.contains(row));
        let first = differing.or(extra).cloned().unwrap_or_default();
        return Err(AuditFault::Rows(first.chars().take(300).collect()));
    }
    if let Some(wrong) = beside.other_party(&parties) {
        return Err(AuditFault::Rows(wrong));
    }
    if let Some(seq) = store.private_part_alone()? {
        return Err(AuditFault::Entry { seq, what: "there is a private part, and no entry".into() });
    }
    Ok(Replayed { entries: length, rows: rows.len() })
}
