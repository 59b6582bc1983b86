//! One session that outlives its connection at the broker, and the file that tells of all of them after a restart.
//!
//! The file is text: a head with the version of the form, then one line for each session: client id, protocol level,
//! seconds it may outlive its connection, authority version, serial number, key and scope (`-` for none) of the last
//! holder's certificate, and `end` where it is to be ended. What was subscribed or is in flight is not in it.

use super::exchange::AtBroker;
use crate::trust::Holder;
use core::time::Duration;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use touchmark_identity::{Name, Timestamp};
use touchmark_mqtt::ProtocolVersion;
use touchmark_policy::PolicyVersion;

const HEAD: &str = "touchmark broker sessions 2";

const NO_SCOPE: &str = "-";

/// All of them, by client id.
pub(crate) type KeptSessions = BTreeMap<Box<str>, Kept>;

/// A session that the broker keeps while its device is away.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Who held it last.
    pub(crate) holder: Holder,
    pub(crate) version: ProtocolVersion,
    /// For how long it outlives its connection.
    pub(crate) expiry_s: u32,
    /// `None` while it is connected.
    pub(crate) left_at: Option<Timestamp>,
    /// It is to be ended.
    pub(crate) ending: bool,
    /// The policy that let its holder connect when it was last asked about one who is away.
    pub(crate) judged_by: Option<PolicyVersion>,
    /// `None` when nothing is known: since a restart, or since it was too much.
    pub(crate) at_broker: Option<AtBroker>,
}

impl Kept {
    /// Whether the broker has dropped it by itself. It never does in 3.1.1.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.version == ProtocolVersion::V5 && !self.ending && self.is_late(now)
    }

    /// Whether its time is over.
    pub(crate) fn is_late(&self, now: Timestamp) -> bool {
        let time = Duration::from_secs(u64::from(self.expiry_s));
        self.left_at.is_some_and(|left_at| left_at.plus(time) < now)
    }
}

/// Why the file is of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not of a form that this version writes")]
pub(crate) struct Unreadable {
    pub(crate) line: usize,
}

/// The handle in a client id.
pub(crate) fn handle_of(client_id: &str) -> &str {
    client_id.split_once('/').map_or(client_id, |(handle, _)| handle)
}

pub(crate) fn to_text(sessions: &KeptSessions) -> String {
    let mut text = format!("{HEAD}\n");
    for (client_id, kept) in sessions {
        let Kept { holder, version, expiry_s, ending, .. } = kept;
        let end = if *ending { " end" } else { "" };
        let level = version.level();
        let Holder { authority_version, serial, spki, scope, handle: _ } = holder;
        // Scope strings that a session was begun with hold neither a comma nor a space, and `-` is none.
        let scope = if scope.is_empty() { NO_SCOPE.to_owned() } else { scope.join(",") };
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "{client_id} {level} {expiry_s} {authority_version} {serial} {spki} {scope}{end}");
    }
    text
}

/// Reads the file; every session is away since `now`.
pub(crate) fn from_text(text: &str, now: Timestamp) -> Result<KeptSessions, Unreadable> {
    let mut lines = text.lines().enumerate();
    match lines.next() {
        Some((_, HEAD)) => {}
        _ => return Err(Unreadable { line: 1 }),
    }
    lines.map(|(n, line)| session(line, now).ok_or(Unreadable { line: n + 1 })).collect()
}

fn session(line: &str, now: Timestamp) -> Option<(Box<str>, Kept)> {
    let mut fields = line.split(' ');
    let client_id = fields.next()?;
    let handle: Name = handle_of(client_id).parse().ok()?;
    let version = ProtocolVersion::from_level(fields.next()?.parse().ok()?)?;
    let expiry_s = fields.next()?.parse().ok()?;
    let authority_version = fields.next()?.parse().ok()?;
    let serial = fields.next()?.parse().ok()?;
    let spki = fields.next()?.parse().ok()?;
    let scope = match fields.next()? {
        NO_SCOPE => Arc::default(),
        text if text.split(',').all(|one| one.contains(':')) => text.split(',').map(str::to_owned).collect(),
        _ => return None,
    };
    let ending = match fields.next() {
        None => false,
        Some("end") => true,
        Some(_) => return None,
    };
    let holder = Holder { handle, authority_version, serial, spki, scope };
    let kept =
        Kept { holder, version, expiry_s, left_at: Some(now), ending, judged_by: None, at_broker: None };
    fields.next().is_none().then(|| (client_id.into(), kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_identity::{AuthorityVersionId, SerialNumber, SpkiHash};

    fn now() -> Timestamp {
        Timestamp::from_unix_s(1_700_000_000)
    }

    fn some() -> KeptSessions {
        let kept = |handle: &str, version, expiry_s, ending, scope: &[&str]| Kept {
            holder: Holder {
                handle: handle.parse().unwrap(),
                authority_version: AuthorityVersionId::try_from(&[1; 16][..]).unwrap(),
                serial: SerialNumber::try_from(&[2; 17][..]).unwrap(),
                spki: SpkiHash([3; 32]),
                scope: scope.iter().map(|text| (*text).to_owned()).collect(),
            },
            version,
            expiry_s,
            left_at: None,
            ending,
            judged_by: None,
            at_broker: None,
        };
        KeptSessions::from([
            ("pump-01".into(), kept("pump-01", ProtocolVersion::V311, 604_800, false, &[])),
            (
                "pump-01/a".into(),
                kept("pump-01", ProtocolVersion::V5, 60, true, &["model:x200", "group:hall-2"]),
            ),
        ])
    }

    #[test]
    fn the_file_is_as_it_was_first_written_and_reads_back() {
        let text = to_text(&some());
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/mqtt/golden/broker-sessions");
        if std::env::var_os("TOUCHMARK_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(path).unwrap());
        let read = from_text(&text, now()).unwrap();
        assert_eq!(to_text(&read), text);
        assert!(read.values().all(|kept| kept.left_at == Some(now()) && kept.at_broker.is_none()));
        assert!(some().iter().all(|(client_id, kept)| read[client_id].holder == kept.holder));
    }

    #[test]
    fn a_file_that_was_not_written_here_is_refused_whole() {
        let good = to_text(&some());
        let rows: &[(&str, String, usize)] = &[
            ("empty", String::new(), 1),
            ("another version", good.replace("sessions 2", "sessions 1"), 1),
            ("no name", good.replace("pump-01 4", "PUMP 4"), 2),
            ("a level that is not spoken", good.replace(" 4 ", " 3 "), 2),
            ("a field too few", good.replace(" 604800", ""), 2),
            ("a field too many", good.replace(" end", " end end"), 3),
            ("another last word", good.replace(" end", " ended"), 3),
            ("cut", good[..good.len() - 12].to_owned(), 3),
            ("an empty line", format!("{good}\n"), 4),
        ];
        for (name, text, line) in rows {
            assert_eq!(from_text(text, now()).unwrap_err(), Unreadable { line: *line }, "{name}");
        }
    }
}
