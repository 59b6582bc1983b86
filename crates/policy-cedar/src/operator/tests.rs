//! Who may do what: a golden table for the starter policy, and rows for the rest.

use super::*;
use std::fmt::Write as _;

fn starter() -> OperatorPolicy {
    OperatorPolicy::compile(OperatorPolicy::starter_text()).unwrap_or_else(|faults| panic!("{faults}"))
}

fn ask(
    policy: &OperatorPolicy,
    roles: &[&str],
    permission: Permission,
    environment: Option<&str>,
    owner: Option<&str>,
) -> Result<OperatorPermit, OperatorDenial> {
    let (actor, environment) = ("ada".parse().unwrap(), environment.map(|name| name.parse().unwrap()));
    let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
    policy.authorise(&OperatorRequest {
        actor: &actor,
        roles: &roles,
        permission,
        environment: environment.as_ref(),
        target_owner: owner,
    })
}

#[test]
fn the_starter_policy_gives_each_role_exactly_this() {
    let policy = starter();
    let mut table = String::new();
    for role in ["admin", "fleet", "auditor", "stranger"] {
        for permission in Permission::ALL {
            let answer = match ask(&policy, &[role], *permission, Some("lab"), None) {
                Ok(permit) => permit.rules().iter().map(RuleId::to_string).collect::<Vec<_>>().join(","),
                Err(denial) => format!("- {}", denial.reason),
            };
            writeln!(table, "{role} {permission}: {answer}").unwrap();
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/operator-starter.txt");
    if std::env::var_os("TOUCHMARK_BLESS").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    assert_eq!(table, std::fs::read_to_string(path).unwrap());
}

#[test]
fn every_verb_is_an_action_of_the_schema_and_reads_back() {
    for permission in Permission::ALL {
        assert_eq!(permission.as_str().parse(), Ok(*permission));
        assert!(ask(&starter(), &["admin"], *permission, None, None).is_ok(), "{permission}");
    }
    assert!("device-erase".parse::<Permission>().is_err());
}

#[test]
fn rules_may_speak_of_environment_owner_and_name() {
    let policy = OperatorPolicy::compile(
        r#"
        @id("lab-only") permit (principal in Role::"tech", action, resource in Environment::"lab");
        @id("own-devices") permit (principal, action == Action::"device-revoke", resource)
            when { resource has owner && resource.owner == principal.name };
        @id("never-alone") forbid (principal, action == Action::"device-ban", resource)
            unless { principal.roles.contains("safety") };
        "#,
    )
    .unwrap();
    type Row<'a> =
        (&'a str, &'a [&'a str], Permission, Option<&'a str>, Option<&'a str>, Result<&'a str, DenyReason>);
    let rows: &[Row<'_>] = &[
        ("in the lab", &["tech"], Permission::DeviceEnrol, Some("lab"), None, Ok("lab-only")),
        ("elsewhere", &["tech"], Permission::DeviceEnrol, Some("plant"), None, Err(DenyReason::NoRule)),
        ("nowhere", &["tech"], Permission::DeviceEnrol, None, None, Err(DenyReason::NoRule)),
        ("own", &[], Permission::DeviceRevoke, Some("plant"), Some("ada"), Ok("own-devices")),
        ("another's", &[], Permission::DeviceRevoke, Some("plant"), Some("bob"), Err(DenyReason::NoRule)),
        ("forbidden", &["tech"], Permission::DeviceBan, Some("lab"), None, Err(DenyReason::ForbiddenByRule)),
        ("excepted", &["tech", "safety"], Permission::DeviceBan, Some("lab"), None, Ok("lab-only")),
        (
            "a role that looks like text",
            &["tech\" || true || \""],
            Permission::DeviceEnrol,
            Some("lab"),
            None,
            Err(DenyReason::NoRule),
        ),
    ];
    for (name, roles, permission, environment, owner, expected) in rows {
        let answer = ask(&policy, roles, *permission, *environment, *owner);
        if let Ok(permit) = &answer {
            assert_eq!((permit.permission(), permit.policy()), (*permission, policy.version()), "{name}");
        }
        let plain = answer.as_ref().map(|permit| permit.rules()[0].as_str()).map_err(|denial| denial.reason);
        assert_eq!(plain, *expected, "{name}");
    }
}

#[test]
fn a_forbid_that_fails_to_evaluate_forbids() {
    let policy = OperatorPolicy::compile(
        r#"
        @id("all") permit (principal, action, resource);
        @id("broken") forbid (principal, action == Action::"device-ban", resource)
            when { 9223372036854775807 + 1 > 0 };
        "#,
    )
    .unwrap();
    let denial = ask(&policy, &[], Permission::DeviceBan, None, None).unwrap_err();
    assert_eq!((denial.reason, denial.rules[0].as_str()), (DenyReason::ForbiddenByRule, "broken"));
    assert!(ask(&policy, &[], Permission::DeviceRead, None, None).is_ok());
}

#[test]
fn a_text_at_fault_is_refused_with_its_place() {
    let rows = [
        ("no id", "permit (principal, action, resource);"),
        ("unknown action", "@id(\"a\") permit (principal, action == Action::\"fly\", resource);"),
        ("unknown type", "@id(\"a\") permit (principal in Device::\"x\", action, resource);"),
        (
            "unsafe attribute",
            "@id(\"a\") permit (principal, action, resource) when { resource.owner == \"x\" };",
        ),
        (
            "twice",
            "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") permit (principal, action, resource);",
        ),
        ("template", "@id(\"a\") permit (principal == ?principal, action, resource);"),
        ("not Cedar", "allow everything"),
    ];
    for (name, text) in rows {
        let faults = OperatorPolicy::compile(text).map(|_| ()).expect_err(name);
        assert!(
            faults.faults().iter().all(|fault| fault.file == FILE && fault.line.is_some()),
            "{name}: {faults}"
        );
    }
    assert!(OperatorPolicy::compile(&" ".repeat(OperatorPolicy::OCTETS_MAX + 1)).is_err());
    // An empty policy is one: it permits nothing.
    assert!(OperatorPolicy::compile("// nobody").is_ok());
}
