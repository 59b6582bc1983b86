//! The only files that know the authority's and the gateway's crates, and the processes that run them.

pub(crate) mod authority;
pub(crate) mod gateway;
pub mod process;
