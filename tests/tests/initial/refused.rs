//! Each row of docs/abuse.md about initial certificates: what it is answered, and that it leaves nothing.

use crate::factory::{FOR_EVER, Factory, Pair, Plan, from_now, module, request};
use crate::{done, enrol};
use std::time::SystemTime;
use touchmark_tests::{Lab, program, refusal_is_recorded, same_as_promised, thief, until};

/// R6, R29, R30, R55, R108: what is not expected, not proven or not a maker's opens nothing, and says why.
#[test]
fn what_a_makers_certificate_does_not_open() {
    let (Some(openssl), Some(curl)) = (program("openssl"), program("curl")) else { return };
    let lab = Lab::start();
    let mut operator = lab.operator();
    operator.environment("plant", None);
    let make = |name: &str, not_after: &str| Factory::new(&openssl, &lab, name, not_after);
    let (acme, other, plants, unknown) = (
        make("acme", FOR_EVER),
        make("other", FOR_EVER),
        make("plants", FOR_EVER),
        make("unknown", FOR_EVER),
    );
    // Long enough to be registered on a busy machine.
    let brief = make("brief", &from_now(15));
    let gone = make("gone", FOR_EVER);
    let file = |factory: &Factory<'_>| factory.authority().display().to_string();
    for (name, factory, environment) in [
        ("acme", &acme, "lab"),
        ("acme", &acme, "plant"),
        ("other", &other, "lab"),
        ("plants", &plants, "plant"),
        ("brief", &brief, "lab"),
        ("gone", &gone, "lab"),
    ] {
        done(&lab, &["maker", "register", name, "--env", environment, "--ca", &file(factory)]);
    }
    for (name, maker, id, environment) in [
        ("pump-01", "acme", "SN-1", "lab"),
        ("pump-02", "acme", "SN-2", "plant"),
        ("pump-03", "plants", "SN-3", "plant"),
        ("pump-04", "brief", "SN-4", "lab"),
        ("pump-05", "gone", "SN-5", "lab"),
        ("pump-06", "acme", "SN-6", "lab"),
        ("pump-07", "acme", "SN-7", "lab"),
        ("pump-08", "acme", "SN-8", "lab"),
        ("pump-09", "acme", "dead", "lab"),
    ] {
        let words = ["device", "register", name, "--env", environment, "--maker", maker, "--hardware-id", id];
        done(&lab, &words);
    }
    done(&lab, &["maker", "withdraw", "gone"]);
    operator.contain("pump-06", "quarantine", &Default::default()).unwrap();
    operator.revoke("pump-07");
    operator.contain("pump-08", "ban", &Default::default()).unwrap();

    let plan = |factory: &Factory<'_>, name: &str, subject: &str, extensions: &str| -> Pair {
        factory.make(name, &Plan { subject, extensions, not_after: FOR_EVER })
    };
    let good = acme.initial("SN-1");
    let own_key = request(&openssl, &lab, "own-key", "/", Some(&good.key));
    let another = request(&openssl, &lab, "another", "/CN=pump-02", None);
    let plain = request(&openssl, &lab, "plain", "/", None);
    let spelt = module("DEAD").replace("FORMAT:ASCII", "FORMAT:HEX");
    let octets = plan(&acme, "octets", "/O=acme", &spelt);
    let authority =
        "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, digitalSignature, keyCertSign";
    let rows = [
        ("hardware that is not registered", "", acme.initial("SN-9"), &plain, "403", "hardware-unknown"),
        (
            "another maker's hardware with the same number",
            "",
            other.initial("SN-1"),
            &plain,
            "403",
            "hardware-unknown",
        ),
        (
            "hardware registered in another environment",
            "",
            acme.initial("SN-2"),
            &plain,
            "403",
            "hardware-unknown",
        ),
        (
            "hardware whose octets the registered text spells",
            "",
            octets.clone(),
            &plain,
            "403",
            "hardware-unknown",
        ),
        (
            "hardware of another environment's maker",
            "",
            plants.initial("SN-3"),
            &plain,
            "403",
            "maker-unknown",
        ),
        (
            "hardware of an unknown maker",
            "",
            unknown.initial("SN-1"),
            &plain,
            "TLS alert",
            "path-unknown-issuer",
        ),
        ("hardware of a maker that ended", "", brief.initial("SN-4"), &plain, "TLS alert", "path-expired"),
        (
            "hardware of a maker that was withdrawn",
            "",
            gone.initial("SN-5"),
            &plain,
            "TLS alert",
            "path-unknown-issuer",
        ),
        ("hardware of a quarantined device", "", acme.initial("SN-6"), &plain, "403", "device-quarantined"),
        ("hardware registered before a revocation", "", acme.initial("SN-7"), &plain, "403", "hardware-void"),
        ("hardware of a banned device", "", acme.initial("SN-8"), &plain, "403", "device-banned"),
        (
            "initial certificate of an authority",
            "",
            plan(&acme, "ca-true", "/serialNumber=SN-1", authority),
            &plain,
            "TLS alert",
            "path-leaf-is-authority",
        ),
        (
            "initial certificate for servers",
            "",
            plan(&acme, "server", "/serialNumber=SN-1", "extendedKeyUsage = serverAuth"),
            &plain,
            "TLS alert",
            "path-not-authorised",
        ),
        (
            "initial certificate that names two pieces",
            "",
            plan(&acme, "two", "/serialNumber=SN-1", &module("SN-2")),
            &plain,
            "403",
            "hardware-id-disagreeing",
        ),
        (
            "initial certificate that names none",
            "",
            plan(&acme, "none", "/CN=SN-1", ""),
            &plain,
            "403",
            "hardware-id-missing",
        ),
        (
            "initial certificate whose identity is a name of ours",
            "",
            plan(
                &acme,
                "uri",
                "/CN=pump-01",
                "subjectAltName = URI:spiffe://lab.touchmark.internal/d/pump-01",
            ),
            &plain,
            "403",
            "hardware-id-missing",
        ),
        ("request for the key of the initial certificate", "", good.clone(), &own_key, "403", "initial-key"),
        ("request for another device's name", "", good.clone(), &another, "400", "csr-name"),
        ("unknown environment", "nowhere/", good.clone(), &plain, "404", "est-unknown-path"),
    ];
    let ended = SystemTime::UNIX_EPOCH
        + std::time::Duration::from_secs(
            Pair { certificate: brief.authority(), key: brief.authority() }.read()[0]
                .validity()
                .not_after()
                .unix_s()
                + 1,
        );
    until("a maker's certificate to end", || (SystemTime::now() > ended).then_some(()));
    let mut tested = Vec::new();
    for (name, label, initial, request, answer, code) in &rows {
        let said = enrol(&curl, &lab, label, initial, request);
        let expected = answer.parse().unwrap_or(0);
        assert_eq!(said.status, expected, "{name}: {} {}", said.text(), said.says);
        if expected == 0 {
            assert!(said.says.contains("alert"), "{name}: {}", said.says);
            refusal_is_recorded(&lab, "est/handshake", code);
        } else {
            assert!(said.text().contains(&format!("({code})")), "{name}: {}", said.text());
            refusal_is_recorded(&lab, "est/simpleenroll", code);
        }
        tested.push((*name, (*answer).to_owned(), *code));
    }
    // Somebody who copied the certificate off the label, and has no key of it.
    let address = lab.est().rsplit('/').next().unwrap().to_owned();
    let heard =
        thief(&lab, &address, &good.read(), b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: lab\r\n\r\n");
    assert!(heard.as_ref().is_err_and(|how| how.contains("alert")), "{heard:?}");
    refusal_is_recorded(&lab, "est/handshake", "bad-possession");
    tested.push(("copied initial certificate", "TLS alert".to_owned(), "bad-possession"));
    same_as_promised("Initial certificates", tested);

    assert!(operator.explain("pump-01").unwrap().certificates.is_empty(), "nothing was issued");
    assert_eq!(enrol(&curl, &lab, "", &good, &plain).status, 200, "what is expected enrols all the same");
    done(&lab, &["device", "register", "pump-10", "--maker", "acme", "--hardware-id", "hex:dead"]);
    let its_own = request(&openssl, &lab, "octets", "/CN=pump-10", None);
    let said = enrol(&curl, &lab, "", &octets, &its_own);
    assert_eq!(said.status, 200, "octets are registered as octets: {}", said.text());
}
