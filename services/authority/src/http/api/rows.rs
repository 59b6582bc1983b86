//! Rows for handlers, which have no other way to them: each is found together with the mandate for what is asked, or
//! read for a mandate. That something is not there is told only to whoever might have done it.

use super::super::Shell;
use super::super::problem::Refuse;
use super::caller::Called;
use crate::http::views;
use crate::operators::reading::{Certificates, Devices, Lookup, Policies, Read};
use axum::http::StatusCode;
use std::cmp::Reverse;
use std::sync::Arc;
use touchmark_api::{Candidate, or_no_data};
use touchmark_identity::{CertificateId, EnvironmentName, Fingerprint, Name, Permission, TokenId};
use touchmark_inventory::{
    CertificateRow, DeviceFilter, DeviceRow, PartyRow, PolicyRow, RenewalRow, Store, StoreFault, TokenRow,
};
use touchmark_journal::{IdentityKind, Reach, Standing};
use touchmark_ra::{Act, Mandate};

/// The store, closed but for what stands here.
pub(crate) struct Rows(Arc<dyn Store>);

impl Rows {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// Devices that are to be read, by name, and at least one more than `limit` if there are more.
    pub(super) fn devices(
        &self,
        read: &[Mandate<Read<Devices>>],
        after: Option<&Name>,
        standing: Option<Standing>,
        limit: usize,
    ) -> Result<Vec<DeviceRow>, StoreFault> {
        let mut page = Vec::new();
        for read in read {
            let environment = read.act().environment().cloned();
            let filter = DeviceFilter { environment, after: after.cloned(), standing, limit: limit + 1 };
            page.extend(self.0.devices(&filter)?);
        }
        page.sort_by(|a, b| (&a.name, a.device).cmp(&(&b.name, b.device)));
        Ok(page)
    }

    pub(super) fn renewals(
        &self,
        read: &Mandate<Read<Devices, DeviceRow>>,
    ) -> Result<Option<RenewalRow>, StoreFault> {
        self.0.renewals_of(read.act().of.device)
    }

    pub(super) fn certificates(
        &self,
        read: &Mandate<Read<Certificates, DeviceRow>>,
    ) -> Result<Vec<CertificateRow>, StoreFault> {
        self.0.certificates_of_device(read.act().of.device)
    }

    /// Tokens that are to be read, newest first, and at least one more than `limit` if there are more.
    pub(super) fn tokens(
        &self,
        read: &[Mandate<Read<Devices>>],
        before: Option<TokenId>,
        limit: usize,
    ) -> Result<Vec<TokenRow>, StoreFault> {
        let mut page = Vec::new();
        for environment in read.iter().filter_map(|read| read.act().environment()) {
            page.extend(self.0.tokens(environment, before, limit + 1)?);
        }
        page.sort_by_key(|row| Reverse(row.token));
        Ok(page)
    }

    pub(super) fn policy(&self, read: &Mandate<Read<Policies>>) -> Result<Option<PolicyRow>, StoreFault> {
        read.act().environment().map_or(Ok(None), |environment| self.0.policy(environment))
    }

    pub(super) fn journal_len(&self) -> Result<u64, StoreFault> {
        self.0.journal_len()
    }
}

