//! Admission: may this device have a certificate, and on whose word?
//!
//! In: an [`EnrolmentRequest`] whose proof of possession is checked, and the rows it concerns.
//! Out: an order for the CA with what must hold and be recorded beside it, or a [`Refusal`].

use crate::holder::device_actor;
use crate::refusal::Refusal;
use std::net::IpAddr;
use touchmark_ca::{IssuanceOrder, OrderParts};
use touchmark_enrol::EnrolmentRequest;
use touchmark_identity::{Actor, DeviceId, Name, PathKind, SpiffeId, Timestamp};
use touchmark_inventory::{
    CertificateRow, CertificateState, DeviceRow, EnvironmentRow, Holder, Precondition, TokenRow,
};
use touchmark_journal::{
    DevicePrivate, DeviceRegistered, Draft, Envelope, Event, IdentityKind, Private, Salt, Standing,
    TokenSubject,
};
use touchmark_x509::csr::{Form, Granted};

/// The rows that an enrolment concerns, read by the caller. The commit checks again what may have changed.
#[derive(Debug)]
pub struct EnrolmentFacts<'a> {
    /// The environment that the request is for.
    pub environment: &'a EnvironmentRow,
    /// The token whose password was presented, if there is one.
    pub token: Option<&'a TokenRow>,
    /// The name that was presented with it.
    pub username: &'a Name,
    /// The device of that name.
    pub device: Option<&'a DeviceRow>,
    /// All certificates of the identity, newest first.
    pub certificates: &'a [CertificateRow],
    /// What the profile and the authority put into every certificate.
    pub form: &'a Form,
}

/// Admitted: the order, and what the commit must check and record with its intent.
#[derive(Debug)]
pub struct Admitted {
    /// For the CA.
    pub order: IssuanceOrder,
    /// Checked again inside the transaction.
    pub preconditions: Vec<Precondition>,
    /// Recorded in the same transaction, before the intent.
    pub entries: Vec<Draft>,
    /// Who, when, where, for the intent.
    pub envelope: Envelope,
}

/// Decides on an enrolment with a token.
///
/// `random` makes a new device's identifier and salts its private part.
///
/// # Errors
/// [`Refusal`]; nothing is recorded and nothing is spent.
pub fn admit(
    request: &EnrolmentRequest,
    facts: &EnrolmentFacts<'_>,
    cause: &str,
    now: Timestamp,
    random: [u8; 26],
) -> Result<Admitted, Refusal> {
    let token = facts.token.ok_or(Refusal::Token)?;
    let name = named(token, facts)?;
    // Only a token for this very name lets the authority's own service in, and nobody is given one.
    let prefix = matches!(token.subject, Some(TokenSubject::Prefix(_)));
    if prefix && token.kind == IdentityKind::Service && name.as_str() == SpiffeId::AUTHORITY {
        return Err(Refusal::Token);
    }
    within_environment(token, facts.environment)?;
    usable(token, now)?;
    if let Some(device) = facts.device.filter(|_| token.kind == IdentityKind::Operational) {
        if device.standing != Standing::Active {
            return Err(Refusal::Standing { device: device.device, standing: device.standing });
        }
        if prefix && !only_burned_on(token, facts.certificates) {
            return Err(Refusal::DeviceExists { name });
        }
    }
    let identity = SpiffeId {
        trust_domain: facts.environment.trust_domain.clone(),
        kind: path_kind(token.kind),
        name: name.clone(),
    };
    let (dns, ips) = hosts(token);
    let subject = subject(token, facts, &name, cause, now, random);
    request.csr().within(&Granted {
        common_name: name.as_str(),
        uri: &identity.to_string(),
        dns: &dns,
        ips: &ips,
        scope: &subject.scope_strings,
        form: facts.form,
    })?;
    let public_key = request.csr().public_key().clone();
    let mut preconditions = vec![
        Precondition::TokenUsable { token: token.token, now },
        Precondition::KeyUsable { spki: public_key.spki_hash(), holder: subject.holder },
    ];
    preconditions.extend(subject.preconditions);
    let newest = facts.certificates.iter().map(|row| row.generation).max();
    let order = IssuanceOrder::assert_admitted(OrderParts {
        scope: token.scope.clone(),
        identity,
        kind: token.kind,
        device: subject.device,
        public_key,
        csr_sha256: request.csr().digest(),
        scope_strings: subject.scope_strings,
        dns,
        ips,
        token: Some(token.token),
        replaces: facts.certificates.iter().find(|row| row.state.is_live()).map(|row| row.certificate),
        renewal: None,
        generation: newest.map_or(1, |generation| generation.saturating_add(1)),
    });
    let envelope =
        Envelope { scope: token.scope.clone(), actor: subject.actor, cause: cause.into(), at: now };
    Ok(Admitted { order, preconditions, entries: subject.entries, envelope })
}

