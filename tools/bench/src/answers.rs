//! What is read of the program's answers: the fields that are needed here and no others, so that a program from before
//! or after a change of the rest is measured as well.

use serde::Deserialize;

/// Of the first line of a process that serves.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Serving {
    /// Base URL of EST.
    pub(crate) est: Option<String>,
    /// Base URL of the management API.
    pub(crate) api: Option<String>,
    /// `host:port` of a gateway's MQTT listener.
    pub(crate) mqtt: Option<String>,
    /// File with the environment's trust anchors, PEM.
    pub(crate) ca: Option<String>,
}

/// Of `POST /v1/tokens`.
#[derive(Debug, Deserialize)]
pub(crate) struct MadeToken {
    pub(crate) password: String,
}

/// Of `GET /v1/status`.
#[derive(Debug, Deserialize)]
pub(crate) struct JournalStatus {
    /// Entries.
    pub(crate) journal: u64,
    /// Leaves under the newest signed head.
    pub(crate) log_size: u64,
}

/// Of `POST /v1/devices/{name}/revoke`.
#[derive(Debug, Deserialize)]
pub(crate) struct Revoked {
    /// Place in the journal; none where nothing was done.
    pub(crate) seq: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_api::{ContainmentOutcome, Ready, StatusReport};

    #[test]
    fn answers_of_today_are_read() {
        let ready = Ready { ca: "ca.pem".into(), mqtt: Some("h:1".into()), ..Ready::default() };
        let serving: Serving = read(&serde_json::to_string(&ready).unwrap());
        assert_eq!((serving.ca.as_deref(), serving.mqtt.as_deref()), (Some("ca.pem"), Some("h:1")));
        let status = StatusReport {
            version: "1".into(),
            incarnation: 0,
            journal: 7,
            log_size: 5,
            environments: Vec::new(),
            gateways: Vec::new(),
        };
        let status: JournalStatus = read(&serde_json::to_string(&status).unwrap());
        assert_eq!((status.journal, status.log_size), (7, 5));
        let outcome = ContainmentOutcome {
            device: "pump-01".parse().ok(),
            seq: Some(9),
            accepted_at: None,
            dry_run: false,
            certificates: Vec::new(),
            lives_on: Vec::new(),
            let_in: None,
            sessions_closed: 0,
            gateways: Vec::new(),
            already: false,
            rule: String::new(),
        };
        assert_eq!(read::<Revoked>(&serde_json::to_string(&outcome).unwrap()).seq, Some(9));
    }

    #[test]
    fn answers_are_read_whatever_else_they_hold_and_not_without_what_is_needed() {
        let gateways = r#""gateways":[{"name":"g","applied_at":"t"}]"#;
        let status: JournalStatus = read(&format!(r#"{{"journal":7,"log_size":5,{gateways}}}"#));
        assert_eq!((status.journal, status.log_size), (7, 5));
        let revoked: Revoked = read(&format!(r#"{{"seq":9,"device":"d","gateways_silent":[],{gateways}}}"#));
        assert_eq!(revoked.seq, Some(9));
        assert_eq!(read::<Revoked>("{}").seq, None);
        let token: MadeToken = read(r#"{"password":"p","subject":"no data","new":{"a":[1]}}"#);
        assert_eq!(token.password, "p");
        for lacking in [r#"{"journal":7}"#, r#"{"journal":"7","log_size":5}"#, "[]"] {
            let fault = serde_json::from_str::<JournalStatus>(lacking).unwrap_err();
            assert!(!fault.to_string().is_empty(), "{lacking}");
        }
    }

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_json::from_str(text).unwrap()
    }
}
