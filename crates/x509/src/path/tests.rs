use super::*;
use crate::forge::*;
use crate::key::KeyAlgorithm;
use crate::signer::{Signer, SoftwareKey};

fn same(forged: Forged) -> Forged {
    forged
}

fn code(result: Result<VerifiedPath, PathFault>) -> &'static str {
    result.map_or_else(|fault| fault.code(), |_| "ok")
}

fn check(leaf: &Certificate, presented: &[&Party], anchors: &[&Party]) -> &'static str {
    let certificates = |parties: &[&Party]| parties.iter().map(|p| p.certificate.clone()).collect::<Vec<_>>();
    code(validate(leaf, &certificates(presented), &certificates(anchors), now(), Purpose::Client))
}

#[test]
fn a_good_path_is_found_whatever_the_order() {
    let root = root("root");
    let upper =
        root.authority("upper", |f| f.with(BASIC_CONSTRAINTS, true, basic_constraints(true, Some(1))));
    let lower = upper.authority("lower", same);
    let leaf = lower.device("pump-01", same);
    let anchors = [root.certificate.clone()];
    let presented =
        [root.certificate.clone(), upper.certificate.clone(), leaf.clone(), lower.certificate.clone()];
    let path = validate(&leaf, &presented, &anchors, now(), Purpose::Client).unwrap();
    assert_eq!(path.leaf(), &leaf);
    assert_eq!(path.issuer(), &lower.certificate);
    assert_eq!(path.anchor(), &root.certificate);
    assert_eq!(path.chain(), [leaf, lower.certificate, upper.certificate, root.certificate]);
}

#[test]
fn an_anchor_need_not_be_a_root_and_may_issue_leaves() {
    let root = root("root");
    let issuing = root.authority("issuing", same);
    let leaf = issuing.device("a", same);
    assert_eq!(check(&leaf, &[], &[&issuing]), "ok");
    assert_eq!(check(&root.device("a", same), &[], &[&root]), "ok");
    let keys = [KeyAlgorithm::P384, KeyAlgorithm::Ed25519];
    for key in keys.map(|algorithm| SoftwareKey::generate(algorithm).unwrap()) {
        let party = Party { certificate: Forged::root("other", key.public_key()).signed_by(&key), key };
        assert_eq!(check(&party.device("a", same), &[], &[&party]), "ok");
    }
}

/// A certificate of ours has one signature: the second form of it would be a second fingerprint, which hides.
#[test]
fn the_other_form_of_our_signature_opens_nothing_unless_it_is_older_than_the_rule() {
    let root = root("root");
    let twin_of = |leaf: &Certificate| {
        let signature = crate::low_s::tests::twin(leaf.signature(), KeyAlgorithm::P256);
        let algorithm = leaf.signature_algorithm().algorithm_identifier_der();
        Certificate::from_der(&crate::der::signed(leaf.tbs_der(), algorithm, &signature)).unwrap()
    };
    let first = root.certificate.validity().not_before().unix_s();
    let beginning = |second| root.device("pump-01", |f| f.change(|f| f.not_before = time(second)));
    let (with_issuer, leaf) = (beginning(first), beginning(first + 1));
    let signed_s = first + 1 + BACKDATED_S.min(leaf.validity().lifetime().as_secs() / 10);
    for (name, leaf, since_s, expected) in [
        ("begins with its issuer", &with_issuer, first, "path-signature-form"),
        ("begins with its issuer, before", &with_issuer, first + 1, "ok"),
        ("signed later", &leaf, 0, "path-signature-form"),
        ("signed in the first second", &leaf, signed_s, "path-signature-form"),
        ("signed in the second before", &leaf, signed_s + 1, "ok"),
    ] {
        let twin = twin_of(leaf);
        assert_ne!(twin.fingerprint(), leaf.fingerprint(), "{name}");
        for purpose in [Purpose::Client, Purpose::Renewal] {
            let judge = |leaf| {
                let path = validate(leaf, &[], std::slice::from_ref(&root.certificate), now(), purpose);
                code(path.and_then(|path| path.in_our_form(Timestamp::from_unix_s(since_s))))
            };
            assert_eq!(judge(leaf), "ok", "{name}");
            assert_eq!(judge(&twin), expected, "{name}");
        }
    }
}

