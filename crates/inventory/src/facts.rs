//! Fact reads: what one decision about a certificate needs, all of one moment.

use crate::rows::{CertificateRow, CertificateState, DeviceRow, HardwareRow, IssueRow, PartyRow, TokenRow};
use crate::store::Holder;
use crate::tables::{Tables, is_of};
use touchmark_identity::{EnvironmentName, Fingerprint, MakerId, Name, SpkiHash, TokenId};
use touchmark_journal::IdentityKind;

/// How many of a holder's last certificates are read: as many as the rate of issuing looks at.
pub const ISSUES_READ: usize = 8;

/// What a holder has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HolderFacts {
    /// Its row, if it is a device.
    pub device: Option<DeviceRow>,
    /// Its certificates that are intended, issued or confirmed, newest first: few, whatever its age.
    pub current: Vec<CertificateRow>,
    /// What it was given last, intents included, the highest generation first, at most [`ISSUES_READ`]; empty where no
    /// key was asked about.
    pub issues: Vec<IssueRow>,
    /// Whether it proved the key that was asked about, in one of its certificates.
    pub key_proven: bool,
}

/// What a decision asks the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// A certificate by its hash: its row alone, or what its holder has, too.
    Certificate { fingerprint: Fingerprint, alone: bool, key: Option<SpkiHash> },
    /// A token by its password's hash: its row alone, or what the one has, too, whom it is to let in there with a key.
    Token { secret_sha256: [u8; 32], for_whom: Option<(EnvironmentName, Name, SpkiHash)> },
    /// A piece of hardware that is expected, and what the device has that it is to become, with a key.
    Hardware { environment: EnvironmentName, maker: MakerId, hardware_id: String, key: SpkiHash },
}

/// The row that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Certificate(Box<CertificateRow>),
    Token {
        token: Box<TokenRow>,
        /// The operator or service of that name and of the token's kind.
        party: Option<PartyRow>,
        /// Whether all that the device was ever given are intents of this very token that were burned.
        only_burned: bool,
    },
    Hardware(HardwareRow),
}

/// It, and what its holder has; nothing of somebody new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub found: Found,
    pub of: HolderFacts,
}

impl Facts {
    /// The certificate, where one was asked for.
    pub fn certificate(&self) -> Option<&CertificateRow> {
        match &self.found {
            Found::Certificate(row) => Some(row),
            Found::Token { .. } | Found::Hardware(_) => None,
        }
    }

    /// The token, where one was asked for.
    pub fn token(&self) -> Option<&TokenRow> {
        match &self.found {
            Found::Token { token, .. } => Some(token),
            Found::Certificate(_) | Found::Hardware(_) => None,
        }
    }
}

impl Tables {
    pub(crate) fn facts(&self, query: &Query) -> Option<Facts> {
        match query {
            Query::Certificate { fingerprint, alone, key } => {
                let row = self.certificates_in(self.indexes.by_fingerprint.of(fingerprint)).next()?.clone();
                let holder = Holder::of(&row).filter(|_| !alone);
                let of = holder.map(|holder| self.holder_facts(&holder, key.as_ref())).unwrap_or_default();
                Some(Facts { found: Found::Certificate(Box::new(row)), of })
            }
            Query::Token { secret_sha256, for_whom } => {
                let token = Box::new(self.token_by_secret(secret_sha256)?.clone());
                let kind = token.kind;
                let Some((environment, name, key)) = for_whom else {
                    let found = Found::Token { token, party: None, only_burned: false };
                    return Some(Facts { found, of: HolderFacts::default() });
                };
                let holder = match kind {
                    IdentityKind::Operational => {
                        let device = self.device_names.get(&(environment.clone(), name.clone()));
                        device.copied().map(Holder::Device)
                    }
                    IdentityKind::Service | IdentityKind::Operator => {
                        Some(Holder::Party { kind, name: name.clone() })
                    }
                };
                let party = self.parties.get(&(kind, name.to_string())).cloned();
                let of = holder.as_ref().map(|holder| self.holder_facts(holder, Some(key)));
                let only_burned = holder.is_some_and(|holder| self.only_burned(&holder, token.token));
                let found = Found::Token { token, party, only_burned };
                Some(Facts { found, of: of.unwrap_or_default() })
            }
            Query::Hardware { environment, maker, hardware_id, key } => {
                let hardware = self.hardware_row(environment, *maker, hardware_id)?.clone();
                let of = self.holder_facts(&Holder::Device(hardware.device), Some(key));
                Some(Facts { found: Found::Hardware(hardware), of })
            }
        }
    }

    pub(crate) fn token_by_secret(&self, secret_sha256: &[u8; 32]) -> Option<&TokenRow> {
        self.indexes.by_secret.of(secret_sha256).find_map(|id| self.tokens.get(&id))
    }

    /// All certificates of a holder, the highest generation first.
    pub(crate) fn by_generation(&self, holder: &Holder) -> Vec<CertificateRow> {
        let mut rows: Vec<CertificateRow> = self.certificates_of(holder).into_iter().cloned().collect();
        rows.sort_by_key(|row| core::cmp::Reverse((row.generation, row.certificate)));
        rows
    }

    pub(crate) fn current_of(&self, holder: &Holder) -> Vec<CertificateRow> {
        let rows = self.certificates_of(holder);
        rows.into_iter().rev().filter(|row| row.state.is_current()).cloned().collect()
    }

    fn holder_facts(&self, holder: &Holder, key: Option<&SpkiHash>) -> HolderFacts {
        let device = match holder {
            Holder::Device(device) => self.devices.get(device).cloned(),
            Holder::Party { .. } => None,
        };
        let issue = |row: &CertificateRow| IssueRow {
            generation: row.generation,
            intended_at: row.intended_at,
            token: row.token,
        };
        let issues = key.map(|_| self.by_generation(holder).iter().take(ISSUES_READ).map(issue).collect());
        HolderFacts {
            device,
            current: self.current_of(holder),
            issues: issues.unwrap_or_default(),
            key_proven: key.is_some_and(|key| self.key_was_proven(key, holder)),
        }
    }

    fn only_burned(&self, holder: &Holder, token: TokenId) -> bool {
        let rows = self.certificates_of(holder);
        let burned =
            |row: &&CertificateRow| row.state == CertificateState::Burned && row.token == Some(token);
        matches!(holder, Holder::Device(_)) && !rows.is_empty() && rows.iter().all(burned)
    }

    fn key_was_proven(&self, spki: &SpkiHash, holder: &Holder) -> bool {
        let mut of_key = self.certificates_in(self.indexes.by_key.of(spki));
        of_key.any(|row| row.confirmed_at.is_some() && is_of(row, holder))
    }
}
