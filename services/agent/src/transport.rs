//! One question to the authority at a time: blocking TLS 1.3, a bounded HTTP/1.1, and nothing that could be left out.
//!
//! In: a call of the lifecycle, the pinned anchors, a credential. Out: the lifecycle's answer. Whatever the
//! other end sends is bounded in octets and in time, no redirect is followed, nothing is decompressed, and no
//! text of the server becomes a path, a command or an address. A failure says who must act (RFC 9110, RFC 9112).

mod address;
mod body;
mod caller;
mod connection;
mod date;
mod deadline;
mod fault;
mod message;
mod refusal;
mod verifier;

pub use address::{BadAddress, ServerAddress};
pub use caller::{Caller, Credentials, EXCHANGE_TIME};
pub use connection::{ClientIdentity, Exchange};
pub use fault::CallFault;
pub use message::{BODY_OCTETS_MAX, HEAD_OCTETS_MAX, HEADERS_MAX, Method, Request, Response};
