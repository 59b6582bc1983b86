//! The readers, over the public API: what this crate writes is accepted, and OpenSSL gives the same verdicts.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod openssl;
mod own_road;
mod strangers;
