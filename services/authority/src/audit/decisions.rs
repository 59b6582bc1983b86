//! The gateways' decision logs: whole, signed, all there, and adding up to the rows of sightings.
//!
//! Positions and rows are read before the archives, which a running authority writes first; what it counts while
//! we read lies between two looks at its position.

use super::{AuditFault, GatewayAudit};
use crate::audit::archive::{
    ArchiveFault, CHECKPOINT_FILE, FRAMES_FILE, Position, VKEY_FILE, What, at_home, decode, for_each_frame,
    gateways_below, text, what,
};
use crate::store::SqliteStore;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use touchmark_decisions::{Decision, DecisionReader, Gap, Gaps, SequenceCheck};
use touchmark_identity::{EnvironmentName, Fingerprint, Name, OrganisationName};
use touchmark_inventory::{FOLDED_MIN, RESOURCE_OCTETS_MAX, Seen, SightingRow, Sightings, Store};
use touchmark_journal::IdentityKind;
use touchmark_tlog::{Checkpoint, Frontier, VerifierKey, leaf_hash, open_note};

/// How often, and how far apart, we look for a first head: half a second, longer than a slow disk's fsync.
const HEAD_LOOKS: u32 = 10;
const HEAD_WAIT: Duration = Duration::from_millis(50);

/// Certificate, action, resource.
type Place = (Fingerprint, String, String);

/// What the database says about one gateway.
#[derive(Default)]
struct Claims {
    home: Option<(OrganisationName, Option<EnvironmentName>)>,
    /// Up to where it was counted, before and after the rows were read.
    counted: (Position, Position),
    rows: BTreeMap<Place, SightingRow>,
    /// The same, to find the place that a use was counted at.
    used: BTreeMap<Fingerprint, Sightings>,
}

/// Audits all archives below `root`.
pub(super) fn audit(root: &Path, store: &SqliteStore) -> Result<Vec<GatewayAudit>, AuditFault> {
    let mut claims: BTreeMap<Name, Claims> = BTreeMap::new();
    let before: BTreeMap<Name, Position> = store.sightings_positions()?.into_iter().collect();
    for party in store.parties()?.into_iter().filter(|party| party.kind == IdentityKind::Service) {
        let before = before.get(&party.name).copied().unwrap_or_default();
        let home = Some((party.scope.organisation, party.scope.environment));
        claims.insert(party.name, Claims { home, counted: (before, before), ..Claims::default() });
    }
    let mut stray = before.keys().find(|gateway| !claims.contains_key(*gateway)).cloned();
    store.sightings(|row| {
        match claims.get_mut(&row.relying_party) {
            Some(claims) => {
                let place = (row.fingerprint, row.action.clone(), row.resource.clone());
                drop(claims.rows.insert(place, row));
            }
            None => stray = Some(row.relying_party),
        }
        Ok(())
    })?;
    if let Some(gateway) = stray {
        return Err(of(&gateway, "it has sightings, and nobody registered it".into()));
    }
    for (gateway, claims) in &mut claims {
        claims.counted.1 = store.sightings_position(gateway)?.unwrap_or_default();
        let counted = claims.counted.1 > (0, 0) || !claims.rows.is_empty();
        if counted && !root.join(gateway.as_str()).is_dir() {
            return Err(of(gateway, "its decisions were counted, and its archive is gone".into()));
        }
        claims.find_places(gateway)?;
    }
    let nobody = Claims::default();
    gateways_below(root)?
        .iter()
        .map(|gateway| {
            let claims = claims.get(gateway).unwrap_or(&nobody);
            audit_gateway(&root.join(gateway.as_str()), gateway, claims)
        })
        .collect()
}

