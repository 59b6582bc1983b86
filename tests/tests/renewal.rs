//! Renewal with clients that others wrote: curl with OpenSSL, and strongSwan's pki. The new certificate counts once it
//! is used, or once its holder says so; until then the old one does.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::PathBuf;
use std::time::SystemTime;
use touchmark_api::{EnvironmentOrder, Renewals, TokenInfo, TokenKind};
use touchmark_dial::{Method, Request};
use touchmark_enrol::{RenewalHint, RenewalWindow};
use touchmark_identity::Timestamp;
use touchmark_tests::{
    Answer, Curl, Holder, Key, Lab, Operator, Program, device_token, environment_order, operator_token,
    program, until,
};
use touchmark_x509::Certificate;

const EST: &str = "/.well-known/est";
const OURS: &str = "/.well-known/touchmark";

/// A device that is nothing but files and two programs.
struct Shelf<'a> {
    curl: &'a Program,
    openssl: &'a Program,
    lab: &'a Lab,
    name: &'a str,
}

impl Shelf<'_> {
    fn file(&self, turn: &str, extension: &str) -> PathBuf {
        self.lab.path(&format!("{}-{turn}.{extension}", self.name))
    }

    fn text(&self, turn: &str, extension: &str) -> String {
        self.file(turn, extension).display().to_string()
    }

    /// A new key and a request for it, by OpenSSL.
    fn request(&self, turn: &str) -> String {
        let (key, csr) = (self.text(turn, "key"), self.text(turn, "csr"));
        let p256 = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &key];
        self.openssl.good(p256);
        let subject = format!("/CN={}", self.name);
        self.openssl.good(["req", "-new", "-key", &key, "-subj", &subject, "-out", &csr]);
        csr
    }

    /// A transfer with the certificate of an earlier turn.
    fn with(&self, turn: &str) -> Curl<'_> {
        let (certificate, key) = (self.text(turn, "crt"), self.text(turn, "key"));
        Curl::new(self.curl, self.lab).with(&["--cert", &certificate, "--key", &key])
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.lab.est())
    }

    fn enrol(&self, turn: &str) -> Certificate {
        let token = self.lab.operator().token(&device_token("lab", self.name));
        let body = format!("@{}", self.request(turn));
        let curl = Curl::new(self.curl, self.lab).user(token.username.as_str(), &token.password);
        let answer = curl.with(&["--data-binary", &body]).send(&self.url(&format!("{EST}/simpleenroll")));
        self.keep(turn, &answer)
    }

    fn renew(&self, with: &str, turn: &str, more: &[&str]) -> Answer {
        let body = format!("@{}", self.text(turn, "csr"));
        let arguments = ["-H", "Content-Type: application/pkcs10", "--data-binary", &body];
        self.with(with).with(&arguments).with(more).send(&self.url(&format!("{EST}/simplereenroll")))
    }

    /// The certificate in an answer, kept in a file, and verified by OpenSSL.
    fn keep(&self, turn: &str, answer: &Answer) -> Certificate {
        assert_eq!(answer.status, 200, "{}: {} {}", self.name, answer.text(), answer.says);
        let bag = STANDARD.decode(answer.text().replace(['\r', '\n'], "")).unwrap();
        std::fs::write(self.file(turn, "p7"), bag).unwrap();
        let bag = self.text(turn, "p7");
        let pem = self.openssl.good_text(["pkcs7", "-inform", "DER", "-in", &bag, "-print_certs"]);
        let all = Certificate::from_pem_many(&pem).unwrap();
        let leaf = all.into_iter().find(|certificate| !certificate.is_ca()).unwrap();
        std::fs::write(self.file(turn, "crt"), leaf.to_pem()).unwrap();
        let (anchors, file) = (self.lab.anchors().display().to_string(), self.text(turn, "crt"));
        self.openssl.good(["verify", "-CAfile", &anchors, "-purpose", "sslclient", &file]);
        let of_key = self.openssl.good_text(["pkey", "-pubout", "-in", &self.text(turn, "key")]);
        assert_eq!(self.openssl.good_text(["x509", "-noout", "-pubkey", "-in", &file]), of_key);
        leaf
    }
}

