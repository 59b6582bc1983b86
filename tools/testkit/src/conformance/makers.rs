//! Makers and expected hardware: found by what a certificate says, void by a revocation, ended by a withdrawal.

use super::{Case, Claim};
use crate::journal_builder::name;
use touchmark_identity::{DeviceId, MakerId};
use touchmark_inventory::{HardwareRow, Precondition};

pub(super) const CLAIMS: &[Claim] = &[
    ("makers are listed by name and age, of one environment, withdrawn ones too", listed),
    ("a maker's name is free in each environment by itself, and again once it is withdrawn", maker_free),
    ("a withdrawal holds from its first moment, and a second one changes nothing", withdrawn_once),
    ("hardware is found by environment, maker and identifier, letter by letter", found),
    ("hardware is free until it is expected to become another device", hardware_free),
    (
        "hardware is usable by its device while its maker is in force and nothing made it void",
        hardware_usable,
    ),
    ("a revocation voids what its device is expected from, and a registration mends it", void_and_back),
];

impl Case<'_> {
    fn maker(&mut self, called: &str) -> MakerId {
        let maker = self.builder.maker_id();
        let entry = self.builder.maker_registered(maker, called);
        self.accept([entry]);
        maker
    }

    fn withdraw(&mut self, maker: MakerId) {
        let entry = self.builder.maker_withdrawn(maker);
        self.accept([entry]);
    }

    fn expect_hardware(&mut self, device: DeviceId, maker: MakerId, hardware_id: &str) {
        let entry = self.builder.hardware_registered(device, maker, hardware_id);
        self.accept([entry]);
    }

    fn hardware(&self, environment: &str, maker: MakerId, hardware_id: &str) -> Option<HardwareRow> {
        self.store.hardware(&name(environment), maker, hardware_id).expect("rows can be read")
    }
}

