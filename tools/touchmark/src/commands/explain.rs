//! `touchmark explain ID`: the four questions on one screen; a question without an answer says `no data`.

use crate::commands::cert;
use crate::failure::{Exit, Failure, printable};
use crate::home::Home;
use crate::management::Management;
use crate::output::{Listed as _, Output, table};
use crate::span;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use touchmark_api::{Certificate, Decision, Explanation, NO_DATA, Renewals, Revoker, Sighting};
use touchmark_identity::EnvironmentName;

/// Rows of a part before it is cut, with a word about the rest.
const ROWS_MAX: usize = 8;

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Device name, dev_..., crt_..., dec_..., spiffe://..., SHA-256 of a certificate, or serial number
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    /// Environment, if several have something of that name
    #[arg(long)]
    env: Option<EnvironmentName>,
}

pub(crate) async fn run(order: &Explain, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let explanation = Management::open(home)?.explain(&order.id, order.env.as_ref()).await?;
    output.one(&explanation, &explanation.asked, human)?;
    Ok(Exit::Ok)
}

pub(crate) fn human(all: &Explanation) -> String {
    let mut text = String::new();
    if let Some(decision) = &all.decision {
        text += &format!("Decision {}\n{}\n", decision.id, indented(&decided(decision)));
    }
    text += &match (&all.device, &all.party) {
        (Some(device), _) => format!(
            "{} in {}: {}, model {}, owner {}, since {}\n",
            device.name,
            device.environment,
            device.standing,
            device.model,
            device.owner,
            device.registered_at
        ),
        (None, Some(party)) => {
            let roles = if party.roles.is_empty() { "none".to_owned() } else { party.roles.join(", ") };
            let hold = match party.reach.as_deref() {
                Some("organisation") => " in the whole organisation",
                _ => "",
            };
            format!("{} {} in {}, roles: {roles}{hold}\n", party.kind, party.name, party.environment)
        }
        (None, None) => format!("{}: nobody proved to be there\n", printable(&all.asked)),
    };
    for known in &all.identities {
        text += &format!(
            "known in {} as {} {}, generation {}\n",
            known.environment, known.kind, known.handle, known.generation
        );
    }
    text += "\nWhich certificates does it hold?\n";
    let asked_for = |one: &&Certificate| all.matched.as_deref() == Some(one.id.as_str());
    // The one that was asked for comes first, so that it is never among the rest that is not shown.
    let (first, rest): (Vec<_>, Vec<_>) = all.certificates.iter().partition(asked_for);
    let rows = first.into_iter().chain(rest).map(|one| {
        let mark = if asked_for(&one) { "* " } else { "  " };
        vec![
            format!("{mark}{}", one.id),
            state(one),
            one.serial.clone(),
            one.not_after.clone(),
            one.profile.to_string(),
        ]
    });
    text += &part(&["id", "state", "serial", "not after", "profile"], rows.collect());
    if all.matched.is_some() {
        text += "  * is the one that was asked for\n";
    }
    text += "\nWhere are they used?\n";
    text += &match &all.where_used {
        Some(seen) => part(Sighting::HEADERS, seen.iter().map(|one| one.row()).collect()),
        None => indented(NO_DATA),
    };
    text += "\nWho can revoke them?\n";
    text += &match &all.who_can_revoke {
        Some(able) => part(Revoker::HEADERS, able.iter().map(|one| one.row()).collect()),
        None => indented(NO_DATA),
    };
    text += "\nWhat happens at expiry?\n";
    text += &match &all.on_expiry {
        Some(expiry) => indented(&cert::on_expiry(expiry)),
        None => indented(NO_DATA),
    };
    text += "\nHow do its renewals go?\n";
    text += &match &all.renewals {
        Some(renewals) => indented(&renewals_in_words(renewals)),
        None => indented(NO_DATA),
    };
    text += "\nWhat happened\n";
    let rows = all.history.iter().map(|one| {
        vec![one.seq.to_string(), one.at.clone(), one.event.clone(), one.actor.clone(), one.cause.clone()]
    });
    text += &part(&["seq", "at", "event", "by", "because"], rows.collect());
    if !all.left_out.is_empty() {
        text += &format!("\nLeft out or shown together\n{}", indented(&all.left_out.join("\n")));
    }
    text
}

/// The state; of a revoked one also when, why and at whose word.
fn state(one: &Certificate) -> String {
    let Some(at) = &one.revoked_at else { return one.state.clone() };
    let reason = one.revocation_reason.as_deref().unwrap_or("unspecified");
    let by = one.revoked_by.as_deref().map_or_else(String::new, |by| format!(" by {by}"));
    format!("{} {at} ({reason}){by}", one.state)
}

