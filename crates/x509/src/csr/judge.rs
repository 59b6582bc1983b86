//! Whether a request asks for what will be issued: each name and extension is absent, or equal to it.
//!
//! In: the wishes of a proven request, and [`Granted`]. Out: nothing, or the first wish that differs, with what was
//! found and what would have passed. Order and critical flags ask for nothing: what is issued has its own.

use super::{Csr, CsrFault, Requested};
use crate::certificate::{DIGITAL_SIGNATURE, ExtendedKeyUsage};
use crate::distinguished_name::{Attribute, COMMON_NAME};
use crate::extensions::{
    AUTHORITY_KEY_ID, CRL_DISTRIBUTION_POINTS, EXTENDED_KEY_USAGE, KEY_USAGE, SCOPE, SCOPE_OF_FIRST_RELEASE,
    SUBJECT_KEY_ID,
};
use crate::oid_names::{named, short_name};
use crate::tbs;
use core::net::IpAddr;
use touchmark_identity::{Name, SpiffeId};

/// Most of one value that is repeated to people and logs.
const SHOWN_CHARS_MAX: usize = 128;
/// Most values of a list that are repeated.
const SHOWN_VALUES_MAX: usize = 8;

/// What will be issued; all that a request may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a> {
    /// The subject's common name.
    pub common_name: &'a str,
    /// The identity.
    pub uri: &'a str,
    /// DNS names.
    pub dns: &'a [String],
    /// Addresses.
    pub ips: &'a [IpAddr],
    /// Scope strings.
    pub scope: &'a [String],
    /// What all certificates of this profile and authority have in common.
    pub form: &'a Form,
}

/// What all certificates of one profile under one authority have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// extKeyUsage.
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    /// Key identifier of the issuing authority.
    pub authority_key_id: Vec<u8>,
    /// Addresses of the authority's CRLs; a certificate names one of them.
    pub crl_urls: Vec<String>,
}

impl Csr {
    /// Whether every wish is absent or equal to what will be issued; challengePassword is for the caller to judge.
    ///
    /// # Errors
    /// [`CsrFault`] names the first wish that is neither.
    pub fn within(&self, granted: &Granted<'_>) -> Result<(), CsrFault> {
        // No `..`: a new wish must be judged here before this compiles again.
        let Requested {
            subject,
            uris,
            dns,
            ips,
            other_name,
            ca,
            extended_key_usages,
            key_usage,
            subject_key_id,
            extensions,
            unstructured_names,
            attributes,
            challenge_password: _,
        } = &self.requested;
        if *ca {
            return Err(CsrFault::Ca);
        }
        judge_subject(subject, granted)?;
        judge_alternative_names(uris, dns, ips, other_name.as_deref(), granted)?;
        let usages = &granted.form.extended_key_usages;
        if extended_key_usages.iter().any(|asked| !usages.contains(asked)) {
            return Err(extension(EXTENDED_KEY_USAGE, list(extended_key_usages, usage), list(usages, usage)));
        }
        if let Some(asked) = key_usage.filter(|asked| *asked != DIGITAL_SIGNATURE) {
            return Err(extension(KEY_USAGE, key_usages(asked), key_usages(DIGITAL_SIGNATURE)));
        }
        let key = self.public_key();
        if let Some(asked) = subject_key_id.as_ref().filter(|id| id[..] != key.key_id() && !key.is_key_id(id))
        {
            return Err(extension(
                SUBJECT_KEY_ID,
                hex(asked),
                format!(
                    "{}, or another hash of the request's key (RFC 5280 §4.2.1.2, RFC 7093 §2)",
                    hex(&key.key_id())
                ),
            ));
        }
        extensions.iter().try_for_each(|(oid, value)| judge_extension(oid, value, granted))?;
        let known = |text: &str| text == granted.common_name || text == granted.uri;
        if let Some(name) = unstructured_names.iter().find(|name| !name.as_deref().is_some_and(known)) {
            return Err(CsrFault::Name {
                found: format!("{} {}", named(super::UNSTRUCTURED_NAME), shown(name.as_deref())),
                taken: format!("none, or {:?}", granted.common_name),
            });
        }
        match attributes.first() {
            Some(oid) => Err(CsrFault::Attribute { attribute: named(oid) }),
            None => Ok(()),
        }
    }
}

/// See [`Requested::device_name`].
pub(super) fn device_name(asked: &Requested) -> Result<Name, String> {
    let common_names: Vec<_> = asked.subject.iter().filter(|one| one.oid == COMMON_NAME).collect();
    match (common_names.as_slice(), asked.uris.as_slice()) {
        ([one], _) => one.text.as_deref().unwrap_or_default().parse().map_err(|why| {
            format!(
                "{} {} in its subject, which is no name: {why}",
                named(COMMON_NAME),
                shown(one.text.as_deref())
            )
        }),
        ([], [uri]) => match uri.parse::<SpiffeId>() {
            Ok(id) => Ok(id.name),
            Err(why) => Err(format!(
                "the URI {} in its subjectAltName, which is no identity: {why}",
                shown(Some(uri))
            )),
        },
        ([], []) => Err(format!("no common name and no URI, but {}", other_names(asked))),
        ([], uris) => {
            Err(format!("{} URIs in its subjectAltName: {}", uris.len(), list(uris, |uri| shown(Some(uri)))))
        }
        (several, _) => Err(format!(
            "{} common names in its subject: {}",
            several.len(),
            list(several, |one| shown(one.text.as_deref()))
        )),
    }
}

