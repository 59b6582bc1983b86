//! Admission: may this device have a certificate, and on whose word?
//!
//! In: an [`EnrolmentRequest`] whose proof of possession is checked, and the rows it concerns.
//! Out: an order for the CA with what must hold and be recorded beside it, or a [`Refusal`].

use crate::holder::device_actor;
use crate::refusal::Refusal;
use std::net::IpAddr;
use touchmark_ca::{IssuanceOrder, OrderParts};
use touchmark_enrol::EnrolmentRequest;
use touchmark_identity::{Actor, CertificateId, DeviceId, Name, NamePrefix, SpiffeId, Timestamp};
use touchmark_inventory::{
    CertificateRow, DeviceRow, EnvironmentRow, Holder, IssueRow, PartyRow, Precondition, TokenRow,
};
use touchmark_journal::{
    DevicePrivate, DeviceRegistered, Draft, Envelope, Event, IdentityKind, PartyRegistered, Private, Salt,
    Standing, TokenSubject,
};
use touchmark_x509::csr::{CsrFault, Form, Granted};

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
    /// The operator or service of that name and of the token's kind.
    pub party: Option<&'a PartyRow>,
    /// Whether all that the device was ever given are intents of this very token that were burned.
    pub only_burned: bool,
    /// The certificates that the identity works with now, newest first.
    pub current: &'a [CertificateRow],
    /// What the identity was given last, the newest first.
    pub issues: &'a [IssueRow],
    /// What the profile and the authority put into every certificate.
    pub form: &'a Form,
}

