//! Who may read a file.

/// Permissions of a file from its first moment: a key is never readable by others, not even briefly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 0600; directories 0700. Keys, tokens, databases.
    Private0600,
    /// 0644; directories 0755, whatever the umask. Certificates, CRLs, log tiles.
    Public0644,
}

impl Mode {
    /// Permission bits of a file.
    pub fn file_bits(self) -> u32 {
        match self {
            Self::Private0600 => 0o600,
            Self::Public0644 => 0o644,
        }
    }

    /// Permission bits of a directory.
    pub fn directory_bits(self) -> u32 {
        match self {
            Self::Private0600 => 0o700,
            Self::Public0644 => 0o755,
        }
    }
}
