//! Private keys of the authority: sealed files now, hardware behind the same `Signer` port later.

mod vault;

pub(crate) use vault::KeyVault;
pub use vault::VaultFault;
