//! Tables against plain Cedar on random policies, devices and attempts; and proof that the check sees seeded faults.
//!
//! `TOUCHMARK_DIFF_CASES` sets the number of attempts (default 100,000, some 5 s unoptimised).

mod generate;

use super::*;
use crate::Verdict;
use generate::{Ask, Generator};
use touchmark_policy::{Access, Decision as Decided, DenyReason, PolicyVersion, RuleId, TopicFilter};

const SEED: u64 = 0x70_75_6d_70;
const CASES: usize = 100_000;
/// Each mutant must be seen within so many.
const MUTANT_CASES: usize = 20_000;
/// Attempts under one policy version; then the next version takes over while the sessions go on.
const CASES_PER_VERSION: usize = 250;
const DEVICES: usize = 8;

fn cases() -> usize {
    std::env::var("TOUCHMARK_DIFF_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES)
}

/// What the gateway would do, by table.
#[derive(Debug)]
struct Outcome {
    permitted: bool,
    rule: Option<RuleId>,
    version: PolicyVersion,
}

fn by_table(table: &DecisionTable, access: &Access<'_>, mutation: Mutation) -> Outcome {
    if let (Mutation::ContainmentForOverlap, Access::Subscribe(filter)) = (mutation, access) {
        return contained(table, filter);
    }
    match table.decide(access) {
        Decided::Permit(permit) => {
            assert_eq!(permit.action, access.action());
            Outcome { permitted: true, rule: Some(permit.rule.clone()), version: permit.policy }
        }
        Decided::Deny(denial) => {
            assert_eq!(denial.rule.is_some(), denial.reason == DenyReason::ForbiddenByRule);
            Outcome { permitted: false, rule: denial.rule, version: table.version() }
        }
    }
}

/// The mutant that lets a forbid act only on filters that it holds.
fn contained(table: &DecisionTable, filter: &TopicFilter<'_>) -> Outcome {
    let holding = |effect: Effect| {
        table.rules().find(|line| {
            line.effect == effect
                && match &line.reach {
                    Reach::Subscribe(TopicReach::Everything) => true,
                    Reach::Subscribe(TopicReach::Pattern(pattern)) => pattern.contains(filter),
                    _ => false,
                }
        })
    };
    let forbid = holding(Effect::Forbid).map(|line| line.rule);
    let permit = holding(Effect::Permit).map(|line| line.rule);
    let permitted = forbid.is_none() && permit.is_some();
    Outcome { permitted, rule: forbid.or(permit), version: table.version() }
}

/// What must agree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    /// Verdict, rule and policy version.
    Everything,
    /// Only what a device would notice: a mutant that merely names another rule does not count as seen.
    Verdicts,
}

fn agree(compare: Compare, outcome: &Outcome, verdict: &Verdict, version: PolicyVersion) -> bool {
    if compare == Compare::Verdicts {
        return outcome.permitted == verdict.permitted;
    }
    outcome.permitted == verdict.permitted
        && outcome.version == version
        && match &outcome.rule {
            Some(rule) => verdict.rules.contains(rule),
            None => verdict.rules.is_empty(),
        }
}

/// How many attempts were permitted and denied, per action.
#[derive(Debug, Default)]
struct Counts {
    permitted: [usize; 4],
    denied: [usize; 4],
    forbidden: usize,
    versions: usize,
}

/// Runs `cases` attempts; `Err` tells the first on which table and Cedar differ.
fn run(mutation: Mutation, compare: Compare, cases: usize) -> Result<Counts, String> {
    let mut random = Generator::new(SEED);
    let mut counts = Counts::default();
    let subjects: Vec<Subject> = (0..DEVICES).map(|_| random.subject()).collect();
    let mut sessions: Vec<Option<DecisionTable>> = subjects.iter().map(|_| None).collect();
    let (mut policy, mut text) = random.policy();
    for case in 0..cases {
        if case > 0 && case % CASES_PER_VERSION == 0 {
            (policy, text) = random.policy();
            counts.versions += 1;
        }
        let at = random.below(DEVICES);
        let subject = &subjects[at];
        let ask = random.ask(&policy, subject, &subjects);
        let access = ask.access();
        // The gateway's rule: a table of another version is made anew before it decides.
        let fresh = sessions[at]
            .take()
            .filter(|table| mutation == Mutation::StaleVersion || table.version() == policy.version());
        let table = fresh.unwrap_or_else(|| policy.specialise_with(subject, mutation));
        let outcome = by_table(&table, &access, mutation);
        sessions[at] = Some(table);
        let verdict = policy.evaluate(subject, &access);
        if !agree(compare, &outcome, &verdict, policy.version()) {
            let told = format!("case {case}: {subject:?} asks {access:?}");
            return Err(format!("{told}\ntable: {outcome:?}\nCedar: {verdict:?}\n{text}"));
        }
        let kind = usize::from(access.action().number()) - 1;
        let count = if verdict.permitted { &mut counts.permitted } else { &mut counts.denied };
        count[kind] += 1;
        counts.forbidden += usize::from(!verdict.permitted && !verdict.rules.is_empty());
    }
    Ok(counts)
}

#[test]
fn a_table_decides_as_plain_cedar_does() {
    let cases = cases();
    let counts =
        run(Mutation::None, Compare::Everything, cases).unwrap_or_else(|difference| panic!("{difference}"));
    println!("{cases} cases: {counts:?}");
    let denied: usize = counts.denied.iter().sum();
    assert!(
        denied * 10 >= cases && denied * 10 <= cases * 9,
        "a sample of one kind proves little: {counts:?}"
    );
    assert!(counts.forbidden * 20 >= cases, "too few forbids: {counts:?}");
    assert!(counts.permitted.iter().chain(&counts.denied).all(|count| *count > 0), "{counts:?}");
    assert!(counts.versions + 1 >= cases / CASES_PER_VERSION);
}

#[test]
fn the_check_sees_each_seeded_fault_of_the_specialiser() {
    let mutants = [
        Mutation::ForbidIgnored,
        Mutation::ConditionIgnored,
        Mutation::FirstGroupOnly,
        Mutation::FirstPatternOnly,
        Mutation::ContainmentForOverlap,
        Mutation::StaleVersion,
    ];
    for mutation in mutants {
        let seen = run(mutation, Compare::Verdicts, MUTANT_CASES);
        assert!(seen.is_err(), "{mutation:?} lived through {MUTANT_CASES} cases: {seen:?}");
    }
}

#[test]
fn asks_are_valid_before_they_are_decided() {
    // The generator drops what does not parse; this keeps it from dropping nearly everything.
    let mut random = Generator::new(SEED);
    let subjects = [random.subject(), random.subject()];
    let (policy, _) = random.policy();
    let longest =
        (0..1_000).map(|_| random.ask(&policy, &subjects[0], &subjects)).filter(Ask::has_levels).count();
    assert!(longest > 300, "{longest}");
}
