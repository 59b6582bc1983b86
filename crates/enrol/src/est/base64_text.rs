//! The base64 of EST bodies: written two ways, read in any (RFC 8951 §2 lets receivers ignore white space).

use super::BadBody;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

/// Some clients leave the padding out.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Line length of wrapped base64 (RFC 1421 §4.3.2.4), which every OpenSSL reader takes.
const LINE_CHARS: usize = 64;

/// How base64 is laid out; both end in a line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// One line: strongSwan reads nothing else.
    One,
    /// Lines of 64: libest reads no line longer than about 1,000 characters.
    Wrapped,
}

impl Lines {
    /// The form for a client that names itself so. One line suits all known clients but libest.
    pub(super) fn for_user_agent(user_agent: Option<&str>) -> Self {
        match user_agent {
            Some(name) if name.starts_with("libest") => Self::Wrapped,
            Some(_) | None => Self::One,
        }
    }
}

pub(super) fn write(der: &[u8], lines: Lines) -> Vec<u8> {
    let text = general_purpose::STANDARD.encode(der);
    let mut out = Vec::with_capacity(text.len() + text.len() / LINE_CHARS + 1);
    match lines {
        Lines::One => out.extend_from_slice(text.as_bytes()),
        Lines::Wrapped => {
            for (at, line) in text.as_bytes().chunks(LINE_CHARS).enumerate() {
                if at > 0 {
                    out.push(b'\n');
                }
                out.extend_from_slice(line);
            }
        }
    }
    out.push(b'\n');
    out
}

/// Reads DER out of a body: raw, in base64 of any layout, or in PEM under one of `labels`. Length is the caller's to bound.
pub(super) fn read(body: &[u8], labels: &[&str]) -> Result<Vec<u8>, BadBody> {
    // A SEQUENCE longer than 127 octets: no base64 text has such a second octet.
    if let [0x30, 0x80..=0xff, ..] = body {
        return Ok(body.to_vec());
    }
    let text = core::str::from_utf8(body).map_err(|_| BadBody::NeitherDerNorBase64)?;
    let inner = if text.contains("-----BEGIN ") {
        labels.iter().find_map(|label| armoured(text, label)).ok_or(BadBody::OtherPem)?
    } else {
        text
    };
    let packed: Vec<u8> = inner.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    if packed.is_empty() {
        return Err(BadBody::Empty);
    }
    TOLERANT.decode(packed).map_err(|_| BadBody::NeitherDerNorBase64)
}

/// What stands between the armour lines; line breaks around them may have been lost on the way.
fn armoured<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    rest.split_once(&format!("-----END {label}-----")).map(|(inner, _)| inner)
}

/// For one short field, like a header's.
pub(super) fn read_field(text: &str) -> Option<Vec<u8>> {
    TOLERANT.decode(text).ok()
}

pub(super) fn write_field(octets: &[u8]) -> String {
    general_purpose::STANDARD.encode(octets)
}
