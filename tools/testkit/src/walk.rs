//! Random walks: sequences of commands, most of them sensible, some not, for two stores side by side.
//!
//! A step is a few octets; [`Walk`] turns it into a command that depends on the steps before, so that any list
//! of octets is a walk and a shorter list is a simpler one.

use crate::journal_builder::{Intent, JournalBuilder, command, name};
use touchmark_identity::{AuthorityVersionId, DeviceId, Fingerprint, TokenId};
use touchmark_inventory::{CertificateState, Command, Holder, Precondition};
use touchmark_journal::{Draft, Event, IdentityKind, RenewalFacts, RenewalManner, Standing, TokenSubject};

/// One step: what to do, and with which of the things made before.
pub type Step = [u8; 4];

/// A walk under way.
pub struct Walk {
    builder: JournalBuilder,
    authorities: Vec<AuthorityVersionId>,
    devices: Vec<DeviceId>,
    tokens: Vec<TokenId>,
    intents: Vec<Intent>,
}

impl Default for Walk {
    fn default() -> Self {
        let mut builder = JournalBuilder::new();
        let authorities = vec![builder.authority_version(), builder.authority_version()];
        // One of each that was never registered: changes to unknown rows must be alike, too.
        let (devices, tokens) = (vec![builder.device_id()], vec![builder.token_id()]);
        Self { builder, authorities, devices, tokens, intents: Vec::new() }
    }
}

fn pick<T: Clone>(from: &[T], which: u8) -> Option<T> {
    from.get(usize::from(which) % from.len().max(1)).cloned()
}

impl Walk {
    /// The command of one step; `None` for a step that needs what is not there yet.
    pub fn step(&mut self, [act, a, b, c]: Step) -> Option<Command> {
        self.builder.move_to(if c & 1 == 0 { "lab" } else { "plant" });
        let guarded = c & 2 == 0;
        let (preconditions, entries) = match act % 21 {
            0 => self.environment(),
            1 | 2 => self.token(a, b),
            3..=5 => self.device(a, b),
            6..=9 => self.intent(a, b, c),
            10..=12 => self.issue(a)?,
            13 => self.burn(a)?,
            14 => self.confirm(a)?,
            15 => self.supersede(a, b)?,
            16 => self.revoke(a, b),
            17 => self.standing(a, b)?,
            18 => self.crl(a, b)?,
            19 => self.revoke_all(a, b),
            _ => self.other(a, b),
        };
        Some(command(preconditions.into_iter().filter(|_| guarded), entries))
    }

    fn environment(&mut self) -> (Vec<Precondition>, Vec<Draft>) {
        let free = Precondition::EnvironmentFree { name: self.builder.environment() };
        (vec![free], vec![self.builder.environment_created()])
    }

    fn token(&mut self, a: u8, b: u8) -> (Vec<Precondition>, Vec<Draft>) {
        let handle = name(&format!("pump-{}", a % 4));
        let subject =
            if b & 4 == 0 { TokenSubject::Named(handle) } else { TokenSubject::Prefix(name("pump")) };
        // Now and then a token that exists already.
        let token = if b & 0xf8 == 0 { pick(&self.tokens, a) } else { None };
        let token = token.unwrap_or_else(|| self.builder.token_id());
        self.tokens.push(token);
        (vec![], vec![self.builder.token_created(token, subject, u32::from(b % 3))])
    }

    fn device(&mut self, a: u8, b: u8) -> (Vec<Precondition>, Vec<Draft>) {
        let handle = format!("pump-{}", a % 8);
        let device = if b & 0xf0 == 0 { pick(&self.devices, b) } else { None };
        let device = device.unwrap_or_else(|| self.builder.device_id());
        self.devices.push(device);
        let free =
            Precondition::DeviceNameFree { environment: self.builder.environment(), name: name(&handle) };
        let mut draft = self.builder.device_registered(device, &handle);
        if b == 0xff {
            draft.private = None;
        }
        (vec![free], vec![draft])
    }

    fn intent(&mut self, a: u8, b: u8, c: u8) -> (Vec<Precondition>, Vec<Draft>) {
        let device = if a & 1 == 0 { pick(&self.devices, a >> 1) } else { None };
        let authority = pick(&self.authorities, b).unwrap_or_else(|| self.builder.authority_version());
        let mut intent = self.builder.intent(device, authority);
        intent.crl_shard = u32::from(b & 1);
        intent.handle = name(&format!("pump-{}", a % 8));
        if device.is_none() && b & 2 == 0 {
            intent.kind = IdentityKind::Operator;
        }
        if let (true, Some(before)) = (b & 0x0c == 0, pick(&self.intents, c)) {
            intent.spki = before.spki;
        }
        if let (true, Some(before)) = (b & 0x70 == 0, pick(&self.intents, c)) {
            intent.serial = before.serial;
        }
        if b & 0x80 != 0 {
            intent.token = pick(&self.tokens, c >> 2);
        }
        let mut preconditions = vec![
            Precondition::SerialFree { authority_version: authority, serial: intent.serial },
            Precondition::KeyUsable { spki: intent.spki, holder: intent.holder() },
        ];
        if c & 0xc0 == 0xc0 {
            let generation = u64::from(b % 3);
            preconditions.push(Precondition::NewestGeneration { holder: intent.holder(), generation });
        }
        let now = self.builder.now();
        preconditions.extend(intent.token.map(|token| Precondition::TokenUsable { token, now }));
        let mut intended = self.builder.intended(&intent);
        if let (Event::CertificateIntended(event), true) = (&mut intended.event, c & 0x0c == 0x0c) {
            let lead_s = i64::from(b) - 100;
            event.renewal = Some(RenewalFacts { lead_s, manner: RenewalManner::Automatic });
        }
        let mut entries = vec![intended];
        if c & 0x30 == 0x30 {
            entries.push(self.builder.issued(intent.certificate, Fingerprint([a; 32])));
        }
        self.intents.push(intent);
        (preconditions, entries)
    }

