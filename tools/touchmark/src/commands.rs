//! One file for each noun of the command line, and one for each verb that does more than ask.

pub(crate) mod audit;
pub(crate) mod cert;
pub(crate) mod completion;
pub(crate) mod contain;
pub(crate) mod device;
pub(crate) mod device_connect;
pub(crate) mod device_enroll;
pub(crate) mod device_register;
pub(crate) mod device_rotate;
pub(crate) mod env;
pub(crate) mod exit_codes;
pub(crate) mod explain;
pub(crate) mod gateway;
pub(crate) mod maker;
pub(crate) mod operator;
pub(crate) mod policy;
pub(crate) mod server;
pub(crate) mod token;

/// How much of a list is wanted.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Limit {
    /// Only the first so many [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

impl Limit {
    pub(crate) fn rows(self) -> Option<usize> {
        self.limit.map(|rows| usize::try_from(rows).unwrap_or(usize::MAX))
    }
}
