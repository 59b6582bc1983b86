//! When to renew: from the certificate alone, or in the window that the server asks for.
//!
//! In: a validity, a device's draw (its seed), a server's hint. Out: moments, and the hint's two spellings:
//! the header [`RENEWAL_HEADER`] on EST answers and the JSON body of `GET` [`RENEWAL_PATH`].
//! No clock and no chance: the seed is drawn once per device, so the same device always has the same place.
//! The idea of a window planned by the server is that of ACME Renewal Information (RFC 9773).

use core::fmt;
use core::time::Duration;
use touchmark_identity::{Timestamp, Validity};

/// Header of an EST answer with a certificate: `start=<unix s>, end=<unix s>`.
pub const RENEWAL_HEADER: &str = "Touchmark-Renewal";
/// Where a device asks for its window, with its certificate in the TLS connection; answered in JSON.
pub const RENEWAL_PATH: &str = "/.well-known/touchmark/renewal";
/// Where the first use of a new certificate can be an empty POST; answered with 204.
pub const CONFIRM_PATH: &str = "/.well-known/touchmark/confirm";

/// Longest header value or body that is looked into: three fields of at most 40 octets, and generous spaces.
const HINT_OCTETS_MAX: usize = 256;
/// A window has two ends and a wait; a few unknown fields are left room for.
const FIELDS_MAX: usize = 8;

/// The moment to renew without any hint: two thirds into `validity`, brought forward by up to a tenth of it.
///
/// `seed` is the device's draw: a fleet enrolled in one hour does not come back in one hour. Rounding is
/// towards renewing early. Cannot fail: for an expired certificate the moment is simply past.
pub fn renew_at(validity: Validity, seed: u16) -> Timestamp {
    let life_ms = u64::try_from(validity.lifetime().as_millis()).unwrap_or(u64::MAX);
    let two_thirds_ms = life_ms / 3 * 2 + life_ms % 3 * 2 / 3;
    let forward_ms = share(life_ms / 10, seed).saturating_add(1);
    validity.not_before().plus(Duration::from_millis(two_thirds_ms.saturating_sub(forward_ms)))
}

/// The device's moment inside a window, both ends included.
pub fn pick(window: RenewalWindow, seed: u16) -> Timestamp {
    let width_ms = u64::try_from(window.end().since(window.start()).as_millis()).unwrap_or(u64::MAX);
    window.start().plus(Duration::from_millis(share(width_ms, seed)))
}

/// The moment to renew, given the server's last word. A window inside the certificate's life is kept to; one that
/// reaches beyond it can only bring the renewal forward.
pub fn due_at(validity: Validity, window: Option<RenewalWindow>, seed: u16) -> Timestamp {
    let own = renew_at(validity, seed);
    match window {
        None => own,
        Some(window) if window.end() <= validity.not_after() => pick(window, seed),
        Some(window) => pick(window, seed).min(own),
    }
}

/// `whole` times `seed` of 65535, rounded down: the same for every width, so no device leaves its place.
fn share(whole: u64, seed: u16) -> u64 {
    let part = u128::from(whole) * u128::from(seed) / u128::from(u16::MAX);
    u64::try_from(part).unwrap_or(whole)
}

/// Why there is no window in a server's words; the server's operator must act, the device goes on without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHint {
    /// More than 256 octets.
    #[error("a renewal hint has at most {HINT_OCTETS_MAX} octets")]
    TooLong,
    /// Not `start=.., end=..`, or not a flat JSON object of whole numbers.
    #[error("not a renewal hint")]
    Malformed,
    /// A field twice: which one would count?
    #[error("a field stands twice in the renewal hint")]
    Repeated,
    /// `start` or `end` is missing.
    #[error("a renewal hint has a start and an end")]
    Incomplete,
    /// The end lies before the start.
    #[error("a renewal window ends after it begins")]
    Backwards,
}

/// A span in which the server wants the renewal: whole seconds, `start <= end`, both inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RenewalWindow {
    start_s: u64,
    end_s: u64,
}

impl RenewalWindow {
    /// From two moments, rounded down to seconds.
    ///
    /// # Errors
    /// [`BadHint::Backwards`].
    pub fn new(start: Timestamp, end: Timestamp) -> Result<Self, BadHint> {
        let window = Self { start_s: start.unix_s(), end_s: end.unix_s() };
        if window.start_s <= window.end_s { Ok(window) } else { Err(BadHint::Backwards) }
    }