    fn in_state(intent: &Intent, state: CertificateState) -> Vec<Precondition> {
        vec![Precondition::CertificateInState { certificate: intent.certificate, state }]
    }

    fn issue(&mut self, a: u8) -> Option<(Vec<Precondition>, Vec<Draft>)> {
        let intent = pick(&self.intents, a)?;
        let fingerprint = Fingerprint(self.builder.hash());
        let entry = self.builder.issued(intent.certificate, fingerprint);
        Some((Self::in_state(&intent, CertificateState::Intended), vec![entry]))
    }

    fn burn(&mut self, a: u8) -> Option<(Vec<Precondition>, Vec<Draft>)> {
        let intent = pick(&self.intents, a)?;
        let entry = self.builder.burned(intent.certificate, intent.token);
        Some((Self::in_state(&intent, CertificateState::Intended), vec![entry]))
    }

    fn confirm(&mut self, a: u8) -> Option<(Vec<Precondition>, Vec<Draft>)> {
        let intent = pick(&self.intents, a)?;
        let entry = self.builder.confirmed(intent.certificate);
        Some((Self::in_state(&intent, CertificateState::Issued), vec![entry]))
    }

    fn supersede(&mut self, a: u8, b: u8) -> Option<(Vec<Precondition>, Vec<Draft>)> {
        let (old, new) = (pick(&self.intents, a)?, pick(&self.intents, b)?);
        let mut preconditions = Self::in_state(&old, CertificateState::Confirmed);
        preconditions.extend(Self::in_state(&new, CertificateState::Issued));
        let entries = vec![
            self.builder.confirmed(new.certificate),
            self.builder.superseded(old.certificate, new.certificate),
        ];
        Some((preconditions, entries))
    }

    fn revoke(&mut self, a: u8, b: u8) -> (Vec<Precondition>, Vec<Draft>) {
        let device = if a & 1 == 0 { pick(&self.devices, a >> 1) } else { None };
        let wanted: Vec<&Intent> = self.intents.iter().filter(|intent| intent.device == device).collect();
        let wanted = wanted.get(..wanted.len().min(usize::from(b % 4))).unwrap_or_default();
        (vec![], vec![self.builder.revoked(device, wanted)])
    }

    /// By set: what dies is found by each store.
    fn revoke_all(&mut self, a: u8, b: u8) -> (Vec<Precondition>, Vec<Draft>) {
        let parties = ["pump-0", "pump-1", "ada"];
        let entry = match (b % 3, pick(&self.devices, a), pick(&self.intents, a)) {
            (0, Some(device), _) => self.builder.holder_revoked(Holder::Device(device)),
            (1, _, Some(intent)) => self.builder.certificate_revoked(intent.certificate),
            _ => {
                let kind = if a & 1 == 0 { IdentityKind::Operator } else { IdentityKind::Service };
                let party = name(parties[usize::from(a) % parties.len()]);
                self.builder.holder_revoked(Holder::Party { kind, name: party })
            }
        };
        (vec![], vec![entry])
    }

    fn standing(&mut self, a: u8, b: u8) -> Option<(Vec<Precondition>, Vec<Draft>)> {
        let standings = [Standing::Active, Standing::Quarantined, Standing::Banned];
        let (device, standing) = (pick(&self.devices, a)?, pick(&standings, b)?);
        let before = Precondition::DeviceStanding { device, standing: pick(&standings, b >> 2)? };
        Some((vec![before], vec![self.builder.standing_changed(device, standing)]))
    }

    fn crl(&mut self, a: u8, b: u8) -> Option<(Vec<Precondition>, Vec<Draft>)> {
        let authority_version = pick(&self.authorities, a)?;
        let (shard, number) = (u32::from(a >> 7), u64::from(b % 8));
        let above = Precondition::CrlNumberAbove { authority_version, shard, number };
        Some((vec![above], vec![self.builder.crl_published(authority_version, shard, number)]))
    }

    fn other(&mut self, a: u8, b: u8) -> (Vec<Precondition>, Vec<Draft>) {
        let authority = pick(&self.authorities, b);
        let entry = match a % 13 {
            12 => self.builder.party_clone_suspected(IdentityKind::Operator, "ada"),
            0 => self.builder.policy_activated(),
            1 => self.builder.party_registered(IdentityKind::Operator, "ada", &["reader"]),
            2 => self.builder.enforcement_reported("gw-1", 1, u64::from(b)),
            3 => self.builder.refused("csr-ca", u64::from(b), pick(&self.devices, b)),
            4 => self.builder.started(u64::from(b), 1),
            5 => self.builder.profile_activated(),
            6 => self.builder.root_created(),
            7 => match pick(&self.devices, b) {
                Some(device) => self.builder.renewal_refused(device, "renewal-late", u64::from(b)),
                None => self.builder.root_created(),
            },
            8 => match pick(&self.tokens, b) {
                Some(token) => self.builder.token_voided(token),
                None => self.builder.root_created(),
            },
            9 => match (pick(&self.devices, b), pick(&self.intents, b)) {
                (Some(device), Some(old)) => {
                    self.builder.clone_suspected(device, old.certificate, old.certificate)
                }
                _ => self.builder.root_created(),
            },
            _ => match authority {
                Some(authority) => self.builder.authority_created(authority),
                None => self.builder.root_created(),
            },
        };
        (vec![], vec![entry])
    }
}
