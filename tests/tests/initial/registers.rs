//! What an operator can and cannot register: each row of docs/abuse.md about makers.

use crate::factory::{FOR_EVER, Factory, Plan};
use crate::{done, touchmark};
use touchmark_tests::{Device, Lab, Operator, device_token, operator_token, program, same_as_promised};

/// R100: what could not be an anchor, or would leave open whose hardware it is, is refused with a code.
#[test]
fn what_would_leave_open_whose_hardware_it_is_is_not_registered() {
    let Some(openssl) = program("openssl") else { return };
    let lab = Lab::start();
    let make = |name: &str| Factory::new(&openssl, &lab, name, FOR_EVER);
    let (acme, other, brief) =
        (make("acme"), make("other"), Factory::new(&openssl, &lab, "brief", "20210101000000Z"));
    let file = |path: &std::path::Path| path.display().to_string();
    let leaf =
        acme.make("leaf", &Plan { subject: "/serialNumber=SN-1", extensions: "", not_after: FOR_EVER });
    let (ca, ca_of_other, ended) =
        (file(&acme.authority()), file(&other.authority()), file(&brief.authority()));
    let (issuing, leaf) = (file(&lab.issuing()), file(&leaf.certificate));
    let both = std::fs::read_to_string(&ca).unwrap() + &std::fs::read_to_string(&ca_of_other).unwrap();
    let both = file(&lab.write("both.pem", both));
    done(&lab, &["maker", "register", "acme", "--ca", &ca]);
    done(&lab, &["maker", "register", "acme", "--ca", &ca]);
    let registers = |name, id| ["device", "register", name, "--maker", "acme", "--hardware-id", id];
    done(&lab, &registers("pump-01", "SN-1"));

    let long = "7".repeat(65);
    let rows: &[(&str, &[&str], &str, &str)] = &[
        (
            "maker with a device's certificate",
            &["maker", "register", "x", "--ca", &leaf],
            "400",
            "maker-certificate",
        ),
        (
            "maker with two certificates",
            &["maker", "register", "x", "--ca", &both],
            "400",
            "maker-certificate",
        ),
        (
            "maker whose certificate has ended",
            &["maker", "register", "x", "--ca", &ended],
            "400",
            "maker-certificate",
        ),
        (
            "maker with our own certificate",
            &["maker", "register", "x", "--ca", &issuing],
            "409",
            "maker-own-authority",
        ),
        (
            "maker under a name in force",
            &["maker", "register", "acme", "--ca", &ca_of_other],
            "409",
            "maker-exists",
        ),
        ("maker with a key in force", &["maker", "register", "x", "--ca", &ca], "409", "maker-known"),
        ("withdrawal of a maker that is not in force", &["maker", "withdraw", "x"], "404", "maker-unknown"),
        (
            "hardware of a maker that is not in force",
            &["device", "register", "pump-02", "--maker", "x", "--hardware-id", "SN-2"],
            "404",
            "maker-unknown",
        ),
        ("hardware registered for another device", &registers("pump-02", "SN-1"), "409", "hardware-taken"),
        (
            "second piece of hardware for a device",
            &registers("pump-01", "SN-2"),
            "409",
            "device-has-hardware",
        ),
        ("hardware identifier with a line feed", &registers("pump-02", "SN\n2"), "400", "value-invalid"),
        ("hardware identifier of 65 characters", &registers("pump-02", &long), "400", "value-invalid"),
        (
            "hardware identifier of octets that are text",
            &registers("pump-02", "hex:534e2d31"),
            "400",
            "value-invalid",
        ),
        (
            "known device with another model",
            &["device", "register", "pump-01", "--maker", "acme", "--hardware-id", "SN-1", "--model", "x300"],
            "409",
            "device-model",
        ),
    ];
    let mut tested = Vec::new();
    for (name, words, status, code) in rows {
        let (exit, says) = touchmark(&lab, words);
        let problem = [format!("\"code\":\"{code}\""), format!("\"status\":{status}")];
        assert!(exit != 0 && problem.iter().all(|word| says.contains(word)), "{name}: {exit} {says}");
        tested.push((*name, (*status).to_owned(), *code));
    }
    same_as_promised("Makers", tested);
    assert_eq!(
        lab.operator().get("/v1/explain/pump-02").unwrap().status,
        404,
        "no device was made on the way"
    );
}

/// R100: to say whose hardware opens enrolment takes the right to change rules; to expect a device, the right to enrol.
#[test]
fn makers_are_for_those_who_change_the_rules() {
    let Some(openssl) = program("openssl") else { return };
    let lab = Lab::start();
    let mut admin = lab.operator();
    let acme = Factory::new(&openssl, &lab, "acme", FOR_EVER);
    let maker = touchmark_api::MakerOrder {
        environment: "lab".parse().unwrap(),
        name: "acme".parse().unwrap(),
        certificate: std::fs::read_to_string(acme.authority()).unwrap(),
    };
    let hardware = touchmark_api::HardwareOrder {
        environment: "lab".parse().unwrap(),
        device: "pump-01".parse().unwrap(),
        maker: "acme".parse().unwrap(),
        hardware_id: "SN-1".into(),
        model: None,
    };
    let ask = |who: &mut Operator| {
        let bodies = [
            ("/v1/makers", serde_json::to_string(&maker)),
            ("/v1/devices", serde_json::to_string(&hardware)),
        ];
        bodies.map(|(path, body)| {
            let request =
                touchmark_dial::Request::new(touchmark_dial::Method::POST, path).body(body.unwrap());
            who.send(request.header("content-type", "application/json").unwrap()).unwrap().status.as_u16()
        })
    };
    let mut enrolled = |name: &str, roles: &[&str]| {
        let token = admin.token(&operator_token(name, roles));
        let (key, chain) = Device::new(&lab).enrol(None, &token);
        Operator::with_key(&lab, &key, &chain)
    };
    let (mut fleet, mut auditor) = (enrolled("fay", &["fleet"]), enrolled("ann", &["auditor"]));
    let (key, chain) = Device::new(&lab).enrol(None, &lab.operator().token(&device_token("lab", "probe")));
    assert_eq!(ask(&mut fleet), [403, 404], "no maker yet");
    assert_eq!(ask(&mut auditor), [403, 403]);
    assert_eq!(ask(&mut Operator::with_key(&lab, &key, &chain)), [403, 403], "a device");
    assert_eq!(ask(&mut lab.operator()), [201, 201]);
    assert_eq!(ask(&mut lab.operator()), [200, 201], "once more says the same");
    assert_eq!(ask(&mut fleet), [403, 201]);
}
