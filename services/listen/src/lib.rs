//! Incoming connections: bound ports, TLS handshakes within limits, and who proved to be at the other end.
//!
//! In: a port's [`PortPolicy`], the server's certificate, and a [`PathCheck`] that judges client certificates.
//! Out: [`Accepted`] connections (possession proven where a certificate was shown), or an [`AcceptFault`].
//! Each port has one TLS configuration whatever the client names (SNI, ALPN), and nothing resumes a
//! session: a resumed one would skip the judgement of the client's certificate. No rule about devices lives here.
//! What all HTTP ports ask of a request's Host stands here, too. Standards: RFC 8446, RFC 5246, RFC 9112.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::disallowed_methods))]

mod accept;
mod bind;
mod clock;
mod fault;
mod hello;
mod host;
mod open_files;
mod peer;
mod places;
mod port;
mod serve;
mod server_identity;
mod table;

pub use accept::{Accepted, TlsFacts};
pub use bind::{BindFault, Bound, bind};
pub use clock::Clock;
pub use fault::AcceptFault;
pub use host::{BadHost, check_host};
pub use open_files::raise_open_files;
pub use peer::{PathCheck, PathRefusal, PeerChain};
pub use port::{BadServerTls, PortPolicy, ServerTls};
pub use serve::{Drained, Limits, WhenFull, serve_plain, serve_tls};
pub use server_identity::{BadServerIdentity, ServerIdentity};
pub use tokio_rustls::server::TlsStream;
pub use touchmark_supervise::{Stop, StopSwitch};
