//! Files that survive a crash: a file is there whole, or it is not there.
//!
//! In: paths and bytes. Out: nothing returns before the disk says that it has the bytes.
//! A failed fsync ends the process (see [`sync`]); every other error is the caller's.
//! Nothing here knows what the bytes mean.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod append;
mod atomic;
mod directory;
mod fault;
mod mode;
pub mod sync;

pub use append::AppendFile;
pub use atomic::{
    first_second, remove_durable, rename_durable, write_atomic, write_atomic_all, write_changed,
};
pub use directory::create_dir_durable;
pub use fault::WriteFault;
pub use mode::Mode;
