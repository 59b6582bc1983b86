//! File descriptors: as many as the system allows, shared out so that no port can take those of the others, of the
//! store or of the log.

use touchmark_listen::raise_open_files;

/// Kept for the store, the log, archives and everything that opens a file for a moment.
const SPARE: u64 = 256;
/// Three ports here take three; a gateway in the same process has the other.
const SHARES: u64 = 4;
/// More connections than this on one port are a flood.
const CONNECTIONS_MAX: u64 = 5120;
/// Below this nobody could work; a system with so few descriptors is warned about.
const CONNECTIONS_MIN: u64 = 8;

/// Raises the soft limit to the hard one; gives the connections that each port may hold, those in a handshake included.
pub(super) fn connections_max() -> usize {
    let limit = raise_open_files();
    let share = share(limit);
    if limit.is_some_and(|limit| limit < SPARE + SHARES * 64) {
        tracing::warn!(limit, connections = share, "few open files are allowed: raise the limit (ulimit -n)");
    }
    share
}

/// No limit is given as `None`.
fn share(limit: Option<u64>) -> usize {
    let share = limit.map_or(CONNECTIONS_MAX, |limit| limit.saturating_sub(SPARE) / SHARES);
    usize::try_from(share.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ports_and_a_gateway_never_take_the_spare_descriptors() {
        for (limit, expected) in [
            (None, 5120),
            (Some(1_048_576), 5120),
            (Some(20_000), 4936),
            (Some(4096), 960),
            (Some(1024), 192),
            (Some(256), 8),
            (Some(0), 8),
        ] {
            assert_eq!(share(limit), expected, "with a limit of {limit:?}");
        }
    }
}
