//! Writes `seeds/`: the crates' golden bytes in the form that each target reads, and what has no golden file.
//!
//! Run it after a format changed, for seeds that no target accepts any more find nothing:
//! `cargo run --example write_seeds` in this folder. The same sources always give the same seeds.

use std::fs;
use std::path::Path;
use touchmark_fuzz::sha256;
use touchmark_identity::{
    Actor, AuthorityVersionId, CertificateId, DeviceId, Fingerprint, Name, ProfileVersionId,
    RevocationReason, SerialNumber, SpkiHash, Timestamp, TokenId, Validity,
};
use touchmark_journal::{
    AuthorityCreated, AuthorityKind, BurnCause, CertificateBody, CertificateBurned, CertificateConfirmed,
    CertificateIntended, CertificateIssued, CertificateSuperseded, CertificatesRevoked, CrlPublished,
    DevicePrivate, DeviceRegistered, Draft, EnforcementReported, Envelope, EnvironmentCreated, Event,
    IdentityKind, IntentPrivate, PartyRegistered, PolicyActivated, Private, ProfileActivated, Refused,
    RevokedCertificate, Salt, Scope, Standing, StandingChanged, Started, TokenCreated, TokenPrivate,
    TokenSubject,
};
use touchmark_x509::certificate::ExtendedKeyUsage;
use touchmark_x509::request::certification_request;
use touchmark_x509::tbs::{LeafContents, LeafProfile, LeafTemplate};
use touchmark_x509::{Certificate, KeyAlgorithm, PublicKey, Signer, SoftwareKey};

fn main() {
    x509();
    est();
    mqtt();
    topics();
    journal();
    feed_and_decisions();
    tlog();
    policy();
    identity();
    api();
}

fn put(target: &str, name: &str, octets: impl AsRef<[u8]>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder).expect("the seeds' folder can be made");
    fs::write(folder.join(name), octets).expect("a seed can be written");
}

/// A golden file of a crate, decoded from hexadecimal.
fn golden(file: &str) -> Vec<u8> {
    hex::decode(text(file).split_whitespace().collect::<String>()).expect("golden files are hexadecimal")
}

fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(file))
        .expect("the file is there")
}

fn lettered(letter: u8, octets: impl AsRef<[u8]>) -> Vec<u8> {
    [&[letter], octets.as_ref()].concat()
}

fn counted(octets: &[u8]) -> Vec<u8> {
    let length = u16::try_from(octets.len()).expect("seeds are short");
    [length.to_be_bytes().as_slice(), octets].concat()
}

fn fixed_key(seed: u8) -> SoftwareKey {
    let head = hex::decode("302e020100300506032b657004220420").expect("hexadecimal");
    SoftwareKey::from_pkcs8(&[head.as_slice(), &[seed; 32]].concat()).expect("a key")
}

/// 2026-01-01T00:00:00Z.
const START_S: u64 = 1_767_225_600;

fn leaf(issuing: &Certificate) -> Vec<u8> {
    let (authority, device) = (fixed_key(2), fixed_key(3));
    assert_eq!(authority.public_key(), issuing.public_key(), "the golden authority has this key");
    let template = LeafTemplate::new(&LeafProfile {
        issuer: issuing,
        signature_algorithm: authority.algorithm(),
        extended_key_usages: &[ExtendedKeyUsage::ClientAuth, ExtendedKeyUsage::ServerAuth],
        crl_url: "http://127.0.0.1:8080/crl/lab.crl",
    });
    let tbs = template.expect("a good profile").fill(&LeafContents {
        serial: SerialNumber::try_from([1; 17].as_slice()).expect("a serial number"),
        validity: Validity::new(START_S, START_S + 30 * 86_400).expect("a span"),
        public_key: device.public_key(),
        common_name: &name("pump-01"),
        uri: &"spiffe://lab.touchmark.internal/d/pump-01".parse().expect("an identity"),
        dns: &["pump-01.lab.example".to_owned()],
        ip: &["192.0.2.7".parse().expect("an address")],
        scope: &["model:x200".to_owned(), "group:pumps".to_owned()],
    });
    let signature = authority.sign(tbs.as_bytes()).expect("signs");
    tbs.into_certificate(authority.algorithm(), &signature)
}

