//! What the operator of the device decided: whose identity, on whose word it starts, how patiently it asks.

use core::time::Duration;
use touchmark_identity::{EnvironmentName, Name, Timestamp};
use touchmark_x509::Certificate;

/// Shortest pause after a first failure, for lives of 50 minutes and more.
pub const BACKOFF_MIN: Duration = Duration::from_secs(60);
/// Longest pause of a device that has hope.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60 * 60);

/// One environment's rules.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The name in the identity's URI; its kind and trust domain are learnt from the first certificate.
    pub identity: Name,
    /// The environment, which is EST's label.
    pub environment: EnvironmentName,
    /// What a first certificate is asked with.
    pub start: Start,
    /// Trust anchors from the configuration: they are trusted whatever happens.
    pub pinned: Vec<Certificate>,
    /// When this program was built: no clock before it is believed.
    pub built_at: Timestamp,
    /// Shortest pause after a failure; shorter for short lives.
    pub backoff_min: Duration,
    /// Longest pause after failures; shorter for short lives.
    pub backoff_max: Duration,
}

/// On whose word a device asks for its first certificate, and for a new one when the old one is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// An enrolment token, in a file that a person puts there.
    Token,
    /// An initial certificate of the device's maker (IDevID, IEEE 802.1AR).
    Initial,
    /// Nothing: the first pair was put there by other means, and is only kept fresh.
    None,
}

/// What somebody at the device wants, or what its surroundings have to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A new key and certificate now; also ends every pause.
    RenewNow,
    /// The token file is new: worth a try.
    NewToken,
    /// A first certificate now, in place of the pair in force, whatever that is worth; also ends every pause.
    Replace,
}
