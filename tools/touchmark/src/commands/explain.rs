//! `touchmark explain ID`: the four questions on one screen; a question without an answer says `no data`.

use crate::commands::cert;
use crate::failure::{Exit, Failure, printable};
use crate::home::Home;
use crate::management::Management;
use crate::output::{Listed as _, Output, table};
use crate::span;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use touchmark_api::{
    Certificate, Decision, Explanation, NO_DATA, Reach, Renewals, Revoker, Sighting, or_no_data,
};
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
            or_no_data(device.name.as_ref()),
            or_no_data(device.environment.as_ref()),
            device.standing,
            or_no_data(device.model.as_ref()),
            or_no_data(device.owner.as_ref()),
            device.registered_at
        ),
        (None, Some(party)) => {
            let roles = if party.roles.is_empty() { "none".to_owned() } else { party.roles.join(", ") };
            let is_whole = party.reach.as_ref().is_some_and(|reach| *reach == Reach::Organisation);
            let hold = if is_whole { " in the whole organisation" } else { "" };
            let environment = or_no_data(party.environment.as_ref());
            format!("{} {} in {environment}, roles: {roles}{hold}\n", party.kind, party.name)
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
    let asked_for = |one: &&Certificate| all.matched == Some(one.id);
    // The one that was asked for comes first, so that it is never among the rest that is not shown.
    let (first, rest): (Vec<_>, Vec<_>) = all.certificates.iter().partition(asked_for);
    let rows = first.into_iter().chain(rest).map(|one| {
        let mark = if asked_for(&one) { "* " } else { "  " };
        vec![
            format!("{mark}{}", one.id),
            state(one),
            one.serial.to_string(),
            one.not_after.to_string(),
            or_no_data(one.profile.as_ref()),
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
        vec![
            one.seq.to_string(),
            one.at.to_string(),
            one.event.clone(),
            one.actor.to_string(),
            one.cause.clone(),
        ]
    });
    text += &part(&["seq", "at", "event", "by", "because"], rows.collect());
    if !all.left_out.is_empty() {
        text += &format!("\nLeft out or shown together\n{}", indented(&all.left_out.join("\n")));
    }
    text
}

/// The state; of a revoked one also when, why and at whose word.
fn state(one: &Certificate) -> String {
    let Some(at) = &one.revoked_at else { return one.state.to_string() };
    let reason = cert::reason(one);
    let by = one.revoked_by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
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
        or_no_data(one.last_outcome.as_ref()),
        lead(one.last_lead_s),
        or_no_data(one.last_manner.as_ref()),
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
    let rule = match &one.rule {
        Some(rule) => format!("rule {}", printable(rule)),
        None => "no rule matched".to_owned(),
    };
    format!(
        "{} {} {} for {}: {}{reason}\n{rule}, policy {}\ncertificate {}\n{}",
        one.at,
        printable(&one.action.to_string()),
        printable(&or_no_data(one.resource.as_ref())),
        or_no_data(one.device.as_ref()),
        printable(&one.verdict.to_string()),
        printable(&or_no_data(one.policy.as_ref())),
        or_no_data(one.certificate.as_ref()),
        printable(&or_no_data(one.tls.as_ref()))
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
        use touchmark_api::{History, OnExpiry, Word};
        let answer = |foreign: &str| {
            let text = || foreign.to_owned();
            let at = "2026-11-30T12:00:00.000Z".parse().unwrap();
            let sighting = Sighting {
                certificate: "ab".repeat(32).parse().unwrap(),
                gateway: "gateway-01".parse().unwrap(),
                action: Word::of(foreign),
                resource: text(),
                first: at,
                last: at,
                allowed: 1,
                denied: 0,
                folded: false,
            };
            let decision = Decision {
                id: "dec_gateway-01.1.1".parse().unwrap(),
                at,
                gateway: "gateway-01".parse().unwrap(),
                device: None,
                certificate: None,
                action: Word::of(foreign),
                resource: Some(text()),
                verdict: Word::of(foreign),
                reason: text(),
                policy: Some(text()),
                rule: Some(text()),
                proof: None,
                tls: Some(text()),
                count: 1,
            };
            let on_expiry = OnExpiry {
                not_after: at,
                chain_not_after: at,
                in_s: 1,
                effect: "refused".into(),
                actions_lost: vec![text(), text()],
                way_back: "enrol".into(),
            };
            let (event, actor) = ("issued".into(), Word::of(foreign));
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
