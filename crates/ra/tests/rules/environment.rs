//! Which environments may be founded, and what founding one records.

use crate::rows::{environment, mandate, now, word};
use std::time::Duration;
use touchmark_identity::AuthorityVersionId;
use touchmark_inventory::Precondition;
use touchmark_journal::{
    AuthorityCreated, AuthorityKind, CloneResponse, Event, IdentityKind, PolicyActivated, ProfileActivated,
    Reach, RenewalRules,
};
use touchmark_ra::{
    Act, EnvironmentPlan, EnvironmentRefusal, SuccessorPlan, check_environment, found_environment,
};

const DAY: Duration = Duration::from_secs(86_400);

fn plan(name: &str) -> EnvironmentPlan {
    EnvironmentPlan {
        name: word(name),
        trust_domain: word(&format!("{name}.example.org")),
        device_lifetime: 30 * DAY,
        default: false,
        successors: SuccessorPlan::default(),
    }
}

#[test]
fn a_plan_is_held_against_its_bounds_and_what_there_is() {
    use EnvironmentRefusal::{
        Exists, Grace, Lifetime, NameLength, Overlap, Reserved, TrustDomain, TrustDomainExists,
    };
    let longest = "a".repeat(56);
    let longer = "a".repeat(57);
    let lives = |device_lifetime| EnvironmentPlan { device_lifetime, ..plan("plant") };
    let domain = |domain: &str| EnvironmentPlan { trust_domain: word(domain), ..plan("plant") };
    let follows = |successors| EnvironmentPlan { successors, ..plan("plant") };
    let grace = |grace| follows(SuccessorPlan { grace: Some(grace), ..SuccessorPlan::default() });
    let overlap = |overlap| follows(SuccessorPlan { overlap: Some(overlap), ..SuccessorPlan::default() });
    let long = |octets| format!("{}.example", "a".repeat(octets));
    let second = Duration::from_secs(1);
    let rows: Vec<(&str, EnvironmentPlan, Option<EnvironmentRefusal>)> = vec![
        ("plain", plan("plant"), None),
        ("shortest life", lives(30 * second), None),
        ("shorter life", lives(29 * second), Some(Lifetime)),
        ("longest life", lives(825 * DAY), None),
        ("longer life", lives(825 * DAY + second), Some(Lifetime)),
        ("longest grace", grace(365 * DAY), None),
        ("longer grace", grace(365 * DAY + second), Some(Grace)),
        ("longest overlap", overlap(30 * DAY), None),
        ("longer overlap", overlap(30 * DAY + second), Some(Overlap)),
        ("an operation of EST", plan("cacerts"), Some(Reserved(word("cacerts")))),
        ("longest name", EnvironmentPlan { name: word(&longest), ..plan("plant") }, None),
        (
            "longer name",
            EnvironmentPlan { name: word(&longer), ..plan("plant") },
            Some(NameLength { chars: 57 }),
        ),
        ("the longest label", domain(&long(63)), None),
        ("a longer label", domain(&long(64)), Some(TrustDomain(word(&long(64))))),
        ("a label that begins so", domain("a.-b.example"), Some(TrustDomain(word("a.-b.example")))),
        ("a label that ends so", domain("a-.example"), Some(TrustDomain(word("a-.example")))),
        ("a taken name", plan("lab"), Some(Exists(word("lab")))),
        ("a taken trust domain", domain("lab.touchmark.internal"), Some(TrustDomainExists)),
        (
            "both taken: the name is told",
            EnvironmentPlan { trust_domain: word("lab.touchmark.internal"), ..plan("lab") },
            Some(Exists(word("lab"))),
        ),
    ];
    for (name, plan, refusal) in rows {
        assert_eq!(check_environment(mandate(plan), &[environment()]).err(), refusal, "{name}");
    }
}

#[test]
fn founding_takes_the_organisation() {
    let plan = plan("plant");
    assert_eq!((plan.reach(), plan.cause()), (Reach::Organisation, "api/environments"));
    assert_eq!(plan.environment(), Some(&word("plant")));
}

#[test]
fn founding_records_all_of_it_in_one_command() {
    let successors = SuccessorPlan {
        grace: Some(2 * DAY),
        overlap: Some(DAY),
        on_clone: CloneResponse::Quarantine,
        revoke_superseded: true,
    };
    let said = EnvironmentPlan { successors, default: true, ..plan("plant") };
    let short = EnvironmentPlan { device_lifetime: Duration::from_secs(60), ..plan("plant") };
    let day = 86_400;
    for (plan, default, device) in [
        (said, true, (30 * day, day, 2 * day, CloneResponse::Quarantine, true)),
        (plan("plant"), false, (30 * day, 3 * day, 10 * day, CloneResponse::Alarm, false)),
        // An overlap of a tenth of so short a life would be over before anybody came.
        (short, false, (60, 300, 20, CloneResponse::Alarm, false)),
    ] {
        let checked = check_environment(mandate(plan), &[environment()]).unwrap();
        assert_eq!(checked.issuing_name(), "plant issuing");
        let issuing = AuthorityCreated {
            authority_version: AuthorityVersionId::draw(now(), [1; 10]),
            kind: AuthorityKind::Issuing,
            name: word("issuing"),
            certificate: vec![1, 2, 3],
            parent: None,
            crl_shards: 1,
        };
        let policy = PolicyActivated { version: [7; 32], files: Vec::new(), topics: String::new() };
        let random = [[1; 10], [2; 10], [3; 10]];
        let command =
            found_environment(checked, word("example"), issuing.clone(), policy.clone(), now(), random);
        assert_eq!(command.preconditions, [Precondition::EnvironmentFree { name: word("plant") }]);
        for draft in &command.entries {
            assert_eq!(draft.envelope.scope.environment, Some(word("plant")));
            assert_eq!((draft.envelope.cause.as_str(), draft.envelope.at), ("api/environments", now()));
        }
        let events: Vec<&Event> = command.entries.iter().map(|draft| &draft.event).collect();
        let [Event::EnvironmentCreated(created), Event::AuthorityCreated(authority), profiles @ .., last] =
            &events[..]
        else {
            panic!("{events:?}");
        };
        assert_eq!((&created.name, created.default), (&word("plant"), default));
        assert_eq!(created.trust_domain, word("plant.example.org"));
        assert_eq!((authority, *last), (&issuing, &Event::PolicyActivated(policy)));
        let profile = |event: &Event| {
            let Event::ProfileActivated(ProfileActivated {
                name,
                kind,
                lifetime_s,
                overlap_s,
                renewal: Some(RenewalRules { grace_s, on_clone, revoke_superseded }),
                ..
            }) = event.clone()
            else {
                panic!("{event:?}");
            };
            (name.to_string(), kind, (lifetime_s, overlap_s, grace_s, on_clone, revoke_superseded))
        };
        let fixed = |life| (life, life / 10, life / 3, CloneResponse::Alarm, false);
        assert_eq!(
            profiles.iter().map(|event| profile(event)).collect::<Vec<_>>(),
            [
                ("device".to_owned(), IdentityKind::Operational, device),
                ("service".to_owned(), IdentityKind::Service, fixed(90 * day)),
                ("operator".to_owned(), IdentityKind::Operator, fixed(30 * day)),
            ]
        );
    }
}
