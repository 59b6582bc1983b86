//! The same device over HTTP: publish and request-update, decided by the same policy and recorded in the same log.

use crate::installation::{Enrolled, Installation};
use touchmark_dial::{
    BaseUrl, BlockingHttp, ClientIdentity, ClientTls, DialFault, HttpClient, Request, Response,
};
use touchmark_tests::{Lab, until};

pub(crate) fn client(lab: &Lab, device: Option<&Enrolled>) -> BlockingHttp {
    let identity = device.map(|device| {
        let chain = device.chain.iter().map(|certificate| certificate.der().to_vec()).collect();
        ClientIdentity::from_der(chain, device.key.pkcs8())
    });
    let anchors = std::fs::read(lab.gateway_anchors()).unwrap();
    let tls = ClientTls::from_pem(&anchors, identity, Default::default()).unwrap();
    let base: BaseUrl = lab.http().parse().unwrap();
    BlockingHttp::new(HttpClient::new(base, Some(tls)).unwrap()).unwrap()
}

fn publish(http: &mut BlockingHttp, topic: &str) -> Result<Response, DialFault> {
    http.send(Request::post(format!("/publish/{topic}"), "text/plain", "over http").unwrap())
}

/// R36: a device that enrolled once publishes over HTTP too; publishing and asking for updates are decided
/// apart; a revocation ends both.
#[test]
fn http_is_decided_like_mqtt() {
    let Some(installation) = Installation::start() else { return };
    let mut operator = installation.lab.operator();
    let device = installation.enrol("pump-01");
    let mut http = client(&installation.lab, Some(&device));
    let sent = publish(&mut http, "plant/pump-01/temp").unwrap();
    assert!(sent.status.is_success(), "{sent:?}");
    installation.broker.sees("plant/pump-01/temp", "over http");
    operator.decided("pump-01", "publish", "plant/pump-01/temp", "allow");
    let denied = publish(&mut http, "plant/pump-02/temp").unwrap();
    assert_eq!(denied.status, 403, "{denied:?}");
    assert_eq!(operator.decided("pump-01", "publish", "plant/pump-02/temp", "deny").reason, "no-rule");
    for topic in
        ["plant/pump-01/../pump-02/x", "plant/pump-01/%2e%2e/x", "plant/%23", "%2e%2e/%2e%2e/etc/passwd"]
    {
        let answer = publish(&mut http, topic).unwrap();
        assert!(answer.status.is_client_error(), "{topic}: {answer:?}");
    }
    // It has no model: no rule gives it updates, whatever it may publish.
    let update = http.send(Request::get("/updates/x200/firmware.bin")).unwrap();
    assert_eq!(update.status, 403, "{update:?}");

    assert!(
        publish(&mut client(&installation.lab, None), "plant/pump-01/temp").is_err(),
        "no certificate, no HTTP"
    );
    operator.revoke("pump-01");
    until("the revocation to end it", || match publish(&mut http, "plant/pump-01/late") {
        Ok(answer) if answer.status == 403 => Some(()),
        Ok(_) => None,
        Err(_) => Some(()),
    });
    let mut again = client(&installation.lab, Some(&device));
    assert_eq!(publish(&mut again, "plant/pump-01/later").unwrap().status, 403);
    let seen = installation.broker.seen_until_now();
    assert!(
        seen.iter().all(|(topic, _)| topic == "plant/pump-01/temp" || topic.ends_with("/late")),
        "{seen:?}"
    );
    assert!(!seen.iter().any(|(topic, _)| topic.ends_with("/later")), "{seen:?}");
}
