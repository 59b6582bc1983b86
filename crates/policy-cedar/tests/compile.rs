//! What the compiler takes, what it refuses and what it says, through the public API.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use touchmark_policy::{Subject, Topic, TopicFilter};
use touchmark_policy_cedar::{CompiledPolicy, PolicyBundle, PolicyFaults};

const TOPICS: &str = "[topics]\nown = \"plant/{handle}/#\"\n[updates]\nown = \"{model}/*\"\n";

fn compile(cedar: &str) -> Result<CompiledPolicy, PolicyFaults> {
    CompiledPolicy::compile(&PolicyBundle {
        files: vec![("test.cedar".to_owned(), cedar.to_owned())],
        topics: TOPICS.to_owned(),
    })
}

fn subject(scope: &[&str]) -> Subject {
    let scope: Vec<String> = scope.iter().map(|s| (*s).to_owned()).collect();
    Subject::from_scope("lab".parse().unwrap(), "pump-01".parse().unwrap(), &scope).unwrap()
}

#[test]
fn the_starter_policy_opens_what_it_promises_and_nothing_else() {
    let policy = CompiledPolicy::compile(&PolicyBundle::starter()).unwrap();
    let table = policy.specialise(&subject(&["model:x200"]));
    let publish = |topic: &str| table.publish(&Topic::new(topic).unwrap()).permitted().is_ok();
    let subscribe = |filter: &str| table.subscribe(&TopicFilter::new(filter).unwrap()).permitted().is_ok();
    let rows = [
        ("connect", table.connect().permitted().is_ok(), true),
        ("own telemetry", publish("plant/pump-01/t"), true),
        ("another's telemetry", publish("plant/pump-02/t"), false),
        ("own command topic is for reading", publish("cmd/pump-01/go"), false),
        ("own commands", subscribe("cmd/pump-01/#"), true),
        ("all commands", subscribe("cmd/#"), false),
        ("everything", subscribe("#"), false),
        ("own telemetry is for writing", subscribe("plant/pump-01/#"), false),
        ("the broker's", publish("$SYS/x"), false),
        ("own model's update", table.request_update("x200", "fw.bin").permitted().is_ok(), true),
        ("another model's update", table.request_update("x300", "fw.bin").permitted().is_ok(), false),
    ];
    for (name, permitted, expected) in rows {
        assert_eq!(permitted, expected, "{name}");
    }
    let without = policy.specialise(&subject(&[]));
    assert!(without.request_update("x200", "fw.bin").permitted().is_err(), "no model, no update");
    assert_eq!(table.version(), PolicyBundle::starter().version());
}

