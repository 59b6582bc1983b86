//! The key store of one environment: keys, chains, anchors and the state record, as files that survive power cuts.
//!
//! In: the lifecycle's writes. Out: its inputs, and the pairs for TLS. Whatever a power cut leaves, the next
//! [`CredentialStore::load`] finds the old pair or the new one whole, and never a mixed one.
//! File names are fixed here: nothing that a server says ever becomes a path.

mod credential;
mod directory;
mod disk;
mod memory;

pub use credential::{CredentialStore, Pair, StoreFault};
pub use directory::{Directory, DirectoryFault, FILE_OCTETS_MAX, FileName};
pub use disk::{DiskDirectory, others_may_write};
pub use memory::{MemoryDirectory, Mishap};