type Change = fn(Forged) -> Forged;

#[test]
fn a_fault_of_the_leaf_is_named() {
    let rows: Vec<(&str, Change, &str)> = vec![
        ("as issued", same, "ok"),
        ("last second", |f| f.change(|f| f.not_after = time(NOW_S)), "ok"),
        ("one second late", |f| f.change(|f| f.not_after = time(NOW_S - 1)), "path-expired"),
        ("first second", |f| f.change(|f| f.not_before = time(NOW_S)), "ok"),
        ("one second early", |f| f.change(|f| f.not_before = time(NOW_S + 1)), "path-not-yet-valid"),
        (
            "server's usage",
            |f| f.with(EXTENDED_KEY_USAGE, false, usages(&[SERVER_AUTH])),
            "path-not-authorised",
        ),
        ("both usages", |f| f.with(EXTENDED_KEY_USAGE, false, usages(&[SERVER_AUTH, CLIENT_AUTH])), "ok"),
        ("any usage", |f| f.with(EXTENDED_KEY_USAGE, false, usages(&["2.5.29.37.0"])), "path-not-authorised"),
        ("no usage", |f| f.without(EXTENDED_KEY_USAGE), "path-not-authorised"),
        ("key for encipherment only", |f| f.with(KEY_USAGE, true, key_usage(0b0010_0000)), "path-key-usage"),
        ("no keyUsage", |f| f.without(KEY_USAGE), "ok"),
        (
            "an authority",
            |f| f.with(BASIC_CONSTRAINTS, true, basic_constraints(true, None)),
            "path-leaf-is-authority",
        ),
        // RFC 5280 §4.2.1.10: only in a CA certificate.
        ("name constraints", |f| f.with(NAME_CONSTRAINTS, true, uri_constraint()), "path-name-constraints"),
        (
            "name constraints, not critical",
            |f| f.with(NAME_CONSTRAINTS, false, uri_constraint()),
            "path-name-constraints",
        ),
        (
            "name constraints of another form",
            |f| f.with(NAME_CONSTRAINTS, true, dns_constraint()),
            "path-name-constraints",
        ),
        ("unknown critical", |f| f.with("1.2.3.4", true, vec![5, 0]), "path-unknown-critical"),
        ("unknown, not critical", |f| f.with("1.2.3.4", false, vec![5, 0]), "ok"),
        ("no key identifiers", |f| f.without(AUTHORITY_KEY_ID).without(SUBJECT_KEY_ID), "ok"),
        (
            "another key identifier",
            |f| f.with(AUTHORITY_KEY_ID, false, authority_key_id(&[1; 20])),
            "path-unknown-issuer",
        ),
        (
            "first octets of the key identifier",
            |f| {
                f.change(|f| {
                    if let Some((_, _, value)) =
                        f.extensions.iter_mut().find(|(oid, ..)| oid == AUTHORITY_KEY_ID)
                    {
                        *value = authority_key_id(&value[4..12]);
                    }
                })
            },
            "path-unknown-issuer",
        ),
        ("issuer in other letters", |f| f.change(|f| f.issuer = common_name("ISSUING")), "ok"),
        (
            "issuer as PrintableString",
            |f| {
                f.change(|f| {
                    let at = f.issuer.iter().position(|octet| *octet == 0x0c).unwrap();
                    f.issuer[at] = 0x13;
                })
            },
            "ok",
        ),
    ];
    let root = root("root");
    let issuing = root.authority("issuing", same);
    for (name, change, expected) in rows {
        let leaf = issuing.device("pump-01", change);
        assert_eq!(check(&leaf, &[&issuing], &[&root]), expected, "{name}");
    }
}