impl Claims {
    fn find_places(&mut self, gateway: &Name) -> Result<(), AuditFault> {
        let mut of_certificate: BTreeMap<Fingerprint, Vec<SightingRow>> = BTreeMap::new();
        for row in self.rows.values() {
            let scope = (row.scope.organisation.clone(), row.scope.environment.clone());
            if self.home.as_ref() != Some(&scope) {
                let (certificate, on) = (row.fingerprint, &row.resource);
                return Err(of(
                    gateway,
                    format!("a row about {certificate} and `{on}` is of another environment"),
                ));
            }
            of_certificate.entry(row.fingerprint).or_default().push(row.clone());
        }
        for (certificate, rows) in of_certificate {
            let count = rows.len();
            let used: Sightings = rows.into_iter().collect();
            if used.len() != count {
                return Err(of(
                    gateway,
                    format!("a row about {certificate} lies below one that stands for many"),
                ));
            }
            self.used.insert(certificate, used);
        }
        Ok(())
    }
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
        gaps: log.gaps,
        last_gap: log.last_gap.map(|gap| gap.to_string()),
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
    gaps: u64,
    last_gap: Option<Gap>,
    unfinished: u64,
    reached: Position,
    /// Whether the signed head is over the first of these frames.
    matched: bool,
    /// What had been counted at the first look, and at the second.
    counted: (BTreeMap<Place, Seen>, BTreeMap<Place, Seen>),
    /// A use that should have a row and has none.
    without_row: Option<Place>,
    /// Of certificates with a row that stands for many: their places, until there are enough to fold.
    apart: BTreeMap<Fingerprint, Apart>,
}

/// Whether there was reason to fold.
enum Apart {
    Few(BTreeSet<(&'static str, String)>),
    Enough,
}

impl Log {
    fn count(&mut self, claims: &Claims, decision: &Decision) {
        let at = (decision.id.epoch, decision.id.sequence);
        let Some(fingerprint) = decision.certificate().filter(|_| at < claims.counted.1) else { return };
        let What { action, resource, folded, seen } = what(decision);
        let place = claims.used.get(&fingerprint).and_then(|used| used.place_of(action, resource, folded));
        let Some((_, on)) = place else {
            if at < claims.counted.0 {
                self.without_row.get_or_insert((fingerprint, action.to_owned(), resource.to_owned()));
            }
            return;
        };
        let place = (fingerprint, action.to_owned(), on.to_owned());
        if claims.rows.get(&place).is_some_and(|row| row.folded) {
            let apart = self.apart.entry(fingerprint).or_insert_with(|| Apart::Few(BTreeSet::new()));
            if let Apart::Few(places) = apart {
                places.insert((action, resource.to_owned()));
                if folded || places.len() > FOLDED_MIN || resource.len() > RESOURCE_OCTETS_MAX {
                    *apart = Apart::Enough;
                }
            }
        }
        for (counted, end) in
            [(&mut self.counted.0, claims.counted.0), (&mut self.counted.1, claims.counted.1)]
        {
            if at < end {
                let sum = counted.entry(place.clone());
                sum.and_modify(|sum| sum.absorb(&seen)).or_insert(seen);
            }
        }
    }
}

fn walk(
    directory: &Path,
    gateway: &Name,
    claims: &Claims,
    head: Option<&Checkpoint>,
) -> Result<Log, ArchiveFault> {
    let (mut sequence, mut gaps) = (SequenceCheck::new(gateway.clone()), Gaps::default());
    let (mut reader, mut frontier) = (DecisionReader::new(), Frontier::new());
    let is_head = |frontier: &Frontier| {
        head.is_some_and(|head| head.size == frontier.size() && head.root == frontier.root())
    };
    let mut log = Log {
        frames: 0,
        decisions: 0,
        gaps: 0,
        last_gap: None,
        unfinished: 0,
        reached: (0, 0),
        matched: is_head(&frontier),
        counted: (BTreeMap::new(), BTreeMap::new()),
        without_row: None,
        apart: BTreeMap::new(),
    };
    let walked = for_each_frame(&directory.join(FRAMES_FILE), |leaf, bytes| {
        let frame = decode(leaf, bytes)?;
        let bad = |what: String| ArchiveFault::BadFrame { leaf, what };
        sequence.check(&frame).map_err(|why| bad(why.to_string()))?;
        if let Some((_, Some(home))) = &claims.home {
            at_home(home, leaf, &frame)?;
        }
        frontier.append(leaf_hash(bytes));
        log.matched |= is_head(&frontier);
        log.decisions += frame.next_sequence().saturating_sub(frame.first_sequence);
        if let Some(gap) = gaps.before(&frame) {
            log.gaps += 1;
            log.last_gap = Some(gap);
        }
        for decision in reader.read(&frame) {
            log.count(claims, &decision);
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
    if let Some((certificate, act, on)) = &log.without_row {
        return Err(format!("no row says that {certificate} was used to {act} `{on}`"));
    }
    let (least, most) = &log.counted;
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
        if row.folded && matches!(log.apart.get(certificate), Some(Apart::Few(_))) {
            return Err(format!(
                "one row stands for all that {certificate} did below `{on}`, which is not much"
            ));
        }
    }
    Ok(())
}
