//! What a table opens and what it keeps shut.

use super::*;
use crate::Effect::{Forbid, Permit as Open};

fn rule(id: &str, effect: Effect, reach: Reach) -> TableRule {
    TableRule { rule: RuleId::new(id).unwrap(), effect, reach }
}

fn pattern(text: &str) -> TopicReach {
    TopicReach::Pattern(TopicPattern::new(text).unwrap())
}

fn table(rules: Vec<TableRule>) -> DecisionTable {
    DecisionTable::from_rules(PolicyVersion([7; 32]), rules)
}

/// `Ok(rule that opened)` or `Err((reason, rule that forbade))`.
fn plain(decision: Decision) -> Result<String, (DenyReason, Option<String>)> {
    decision
        .permitted()
        .map(|permit| permit.rule.to_string())
        .map_err(|denial| (denial.reason, denial.rule.map(|rule| rule.to_string())))
}

fn pump() -> DecisionTable {
    table(vec![
        rule("connect", Open, Reach::Connect),
        rule("own", Open, Reach::Publish(pattern("plant/pump-01/#"))),
        rule("sys", Open, Reach::Publish(pattern("$SYS/pump-01"))),
        rule("no-raw", Forbid, Reach::Publish(pattern("plant/+/raw/#"))),
        rule("commands", Open, Reach::Subscribe(pattern("cmd/pump-01/#"))),
        rule("all-of-it", Open, Reach::Subscribe(TopicReach::Everything)),
        rule("no-secret", Forbid, Reach::Subscribe(pattern("cmd/+/secret"))),
        rule(
            "update",
            Open,
            Reach::RequestUpdate(UpdateReach::Pattern(UpdatePattern::new("x200/*").unwrap())),
        ),
    ])
}

#[test]
fn an_empty_table_opens_nothing() {
    let table = table(vec![]);
    let no_rule = Err((DenyReason::NoRule, None));
    assert_eq!(plain(table.connect()), no_rule);
    assert_eq!(plain(table.publish(&Topic::new("a").unwrap())), no_rule);
    assert_eq!(plain(table.subscribe(&TopicFilter::new("#").unwrap())), no_rule);
    assert_eq!(plain(table.request_update("x200", "fw.bin")), no_rule);
}

#[test]
fn a_publish_needs_a_permit_and_no_forbid() {
    let forbidden = Err((DenyReason::ForbiddenByRule, Some("no-raw".to_owned())));
    let rows = [
        ("own topic", "plant/pump-01/t", Ok("own".to_owned())),
        ("own root", "plant/pump-01", Ok("own".to_owned())),
        ("another's", "plant/pump-02/t", Err((DenyReason::NoRule, None))),
        ("own, but forbidden", "plant/pump-01/raw/x", forbidden),
        ("broker's", "$SYS/other", Err((DenyReason::ReservedTopic, None))),
        ("broker's, by name", "$SYS/pump-01", Ok("sys".to_owned())),
    ];
    for (name, topic, expected) in rows {
        let topic = Topic::new(topic).unwrap();
        assert_eq!(plain(pump().publish(&topic)), expected, "{name}");
        let will = expected.map_err(|(_, rule)| (DenyReason::WillNotPermitted, rule));
        assert_eq!(plain(pump().will(&topic)), will, "{name}, as a will");
    }
}

#[test]
fn a_subscription_is_held_by_one_permit_and_met_by_no_forbid() {
    let forbidden = Err((DenyReason::ForbiddenByRule, Some("no-secret".to_owned())));
    let rows = [
        ("own commands below the forbid", "cmd/pump-01/a/b", Ok("commands".to_owned())),
        ("own commands meet the forbid", "cmd/pump-01/#", forbidden.clone()),
        ("shared alike", "$share/g/cmd/pump-01/#", forbidden),
        ("shared and open", "$share/g/cmd/pump-01/a/b", Ok("commands".to_owned())),
        ("everything else", "other/#", Ok("all-of-it".to_owned())),
        ("everything leaves the broker's out", "$SYS/#", Err((DenyReason::ReservedTopic, None))),
        ("shared leaves it out too", "$share/g/$SYS/#", Err((DenyReason::ReservedTopic, None))),
    ];
    for (name, filter, expected) in rows {
        assert_eq!(plain(pump().subscribe(&TopicFilter::new(filter).unwrap())), expected, "{name}");
    }
}

#[test]
fn a_forbid_of_everything_also_closes_broker_topics() {
    let table = table(vec![
        rule("sys", Open, Reach::Publish(pattern("$SYS/#"))),
        rule("shut", Forbid, Reach::Publish(TopicReach::Everything)),
    ]);
    let expected = Err((DenyReason::ForbiddenByRule, Some("shut".to_owned())));
    assert_eq!(plain(table.publish(&Topic::new("$SYS/a").unwrap())), expected);
}

#[test]
fn an_update_is_for_the_model_that_a_rule_names() {
    let rows = [
        ("own", "x200", "fw.bin", Ok("update".to_owned())),
        ("another", "x300", "fw.bin", Err((DenyReason::NoRule, None))),
        ("climbing", "x200", "../x300/fw.bin", Err((DenyReason::PathInvalid, None))),
    ];
    for (name, model, file, expected) in rows {
        assert_eq!(plain(pump().request_update(model, file)), expected, "{name}");
    }
}

#[test]
fn a_permit_says_what_who_and_under_which_policy() {
    let permit = pump().connect().permitted().unwrap();
    assert_eq!(permit.action, Action::Connect);
    assert_eq!(permit.rule.as_str(), "connect");
    assert_eq!(permit.policy, PolicyVersion([7; 32]));
    assert_eq!(pump().rules().count(), 8);
}