#[test]
fn a_fault_of_an_authority_is_named() {
    let rows: Vec<(&str, Change, &str)> = vec![
        ("as issued", same, "ok"),
        ("expired", |f| f.change(|f| f.not_after = time(NOW_S - 1)), "path-expired"),
        ("not yet valid", |f| f.change(|f| f.not_before = time(NOW_S + 1)), "path-not-yet-valid"),
        (
            "not an authority",
            |f| f.with(BASIC_CONSTRAINTS, true, basic_constraints(false, None)),
            "path-not-an-authority",
        ),
        ("no basicConstraints", |f| f.without(BASIC_CONSTRAINTS), "path-not-an-authority"),
        ("CRLs only", |f| f.with(KEY_USAGE, true, key_usage(0b0000_0010)), "path-key-usage"),
        ("no keyUsage", |f| f.without(KEY_USAGE), "path-key-usage"),
        (
            "for servers only",
            |f| f.with(EXTENDED_KEY_USAGE, false, usages(&[SERVER_AUTH])),
            "path-not-authorised",
        ),
        ("for clients", |f| f.with(EXTENDED_KEY_USAGE, false, usages(&[CLIENT_AUTH])), "ok"),
        ("for anything", |f| f.with(EXTENDED_KEY_USAGE, false, usages(&["2.5.29.37.0"])), "ok"),
        ("unknown critical", |f| f.with("1.2.3.4", true, vec![5, 0]), "path-unknown-critical"),
        ("name constraints", |f| f.with(NAME_CONSTRAINTS, true, uri_constraint()), "path-name-constraints"),
        (
            "name constraints, not critical",
            |f| f.with(NAME_CONSTRAINTS, false, uri_constraint()),
            "path-name-constraints",
        ),
    ];
    for (name, change, expected) in rows {
        let root = root("root");
        let issuing = root.authority("issuing", change);
        let leaf = issuing.device("pump-01", same);
        assert_eq!(check(&leaf, &[&issuing], &[&root]), expected, "presented: {name}");
        assert_eq!(check(&leaf, &[], &[&issuing]), expected, "anchor: {name}");
    }
}

fn dns_constraint() -> Vec<u8> {
    let subtree = element(0x30, &[&element(0x82, &[b"example.org"])]);
    element(0x30, &[&element(0xa1, &[&subtree])])
}

fn uri_constraint() -> Vec<u8> {
    let subtree = element(0x30, &[&element(URI, &[b".touchmark.internal"])]);
    element(0x30, &[&element(0xa0, &[&subtree])])
}

