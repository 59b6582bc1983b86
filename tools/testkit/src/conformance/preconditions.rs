//! Each precondition, where it holds and where it does not.

use super::{Case, Claim};
use crate::journal_builder::name;
use std::time::Duration;
use touchmark_inventory::{CertificateState, Holder, Precondition};
use touchmark_journal::{IdentityKind, Standing, TokenSubject};

pub(super) const CLAIMS: &[Claim] = &[
    ("a token is usable while it is known, unspent, unexpired and not void", token_usable),
    ("a device's name is free in each environment by itself", device_name_free),
    ("a device's standing is asked exactly", device_standing),
    ("a party's name belongs to one environment", party_home),
    ("a serial is free under each authority version by itself", serial_free),
    ("a key is usable by the one device or party that holds it, and by nobody once it is denied", key_usable),
    ("a burned intent holds no key, for whoever asks", burned_key),
    ("a certificate's state is asked exactly", certificate_in_state),
    ("an environment's name is free until it is taken", environment_free),
    ("a CRL number must rise in its shard", crl_number_above),
    ("all preconditions must hold, and the first that does not is named", first_failure),
];

fn token_usable(case: &mut Case<'_>) {
    let token = case.builder.token_id();
    let now = case.builder.now();
    assert!(!case.holds(Precondition::TokenUsable { token, now }), "unknown");
    let entry = case.builder.token_created(token, TokenSubject::Named(name("pump-01")), 1);
    case.accept([entry]);
    assert!(case.holds(Precondition::TokenUsable { token, now }), "fresh");
    let rows = case.store.journal_from(0, 10).unwrap_or_default();
    let expires_at = rows
        .iter()
        .find_map(|stored| match &stored.entry.event {
            touchmark_journal::Event::TokenCreated(e) => Some(e.expires_at),
            _ => None,
        })
        .expect("the token is in the journal");
    assert!(case.holds(Precondition::TokenUsable { token, now: expires_at }), "last moment");
    let late = expires_at.plus(Duration::from_millis(1));
    assert!(!case.holds(Precondition::TokenUsable { token, now: late }), "expired");
    let intent = case.builder.intent(None, case.authority).on(token);
    case.record(&intent);
    assert!(!case.holds(Precondition::TokenUsable { token, now }), "spent");

    let device = case.device("pump-02");
    let void = case.builder.token_id();
    let entry = case.builder.token_created(void, TokenSubject::Named(name("pump-02")), 5);
    case.accept([entry]);
    assert!(case.holds(Precondition::TokenUsable { token: void, now }), "not yet void");
    case.revoke(Some(device), &[]);
    assert!(!case.holds(Precondition::TokenUsable { token: void, now }), "void");
}

fn device_name_free(case: &mut Case<'_>) {
    let free = |environment: &str| Precondition::DeviceNameFree {
        environment: name(environment),
        name: name("pump-01"),
    };
    assert!(case.holds(free("lab")), "nobody has it");
    case.device("pump-01");
    assert!(!case.holds(free("lab")), "taken");
    assert!(case.holds(free("plant")), "taken elsewhere");
}

fn device_standing(case: &mut Case<'_>) {
    let device = case.builder.device_id();
    let is = |standing| Precondition::DeviceStanding { device, standing };
    assert!(!case.holds(is(Standing::Active)), "unknown");
    let entry = case.builder.device_registered(device, "pump-01");
    case.accept([entry]);
    let all = [Standing::Active, Standing::Quarantined, Standing::Banned];
    for now in [Standing::Active, Standing::Quarantined, Standing::Banned, Standing::Active] {
        let entry = case.builder.standing_changed(device, now);
        case.accept([entry]);
        for asked in all {
            assert_eq!(case.holds(is(asked)), asked == now, "{now:?} asked for {asked:?}");
        }
    }
}

fn party_home(case: &mut Case<'_>) {
    let home = |kind, environment: &str| Precondition::PartyHome {
        kind,
        name: name("gateway-01"),
        environment: name(environment),
    };
    assert!(case.holds(home(IdentityKind::Service, "lab")), "unknown anywhere");
    let entry = case.builder.party_registered(IdentityKind::Service, "gateway-01", &[]);
    case.accept([entry]);
    assert!(case.holds(home(IdentityKind::Service, "lab")), "at home");
    assert!(!case.holds(home(IdentityKind::Service, "plant")), "elsewhere");
    assert!(case.holds(home(IdentityKind::Operator, "plant")), "an operator is another kind");
}

fn serial_free(case: &mut Case<'_>) {
    let intent = case.builder.intent(None, case.authority);
    let free = |authority_version| Precondition::SerialFree { authority_version, serial: intent.serial };
    assert!(case.holds(free(intent.authority_version)), "never used");
    case.record(&intent);
    assert!(!case.holds(free(intent.authority_version)), "used");
    let other = case.builder.authority_version();
    assert!(case.holds(free(other)), "used under another authority version");
    let entry = case.builder.burned(intent.certificate, None);
    case.accept([entry]);
    assert!(!case.holds(free(intent.authority_version)), "a burned intent's serial is spent");
}

