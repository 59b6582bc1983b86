//! What an operator says of a gateway.

use crate::cbor::{opt_moment, text};
use minicbor::{Decode, Encode};
use touchmark_identity::{Name, Timestamp};

/// See [`crate::Event::GatewayDeclared`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GatewayDeclared {
    /// Which, in the entry's environment.
    #[cbor(n(0), with = "text")]
    pub gateway: Name,
    /// Whether it is not running.
    #[n(1)]
    pub offline: bool,
    /// When that ends by itself.
    #[cbor(n(2), with = "opt_moment")]
    pub until: Option<Timestamp>,
}