fn x509() {
    let [root, issuing] =
        ["root", "issuing"].map(|name| golden(&format!("x509/tests/golden/{name}-certificate.hex")));
    let issuing = Certificate::from_der(&issuing).expect("the golden certificate");
    let leaf = Certificate::from_der(&leaf(&issuing)).expect("a certificate");
    put("certificate", "root", lettered(b'a', &root));
    put("certificate", "issuing", lettered(b'a', issuing.der()));
    put("certificate", "leaf", lettered(b'a', leaf.der()));
    put("certificate", "leaf-p256", lettered(b'a', golden("x509/tests/golden/leaf-placeholder.hex")));
    let initial = include_str!("../../crates/ra/tests/makers/acme-sn-1.pem");
    let initial = Certificate::from_pem_many(initial).expect("a maker's certificate");
    put("certificate", "initial", lettered(b'a', initial[0].der()));
    put("certificate", "pem", lettered(b'b', leaf.to_pem() + "text between\n" + &issuing.to_pem()));
    for name in ["crl-empty", "crl-seven-reasons"] {
        put("crl", name, golden(&format!("x509/tests/golden/{name}.hex")));
    }
    for name in ["certs-only", "certs-only-empty"] {
        put("certs_only", name, lettered(b'a', golden(&format!("x509/tests/golden/{name}.hex"))));
    }
    put("certs_only", "elements", b"b\x00\x01a\x80".iter().chain(&[7; 128]).copied().collect::<Vec<u8>>());
    for name in ["request", "request-bare"] {
        put("csr", name, golden(&format!("x509/tests/golden/{name}.hex")));
    }
    put("spki", "ed25519", fixed_key(3).public_key().spki_der());
    put("spki", "p256", hex::decode(P256).expect("hexadecimal"));
    put("spki", "rsa-2048", rsa_2048());
    put("private_key", "ed25519", lettered(b'a', fixed_key(3).to_pkcs8().expose()));
    put("private_key", "pem", lettered(b'b', fixed_key(3).to_pkcs8_pem().expose()));
    put("csr_attributes", "two", {
        let oid = counted(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]);
        [&[1], oid.as_slice(), &oid, &[0], &oid].concat()
    });
    put("csr_attributes", "long", [&[1], counted(&[1; 200]).as_slice(), &counted(&[2; 300])].concat());
    let key = PublicKey::from_spki_der(&rsa_2048()).expect("an RSA key");
    assert_eq!(key.algorithm(), KeyAlgorithm::Rsa { bits: 2048 });
}

/// The base point of the curve.
const P256: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f2\
77037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

/// A modulus of 2048 bits that nobody can have made: enough to be read.
fn rsa_2048() -> Vec<u8> {
    let mut modulus = [0xc5; 256];
    modulus[255] = 1;
    let head = "30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
    [hex::decode(head).expect("hexadecimal").as_slice(), &modulus, &[2, 3, 1, 0, 1]].concat()
}

fn est() {
    put("est", "path", "a/.well-known/est/lab/simpleenroll");
    put("est", "credentials", "bBasic cHVtcDpzZWNyZXQ=");
    put("est", "user-agent", "flibest 3.2.0p");
    let request = golden("x509/tests/golden/request.hex");
    put("est", "body-der", lettered(b'c', &request));
    put("est", "body-wrapped", lettered(b'd', &request));
    let key = fixed_key(4);
    let small = certification_request("", None, &key).expect("signs");
    put("est", "body-short", lettered(b'd', small));
    for name in ["enrolled", "enrolled-libest", "cacerts"] {
        let mut answer = lettered(b'e', golden(&format!("enrol/tests/golden/{name}.hex")));
        answer.truncate(8_000);
        put("est", name, answer);
    }
    let [root, issuing] =
        ["root", "issuing"].map(|name| golden(&format!("x509/tests/golden/{name}-certificate.hex")));
    let leaf = leaf(&Certificate::from_der(&issuing).expect("the golden certificate"));
    let answer = touchmark_enrol::est::write_certs_only(&[&leaf, &issuing, &root], None);
    put("est", "answer", lettered(b'e', answer.bytes));
}

