//! The callers: every role and kind, of both environments and of the organisation, and certificates that ended.

use crate::requests::{Ask, ENVIRONMENTS};
use touchmark_api::TokenOrder;
use touchmark_dial::{DialFault, Request};
use touchmark_tests::{Curl, Device, Holder, Key, Lab, Operator, device_token, operator_token, program};
use touchmark_x509::Certificate;

/// A role of the operator policy, or a kind of token.
const KINDS: [&str; 6] = ["admin", "fleet", "auditor", "service", "gateway", "device"];

/// Somebody who calls.
pub(crate) struct Caller {
    /// As the table names it.
    pub(crate) name: String,
    by: By,
}

enum By {
    Ours(Box<Operator>),
    /// Certificates and key in files, for a caller that does not mind a server of another time.
    Curl {
        chain: String,
        key: String,
    },
}

impl Caller {
    /// The answer, its status and the code of a refusal; and its text.
    pub(crate) fn ask(&mut self, lab: &Lab, ask: &Ask) -> (String, String) {
        let (status, body) = match &mut self.by {
            By::Ours(caller) => {
                let mut request = Request::new(ask.method.clone(), &ask.path);
                if let Some(body) = &ask.body {
                    request = request.body(body.clone()).header("content-type", "application/json").unwrap();
                }
                match caller.send(request) {
                    Ok(answer) => (answer.status.as_u16(), answer.body.to_vec()),
                    Err(DialFault::Tls { .. }) => return ("no connection".to_owned(), String::new()),
                    Err(fault) => panic!("{}: {fault}", self.name),
                }
            }
            By::Curl { chain, key } => {
                let program = program("curl").unwrap();
                let mut curl = Curl::new(&program, lab)
                    .with(&["--insecure", "--cert", chain, "--key", key, "--key-type", "DER"])
                    .with(&["-X", ask.method.as_str()]);
                if let Some(body) = &ask.body {
                    curl = curl.with(&["-H", "content-type: application/json", "--data-raw", body]);
                }
                let answer = curl.send(&format!("{}{}", lab.api(), ask.path));
                if answer.status == 0 {
                    assert!(answer.says.contains("alert"), "{}: {}", self.name, answer.says);
                    return ("no connection".to_owned(), answer.says);
                }
                (answer.status, answer.body)
            }
        };
        let problem: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let answer = match problem.as_ref().and_then(|problem| problem["code"].as_str()) {
            Some(code) if status >= 400 => format!("{status} {code}"),
            _ => status.to_string(),
        };
        (answer, String::from_utf8_lossy(&body).into_owned())
    }
}

fn enrol(lab: &Lab, order: &TokenOrder) -> (Key, Vec<Certificate>) {
    Device::new(lab).enrol(Some(order.environment.as_str()), &lab.operator().token(order))
}

/// Everybody with a live certificate, and somebody with none.
pub(crate) fn enrol_all(lab: &Lab) -> Vec<Caller> {
    lab.operator().environment(ENVIRONMENTS[1], None);
    let ours = |name: String, caller| Caller { name, by: By::Ours(Box::new(caller)) };
    let mut all = vec![ours("nobody".to_owned(), Operator::nobody(lab))];
    for environment in ENVIRONMENTS {
        for kind in KINDS {
            let name = format!("{kind}-{environment}");
            let device = device_token(environment, &name);
            let order = match kind {
                "device" => device,
                "service" | "gateway" => TokenOrder { kind: Some(kind.parse().unwrap()), ..device },
                role => {
                    TokenOrder { environment: environment.parse().unwrap(), ..operator_token(&name, &[role]) }
                }
            };
            let (key, chain) = enrol(lab, &order);
            all.push(ours(format!("{kind}@{environment}"), Operator::with_key(lab, &key, &chain)));
        }
    }
    for role in ["admin", "fleet", "auditor"] {
        let order =
            TokenOrder { organisation: true, ..operator_token(&format!("{role}-everywhere"), &[role]) };
        let (key, chain) = enrol(lab, &order);
        all.push(ours(format!("{role}@organisation"), Operator::with_key(lab, &key, &chain)));
    }
    all
}

/// Administrators whose certificate is revoked, replaced, and about to end.
pub(crate) fn enrol_ended(lab: &Lab) -> [Caller; 3] {
    let [revoked, superseded, expired] = ["revoked", "superseded", "expired"].map(|state| {
        let (key, chain) = enrol(lab, &operator_token(state, &["admin"]));
        let pem: String = chain.iter().map(Certificate::to_pem).collect();
        let by = By::Curl {
            chain: lab.write(&format!("{state}.pem"), pem).display().to_string(),
            key: lab.write(&format!("{state}.p8"), key.pkcs8().expose()).display().to_string(),
        };
        (Caller { name: state.to_owned(), by }, key, chain)
    });
    let revoke = Request::post("/v1/operators/revoked/revoke", "application/json", "{}").unwrap();
    assert_eq!(lab.operator().send(revoke).unwrap().status, 200);
    let (superseded, key, chain) = superseded;
    let mut successor = Holder::new(lab, key, chain).renewed(lab);
    assert_eq!(successor.confirm("").unwrap().status, 204);
    [revoked.0, superseded, expired.0]
}
