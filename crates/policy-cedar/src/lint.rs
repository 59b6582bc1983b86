//! Refuses what a decision table cannot hold, and takes the rest apart into a [`Rule`].
//!
//! In: one parsed policy. Out: a rule, or faults with the fix. A table is made when a device connects, so a rule may
//! ask only what is known then: the device, the action, and the *name* of the topics or updates meant.

use crate::entities::device_action;
use crate::fault::Trouble;
use crate::rule::{Head, Rule, Target};
use crate::topics::NamedPatterns;
use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, UnaryOp, Var};
use cedar_policy::{
    ActionConstraint, Effect as CedarEffect, EntityTypeName, EntityUid, Policy, PolicySet,
    PrincipalConstraint, ResourceConstraint, pst,
};
use touchmark_policy::{Action, Effect, RuleId};

/// Takes `policy` apart. `None` when something was reported.
pub(crate) fn rule(
    id: RuleId,
    policy: &Policy,
    named: &NamedPatterns,
    report: &mut dyn FnMut(Trouble),
) -> Option<Rule> {
    let effect = match policy.effect() {
        CedarEffect::Permit => Effect::Permit,
        CedarEffect::Forbid => Effect::Forbid,
    };
    let mut found = 0;
    let mut note = |trouble: Trouble| {
        found += 1;
        report(trouble);
    };
    let head = head(policy).map_err(&mut note).ok();
    let actions = actions(policy).map_err(&mut note).ok();
    let target = target(policy, named).map_err(&mut note).ok();
    let condition = condition(policy, &mut note);
    let (head, actions, target) = (head?, actions?, target?);
    let (Some(condition), 0) = (condition, found) else { return None };
    let actions: Vec<Action> = actions.into_iter().filter(|action| target.suits(*action)).collect();
    if actions.is_empty() {
        report((
            "the action never has such a resource".into(),
            "topics go with publish and subscribe, updates with requestUpdate, the gateway with connect"
                .into(),
        ));
        return None;
    }
    let names = matches!(target, Target::Topics(_) | Target::Updates(_));
    if effect == Effect::Permit && !names && actions != [Action::Connect] {
        report((
            "the permit opens every topic or update".into(),
            "name what it opens: `resource in Topics::\"...\"` or `resource in Updates::\"...\"`, one rule for each"
                .into(),
        ));
        return None;
    }
    Some(Rule { id, effect, head, actions, target, condition })
}

fn is(kind: &EntityTypeName, name: &str) -> bool {
    kind.namespace().is_empty() && kind.basename() == name
}

fn head(policy: &Policy) -> Result<Head, Trouble> {
    let of = |uid: &EntityUid, group_allowed: bool| {
        let id = uid.id().unescaped().to_owned();
        if is(uid.type_name(), "Device") {
            Ok(Head::Device(id))
        } else if group_allowed && is(uid.type_name(), "Group") {
            Ok(Head::Group(id))
        } else {
            Err(principal_trouble())
        }
    };
    match policy.principal_constraint() {
        PrincipalConstraint::Any => Ok(Head::Everyone),
        PrincipalConstraint::Is(kind) if is(&kind, "Device") => Ok(Head::Everyone),
        PrincipalConstraint::IsIn(kind, uid) if is(&kind, "Device") => of(&uid, true),
        PrincipalConstraint::In(uid) => of(&uid, true),
        PrincipalConstraint::Eq(uid) => of(&uid, false),
        PrincipalConstraint::Is(_) | PrincipalConstraint::IsIn(..) => Err(principal_trouble()),
    }
}

fn principal_trouble() -> Trouble {
    (
        "the principal is not a device".into(),
        "write `principal`, `principal == Device::\"...\"` or `principal in Group::\"...\"`".into(),
    )
}

const DECIDED: [Action; 4] = [Action::Connect, Action::Publish, Action::Subscribe, Action::RequestUpdate];

fn actions(policy: &Policy) -> Result<Vec<Action>, Trouble> {
    let of = |uid: &EntityUid| {
        DECIDED
            .into_iter()
            .find(|action| {
                is(uid.type_name(), "Action") && device_action(*action) == Some(uid.id().unescaped())
            })
            .ok_or_else(|| {
                let fix =
                    "use Action::\"connect\", \"publish\", \"subscribe\" or \"requestUpdate\"".to_owned();
                (format!("`{uid}` is not an action"), fix)
            })
    };
    match policy.action_constraint() {
        ActionConstraint::Any => Ok(DECIDED.to_vec()),
        ActionConstraint::Eq(uid) => Ok(vec![of(&uid)?]),
        ActionConstraint::In(uids) => {
            let named: Vec<Action> = uids.iter().map(of).collect::<Result<_, _>>()?;
            Ok(DECIDED.into_iter().filter(|action| named.contains(action)).collect())
        }
    }
}