#[test]
fn a_stranger_with_the_same_name_is_not_the_issuer() {
    let (root, stranger, elsewhere) = (root("root"), root("root"), root("elsewhere"));
    let issuing = root.authority("issuing", same);
    let twin = stranger.authority("issuing", same);
    let leaf = issuing.device("a", same);
    let unbound = issuing.device("a", |f| f.without(AUTHORITY_KEY_ID));
    // The twin signs, and claims the real authority's key identifier.
    let forged = twin.device("a", |f| {
        f.with(AUTHORITY_KEY_ID, false, authority_key_id(issuing.certificate.subject_key_id().unwrap()))
    });
    let rows = [
        ("the right one", check(&leaf, &[&issuing], &[&root]), "ok"),
        ("both, wrong first", check(&leaf, &[&twin, &issuing], &[&stranger, &root]), "ok"),
        ("other key", check(&leaf, &[&twin], &[&stranger]), "path-unknown-issuer"),
        ("other key, no key identifier", check(&unbound, &[&twin], &[&stranger]), "path-signature"),
        ("no key identifier, both", check(&unbound, &[&twin, &issuing], &[&root]), "ok"),
        ("wrong anchor", check(&leaf, &[&issuing], &[&stranger]), "path-unknown-issuer"),
        ("the root only presented", check(&leaf, &[&issuing, &root], &[&elsewhere]), "path-unknown-issuer"),
        (
            "the root only presented, its twin known",
            check(&leaf, &[&issuing, &root], &[&stranger]),
            "path-signature",
        ),
        ("forged", check(&forged, &[&issuing], &[&root]), "path-signature"),
        ("no anchor", check(&leaf, &[&issuing], &[]), "path-unknown-issuer"),
        ("nothing presented", check(&leaf, &[], &[&root]), "path-unknown-issuer"),
    ];
    for (name, found, expected) in rows {
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_leaf_cannot_issue_another() {
    let root = root("root");
    let device = key();
    let certificate = Forged::device("a", device.public_key(), &root.certificate).signed_by(&root.key);
    let party = Party { certificate, key: device };
    assert_eq!(check(&party.device("b", same), &[&party], &[&root]), "path-not-an-authority");
}

#[test]
fn a_path_length_counts_authorities_but_no_roll_over() {
    let root = root("root");
    let none_below = root.authority("upper", same);
    let lower =
        none_below.authority("lower", |f| f.with(BASIC_CONSTRAINTS, true, basic_constraints(true, None)));
    let leaf = lower.device("a", same);
    assert_eq!(check(&leaf, &[&lower, &none_below], &[&root]), "path-length");
    // The same authority under its next key: self-issued, signed by the old key.
    let next = none_below.authority("upper", same);
    let leaf = next.device("a", same);
    assert_eq!(check(&leaf, &[&next, &none_below], &[&root]), "ok");
}

#[test]
fn a_path_is_bounded_in_depth() {
    for (between, expected) in [(DEPTH_MAX - 2, "ok"), (DEPTH_MAX - 1, "path-too-deep")] {
        let root = root("root");
        let mut parties = vec![root];
        for n in 0..between {
            let last = parties.last().unwrap();
            let wide = |f: Forged| f.with(BASIC_CONSTRAINTS, true, basic_constraints(true, None));
            parties.push(last.authority(&format!("level-{n}"), wide));
        }
        let leaf = parties.last().unwrap().device("a", same);
        let presented: Vec<&Party> = parties.iter().skip(1).collect();
        assert_eq!(check(&leaf, &presented, &[&parties[0]]), expected, "{between} between");
    }
}

fn wide(forged: Forged) -> Forged {
    forged.without(AUTHORITY_KEY_ID).with(BASIC_CONSTRAINTS, true, basic_constraints(true, None))
}

fn root_of(name: &str, algorithm: KeyAlgorithm) -> Party {
    let key = SoftwareKey::generate(algorithm).unwrap();
    Party { certificate: Forged::root(name, key.public_key()).without(AUTHORITY_KEY_ID).signed_by(&key), key }
}

/// So many authorities of one name with keys of one kind, no key identifiers: each could have issued each.
fn alike(count: usize, algorithm: KeyAlgorithm) -> Vec<Party> {
    let mut parties = vec![root_of("x", algorithm)];
    while parties.len() < count {
        let (last, key) = (parties.last().unwrap(), SoftwareKey::generate(algorithm).unwrap());
        let certificate =
            wide(Forged::authority("x", key.public_key(), &last.certificate)).signed_by(&last.key);
        parties.push(Party { certificate, key });
    }
    parties
}

/// Four keys of one name, each certified twice by the next: the ways to an anchor double with each step.
fn doubled() -> (Certificate, Vec<Certificate>) {
    let parties = alike(5, KeyAlgorithm::P256);
    let mut presented = Vec::new();
    for (below, by) in parties.iter().zip(parties.iter().skip(1)) {
        for early in [1, 2] {
            let forged = wide(Forged::authority("x", below.key.public_key(), &by.certificate));
            presented.push(forged.change(|f| f.not_before = time(NOW_S - early)).signed_by(&by.key));
        }
    }
    (parties[0].device("a", |f| f.without(AUTHORITY_KEY_ID)), presented)
}

fn certificates(parties: &[Party]) -> Vec<Certificate> {
    parties.iter().map(|party| party.certificate.clone()).collect()
}

#[test]
fn what_a_chain_costs_does_not_grow_with_the_anchors() {
    let unbound = |party: &Party| party.device("a", |f| f.without(AUTHORITY_KEY_ID));
    let (eight, seven_384) = (alike(8, KeyAlgorithm::P256), alike(7, KeyAlgorithm::P384));
    let (elsewhere, shared) = (root("elsewhere"), root("root"));
    let environments = |count: usize| -> Vec<Certificate> {
        let issuing = (0..count).map(|n| shared.authority(&format!("issuing {n}"), same));
        issuing.flat_map(|issuing| [issuing.certificate, shared.certificate.clone()]).collect()
    };
    let ours = environments(31);
    // Roots of the strangers' own name, so that each of their certificates could be issued by an anchor.
    let doubled = doubled();
    let named_alike = [root_of("x", KeyAlgorithm::P256).certificate];
    let wide_chain: Vec<Party> = (0..8).map(|n| elsewhere.authority(&format!("wide {n}"), wide)).collect();
    let (a, b) = (root_of("a", KeyAlgorithm::P256), root_of("b", KeyAlgorithm::P256));
    let cross = |subject: &Party, name: &str, by: &Party| {
        wide(Forged::authority(name, subject.key.public_key(), &by.certificate)).signed_by(&by.key)
    };
    let crossed = vec![cross(&a, "a", &b), cross(&b, "b", &a), a.certificate.clone(), b.certificate.clone()];
    type Row<'a> = (&'a str, Certificate, Vec<Certificate>, Vec<Certificate>, &'a str, u32);
    let rows: Vec<Row<'_>> = vec![
        ("nobody knows them", unbound(&eight[7]), certificates(&eight), vec![], "path-unknown-issuer", 0),
        (
            "seven P-384 authorities",
            unbound(&seven_384[6]),
            certificates(&seven_384),
            vec![],
            "path-unknown-issuer",
            0,
        ),
        (
            "a wide chain",
            unbound(&wide_chain[0]),
            certificates(&wide_chain),
            vec![],
            "path-unknown-issuer",
            0,
        ),
        (
            "cross-signed",
            a.device("x", |f| f.without(AUTHORITY_KEY_ID)),
            crossed,
            vec![],
            "path-unknown-issuer",
            0,
        ),
        (
            "same name as an anchor",
            unbound(&eight[7]),
            certificates(&eight),
            named_alike.to_vec(),
            "path-signature",
            35,
        ),
        ("the same, each key twice", doubled.0, doubled.1, named_alike.to_vec(), "path-budget", 40),
        (
            "seven P-384 authorities of the same name as an anchor",
            unbound(&seven_384[6]),
            certificates(&seven_384),
            named_alike.to_vec(),
            // Seven units each, and a P-256 anchor in between.
            "path-budget",
            11,
        ),
    ];
    for (name, leaf, presented, more, expected, most) in rows {
        let mut counted = Vec::new();
        for environments in [environments(1), ours.clone()] {
            let anchors: Vec<_> = environments.into_iter().chain(more.iter().cloned()).collect();
            let mut budget = Budget::default();
            let found = validate_within(&mut budget, &leaf, &presented, &anchors, now(), Purpose::Client);
            assert_eq!(code(found), expected, "{name}");
            assert!(budget.signatures() <= most, "{name}: {}", budget.signatures());
            counted.push(budget.signatures());
        }
        assert_eq!(counted[0], counted[1], "{name}");
    }
    // A good one costs what it costs, among as many.
    let good = shared.authority("good", same);
    let leaf = good.device("pump-01", same);
    let mut budget = Budget::default();
    let found = validate_within(&mut budget, &leaf, &[good.certificate], &ours, now(), Purpose::Client);
    assert_eq!((code(found), budget.signatures()), ("ok", 2));
}

#[test]
fn one_budget_serves_all_that_is_asked_of_one_peer() {
    let (leaf, presented) = doubled();
    let anchors = [root_of("x", KeyAlgorithm::P256).certificate];
    let mut budget = Budget::default();
    for purpose in [Purpose::Renewal, Purpose::Initial] {
        let found = validate_within(&mut budget, &leaf, &presented, &anchors, now(), purpose);
        assert_eq!(code(found), "path-budget");
    }
    assert!(budget.signatures() <= COST_MAX, "{}", budget.signatures());
}

#[test]
fn the_longest_path_of_the_costliest_keys_is_within_the_budget() {
    let mut parties = vec![root_of("root", KeyAlgorithm::P384)];
    for n in 0..DEPTH_MAX - 2 {
        let (last, key) = (parties.last().unwrap(), SoftwareKey::generate(KeyAlgorithm::P384).unwrap());
        let forged = Forged::authority(&format!("level-{n}"), key.public_key(), &last.certificate);
        let certificate =
            forged.with(BASIC_CONSTRAINTS, true, basic_constraints(true, None)).signed_by(&last.key);
        parties.push(Party { certificate, key });
    }
    let leaf = parties.last().unwrap().device("a", same);
    let presented: Vec<&Party> = parties.iter().skip(1).collect();
    assert_eq!(check(&leaf, &presented, &[&parties[0]]), "ok");
}

#[test]
fn a_chain_is_bounded_in_certificates() {
    let eight = alike(PRESENTED_MAX, KeyAlgorithm::P256);
    let leaf = eight[7].device("a", |f| f.without(AUTHORITY_KEY_ID));
    let nine: Vec<&Party> = eight.iter().chain(&eight).take(PRESENTED_MAX + 1).collect();
    assert_eq!(check(&leaf, &nine, &[&root("root")]), "path-too-many");
}

#[test]
fn two_authorities_that_certify_each_other_are_no_path() {
    let (a, b) = (root("a"), root("b"));
    let wide = basic_constraints(true, None);
    let cross = |subject: &Party, name: &str, by: &Party| Party {
        certificate: Forged::authority(name, subject.key.public_key(), &by.certificate)
            .with(BASIC_CONSTRAINTS, true, wide.clone())
            .signed_by(&by.key),
        key: key(),
    };
    let (a_by_b, b_by_a) = (cross(&a, "a", &b), cross(&b, "b", &a));
    let leaf = a.device("x", same);
    let stranger = root("stranger");
    assert_eq!(check(&leaf, &[&a_by_b, &b_by_a], &[&stranger]), "path-unknown-issuer");
    assert_eq!(check(&leaf, &[&a_by_b, &b_by_a], &[&b]), "ok");
}

#[test]
fn an_ended_leaf_may_ask_for_a_successor_and_for_nothing_else() {
    type Row<'a> = (&'a str, Change, Change, &'a str, &'a str);
    let rows: &[Row<'_>] = &[
        ("valid", same, same, "ok", "ok"),
        ("ended", |f| f.change(|f| f.not_after = time(NOW_S - 1)), same, "path-expired", "ok"),
        (
            "not begun",
            |f| f.change(|f| f.not_before = time(NOW_S + 1)),
            same,
            "path-not-yet-valid",
            "path-not-yet-valid",
        ),
        (
            "its issuer ended",
            same,
            |f| f.change(|f| f.not_after = time(NOW_S - 1)),
            "path-expired",
            "path-expired",
        ),
        ("no usage", |f| f.without(EXTENDED_KEY_USAGE), same, "path-not-authorised", "path-not-authorised"),
    ];
    let root = root("root");
    for (name, leaf, issuer, client, renewal) in rows {
        let issuing = root.authority("issuing", issuer);
        let leaf = issuing.device("a", leaf);
        let found = |purpose| {
            code(validate(
                &leaf,
                &[],
                &[issuing.certificate.clone(), root.certificate.clone()],
                now(),
                purpose,
            ))
        };
        assert_eq!((found(Purpose::Client), found(Purpose::Renewal)), (*client, *renewal), "{name}");
    }
}