fn states(operator: &mut Operator, device: &str) -> Vec<String> {
    operator.explain(device).unwrap().certificates.into_iter().map(|row| row.state.to_string()).collect()
}

fn renewals(operator: &mut Operator, device: &str) -> Renewals {
    operator.explain(device).unwrap().renewals.expect("it renewed")
}

/// The window of an answer lies in the tenth of the life that ends at two thirds, and `Retry-After` leads to it.
fn assert_planned(window: RenewalWindow, retry_after: &str, certificate: &Certificate) {
    let validity = certificate.validity();
    let life_s = validity.lifetime().as_secs();
    let begins = validity.not_before().unix_s();
    assert!(window.start().unix_s() >= begins + life_s * 2 / 3 - life_s / 10 - 1, "{window}");
    assert!(window.end().unix_s() <= begins + life_s * 2 / 3, "{window}");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let wait: u64 = retry_after.parse().unwrap();
    assert!((now + wait).abs_diff(window.start().unix_s()) <= 5, "{retry_after} s from now is not {window}");
}

/// R7, R29, R40, R44, R64, R71: curl renews with the old certificate; the old one serves until the first use of the new
/// one, which confirms it; the window for the next renewal stands in both answers, and the history in the inventory.
#[test]
fn curl_renews_and_the_first_use_confirms() {
    let (Some(curl), Some(openssl)) = (program("curl"), program("openssl")) else { return };
    let lab = Lab::start();
    let mut operator = lab.operator();
    for (name, more) in [
        ("pump-tls13", &["--tlsv1.3"][..]),
        ("pump-tls12", &["--tlsv1.2", "--tls-max", "1.2"]),
        ("pump-chunked", &["-H", "Transfer-Encoding: chunked"]),
    ] {
        let device = Shelf { curl: &curl, openssl: &openssl, lab: &lab, name };
        let first = device.enrol("one");
        device.request("two");
        let answer =
            device.renew("one", "two", &[more, &["-H", "Touchmark-Renewal-Manner: automatic"]].concat());
        let second = device.keep("two", &answer);
        assert_ne!(second.spki_hash(), first.spki_hash(), "{name}: another key");
        assert_ne!(second.serial(), first.serial(), "{name}: another serial");
        assert_eq!(second.uri_sans(), first.uri_sans(), "{name}: the same identity");
        let window = RenewalWindow::from_header(answer.header("touchmark-renewal").unwrap()).unwrap();
        assert_planned(window, answer.header("retry-after").unwrap(), &second);
        assert_eq!(states(&mut operator, name), ["issued", "confirmed"], "{name}: the old one serves on");

        let hint = device.with("two").send(&device.url(&format!("{OURS}/renewal")));
        assert_eq!(hint.status, 200, "{name}: {}", hint.text());
        let read = RenewalHint::from_json(&hint.body).unwrap();
        assert_planned(read.window, hint.header("retry-after").unwrap(), &second);
        assert_eq!(
            states(&mut operator, name),
            ["confirmed", "superseded"],
            "{name}: used, and so confirmed"
        );

        let renewals = renewals(&mut operator, name);
        assert_eq!((renewals.renewals, renewals.refused, renewals.clone_alarms), (1, 0, 0), "{name}");
        assert_eq!(
            (renewals.last_outcome.as_deref(), renewals.last_manner.map(|manner| manner.to_string())),
            (Some("renewed"), Some("automatic".to_owned()))
        );
        let lead = renewals.last_lead_s.unwrap();
        let life = i64::try_from(first.validity().lifetime().as_secs()).unwrap();
        assert!((life * 8 / 10..=life).contains(&lead), "{name}: {lead} s of {life} s were left");
    }
}

