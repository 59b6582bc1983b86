//! Environments and their policies.

use super::super::Shell;
use super::super::problem::{Refuse, environment_unknown};
use super::caller::{Body, Called, Query, wait_of};
use crate::containment::gateways::Enforced;
use crate::http::views;
use crate::issuance::hierarchy::Trust;
use crate::operators::policies::{ActivatePolicy, Activated, Policies};
use crate::operators::reading::Environments;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::time::Duration;
use touchmark_api::{
    Environment, EnvironmentOrder, ListIn, Page, Policy, PolicyDocument, PolicyEnforcement, Profile,
};
use touchmark_identity::EnvironmentName;
use touchmark_journal::CloneResponse;
use touchmark_policy_cedar::PolicyBundle;
use touchmark_ra::{EnvironmentPlan, SuccessorPlan};

/// Life of a device certificate when none is asked for.
pub(crate) const DEVICE_LIFETIME_DEFAULT: Duration = Duration::from_secs(30 * 86_400);

fn view(shell: &Shell, trust: &Trust) -> Environment {
    let mut profiles: Vec<Profile> = trust
        .profiles
        .values()
        .map(|active| Profile {
            id: active.profile.version,
            name: active.name.clone(),
            kind: views::word(active.profile.kind.as_str()),
            lifetime_s: active.profile.lifetime.as_secs(),
            overlap_s: active.overlap.as_secs(),
            grace_s: active.grace.as_secs(),
            on_clone: views::word(active.on_clone.as_str()),
            revoke_superseded: active.revoke_superseded,
        })
        .collect();
    profiles.sort_by(|a, b| a.name.cmp(&b.name));
    Environment {
        name: trust.environment.name.clone(),
        trust_domain: trust.environment.trust_domain.clone(),
        default: trust.environment.default,
        anchors_pem: trust.chain().iter().map(|certificate| certificate.to_pem()).collect(),
        feed_key: hex::encode(shell.feeds.signer().verifier().as_bytes()),
        crls: vec![trust.issuing.crl_url(0)],
        profiles,
        created_at: trust.environment.created_at,
    }
}

fn named(shell: &Shell, called: &Called, text: &str) -> Result<EnvironmentName, Refuse> {
    text.parse().map_err(|_| called.environment_unknown(shell, text))
}

pub(super) async fn list(
    State(shell): State<Shell>,
    called: Called,
    Query(query): Query<ListIn>,
) -> Result<Json<Page<Environment>>, Refuse> {
    let read = called.read_in::<Environments>(&shell, query.environment.clone())?;
    let paging = called.paging(&shell, "/v1/environments", &query)?;
    let mut all = Vec::new();
    for read in &read {
        let trust = called.trust(&shell, read)?;
        all.push((trust.environment.name.to_string(), view(&shell, &trust)));
    }
    Ok(Json(paging.cut(&shell, all)))
}

pub(super) async fn get(
    State(shell): State<Shell>,
    called: Called,
    Path(name): Path<String>,
) -> Result<Json<Environment>, Refuse> {
    let name = named(&shell, &called, &name)?;
    let read = called.read::<Environments>(&shell, name)?;
    Ok(Json(view(&shell, &*called.trust(&shell, &read)?)))
}

pub(super) async fn create(
    State(shell): State<Shell>,
    called: Called,
    Body(order): Body<EnvironmentOrder>,
) -> Result<(StatusCode, Json<Environment>), Refuse> {
    let name = order.name;
    let trust_domain = match order.trust_domain {
        Some(domain) => domain,
        None => {
            let domain = format!("{name}.touchmark.internal");
            domain.parse().map_err(|why| {
                Refuse::value("trust_domain", format!("`{domain}`, made of the name, is none: {why}"))
                    .fix("give one of its own: touchmark env create NAME --trust-domain HOST")
            })?
        }
    };
    let on_clone = match order.on_clone {
        None | Some(touchmark_api::CloneResponse::Alarm) => CloneResponse::Alarm,
        Some(touchmark_api::CloneResponse::Quarantine) => CloneResponse::Quarantine,
    };
    let plan = EnvironmentPlan {
        name: name.clone(),
        trust_domain,
        device_lifetime: order.device_lifetime_s.map_or(DEVICE_LIFETIME_DEFAULT, Duration::from_secs),
        default: false,
        successors: SuccessorPlan {
            grace: order.late_renewal_grace_s.map(Duration::from_secs),
            overlap: order.overlap_s.map(Duration::from_secs),
            on_clone,
            revoke_superseded: order.revoke_superseded,
        },
    };
    // Before anything is told about what there is.
    let mandate = called.permit(&shell, plan)?;
    shell.has_space()?;
    shell.environments.create(mandate).await?;
    shell.environments.open(&name, &shell.hierarchy, &shell.feeds)?;
    if let Err(fault) = shell.crls.refresh_all().await {
        tracing::error!(%fault, "the new environment has no CRL yet");
    }
    let trust = shell.hierarchy.trust_of(&name).ok_or_else(|| environment_unknown(name.as_str()))?;
    Ok((StatusCode::CREATED, Json(view(&shell, &trust))))
}

pub(super) async fn policy(
    State(shell): State<Shell>,
    called: Called,
    Path(name): Path<String>,
) -> Result<Json<Policy>, Refuse> {
    let name = named(&shell, &called, &name)?;
    let row = shell.rows.policy(&called.read(&shell, name.clone())?)?;
    let row = row.ok_or_else(|| called.environment_unknown(&shell, name.as_str()))?;
    let bundle = PolicyBundle { files: row.files.clone(), topics: row.topics.clone() };
    let (_, rules) = Policies::check(&bundle)?;
    Ok(Json(Policy {
        environment: name,
        version: hex::encode(row.version),
        activated_at: Some(row.activated_at),
        files: row.files,
        topics: row.topics,
        rules,
        enforcement: None,
    }))
}

pub(super) async fn set_policy(
    State(shell): State<Shell>,
    called: Called,
    Path(name): Path<String>,
    Body(document): Body<PolicyDocument>,
) -> Result<Json<Policy>, Refuse> {
    let name = named(&shell, &called, &name)?;
    let mandate = called.permit(&shell, ActivatePolicy(name.clone()))?;
    called.trust(&shell, &mandate)?;
    let bundle = PolicyBundle { files: document.files.clone(), topics: document.topics.clone() };
    let activated_at = shell.clock.now();
    let (version, rules, enforced) = if document.dry_run {
        let (version, rules) = Policies::check(&bundle)?;
        (version, rules, None)
    } else {
        let wait = wait_of(document.wait_ms);
        let activated = shell.policies.activate(mandate, bundle, wait).await;
        let Activated { version, rules, enforced } = activated?;
        (version, rules, Some(enforced))
    };
    Ok(Json(Policy {
        environment: name,
        version: hex::encode(version),
        activated_at: enforced.as_ref().map(|_| activated_at),
        files: document.files,
        topics: document.topics,
        rules,
        enforcement: enforced
            .map(|Enforced { gateways, sessions_closed }| PolicyEnforcement { gateways, sessions_closed }),
    }))
}
