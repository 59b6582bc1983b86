//! From the factory to the first message, and what each verb of containment does to the way back.

use crate::factory::{FOR_EVER, Factory, Pair, request};
use crate::{certificate, done, enrol, touchmark};
use std::path::PathBuf;
use touchmark_identity::Fingerprint;
use touchmark_tests::{Broker, Curl, Lab, Program, leaves, program, until};

/// The words with which mosquitto_pub presents a device.
fn publish(publisher: &Program, lab: &Lab, pair: &Pair, version: &str, message: &str) -> String {
    let file = |path: &PathBuf| path.display().to_string();
    let (host, port) = lab.mqtt().rsplit_once(':').unwrap();
    let mut command = publisher.command();
    command.args(["-h", host, "-p", port, "-i", "pump-01", "-V", version, "-q", "1"]);
    command.args(["--cafile", &file(&lab.gateway_anchors()), "--cert", &file(&pair.certificate)]);
    command.args(["--key", &file(&pair.key), "-t", "plant/pump-01/temp", "-m", message]);
    let output = command.output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// R6, R15, R29, R55: a maker's device that is expected enrols by itself, gets its own operational identity, and
/// only that opens a port.
#[test]
fn a_makers_device_enrols_and_its_initial_certificate_opens_nothing_else() {
    let (Some(openssl), Some(curl), Some(publisher)) =
        (program("openssl"), program("curl"), program("mosquitto_pub"))
    else {
        return;
    };
    let mut lab = Lab::start();
    let Some(broker) = Broker::start(&lab) else { return };
    lab.start_gateway(&["--upstream-mqtt", &broker.address()]);
    let mut operator = lab.operator();
    let acme = Factory::new(&openssl, &lab, "acme", FOR_EVER);
    let initial = acme.initial("SN-4711");
    let wanted = request(&openssl, &lab, "pump-01", "/CN=pump-01", None);

    assert_eq!(enrol(&curl, &lab, "", &initial, &wanted).status, 0, "nobody knows the maker");
    done(&lab, &["maker", "register", "acme", "--ca", &acme.authority().display().to_string()]);
    let unknown = enrol(&curl, &lab, "", &initial, &wanted);
    assert_eq!(unknown.status, 403);
    assert!(unknown.text().contains("(hardware-unknown)"), "{}", unknown.text());
    let words =
        ["device", "register", "pump-01", "--maker", "acme", "--hardware-id", "SN-4711", "--model", "x200"];
    let registered = done(&lab, &words);
    assert!(
        registered.contains("\"model\": \"x200\"") || registered.contains("\"model\":\"x200\""),
        "{registered}"
    );
    done(&lab, &words);

    // The gateway has heard of the maker by now, or will: an unknown one would get an alert.
    let fingerprint = initial.read()[0].fingerprint();
    for version in ["5", "311"] {
        until("the gateway to know the maker", || {
            let says = publish(&publisher, &lab, &initial, version, "forged").to_lowercase();
            (says.contains("not authorized") || says.contains("not authorised")).then_some(())
        });
    }
    let denied = until("the decision", || {
        let all = operator.all_decisions("?verdict=deny");
        all.into_iter().find(|decision| decision.certificate == fingerprint.to_string().parse().ok())
    });
    assert_eq!((denied.reason.as_str(), denied.action.to_string().as_str()), ("initial-identity", "connect"));
    assert_eq!(denied.proof.clone().unwrap(), "mtls");
    let explained = operator.explain(&denied.id.to_string()).unwrap();
    assert!(explained.certificates.is_empty() && explained.decision == Some(denied), "{explained:?}");

    let answer = enrol(&curl, &lab, "lab/", &initial, &wanted);
    let operational = certificate(&openssl, &lab, &answer);
    assert_eq!(operational.uri_sans(), ["spiffe://lab.touchmark.internal/d/pump-01"]);
    assert_eq!(operational.scope(), ["custody:software", "model:x200"]);
    assert!(answer.header("touchmark-renewal").is_some(), "{:?}", answer.headers);
    let again = certificate(&openssl, &lab, &enrol(&curl, &lab, "", &initial, &wanted));
    assert_eq!(again, operational, "the same request, the same certificate");

    let pair = Pair { certificate: lab.write("pump-01.crt", operational.to_pem()), key: wanted.key.clone() };
    publish(&publisher, &lab, &pair, "5", "21");
    broker.sees("plant/pump-01/temp", "21");
    publish(&publisher, &lab, &initial, "5", "forged");
    assert!(broker.seen_until_now().iter().all(|(_, message)| message != "forged"));
    let explained = operator.explain("pump-01").unwrap();
    assert_eq!(explained.certificates[0].fingerprint, Some(operational.fingerprint()));
    until("the use to confirm it", || {
        (operator.explain("pump-01").unwrap().certificates[0].state == "confirmed").then_some(())
    });
    nothing_private_in_the_log(&lab, &fingerprint);
    initial_opens_no_other_route(&curl, &lab, &initial);
}

/// What identifies hardware is in nobody's copy of the log.
fn nothing_private_in_the_log(lab: &Lab, _initial: &Fingerprint) {
    let has = |leaf: &[u8], text: &[u8]| leaf.windows(text.len()).any(|window| window == text);
    // A head comes some time after the entries that it covers.
    let all = until("the maker, which is public, to stand in the log", || {
        let all = leaves(&lab.data().join("log"));
        all.iter().any(|leaf| has(leaf, b"acme")).then_some(all)
    });
    assert!(!all.iter().any(|leaf| has(leaf, b"SN-4711")), "the hardware is not");
}

/// On EST's port the initial certificate is good for `simpleenroll` alone; on the API's it is a stranger's.
fn initial_opens_no_other_route(curl: &Program, lab: &Lab, initial: &Pair) {
    let present = |url: String, more: &[&str]| {
        let files = [&initial.certificate, &initial.key].map(|path| path.display().to_string());
        Curl::new(curl, lab).with(&["--cert", &files[0], "--key", &files[1]]).with(more).send(&url).status
    };
    let csr = format!("@{}", lab.path("pump-01.der").display());
    let post = ["-H", "Content-Type: application/pkcs10", "--data-binary", &csr];
    assert_eq!(present(format!("{}/.well-known/est/cacerts", lab.est()), &[]), 200, "open to all");
    for (route, more, status) in [
        ("/.well-known/est/simplereenroll", &post[..], 403),
        ("/.well-known/touchmark/confirm", &["-X", "POST"], 403),
        ("/.well-known/touchmark/renewal", &[], 403),
    ] {
        assert_eq!(present(format!("{}{route}", lab.est()), more), status, "{route}");
    }
    assert_eq!(present(format!("{}/v1/devices", lab.api()), &[]), 0, "TLS alert");
}

/// R59: a revocation voids what was registered, registering again lets the hardware back in, a ban does not, and a
/// maker that is withdrawn opens nothing while what enrolled goes on.
#[test]
fn the_way_back_is_registered_anew_or_closed() {
    let (Some(openssl), Some(curl)) = (program("openssl"), program("curl")) else { return };
    let lab = Lab::start();
    let mut operator = lab.operator();
    let acme = Factory::new(&openssl, &lab, "acme", FOR_EVER);
    let (one, two) = (acme.initial("SN-1"), acme.initial("SN-2"));
    done(&lab, &["maker", "register", "acme", "--ca", &acme.authority().display().to_string()]);
    let register = |name, id| ["device", "register", name, "--maker", "acme", "--hardware-id", id];
    done(&lab, &register("pump-01", "SN-1"));
    done(&lab, &register("pump-02", "SN-2"));
    let wanted = |n: u32| request(&openssl, &lab, &format!("wanted-{n}"), "/", None);
    let first = wanted(1);
    let before = certificate(&openssl, &lab, &enrol(&curl, &lab, "", &one, &first));
    let other = certificate(&openssl, &lab, &enrol(&curl, &lab, "", &two, &wanted(2)));

    let refused = |pair, request: &_, code: &str| {
        let answer = enrol(&curl, &lab, "", pair, request);
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(answer.text().contains(&format!("({code})")), "{}", answer.text());
    };
    operator.revoke("pump-01");
    refused(&one, &first, "hardware-void");
    refused(&one, &wanted(3), "hardware-void");
    done(&lab, &register("pump-01", "SN-1"));
    refused(&one, &first, "key-not-usable");
    let back = certificate(&openssl, &lab, &enrol(&curl, &lab, "", &one, &wanted(4)));
    assert_ne!(back, before);
    operator.contain("pump-01", "quarantine", &Default::default()).unwrap();
    refused(&one, &wanted(5), "device-quarantined");
    operator.contain("pump-01", "ban", &Default::default()).unwrap();
    refused(&one, &wanted(6), "device-banned");
    let (code, says) = touchmark(&lab, &register("pump-01", "SN-1"));
    assert!(code != 0 && says.contains("device-banned"), "{says}");

    done(&lab, &["maker", "withdraw", "acme"]);
    assert_eq!(enrol(&curl, &lab, "", &two, &wanted(7)).status, 0, "TLS alert");
    let explained = operator.explain("pump-02").unwrap();
    assert_eq!(explained.certificates[0].fingerprint, Some(other.fingerprint()));
    assert_eq!(explained.certificates[0].state, "issued", "it goes on");
    let makers = done(&lab, &["maker", "list"]);
    assert!(makers.contains("withdrawn_at"), "{makers}");
}
