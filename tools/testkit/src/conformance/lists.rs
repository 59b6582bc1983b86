//! Devices page by page, and the short lists.

use super::{Case, Claim};
use crate::journal_builder::{Intent, name};
use touchmark_identity::{DeviceId, Name};
use touchmark_inventory::DeviceFilter;
use touchmark_journal::Reach;
use touchmark_journal::{Event, IdentityKind, Standing};

pub(super) const CLAIMS: &[Claim] = &[
    ("a device is found by identifier and by name", device_found),
    ("an identity is found by its handle and by its device, with the highest generation", identities),
    ("pages of devices follow one another without gap or repetition, for every filter", pages),
    ("a page does not end between devices of one name", namesakes),
    ("exceptions are the quarantined and the banned of an environment", exceptions),
    ("authorities, environments, profiles and parties are listed in order", short_lists),
    ("a party that is registered again is replaced", party_replaced),
    ("the policy in force is the last of its environment", policy),
    ("the newest CRL and the last report replace those before", replaced),
    ("refusals are summed, and the last start is in force", sums),
    ("numbers of 64 bits are kept exactly", big_numbers),
];

fn device_found(case: &mut Case<'_>) {
    let lab = case.device("pump-01");
    case.device("pump-02");
    case.builder.move_to("plant");
    let plant = case.device("pump-01");
    let (pump, here, there) = (name("pump-01"), name("lab"), name("plant"));
    let by_name = |environment| {
        let row = case.store.device_by_name(environment, &pump).expect("rows can be read");
        row.map(|row| row.device)
    };
    assert_eq!((by_name(&here), by_name(&there)), (Some(lab), Some(plant)));
    assert_eq!(by_name(&name("office")), None);
    let named = case.store.devices_named(&pump).expect("rows can be read");
    assert_eq!(named.iter().map(|row| row.device).collect::<Vec<_>>(), [lab, plant]);
    let row = case.store.device(lab).expect("rows can be read").expect("it is known");
    assert_eq!((row.name, row.standing, row.owner), (Some(pump), Standing::Active, Some(name("ada"))));
    let unknown = case.builder.device_id();
    assert_eq!(case.store.device(unknown), Ok(None));
}

fn identities(case: &mut Case<'_>) {
    let (device, other) = (case.device("pump-01"), case.device("pump-02"));
    // Two requests at once: the later commit may have the lower one.
    for generation in [2, 1] {
        let intent = case.builder.intent(Some(device), case.authority);
        let mut entry = case.builder.intended(&intent);
        let Event::CertificateIntended(event) = &mut entry.event else { panic!("an intent") };
        event.generation = generation;
        case.accept([entry]);
    }
    let ada = Intent {
        kind: IdentityKind::Operator,
        handle: name("ada"),
        ..case.builder.intent(None, case.authority)
    };
    case.record(&ada);
    case.builder.move_to("plant");
    let elsewhere = case.device("pump-01");
    let known = |environment: &str, kind, handle: &str| {
        let row = case.store.identity(&name(environment), kind, &name(handle)).expect("rows can be read");
        row.map(|row| (row.device, row.generation))
    };
    let device_in = |environment, handle| known(environment, IdentityKind::Operational, handle);
    assert_eq!(device_in("lab", "pump-01"), Some((Some(device), 2)));
    assert_eq!(device_in("lab", "pump-02"), Some((Some(other), 0)), "before its first certificate");
    assert_eq!(device_in("plant", "pump-01"), Some((Some(elsewhere), 0)));
    assert_eq!(known("lab", IdentityKind::Operator, "ada"), Some((None, 1)));
    assert_eq!(known("lab", IdentityKind::Service, "ada"), None, "of another kind");
    assert_eq!(device_in("office", "pump-01"), None);
    let of = |device| case.store.identities_of_device(device).expect("rows can be read");
    let handles: Vec<_> = of(device).into_iter().map(|row| (row.scope.environment, row.handle)).collect();
    assert_eq!(handles, [(Some(name("lab")), name("pump-01"))]);
    assert_eq!(of(case.builder.device_id()), []);
}

fn page_all(case: &Case<'_>, filter: &DeviceFilter) -> Vec<DeviceId> {
    let mut filter = filter.clone();
    let mut all = Vec::new();
    loop {
        let page = case.store.devices(&filter).expect("rows can be read");
        let Some(last) = page.last() else { return all };
        assert!(page.is_sorted_by(|a, b| (&a.name, a.device) < (&b.name, b.device)));
        filter.after = last.name.clone();
        all.extend(page.into_iter().map(|row| row.device));
    }
}