/// The name that the token lets in, if the presented one fits it.
fn named(token: &TokenRow, facts: &EnrolmentFacts<'_>) -> Result<Name, Refusal> {
    let name = facts.username;
    let fits = match &token.subject {
        Some(TokenSubject::Named(only)) => only == name,
        Some(TokenSubject::Prefix(prefix)) => {
            name.as_str().len() > prefix.as_str().len() && name.as_str().starts_with(prefix.as_str())
        }
        None => false,
    };
    if fits { Ok(name.clone()) } else { Err(Refusal::Token) }
}

fn within_environment(token: &TokenRow, environment: &EnvironmentRow) -> Result<(), Refusal> {
    match &token.scope.environment {
        Some(good) if *good == environment.name => Ok(()),
        Some(good) => Err(Refusal::Environment { token: good.clone(), asked: environment.name.clone() }),
        None => Err(Refusal::Token),
    }
}

fn usable(token: &TokenRow, now: Timestamp) -> Result<(), Refusal> {
    if token.void {
        return Err(Refusal::TokenVoid);
    }
    if now > token.expires_at {
        return Err(Refusal::TokenExpired);
    }
    if token.uses >= token.uses_max {
        return Err(Refusal::TokenUsed);
    }
    Ok(())
}

/// Whether a device is what this very token left when its intents were burned: registered, and nothing handed
/// out. To its maker it is still new.
fn only_burned_on(token: &TokenRow, certificates: &[CertificateRow]) -> bool {
    let burned =
        |row: &CertificateRow| row.state == CertificateState::Burned && row.token == Some(token.token);
    !certificates.is_empty() && certificates.iter().all(burned)
}

fn path_kind(kind: IdentityKind) -> PathKind {
    match kind {
        IdentityKind::Operational => PathKind::Device,
        IdentityKind::Service => PathKind::Service,
        IdentityKind::Operator => PathKind::Operator,
    }
}

fn hosts(token: &TokenRow) -> (Vec<String>, Vec<IpAddr>) {
    let (mut dns, mut ips) = (Vec::new(), Vec::new());
    for host in &token.hosts {
        match host.parse() {
            Ok(ip) => ips.push(ip),
            Err(_) => dns.push(host.clone()),
        }
    }
    (dns, ips)
}

/// Who gets the certificate: a known device, a new one, or a party that is no device.
struct Subject {
    device: Option<DeviceId>,
    holder: Holder,
    actor: Actor,
    entries: Vec<Draft>,
    preconditions: Vec<Precondition>,
    scope_strings: Vec<String>,
}

fn subject(
    token: &TokenRow,
    facts: &EnrolmentFacts<'_>,
    name: &Name,
    cause: &str,
    now: Timestamp,
    random: [u8; 26],
) -> Subject {
    // A certificate that came between reading and committing would have the same generation.
    let count = facts.certificates.len() as u64;
    if token.kind != IdentityKind::Operational {
        return Subject {
            device: None,
            holder: Holder::Party { kind: token.kind, name: name.clone() },
            actor: Actor::automation(name.clone()),
            entries: Vec::new(),
            preconditions: vec![Precondition::PartyCertificates {
                kind: token.kind,
                name: name.clone(),
                count,
            }],
            scope_strings: Vec::new(),
        };
    }
    if let Some(device) = facts.device {
        return Subject {
            device: Some(device.device),
            holder: Holder::Device(device.device),
            actor: device_actor(device.device, name),
            entries: Vec::new(),
            preconditions: vec![
                Precondition::DeviceStanding { device: device.device, standing: Standing::Active },
                Precondition::DeviceCertificates { device: device.device, count },
            ],
            scope_strings: scope_strings(device.model.as_ref()),
        };
    }
    let (mut id, mut salt) = ([0; 10], [0; 16]);
    id.copy_from_slice(&random[..10]);
    salt.copy_from_slice(&random[10..]);
    let device = DeviceId::draw(now, id);
    let actor = device_actor(device, name);
    let registered = Draft {
        envelope: Envelope { scope: token.scope.clone(), actor: actor.clone(), cause: cause.into(), at: now },
        event: Event::DeviceRegistered(DeviceRegistered { device }),
        private: Some((
            Salt(salt),
            Private::Device(DevicePrivate {
                name: name.clone(),
                model: token.model.clone(),
                owner: token.created_by.clone(),
            }),
        )),
    };
    Subject {
        device: Some(device),
        holder: Holder::Device(device),
        actor,
        entries: vec![registered],
        preconditions: vec![Precondition::DeviceNameFree {
            environment: facts.environment.name.clone(),
            name: name.clone(),
        }],
        scope_strings: scope_strings(token.model.as_ref()),
    }
}

/// What the certificate carries for the gateway's policy. Every device keeps its key in software until
/// evidence says otherwise.
pub(crate) fn scope_strings(model: Option<&Name>) -> Vec<String> {
    let mut strings = vec!["custody:software".to_owned()];
    strings.extend(model.map(|model| format!("model:{model}")));
    strings
}
