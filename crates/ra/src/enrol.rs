//! The one way to a certificate: a request, and evidence that it may be granted.
//!
//! Token, maker's certificate and live certificate are kinds of evidence. Each is read in one fact read, decided by its
//! rules, and ends in the same issuing. The same request on the same word gets the same certificate again while nobody
//! proved it, so a lost answer locks nobody out.

mod issuing;

use crate::admission::{Admitted, EnrolmentFacts, admit, name_asked};
use crate::confirmation::{TRIES, confirm_facts};
use crate::fault::{EnrolmentFault, Notice};
use crate::initial::{InitialFacts, InitialRefusal, admit_initial};
use crate::recovery::burn;
use crate::refusal::Refusal;
use crate::renewal::{Presented, RenewalTerms, admit_renewal};
use crate::step::{Moment, Step, Turn, sha256};
use crate::suspicion::{Look, Use, is_suspicious, look};
use crate::trust::{Trust, Trusts};
use std::sync::Arc;
use touchmark_enrol::{EnrolmentRequest, PresentedCredential};
use touchmark_identity::{EnvironmentName, Fingerprint, Name, NamePrefix, Timestamp};
use touchmark_inventory::{
    CertificateRow, CertificateState, Command, Conflict, Facts, Found, HardwareRow, HolderFacts, MakerRow,
    Precondition, Query, StoreFault,
};
use touchmark_journal::{BurnCause, IdentityKind, RenewalManner};
use touchmark_x509::Certificate;
use touchmark_x509::csr::Granted;
use touchmark_x509::hardware::HardwareId;
use touchmark_x509::path::VerifiedPath;

/// On whose word a certificate is asked for.
#[derive(Debug)]
pub enum Evidence {
    /// A token's password; the user name is a device's name or the token's prefix.
    Token { username: NamePrefix, secret_sha256: [u8; 32] },
    /// A maker's initial certificate, which is none of ours, and whose key the connection proved.
    Initial(Box<Initial>),
    /// A certificate of ours, whose key the connection proved.
    Certificate { fingerprint: Fingerprint, manner: RenewalManner },
}

/// An initial certificate that leads to a maker in force, and the hardware that it names.
#[derive(Debug)]
pub struct Initial {
    pub path: VerifiedPath,
    pub maker: MakerRow,
    pub hardware_id: HardwareId,
}

impl Evidence {
    /// The token that a request brings.
    ///
    /// # Errors
    /// [`EnrolmentFault::NoCredential`].
    pub fn token(request: &EnrolmentRequest) -> Result<Self, EnrolmentFault> {
        match request.credential() {
            PresentedCredential::Token { username, password } => Ok(Self::Token {
                username: username.clone(),
                secret_sha256: sha256(password.expose().as_bytes()),
            }),
            PresentedCredential::ClientCertificate(_) | PresentedCredential::None => {
                Err(EnrolmentFault::NoCredential)
            }
        }
    }
}

/// What the requester is given.
#[derive(Debug)]
pub struct Enrolled {
    pub certificate: Certificate,
    /// Issuing certificate and root.
    pub chain: [Certificate; 2],
    /// Where it is good.
    pub environment: EnvironmentName,
    pub kind: IdentityKind,
    /// Whether it was made just now, rather than given once more.
    pub fresh: bool,
}

/// A step towards a certificate.
pub type Enrolling = Step<Enrolled, EnrolmentFault>;

/// A request on its way.
struct Asked {
    request: EnrolmentRequest,
    evidence: Evidence,
    cause: &'static str,
    trusts: Arc<Trusts>,
    /// The name that a token is to let in, once it is known.
    name: Option<Name>,
    in_turn: bool,
    tries: u8,
}

/// What is to be done about a request.
enum Decided {
    /// It was answered before, and gets the same answer.
    Again(Enrolled),
    /// This comes first; then it is decided anew.
    First(Command),
    Issue(Box<Admitted>),
}

/// Asks for a certificate.
///
/// # Errors
/// [`EnrolmentFault`]; a token is spent only by a certificate that is durable, and an old certificate serves on.
pub fn enrol(
    request: EnrolmentRequest,
    evidence: Evidence,
    cause: &'static str,
    trusts: Arc<Trusts>,
) -> Result<Enrolling, EnrolmentFault> {
    let asked = Asked { request, evidence, cause, trusts, name: None, in_turn: false, tries: TRIES };
    let Evidence::Token { secret_sha256, .. } = asked.evidence else { return asked.read() };
    asked.asked_for()?;
    let query = Query::Token { secret_sha256, for_whom: None };
    Ok(Step::Read(query, Box::new(move |facts, _| asked.turn_by_token(facts))))
}