fn pages(case: &mut Case<'_>) {
    let standings = [Standing::Active, Standing::Quarantined, Standing::Banned];
    let mut made: Vec<(Name, DeviceId, &str, Standing)> = Vec::new();
    for number in 0..30_usize {
        let environment = if number.is_multiple_of(2) { "lab" } else { "plant" };
        case.builder.move_to(environment);
        // Names that do not sort as they were made.
        let handle = format!("pump-{:02}", (number * 7) % 30 / 2);
        let device = case.device(&handle);
        let standing = *standings.get(number % 4).unwrap_or(&Standing::Active);
        if standing != Standing::Active {
            let entry = case.builder.standing_changed(device, standing);
            case.accept([entry]);
        }
        made.push((name(&handle), device, environment, standing));
    }
    made.sort();
    for environment in [None, Some("lab"), Some("plant"), Some("office")] {
        for standing in [None, Some(standings[0]), Some(standings[1]), Some(standings[2])] {
            let expected: Vec<_> = made
                .iter()
                .filter(|(_, _, e, s)| {
                    environment.is_none_or(|wanted| wanted == *e)
                        && standing.is_none_or(|wanted| wanted == *s)
                })
                .map(|(_, device, ..)| *device)
                .collect();
            for limit in [1, 2, 7, 1000] {
                let filter =
                    DeviceFilter { environment: environment.map(name), after: None, standing, limit };
                assert_eq!(page_all(case, &filter), expected, "{environment:?} {standing:?} {limit}");
            }
        }
    }
    let none = DeviceFilter { limit: 0, ..DeviceFilter::default() };
    assert_eq!(case.store.devices(&none), Ok(Vec::new()));
}

fn namesakes(case: &mut Case<'_>) {
    let mut devices = Vec::new();
    for environment in ["lab", "plant", "office"] {
        case.builder.move_to(environment);
        devices.push(case.device("pump-01"));
        case.device("pump-02");
    }
    let filter = DeviceFilter { limit: 2, ..DeviceFilter::default() };
    let page = case.store.devices(&filter).expect("rows can be read");
    assert_eq!(page.into_iter().map(|row| row.device).collect::<Vec<_>>(), devices);
    let filter = DeviceFilter { environment: Some(name("lab")), limit: 1, ..DeviceFilter::default() };
    assert_eq!(case.store.devices(&filter).map(|page| page.len()), Ok(1));
}

fn exceptions(case: &mut Case<'_>) {
    let [active, quarantined, banned] = ["pump-03", "pump-01", "pump-02"].map(|handle| case.device(handle));
    for (device, standing) in [
        (active, Standing::Quarantined),
        (quarantined, Standing::Quarantined),
        (banned, Standing::Banned),
        (active, Standing::Active),
    ] {
        let entry = case.builder.standing_changed(device, standing);
        case.accept([entry]);
    }
    let rows = case.store.standing_exceptions(&name("lab")).expect("rows can be read");
    assert_eq!(rows.iter().map(|row| row.device).collect::<Vec<_>>(), [quarantined, banned]);
    let until: Vec<bool> = rows.iter().map(|row| row.standing_until.is_some()).collect();
    assert_eq!(until, [true, false]);
    assert_eq!(case.store.standing_exceptions(&name("plant")), Ok(Vec::new()));
}

fn short_lists(case: &mut Case<'_>) {
    let root = case.builder.root_created();
    let issuing = case.builder.authority_created(case.authority);
    let profiles = [case.builder.profile_activated(), case.builder.profile_activated()];
    case.accept([root, issuing]);
    case.accept(profiles.into_iter().rev());
    for environment in ["plant", "lab"] {
        case.builder.move_to(environment);
        let entry = case.builder.environment_created();
        case.accept([entry]);
    }
    for (kind, party) in [
        (IdentityKind::Operator, "grace"),
        (IdentityKind::Operator, "ada"),
        (IdentityKind::Service, "gateway"),
    ] {
        let entry = case.builder.party_registered(kind, party, &["reader", "with \"quotes\""]);
        case.accept([entry]);
    }
    let authorities = case.store.authorities().expect("rows can be read");
    assert_eq!(authorities.len(), 2);
    assert!(authorities.is_sorted_by_key(|row| row.authority_version));
    assert!(authorities.iter().any(|row| row.scope.environment.is_none() && row.parent.is_none()));
    let environments = case.store.environments().expect("rows can be read");
    let named: Vec<_> = environments.iter().map(|row| (row.name.as_str(), row.default)).collect();
    assert_eq!(named, [("lab", true), ("plant", false)]);
    let profiles = case.store.profiles().expect("rows can be read");
    assert!(profiles.len() == 2 && profiles.is_sorted_by_key(|row| row.profile_version));
    let parties = case.store.parties().expect("rows can be read");
    let named: Vec<_> = parties.iter().map(|row| (row.kind, row.name.as_str())).collect();
    assert_eq!(
        named,
        [
            (IdentityKind::Service, "gateway"),
            (IdentityKind::Operator, "ada"),
            (IdentityKind::Operator, "grace")
        ]
    );
    assert!(parties.iter().all(|row| row.roles == ["reader", "with \"quotes\""]));
}