#[test]
fn what_a_table_cannot_hold_is_refused_with_a_fix() {
    let publish = "action == Action::\"publish\", resource in Topics::\"own\"";
    let rows: &[(&str, String, &str)] = &[
        ("no id", format!("permit (principal, {publish});"), "has no `@id`"),
        ("an id that breaks a log line", format!("@id(\"a\\nb\") permit (principal, {publish});"), "`@id`"),
        ("two of one id", format!("@id(\"a\") permit (principal, {publish});\n@id(\"a\") permit (principal, {publish});"), "already in test.cedar:1"),
        ("a template", format!("@id(\"a\") permit (principal == ?principal, {publish});"), "template"),
        ("an undefined name", "@id(\"a\") permit (principal, action == Action::\"publish\", resource in Topics::\"onw\");".into(), "not defined"),
        ("an undefined update set", "@id(\"a\") permit (principal, action == Action::\"requestUpdate\", resource in Updates::\"x\");".into(), "not defined"),
        ("the topic as text", format!("@id(\"a\") permit (principal, {publish}) when {{ resource == Topic::\"plant/x\" }};"), "reads `resource`"),
        ("another group in the condition", format!("@id(\"a\") permit (principal, {publish}) unless {{ resource in Topics::\"own\" }};"), "reads `resource`"),
        ("a resource attribute", "@id(\"a\") permit (principal, action == Action::\"requestUpdate\", resource in Updates::\"own\") when { resource.model == \"x\" };".into(), "reads `resource`"),
        ("one topic in the head", "@id(\"a\") permit (principal, action == Action::\"publish\", resource == Topic::\"plant/x\");".into(), "cannot be told apart"),
        ("context", format!("@id(\"a\") permit (principal, {publish}) when {{ context has x }};"), "reads `context`"),
        ("arithmetic", format!("@id(\"a\") permit (principal, {publish}) when {{ 1 + 1 == 2 }};"), "arithmetic"),
        ("an extension", format!("@id(\"a\") permit (principal, {publish}) when {{ ip(\"10.0.0.1\").isLoopback() }};"), "extension"),
        ("a permit of everything", "@id(\"a\") permit (principal, action, resource);".into(), "opens every topic"),
        ("a permit of every topic", "@id(\"a\") permit (principal, action == Action::\"subscribe\", resource is Topic);".into(), "opens every topic"),
        ("a resource of another action", "@id(\"a\") permit (principal, action == Action::\"connect\", resource in Topics::\"own\");".into(), "never has such a resource"),
        ("an unknown action", "@id(\"a\") forbid (principal, action == Action::\"fly\", resource);".into(), "not an action"),
        ("an unknown type", "@id(\"a\") forbid (principal is Operator, action, resource);".into(), "not a device"),
        ("an unknown attribute", format!("@id(\"a\") forbid (principal, {publish}) when {{ principal.owner == \"x\" }};"), "owner"),
        ("an optional attribute unguarded", format!("@id(\"a\") forbid (principal, {publish}) when {{ principal.model == \"x\" }};"), "write `principal has model &&` before it"),
        ("another optional attribute", format!("@id(\"a\") permit (principal, {publish}) when {{ principal.custody == \"x\" }};"), "write `principal has custody &&` before it"),
        ("a type error", format!("@id(\"a\") forbid (principal, {publish}) when {{ principal.handle == true }};"), "a"),
        ("a rule that never applies", format!("@id(\"a\") forbid (principal, {publish}) when {{ false }};"), "a"),
        ("direction-changing characters", format!("@id(\"a\") forbid (principal, {publish}) when {{ principal.handle == \"x\u{202e}y\" }};"), "a"),
        ("no statement", "hello".into(), "unexpected"),
    ];
    for (name, text, says) in rows {
        let faults = compile(text).map(|_| ()).expect_err(name);
        let all = faults.to_string();
        assert!(all.contains(says), "{name}: {all}");
        assert!(
            faults.faults().iter().all(|fault| fault.line.is_some() && !fault.fix.is_empty()),
            "{name}: {all}"
        );
    }
}

#[test]
fn every_fault_is_reported_at_once_with_file_line_and_rule() {
    let bundle = PolicyBundle {
        files: vec![
            ("b.cedar".into(), "permit (;\n\n@id(\"x\") permit (principal, action, resource);".into()),
            ("a.cedar".into(), "@id(\"y\") forbid (principal, action, resource in Topics::\"gone\");".into()),
        ],
        topics: "[topics]\nown = \"{owner}\"\n".into(),
    };
    let faults = CompiledPolicy::compile(&bundle).unwrap_err();
    let places: Vec<_> =
        faults.faults().iter().map(|f| (f.file.as_str(), f.line, f.rule.as_deref())).collect();
    assert_eq!(
        places,
        [
            ("a.cedar", Some(1), Some("y")),
            ("b.cedar", Some(1), None),
            ("b.cedar", Some(3), Some("x")),
            ("topics.toml", None, Some("own"))
        ],
        "{faults}"
    );
}

#[test]
fn a_forbid_may_be_wide_and_conditions_may_speak_of_the_device() {
    let policy = compile(
        r#"
        @id("own") permit (principal, action in [Action::"publish", Action::"subscribe"], resource in Topics::"own");
        @id("hold") forbid (principal, action, resource) when { principal.groups.contains("held") };
        @id("soft") forbid (principal, action == Action::"subscribe", resource is Topic)
            unless { principal has custody && ["tpm", "secure-element"].contains(principal.custody) };
        @id("one") permit (principal == Device::"pump-01", action == Action::"connect", resource);
        "#,
    )
    .unwrap();
    let rows: &[(&str, &[&str], bool, bool, bool)] = &[
        ("software key", &["custody:software"], true, true, false),
        ("TPM key", &["custody:tpm"], true, true, true),
        ("held", &["custody:tpm", "group:held"], false, false, false),
    ];
    for (name, scope, connect, publish, subscribe) in rows {
        let table = policy.specialise(&subject(scope));
        assert_eq!(table.connect().permitted().is_ok(), *connect, "{name}");
        assert_eq!(
            table.publish(&Topic::new("plant/pump-01/t").unwrap()).permitted().is_ok(),
            *publish,
            "{name}"
        );
        let filter = TopicFilter::new("plant/pump-01/#").unwrap();
        assert_eq!(table.subscribe(&filter).permitted().is_ok(), *subscribe, "{name}");
    }
}