impl Asked {
    /// The environment that the request is for.
    fn asked_for(&self) -> Result<Arc<Trust>, EnrolmentFault> {
        let trust = match self.request.label() {
            Some(label) => self.trusts.of(label),
            None => self.trusts.default_one(),
        };
        trust.cloned().ok_or(EnrolmentFault::UnknownEnvironment)
    }

    fn turn_by_token(mut self, facts: Option<Facts>) -> Result<Enrolling, EnrolmentFault> {
        let Evidence::Token { username, .. } = &self.evidence else {
            return Err(EnrolmentFault::NoCredential);
        };
        let token = facts.as_ref().and_then(Facts::token).ok_or(Refusal::Token)?;
        let name = name_asked(token, username, &self.request)?;
        let identity = (self.asked_for()?.environment.name.clone(), token.kind, name.clone());
        let changes_roles = token.kind == IdentityKind::Operator && token.roles.is_some();
        (self.name, self.in_turn) = (Some(name), true);
        Ok(Step::Turn(Turn { identity, changes_roles }, Box::new(move |_, _| self.read())))
    }

    /// The one fact read of a decision.
    fn query(&self) -> Result<Query, EnrolmentFault> {
        let key = self.request.csr().public_key().spki_hash();
        let environment = || Ok::<_, EnrolmentFault>(self.asked_for()?.environment.name.clone());
        Ok(match &self.evidence {
            Evidence::Token { secret_sha256, .. } => {
                let name = self.name.clone().ok_or(Refusal::Token)?;
                let for_whom = Some((environment()?, name, key));
                Query::Token { secret_sha256: *secret_sha256, for_whom }
            }
            Evidence::Initial(initial) => Query::Hardware {
                environment: environment()?,
                maker: initial.maker.maker,
                hardware_id: initial.hardware_id.as_str().to_owned(),
                key,
            },
            Evidence::Certificate { fingerprint, .. } => {
                Query::Certificate { fingerprint: *fingerprint, alone: false, key: Some(key) }
            }
        })
    }

    fn read(self) -> Result<Enrolling, EnrolmentFault> {
        let query = self.query()?;
        let then = move |facts: Option<Facts>, moment| match facts {
            Some(facts) => self.in_turn(facts, moment),
            None => Err(self.unknown().into()),
        };
        Ok(Step::Read(query, Box::new(then)))
    }

    /// There is no row of what was presented, or it is nobody's.
    fn unknown(&self) -> Refusal {
        match self.evidence {
            Evidence::Token { .. } => Refusal::Token,
            Evidence::Initial(_) => InitialRefusal::HardwareUnknown.into(),
            Evidence::Certificate { .. } => Refusal::CertificateUnknown,
        }
    }

    /// Goes on when nobody else works on the identity; what was read before somebody did is read anew.
    fn in_turn(mut self, facts: Facts, moment: Moment) -> Result<Enrolling, EnrolmentFault> {
        if self.in_turn {
            return self.decide(facts, moment);
        }
        self.in_turn = true;
        let (kind, name) = match facts.certificate() {
            Some(row) => (row.kind, row.identity.as_ref().map(|identity| &identity.name)),
            None => {
                let device = facts.of.device.as_ref();
                (IdentityKind::Operational, device.and_then(|device| device.name.as_ref()))
            }
        };
        let name = name.cloned().ok_or_else(|| self.unknown())?;
        let identity = (self.trust(&facts)?.environment.name.clone(), kind, name);
        let then = move |waited, moment| if waited { self.read() } else { self.decide(facts, moment) };
        Ok(Step::Turn(Turn { identity, changes_roles: false }, Box::new(then)))
    }

    /// The environment whose certificate it is to be.
    fn trust(&self, facts: &Facts) -> Result<Arc<Trust>, EnrolmentFault> {
        let Some(row) = facts.certificate() else { return self.asked_for() };
        let environment = row.scope.environment.as_ref().ok_or(Refusal::CertificateUnknown)?;
        self.trusts.of(environment).cloned().ok_or(EnrolmentFault::UnknownEnvironment)
    }

