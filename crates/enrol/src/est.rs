//! EST: Enrollment over Secure Transport (RFC 7030, RFC 8951), the server's half and the client's.
//!
//! Real clients differ in every detail that the standard leaves open, so requests are read tolerantly
//! (within bounds) and answers are written in the one form that most clients take.

mod base64_text;
mod client;
mod credentials;
mod csr_attributes;
mod fault;
mod path;
mod request_body;
mod response;

pub use client::{
    BadCertsResponse, Enrolled, EstPost, choose, enrol_request, parse_certs_response, renew_request,
};
pub use credentials::{BasicCredentials, basic_credentials, presented_credential};
pub use csr_attributes::{CsrAttribute, encode_csr_attributes};
pub use fault::{BadBody, EstFault, EstRefusal};
pub use path::{EstPath, Operation, ROOT};
pub use request_body::{REQUEST_OCTETS_MAX, read_body, read_csr};
pub use response::{EstBody, write_ca_certs, write_certs_only, write_csr_attributes};