    /// First moment.
    pub fn start(self) -> Timestamp {
        Timestamp::from_unix_s(self.start_s)
    }

    /// Last moment.
    pub fn end(self) -> Timestamp {
        Timestamp::from_unix_s(self.end_s)
    }

    /// Reads the value of [`RENEWAL_HEADER`]: parameters separated by commas, any order, unknown ones skipped.
    ///
    /// # Errors
    /// [`BadHint`]: the certificate beside the header is as good as without it.
    pub fn from_header(value: &str) -> Result<Self, BadHint> {
        if value.len() > HINT_OCTETS_MAX {
            return Err(BadHint::TooLong);
        }
        let mut fields = Fields::default();
        for parameter in value.split(',') {
            let (name, number) = parameter.split_once('=').ok_or(BadHint::Malformed)?;
            fields.take(name.trim(), whole_number(number.trim())?)?;
        }
        fields.window()
    }

    /// The value of [`RENEWAL_HEADER`].
    pub fn to_header(self) -> String {
        format!("start={}, end={}", self.start_s, self.end_s)
    }
}

impl fmt::Display for RenewalWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.start(), self.end())
    }
}

/// The server's answer to "when shall I renew?".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RenewalHint {
    /// When to renew.
    pub window: RenewalWindow,
    /// When to ask for the window again; `None` leaves it to the device.
    pub retry_after: Option<Duration>,
}

impl From<RenewalWindow> for RenewalHint {
    fn from(window: RenewalWindow) -> Self {
        Self { window, retry_after: None }
    }
}

impl RenewalHint {
    /// Reads `{"start":<unix s>,"end":<unix s>,"retry_after":<s>}`: a flat object of whole numbers, in which
    /// unknown names are skipped. Any other JSON is refused.
    ///
    /// # Errors
    /// [`BadHint`].
    pub fn from_json(body: &[u8]) -> Result<Self, BadHint> {
        if body.len() > HINT_OCTETS_MAX {
            return Err(BadHint::TooLong);
        }
        let text = core::str::from_utf8(body).map_err(|_| BadHint::Malformed)?;
        let members = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let mut fields = Fields::default();
        for member in members.ok_or(BadHint::Malformed)?.split(',') {
            let (name, number) = member.split_once(':').ok_or(BadHint::Malformed)?;
            let name = name.trim().strip_prefix('"').and_then(|name| name.strip_suffix('"'));
            fields.take(name.ok_or(BadHint::Malformed)?, whole_number(number.trim())?)?;
        }
        Ok(Self { window: fields.window()?, retry_after: fields.retry_after_s.map(Duration::from_secs) })
    }

    /// The body that [`RenewalHint::from_json`] reads.
    pub fn to_json(self) -> String {
        let (start, end) = (self.window.start_s, self.window.end_s);
        match self.retry_after {
            Some(wait) => format!(r#"{{"start":{start},"end":{end},"retry_after":{}}}"#, wait.as_secs()),
            None => format!(r#"{{"start":{start},"end":{end}}}"#),
        }
    }
}

/// What both spellings hold.
#[derive(Default)]
struct Fields {
    seen: usize,
    start_s: Option<u64>,
    end_s: Option<u64>,
    retry_after_s: Option<u64>,
}

impl Fields {
    fn take(&mut self, name: &str, number: u64) -> Result<(), BadHint> {
        self.seen += 1;
        let plain = !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
        if !plain || self.seen > FIELDS_MAX {
            return Err(BadHint::Malformed);
        }
        let field = match name {
            "start" => &mut self.start_s,
            "end" => &mut self.end_s,
            "retry_after" => &mut self.retry_after_s,
            _ => return Ok(()),
        };
        if field.replace(number).is_some() { Err(BadHint::Repeated) } else { Ok(()) }
    }

    fn window(&self) -> Result<RenewalWindow, BadHint> {
        let (Some(start), Some(end)) = (self.start_s, self.end_s) else { return Err(BadHint::Incomplete) };
        RenewalWindow::new(Timestamp::from_unix_s(start), Timestamp::from_unix_s(end))
    }
}

/// Digits only: no sign, fraction or exponent, and nothing that does not fit.
fn whole_number(digits: &str) -> Result<u64, BadHint> {
    let plain = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
    if !plain || (digits.len() > 1 && digits.starts_with('0')) {
        return Err(BadHint::Malformed);
    }
    digits.parse().map_err(|_| BadHint::Malformed)
}

#[cfg(test)]
mod tests;