    fn decide(self, facts: Facts, moment: Moment) -> Result<Enrolling, EnrolmentFault> {
        match self.decided(&facts, &moment) {
            Ok(Decided::Again(enrolled)) => Ok(Step::Done(enrolled)),
            Ok(Decided::First(command)) => {
                let committed = move |outcome, _| match outcome {
                    Ok(_) => self.read(),
                    Err(StoreFault::Conflict(conflict)) => self.overtaken(conflict),
                    Err(fault) => Err(fault.into()),
                };
                Ok(Step::Commit(command, Box::new(committed)))
            }
            Ok(Decided::Issue(admitted)) => {
                if let Found::Token { token, party: Some(party), .. } = &facts.found
                    && token.kind == IdentityKind::Operator
                    && let Some(roles) = token.roles.clone()
                {
                    let (party, reach) = (Box::new(party.clone()), token.reach);
                    let judged = move |closes, _| match closes {
                        true => Err(Refusal::LastWayIn.into()),
                        false => self.issue(*admitted, facts),
                    };
                    return Ok(Step::WayIn(party, roles, reach, Box::new(judged)));
                }
                self.issue(*admitted, facts)
            }
            Err(EnrolmentFault::Refused(refusal)) => self.refused(refusal),
            Err(fault) => Err(fault),
        }
    }

    /// A renewal that may be a thief's is looked at before it is refused.
    fn refused(self, refusal: Refusal) -> Result<Enrolling, EnrolmentFault> {
        let Evidence::Certificate { fingerprint: used, .. } = self.evidence else {
            return Err(refusal.into());
        };
        if !is_suspicious(&refusal) {
            return Err(refusal.into());
        }
        let seen_by = "est".parse().expect("the word is a name");
        let (cause, trusts) = (self.cause, self.trusts);
        let looked = |outcome| match outcome {
            Ok(()) => Err(refusal.into()),
            Err(fault) => {
                Ok(Step::Tell(Notice::CloneUnrecorded(fault), Box::new(move || Err(refusal.into()))))
            }
        };
        Ok(look(Look { used, what: Use::Renewal, seen_by, cause, trusts }, TRIES, Box::new(looked)))
    }

    fn decided(&self, facts: &Facts, moment: &Moment) -> Result<Decided, EnrolmentFault> {
        let trust = &*self.trust(facts)?;
        match &facts.found {
            Found::Token { .. } => self.by_token(facts, trust, moment),
            Found::Hardware(hardware) => self.by_initial(hardware, &facts.of, trust, moment.now),
            Found::Certificate(row) => self.by_certificate(row, facts, trust, moment.now),
        }
    }

    fn by_token(&self, facts: &Facts, trust: &Trust, moment: &Moment) -> Result<Decided, EnrolmentFault> {
        let (Found::Token { token, party, only_burned }, Some(name)) = (&facts.found, &self.name) else {
            return Err(Refusal::Token.into());
        };
        let of = &facts.of;
        let on_it = |row: &CertificateRow| row.token == Some(token.token);
        if let Some(before) = self.answered_before(&of.current, on_it, trust, moment.now)? {
            return Ok(before);
        }
        let facts = EnrolmentFacts {
            environment: &trust.environment,
            token: Some(token),
            username: name,
            device: of.device.as_ref(),
            party: party.as_ref(),
            // Registered hardware makes a device without a certificate, which no token for new ones may take.
            only_burned: *only_burned,
            current: &of.current,
            issues: &of.issues,
            form: trust.form(token.kind).ok_or(EnrolmentFault::NoProfile)?,
        };
        let admitted = admit(&self.request, &facts, self.cause, moment.now, moment.device)?;
        Ok(Decided::Issue(Box::new(admitted)))
    }

    fn by_initial(
        &self,
        hardware: &HardwareRow,
        of: &HolderFacts,
        trust: &Trust,
        now: Timestamp,
    ) -> Result<Decided, EnrolmentFault> {
        let Evidence::Initial(initial) = &self.evidence else { return Err(EnrolmentFault::NoCredential) };
        let kind = IdentityKind::Operational;
        let profile = trust.profiles.get(&kind).ok_or(EnrolmentFault::NoProfile)?;
        let facts = InitialFacts {
            environment: &trust.environment,
            path: &initial.path,
            maker: &initial.maker,
            hardware: Some(hardware),
            device: of.device.as_ref(),
            current: &of.current,
            issues: &of.issues,
            lifetime: profile.profile.lifetime,
            form: trust.form(kind).ok_or(EnrolmentFault::NoProfile)?,
        };
        let admitted = admit_initial(&self.request, &facts, self.cause, now);
        // Before an earlier answer is repeated: a device that was quarantined meanwhile gets none. One that is given no
        // other certificate yet may have its last once more.
        if matches!(admitted, Ok(_) | Err(Refusal::TooSoon { .. }))
            && let Some(before) = self.answered_before(&of.current, |row| row.token.is_none(), trust, now)?
        {
            return Ok(before);
        }
        Ok(Decided::Issue(Box::new(admitted?)))
    }

