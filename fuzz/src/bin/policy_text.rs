//! Policy texts: compiled in bounded time or refused with reasons; and a device's table says what plain Cedar says.
//!
//! Device rules, a line `%%`, and topics.toml; without that line the starter's topics. The rules alone are also tried
//! as an operator policy.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use touchmark_identity::{EnvironmentName, Name, Permission};
use touchmark_policy::{Access, Decision, Subject, Topic, TopicFilter, UpdatePath};
use touchmark_policy_cedar::{
    CompiledPolicy, OperatorPolicy, OperatorRequest, PolicyBundle, PolicyFaults,
};

static SUBJECTS: LazyLock<[Subject; 2]> = LazyLock::new(|| {
    let subject = |handle: &str, scope: &[&str]| {
        let scope: Vec<String> = scope.iter().map(|text| (*text).to_owned()).collect();
        Subject::from_scope("lab".parse().expect("a name"), handle.parse().expect("a name"), &scope)
            .expect("a good scope")
    };
    [
        subject("pump-01", &["model:x200", "group:pumps", "group:hall-2", "custody:software", "line:7"]),
        subject("a", &[]),
    ]
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let (rules, topics) = text.split_once("\n%%\n").unwrap_or((text, ""));
    let mut bundle = PolicyBundle::starter();
    bundle.files[0].1 = rules.to_owned();
    if !topics.is_empty() {
        bundle.topics = topics.to_owned();
    }
    match CompiledPolicy::compile(&bundle) {
        Ok(policy) => {
            assert_eq!(policy.version(), bundle.version());
            SUBJECTS.iter().for_each(|subject| agrees(&policy, subject));
        }
        Err(faults) => explained(&faults),
    }
    match OperatorPolicy::compile(rules) {
        Ok(policy) => operators(&policy),
        Err(faults) => explained(&faults),
    }
});

fn explained(faults: &PolicyFaults) {
    assert!((1..=PolicyFaults::MAX).contains(&faults.faults().len()));
    assert!(faults.faults().iter().all(|fault| !fault.what.is_empty() && !fault.fix.is_empty()), "{faults}");
}

fn agrees(policy: &CompiledPolicy, subject: &Subject) {
    let table = policy.specialise(subject);
    let topic = |text| Access::Publish(Topic::new(text).expect("a topic"));
    let filter = |text| Access::Subscribe(TopicFilter::new(text).expect("a filter"));
    let update = |model, file| Access::RequestUpdate(UpdatePath::new(model, file).expect("a path"));
    for access in [
        Access::Connect,
        topic("plant/pump-01/level"),
        topic("plant/a"),
        topic("$SYS/x"),
        filter("cmd/pump-01/#"),
        filter("cmd/+/x"),
        filter("#"),
        update("x200", "fw.bin"),
        update("other", "fw.bin"),
    ] {
        let oracle = policy.evaluate(subject, &access);
        match table.decide(&access) {
            Decision::Permit(permit) => {
                assert!(oracle.permitted, "{access:?} is permitted by {} and not by Cedar", permit.rule);
                assert!(oracle.rules.contains(&permit.rule));
            }
            Decision::Deny(denial) => {
                assert!(
                    !oracle.permitted,
                    "{access:?} is denied, and permitted by Cedar: {:?}",
                    oracle.rules
                );
                assert!(denial.rule.is_none_or(|rule| oracle.rules.contains(&rule)));
            }
        }
    }
}

fn operators(policy: &OperatorPolicy) {
    let actor: Name = "dev".parse().expect("a name");
    let environment: EnvironmentName = "lab".parse().expect("a name");
    let roles = ["admin".to_owned()];
    for permission in Permission::ALL {
        let request = OperatorRequest {
            actor: &actor,
            roles: &roles,
            permission: *permission,
            environment: Some(&environment),
            target_owner: None,
        };
        match policy.authorise(&request) {
            Ok(permit) => {
                assert!(permit.permission() == *permission && !permit.rules().is_empty(), "a permit without a rule")
            }
            Err(denial) => assert_eq!(denial.permission, *permission),
        }
    }
}
