//! File descriptors: as many as the system allows this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, and gives what holds then; `None` for no limit. What cannot be raised stays, and
/// is told.
pub fn raise_open_files() -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before })
    {
        tracing::warn!(%error, limit = before.current, "the limit of open files stays as it is");
    }
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_hard_one_afterwards() {
        let raised = raise_open_files();
        let limits = getrlimit(Resource::Nofile);
        assert_eq!((raised, limits.current), (limits.maximum, limits.maximum));
    }
}
