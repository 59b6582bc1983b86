//! What tests of several modules share, and those of what crosses them.

mod held;
pub(crate) mod house;
mod moved_clock;