/// Admitted: the order, and what the commit must check and record with its intent.
#[derive(Debug)]
pub struct Admitted {
    /// For the CA.
    pub order: IssuanceOrder,
    /// Checked again inside the transaction that records the intent.
    pub preconditions: Vec<Precondition>,
    /// Checked once more when the result is recorded: what came between must stop it.
    pub still: Vec<Precondition>,
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
    if is_for_prefix(token) && token.kind == IdentityKind::Service && name.as_str() == SpiffeId::AUTHORITY {
        return Err(Refusal::Token);
    }
    within_environment(token, facts.environment)?;
    usable(token, now)?;
    if let Some(device) = facts.device.filter(|_| token.kind == IdentityKind::Operational) {
        if device.standing != Standing::Active {
            return Err(Refusal::Standing { device: device.device, standing: device.standing });
        }
        if is_for_prefix(token) {
            // Registered, and nothing handed out: to its maker it is still new.
            if !facts.only_burned {
                return Err(Refusal::DeviceExists { name });
            }
            if device.revoked_at.is_some_and(|at| token.created_at <= at) {
                return Err(Refusal::TokenVoid);
            }
        }
    }
    let identity = SpiffeId {
        trust_domain: facts.environment.trust_domain.clone(),
        kind: token.kind.path(),
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
    let order = IssuanceOrder::admitted_unchecked(OrderParts {
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
        replaces: replaced(facts.current),
        renewal: None,
        generation: newest_generation(facts.issues).saturating_add(1),
    });
    let envelope =
        Envelope { scope: token.scope.clone(), actor: subject.actor, cause: cause.into(), at: now };
    Ok(Admitted { order, preconditions, still: subject.still, entries: subject.entries, envelope })
}

/// Who asks: the user name is the device's, or the prefix of a token for many, and then the request names the device.
///
/// # Errors
/// [`Refusal::Request`] when it names none that the prefix begins, [`Refusal::Token`] when the user name is none.
pub fn name_asked(
    token: &TokenRow,
    username: &NamePrefix,
    request: &EnrolmentRequest,
) -> Result<Name, Refusal> {
    let Some(TokenSubject::Prefix(prefix)) = token
        .subject
        .as_ref()
        .filter(|subject| matches!(subject, TokenSubject::Prefix(prefix) if prefix == username))
    else {
        return username.as_str().parse().map_err(|_| Refusal::Token);
    };
    let found = match request.csr().requested().device_name() {
        Ok(name) if prefix.begins(&name) => return Ok(name),
        Ok(name) => format!("the name \"{name}\""),
        Err(found) => found,
    };
    let taken = format!(
        "one common name, or without it one URI in the subjectAltName, whose name goes on after \"{prefix}\" and is made of \
         a-z, 0-9, `.`, `_` and `-`; or that name as user name"
    );
    Err(Refusal::Request(CsrFault::Name { found, taken }))
}

/// The name that the token lets in, if the presented one fits it.
fn named(token: &TokenRow, facts: &EnrolmentFacts<'_>) -> Result<Name, Refusal> {
    let name = facts.username;
    let fits = match &token.subject {
        Some(TokenSubject::Named(only)) => only == name,
        Some(TokenSubject::Prefix(prefix)) => prefix.begins(name),
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

fn is_for_prefix(token: &TokenRow) -> bool {
    matches!(token.subject, Some(TokenSubject::Prefix(_)))
}

/// The generation of the last certificate that was intended; 0 before the first.
pub(crate) fn newest_generation(issues: &[IssueRow]) -> u64 {
    issues.first().map_or(0, |issue| issue.generation)
}

/// The certificate that a new one is to take the place of.
pub(crate) fn replaced(current: &[CertificateRow]) -> Option<CertificateId> {
    current.iter().find(|row| row.state.is_live()).map(|row| row.certificate)
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
    still: Vec<Precondition>,
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
    let unchanged =
        |holder| Precondition::NewestGeneration { holder, generation: newest_generation(facts.issues) };
    if token.kind != IdentityKind::Operational {
        return party(token, facts, name, cause, now, unchanged);
    }
    if let Some(device) = facts.device {
        let still = vec![Precondition::DeviceStanding { device: device.device, standing: Standing::Active }];
        let mut preconditions = still.clone();
        preconditions.push(unchanged(Holder::Device(device.device)));
        // A revocation voids the tokens that name the device, and no other.
        let prefix = is_for_prefix(token);
        preconditions.extend(
            prefix.then_some(Precondition::DeviceRevokedAt { device: device.device, at: device.revoked_at }),
        );
        return Subject {
            device: Some(device.device),
            holder: Holder::Device(device.device),
            actor: device_actor(device.device, name),
            entries: Vec::new(),
            preconditions,
            still,
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
        still: vec![Precondition::DeviceStanding { device, standing: Standing::Active }],
        scope_strings: scope_strings(token.model.as_ref()),
    }
}

/// An operator or service, which gets the token's roles with the certificate and not before.
fn party(
    token: &TokenRow,
    facts: &EnrolmentFacts<'_>,
    name: &Name,
    cause: &str,
    now: Timestamp,
    unchanged: impl Fn(Holder) -> Precondition,
) -> Subject {
    let (kind, holder) = (token.kind, Holder::Party { kind: token.kind, name: name.clone() });
    let actor = Actor::automation(name.clone());
    let mut preconditions = vec![unchanged(holder.clone())];
    let same = |party: &PartyRow, roles: &[String]| party.roles == roles && party.reach == token.reach;
    let roles = token.roles.as_ref().filter(|roles| facts.party.is_none_or(|party| !same(party, roles)));
    let registered = roles.map(|roles| Draft {
        envelope: Envelope { scope: token.scope.clone(), actor: actor.clone(), cause: cause.into(), at: now },
        event: Event::PartyRegistered(PartyRegistered {
            kind,
            name: name.clone(),
            roles: roles.clone(),
            owner: Some(token.created_by.clone()),
            reach: (kind == IdentityKind::Operator).then_some(token.reach),
        }),
        private: None,
    });
    if registered.is_some() {
        let environment = facts.environment.name.clone();
        preconditions.push(Precondition::PartyHome { kind, name: name.clone(), environment });
    }
    Subject {
        device: None,
        holder,
        actor,
        entries: registered.into_iter().collect(),
        preconditions,
        still: Vec::new(),
        scope_strings: Vec::new(),
    }
}

/// What the certificate carries for the gateway's policy. Every device keeps its key in software until
/// evidence says otherwise.
pub(crate) fn scope_strings(model: Option<&Name>) -> Vec<String> {
    let mut strings = vec!["custody:software".to_owned()];
    strings.extend(model.map(|model| format!("model:{model}")));
    strings
}
