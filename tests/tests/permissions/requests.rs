//! One request or more for each route. They change nothing that another one sees: what can be tried is only tried, and
//! what cannot names something that is not there.

use std::fmt;
use touchmark_api::{Certificate, Page, Token};
use touchmark_dial::Method;
use touchmark_identity::Permission;
use touchmark_tests::{Device, Lab, Operator, device_token, environment_order, operator_token};

/// The first is the default.
pub(crate) const ENVIRONMENTS: [&str; 2] = ["lab", "yard"];

/// One request.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<String>,
}

/// One line of the table.
pub(crate) struct Row {
    method: Method,
    route: &'static str,
    /// Which of the requests that the route takes.
    variant: &'static str,
    environment: &'static str,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, route, variant, environment } = self;
        let words: Vec<&str> = [*variant, *environment].into_iter().filter(|word| !word.is_empty()).collect();
        write!(f, "{method} {route} ({})", words.join(", "))
    }
}

impl Row {
    pub(crate) fn is_of(&self, method: &Method, route: &str) -> bool {
        self.method == *method && self.route == route
    }

    /// The environment that it speaks of, or the default one.
    pub(crate) fn environment(&self) -> &'static str {
        if self.environment.is_empty() { ENVIRONMENTS[0] } else { self.environment }
    }

    /// What the operator policy has to permit; nothing where it is not asked.
    ///
    /// # Panics
    /// If nobody has said it: then a new route stands here.
    pub(crate) fn takes(&self) -> Option<Permission> {
        use Permission as Takes;
        Some(match (self.method.as_str(), self.route, self.variant) {
            ("GET", "/v1/feed", _)
            | ("POST", "/v1/decisions" | "/v1/feed/acknowledgement" | "/v1/gateways/self", _) => return None,
            ("GET", "/v1/log" | "/v1/decisions", _) => Takes::AuditRead,
            ("GET", "/v1/explain/{id}" | "/v1/devices" | "/v1/devices/{name}" | "/v1/tokens", _) => {
                Takes::DeviceRead
            }
            ("GET", "/v1/devices/{name}/certificates" | "/v1/certificates/{id}", _) => Takes::CertificateRead,
            ("GET", "/v1/environments/{name}/policy", _) => Takes::PolicyRead,
            (
                "GET",
                "/v1/status" | "/v1/environments" | "/v1/environments/{name}" | "/v1/makers" | "/v1/gateways",
                _,
            ) => Takes::EnvironmentRead,
            ("POST", "/v1/tokens", "device") | ("POST", "/v1/tokens/{id}/void" | "/v1/devices", _) => {
                Takes::DeviceEnrol
            }
            ("POST", "/v1/tokens", "service" | "gateway") => Takes::ServiceEnrol,
            ("POST", "/v1/tokens", "operator" | "operator that is there") => Takes::OperatorEnrol,
            ("POST", "/v1/devices/{name}/{verb}", "quarantine") => Takes::DeviceQuarantine,
            ("POST", "/v1/devices/{name}/{verb}", "release") => Takes::DeviceRelease,
            ("POST", "/v1/devices/{name}/{verb}", "ban") => Takes::DeviceBan,
            ("POST", "/v1/devices/{name}/{verb}" | "/v1/certificates/{id}/revoke", _) => Takes::DeviceRevoke,
            ("POST", "/v1/operators/{name}/revoke", _) => Takes::OperatorRevoke,
            ("POST", "/v1/services/{name}/revoke", _) => Takes::ServiceRevoke,
            ("POST", "/v1/gateways/{name}/{word}", _) => Takes::GatewayDeclare,
            ("PUT", "/v1/environments/{name}/policy", _) => Takes::PolicyActivate,
            ("POST", "/v1/environments", _) => Takes::EnvironmentCreate,
            ("POST", "/v1/makers" | "/v1/makers/{name}/withdraw", _) => Takes::MakerRegister,
            _ => panic!("nobody says what {self} takes"),
        })
    }

    /// Whether it speaks of the other environment than the one that the caller `KIND@ENVIRONMENT` is of.
    pub(crate) fn is_foreign_to(&self, caller: &str) -> bool {
        let home = caller.split_once('@').map(|(_, home)| home);
        self.variant != "all"
            && !self.environment.is_empty()
            && home.is_some_and(|home| ENVIRONMENTS.contains(&home) && home != self.environment)
    }
}

/// What the requests speak of.
pub(crate) struct Requests {
    admin: Option<Operator>,
    /// The administrator's, of the list of devices.
    cursor: String,
    /// A certificate of a device in each environment.
    certificates: [String; 2],
    tokens: [String; 2],
    made: usize,
}