fn party_replaced(case: &mut Case<'_>) {
    let rows = [
        (&["reader"][..], None, Reach::Organisation),
        (&["reader"][..], Some(Reach::Environment), Reach::Environment),
        (&[], Some(Reach::Organisation), Reach::Organisation),
    ];
    for (roles, written, reach) in rows {
        let mut entry = case.builder.party_registered(IdentityKind::Operator, "ada", roles);
        let Event::PartyRegistered(registered) = &mut entry.event else { panic!("a party") };
        registered.reach = written;
        case.accept([entry]);
        let [party] = &case.store.parties().expect("rows can be read")[..] else { panic!("one party") };
        assert_eq!(
            (&party.roles[..], party.reach),
            (&roles.iter().map(|&role| role.to_owned()).collect::<Vec<_>>()[..], reach)
        );
    }
}

fn policy(case: &mut Case<'_>) {
    assert_eq!(case.store.policy(&name("lab")), Ok(None));
    for _ in 0..2 {
        let draft = case.builder.policy_activated();
        let Event::PolicyActivated(expected) = draft.event.clone() else { panic!("a policy") };
        case.accept([draft]);
        let row = case.store.policy(&name("lab")).expect("rows can be read").expect("it is in force");
        assert_eq!((row.version, row.files, row.topics), (expected.version, expected.files, expected.topics));
    }
    assert_eq!(case.store.policy(&name("plant")), Ok(None));
}

fn replaced(case: &mut Case<'_>) {
    let authority = case.authority;
    for (shard, number) in [(1, 1), (0, 1), (1, 2)] {
        let entry = case.builder.crl_published(authority, shard, number);
        case.accept([entry]);
    }
    let crls = case.store.crls().expect("rows can be read");
    assert_eq!(crls.iter().map(|row| (row.shard, row.number)).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
    for (environment, gateway, seq) in
        [("plant", "gw-1", 1), ("lab", "gw-2", 1), ("lab", "gw-1", 1), ("lab", "gw-2", 2)]
    {
        case.builder.move_to(environment);
        let entry = case.builder.enforcement_reported(gateway, 1, seq);
        case.accept([entry]);
    }
    let reports = case.store.enforcements().expect("rows can be read");
    let said: Vec<_> = reports.iter().map(|row| (row.gateway.as_str(), row.seq)).collect();
    assert_eq!(said, [("gw-1", 1), ("gw-2", 2), ("gw-1", 1)]);
    absences(case);
}

/// The last word about each gateway of each environment counts; an end is kept.
fn absences(case: &mut Case<'_>) {
    let end = case.builder.now().plus(core::time::Duration::from_secs(60));
    for (environment, gateway, offline, until) in [
        ("plant", "gw-1", true, None),
        ("lab", "gw-1", true, Some(end)),
        ("lab", "gw-2", true, None),
        ("lab", "gw-2", false, None),
    ] {
        case.builder.move_to(environment);
        let entry = case.builder.gateway_declared(gateway, offline, until);
        case.accept([entry]);
    }
    let rows = case.store.gateway_absences().expect("rows can be read");
    let past = end.plus(core::time::Duration::from_secs(1));
    let said: Vec<_> = rows
        .iter()
        .map(|row| (row.gateway.as_str(), row.is_in_force(case.builder.now()), row.is_in_force(past)))
        .collect();
    assert_eq!(said, [("gw-1", true, false), ("gw-2", false, false), ("gw-1", true, true)]);
}

fn sums(case: &mut Case<'_>) {
    for (code, count) in [("csr-ca", 2), ("csr-name", 1), ("csr-ca", 3), ("full", u64::MAX), ("full", 5)] {
        let entry = case.builder.refused(code, count, None);
        case.accept([entry]);
    }
    let lines = case.store.dump_rows().expect("rows can be read");
    let held = lines.iter().filter(|line| line.starts_with("Refusals")).count();
    assert_eq!(held, 3, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("\"csr-ca\"), 5)")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains(&format!("\"full\"), {})", u64::MAX))), "{lines:#?}");
    for (epoch, incarnation) in [(1, 1), (2, 0x4d)] {
        let entry = case.builder.started(epoch, incarnation);
        case.accept([entry]);
        assert_eq!(case.store.started(), Ok((epoch, incarnation)));
    }
}

fn big_numbers(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let intent = case.builder.intent(Some(device), case.authority);
    let mut draft = case.builder.intended(&intent);
    if let Event::CertificateIntended(event) = &mut draft.event {
        (event.generation, event.crl_shard) = (u64::MAX, u32::MAX);
    }
    let mut profile = case.builder.profile_activated();
    if let Event::ProfileActivated(event) = &mut profile.event {
        (event.lifetime_s, event.overlap_s) = (u64::MAX, u64::MAX - 1);
    }
    let report = case.builder.enforcement_reported("gw-1", u64::MAX, u64::MAX - 1);
    let started = case.builder.started(u64::MAX, 255);
    case.accept([draft, profile, report, started]);
    let row = case.store.certificate(intent.certificate).expect("rows can be read").expect("it is known");
    assert_eq!((row.generation, row.crl_shard), (u64::MAX, u32::MAX));
    assert_eq!(case.store.started(), Ok((u64::MAX, 255)));
    let profiles = case.store.profiles().expect("rows can be read");
    assert!(profiles.iter().all(|row| (row.lifetime_s, row.overlap_s) == (u64::MAX, u64::MAX - 1)));
}
