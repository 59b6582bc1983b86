//! The built-in far end, so that everything works with nothing else installed: a file, a ring, the last values.
//!
//! In: permitted messages. Out: NDJSON on disk, and the newest messages by plain HTTP on loopback.
//! It is no broker: nothing is fanned out to subscribers. Everything in it is bounded.

mod page;
mod session;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use page::serve_page;
pub(crate) use session::SinkSession;
pub(crate) use store::{Message, Sink};
