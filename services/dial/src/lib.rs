//! Dialling out: one TLS client and one small HTTP/1.1 client, for the command line, the gateway's feed and log shipping.
//!
//! In: trust anchors, an optional certificate and key, addresses, requests.
//! Out: a connected stream, or a bounded response, or a [`DialFault`] that says who must act.
//! No redirect is ever followed, no session is ever resumed, no rule of the domain lives here.
//! Standards: RFC 8446, RFC 9112, RFC 9457.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::disallowed_methods))]

mod authority;
mod base_url;
mod blocking;
mod fault;
mod http;
mod json;
mod problem;
mod tls;

pub use ::http::{HeaderMap, Method, StatusCode};
pub use authority::KnownStatus;
pub use base_url::BaseUrl;
pub use blocking::BlockingHttp;
pub use bytes::Bytes;
pub use fault::{DialFault, TlsReason};
pub use http::{HttpClient, Request, Response};
pub use tls::{BadClientTls, ClientIdentity, ClientTls, TlsVersions};
