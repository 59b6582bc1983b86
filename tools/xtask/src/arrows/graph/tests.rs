use std::collections::BTreeSet;

use serde_json::json;

use super::*;

/// `gateway -> policy -> identity`, `policy -> tokio` by way of `hyper`, `gateway -> testkit` in tests only.
fn graph() -> Graph {
    let package = |id: &str, name: &str, path: &str| json!({"id": id, "name": name, "manifest_path": path});
    let link = |to: &str, kind: Option<&str>| json!({"pkg": to, "dep_kinds": [{"kind": kind}]});
    let metadata = json!({
        "workspace_root": "/house",
        "workspace_members": ["i", "p", "g", "t"],
        "packages": [
            package("i", "touchmark-identity", "/house/crates/identity/Cargo.toml"),
            package("p", "touchmark-policy", "/house/crates/policy/Cargo.toml"),
            package("g", "touchmark-gateway", "/house/services/gateway/Cargo.toml"),
            package("t", "touchmark-testkit", "/house/tools/testkit/Cargo.toml"),
            package("h", "hyper", "/elsewhere/hyper/Cargo.toml"),
            package("k", "tokio", "/elsewhere/tokio/Cargo.toml"),
        ],
        "resolve": {"nodes": [
            {"id": "i", "deps": []},
            {"id": "p", "deps": [link("i", None), link("h", None)]},
            {"id": "g", "deps": [link("p", None), link("t", Some("dev"))]},
            {"id": "t", "deps": []},
            {"id": "h", "deps": [link("k", None)]},
            {"id": "k", "deps": []},
        ]},
    });
    Graph::from_metadata(metadata.to_string().as_bytes()).unwrap()
}

/// `a; b -> a` as the page would list it.
fn list(arrows: &str) -> Arrows {
    let set = |to: &str| to.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
    let parts = arrows.split(';').map(|arrow| arrow.split_once("->").unwrap_or((arrow, "")));
    parts.map(|(from, to)| (from.trim().to_owned(), set(to))).collect()
}

#[test]
fn a_list_that_matches_has_no_fault_and_dev_dependencies_are_no_arrows() {
    let as_is = list("identity; policy -> identity; gateway -> policy; testkit");
    assert_eq!(graph().arrows_against(&as_is), Vec::<String>::new());
    assert_eq!(graph().arrow_count(), 2);
}

#[test]
fn every_difference_is_a_fault() {
    let cases = [
        ("new arrow policy -> identity", "identity; policy; gateway -> policy; testkit"),
        (
            "stale arrow gateway -> identity",
            "identity; policy -> identity; gateway -> policy identity; testkit",
        ),
        ("crate `testkit` is not listed", "identity; policy -> identity; gateway -> policy"),
        (
            "crate `agent` is listed but not in the workspace",
            "identity; policy -> identity; gateway -> policy; testkit; agent",
        ),
    ];
    for (expected, listed) in cases {
        let faults = graph().arrows_against(&list(listed));
        assert_eq!(faults.len(), 1, "{expected}: {faults:?}");
        assert!(faults[0].starts_with(expected), "{expected}: {faults:?}");
    }
}

#[test]
fn walls_hold_however_long_the_way() {
    let wall = |of: &str, never: &[&str]| Wall {
        of: of.to_owned(),
        never: never.iter().map(|name| (*name).to_owned()).collect(),
    };
    let faults = graph().through_walls(&[wall("gateway", &["tokio"])]);
    assert_eq!(faults, ["through the wall of `gateway`: gateway -> policy -> hyper -> tokio"]);
    let faults = graph().through_walls(&[wall("crates/*", &["tokio"])]);
    assert_eq!(faults, ["through the wall of `crates/*`: policy -> hyper -> tokio"]);
    let holds = [wall("gateway", &["rusqlite", "testkit"]), wall("agent", &["tokio"])];
    assert!(graph().through_walls(&holds).is_empty());
}

#[test]
fn an_arrow_from_the_core_to_a_shell_is_upward() {
    assert!(graph().upward().is_empty());
    let mut graph = graph();
    graph.linked.entry("i".into()).or_default().insert("g".into());
    assert_eq!(graph.upward(), ["arrow upward identity -> gateway"]);
}