fn listed(case: &mut Case<'_>) {
    let (zeta, first, acme) = (case.maker("zeta"), case.maker("acme"), case.maker("brand"));
    case.withdraw(first);
    let second = case.maker("acme");
    case.builder.move_to("plant");
    let elsewhere = case.maker("acme");
    let of = |case: &Case<'_>, environment: &str| {
        let rows = case.store.makers(&name(environment)).expect("rows can be read");
        rows.iter().map(|row| (row.maker, row.withdrawn_at.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(of(case, "lab"), [(first, true), (second, false), (acme, false), (zeta, false)]);
    assert_eq!(of(case, "plant"), [(elsewhere, false)]);
    assert_eq!(of(case, "nowhere"), []);
}

fn maker_free(case: &mut Case<'_>) {
    let free =
        |environment: &str| Precondition::MakerFree { environment: name(environment), name: name("acme") };
    assert!(case.holds(free("lab")), "nobody has it");
    let maker = case.maker("acme");
    assert!(!case.holds(free("lab")), "taken");
    assert!(case.holds(free("plant")), "taken elsewhere");
    case.withdraw(maker);
    assert!(case.holds(free("lab")), "withdrawn");
}

fn withdrawn_once(case: &mut Case<'_>) {
    let maker = case.maker("acme");
    let entry = case.builder.maker_withdrawn(maker);
    let at = entry.envelope.at;
    case.accept([entry]);
    case.withdraw(maker);
    let rows = case.store.makers(&name("lab")).expect("rows can be read");
    assert_eq!(rows.iter().map(|row| row.withdrawn_at).collect::<Vec<_>>(), [Some(at)]);
}

fn found(case: &mut Case<'_>) {
    let (device, other) = (case.device("pump-01"), case.device("pump-02"));
    let (maker, twin) = (case.maker("acme"), case.maker("brand"));
    case.expect_hardware(device, maker, "SN-1");
    case.expect_hardware(device, maker, "SN-2");
    case.expect_hardware(other, twin, "SN-1");
    let device_of = |case: &Case<'_>, environment: &str, maker, id: &str| {
        case.hardware(environment, maker, id).map(|row| row.device)
    };
    assert_eq!(device_of(case, "lab", maker, "SN-1"), Some(device));
    assert_eq!(device_of(case, "lab", twin, "SN-1"), Some(other), "another maker's");
    for (environment, id) in
        [("plant", "SN-1"), ("lab", "sn-1"), ("lab", "SN-1 "), ("lab", "SN-"), ("lab", "")]
    {
        assert_eq!(device_of(case, environment, maker, id), None, "{environment} {id:?}");
    }
    let of_device = case.store.hardware_of_device(device).expect("rows can be read");
    assert_eq!(of_device.iter().map(|row| row.hardware_id.as_str()).collect::<Vec<_>>(), ["SN-1", "SN-2"]);
    assert!(of_device.iter().all(|row| !row.void && row.maker == maker));
}

fn hardware_free(case: &mut Case<'_>) {
    let (device, other) = (case.device("pump-01"), case.device("pump-02"));
    let (maker, twin) = (case.maker("acme"), case.maker("brand"));
    let free = |environment: &str, maker, device| Precondition::HardwareFree {
        environment: name(environment),
        maker,
        hardware_id: "SN-1".into(),
        device,
    };
    assert!(case.holds(free("lab", maker, device)), "nobody's");
    case.expect_hardware(device, maker, "SN-1");
    assert!(case.holds(free("lab", maker, device)), "its own");
    assert!(!case.holds(free("lab", maker, other)), "another device's");
    assert!(case.holds(free("lab", twin, other)), "of another maker");
    assert!(case.holds(free("plant", maker, other)), "elsewhere");
    case.revoke(Some(device), &[]);
    assert!(!case.holds(free("lab", maker, other)), "void, and still another's");
}

fn hardware_usable(case: &mut Case<'_>) {
    let (device, other) = (case.device("pump-01"), case.device("pump-02"));
    let (maker, twin) = (case.maker("acme"), case.maker("brand"));
    let usable = |environment: &str, maker, id: &str, device| Precondition::HardwareUsable {
        environment: name(environment),
        maker,
        hardware_id: id.into(),
        device,
    };
    assert!(!case.holds(usable("lab", maker, "SN-1", device)), "unknown");
    case.expect_hardware(device, maker, "SN-1");
    assert!(case.holds(usable("lab", maker, "SN-1", device)), "expected");
    assert!(!case.holds(usable("lab", maker, "SN-1", other)), "by another device");
    assert!(!case.holds(usable("lab", maker, "SN-2", device)), "another piece");
    assert!(!case.holds(usable("lab", twin, "SN-1", device)), "another maker's");
    assert!(!case.holds(usable("plant", maker, "SN-1", device)), "elsewhere");
    case.withdraw(twin);
    assert!(case.holds(usable("lab", maker, "SN-1", device)), "another maker was withdrawn");
    case.withdraw(maker);
    assert!(!case.holds(usable("lab", maker, "SN-1", device)), "its maker was withdrawn");
}

fn void_and_back(case: &mut Case<'_>) {
    let (device, other) = (case.device("pump-01"), case.device("pump-02"));
    let maker = case.maker("acme");
    case.expect_hardware(device, maker, "SN-1");
    case.expect_hardware(other, maker, "SN-2");
    case.revoke(Some(device), &[]);
    let void = |case: &Case<'_>, id| case.hardware("lab", maker, id).map(|row| row.void);
    assert_eq!((void(case, "SN-1"), void(case, "SN-2")), (Some(true), Some(false)));
    let usable = |device, id: &str| Precondition::HardwareUsable {
        environment: name("lab"),
        maker,
        hardware_id: id.into(),
        device,
    };
    assert!(!case.holds(usable(device, "SN-1")) && case.holds(usable(other, "SN-2")));
    case.expect_hardware(device, maker, "SN-1");
    assert!(case.holds(usable(device, "SN-1")), "registered again");
    assert_eq!(case.store.hardware_of_device(device).expect("rows can be read").len(), 1, "in its old place");
}
