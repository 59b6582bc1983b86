//! Each permission of the starter operator policy, taken out one at a time: the table says otherwise for every one. What
//! a request takes is said beside the requests, and held against the refusals over HTTP.

use crate::requests::{ENVIRONMENTS, Requests, Row};
use std::collections::BTreeSet;
use touchmark_identity::Permission;
use touchmark_policy_cedar::{OperatorPolicy, OperatorRequest};

const ROLES: [&str; 3] = ["admin", "fleet", "auditor"];

/// The operators of the organisation that the table lets do what each of these rows asks for.
fn permitted_by_table(rows: &[Row]) -> Vec<Vec<&'static str>> {
    let table = include_str!("table.txt");
    let mut permitted = Vec::new();
    for row in rows {
        let (_, of_row) = table.split_once(&format!("{row}\n")).unwrap_or_else(|| panic!("no row {row}"));
        let answers = of_row.lines().take_while(|line| line.starts_with(' '));
        let refused: BTreeSet<&str> = answers
            .filter_map(|line| line.trim().strip_prefix("403 not-permitted"))
            .flat_map(str::split_whitespace)
            .collect();
        permitted.push(
            ROLES.into_iter().filter(|role| !refused.contains(&*format!("{role}@organisation"))).collect(),
        );
    }
    permitted
}

fn permits(policy: &OperatorPolicy, role: &str, permission: Permission, environment: &str) -> bool {
    let (actor, environment) = ("ada".parse().unwrap(), environment.parse().unwrap());
    let roles = [role.to_owned()];
    let environment = Some(&environment);
    let request =
        OperatorRequest { actor: &actor, roles: &roles, permission, environment, target_owner: None };
    policy.authorise(&request).is_ok()
}

fn permitted_by(policy: &OperatorPolicy, rows: &[Row]) -> Vec<Vec<&'static str>> {
    let permitted = |row: &Row, role: &str| {
        row.takes().is_none_or(|permission| permits(policy, role, permission, row.environment()))
    };
    rows.iter().map(|row| ROLES.into_iter().filter(|role| permitted(row, role)).collect()).collect()
}

/// Its rules, each on one line.
fn rules(text: &str) -> Vec<String> {
    let bare: Vec<&str> = text.lines().filter(|line| !line.starts_with("//")).collect();
    let bare = bare.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    bare.split("@id").skip(1).map(|rule| format!("@id{rule}")).collect()
}

/// The rule without one of the permissions that it gives; nothing is left of it without its last.
fn without(rule: &str, gives: &[Permission], taken: Permission) -> String {
    let (head, rest) = rule.split_once(", action").unwrap();
    let (_, tail) = rest.rsplit_once(", resource").unwrap();
    let kept: Vec<String> =
        gives.iter().filter(|one| **one != taken).map(|one| format!("Action::\"{one}\"")).collect();
    if kept.is_empty() {
        return String::new();
    }
    format!("{head}, action in [{}], resource{tail}", kept.join(", "))
}

/// R108: whoever takes a permission out of the policy, or gives one more, changes the table.
#[test]
fn no_permission_of_the_starter_policy_can_be_taken_out_unseen() {
    let rows: Vec<Row> = touchmark_authority::api_routes()
        .iter()
        .flat_map(|route| Requests::rows(&route.method, route.path))
        .collect();
    let recorded = permitted_by_table(&rows);
    let compile = |text: &str| OperatorPolicy::compile(text).unwrap_or_else(|faults| panic!("{faults}"));
    let whole = compile(OperatorPolicy::starter_text());
    for ((row, found), recorded) in rows.iter().zip(permitted_by(&whole, &rows)).zip(&recorded) {
        assert_eq!(found, *recorded, "{row}");
    }
    let rules = rules(OperatorPolicy::starter_text());
    let (mut tried, mut unseen) = (0, Vec::new());
    for (at, rule) in rules.iter().enumerate() {
        let alone = compile(rule);
        let gives = |permission: &Permission| {
            alone.roles().iter().any(|role| permits(&alone, role, *permission, ENVIRONMENTS[0]))
        };
        let gives: Vec<Permission> = Permission::ALL.iter().copied().filter(gives).collect();
        for taken in &gives {
            let mut less = rules.clone();
            less[at] = without(rule, &gives, *taken);
            let less = compile(&less.join("\n"));
            tried += 1;
            if permitted_by(&less, &rows) == recorded {
                unseen.push(format!("{taken} of {rule}"));
            }
        }
    }
    assert_eq!(unseen, Vec::<String>::new(), "of {tried}");
    assert_eq!(rules.len(), OperatorPolicy::starter_text().matches("permit (").count());
    // An administrator has all of them.
    assert!(tried > Permission::ALL.len(), "{tried}");
}
