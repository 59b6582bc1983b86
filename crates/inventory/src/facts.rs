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

/// A certificate and what its holder has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    pub row: CertificateRow,
    pub of: HolderFacts,
}

/// A token, and what the one has whom it is to let in; nothing of somebody new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    pub token: TokenRow,
    /// The operator or service of that name and of the token's kind.
    pub party: Option<PartyRow>,
    /// Whether all that the device was ever given are intents of this very token that were burned.
    pub only_burned: bool,
    pub of: HolderFacts,
}

/// A piece of hardware that is expected, and what the device has that it is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedFacts {
    pub hardware: HardwareRow,
    pub of: HolderFacts,
}

impl Tables {
    pub(crate) fn certificate_facts(
        &self,
        fingerprint: &Fingerprint,
        key: Option<&SpkiHash>,
    ) -> Option<CertificateFacts> {
        let row = self.certificates_in(self.indexes.by_fingerprint.of(fingerprint)).next()?.clone();
        let of = Holder::of(&row).map(|holder| self.holder_facts(&holder, key)).unwrap_or_default();
        Some(CertificateFacts { row, of })
    }

    pub(crate) fn token_facts(
        &self,
        secret_sha256: &[u8; 32],
        environment: &EnvironmentName,
        name: &Name,
        key: &SpkiHash,
    ) -> Option<TokenFacts> {
        let token = self.token_by_secret(secret_sha256)?.clone();
        let kind = token.kind;
        let holder = match kind {
            IdentityKind::Operational => {
                self.device_names.get(&(environment.clone(), name.clone())).copied().map(Holder::Device)
            }
            IdentityKind::Service | IdentityKind::Operator => {
                Some(Holder::Party { kind, name: name.clone() })
            }
        };
        let party = self.parties.get(&(kind, name.to_string())).cloned();
        let of = holder.as_ref().map(|holder| self.holder_facts(holder, Some(key))).unwrap_or_default();
        let only_burned = holder.is_some_and(|holder| self.only_burned(&holder, token.token));
        Some(TokenFacts { token, party, only_burned, of })
    }

    pub(crate) fn expected_facts(
        &self,
        environment: &EnvironmentName,
        maker: MakerId,
        hardware_id: &str,
        key: &SpkiHash,
    ) -> Option<ExpectedFacts> {
        let hardware = self.hardware_row(environment, maker, hardware_id)?.clone();
        let of = self.holder_facts(&Holder::Device(hardware.device), Some(key));
        Some(ExpectedFacts { hardware, of })
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
