//! `touchmark-agent`: keeps this device's identities fresh, and tells how they stand. See docs/agent.md.

use std::process::ExitCode;

fn main() -> ExitCode {
    touchmark_agent::cli::main()
}
