//! `touchmark operator`: people who run the authority.

use crate::commands::contain::{self, RevokeParty};
use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::output::Output;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Operator {
    /// Kill all that an operator has: certificates, successors, keys, and the tokens it made or was made
    Revoke(RevokeParty),
}

pub(crate) async fn run(command: Operator, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let Operator::Revoke(order) = command;
    contain::revoke_party("operators", order, home, output).await
}
