//! Signed notes: a text and, below a blank line, lines of signatures by named keys.
//!
//! In: a note from anyone, and the one key that we trust. Out: the text, only if that key signed it.
//! Unknown signers are passed over, so witnesses may add theirs. The private key stays with the caller.
//! Standard: C2SP signed-note, signature type 0x01 (Ed25519, RFC 8032).

use core::fmt;
use core::str::FromStr;

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The longest note that is read: C2SP asks for room for 16 signatures of up to 5 kB.
pub const NOTE_OCTETS_MAX: usize = 128 * 1024;
/// The longest origin: it is a host and a path, and is printed in every checkpoint.
pub const ORIGIN_OCTETS_MAX: usize = 255;
/// C2SP signature type "Ed25519 over the note text".
const ED25519_TYPE: u8 = 0x01;
const SIGNATURE_START: &str = "\u{2014} ";

/// A log's name and public key, as verifiers configure it: `<origin>+<key id in hex>+<base64(0x01 ‖ key)>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    origin: String,
    public: [u8; 32],
}

/// Why a note, a checkpoint or a verifier key is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    /// Longer than we read.
    #[error("the note is longer than {NOTE_OCTETS_MAX} octets")]
    TooLong,
    /// Not the form of a signed note.
    #[error("not a signed note (C2SP signed-note)")]
    NotANote,
    /// The trusted key has not signed it.
    #[error("the note is not signed by `{origin}` with key {}", Id(*key_id))]
    NotSigned {
        /// Name of the trusted key.
        origin: String,
        /// Its id.
        key_id: [u8; 4],
    },
    /// The line of the trusted key does not verify: text or signature was changed.
    #[error("the signature of `{origin}` does not verify")]
    BadSignature {
        /// Name of the trusted key.
        origin: String,
    },
    /// Signed, but the text is no checkpoint: three lines of origin, size and root.
    #[error("the signed text is not a checkpoint (C2SP tlog-checkpoint)")]
    NotACheckpoint,
    /// Signed by the right key for another log.
    #[error("the checkpoint is of log `{found}`, not `{expected}`")]
    OtherLog {
        /// Origin of the key.
        expected: String,
        /// Origin in the text.
        found: String,
    },
    /// The origin is empty, too long, or has a space, a plus or a control character.
    #[error("not an origin: 1 to {ORIGIN_OCTETS_MAX} octets without space, plus or control character")]
    BadOrigin,
    /// Not the text of a verifier key, or its parts contradict each other.
    #[error("not a verifier key: expected <origin>+<8 hexadecimal digits>+<base64>")]
    BadKey,
}

struct Id([u8; 4]);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl VerifierKey {
    /// Names an Ed25519 public key (RFC 8032, 32 octets) as the key of the log `origin`.
    pub fn new(origin: &str, public: [u8; 32]) -> Result<Self, BadNote> {
        let fits = (1..=ORIGIN_OCTETS_MAX).contains(&origin.len());
        let clean = !origin.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+');
        if fits && clean { Ok(Self { origin: origin.to_owned(), public }) } else { Err(BadNote::BadOrigin) }
    }

    /// Name of the log, and of the key.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The public key.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// First four octets of SHA-256(origin ‖ 0x0A ‖ 0x01 ‖ key). It finds the line; it proves nothing.
    pub fn key_id(&self) -> [u8; 4] {
        let mut context = digest::Context::new(&SHA256);
        context.update(self.origin.as_bytes());
        context.update(&[b'\n', ED25519_TYPE]);
        context.update(&self.public);
        let digest = context.finish();
        let mut id = [0; 4];
        id.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        id
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ED25519_TYPE], self.public.as_slice()].concat();
        write!(f, "{}+{}+{}", self.origin, Id(self.key_id()), STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = BadNote;

    fn from_str(text: &str) -> Result<Self, BadNote> {
        let (origin, rest) = text.split_once('+').ok_or(BadNote::BadKey)?;
        let (_, key) = rest.split_once('+').ok_or(BadNote::BadKey)?;
        let key = STANDARD.decode(key).map_err(|_| BadNote::BadKey)?;
        let Some((&ED25519_TYPE, public)) = key.split_first() else { return Err(BadNote::BadKey) };
        let public = public.try_into().map_err(|_| BadNote::BadKey)?;
        let key = Self::new(origin, public)?;
        // Written once more, so that the key id is compared too and no second spelling exists.
        if key.to_string() == text { Ok(key) } else { Err(BadNote::BadKey) }
    }
}

/// Adds the blank line and the signature to a text that ends with a newline.
pub(crate) fn signed_note(text: &str, sign: impl FnOnce(&[u8]) -> [u8; 64], key: &VerifierKey) -> String {
    let signature = [key.key_id().as_slice(), &sign(text.as_bytes())].concat();
    format!("{text}\n{SIGNATURE_START}{} {}\n", key.origin, STANDARD.encode(signature))
}