impl Called {
    /// That there is no such thing, for whoever may do there what was asked. Where no environment was named it takes the
    /// reach of the organisation: to an operator of one environment, what is not there and what is another's are alike.
    pub(super) fn absent(
        &self,
        shell: &Shell,
        (permission, cause): (Permission, &'static str),
        environment: Option<EnvironmentName>,
        absent: Refuse,
    ) -> Refuse {
        let reach = if environment.is_some() { Reach::Environment } else { Reach::Organisation };
        let environment = Some(environment.unwrap_or_else(|| self.0.environment.clone()));
        match self.permit(shell, Lookup { permission, environment, reach, cause }) {
            Ok(_) => absent,
            Err(refuse) => refuse,
        }
    }

    /// The one device of this name, to do `act` to it: which takes `what`, if there is none.
    pub(super) fn device<A: Act>(
        &self,
        shell: &Shell,
        name: &str,
        environment: Option<EnvironmentName>,
        what: (Permission, &'static str),
        act: impl Fn(DeviceRow) -> A,
    ) -> Result<Mandate<A>, Refuse> {
        let unknown = || {
            Refuse::new(StatusCode::NOT_FOUND, "device-unknown", format!("no device `{name}`"))
                .fix("touchmark device list")
        };
        let parsed: Option<Name> = name.parse().ok();
        let rows = match (&environment, &parsed) {
            (Some(environment), Some(name)) => {
                shell.rows.0.device_by_name(environment, name)?.into_iter().collect()
            }
            (None, Some(name)) => shell.rows.0.devices_named(name)?,
            (_, None) => Vec::new(),
        };
        if rows.is_empty() {
            let absent = match &environment {
                Some(name) => match shell.hierarchy.trust_of(name) {
                    Some(_) => unknown(),
                    None => self.environment_unknown(shell, name.as_str()),
                },
                None => unknown(),
            };
            return Err(self.absent(shell, what, environment, absent));
        }
        let (mut open, mut closed) = (Vec::new(), None);
        for row in rows {
            match shell.operators.try_permit(&self.0, act(row.clone())) {
                Ok(mandate) => open.push((row, mandate)),
                Err((_, act)) => closed = Some(act),
            }
        }
        if open.len() > 1 {
            let mut refuse = Refuse::new(
                StatusCode::CONFLICT,
                "ambiguous",
                format!("several environments have a `{name}`"),
            )
            .fix("say which with --env");
            let candidate = |(row, _): &(DeviceRow, _)| Candidate {
                kind: views::subject_kind(IdentityKind::Operational),
                id: row.device.to_string(),
                name: format!("{name} in {}", or_no_data(row.scope.environment.as_ref())),
            };
            refuse.0.candidates = open.iter().map(candidate).collect();
            return Err(refuse);
        }
        match (open.pop(), closed) {
            (Some((_, mandate)), _) => Ok(mandate),
            (None, Some(act)) => self.permit(shell, act),
            (None, None) => Err(unknown()),
        }
    }

    /// The certificate of this identifier, to do `act` to it: which takes `what`, if there is none.
    pub(super) fn certificate<A: Act>(
        &self,
        shell: &Shell,
        id: &str,
        what: (Permission, &'static str),
        act: impl FnOnce(CertificateRow) -> Result<A, StoreFault>,
    ) -> Result<Mandate<A>, Refuse> {
        let row = match (id.parse::<CertificateId>(), id.parse::<Fingerprint>()) {
            (Ok(id), _) => shell.rows.0.certificate(id)?,
            (_, Ok(fingerprint)) => shell.rows.0.certificate_by_fingerprint(&fingerprint)?,
            (Err(_), Err(_)) => None,
        };
        match row {
            Some(row) => self.permit(shell, act(row)?),
            None => Err(self.absent(
                shell,
                what,
                None,
                Refuse::new(StatusCode::NOT_FOUND, "certificate-unknown", format!("no certificate `{id}`"))
                    .fix("touchmark explain also takes serial numbers and names"),
            )),
        }
    }

    /// The operator or service of this name, to do `act` to it: which takes `what`, if there is none.
    pub(super) fn party<A: Act>(
        &self,
        shell: &Shell,
        kind: IdentityKind,
        name: &str,
        what: (Permission, &'static str),
        act: impl FnOnce(PartyRow) -> A,
    ) -> Result<Mandate<A>, Refuse> {
        let known = match name.parse::<Name>() {
            Ok(name) => shell.tokens.party(kind, &name)?,
            Err(_) => None,
        };
        match known {
            Some(row) => self.permit(shell, act(row)),
            None => Err(self.absent(
                shell,
                what,
                None,
                Refuse::new(StatusCode::NOT_FOUND, "party-unknown", format!("no {} `{name}`", kind.as_str()))
                    .fix("the name is that of its token: touchmark token list"),
            )),
        }
    }

    /// The token of this identifier, to do `act` to it: which takes `what`, if there is none.
    pub(super) fn token<A: Act>(
        &self,
        shell: &Shell,
        id: &str,
        what: (Permission, &'static str),
        act: impl FnOnce(TokenRow) -> A,
    ) -> Result<Mandate<A>, Refuse> {
        let known = match id.parse::<TokenId>() {
            Ok(id) => shell.rows.0.token(id)?,
            Err(_) => None,
        };
        match known {
            Some(row) => self.permit(shell, act(row)),
            None => Err(self.absent(
                shell,
                what,
                None,
                Refuse::new(StatusCode::NOT_FOUND, "token-unknown", format!("no token `{id}`"))
                    .fix("touchmark token list"),
            )),
        }
    }
}
