//! Policy at work: each action by itself, and a change that reaches sessions that are open.

use crate::http::client;
use crate::installation::{Enrolled, Installation};
use touchmark_api::{Policy, PolicyDocument};
use touchmark_dial::{Method, Request};
use touchmark_mqtt::QoS;
use touchmark_tests::{Device, Mqtt, Operator, device_token, until};

pub(crate) fn activate(operator: &mut Operator, more: &str) {
    let path = "/v1/environments/lab/policy";
    let policy: Policy = operator.get(path).unwrap().json().unwrap();
    let mut files = policy.files;
    files.retain(|(name, _)| name != "more.cedar");
    if !more.is_empty() {
        files.push(("more.cedar".to_owned(), more.to_owned()));
    }
    let document = PolicyDocument { files, topics: policy.topics, ..PolicyDocument::default() };
    let request = Request::new(Method::PUT, path).json(&document).unwrap();
    let answer = operator.send(request).unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

/// R37, R62: a device may publish and not ask for updates, and the reverse; a change of policy holds for the session
/// that is open, in both directions, and each decision names the rule.
#[test]
fn actions_are_decided_apart_and_a_change_reaches_open_sessions() {
    let Some(installation) = Installation::start() else { return };
    let mut operator = installation.lab.operator();
    let mut order = device_token("lab", "pump-01");
    order.model = Some("x200".parse().unwrap());
    let (key, chain) = Device::new(&installation.lab).enrol(None, &operator.token(&order));
    let device = Enrolled { name: "pump-01".into(), key, chain };
    let plain = installation.enrol("plain-01");
    let update = |device: &Enrolled, model: &str| {
        let request = Request::get(format!("/updates/{model}/firmware.bin"));
        client(&installation.lab, Some(device)).send(request).unwrap().status.as_u16()
    };
    let mut session = Mqtt::welcome(&installation.lab, device.identity(), "pump-01");
    let mut publish = || session.publish("plant/pump-01/x", "x", QoS::AtLeastOnce).unwrap();

    assert_eq!(publish(), Some(0));
    assert_eq!(update(&plain, "x200"), 403, "no model, no updates");
    assert_eq!(update(&device, "x300"), 403, "another model's");
    assert_eq!(update(&device, "x200"), 404, "its own, where there is no file");
    operator.decided("pump-01", "request-update", "x200/firmware.bin", "allow");

    activate(&mut operator, "@id(\"quiet\")\nforbid (principal, action == Action::\"publish\", resource);\n");
    until("the open session to be forbidden to publish", || (publish() == Some(0x87)).then_some(()));
    let denied = operator.decided("pump-01", "publish", "plant/pump-01/x", "deny");
    assert_eq!((denied.reason.as_str(), denied.rule.as_deref()), ("forbidden-by-rule", Some("quiet")));
    assert_eq!(update(&device, "x200"), 404, "updates without publishing");

    activate(&mut operator, "");
    until("the open session to be permitted again", || (publish() == Some(0)).then_some(()));
}
