//! Reads policy texts into one validated Cedar set, for devices and operators alike.
//!
//! Each statement is parsed alone, needs a unique `@id`, and gets it as its Cedar id, so that every later word about
//! it (validator, decision, log) names it. Validation is strict, and a warning counts as a fault.

use crate::fault::{PolicyFault, Trouble};
use crate::schema;
use crate::statement::{self, Statement};
use cedar_policy::{Policy, PolicyId, PolicySet, ValidationMode, Validator};
use std::collections::HashMap;
use touchmark_policy::RuleId;

/// One policy with its name and place.
pub(crate) struct Source<'a> {
    pub(crate) id: &'a RuleId,
    pub(crate) policy: &'a Policy,
    file: &'a str,
    line: usize,
}

impl Source<'_> {
    pub(crate) fn fault(&self, (what, fix): Trouble) -> PolicyFault {
        PolicyFault::new(self.file, what, fix).at(self.line).of(self.id.as_str())
    }
}

/// Parses `files` in the order given and validates the whole. `each` sees every policy that parsed and has its id.
pub(crate) fn policies(
    files: &[(&str, &str)],
    schema: &str,
    faults: &mut Vec<PolicyFault>,
    mut each: impl FnMut(&Source<'_>, &mut Vec<PolicyFault>),
) -> PolicySet {
    let mut set = PolicySet::new();
    let mut places: HashMap<String, (&str, usize)> = HashMap::new();
    let mut statements = 0;
    for (file, text) in files {
        for cut in statement::cut(text) {
            statements += 1;
            if statements > statement::STATEMENTS_MAX {
                let what = format!("more than {} rules", statement::STATEMENTS_MAX);
                faults
                    .push(PolicyFault::new(file, what, "use groups instead of a rule per name").at(cut.line));
                return PolicySet::new();
            }
            let (id, policy) = match parse(&cut) {
                Ok(parsed) => parsed,
                Err((what, fix)) => {
                    faults.push(PolicyFault::new(file, what, fix).at(cut.line));
                    continue;
                }
            };
            if let Some((other, line)) = places.get(id.as_str()) {
                let what = format!("the `@id` stands already in {other}:{line}");
                faults
                    .push(PolicyFault::new(file, what, "give the rule another").at(cut.line).of(id.as_str()));
                continue;
            }
            places.insert(id.as_str().to_owned(), (file, cut.line));
            let source = Source { id: &id, policy: &policy, file, line: cut.line };
            each(&source, faults);
            if let Err(fault) = set.add(policy.clone()) {
                faults.push(source.fault((fault.to_string(), "give the rule another `@id`".into())));
            }
        }
    }
    validate(&set, schema, &places, faults);
    set
}

fn parse(cut: &Statement<'_>) -> Result<(RuleId, Policy), Trouble> {
    if let Some(why) = &cut.too_large {
        return Err((why.clone(), "split the rule into several".into()));
    }
    let policy = Policy::parse(None, cut.text)
        .map_err(|fault| (one_line(&fault.to_string()), "correct the statement".into()))?;
    let id = policy.annotation("id").ok_or_else(|| {
        ("the rule has no `@id`".to_owned(), "write `@id(\"some-name\")` before permit or forbid".to_owned())
    })?;
    let id =
        RuleId::new(id).map_err(|fault| (format!("`@id`: {fault}"), "choose another `@id`".to_owned()))?;
    let policy = policy.new_id(PolicyId::new(id.as_str()));
    Ok((id, policy))
}

fn validate(
    set: &PolicySet,
    schema: &str,
    places: &HashMap<String, (&str, usize)>,
    faults: &mut Vec<PolicyFault>,
) {
    let schema = match schema::parse(schema) {
        Ok(schema) => schema,
        // A test shows that ours parse; if one did not, no policy may pass unvalidated.
        Err(what) => return faults.push(PolicyFault::new("", what, schema::BROKEN)),
    };
    let outcome = Validator::new(schema).validate(set, ValidationMode::Strict);
    let mut report = |id: &PolicyId, what: String, fix: &str| {
        let rule: &str = id.as_ref();
        let (file, line) = places.get(rule).copied().unwrap_or(("", 0));
        faults.push(PolicyFault::new(file, one_line(&what), fix).at(line).of(rule));
    };
    for fault in outcome.validation_errors() {
        let what = fault.to_string();
        let fix = has_before(&what).unwrap_or_else(|| "compare with the schema".to_owned());
        report(fault.policy_id(), what, &fix);
    }
    for warning in outcome.validation_warnings() {
        report(
            warning.policy_id(),
            warning.to_string(),
            "correct it or take it out: it cannot do what it says",
        );
    }
}

/// The test that makes the use of an optional attribute safe. Cedar says which attribute, of which type of entity; each of
/// our types stands in one place.
fn has_before(what: &str) -> Option<String> {
    let (_, rest) = what.split_once("optional attribute `")?;
    let (attribute, rest) = rest.split_once('`')?;
    let place = if rest.contains("`Target`") { "resource" } else { "principal" };
    Some(format!("write `{place} has {attribute} &&` before it: not every {place} has it"))
}

/// Cedar's words quote the policy; a quoted newline must not forge a line of a report.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect()
}
