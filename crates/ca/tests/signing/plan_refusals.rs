//! Orders that are not planned: nothing that breaks a lint, or that cannot be read, comes near a key.

use crate::fixtures::{
    Fault, NOW_S, RANDOM, TestSigner, at, device_order, fixed_key, incarnation, issuing, issuing_key,
    issuing_of, operator_order, planned, prepared, profile, root, root_key, service_order, word,
};
use touchmark_ca::{IssuanceOrder, OrderParts, PlanFault, plan};
use touchmark_journal::IdentityKind;
use touchmark_x509::{KeyAlgorithm, SignatureAlgorithm, Signer, SoftwareKey};

#[test]
fn an_order_that_breaks_a_lint_is_not_planned() {
    let dns =
        |name: &str| OrderParts { dns: vec!["good.example".to_owned(), name.to_owned()], ..service_order() };
    let label = "a".repeat(63);
    let own_key = OrderParts { public_key: issuing_key().public_key().clone(), ..device_order() };
    let rows: Vec<(&str, OrderParts, &[&str])> = vec![
        ("the issuer's own key", own_key, &["own-key"]),
        ("a host name in capitals", dns("Gateway.example"), &["alternative-names"]),
        ("a wildcard", dns("*.example"), &["alternative-names"]),
        ("an empty label", dns("gateway..example"), &["alternative-names"]),
        ("a long label", dns(&format!("a{label}.example")), &["alternative-names"]),
        ("the longest label", dns(&format!("{label}.example")), &[]),
        ("another key", OrderParts { public_key: fixed_key(8).public_key().clone(), ..device_order() }, &[]),
        ("another name", OrderParts { identity: word("spiffe://a.b/d/c"), ..device_order() }, &[]),
    ];
    let authority = prepared(issuing(), &issuing_key(), 1);
    for (name, parts, lints) in rows {
        match planned(parts, &authority) {
            Ok(_) => assert!(lints.is_empty(), "{name}"),
            Err(PlanFault::Lint(findings)) => {
                assert_eq!(findings.iter().map(|finding| finding.lint).collect::<Vec<_>>(), lints, "{name}");
                let words = PlanFault::Lint(findings).to_string();
                assert!(lints.iter().all(|lint| words.contains(lint)), "{name}: {words}");
            }
            Err(other) => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn an_order_that_no_reader_takes_is_not_planned() {
    let rows = [
        (
            "a host name that is not ASCII",
            OrderParts { dns: vec!["é.example".to_owned()], ..service_order() },
        ),
        ("a scope string for a whole certificate", {
            OrderParts { scope_strings: vec!["model:".repeat(20_000)], ..device_order() }
        }),
    ];
    let authority = prepared(issuing(), &issuing_key(), 1);
    for (name, parts) in rows {
        let fault = planned(parts, &authority).unwrap_err();
        assert!(matches!(fault, PlanFault::Certificate(_)), "{name}: {fault:?}");
    }
}

/// What a certificate may be used for follows from its profile, and who holds it from its name.
#[test]
fn an_order_fits_the_profile_and_the_name_of_its_kind() {
    let authority = prepared(issuing(), &issuing_key(), 1);
    let kinds = [IdentityKind::Operational, IdentityKind::Service, IdentityKind::Operator];
    let orders: [fn() -> OrderParts; 3] = [device_order, service_order, operator_order];
    for (of_order, order) in kinds.into_iter().zip(orders) {
        for (of_other, other) in kinds.into_iter().zip(orders) {
            let plan = |parts: OrderParts, kind| {
                let order = IssuanceOrder::admitted_unchecked(parts);
                plan(order, &profile(kind), &authority, incarnation(3), at(NOW_S), RANDOM)
            };
            let renamed = OrderParts { identity: other().identity, ..order() };
            for planned in [plan(order(), of_other), plan(renamed, of_order)] {
                match planned {
                    Ok(_) => assert_eq!(of_order, of_other),
                    Err(PlanFault::Kind(kind)) => assert!(kind == of_order && of_order != of_other),
                    Err(fault) => panic!("{of_order:?}, {of_other:?}: {fault:?}"),
                }
            }
        }
    }
}

#[test]
fn an_authority_that_signs_with_another_hash_than_its_keys_own_plans_nothing() {
    let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let issuing = issuing_of(&root(), &root_key(), &key);
    let signer = TestSigner::new(key, Fault::Names(SignatureAlgorithm::EcdsaSha384));
    let fault = planned(device_order(), &prepared(issuing, &signer, 1)).unwrap_err();
    let PlanFault::Lint(findings) = fault else { panic!("{fault:?}") };
    assert_eq!(findings.iter().map(|finding| finding.lint).collect::<Vec<_>>(), ["signature-algorithm"]);
}