fn pump(environment: &str) -> String {
    format!("pump-{environment}")
}

impl Requests {
    /// A device in each environment, and an operator and a service that may be revoked.
    pub(crate) fn prepare(lab: &Lab) -> Self {
        let mut admin = lab.operator();
        let certificates = ENVIRONMENTS.map(|environment| {
            let token = admin.token(&device_token(environment, &pump(environment)));
            Device::new(lab).enrol(Some(environment), &token);
            let path = format!("/v1/devices/{}/certificates", pump(environment));
            let rows: Page<Certificate> = serde_json::from_slice(&admin.get(&path).unwrap().body).unwrap();
            rows.items[0].id.to_string()
        });
        let first = admin.get("/v1/devices?limit=1").unwrap();
        let first: Page<touchmark_api::Device> = serde_json::from_slice(&first.body).unwrap();
        let cursor = first.next.unwrap().to_string();
        Self { admin: Some(admin), cursor, certificates, tokens: Default::default(), made: 0 }
    }

    /// Nothing more is made for a request; what there is must do.
    pub(crate) fn freeze(&mut self) {
        self.admin = None;
    }

    /// The rows of a route.
    ///
    /// # Panics
    /// If there are none: then the route is untested.
    pub(crate) fn rows(method: &Method, route: &'static str) -> Vec<Row> {
        let variants: &[&str] = match (method.as_str(), route) {
            ("GET", "/v1/status" | "/v1/log" | "/v1/decisions" | "/v1/environments" | "/v1/feed")
            | ("POST", "/v1/decisions" | "/v1/feed/acknowledgement" | "/v1/gateways/self") => {
                let row = Row { method: method.clone(), route, variant: "all", environment: "" };
                return vec![row];
            }
            ("GET", "/v1/explain/{id}") => &["by name", "by certificate", "by name in its environment"],
            ("GET", "/v1/devices/{name}" | "/v1/devices/{name}/certificates") => {
                &["by name", "in its environment"]
            }
            ("POST", "/v1/devices/{name}/{verb}") => {
                &["revoke", "quarantine", "release", "ban", "revoke in its environment", "unknown device"]
            }
            ("POST", "/v1/tokens") => &["device", "service", "gateway", "operator", "operator that is there"],
            ("POST", "/v1/tokens/{id}/void") => &["device", "unknown token"],
            ("GET", "/v1/gateways") => &["all", "of an environment"],
            ("GET", "/v1/devices") => &["all", "of an environment", "behind another's cursor"],
            ("POST", "/v1/gateways/{name}/{word}") => &["offline", "online"],
            ("GET", "/v1/certificates/{id}") | ("POST", "/v1/certificates/{id}/revoke") => {
                &["known", "unknown"]
            }
            ("POST", "/v1/operators/{name}/revoke" | "/v1/services/{name}/revoke") => &["known", "unknown"],
            (
                "GET",
                "/v1/tokens" | "/v1/environments/{name}" | "/v1/environments/{name}/policy" | "/v1/makers",
            )
            | ("PUT", "/v1/environments/{name}/policy")
            | ("POST", "/v1/environments" | "/v1/makers" | "/v1/makers/{name}/withdraw" | "/v1/devices") => {
                &[""]
            }
            _ => panic!("no request tries {method} {route}"),
        };
        let row = |environment, variant| Row { method: method.clone(), route, variant, environment };
        ENVIRONMENTS
            .iter()
            .flat_map(|environment| variants.iter().map(move |variant| row(*environment, *variant)))
            .collect()
    }

