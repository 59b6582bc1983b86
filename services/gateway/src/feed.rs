//! The status feed: from the authority, to a file, into force, and the report back.

mod client;
mod file;
mod report;
#[cfg(test)]
mod tests;

pub(crate) use client::FeedClient;
pub(crate) use file::FeedFile;
