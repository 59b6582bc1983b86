//! Successors: counted per device; and tokens that an operator lists and takes back.

use super::{Case, Claim};
use crate::journal_builder::name;
use touchmark_identity::{DeviceId, TokenId};
use touchmark_inventory::{CertificateRow, Holder, Precondition, RenewalRow};
use touchmark_journal::{Event, IdentityKind, RenewalFacts, RenewalManner, TokenSubject};

pub(super) const CLAIMS: &[Claim] = &[
    ("what is current, and the newest generation, are found among all that a holder ever had", current),
    ("what is superseded is due once its overlap is over, oldest first, by kind and environment", due),
    ("renewals are counted per device, and a refusal is forgotten by the next success", counted),
    ("a suspected clone is counted and is no attempt of the device", clone_alarm),
    ("tokens are listed newest first, page by page, of one environment", listed),
    ("a token that was taken back is void and stays listed", taken_back),
];

impl Case<'_> {
    fn renewed(&mut self, device: DeviceId, lead_s: i64, manner: RenewalManner) -> CertificateRow {
        let before = self.intended(Some(device));
        let mut intent = self.builder.intent(Some(device), self.authority);
        intent.replaces = Some(before.certificate);
        let mut draft = self.builder.intended(&intent);
        if let Event::CertificateIntended(event) = &mut draft.event {
            event.renewal = Some(RenewalFacts { lead_s, manner });
        }
        self.accept([draft]);
        self.store.certificate(intent.certificate).expect("rows can be read").expect("it is there")
    }

    fn renewals(&self, device: DeviceId) -> RenewalRow {
        self.store.renewals_of(device).expect("rows can be read").expect("something was counted")
    }
}

fn current(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let holder = Holder::Device(device);
    let newest = |case: &mut Case<'_>, generation| {
        let holder = Holder::Device(device);
        case.holds(Precondition::NewestGeneration { holder, generation })
    };
    assert!(newest(case, 0) && !newest(case, 1));
    let mut made = Vec::new();
    for generation in 1..=5 {
        let intent = case.builder.intent(Some(device), case.authority);
        let mut draft = case.builder.intended(&intent);
        if let Event::CertificateIntended(event) = &mut draft.event {
            event.generation = generation;
        }
        case.accept([draft]);
        made.push(intent);
    }
    // One in each state, the oldest first: revoked, superseded, confirmed, issued, intended.
    for intent in &made[..4] {
        case.issue(intent);
    }
    let (newer, older) = (made[2].certificate, made[1].certificate);
    let entries = [case.builder.confirmed(newer), case.builder.superseded(older, newer)];
    case.accept(entries);
    case.revoke(Some(device), &[&made[0]]);
    let current = case.store.current_certificates(&holder).expect("rows can be read");
    let current: Vec<_> = current.iter().map(|row| row.certificate).collect();
    let expected: Vec<_> = made[2..].iter().rev().map(|intent| intent.certificate).collect();
    assert_eq!(current, expected);
    let entry = case.builder.burned(made[4].certificate, None);
    case.accept([entry]);
    assert!(newest(case, 5) && !newest(case, 4), "a burned intent has spent its generation");
    let nobody = Holder::Party { kind: IdentityKind::Service, name: name("gateway-01") };
    assert_eq!(case.store.current_certificates(&nobody), Ok(vec![]));
    assert!(case.holds(Precondition::NewestGeneration { holder: nobody, generation: 0 }));
    let service = case.intended(None);
    let holder = service.holder();
    let current = case.store.current_certificates(&holder).expect("rows can be read");
    assert_eq!(current.iter().map(|row| row.certificate).collect::<Vec<_>>(), [service.certificate]);
    assert!(case.holds(Precondition::NewestGeneration { holder, generation: 1 }));
}

