//! Names, SPIFFE ids, serial numbers, identifiers, hashes and moments: one value, one spelling, and the grammar as written.
//!
//! The first letter chooses: `a` a text for every reader of texts, `b` octets for every reader of octets.

#![no_main]

use core::fmt::{Debug, Display};
use core::str::FromStr;
use libfuzzer_sys::fuzz_target;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use touchmark_decisions::DecisionId;
use touchmark_fuzz::{Input, chosen};
use touchmark_identity::{
    AuthorityVersionId, CertificateId, DeviceId, EnvironmentName, Fingerprint, Name, OrganisationName,
    ProfileVersionId, RevocationReason, SerialNumber, SpiffeId, SpkiHash, Timestamp, TokenId, TrustDomain,
    Validity,
};
use touchmark_policy::{DenyReason, RuleId};

fuzz_target!(|data: &[u8]| match chosen(data) {
    (0, octets) => {
        if let Ok(text) = core::str::from_utf8(octets) {
            texts(text);
        }
    }
    (_, octets) => read_octets(octets),
});

fn texts(text: &str) {
    assert_eq!(exact::<Name>(text), is_name(text, 64, "._-"), "{text:?}");
    assert_eq!(exact::<EnvironmentName>(text), exact::<Name>(text));
    assert_eq!(exact::<OrganisationName>(text), exact::<Name>(text));
    assert_eq!(exact::<TrustDomain>(text), is_name(text, 253, ".-") && text.contains('.'), "{text:?}");
    if exact::<SpiffeId>(text) {
        assert!(text.len() <= 253 + 64 + 12 && text.is_ascii());
    }
    exact::<DecisionId>(text);
    exact::<RevocationReason>(text);
    stable::<DeviceId>(text);
    stable::<CertificateId>(text);
    stable::<AuthorityVersionId>(text);
    stable::<ProfileVersionId>(text);
    stable::<TokenId>(text);
    stable::<Fingerprint>(text);
    stable::<SpkiHash>(text);
    stable::<SerialNumber>(text);
    if let Ok(rule) = RuleId::new(text) {
        assert_eq!(rule.as_str(), text);
    }
    if let Ok(reason) = text.parse::<DenyReason>() {
        assert_eq!(reason.code(), text);
    }
    moment(text);
}

/// Reads a text, and what it writes is the text itself.
fn exact<T: FromStr + Display>(text: &str) -> bool {
    let Ok(value) = text.parse::<T>() else { return false };
    assert_eq!(value.to_string(), text);
    true
}

/// Reads a text; it may have several spellings, but what is written is one of them.
fn stable<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let written = value.to_string();
    assert_eq!(written.parse::<T>().expect("reads what it wrote"), value);
    assert!(written.is_ascii());
}

/// The grammar of names, told otherwise than in the product.
fn is_name(text: &str, max: usize, inner: &str) -> bool {
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=max).contains(&text.len())
        && text.chars().all(|c| outer(c) || inner.contains(c))
        && text.starts_with(outer)
        && text.ends_with(outer)
        && !text.contains("..")
}

fn moment(text: &str) {
    let read = Timestamp::parse(text);
    let nanoseconds = OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp_nanos);
    let within = nanoseconds
        .filter(|ns| (0..=i128::from(Timestamp::MAX.unix_ms()) * 1_000_000 + 999_999).contains(ns));
    assert_eq!(read.is_ok(), within.is_some(), "{text:?} is {read:?}");
    if let (Ok(read), Some(nanoseconds)) = (read, within) {
        assert_eq!(i128::from(read.unix_ms()), nanoseconds / 1_000_000);
        written(read);
    }
}

fn written(moment: Timestamp) {
    let text = moment.to_string();
    assert_eq!((text.len(), Timestamp::parse(&text)), (24, Ok(moment)));
}

fn read_octets(octets: &[u8]) {
    if let Ok(serial) = SerialNumber::try_from(octets) {
        assert_eq!(serial.der_content(), octets, "one spelling");
        assert_eq!(serial.to_string().parse(), Ok(serial));
        assert!(octets.len() <= SerialNumber::OCTETS);
    }
    if let Ok(id) = DeviceId::try_from(octets) {
        assert_eq!(id.as_bytes(), octets);
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Ok(hash) = Fingerprint::try_from(octets) {
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }
    let mut input = Input::new(octets);
    let (one, other) = (input.u64(), input.u64());
    written(Timestamp::from_unix_ms(one));
    written(Timestamp::from_unix_s(other));
    let drawn = DeviceId::draw(Timestamp::from_unix_ms(one), input.array());
    assert_eq!(drawn.to_string().parse(), Ok(drawn));
    let Ok(validity) = Validity::new(one, other) else {
        assert!(one >= other || other > Timestamp::MAX.unix_s());
        return;
    };
    assert!(validity.contains(validity.not_before()) && validity.contains(validity.not_after()));
    assert!(validity.lifetime().as_secs() > other - one);
}