fn mqtt() {
    for line in text("mqtt/tests/golden/packets.txt").lines().filter(|line| !line.starts_with('#')) {
        if let [version, name, packet] = *line.split(' ').collect::<Vec<_>>() {
            let packet = hex::decode(packet).expect("hexadecimal");
            put("mqtt", &format!("{version}-{name}"), [&[3, 9], packet.as_slice()].concat());
        }
    }
    for line in text("mqtt/tests/golden/mosquitto-2.0.11.txt").lines().filter(|line| !line.starts_with('#')) {
        if let [name, stream] = *line.split(' ').collect::<Vec<_>>() {
            let stream = hex::decode(stream).expect("hexadecimal");
            put("mqtt", &format!("mosquitto-{name}"), [&[7, 9], stream.as_slice()].concat());
        }
    }
}

fn topics() {
    for (name, text) in [
        (
            "own",
            "plant/pump-01/#\nplant/+/level\nplant/pump-01/level\nx200/*\nx200/fw.bin\nmodel:x200\ngroup:pumps",
        ),
        ("all", "#\n+/#\n$SYS/x\n*/*\na/b\nline:7"),
        ("shared", "cmd/+\n$share/workers/cmd/a\ncmd/a\n*/a\nb/a"),
        ("reserved", "$SYS/#\n$SYS/+/x\n$SYS/a/x\n\n\ncustody:software"),
        ("empty-levels", "a//+/#\na//b\na//b/c"),
    ] {
        put("topics", name, text);
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn octets<'a, T: TryFrom<&'a [u8]>>(octets: &'a [u8]) -> T {
    T::try_from(octets).ok().expect("octets of the right length")
}

fn journal() {
    let device: DeviceId = octets(&[1; 16]);
    let certificate: CertificateId = octets(&[2; 16]);
    let authority_version: AuthorityVersionId = octets(&[3; 16]);
    let profile_version: ProfileVersionId = octets(&[4; 16]);
    let token: TokenId = octets(&[5; 16]);
    let (spki, sha256) = (SpkiHash([6; 32]), [7; 32]);
    let at = Timestamp::from_unix_s(START_S);
    let revoked = vec![RevokedCertificate { certificate, spki }];
    let events = [
        Event::AuthorityCreated(AuthorityCreated {
            authority_version,
            kind: AuthorityKind::Issuing,
            name: name("lab-issuing"),
            certificate: vec![0x30, 0],
            parent: Some(octets(&[8; 16])),
            crl_shards: 1,
        }),
        Event::EnvironmentCreated(EnvironmentCreated {
            name: "lab".parse().expect("a name"),
            trust_domain: "lab.touchmark.internal".parse().expect("a host"),
            default: true,
        }),
        Event::ProfileActivated(ProfileActivated {
            profile_version,
            name: name("device"),
            kind: IdentityKind::Operational,
            lifetime_s: 86_400,
            overlap_s: 300,
            renewal: None,
        }),
        Event::PartyRegistered(PartyRegistered {
            kind: IdentityKind::Operator,
            name: name("dev"),
            roles: vec!["admin".into()],
            owner: None,
            reach: None,
        }),
        Event::TokenCreated(TokenCreated { token, kind: IdentityKind::Operational, uses: 5, expires_at: at, roles: None, reach: None }),
        Event::DeviceRegistered(DeviceRegistered { device }),
        Event::CertificateIntended(CertificateIntended {
            certificate,
            device: Some(device),
            kind: IdentityKind::Operational,
            authority_version,
            profile_version,
            serial: octets(&[1; 17]),
            validity: Validity::new(START_S, START_S + 86_400).expect("a span"),
            tbs_sha256: sha256,
            token: Some(token),
            replaces: None,
            generation: 1,
            crl_shard: 0,
            renewal: None,
        }),
        Event::CertificateIssued(CertificateIssued { certificate, fingerprint: Fingerprint(sha256) }),
        Event::CertificateBurned(CertificateBurned {
            certificate,
            cause: BurnCause::Crash,
            token: Some(token),
        }),
        Event::CertificateConfirmed(CertificateConfirmed { certificate }),
        Event::CertificateSuperseded(CertificateSuperseded {
            certificate,
            by: octets(&[9; 16]),
            effective_at: at,
        }),
        Event::CertificatesRevoked(CertificatesRevoked {
            device: Some(device),
            certificates: revoked,
            reason: RevocationReason::KeyCompromise,
        }),
        Event::StandingChanged(StandingChanged { device, standing: Standing::Quarantined, until: Some(at) }),
        Event::PolicyActivated(PolicyActivated {
            version: sha256,
            files: vec![("starter.cedar".into(), "permit (principal, action, resource);".into())],
            topics: "[topics]\n".into(),
        }),
        Event::CrlPublished(CrlPublished { authority_version, shard: 0, number: 7, sha256 }),
        Event::EnforcementReported(EnforcementReported {
            gateway: name("gateway"),
            epoch: 1,
            seq: 2,
            applied_at: at,
            sessions_closed: 1,
        }),
        Event::Refused(Refused { code: "csr-name".into(), count: 3, device: None }),
        Event::Started(Started { incarnation: 1, epoch: 1, version: "0.1.0".into() }),
    ];
    for event in events {
        let scope = Scope { organisation: "acme".parse().expect("a name"), environment: "lab".parse().ok() };
        let actor = Actor::person(name("dev"));
        let envelope = Envelope { scope, actor, cause: "api/device/revoke".into(), at };
        let private = private_part(&event);
        let word = event.word();
        let octets = private.as_ref().map(Private::to_bytes).unwrap_or_default();
        let draft = Draft { envelope, event, private: private.map(|private| (Salt([7; 16]), private)) };
        let leaf = draft.leaf().expect("it fits");
        put(
            "journal_entry",
            word,
            [counted(&octets).as_slice(), leaf.get(33..).expect("behind the commitment")].concat(),
        );
    }
}

fn private_part(event: &Event) -> Option<Private> {
    Some(match event {
        Event::TokenCreated(_) => Private::Token(TokenPrivate {
            secret_sha256: sha256(b"secret"),
            subject: TokenSubject::Prefix(name("pump")),
            model: Some(name("x200")),
            hosts: vec!["gateway.lab.example".into()],
        }),
        Event::DeviceRegistered(_) => {
            Private::Device(DevicePrivate { name: name("pump-01"), model: None, owner: name("dev") })
        }
        Event::CertificateIntended(_) => Private::Intent(IntentPrivate {
            identity: "spiffe://lab.touchmark.internal/d/pump-01".parse().expect("an identity"),
            spki: SpkiHash([6; 32]),
            csr_sha256: sha256(b"request"),
            tbs: vec![0x30, 0],
        }),
        Event::CertificateIssued(_) => Private::Certificate(CertificateBody { der: vec![0x30, 0] }),
        _ => return None,
    })
}

fn feed_and_decisions() {
    let messages = ["snapshot", "delta", "heartbeat"].map(|name| {
        let wire = golden(&format!("status/tests/golden/{name}.hex"));
        let mut decoder = minicbor::Decoder::new(&wire);
        decoder.array().expect("a signed message");
        let message = decoder.bytes().expect("a message").to_vec();
        (name, [u32::try_from(message.len()).expect("short").to_be_bytes().as_slice(), &message].concat())
    });
    put(
        "feed",
        "golden-messages",
        messages.iter().flat_map(|(_, message)| message.clone()).collect::<Vec<_>>(),
    );
    for (name, message) in messages {
        put("feed", name, message);
    }
    followed_feed();
    put("decision_frame", "every-record", golden("decisions/tests/golden/every-record.hex"));
}

/// A snapshot, deltas and a heartbeat that continue each other.
fn followed_feed() {
    use touchmark_status::{Change, FeedSigner, FeedWriter, Revocation, Standing, Supersession};
    let signer = FeedSigner::from_seed(&[7; 32]).expect("a seed");
    let now = Timestamp::from_unix_s(START_S);
    let mut writer =
        FeedWriter::new("lab".parse().expect("a name"), "lab.touchmark.internal".parse().expect("a host"), 1);
    let authority_version = octets(&[1; 16]);
    let serial = octets(&[1; 17]);
    let changes = vec![
        Change::Revoke {
            authority_version,
            serial,
            revocation: Revocation { at: now, reason: RevocationReason::Superseded, not_after: now },
        },
        Change::Supersede {
            authority_version,
            serial,
            supersession: Supersession { effective_at: now, not_after: now },
        },
        Change::DenyKey(SpkiHash([3; 32])),
        Change::SetStanding { handle: name("pump-02"), standing: Standing::Banned },
        Change::SetScope { handle: name("pump-02"), scope: vec!["group:pumps".into()] },
    ];
    let wires = [
        writer.snapshot(now, &signer),
        writer.publish(changes, now, &signer),
        writer.publish(
            vec![Change::AllowKey(SpkiHash([3; 32])), Change::ClearStanding(name("pump-02"))],
            now,
            &signer,
        ),
        writer.heartbeat(now, &signer),
        writer.snapshot(now, &signer),
    ];
    let mut file = Vec::new();
    for wire in wires {
        let wire = wire.expect("it can be signed");
        let mut decoder = minicbor::Decoder::new(&wire);
        decoder.array().expect("a signed message");
        let message = decoder.bytes().expect("a message");
        file.extend(u32::try_from(message.len()).expect("short").to_be_bytes());
        file.extend_from_slice(message);
    }
    put("feed", "followed", file);
}

fn tlog() {
    let folder = "tlog/tests/golden";
    let checkpoint = text(&format!("{folder}/checkpoint.txt"));
    let body: String = checkpoint.lines().take(3).flat_map(|line| [line, "\n"]).collect();
    put("signed_note", "checkpoint", lettered(b'a', &checkpoint));
    put("signed_note", "body", lettered(b'b', body));
    put("signed_note", "text", "btwo\n\nparagraphs\n");
    put("signed_note", "key", lettered(b'c', text(&format!("{folder}/verifier_key.txt")).trim_end()));
    put("receipt", "golden", lettered(b'a', text(&format!("{folder}/receipt.tlog-proof"))));
    put("receipt", "tree", [b"b\x05\x03".as_slice(), &[1, 9].repeat(11)].concat());
    put(
        "receipt",
        "made-up",
        [b"c".as_slice(), &[0, 0, 0, 0, 0, 0, 0, 5], &[0, 0, 0, 0, 0, 0, 0, 8], &[1; 96]].concat(),
    );
    put("tiles", "path", "atile/2/x001/x234/067.p/8");
    put("tiles", "path-entries", "atile/entries/000");
    put("tiles", "bundle", lettered(b'b', golden(&format!("{folder}/bundle.hex"))));
    put("tiles", "leaves", b"c\x01a\x00\x03abc");
}

fn policy() {
    let starter = text("policy-cedar/starter/starter.cedar");
    let topics = text("policy-cedar/starter/topics.toml");
    let lines = text("policy-cedar/tests/golden/bundle.hex");
    let bundle =
        hex::decode(lines.lines().next().expect("the first line is the bundle")).expect("hexadecimal");
    put("policy_bundle", "golden", lettered(b'a', bundle));
    put("policy_bundle", "texts", b"b\x01t\x07b.cedar\x03two\x07a.cedar\x03one");
    put("policy_text", "starter", format!("{starter}\n%%\n{topics}"));
    put("policy_text", "operators", text("policy-cedar/starter/operators.cedar"));
    for (name, rule) in [
        (
            "forbid",
            "@id(\"no\")\nforbid (principal in Group::\"pumps\", action, resource in Topics::\"own\");\n\
                    @id(\"c\")\npermit (principal, action == Action::\"connect\", resource);",
        ),
        (
            "condition",
            "@id(\"c\")\npermit (principal, action == Action::\"connect\", resource)\n\
                       when { principal has model && principal.model == \"x200\" }\n\
                       unless { principal.groups.contains(\"hall-2\") || principal.handle like \"a*\" };",
        ),
        (
            "nested",
            "@id(\"n\")\npermit (principal, action == Action::\"connect\", resource) when { ((((!(true)))) || if true then false else true) };",
        ),
        ("broken", "@id(\"x\") permit (principal, action, resource) when { \"open };"),
    ] {
        put("policy_text", name, rule);
    }
}

fn identity() {
    for text in [
        "pump-01",
        "lab.touchmark.internal",
        "spiffe://lab.touchmark.internal/d/pump-01",
        "dev_00000000000000000000000000000001",
        "dec_gateway.1.1042",
        "01:0f:a0",
        "2026-01-31T12:00:00.123Z",
        "2000-02-29T23:59:60+01:00",
        "key-compromise",
        "no-rule",
    ] {
        let name: String =
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(24).collect();
        put("identity", &name, lettered(b'a', text));
    }
    put("identity", "fingerprint", lettered(b'a', "ab".repeat(32)));
    put("identity", "serial", lettered(b'b', [1; 17]));
    put(
        "identity",
        "moments",
        lettered(b'b', [START_S.to_be_bytes(), (START_S + 60).to_be_bytes()].concat()),
    );
    put("identity", "hash", lettered(b'b', [9; 32]));
}

fn api() {
    let certificate = r#"{"id":"crt_1","fingerprint":"ab","issuer":"lab","serial":"01","spki":"cd","state":"confirmed","not_before":"2026-01-01T00:00:00.000Z","not_after":"2026-02-01T00:00:00.000Z","profile":"device","identity":"spiffe://lab.touchmark.internal/d/pump-01","generation":1}"#;
    let device = r#"{"id":"dev_1","name":"pump-01","environment":"lab","model":null,"owner":"dev","standing":"active","registered_at":"2026-01-01T00:00:00.000Z"}"#;
    let decision = r#"{"id":"dec_g.1.0","at":"2026-01-01T00:00:00.000Z","gateway":"g","device":"pump-01","certificate":"ab","action":"publish","resource":"plant/pump-01/x","verdict":"allow","reason":"","policy":"cd","rule":"publish-own","proof":"mtls","tls":"TLSv1.3"}"#;
    let explanation = format!(
        r#"{{"asked":"pump-01","device":{device},"certificates":[{certificate}],"where_used":null,"who_can_revoke":[{{"kind":"person","name":"dev","rule":"admin-all"}}],"on_expiry":{{"not_after":"a","chain_not_after":"b","in_s":-5,"effect":"refused","actions_lost":["publish"],"way_back":"renew"}},"history":[{{"seq":1,"at":"a","event":"started","actor":"dev","cause":"api"}}],"decision":{decision}}}"#
    );
    let page = format!(r#"{{"items":[{device}],"next":"pump-01"}}"#);
    for (name, json) in [
        ("certificate", certificate),
        ("device-page", &page),
        ("decision", decision),
        ("explanation", &explanation),
        (
            "token-order",
            r#"{"environment":"lab","prefix":"pump","uses":5,"ttl_s":3600,"hosts":["a"],"roles":[]}"#,
        ),
        (
            "token",
            r#"{"token":"tok_1","username":"pump-01","password":"x","expires":"a","environment":"lab"}"#,
        ),
        (
            "environment-order",
            r#"{"name":"lab","trust_domain":"lab.touchmark.internal","device_lifetime_s":60}"#,
        ),
        (
            "environment",
            r#"{"name":"lab","trust_domain":"l.i","default":true,"anchors_pem":"","feed_key":"00","crls":["http://a"],"profiles":[{"id":"p","name":"device","kind":"operational","lifetime_s":1,"overlap_s":1}],"created_at":"a"}"#,
        ),
        (
            "policy-document",
            r#"{"files":[["starter.cedar","permit (principal, action, resource);"]],"topics":"[topics]","dry_run":true}"#,
        ),
        ("policy", r#"{"environment":"lab","version":"00","files":[],"topics":"","rules":["connect"]}"#),
        ("containment", r#"{"reason":"key-compromise","ttl_s":60,"wait_ms":10}"#),
        (
            "containment-outcome",
            r#"{"device":"pump-01","seq":7,"dry_run":false,"certificates":["ab"],"sessions_closed":1,"gateways":[{"name":"g","state":"applied","applied_at":"a","applied_ms":4,"last_seen":"b"},{"name":"h","state":"unknown","applied_at":null,"applied_ms":null,"last_seen":null}],"already":false,"rule":"admin-all"}"#,
        ),
        ("frames-upload", r#"{"first_leaf":0,"frames":["AA=="],"checkpoint":"note"}"#),
        ("frames-accepted", r#"{"next_leaf":1}"#),
        ("feed-acknowledgement", r#"{"epoch":1,"seq":2,"applied_at":"a","sessions_closed":0}"#),
        ("gateway-registration", r#"{"decision_log_vkey":"g+00000000+AA=="}"#),
        ("query", r#"{"epoch":1,"after":2,"wait_ms":3}"#),
        (
            "problem",
            r#"{"status":404,"code":"device-unknown","title":"no such device","candidates":[{"kind":"device","id":"dev_1","name":"a"}]}"#,
        ),
        ("log-head", r#"{"origin":"a","vkey":"b","size":3,"checkpoint":"c"}"#),
        (
            "ready",
            r#"{"ca":"ca.pem","data":"/d","pids":{"authority":1},"log":{"origin":"a","vkey":"b","tiles":"c"}}"#,
        ),
        (
            "status",
            r#"{"version":"0","incarnation":1,"journal":2,"log_size":3,"environments":["lab"],"gateways":[]}"#,
        ),
    ] {
        put("api_json", name, json);
    }
}
