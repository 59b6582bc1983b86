//! Audit from outside: the journal's log, its entries, the rows, and every gateway's decision log, recomputed
//! from the files alone. Works beside a running authority; shares no state with it.

use crate::archive::{ArchiveFault, for_each_frame, root_of};
use crate::config::{database, decisions, log, log_vkey};
use crate::store::SqliteStore;
use serde::Serialize;
use std::fmt;
use std::path::Path;
use touchmark_decisions::{Frame, SequenceCheck};
use touchmark_identity::Name;
use touchmark_inventory::{Store, StoreFault, Tables, project};
use touchmark_journal::Entry;
use touchmark_tilelog::{AuditReport, WitnessFinding, audit_dir};
use touchmark_tlog::{Checkpoint, Hash, VerifierKey, leaf_hash, open_note};

/// Entries read from the database at a time.
const BATCH: usize = 4096;

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
    Entry {
        /// Which.
        seq: u64,
        /// What.
        what: String,
    },
    /// The log holds other leaves than the database.
    #[error("journal entry {seq} in the database is not the leaf in the log")]
    Leaf {
        /// Which.
        seq: u64,
    },
    /// Rows that the journal does not explain.
    #[error("the rows differ from what the journal says; first difference: {0}")]
    Rows(String),
    /// A decision log.
    #[error("decision log of {gateway}: {what}")]
    Decisions {
        /// Whose.
        gateway: Name,
        /// What.
        what: String,
    },
    /// The archives.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
}

/// A decision log that holds.
#[derive(Clone, Debug, Serialize)]
pub struct GatewayAudit {
    /// Whose.
    pub gateway: String,
    /// Frames.
    pub frames: u64,
    /// Decisions.
    pub decisions: u64,
    /// Frames covered by a verified head.
    pub covered: u64,
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
                "decisions {}: {} decisions in {} frames, no gap; {} frames under its signed head",
                gateway.gateway, gateway.decisions, gateway.frames, gateway.covered
            )?;
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
    let mut leaves: Vec<Hash> = Vec::new();
    let report = audit_dir(&log(data), &key, witness.as_ref(), |index, leaf| {
        leaves.push(leaf_hash(leaf));
        Entry::read(index, leaf, None).map(drop).map_err(|fault| fault.to_string())
    })?;
    let store = SqliteStore::open_to_read(&database(data))?;
    let (entries, rows) = replay(&store, &report, &leaves)?;
    Ok(AuditOutcome {
        size: report.size,
        root: report.root.to_string(),
        entries,
        rows,
        witness: match report.witness {
            WitnessFinding::Compared { size } => format!("compared with an outside head of {size} leaves"),
            WitnessFinding::NotCompared => "not compared with an outside head".to_owned(),
        },
        gateways: audit_gateways(&decisions(data))?,
        checkpoint: report.note,
    })
}

fn replay(store: &dyn Store, report: &AuditReport, leaves: &[Hash]) -> Result<(u64, usize), AuditFault> {
    // Rows first: a commit that comes between the two reads shows as entries to replay on top, so read rows
    // until two looks at the journal's length agree.
    let (rows, length) = loop {
        let before = store.journal_len()?;
        let rows = store.dump_rows()?;
        if store.journal_len()? == before {
            break (rows, before);
        }
    };
    if length < report.size {
        return Err(AuditFault::Entry { seq: length, what: "in the log but not in the database".into() });
    }
    let mut tables = Tables::default();
    let mut seq = 0;
    while seq < length {
        let batch = store.journal_from(seq, BATCH)?;
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
    Ok((length, rows.len()))
}

fn audit_gateways(root: &Path) -> Result<Vec<GatewayAudit>, AuditFault> {
    let Ok(directory) = std::fs::read_dir(root) else { return Ok(Vec::new()) };
    let mut names: Vec<Name> = directory
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
        .collect();
    names.sort();
    names.iter().map(|gateway| audit_gateway(&root.join(gateway.as_str()), gateway)).collect()
}

fn audit_gateway(directory: &Path, gateway: &Name) -> Result<GatewayAudit, AuditFault> {
    let fault = |what: String| AuditFault::Decisions { gateway: gateway.clone(), what };
    let path = directory.join("frames");
    let mut sequence = SequenceCheck::new(gateway.clone());
    let (mut frames, mut decisions) = (0, 0);
    for_each_frame(&path, |leaf, bytes| {
        let bad = |what: String| ArchiveFault::BadFrame { leaf, what };
        let frame = Frame::decode(bytes).map_err(|why| bad(why.to_string()))?;
        sequence.check(&frame).map_err(|why| bad(why.to_string()))?;
        decisions += frame.records.iter().filter(|record| record.is_decision()).count() as u64;
        frames += 1;
        Ok(())
    })
    .map_err(|why| fault(why.to_string()))?;
    let text = |name: &str| std::fs::read_to_string(directory.join(name)).ok();
    let covered = match (text("vkey"), text("checkpoint")) {
        (Some(vkey), Some(note)) => {
            let key: VerifierKey = vkey.trim().parse().map_err(|_| fault("its key cannot be read".into()))?;
            let head = open_note(&note, &key).map_err(|why| fault(why.to_string()))?;
            let (size, root) = root_of(&path, head.size)?;
            if size < head.size {
                return Err(fault(format!("{} frames, its head covers {}", size, head.size)));
            }
            if root != head.root {
                return Err(fault("its signed head does not match the frames".into()));
            }
            head.size
        }
        _ => 0,
    };
    Ok(GatewayAudit { gateway: gateway.to_string(), frames, decisions, covered })
}
