//! A call of the lifecycle, asked over one exchange, and its answer taken apart.
//!
//! EST for certificates (RFC 7030), two native calls for what EST has no words for. Nothing in an answer is believed
//! here: that is the lifecycle's matter.

use super::address::ServerAddress;
use super::connection::{ClientIdentity, Exchange};
use super::fault::CallFault;
use super::message::{Method, Request, Response};
use super::refusal::{Refusal, retry_after, server_time};
use crate::lifecycle::{Answer, Call, Input, RenewedBy, ServerMoment};
use core::time::Duration;
use touchmark_enrol::est::{self, EstPath, EstPost, Operation};
use touchmark_enrol::renewal::{CONFIRM_PATH, RENEWAL_HEADER, RENEWAL_PATH};
use touchmark_enrol::{RenewalHint, RenewalWindow};
use touchmark_identity::{EnvironmentName, Secret};
use touchmark_x509::Certificate;

/// For one exchange: a phone line's handshake takes 10 s, and a server under load answers within 20.
pub const EXCHANGE_TIME: Duration = Duration::from_secs(60);

/// Who set a renewal going: `automatic` or `manual`.
const MANNER_HEADER: &str = "Touchmark-Renewal-Manner";

/// Whom to ask, about which environment.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The authority's EST address.
    pub server: ServerAddress,
    /// EST's label.
    pub environment: EnvironmentName,
    /// For one exchange; [`EXCHANGE_TIME`] but in tests.
    pub allowed: Duration,
}

/// With what to ask.
#[derive(Debug)]
pub struct Credentials<'a> {
    /// Anchors in force.
    pub anchors: &'a [Certificate],
    /// The moment at which the server's certificate is judged.
    pub moment: ServerMoment,
    /// What is shown in the TLS connection.
    pub identity: Option<ClientIdentity>,
    /// User name and password, for a first certificate.
    pub token: Option<(&'a str, &'a Secret<String>)>,
    /// The request for the `.new` key, DER; empty where a call takes none.
    pub request_der: &'a [u8],
    /// Who set a renewal going, for the authority's records.
    pub by: RenewedBy,
}

impl Caller {
    /// Asks, and says what came of it: always [`Input::Answered`].
    pub fn call(&self, call: Call, with: &Credentials<'_>) -> Input {
        let exchange = Exchange {
            server: &self.server,
            anchors: with.anchors,
            identity: with.identity.as_ref(),
            moment: with.moment,
            allowed: self.allowed,
        };
        match exchange.ask(&self.request(call, with)) {
            Ok(response) => Input::Answered {
                server_time: server_time(&response),
                answer: read(call, &response).unwrap_or_else(|fault| unreachable(&fault)),
            },
            Err(fault) => Input::Answered { answer: unreachable(&fault), server_time: None },
        }
    }

    fn request(&self, call: Call, with: &Credentials<'_>) -> Request {
        let label = Some(&self.environment);
        match call {
            Call::Anchors => {
                let path = EstPath { label: label.cloned(), operation: Operation::CaCerts };
                Request::get(path.to_path())
            }
            Call::Enrol { .. } => post(est::enrol_request(label, with.request_der, with.token)),
            Call::Renew => {
                let mut request = post(est::renew_request(label, with.request_der));
                request.headers.push((MANNER_HEADER, manner(with.by)));
                request
            }
            Call::Confirm => Request::post(CONFIRM_PATH),
            Call::Hint => Request::get(RENEWAL_PATH),
        }
    }
}

fn manner(by: RenewedBy) -> &'static str {
    match by {
        RenewedBy::Itself => "automatic",
        RenewedBy::Wish => "manual",
    }
}

fn post(est: EstPost) -> Request {
    let EstPost { path, headers, authorization, body } = est;
    Request { method: Method::Post, path, headers: headers.to_vec(), authorization, body }
}

fn unreachable(fault: &CallFault) -> Answer {
    Answer::Unreachable { why: fault.trouble(), says: fault.to_string() }
}

fn read(call: Call, response: &Response) -> Result<Answer, CallFault> {
    let certificates =
        || est::parse_certs_response(&response.body).map_err(|fault| CallFault::Content(fault.to_string()));
    match (call, response.status) {
        (Call::Anchors, 200) => Ok(Answer::Anchors { certificates: certificates()? }),
        (Call::Enrol { .. } | Call::Renew, 200) => {
            Ok(Answer::Certificates { certificates: certificates()?, hint: hint(response) })
        }
        (Call::Confirm, 204) => Ok(Answer::Confirmed),
        (Call::Hint, 200) => RenewalHint::from_json(&response.body)
            .map(Answer::Hint)
            .map_err(|fault| CallFault::Content(fault.to_string())),
        // 200 to a confirmation is somebody else's page, and so on.
        (Call::Anchors | Call::Enrol { .. } | Call::Renew | Call::Confirm | Call::Hint, status @ ..=299)
            if status != 202 =>
        {
            Err(CallFault::Content(format!("status {status}")))
        }
        (Call::Anchors | Call::Enrol { .. } | Call::Renew | Call::Confirm | Call::Hint, status) => {
            let Refusal { code, says, retry_after } = Refusal::read(response);
            Ok(Answer::Refused { status, code, says, retry_after })
        }
    }
}

/// A hint that cannot be read is none: the certificate beside it is as good.
fn hint(response: &Response) -> Option<RenewalHint> {
    let value = response.header(&RENEWAL_HEADER.to_ascii_lowercase())?;
    let window = RenewalWindow::from_header(value).ok()?;
    Some(RenewalHint { window, retry_after: retry_after(response) })
}
