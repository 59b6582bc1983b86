//! An order becomes octets: every decided value is in the certificate and in the record, in its own place.

use crate::fixtures::{
    DAY_S, NOW_S, RANDOM, at, authority_valid, authority_version, certificate_of, device_order, incarnation,
    issuing, issuing_key, operator_order, planned, prepared, profile, scope, service_order,
};
use std::time::Duration;
use touchmark_ca::{IssuanceOrder, OrderParts, PlanFault, Profile, plan};
use touchmark_identity::{CertificateId, SerialNumber, Timestamp, Validity};
use touchmark_journal::{CertificateIntended, Event, IdentityKind, IntentPrivate, Private};
use touchmark_x509::certificate::DIGITAL_SIGNATURE;

type Order = (&'static str, fn() -> OrderParts);
const ORDERS: [Order; 3] =
    [("device", device_order), ("service", service_order), ("operator", operator_order)];

fn drawn_serial() -> SerialNumber {
    SerialNumber::draw(incarnation(3), RANDOM[..16].try_into().unwrap())
}

#[test]
fn every_decided_value_is_in_the_certificate() {
    let authority = prepared(issuing(), &issuing_key(), 4);
    for (name, order) in ORDERS {
        let expected = order();
        let leaf = certificate_of(planned(order(), &authority).unwrap(), &issuing_key());
        assert_eq!(leaf.serial(), &drawn_serial(), "{name}");
        assert_eq!(leaf.validity(), Validity::new(NOW_S - 30, NOW_S - 30 + 3 * DAY_S - 1).unwrap(), "{name}");
        assert_eq!(leaf.public_key(), &expected.public_key, "{name}");
        assert_eq!(leaf.common_name(), Some(expected.identity.name.as_str()), "{name}");
        assert_eq!(leaf.uri_sans(), [expected.identity.to_string()], "{name}");
        assert_eq!(leaf.dns_sans(), expected.dns, "{name}");
        assert_eq!(leaf.ip_sans(), expected.ips, "{name}");
        assert_eq!(leaf.scope(), expected.scope_strings, "{name}");
        assert_eq!((leaf.is_ca(), leaf.key_usage()), (false, Some(DIGITAL_SIGNATURE)), "{name}");
        let usages = profile(expected.kind).extended_key_usages();
        assert_eq!(leaf.extended_key_usages(), Some(usages), "{name}");
        assert_eq!(leaf.issuer_der(), issuing().subject_der(), "{name}");
        assert_eq!(leaf.authority_key_id(), issuing().subject_key_id(), "{name}");
    }
}

/// Not SHA-256, which the caller brings, but as good for one certificate.
fn digest(octets: &[u8]) -> [u8; 32] {
    let mut folded = [0; 32];
    octets.iter().enumerate().for_each(|(at, octet)| folded[at % 32] ^= octet);
    folded
}

#[test]
fn every_decided_value_is_in_the_record() {
    let authority = prepared(issuing(), &issuing_key(), 4);
    for (name, order) in ORDERS {
        let (plan, parts) = (planned(order(), &authority).unwrap(), order());
        let certificate = CertificateId::draw(at(NOW_S), RANDOM[16..].try_into().unwrap());
        assert_eq!(plan.certificate(), certificate, "{name}");
        assert_eq!(plan.serial(), (authority_version(), drawn_serial()), "{name}");
        assert_eq!(plan.scope(), &scope(), "{name}");
        let tbs = plan.tbs().to_vec();
        let event = Event::CertificateIntended(CertificateIntended {
            certificate,
            device: parts.device,
            kind: parts.kind,
            authority_version: authority_version(),
            profile_version: profile(parts.kind).version,
            serial: drawn_serial(),
            validity: Validity::new(NOW_S - 30, NOW_S - 30 + 3 * DAY_S - 1).unwrap(),
            tbs_sha256: digest(&tbs),
            token: parts.token,
            replaces: parts.replaces,
            generation: parts.generation,
            crl_shard: u32::from(RANDOM[15] % 4),
            renewal: parts.renewal,
        });
        let private = Private::Intent(IntentPrivate {
            identity: parts.identity,
            spki: parts.public_key.spki_hash(),
            csr_sha256: parts.csr_sha256,
            tbs: tbs.clone(),
        });
        assert_eq!(plan.intent(digest), (event, private), "{name}");
        assert_eq!(
            certificate_of(plan, &issuing_key()).tbs_der(),
            tbs,
            "{name}: what was recorded is signed"
        );
    }
}

enum Refused {
    Expired,
    NoSpan,
    NotYet,
}

/// Begins at most 30 s and at most a tenth of the lifetime early, and never leaves the issuer's own span.
#[test]
fn a_certificate_lives_as_long_as_its_profile_says_and_no_longer_than_its_issuer() {
    use Refused::{Expired, NoSpan, NotYet};
    let always = (0, Timestamp::MAX.unix_s());
    let last_s = always.1;
    let whole = NOW_S - 30 + 3 * DAY_S - 1;
    type Row = (&'static str, u64, u64, (u64, u64), Result<(u64, u64), Refused>);
    let rows: [Row; 25] = [
        ("days", 3 * DAY_S, NOW_S, always, Ok((NOW_S - 30, whole))),
        ("the shortest that is begun 30 s early", 300, NOW_S, always, Ok((NOW_S - 30, NOW_S + 269))),
        ("a second less", 299, NOW_S, always, Ok((NOW_S - 29, NOW_S + 269))),
        ("a second more", 301, NOW_S, always, Ok((NOW_S - 30, NOW_S + 270))),
        ("ten seconds", 10, NOW_S, always, Ok((NOW_S - 1, NOW_S + 8))),
        ("nine seconds", 9, NOW_S, always, Ok((NOW_S, NOW_S + 8))),
        ("the shortest", 2, NOW_S, always, Ok((NOW_S, NOW_S + 1))),
        ("too short", 1, NOW_S, always, Err(Expired)),
        ("none", 0, NOW_S, always, Err(Expired)),
        ("longer than time", u64::MAX, NOW_S, always, Ok((NOW_S - 30, last_s))),
        ("none in the first second of 1970", 0, 0, always, Err(Expired)),
        ("in the first seconds of 1970", DAY_S, 29, always, Ok((0, DAY_S - 1))),
        ("at the end of time", DAY_S, last_s - 1, always, Ok((last_s - 31, last_s))),
        ("in the last second", DAY_S, last_s, always, Err(Expired)),
        ("an issuer as old", DAY_S, NOW_S, (NOW_S - 30, last_s), Ok((NOW_S - 30, NOW_S - 31 + DAY_S))),
        ("a younger issuer", DAY_S, NOW_S, (NOW_S - 29, last_s), Ok((NOW_S - 29, NOW_S - 30 + DAY_S))),
        ("an issuer of this second", DAY_S, NOW_S, (NOW_S, last_s), Ok((NOW_S, NOW_S - 1 + DAY_S))),
        ("an issuer of the next second", DAY_S, NOW_S, (NOW_S + 1, last_s), Err(NotYet)),
        ("and too short", 1, NOW_S, (NOW_S + 1, last_s), Err(NoSpan)),
        ("an issuer that ends later", 3 * DAY_S, NOW_S, (0, whole + 1), Ok((NOW_S - 30, whole))),
        ("an issuer that ends with it", 3 * DAY_S, NOW_S, (0, whole), Ok((NOW_S - 30, whole))),
        ("an issuer that ends sooner", 3 * DAY_S, NOW_S, (0, whole - 1), Ok((NOW_S - 30, whole - 1))),
        ("an issuer with one second more", DAY_S, NOW_S, (0, NOW_S + 1), Ok((NOW_S - 30, NOW_S + 1))),
        ("an issuer in its last second", DAY_S, NOW_S, (0, NOW_S), Err(Expired)),
        ("an issuer that has ended", DAY_S, NOW_S, (0, NOW_S - 1), Err(Expired)),
    ];
    for (name, lifetime_s, now_s, (from_s, to_s), expected) in rows {
        let authority = prepared(authority_valid(&issuing_key(), from_s, to_s), &issuing_key(), 1);
        let order = IssuanceOrder::admitted_unchecked(device_order());
        let lifetime = Duration::from_secs(lifetime_s);
        let profile = Profile { lifetime, ..profile(IdentityKind::Operational) };
        match (plan(order, &profile, &authority, incarnation(3), at(now_s), RANDOM), expected) {
            (Ok(plan), Ok((from_s, to_s))) => {
                let leaf = certificate_of(plan, &issuing_key());
                assert_eq!(leaf.validity(), Validity::new(from_s, to_s).unwrap(), "{name}");
            }
            (Err(PlanFault::IssuerExpired), Err(Expired))
            | (Err(PlanFault::Validity(_)), Err(NoSpan))
            | (Err(PlanFault::Lint(_)), Err(NotYet)) => {}
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}