/// What names a request has that is asked for none of these.
fn other_names(asked: &Requested) -> String {
    let in_subject = asked
        .subject
        .iter()
        .map(|one| format!("{} {} in its subject", named(&one.oid), shown(one.text.as_deref())));
    let hosts = asked.dns.iter().map(|name| format!("the DNS name {}", shown(Some(name))));
    let addresses = asked.ips.iter().map(|ip| format!("the address {ip}"));
    let other = asked.other_name.iter().map(|sort| format!("a {sort} in its subjectAltName"));
    let found: Vec<String> = in_subject.chain(hosts).chain(addresses).chain(other).collect();
    if found.is_empty() { "an empty subject".to_owned() } else { list(&found, Clone::clone) }
}

/// Empty, or the one common name that is issued, in any string type.
fn judge_subject(subject: &[Attribute], granted: &Granted<'_>) -> Result<(), CsrFault> {
    let right = |one: &Attribute| one.oid == COMMON_NAME && one.text.as_deref() == Some(granted.common_name);
    let found = match subject.iter().find(|one| !right(one)) {
        Some(wrong) => format!("{} {} in its subject", named(&wrong.oid), shown(wrong.text.as_deref())),
        None if subject.len() > 1 => format!("{} common names in its subject", subject.len()),
        None => return Ok(()),
    };
    let taken = format!("an empty subject, or {} {:?} alone", named(COMMON_NAME), granted.common_name);
    Err(CsrFault::Name { found, taken })
}

fn judge_alternative_names(
    uris: &[String],
    dns: &[String],
    ips: &[IpAddr],
    other: Option<&str>,
    granted: &Granted<'_>,
) -> Result<(), CsrFault> {
    let uri =
        uris.iter().find(|asked| *asked != granted.uri).map(|uri| format!("the URI {}", shown(Some(uri))));
    // RFC 5280 §7.2: host names have no case.
    let host = |asked: &&String| !granted.dns.iter().any(|known| known.eq_ignore_ascii_case(asked));
    let host = || dns.iter().find(host).map(|name| format!("the DNS name {}", shown(Some(name))));
    let address =
        || ips.iter().find(|asked| !granted.ips.contains(asked)).map(|ip| format!("the address {ip}"));
    let other = || other.map(|sort| format!("a {sort}"));
    let Some(found) = uri.or_else(host).or_else(address).or_else(other) else { return Ok(()) };
    let names = granted.dns.iter().map(|name| format!("DNS name {name:?}"));
    let addresses = granted.ips.iter().map(|ip| format!("address {ip}"));
    let granted: Vec<_> =
        core::iter::once(format!("URI {:?}", granted.uri)).chain(names).chain(addresses).collect();
    Err(CsrFault::Name {
        found: format!("{found} in its subjectAltName (2.5.29.17)"),
        taken: format!("none, or of these: {}", list(&granted, Clone::clone)),
    })
}

/// An extension that is issued as one value, or not at all.
fn judge_extension(oid: &str, value: &[u8], granted: &Granted<'_>) -> Result<(), CsrFault> {
    let form = granted.form;
    let (passes, taken) = match oid {
        // OpenSSL writes an empty one where there is no issuer to name yet.
        AUTHORITY_KEY_ID => (
            value == [0x30, 0] || value == tbs::authority_key_id(&form.authority_key_id),
            format!("none, or keyIdentifier {}", hex(&form.authority_key_id)),
        ),
        CRL_DISTRIBUTION_POINTS => (
            form.crl_urls.iter().any(|url| value == tbs::crl_distribution_point(url)),
            format!("none, or one of: {}", list(&form.crl_urls, Clone::clone)),
        ),
        SCOPE | SCOPE_OF_FIRST_RELEASE if !granted.scope.is_empty() => {
            (value == tbs::scope(granted.scope), format!("none, or: {}", list(granted.scope, Clone::clone)))
        }
        _ => (false, "none, since it is not issued".to_owned()),
    };
    let value =
        if value.len() <= SHOWN_CHARS_MAX / 2 { hex(value) } else { format!("{} octets", value.len()) };
    if passes { Ok(()) } else { Err(extension(oid, format!("with the value {value}"), taken)) }
}

fn extension(oid: &str, found: String, taken: String) -> CsrFault {
    CsrFault::Extension { extension: named(oid), found, taken }
}

/// A value in quotes, without what could steer a terminal, and not too long.
fn shown(text: Option<&str>) -> String {
    match text {
        Some(text) => format!("{:?}", text.chars().take(SHOWN_CHARS_MAX).collect::<String>()),
        None => "that is no text".to_owned(),
    }
}

fn list<T>(values: &[T], show: impl Fn(&T) -> String) -> String {
    let more = values.len().saturating_sub(SHOWN_VALUES_MAX);
    let mut text = values.iter().take(SHOWN_VALUES_MAX).map(show).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn usage(usage: &ExtendedKeyUsage) -> String {
    short_name(usage.oid()).map_or_else(|| usage.oid().to_owned(), ToOwned::to_owned)
}

fn key_usages(bits: u16) -> String {
    const NAMES: [&str; 9] = [
        "digitalSignature",
        "nonRepudiation",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];
    let set: Vec<_> =
        NAMES.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| *name).collect();
    if set.is_empty() { "without any usage".to_owned() } else { set.join(", ") }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