fn target(policy: &Policy, named: &NamedPatterns) -> Result<Target, Trouble> {
    let group = |uid: &EntityUid| {
        let name = uid.id().unescaped();
        let absent = |heading: &str| {
            let fix =
                format!("add `{name} = \"...\"` under `[{heading}]` in topics.toml, or correct the name");
            Err((format!("`{uid}` is not defined"), fix))
        };
        if is(uid.type_name(), "Topics") {
            if named.has_topics(name) { Ok(Target::Topics(name.to_owned())) } else { absent("topics") }
        } else if is(uid.type_name(), "Updates") {
            if named.has_updates(name) { Ok(Target::Updates(name.to_owned())) } else { absent("updates") }
        } else {
            Err(resource_trouble())
        }
    };
    match policy.resource_constraint() {
        ResourceConstraint::Any => Ok(Target::Everything),
        ResourceConstraint::Is(kind) if is(&kind, "Gateway") => Ok(Target::Gateway),
        ResourceConstraint::Is(kind) if is(&kind, "Topic") => Ok(Target::AllTopics),
        ResourceConstraint::Is(kind) if is(&kind, "Update") => Ok(Target::AllUpdates),
        ResourceConstraint::In(uid) => group(&uid),
        ResourceConstraint::IsIn(kind, uid) => match group(&uid)? {
            found @ Target::Topics(_) if is(&kind, "Topic") => Ok(found),
            found @ Target::Updates(_) if is(&kind, "Update") => Ok(found),
            _ => Err(resource_trouble()),
        },
        ResourceConstraint::Eq(_) | ResourceConstraint::Is(_) => Err(resource_trouble()),
    }
}

fn resource_trouble() -> Trouble {
    (
        "the resource cannot be told apart in a decision table".into(),
        "name the topics in topics.toml and write `resource in Topics::\"...\"` (updates: `Updates::\"...\"`)".into(),
    )
}

/// `Some(None)` when there is no condition, `None` when it was reported.
#[expect(clippy::option_option, reason = "the outer one is `?` for what was reported")]
fn condition(policy: &Policy, note: &mut dyn FnMut(Trouble)) -> Option<Option<PolicySet>> {
    if !policy.has_non_scope_constraint() {
        return Some(None);
    }
    let internal = |fault: pst::PstConstructionError| {
        (format!("the condition cannot be read: {fault}"), "write it in a simpler form".to_owned())
    };
    let parsed = policy.to_pst().map_err(|fault| note(internal(fault))).ok()?;
    let body = parsed.body();
    let mut troubles = Vec::new();
    for clause in body.clauses() {
        let (Clause::When(expression) | Clause::Unless(expression)) = clause;
        walk(expression, &mut troubles);
    }
    troubles.sort_unstable();
    troubles.dedup();
    if !troubles.is_empty() {
        troubles.into_iter().for_each(note);
        return None;
    }
    let (any, permit) = (pst::PrincipalConstraint::Any, pst::Effect::Permit);
    let alone = pst::Template::new(
        body.id.clone(),
        permit,
        any,
        pst::ActionConstraint::Any,
        pst::ResourceConstraint::Any,
    )
    .try_with_clauses(body.clauses().iter().cloned())
    .and_then(|template| Ok(pst::Policy::Static(pst::StaticPolicy::try_from(template)?)))
    .and_then(Policy::from_pst)
    .map_err(|fault| note(internal(fault)))
    .ok()?;
    let set = PolicySet::from_policies([alone]);
    set.map_err(|fault| note((fault.to_string(), "write the condition in a simpler form".into())))
        .ok()
        .map(Some)
}

/// Reports everything in an expression that is not known when the device connects, or that can fail.
/// Depth is bounded before parsing (see `statement.rs`).
fn walk(expression: &Expr, troubles: &mut Vec<Trouble>) {
    let mut refuse = |what: &str, fix: &str| troubles.push((what.to_owned(), fix.to_owned()));
    match expression {
        Expr::Literal(Literal::Bool(_) | Literal::String(_) | Literal::EntityUID(_))
        | Expr::Var(Var::Principal | Var::Action) => {}
        Expr::Literal(_) => refuse("a number in a condition", NO_ARITHMETIC),
        Expr::Var(Var::Resource) => refuse(
            "the condition reads `resource`, which is not known when the device connects",
            "name the topics or updates in topics.toml and write `resource in Topics::\"...\"` or \
             `resource in Updates::\"...\"` in the rule's head",
        ),
        Expr::Var(Var::Context) => {
            refuse("the condition reads `context`, which is empty", "use attributes of the principal");
        }
        Expr::UnaryOp { op: UnaryOp::Not | UnaryOp::IsEmpty, expr } => walk(expr, troubles),
        Expr::BinaryOp {
            op:
                BinaryOp::Eq
                | BinaryOp::NotEq
                | BinaryOp::And
                | BinaryOp::Or
                | BinaryOp::In
                | BinaryOp::Contains
                | BinaryOp::ContainsAll
                | BinaryOp::ContainsAny,
            left,
            right,
        } => {
            walk(left, troubles);
            walk(right, troubles);
        }
        Expr::UnaryOp { .. } | Expr::BinaryOp { .. } => {
            refuse("arithmetic, tags or extension functions in a condition", NO_ARITHMETIC);
        }
        Expr::GetAttr { expr, .. } | Expr::HasAttr { expr, .. } | Expr::Like { expr, .. } => {
            walk(expr, troubles)
        }
        Expr::Is { expr, in_expr, .. } => {
            walk(expr, troubles);
            if let Some(group) = in_expr {
                walk(group, troubles);
            }
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            for part in [cond, then_expr, else_expr] {
                walk(part, troubles);
            }
        }
        Expr::Set(parts) => parts.iter().for_each(|part| walk(part, troubles)),
        _ => refuse("the condition uses a form that is not supported", NO_ARITHMETIC),
    }
}

const NO_ARITHMETIC: &str =
    "compare attributes of the principal with texts: `==`, `like`, `contains`, `in`, `has`";
