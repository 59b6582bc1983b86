//! Whom the gateway asks: the authority's own certificate, and nobody who has another one for the same host.

use super::*;
use crate::lab::{Holder, Lab, Running, version};
use crate::trust::DevicePaths;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use touchmark_dial::TlsReason;
use touchmark_listen::{Accepted, Limits, PortPolicy, ServerTls, StopSwitch, bind, serve_tls};
use touchmark_status::Change;

/// A server with this pair that answers everything; gives its address and how many octets it was sent.
fn serve(lab: &Lab, holder: &Holder, running: &Running) -> (String, Arc<AtomicUsize>, StopSwitch) {
    let chain = vec![holder.certificate.der().to_vec(), lab.issuing.certificate.der().to_vec()];
    let server = ServerIdentity::new(chain, holder.key.to_pkcs8()).unwrap();
    let paths = Arc::new(DevicePaths(Arc::clone(&running.trust)));
    let tls = ServerTls::new(PortPolicy::Device, &server, paths, lab.clock()).unwrap();
    let bound = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap();
    let url = format!("https://{}", bound.address());
    let (switch, stop) = StopSwitch::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let serve = move |mut accepted: Accepted, _| {
        let counted = Arc::clone(&counted);
        Box::pin(async move {
            while accepted.stream.read_u8().await.is_ok() {
                if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                    accepted.stream.write_all(answer).await.unwrap();
                    accepted.stream.flush().await.unwrap();
                }
            }
        })
    };
    tokio::spawn(serve_tls(bound, tls, Limits::default(), stop, serve, |_, _| {}));
    (url, asked, switch)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_authority_is_asked_and_not_once_it_is_revoked() {
    let lab = Lab::new();
    let running = lab.run(None);
    let holder = |name: &str| lab.holder(&format!("spiffe://lab.touchmark.internal/{name}"), &[], 86_400);
    let (own, fresh, key) = (holder("s/authority"), holder("s/authority"), holder("s/authority"));
    for change in [lab.revoke(&own), Change::DenyKey(key.certificate.spki_hash())] {
        running.trust.fold(&lab.publish(vec![change]), None, lab.now()).unwrap();
    }
    let rows = [
        ("the authority", fresh, None),
        ("a gateway, its own pair", holder("s/gateway-1"), Some("s/gateway-1, not the authority's own")),
        ("another service", holder("s/authority-2"), Some("s/authority-2, not the authority's own")),
        ("a device of that name", holder("d/authority"), Some("d/authority, not the authority's own")),
        ("the authority, revoked", own, Some("and revoked")),
        ("the authority, its key denied", key, Some("and revoked")),
    ];
    for (name, holder, refused) in rows {
        let (url, octets, switch) = serve(&lab, &holder, &running);
        let mut config = lab.config();
        config.authority_api = url;
        let credential = Credential::read(&config.credential).unwrap();
        let uplink = Arc::new(Uplink::new(&config, &credential, &running.trust).unwrap());
        let answer = uplink.caller().ask(Request::get("/v1/log")).await;
        match (answer, refused) {
            (Ok(_), None) => assert!(octets.load(Ordering::SeqCst) > 0, "{name}"),
            (Err(DialFault::Tls { reason: TlsReason::NotTheAuthority(why), .. }), Some(expected)) => {
                assert!(why.ends_with(expected), "{name}: {why}");
                assert_eq!(octets.load(Ordering::SeqCst), 0, "{name}: nothing was said to it");
            }
            (answer, _) => panic!("{name}: {:?}", answer.map(|answer| answer.status)),
        }
        switch.stop();
    }
    // Another authority's serial number is not this one's.
    let other = holder("s/authority");
    let elsewhere = Change::Revoke {
        authority_version: version(9),
        serial: *other.certificate.serial(),
        revocation: match lab.revoke(&other) {
            Change::Revoke { revocation, .. } => revocation,
            change => panic!("{change:?}"),
        },
    };
    running.trust.fold(&lab.publish(vec![elsewhere]), None, lab.now()).unwrap();
    let above = std::slice::from_ref(&lab.issuing.certificate);
    assert!(!touchmark_dial::KnownStatus::is_revoked(&*running.trust, &other.certificate, above));
    running.switch.stop();
}
