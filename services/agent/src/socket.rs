//! The Unix socket on which applications of the device get the current certificate, have things signed, and ask how
//! it stands.
//!
//! In: one JSON object per line. Out: one JSON object per line. The key never leaves the agent: an application that
//! may use it sends what is to be signed. Who asks is told by the kernel (SO_PEERCRED), never by the asker.

mod answers;
mod board;
mod foreign;
pub mod passwd;
mod protocol;
mod server;
mod users;
pub(crate) mod words;

pub use board::{Board, Post, Published};
pub use foreign::Foreign;
pub use protocol::{Ask, LINE_OCTETS_MAX, MESSAGE_OCTETS_MAX};
pub(crate) use server::THREAD as SOCKET_THREAD;
pub use server::{BadSocket, Socket};
pub use users::Users;
