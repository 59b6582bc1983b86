//! Nobody outlives a revocation: whoever renews, enrols, confirms, connects and subscribes as fast as it can from eight
//! threads while it is revoked, banned or quarantined, has nothing left that opens anything.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use touchmark_api::{Containment, ContainmentOutcome, Page, Token, TokenInfo, TokenKind, TokenOrder};
use touchmark_dial::Request;
use touchmark_identity::RevocationReason;
use touchmark_mqtt::ProtocolVersion;
use touchmark_tests::{
    Device, Enrolment, Holder, Key, Lab, Mqtt, Operator, device_token, flood, operator_token, until,
};
use touchmark_x509::Certificate;

/// From the call to its answer, whatever its victim does meanwhile.
const CALL_MAX: Duration = Duration::from_secs(2);
/// The tokens that somebody made for it before, beside the one that it enrolled with.
const SPARE_TOKENS: usize = 3;
/// Sessions that each thread that connects keeps open.
const SESSIONS: usize = 3;

/// Two hundred where the whole proof is wanted, less where people wait for the tests.
fn rounds(few: usize) -> usize {
    if std::env::var_os("TOUCHMARK_LONG_TESTS").is_some_and(|value| value == "1") { 200 } else { few }
}

/// A key with its certificate, as it is handed from thread to thread.
type Credential = (Key, Vec<Certificate>);

/// What eight threads share.
struct Victim<'a> {
    lab: &'a Lab,
    /// All that it ever got.
    got: Mutex<Vec<std::sync::Arc<Credential>>>,
    spare: Mutex<Vec<Token>>,
    sessions: Mutex<Vec<Mqtt>>,
    turns: [AtomicUsize; 8],
    stop: AtomicBool,
}

/// Ends the threads, also when a claim turned out false.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<'a> Victim<'a> {
    fn new(lab: &'a Lab, first: Credential, spare: Vec<Token>) -> Self {
        Self {
            lab,
            got: Mutex::new(vec![first.into()]),
            spare: Mutex::new(spare),
            sessions: Mutex::default(),
            turns: Default::default(),
            stop: AtomicBool::new(false),
        }
    }

    fn newest(&self) -> std::sync::Arc<Credential> {
        self.got.lock().unwrap().last().unwrap().clone()
    }

    fn holder(&self, credential: &Credential) -> Holder {
        let key = Key::from_pkcs8(credential.0.pkcs8());
        Holder::new(self.lab, key, credential.1.clone())
    }

    fn take(&self, credential: Option<Credential>) {
        self.got.lock().unwrap().extend(credential.map(Into::into));
    }

    /// One turn of one thread; whatever is refused is tried again.
    fn turn(&self, thread: usize, name: &str) {
        let newest = self.newest();
        match thread {
            0..=2 => self.take(self.holder(&newest).try_renewed()),
            3 => drop(self.holder(&newest).confirm("")),
            4 => {
                let spare = self.spare.lock().unwrap().pop();
                match spare {
                    Some(token) => self.take(Device::new(self.lab).try_enrol(&token)),
                    None => drop(self.holder(&newest).hint()),
                }
            }
            _ => self.connect(&newest, name, thread),
        }
        self.turns[thread].fetch_add(1, Ordering::SeqCst);
    }

    fn connect(&self, credential: &Credential, name: &str, thread: usize) {
        // A service or an operator calls the interface instead.
        if name.is_empty() {
            let _ = Operator::with_key(self.lab, &credential.0, &credential.1).get("/v1/log");
            return;
        }
        let identity = Some((&credential.0, &credential.1[..]));
        let Ok(mut session) = Mqtt::dial(self.lab, identity, ProtocolVersion::V5) else { return };
        if session.hello(&format!("{name}/{thread}")).is_ok_and(|greeted| greeted.code == 0) {
            let _ = session.subscribe(&[&format!("cmd/{name}/#")]);
            let mut sessions = self.sessions.lock().unwrap();
            sessions.push(session);
            if sessions.len() > SESSIONS * 3 {
                sessions.remove(0);
            }
        }
    }

    /// Runs all threads, acts in the midst of it, and lets each thread go round twice more afterwards.
    fn under<T>(&self, name: &str, act: impl FnOnce() -> T) -> (T, Duration) {
        std::thread::scope(|scope| {
            let _ending = Ending(&self.stop);
            for thread in 0..8 {
                scope.spawn(move || {
                    while !self.stop.load(Ordering::SeqCst) {
                        self.turn(thread, name);
                    }
                });
            }
            let all_went_round = |since: &[usize; 8], more: usize| {
                let went =
                    |(turns, before): (&AtomicUsize, &usize)| turns.load(Ordering::SeqCst) >= before + more;
                self.turns.iter().zip(since).all(went).then_some(())
            };
            until("all threads to be at it", || all_went_round(&[0; 8], 1));
            let begun = Instant::now();
            let done = act();
            let took = begun.elapsed();
            let since = std::array::from_fn(|thread| self.turns[thread].load(Ordering::SeqCst));
            until("all threads to go round again", || all_went_round(&since, 2));
            (done, took)
        })
    }
}