/// R29, R44: a lost answer is asked for again with the same octets and gets the same certificate; another request gets
/// another one, in the place of the first; a POST confirms, twice if need be.
#[test]
fn a_lost_answer_locks_nobody_out_and_a_post_confirms() {
    let (Some(curl), Some(openssl)) = (program("curl"), program("openssl")) else { return };
    let mut lab = Lab::start();
    let device = Shelf { curl: &curl, openssl: &openssl, lab: &lab, name: "pump-01" };
    device.enrol("one");
    device.request("two");
    let lost = device.renew("one", "two", &[]);
    let lost_one = device.keep("two", &lost);
    lab.kill_authority();
    lab.restart();
    let device = Shelf { curl: &curl, openssl: &openssl, lab: &lab, name: "pump-01" };
    let again = device.renew("one", "two", &[]);
    assert_eq!(again.body, lost.body, "the same, across a kill -9 of the authority");
    device.request("three");
    let third = device.keep("three", &device.renew("one", "three", &[]));
    assert_ne!(third.fingerprint(), lost_one.fingerprint());
    let mut operator = lab.operator();
    assert_eq!(states(&mut operator, "pump-01"), ["issued", "superseded", "confirmed"]);

    let confirm = |turn: &str, more: &[&str]| {
        device.with(turn).with(&["-X", "POST"]).with(more).send(&device.url(&format!("{OURS}/confirm")))
    };
    let meant = third.fingerprint().to_string();
    for more in [&[][..], &[], &["--data", &meant]] {
        let answer = confirm("three", more);
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    assert_eq!(states(&mut operator, "pump-01"), ["confirmed", "superseded", "superseded"]);
    assert_eq!(confirm("one", &[]).status, 403, "it was the current one before");
    let get = device.with("three").send(&device.url(&format!("{OURS}/confirm")));
    assert_eq!(get.status, 405);
}

/// R29, R44: strongSwan's `pki --est --cert --key` renews, with a request that names what it is.
#[test]
fn strongswan_renews_with_its_certificate() {
    let Some(pki) = program("pki") else { return };
    let lab = Lab::start();
    let (root, issuing) = (lab.root().display().to_string(), lab.issuing().display().to_string());
    let url = format!("https://localhost:{}", lab.est().rsplit(':').next().unwrap());
    let first = Holder::enrolled(&lab, &lab.operator().token(&device_token("lab", "pump-01")));
    let certificate = lab.write("pump-01.crt", first.chain[0].to_pem()).display().to_string();
    let key = lab.write("pump-01.key", first.key.pem()).display().to_string();
    let new_key = Key::new();
    let csr = lab.write("pump-01.csr", new_key.request("pump-01")).display().to_string();
    let arguments = ["--est", "--url", &url, "--in", &csr, "--cacert", &root, "--cacert", &issuing];
    let output =
        pki.run([&arguments[..], &["--cert", &certificate, "--key", &key, "--outform", "pem"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let issued = Certificate::from_pem_many(&String::from_utf8(output.stdout).unwrap()).unwrap();
    assert_eq!(issued[0].uri_sans(), ["spiffe://lab.touchmark.internal/d/pump-01"]);
    let mut operator = lab.operator();
    assert_eq!(states(&mut operator, "pump-01"), ["issued", "confirmed"]);
    let mut second = Holder::new(&lab, new_key, issued);
    assert_eq!(second.confirm("").unwrap().status, 204);
    assert_eq!(states(&mut operator, "pump-01"), ["confirmed", "superseded"]);
}

/// R60, R86: a device that slept past the end of its certificate comes back with it inside the grace, and the lead is
/// recorded as negative; the way back is explained before.
#[test]
fn a_device_that_slept_past_its_end_comes_back_inside_the_grace() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let order = EnvironmentOrder {
        device_lifetime_s: Some(30),
        late_renewal_grace_s: Some(3600),
        ..environment_order("short")
    };
    let profile =
        operator.environment_like(&order).profiles.into_iter().find(|p| p.name.as_str() == "device").unwrap();
    assert_eq!((profile.grace_s, profile.on_clone.to_string().as_str()), (3600, "alarm"));
    let mut slept = Holder::enrolled(&lab, &operator.token(&device_token("short", "pump-01")));
    let end = slept.chain[0].validity().not_after();
    until("a certificate to end", || has_ended(end).then_some(()));
    let Some(expiry) = operator.explain("pump-01").unwrap().on_expiry else { panic!("no data") };
    assert!(expiry.way_back.starts_with("a late renewal with this very certificate"), "{}", expiry.way_back);
    let mut back = slept.renewed(&lab);
    assert_eq!(back.confirm("").unwrap().status, 204);
    assert!(renewals(&mut operator, "pump-01").last_lead_s.unwrap() < 0);
}

fn has_ended(moment: Timestamp) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    now.as_secs() > moment.unix_s()
}

/// R29: an operator and a service renew their own certificates on the same road, and the old operator's certificate
/// ends after its overlap, not before.
#[test]
fn operators_and_services_renew_as_devices_do() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let service = touchmark_api::TokenOrder {
        kind: Some(TokenKind::Service),
        hosts: vec!["gateway.example.org".into(), "192.0.2.1".into()],
        ..device_token("lab", "collector")
    };
    for (what, order) in [("operator", operator_token("ada", &["admin"])), ("service", service)] {
        let mut first = Holder::enrolled(&lab, &operator.token(&order));
        let second = first.renewed(&lab);
        assert_eq!(second.chain[0].uri_sans(), first.chain[0].uri_sans(), "{what}");
        assert_eq!(second.chain[0].dns_sans(), first.chain[0].dns_sans(), "{what}");
        assert_eq!(second.chain[0].ip_sans(), first.chain[0].ip_sans(), "{what}");
        let answer = Operator::with_key(&lab, &second.key, &second.chain).get("/v1/status").unwrap();
        assert_eq!(answer.status == 200, what == "operator", "{what}: {}", answer.status);
        let name = order.device.as_ref().unwrap().as_str();
        assert_eq!(states(&mut operator, name), ["confirmed", "superseded"], "{what}: confirmed at the API");
        if what == "operator" {
            let answer = Operator::with_key(&lab, &first.key, &first.chain).get("/v1/status").unwrap();
            assert_eq!(answer.status, 200, "in its overlap");
        }
    }
}

/// What a token is good for can be looked up without its password, and it can be taken back before it is used.
#[test]
fn tokens_are_listed_and_taken_back() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let used = operator.token(&device_token("lab", "pump-01"));
    Holder::enrolled(&lab, &used);
    let open = operator.token(&device_token("lab", "pump-02"));
    let listed: touchmark_api::Page<TokenInfo> =
        read(&mut operator, Request::get("/v1/tokens?environment=lab"));
    let of = |name: &str| listed.items.iter().find(|token| token.subject.as_deref() == Some(name)).unwrap();
    assert_eq!((of("pump-01").state.to_string().as_str(), of("pump-01").uses), ("used", 1));
    assert_eq!((of("pump-02").state.to_string().as_str(), of("pump-02").uses), ("usable", 0));
    assert_eq!(of("pump-02").created_by.as_str(), "operator");
    assert!(!format!("{listed:?}").contains(&open.password), "a password is shown once");
    let page: touchmark_api::Page<TokenInfo> =
        read(&mut operator, Request::get("/v1/tokens?environment=lab&limit=1"));
    assert_eq!(page.items[0].token, open.token, "newest first");
    let rest = format!("/v1/tokens?environment=lab&cursor={}", page.next.unwrap());
    let rest: touchmark_api::Page<TokenInfo> = read(&mut operator, Request::get(rest));
    assert_eq!(rest.items.len() + 1, listed.items.len());

    let void = || Request::new(Method::POST, format!("/v1/tokens/{}/void", open.token));
    let voided: TokenInfo = read(&mut operator, void());
    assert_eq!(voided.state, "void");
    assert_eq!(operator.send(void()).unwrap().status, 409, "there is nothing left to take back");
    let refused = touchmark_tests::Device::new(&lab)
        .send(&touchmark_tests::Enrolment::new(None, &Key::new().request("pump-02"), &open))
        .unwrap();
    assert_eq!(refused.status, 401);
    let unknown = Request::new(Method::POST, "/v1/tokens/tok_01a204735f3a798e9098c35956ee9066/void");
    assert_eq!(operator.send(unknown).unwrap().status, 404);
}

fn read<T: serde::de::DeserializeOwned>(operator: &mut Operator, request: Request) -> T {
    let answer = operator.send(request).unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}
