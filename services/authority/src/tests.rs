//! What tests of several modules share, and those of what crosses them.

mod dry_runs;
mod environments_apart;
mod explained;
mod few_reads;
mod held;
pub(crate) mod house;
mod moved_clock;
mod overtaken;
mod upkeep_turns;
mod ways_in;