    /// A request of a row.
    pub(crate) fn one(&mut self, row: &Row) -> Ask {
        let environment = row.environment;
        let here = usize::from(environment == ENVIRONMENTS[1]);
        let in_it = format!(r#""environment":"{environment}""#);
        let (mut path, mut body) = (row.route.replace("{name}", &pump(environment)), None);
        match (row.route, row.variant) {
            ("/v1/explain/{id}", variant) => {
                let by_certificate = variant == "by certificate";
                let id = if by_certificate { self.certificates[here].clone() } else { pump(environment) };
                path = path.replace("{id}", &id);
                if variant.ends_with("environment") {
                    path += &format!("?environment={environment}");
                }
            }
            ("/v1/devices/{name}/{verb}", variant) => {
                let (verb, of) = variant.split_once(' ').unwrap_or((variant, ""));
                let verb = if verb == "unknown" { "revoke" } else { verb };
                path = match of {
                    "device" => format!("/v1/devices/nobody-knows-it/{verb}"),
                    _ => format!("/v1/devices/{}/{verb}", pump(environment)),
                };
                body = Some(match of {
                    "in its environment" | "device" => format!(r#"{{"dry_run":true,{in_it}}}"#),
                    _ => r#"{"dry_run":true}"#.to_owned(),
                });
            }
            ("/v1/devices/{name}" | "/v1/devices/{name}/certificates", "in its environment") => {
                path += &format!("?environment={environment}");
            }
            ("/v1/tokens", _) if row.method == Method::GET => path += &format!("?environment={environment}"),
            ("/v1/tokens", variant) => {
                self.made += 1;
                let mut order = device_token(environment, &format!("new-{}", self.made));
                match variant {
                    "device" => {}
                    "service" | "gateway" => order.kind = Some(variant.parse().unwrap()),
                    "operator" => order = operator_token(&format!("new-{}", self.made), &["auditor"]),
                    _ => order = operator_token(&format!("auditor-{environment}"), &[]),
                }
                order.environment = environment.parse().unwrap();
                body = Some(serde_json::to_string(&order).unwrap());
            }
            ("/v1/tokens/{id}/void", "device") => {
                // Each is made for one request only.
                if let Some(admin) = &mut self.admin {
                    let Token { token, .. } = admin.token(&device_token(environment, "spare"));
                    self.tokens[here] = token.to_string();
                }
                path = path.replace("{id}", &self.tokens[here]);
            }
            ("/v1/tokens/{id}/void", _) => path = path.replace("{id}", "tok_01JZZZZZZZZZZZZZZZZZZZZZZZ"),
            ("/v1/certificates/{id}" | "/v1/certificates/{id}/revoke", variant) => {
                let unknown = format!("crt_{}", "0".repeat(26));
                let id = if variant == "known" { self.certificates[here].clone() } else { unknown };
                path = path.replace("{id}", &id);
                body = (row.method == Method::POST).then(|| r#"{"dry_run":true}"#.to_owned());
            }
            ("/v1/operators/{name}/revoke" | "/v1/services/{name}/revoke", variant) => {
                let kind = if row.route.contains("operators") { "auditor" } else { "gateway" };
                let name =
                    if variant == "known" { format!("{kind}-{environment}") } else { "unknown".into() };
                path = row.route.replace("{name}", &name);
                body = Some(r#"{"dry_run":true}"#.to_owned());
            }
            ("/v1/environments", _) if row.method == Method::POST => {
                // A name that is taken: what may be made is not made.
                let order = environment_order(environment);
                body = Some(serde_json::to_string(&order).unwrap());
            }
            ("/v1/environments/{name}" | "/v1/environments/{name}/policy", _) => {
                path = row.route.replace("{name}", environment);
                let policy = r#"{"files":[],"topics":"","dry_run":true}"#;
                body = (row.method == Method::PUT).then(|| policy.to_owned());
            }
            ("/v1/makers", _) if row.method == Method::GET => path += &format!("?environment={environment}"),
            ("/v1/makers", _) => body = Some(format!(r#"{{{in_it},"name":"acme","certificate":"none"}}"#)),
            ("/v1/makers/{name}/withdraw", _) => {
                path = row.route.replace("{name}", "acme");
                body = Some(format!("{{{in_it}}}"));
            }
            ("/v1/devices", _) if row.method == Method::POST => {
                let device = r#""device":"new","maker":"acme","hardware_id":"1.2.3:4""#;
                body = Some(format!("{{{in_it},{device}}}"));
            }
            ("/v1/devices" | "/v1/gateways", "of an environment") => {
                path += &format!("?environment={environment}");
            }
            ("/v1/devices", "behind another's cursor") => {
                path += &format!("?environment={environment}&cursor={}", self.cursor);
            }
            ("/v1/gateways/{name}/{word}", word) => {
                path = format!("/v1/gateways/unknown/{word}");
                body = Some(format!("{{{in_it}}}"));
            }
            ("/v1/decisions", _) if row.method == Method::POST => {
                body = Some(r#"{"first_leaf":0,"frames":[]}"#.to_owned());
            }
            ("/v1/feed/acknowledgement", _) => {
                let position =
                    r#"{"epoch":1,"seq":1,"applied_at":"2026-01-01T00:00:00Z","sessions_closed":0}"#;
                body = Some(position.to_owned());
            }
            ("/v1/gateways/self", _) => body = Some(r#"{"decision_log_vkey":"x"}"#.to_owned()),
            _ => {}
        }
        Ask { method: row.method.clone(), path, body }
    }
}