/// What was granted and refused, and how close to the end it was.
pub(crate) fn renewals_in_words(one: &Renewals) -> String {
    let lead = |seconds: Option<i64>| match seconds {
        Some(left @ 0..) => format!("{} before the end", span::words(left.unsigned_abs())),
        Some(past) => format!("{} after the end", span::words(past.unsigned_abs())),
        None => NO_DATA.to_owned(),
    };
    let mut text = format!(
        "{} renewed, {} refused ({} since the last one renewed)\nlast attempt {}: {}\nlast renewed {} ({}), the closest {}",
        one.renewals,
        one.refused,
        one.refused_since,
        one.last_at,
        one.last_outcome,
        lead(one.last_lead_s),
        one.last_manner,
        lead(one.least_lead_s),
    );
    match &one.clone_alarm_at {
        Some(at) => text += &format!("\n! suspected clone: {} times, last at {at}", one.clone_alarms),
        None => text += "\nno clone was suspected",
    }
    text
}

fn decided(one: &Decision) -> String {
    let reason = if one.reason.is_empty() { String::new() } else { format!(" ({})", printable(&one.reason)) };
    let rule = match one.rule.get() {
        Some(rule) => format!("rule {}", printable(rule)),
        None => "no rule matched".to_owned(),
    };
    format!(
        "{} {} {} for {}: {}{reason}\n{rule}, policy {}\ncertificate {}\n{}",
        one.at,
        one.action,
        printable(one.resource.as_str()),
        printable(one.device.as_str()),
        one.verdict,
        printable(one.policy.as_str()),
        one.certificate,
        printable(one.tls.as_str())
    )
}

fn part(headers: &[&str], mut rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return indented(NO_DATA);
    }
    let more = rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    let mut text = indented(&table(headers, rows.into_iter()));
    if more > 0 {
        text += &indented(&format!("and {more} more: -o json"));
    }
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Explanation {
        Explanation {
            asked: "pump-01".into(),
            matched: None,
            device: None,
            party: None,
            identities: Vec::new(),
            certificates: Vec::new(),
            where_used: None,
            who_can_revoke: None,
            on_expiry: None,
            renewals: None,
            history: Vec::new(),
            decision: None,
            left_out: Vec::new(),
        }
    }

    #[test]
    fn every_question_without_an_answer_says_no_data() {
        let text = human(&nothing());
        assert_eq!(text.matches("  no data\n").count(), 6, "{text}");
    }

    /// A topic, a path or a cause from elsewhere makes no line of its own, and turns nothing round.
    #[test]
    fn the_words_of_a_peer_stay_where_they_belong() {
        use touchmark_api::{History, OnExpiry};
        let answer = |foreign: &str| {
            let text = || foreign.to_owned();
            let sighting = Sighting {
                certificate: "ab".into(),
                gateway: "gateway-01".into(),
                action: "publish".into(),
                resource: text(),
                first: "then".into(),
                last: "now".into(),
                allowed: 1,
                denied: 0,
                folded: false,
            };
            let decision = Decision {
                id: "dec_1".into(),
                at: "now".into(),
                gateway: "gateway-01".into(),
                device: foreign.into(),
                certificate: "ab".into(),
                action: "publish".into(),
                resource: foreign.into(),
                verdict: "deny".into(),
                reason: text(),
                policy: foreign.into(),
                rule: foreign.into(),
                proof: "mtls".into(),
                tls: foreign.into(),
                count: 1,
            };
            let on_expiry = OnExpiry {
                not_after: "soon".into(),
                chain_not_after: "later".into(),
                in_s: 1,
                effect: "refused".into(),
                actions_lost: vec![text(), text()],
                way_back: "enrol".into(),
            };
            let (at, event, actor) = ("now".into(), "issued".into(), text());
            human(&Explanation {
                asked: text(),
                where_used: Some(vec![sighting]),
                on_expiry: Some(on_expiry),
                history: vec![History { seq: 1, at, event, actor, cause: text() }],
                decision: Some(decision),
                ..nothing()
            })
        };
        let lines = answer("plant/x").lines().count();
        for harm in ['\n', '\r', '\u{1b}', '\u{9b}', '\u{202e}', '\u{2028}', '\u{200b}'] {
            let text = answer(&format!("plant/{harm}x"));
            assert_eq!(text.lines().count(), lines, "{harm:?}: {text:?}");
            assert!(harm == '\n' || !text.contains(harm), "{harm:?}: {text:?}");
        }
    }
}