/// The text of a note, if `key` signed it. Every line of that key must verify.
pub fn signed_text<'a>(note: &'a str, key: &VerifierKey) -> Result<&'a str, BadNote> {
    let (text, signatures) = parts(note)?;
    let mut signed = false;
    for line in signatures.split('\n') {
        let line = line.strip_prefix(SIGNATURE_START).ok_or(BadNote::NotANote)?;
        let (name, blob) = line.split_once(' ').ok_or(BadNote::NotANote)?;
        let blob = STANDARD.decode(blob).map_err(|_| BadNote::NotANote)?;
        let (id, signature) = blob.split_first_chunk::<4>().ok_or(BadNote::NotANote)?;
        if name != key.origin || *id != key.key_id() {
            continue;
        }
        UnparsedPublicKey::new(&ED25519, key.public)
            .verify(text.as_bytes(), signature)
            .map_err(|_| BadNote::BadSignature { origin: key.origin.clone() })?;
        signed = true;
    }
    if signed {
        Ok(text)
    } else {
        Err(BadNote::NotSigned { origin: key.origin.clone(), key_id: key.key_id() })
    }
}

/// The text with its last newline, and the signature lines without theirs.
fn parts(note: &str) -> Result<(&str, &str), BadNote> {
    if note.len() > NOTE_OCTETS_MAX {
        return Err(BadNote::TooLong);
    }
    if note.bytes().any(|b| b < 0x20 && b != b'\n') {
        return Err(BadNote::NotANote);
    }
    // Texts may hold blank lines: the last one counts.
    let blank = note.rfind("\n\n").ok_or(BadNote::NotANote)?;
    let text = note.get(..blank + 1).ok_or(BadNote::NotANote)?;
    let signatures = note.get(blank + 2..).ok_or(BadNote::NotANote)?;
    Ok((text, signatures.strip_suffix('\n').ok_or(BadNote::NotANote)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tests of golang.org/x/mod/sumdb/note, the implementation that the standard grew from.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn a_note_of_another_implementation_opens() {
        let key: VerifierKey = KEY.parse().unwrap();
        assert_eq!(key.to_string(), KEY);
        assert_eq!(signed_text(&format!("{TEXT}\n{LINE}"), &key), Ok(TEXT));
    }

    #[test]
    fn unknown_signers_are_passed_over_but_do_not_count() {
        let key: VerifierKey = KEY.parse().unwrap();
        let other = "— witness.example AAAAAAECAwQ=\n";
        assert_eq!(signed_text(&format!("{TEXT}\n{other}{LINE}{other}"), &key), Ok(TEXT));
        let missing = BadNote::NotSigned { origin: "PeterNeumann".into(), key_id: key.key_id() };
        assert_eq!(signed_text(&format!("{TEXT}\n{other}"), &key), Err(missing));
    }

    #[test]
    fn a_second_bad_line_of_the_trusted_key_spoils_the_note() {
        let key: VerifierKey = KEY.parse().unwrap();
        let bad = LINE.replace("nAM=", "nAA=");
        let refused = Err(BadNote::BadSignature { origin: "PeterNeumann".into() });
        assert_eq!(signed_text(&format!("{TEXT}\n{LINE}{bad}"), &key), refused);
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let key: VerifierKey = KEY.parse().unwrap();
        for (name, note) in [
            ("empty", String::new()),
            ("no signature", format!("{TEXT}\n")),
            ("no blank line", format!("{TEXT}{LINE}")),
            ("no last newline", format!("{TEXT}\n{}", LINE.trim_end())),
            ("hyphen for the dash", format!("{TEXT}\n{}", LINE.replace('—', "-"))),
            ("tab in the text", format!("a\tb\n\n{LINE}")),
            ("carriage return", format!("{TEXT}\n{}", LINE.replace('\n', "\r\n"))),
            ("a line that is no signature", format!("{TEXT}\n{LINE}hello\n")),
            ("signature of three octets", format!("{TEXT}\n— PeterNeumann AAAA\n")),
        ] {
            assert_eq!(signed_text(&note, &key), Err(BadNote::NotANote), "{name}");
        }
        assert_eq!(signed_text(&"a".repeat(NOTE_OCTETS_MAX + 1), &key), Err(BadNote::TooLong));
    }

    #[test]
    fn a_key_has_one_spelling_and_its_id_is_checked() {
        for (name, text, fault) in [
            ("wrong id", KEY.replace("c74f20a3", "c74f20a4"), BadNote::BadKey),
            ("capital id", KEY.replace("c74f20a3", "C74F20A3"), BadNote::BadKey),
            ("another algorithm", KEY.replace("+AR", "+Ah"), BadNote::BadKey),
            ("short key", KEY.replace("10TW", ""), BadNote::BadKey),
            ("no key", "PeterNeumann+c74f20a3".into(), BadNote::BadKey),
            ("space in the name", KEY.replace("rN", "r N"), BadNote::BadOrigin),
            ("no name", KEY.replace("PeterNeumann", ""), BadNote::BadOrigin),
        ] {
            assert_eq!(text.parse::<VerifierKey>(), Err(fault), "{name}");
        }
    }
}
