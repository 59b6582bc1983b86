//! What this crate writes, held against golden bytes, against its own readers, and against OpenSSL.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod authority;
mod crl;
mod golden;
mod openssl;
mod tampering;
mod template;
