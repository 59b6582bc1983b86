//! Nothing dies in part, and nothing dies in silence: logs that nobody takes, and tasks that panic, one after the other.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod command_line;
mod installation;
mod log;
mod tasks;