fn due(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let mut over = Vec::new();
    for _ in 0..3 {
        let (old, new) = (case.intended(Some(device)), case.intended(Some(device)));
        let entry = case.builder.superseded(old.certificate, new.certificate);
        case.accept([entry]);
        over.push(old.certificate);
    }
    let now = case.builder.now();
    let (old, new) = (case.intended(Some(device)), case.intended(Some(device)));
    // Its overlap ends later than now.
    let entry = case.builder.superseded(old.certificate, new.certificate);
    case.accept([entry]);
    let asked = |case: &Case<'_>, environment: &str, kind, limit| -> Vec<_> {
        let rows = case.store.superseded_due(&name(environment), kind, now, limit).expect("rows can be read");
        rows.iter().map(|row| row.certificate).collect()
    };
    assert_eq!(asked(case, "lab", IdentityKind::Operational, 9), over);
    assert_eq!(asked(case, "lab", IdentityKind::Operational, 2), over[..2]);
    assert_eq!(asked(case, "lab", IdentityKind::Service, 9), []);
    assert_eq!(asked(case, "plant", IdentityKind::Operational, 9), []);
}

fn counted(case: &mut Case<'_>) {
    let (device, other) = (case.device("pump-01"), case.device("pump-02"));
    assert_eq!(case.store.renewals_of(device), Ok(None));
    case.renewed(device, 40, RenewalManner::Automatic);
    let entry = case.builder.renewal_refused(device, "renewal-late", 3);
    case.accept([entry]);
    let row = case.renewals(device);
    assert_eq!((row.renewals, row.refused, row.refused_since), (1, 3, 3));
    assert_eq!((row.last_refusal.as_deref(), row.last_lead_s), (Some("renewal-late"), Some(40)));
    case.renewed(device, -7, RenewalManner::Manual);
    case.renewed(device, 90, RenewalManner::Unknown);
    let row = case.renewals(device);
    assert_eq!((row.renewals, row.refused, row.refused_since, row.last_refusal), (3, 3, 0, None));
    assert_eq!((row.last_lead_s, row.least_lead_s), (Some(90), Some(-7)));
    assert_eq!(row.last_manner, Some(RenewalManner::Unknown));
    assert_eq!(case.store.renewals_of(other), Ok(None), "of each device by itself");
}

fn clone_alarm(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let row = case.renewed(device, 40, RenewalManner::Automatic);
    let before = case.renewals(device);
    for alarms in 1..3 {
        let entry =
            case.builder.clone_suspected(device, row.replaces.expect("it replaces one"), row.certificate);
        let at = entry.envelope.at;
        case.accept([entry]);
        let expected = RenewalRow { clone_alarms: alarms, clone_alarm_at: Some(at), ..before.clone() };
        assert_eq!(case.renewals(device), expected);
    }
}

fn tokens(case: &mut Case<'_>, count: usize) -> Vec<TokenId> {
    (0..count)
        .map(|_| {
            let token = case.builder.token_id();
            let draft = case.builder.token_created(token, TokenSubject::Prefix(name("pump")), 1);
            case.accept([draft]);
            token
        })
        .collect()
}

fn listed(case: &mut Case<'_>) {
    let mut lab = tokens(case, 5);
    lab.reverse();
    case.builder.move_to("plant");
    tokens(case, 2);
    let mut seen = Vec::new();
    loop {
        let page = case.store.tokens(&name("lab"), seen.last().copied(), 2).expect("rows can be read");
        if page.is_empty() {
            break;
        }
        seen.extend(page.iter().map(|row| row.token));
    }
    assert_eq!(seen, lab);
}

fn taken_back(case: &mut Case<'_>) {
    let made = tokens(case, 2);
    let entry = case.builder.token_voided(made[0]);
    case.accept([entry]);
    let now = case.builder.now();
    let usable = |case: &mut Case<'_>, token| case.holds(Precondition::TokenUsable { token, now });
    assert_eq!((usable(case, made[0]), usable(case, made[1])), (false, true));
    let row = case.store.token(made[0]).expect("rows can be read").expect("it stays");
    assert!(row.void);
    let unknown = case.builder.token_id();
    assert_eq!(case.store.token(unknown), Ok(None));
}