/// Nobody has to wait for gateways that are busy: what counts is what they do.
fn order() -> Containment {
    Containment {
        reason: Some(RevocationReason::KeyCompromise),
        wait_ms: Some(1_000),
        ..Containment::default()
    }
}

fn states(admin: &mut Operator, name: &str) -> Vec<String> {
    admin.explain(name).unwrap().certificates.into_iter().map(|one| one.state.to_string()).collect()
}

fn usable_tokens(admin: &mut Operator, name: &str) -> usize {
    let answer = admin.get("/v1/tokens?environment=lab&limit=1000").unwrap();
    let page: Page<TokenInfo> = serde_json::from_slice(&answer.body).unwrap();
    page.items
        .iter()
        .filter(|token| token.subject.as_deref() == Some(name) && token.state == "usable")
        .count()
}

/// Renewal, confirmation and enrolment after the act, with everything that the victim got.
fn opens_nothing_here(victim: &Victim<'_>, what: &str) {
    let all = victim.got.lock().unwrap().clone();
    for credential in &all {
        let mut holder = victim.holder(credential);
        let answer = holder.ask(None, &Key::new().request("")).unwrap();
        assert_eq!(answer.status, 403, "{what}: renewal: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(holder.confirm("").unwrap().status, 403, "{what}: confirmation");
    }
}

#[test]
fn no_device_outlives_what_contains_it() {
    let mut lab = Lab::start();
    lab.start_gateway(&[]);
    devices(&lab, rounds(24));
}

#[test]
fn no_device_outlives_what_contains_it_while_unfinished_handshakes_flood_the_ports() {
    let mut lab = Lab::start();
    lab.start_gateway(&[]);
    let over = AtomicBool::new(false);
    let good = std::thread::scope(|scope| {
        let ending = Ending(&over);
        let floods =
            [lab.est(), lab.api(), lab.mqtt()].map(|port| scope.spawn(|| flood(port, usize::MAX, &over)));
        devices(&lab, rounds(9));
        drop(ending);
        floods.map(|flood| flood.join().unwrap())
    });
    println!("connections in a second: {good:?}");
}

/// Rounds with a new device each.
fn devices(lab: &Lab, rounds: usize) {
    let mut slowest = Duration::ZERO;
    let mut admin = lab.operator();
    for round in 0..rounds {
        let verb = ["revoke", "ban", "quarantine"][round % 3];
        let (name, what) = (format!("pump-{round}"), format!("round {round}, {verb}"));
        let mut token = || admin.token(&device_token("lab", &name));
        let first = Device::new(lab).enrol(None, &token());
        let victim = Victim::new(lab, first, (0..SPARE_TOKENS).map(|_| token()).collect());
        let (outcome, took) = victim.under(&name, || lab.operator().contain(&name, verb, &order()));
        outcome.unwrap_or_else(|fault| panic!("{what}: {fault}"));
        assert!(took <= CALL_MAX, "{what}: {took:?}");
        slowest = slowest.max(took);
        println!("{what}: {took:?}, {} certificates", victim.got.lock().unwrap().len());
        if verb == "quarantine" {
            assert_eq!(admin.explain(&name).unwrap().device.unwrap().standing, "quarantined", "{what}");
        } else {
            let alive = states(&mut admin, &name);
            assert!(
                alive.iter().all(|state| ["revoked", "burned"].contains(&state.as_str())),
                "{what}: {alive:?}"
            );
            assert_eq!(usable_tokens(&mut admin, &name), 0, "{what}");
        }
        opens_nothing_here(&victim, &what);
        for token in victim.spare.lock().unwrap().drain(..) {
            let request = Enrolment::new(None, &Key::new().request(&name), &token);
            let status = Device::new(lab).send(&request).unwrap().status.as_u16();
            assert!([401, 403].contains(&status), "{what}: a token still enrols: {status}");
        }
        for credential in victim.got.lock().unwrap().iter() {
            let identity = Some((&credential.0, &credential.1[..]));
            until(&format!("{what}: the gateway to refuse"), || {
                let mut session = Mqtt::dial(lab, identity, ProtocolVersion::V5).ok()?;
                session.hello(&name).is_ok_and(|greeted| greeted.code != 0).then_some(())
            });
        }
        for mut session in victim.sessions.lock().unwrap().drain(..) {
            until(&format!("{what}: its sessions to end"), || (!session.is_alive()).then_some(()));
        }
    }
    println!("{rounds} rounds; the slowest call took {slowest:?}");
}

#[test]
fn no_operator_and_no_gateway_outlives_its_revocation() {
    let lab = Lab::start();
    let (lab, mut slowest) = (&lab, Duration::ZERO);
    let mut admin = lab.operator();
    for round in 0..rounds(12) {
        let gateway = round % 2 == 1;
        let name = format!("party-{round}");
        let token_order = match gateway {
            true => TokenOrder { kind: Some(TokenKind::Gateway), ..device_token("lab", &name) },
            false => operator_token(&name, &["admin"]),
        };
        let parties = if gateway { "services" } else { "operators" };
        let what = format!("round {round}, {parties}");
        let mut token = || admin.token(&token_order);
        let first = Device::new(lab).enrol(None, &token());
        let victim = Victim::new(lab, first, (0..SPARE_TOKENS).map(|_| token()).collect());
        let (outcome, took) = victim.under("", || {
            let path = format!("/v1/{parties}/{name}/revoke");
            let body = serde_json::to_string(&order()).unwrap();
            lab.operator().send(Request::post(&path, "application/json", body).unwrap()).unwrap()
        });
        assert_eq!(outcome.status, 200, "{what}: {}", String::from_utf8_lossy(&outcome.body));
        let outcome: ContainmentOutcome = serde_json::from_slice(&outcome.body).unwrap();
        assert!(!outcome.certificates.is_empty(), "{what}");
        assert!(took <= CALL_MAX, "{what}: {took:?}");
        slowest = slowest.max(took);
        let alive = states(&mut admin, &name);
        assert!(
            alive.iter().all(|state| ["revoked", "burned"].contains(&state.as_str())),
            "{what}: {alive:?}"
        );
        assert_eq!(usable_tokens(&mut admin, &name), 0, "{what}");
        opens_nothing_here(&victim, &what);
        for credential in victim.got.lock().unwrap().iter() {
            let mut caller = Operator::with_key(lab, &credential.0, &credential.1);
            for path in ["/v1/log", "/v1/feed", "/v1/devices"] {
                assert_eq!(caller.get(path).unwrap().status, 403, "{what}: {path}");
            }
        }
    }
    println!("{} rounds; the slowest call took {slowest:?}", rounds(12));
}