#[test]
fn garbage_is_refused_and_never_panics() {
    let mut rows: Vec<(String, String)> = [
        ("NUL", "\0\0\0"),
        ("byte order mark", "\u{feff}permit"),
        ("open string", "@id(\"a) permit (principal, action, resource);"),
        ("open comment", "/* permit */"),
        ("only semicolons", ";;;;"),
        ("bad escape", "@id(\"\\u{110000}\") permit (principal, action, resource);"),
        (
            "huge number",
            "@id(\"a\") permit (principal, action, resource) when { 99999999999999999999 == 1 };",
        ),
        ("reserved word", "@id(\"a\") permit (principal, action, resource) when { __cedar };"),
        ("empty id", "@id(\"\") permit (principal, action, resource);"),
        ("id without a value", "@id permit (principal, action, resource);"),
        ("a division", "@id(\"a\") permit (principal, action, resource) when { 1 / 0 == 1 };"),
        ("other scripts", "\u{0440}ermit (principal, action, resource);"),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .into();
    // Every prefix and every one-character damage of a good rule.
    let good = "@id(\"a\") permit (principal, action == Action::\"publish\", resource in Topics::\"own\") when { principal.handle like \"p*\" };";
    for end in 1..good.len() {
        rows.push((format!("prefix {end}"), good[..end].to_owned()));
    }
    for (name, text) in &rows {
        assert!(compile(text).is_err(), "{name}");
    }
    for at in 0..good.len() {
        for damage in ["\"", "\\", ";", "{", "\u{0}", "//", "\r"] {
            let _ = compile(&format!("{}{damage}{}", &good[..at], &good[at + 1..]));
        }
    }
}

/// Deep and long statements, on half the stack that a thread has by default.
#[test]
fn deep_statements_do_not_exhaust_a_small_stack() {
    let head = "@id(\"a\") forbid (principal, action, resource) when {";
    let deep = |open: &str, middle: &str, close: &str, times: usize| {
        format!("{head} {}{middle}{} }};", open.repeat(times), close.repeat(times))
    };
    let term = "principal.handle == \"a\"";
    let mut rows = vec![("a very long or", deep("true||", "true", "", 1_000_000 / 6))];
    for times in [10, 20, 21, 22, 23, 24, 30, 60, 100, 120, 125, 1_000, 50_000] {
        rows.push(("brackets", deep("(", term, ")", times)));
        rows.push(("sets", deep("[", term, "]", times)));
        rows.push(("records", deep("{a:", term, "}", times)));
        rows.push(("not", deep("!", term, "", times)));
        rows.push(("not of brackets", deep("!(", term, ")", times)));
        rows.push(("if", deep("if true then ", term, " else false", times)));
        rows.push(("if in if", deep("if ", term, " then true else false", times)));
        rows.push(("minus", deep("-", "1 == 1", "", times)));
        rows.push(("attributes", deep("principal.handle", "", ".a", times)));
        rows.push(("has path", deep("principal has a", "", ".a", times)));
        rows.push(("calls", deep("principal.groups", "", ".contains(\"a\")", times)));
    }
    for times in [10, 20, 30, 40, 60, 62, 100, 120, 124, 126, 127, 128, 300, 490] {
        rows.push(("or", deep(&format!("{term} || "), term, "", times)));
        rows.push(("and", deep(&format!("{term} && "), term, "", times)));
        rows.push(("short or", deep("true||", "true", "", times)));
        rows.push(("short plus", deep("1+", "1==2", "", times)));
        rows.push(("in chain of ifs", deep("if true then ", term, " else false", times)));
    }
    let small = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        for (name, text) in rows {
            if let Ok(policy) = compile(&text) {
                assert!(policy.specialise(&subject(&[])).connect().permitted().is_err(), "{name}");
            }
        }
    });
    small.unwrap().join().unwrap();
}
