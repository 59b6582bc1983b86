//! The gateways' decision logs: whole, signed, all there, and adding up to the rows of sightings.
//!
//! Positions and rows are read before the archives, which a running authority writes first; what it counts while
//! we read lies between two looks at its position.

use super::{AuditFault, GatewayAudit};
use crate::archive::{
    ArchiveFault, CHECKPOINT_FILE, FRAMES_FILE, Position, Seen, Tally, VKEY_FILE, at_home, decode,
    for_each_frame, gateways_below, text,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use touchmark_decisions::{Decision, DecisionReader, SequenceCheck};
use touchmark_identity::{EnvironmentName, Fingerprint, Name};
use touchmark_inventory::{SightingRow, Store};
use touchmark_journal::IdentityKind;
use touchmark_tlog::{Checkpoint, Frontier, VerifierKey, leaf_hash, open_note};

/// How often, and how far apart, we look for a first head: half a second, longer than a slow disk's fsync.
const HEAD_LOOKS: u32 = 10;
const HEAD_WAIT: Duration = Duration::from_millis(50);

/// What the database says about one gateway.
#[derive(Default)]
struct Claims {
    home: Option<EnvironmentName>,
    /// Up to where it was counted, before and after the rows were read.
    counted: (Position, Position),
    rows: BTreeMap<(Fingerprint, String, String), SightingRow>,
}

/// Audits all archives below `root`. `fingerprints` are those of all certificates that were issued.
pub(super) fn audit(
    root: &Path,
    store: &dyn Store,
    mut fingerprints: BTreeSet<Fingerprint>,
) -> Result<Vec<GatewayAudit>, AuditFault> {
    let mut claims: BTreeMap<Name, Claims> = BTreeMap::new();
    for party in store.parties()?.into_iter().filter(|party| party.kind == IdentityKind::Service) {
        let before = store.sightings_position(&party.name)?.unwrap_or_default();
        let home = party.scope.environment;
        claims.insert(party.name, Claims { home, counted: (before, before), ..Claims::default() });
    }
    let names = gateways_below(root)?;
    // Gateways may have seen certificates that nobody issued: rows about those are rows, too.
    for gateway in &names {
        let mut reader = DecisionReader::new();
        let seen = for_each_frame(&root.join(gateway.as_str()).join(FRAMES_FILE), |leaf, bytes| {
            let decisions = reader.read(&decode(leaf, bytes)?);
            fingerprints.extend(decisions.iter().filter_map(Decision::certificate));
            Ok(())
        });
        seen.map_err(|why| of(gateway, why.to_string()))?;
    }
    for fingerprint in fingerprints {
        for row in store.sightings_of(&fingerprint)? {
            let Some(claims) = claims.get_mut(&row.relying_party) else {
                return Err(of(&row.relying_party, "it has sightings, and nobody registered it".into()));
            };
            claims.rows.insert((row.fingerprint, row.action.clone(), row.resource.clone()), row);
        }
    }
    for (gateway, claims) in &mut claims {
        claims.counted.1 = store.sightings_position(gateway)?.unwrap_or_default();
        if claims.counted.1 > (0, 0) && !root.join(gateway.as_str()).is_dir() {
            return Err(of(gateway, "its decisions were counted, and its archive is gone".into()));
        }
    }
    let nobody = Claims::default();
    names
        .iter()
        .map(|gateway| {
            let claims = claims.get(gateway).unwrap_or(&nobody);
            audit_gateway(&root.join(gateway.as_str()), gateway, claims)
        })
        .collect()
}

fn of(gateway: &Name, what: String) -> AuditFault {
    AuditFault::Decisions { gateway: gateway.clone(), what }
}

fn audit_gateway(directory: &Path, gateway: &Name, claims: &Claims) -> Result<GatewayAudit, AuditFault> {
    let fault = |what: String| of(gateway, what);
    let look = || {
        // The head before the frames that it covers.
        let head = signed_head(directory).map_err(fault)?;
        let log = walk(directory, gateway, claims, head.as_ref()).map_err(|why| fault(why.to_string()))?;
        Ok::<_, AuditFault>((head, log))
    };
    let (mut head, mut log) = look()?;
    for _ in 0..HEAD_LOOKS {
        if head.is_some() || log.frames == 0 {
            break;
        }
        // The first frames and their head may be arriving: one fsync lies between the two.
        std::thread::sleep(HEAD_WAIT);
        (head, log) = look()?;
    }
    let covered = match head {
        // A gateway sends a head with the last frame of what it has to send.
        None if log.frames > 0 => {
            let frames = log.frames;
            return Err(fault(format!(
                "no signed head covers its {frames} frames: it is gone, or still to come"
            )));
        }
        None => 0,
        Some(head) if log.frames < head.size => {
            return Err(fault(format!("{} frames, its head covers {}", log.frames, head.size)));
        }
        Some(_) if !log.matched => return Err(fault("its signed head does not match the frames".into())),
        Some(head) => head.size,
    };
    if log.reached < claims.counted.1 {
        let ((epoch, next), (counted_epoch, counted)) = (log.reached, claims.counted.1);
        return Err(fault(format!(
            "decisions up to {counted} of epoch {counted_epoch} were counted, it ends before {next} of {epoch}"
        )));
    }
    add_up(claims, &log).map_err(fault)?;
    Ok(GatewayAudit {
        gateway: gateway.to_string(),
        frames: log.frames,
        decisions: log.decisions,
        covered,
        unfinished: log.unfinished,
        sightings: claims.rows.len(),
    })
}

/// The newest head that the gateway signed, with the key that it registered.
fn signed_head(directory: &Path) -> Result<Option<Checkpoint>, String> {
    let read = |name| text(directory, name).map_err(|why| why.to_string());
    // It is registered before the first frame or head comes: read after them.
    let frames = directory.join(FRAMES_FILE).metadata().is_ok_and(|file| file.len() > 0);
    let note = read(CHECKPOINT_FILE)?;
    let Some(vkey) = read(VKEY_FILE)? else {
        return if frames || note.is_some() { Err("its key is gone".into()) } else { Ok(None) };
    };
    let key: VerifierKey = vkey.trim().parse().map_err(|_| "its key cannot be read")?;
    note.map(|note| open_note(&note, &key)).transpose().map_err(|why| format!("its signed head: {why}"))
}

/// What the frames say.
struct Log {
    frames: u64,
    decisions: u64,
    unfinished: u64,
    reached: Position,
    /// Whether the signed head is over the first of these frames.
    matched: bool,
    /// What had been counted at the first look, and at the second.
    counted: (Tally, Tally),
}

fn walk(
    directory: &Path,
    gateway: &Name,
    claims: &Claims,
    head: Option<&Checkpoint>,
) -> Result<Log, ArchiveFault> {
    let mut sequence = SequenceCheck::new(gateway.clone());
    let (mut reader, mut frontier) = (DecisionReader::new(), Frontier::new());
    let is_head = |frontier: &Frontier| {
        head.is_some_and(|head| head.size == frontier.size() && head.root == frontier.root())
    };
    let mut log = Log {
        frames: 0,
        decisions: 0,
        unfinished: 0,
        reached: (0, 0),
        matched: is_head(&frontier),
        counted: (Tally::new((0, 0)), Tally::new((0, 0))),
    };
    let walked = for_each_frame(&directory.join(FRAMES_FILE), |leaf, bytes| {
        let frame = decode(leaf, bytes)?;
        let bad = |what: String| ArchiveFault::BadFrame { leaf, what };
        sequence.check(&frame).map_err(|why| bad(why.to_string()))?;
        if let Some(home) = &claims.home {
            at_home(home, leaf, &frame)?;
        }
        frontier.append(leaf_hash(bytes));
        log.matched |= is_head(&frontier);
        for decision in reader.read(&frame) {
            let at = (decision.id.epoch, decision.id.sequence);
            for (tally, end) in
                [(&mut log.counted.0, claims.counted.0), (&mut log.counted.1, claims.counted.1)]
            {
                if at < end {
                    tally.add(&decision);
                }
            }
            log.decisions += 1;
        }
        Ok(())
    })?;
    log.unfinished = walked.tail;
    log.frames = frontier.size();
    log.reached = sequence.next().unwrap_or_default();
    Ok(log)
}

/// Each row is what the counted decisions add up to: no less than at the first look, no more than at the second.
fn add_up(claims: &Claims, log: &Log) -> Result<(), String> {
    let keyed = |tally: &Tally| -> BTreeMap<(Fingerprint, String, String), Seen> {
        let owned = tally.places().iter();
        owned
            .map(|((certificate, act, on), seen)| ((*certificate, (*act).to_owned(), on.clone()), *seen))
            .collect()
    };
    let (least, most) = (keyed(&log.counted.0), keyed(&log.counted.1));
    if let Some((certificate, act, on)) = least.keys().find(|place| !claims.rows.contains_key(place)) {
        return Err(format!("no row says that {certificate} was used to {act} `{on}`"));
    }
    for (place, row) in &claims.rows {
        let (certificate, act, on) = place;
        let Some(most) = most.get(place) else {
            return Err(format!("a row says that {certificate} was used to {act} `{on}`, no decision does"));
        };
        let none = Seen { first: most.last, last: most.first, allowed: 0, denied: 0 };
        let least = least.get(place).unwrap_or(&none);
        let fits = (least.allowed..=most.allowed).contains(&row.allowed)
            && (least.denied..=most.denied).contains(&row.denied)
            && (most.first..=least.first).contains(&row.first)
            && (least.last..=most.last).contains(&row.last);
        if !fits {
            return Err(format!(
                "a row says that {certificate} was allowed {} and denied {} times to {act} `{on}`, the decisions \
                 say {} and {}, or at other times",
                row.allowed, row.denied, most.allowed, most.denied
            ));
        }
    }
    Ok(())
}
