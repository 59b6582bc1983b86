//! What steady publishing came to: counted, for people and as JSON, and as the way the process ends.

use serde::Serialize;
use touchmark_touchmark::failure::Exit;
use touchmark_touchmark::mqtt_session::Denial;

/// Everything that is worth knowing afterwards.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) device: String,
    pub(crate) mqtt: String,
    pub(crate) version: String,
    /// Different messages that left.
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    /// Sent once more, because a session ended before its acknowledgement.
    pub(crate) repeated: u64,
    pub(crate) denied: u64,
    /// On their way, or still to be sent, when patience ended.
    pub(crate) unacknowledged: u64,
    pub(crate) sessions: u32,
    pub(crate) renewals: u64,
    pub(crate) renewals_failed: u64,
    /// Longest time without an acknowledgement while messages were there to be sent or acknowledged.
    pub(crate) longest_gap_ms: u64,
    /// With whose keys sessions were opened, in this order.
    pub(crate) certificates: Vec<String>,
    /// The last refusal, or the last end of a session that was not ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_refusal: Option<Denial>,
    /// There was no session at the end: it was ended, and no other came about.
    #[serde(skip)]
    pub(crate) cut: bool,
}

impl Report {
    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self { sessions: 0, .. } => Exit::Denied,
            Self { denied: 1.., .. } => Exit::Denied,
            Self { cut: true, last_refusal: Some(Denial { decided: true, .. }), .. } => Exit::Denied,
            Self { cut: true, .. } => Exit::Unreachable,
            Self { unacknowledged: 1.., .. } => Exit::Unreachable,
            _ => Exit::Ok,
        }
    }

    /// For people.
    pub(crate) fn human(&self) -> String {
        let mut text = format!(
            "{} at {} (MQTT {})\n  sent          {}\n  acknowledged  {}\n  repeated      {}\n  longest gap   {} ms between acknowledgements\n  sessions      {}\n  renewals      {}",
            self.device,
            self.mqtt,
            self.version,
            self.sent,
            self.acknowledged,
            self.repeated,
            self.longest_gap_ms,
            self.sessions,
            self.renewals,
        );
        let more = [
            ("failed", self.renewals_failed),
            ("denied", self.denied),
            ("not acknowledged", self.unacknowledged),
        ];
        for (what, count) in more.into_iter().filter(|(_, count)| *count > 0) {
            text += &format!("\n  {what:<13} {count}");
        }
        if let Some(denial) = self.last_refusal.as_ref().filter(|_| self.exit() != Exit::Ok) {
            text += &format!("\n  last refusal  {} {}", denial.code, denial.reason);
        }
        text
    }
}
