//! The log: standard error, a line for each thing that is worth knowing.
//!
//! A disk that is full, or a reader that went away, takes no line. That is no reason to let an identity end, so
//! nothing here fails; `eprintln!` would panic.

use core::fmt;
use std::io::Write as _;

/// Writes one line, if anybody takes it.
pub(crate) fn line(words: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{words}");
}