#[test]
fn a_makers_certificate_is_read_as_rfc_5280_stands() {
    let last_second = touchmark_identity::Timestamp::MAX.unix_s();
    let for_ever: Change = |f| f.change(|f| f.not_after = time(touchmark_identity::Timestamp::MAX.unix_s()));
    let rows: Vec<(&str, Change, Change, &str)> = vec![
        ("as ours", same, same, "ok"),
        ("without an end", for_ever, same, "ok"),
        ("no extKeyUsage", |f| f.without(EXTENDED_KEY_USAGE), same, "ok"),
        ("no usages at all", |f| f.without(EXTENDED_KEY_USAGE).without(KEY_USAGE), same, "ok"),
        ("no subjectAltName", |f| f.without(SUBJECT_ALT_NAME), same, "ok"),
        (
            "another purpose",
            |f| f.with(EXTENDED_KEY_USAGE, false, usages(&[SERVER_AUTH])),
            same,
            "path-not-authorised",
        ),
        (
            "any purpose",
            |f| f.with(EXTENDED_KEY_USAGE, false, usages(&["2.5.29.37.0"])),
            same,
            "path-not-authorised",
        ),
        (
            "for encipherment only",
            |f| f.with(KEY_USAGE, true, key_usage(0b0010_0000)),
            same,
            "path-key-usage",
        ),
        ("ended", |f| f.change(|f| f.not_after = time(NOW_S - 1)), same, "path-expired"),
        (
            "an authority",
            |f| f.with(BASIC_CONSTRAINTS, true, basic_constraints(true, None)),
            same,
            "path-leaf-is-authority",
        ),
        ("maker without keyUsage", same, |f| f.without(KEY_USAGE), "ok"),
        ("maker that signs CRLs only", same, |f| f.with(KEY_USAGE, true, key_usage(0b10)), "path-key-usage"),
        ("maker without basicConstraints", same, |f| f.without(BASIC_CONSTRAINTS), "path-not-an-authority"),
        ("maker that ended", same, |f| f.change(|f| f.not_after = time(NOW_S - 1)), "path-expired"),
    ];
    let root = root("maker");
    for (name, leaf, issuer, expected) in rows {
        let issuing = root.authority("maker's factory", issuer);
        let leaf = issuing.device("a", leaf);
        assert_eq!(leaf.validity().not_after().unix_s() == last_second, name == "without an end", "{name}");
        let found = |presented: &[&Party], anchor: &Party| {
            let presented: Vec<_> = presented.iter().map(|party| party.certificate.clone()).collect();
            code(validate(
                &leaf,
                &presented,
                core::slice::from_ref(&anchor.certificate),
                now(),
                Purpose::Initial,
            ))
        };
        assert_eq!(found(&[&issuing], &root), expected, "presented: {name}");
        assert_eq!(found(&[], &issuing), expected, "anchor: {name}");
        if name.starts_with("maker") {
            let asked_before = may_anchor(&issuing.certificate, now(), Purpose::Initial);
            assert_eq!(
                asked_before.map_or_else(|fault| fault.code(), |()| "ok"),
                expected,
                "registered: {name}"
            );
        }
    }
    assert_eq!(may_anchor(&root.certificate, now(), Purpose::Initial), Ok(()));
    let another = Forged::root("maker", root.key.public_key()).signed_by(&key());
    let refused = may_anchor(&another, now(), Purpose::Initial);
    assert_eq!(refused.err().map(|fault| fault.code()), Some("path-signature"), "not its own issuer");
}

#[test]
fn a_purpose_is_the_callers() {
    let root = root("root");
    let server = root.device("gateway", |f| f.with(EXTENDED_KEY_USAGE, false, usages(&[SERVER_AUTH])));
    let anchors = [root.certificate.clone()];
    assert_eq!(code(validate(&server, &[], &anchors, now(), Purpose::Server)), "ok");
    assert_eq!(code(validate(&server, &[], &anchors, now(), Purpose::Client)), "path-not-authorised");
}