    fn by_certificate(
        &self,
        row: &CertificateRow,
        facts: &Facts,
        trust: &Trust,
        now: Timestamp,
    ) -> Result<Decided, EnrolmentFault> {
        let Evidence::Certificate { manner, .. } = self.evidence else {
            return Err(EnrolmentFault::NoCredential);
        };
        let of = &facts.of;
        let presented = Presented::of(facts, &self.trusts)?;
        presented.may_renew(self.request.label(), now)?;
        // Its key was proven to get here, perhaps past its end. Else its successor would replace it before it ever
        // counted.
        if let Some(command) = confirm_facts(facts, self.cause, &self.trusts, now) {
            return Ok(Decided::First(command));
        }
        let on_its_word =
            |other: &CertificateRow| other.token.is_none() && other.replaces == Some(row.certificate);
        if let Some(before) = self.answered_before(&of.current, on_its_word, trust, now)? {
            return Ok(before);
        }
        let der = row.der.as_deref().ok_or(Refusal::CertificateUnknown)?;
        let terms = RenewalTerms {
            old: &Certificate::from_der(der)?,
            key_proven: of.key_proven,
            form: trust.form(row.kind).ok_or(EnrolmentFault::NoProfile)?,
            manner,
        };
        let admitted = admit_renewal(&self.request, &presented, &terms, self.cause, now)?;
        Ok(Decided::Issue(Box::new(admitted)))
    }

    /// What an earlier request for the same key was given on the same word, and has not been proven yet. A request that
    /// is signed anew is the same request: only its key is taken. An intent that nobody works on is burned first, which
    /// gives a token's use back.
    fn answered_before(
        &self,
        current: &[CertificateRow],
        on_the_same_word: impl Fn(&CertificateRow) -> bool,
        trust: &Trust,
        now: Timestamp,
    ) -> Result<Option<Decided>, EnrolmentFault> {
        let key = self.request.csr().public_key().spki_hash();
        let same = |row: &&CertificateRow| {
            row.spki == Some(key)
                && row.scope.environment.as_ref() == Some(&trust.environment.name)
                && on_the_same_word(row)
                && may_come_again(row, now)
        };
        let Some(row) = current.iter().find(same) else { return Ok(None) };
        let Some(der) = &row.der else {
            let open = row.state == CertificateState::Intended;
            return Ok(open.then(|| Decided::First(burn(row, BurnCause::Crash, now))));
        };
        let certificate = Certificate::from_der(der)?;
        if let Some(identity) = &row.identity {
            let granted = Granted {
                common_name: identity.name.as_str(),
                uri: &identity.to_string(),
                dns: certificate.dns_sans(),
                ips: certificate.ip_sans(),
                scope: certificate.scope(),
                form: trust.form(row.kind).ok_or(EnrolmentFault::NoProfile)?,
            };
            self.request.csr().within(&granted).map_err(Refusal::from)?;
        }
        Ok(Some(Decided::Again(enrolled(certificate, trust, row.kind, false))))
    }

    /// A commit found that something moved since it was decided on: what it is for good is seen by reading once more.
    fn overtaken(mut self, conflict: Conflict) -> Result<Enrolling, EnrolmentFault> {
        // A key of somebody else stays that.
        let for_good = matches!(conflict.failed, Precondition::KeyUsable { .. });
        if !for_good && self.tries > 1 {
            self.tries -= 1;
            return self.read();
        }
        Err(match conflict.failed {
            Precondition::TokenUsable { .. } => Refusal::TokenUsed.into(),
            Precondition::KeyUsable { .. } => Refusal::Key.into(),
            Precondition::DeviceNameFree { name, .. } => Refusal::DeviceExists { name }.into(),
            Precondition::HardwareUsable { .. } => Refusal::from(InitialRefusal::HardwareVoid).into(),
            failed => StoreFault::from(Conflict { failed }).into(),
        })
    }
}

/// Whether what an earlier, lost answer held is still of use: one that is over, asked for again in the old one's grace,
/// would be handed out for ever and never serve.
fn may_come_again(before: &CertificateRow, now: Timestamp) -> bool {
    match before.state {
        CertificateState::Intended => true,
        CertificateState::Issued => now <= before.validity.not_after(),
        CertificateState::Confirmed
        | CertificateState::Superseded
        | CertificateState::Revoked
        | CertificateState::Burned => false,
    }
}

fn enrolled(certificate: Certificate, trust: &Trust, kind: IdentityKind, fresh: bool) -> Enrolled {
    let environment = trust.environment.name.clone();
    Enrolled { certificate, chain: trust.above(), environment, kind, fresh }
}