fn key_usable(case: &mut Case<'_>) {
    let owner = Holder::Device(case.device("pump-01"));
    let other_device = case.device("pump-02");
    let other = Holder::Device(other_device);
    let named = |kind, party: &str| Holder::Party { kind, name: name(party) };
    let party = named(IdentityKind::Service, "pump-01");
    let Holder::Device(owner_device) = owner else { panic!("a device") };
    let intent = case.builder.intent(Some(owner_device), case.authority);
    let usable = |holder: &Holder| Precondition::KeyUsable { spki: intent.spki, holder: holder.clone() };
    for holder in [&party, &owner, &other] {
        assert!(case.holds(usable(holder)), "a new key, {holder:?}");
    }
    case.record(&intent);
    assert!(case.holds(usable(&owner)), "its device's");
    assert!(!case.holds(usable(&other)), "another device's");
    assert!(!case.holds(usable(&party)), "a device's, asked for a party of its name");
    let same_kind = named(IdentityKind::Operational, "pump-01");
    assert!(!case.holds(usable(&same_kind)), "a device's, asked for a party of its kind and name");
    case.issue(&intent);
    case.revoke(Some(owner_device), &[&intent]);
    assert!(!case.holds(usable(&owner)), "denied");

    let held = case.intended(None);
    let usable = |holder: &Holder| Precondition::KeyUsable { spki: held.spki, holder: holder.clone() };
    assert!(case.holds(usable(&party)), "its party's");
    assert!(!case.holds(usable(&named(IdentityKind::Service, "pump-02"))), "another party's");
    assert!(!case.holds(usable(&named(IdentityKind::Operator, "pump-01"))), "of another kind");
    assert!(!case.holds(usable(&owner)), "a party's, asked for a device");

    case.builder.move_to("plant");
    let elsewhere = case.intended(Some(other_device));
    case.revoke(Some(other_device), &[&elsewhere]);
    let usable = Precondition::KeyUsable { spki: elsewhere.spki, holder: other };
    assert!(!case.holds(usable), "denied in another environment");
}

fn burned_key(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    for mine in [Some(device), None] {
        let intent = case.intended(mine);
        let entry = case.builder.burned(intent.certificate, None);
        case.accept([entry]);
        let another = case.builder.device_id();
        let party = Holder::Party { kind: IdentityKind::Operator, name: name("ada") };
        for holder in [intent.holder(), Holder::Device(another), party] {
            assert!(
                case.holds(Precondition::KeyUsable { spki: intent.spki, holder: holder.clone() }),
                "{holder:?}"
            );
        }
        let live = case.builder.intent(mine, case.authority).with_key(intent.spki);
        case.record(&live);
        let stranger = Precondition::KeyUsable { spki: intent.spki, holder: Holder::Device(another) };
        assert!(!case.holds(stranger), "held by the one that lives beside the burned one");
    }
}

fn certificate_in_state(case: &mut Case<'_>) {
    use CertificateState::*;
    let all = [Intended, Issued, Confirmed, Superseded, Revoked, Burned];
    let device = case.device("pump-01");
    let check = |case: &mut Case<'_>, certificate, now: Option<CertificateState>| {
        for asked in all {
            let held = case.holds(Precondition::CertificateInState { certificate, state: asked });
            assert_eq!(held, Some(asked) == now, "{now:?} asked for {asked:?}");
        }
    };
    let unknown = case.builder.certificate_id();
    check(case, unknown, None);
    let intent = case.intended(Some(device));
    check(case, intent.certificate, Some(Intended));
    case.issue(&intent);
    check(case, intent.certificate, Some(Issued));
    let entry = case.builder.confirmed(intent.certificate);
    case.accept([entry]);
    check(case, intent.certificate, Some(Confirmed));
    let entry = case.builder.superseded(intent.certificate, unknown);
    case.accept([entry]);
    check(case, intent.certificate, Some(Superseded));
    case.revoke(Some(device), &[&intent]);
    check(case, intent.certificate, Some(Revoked));
    let burned = case.intended(Some(device));
    let entry = case.builder.burned(burned.certificate, None);
    case.accept([entry]);
    check(case, burned.certificate, Some(Burned));
}

fn environment_free(case: &mut Case<'_>) {
    let free = |environment: &str| Precondition::EnvironmentFree { name: name(environment) };
    assert!(case.holds(free("lab")));
    let entry = case.builder.environment_created();
    case.accept([entry]);
    assert!(!case.holds(free("lab")));
    assert!(case.holds(free("plant")));
}

fn crl_number_above(case: &mut Case<'_>) {
    let authority_version = case.authority;
    let above = |shard, number| Precondition::CrlNumberAbove { authority_version, shard, number };
    assert!(case.holds(above(0, 0)), "no CRL yet");
    // Past the signed half: a store must not compare it as a negative number.
    for newest in [7, u64::MAX - 1] {
        let entry = case.builder.crl_published(authority_version, 0, newest);
        case.accept([entry]);
        assert!(!case.holds(above(0, newest - 1)), "lower");
        assert!(!case.holds(above(0, newest)), "the same");
        assert!(case.holds(above(0, newest + 1)), "higher");
        assert!(case.holds(above(1, 1)), "another shard");
    }
}

fn first_failure(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let good = Precondition::DeviceStanding { device, standing: Standing::Active };
    let first = Precondition::DeviceNameFree { environment: name("lab"), name: name("pump-01") };
    let second = Precondition::DeviceStanding { device, standing: Standing::Banned };
    let entry = case.builder.refused("never", 1, None);
    let fault = case.submit([good, first.clone(), second], [entry]).expect_err("two do not hold");
    assert_eq!(fault, touchmark_inventory::Conflict { failed: first }.into());
}
