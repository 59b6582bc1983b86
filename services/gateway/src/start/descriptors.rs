//! File descriptors: one limit of the process, shared out so that neither port can take those of the other, of the
//! log or of the feed.

use touchmark_listen::raise_open_files;

/// Kept for the log, the feed, the sink's page and everything that opens a file for a moment.
const SPARE: u64 = 512;
/// MQTT and HTTP.
const PORTS: u64 = 2;
/// More connections than this on one port are a flood, whatever the system would allow.
const CONNECTIONS_MAX: usize = 18_000;
/// Below this nobody could work; a system with so few descriptors is warned about.
const CONNECTIONS_MIN: u64 = 8;

/// The connections that each port may hold, those in a handshake included. With a broker or a service behind, each takes two descriptors.
pub(super) fn connections_max(with_upstream: bool) -> usize {
    let limit = raise_open_files();
    let share = share(limit, with_upstream);
    tracing::info!(connections = share, limit, "connections that each port may hold");
    if limit.is_some_and(|limit| limit < SPARE * 2) {
        tracing::warn!(limit, "few open files are allowed: raise the limit (ulimit -n)");
    }
    share
}

fn share(limit: Option<u64>, with_upstream: bool) -> usize {
    let each = if with_upstream { 2 } else { 1 };
    let share = limit.map(|limit| (limit.saturating_sub(SPARE) / each / PORTS).max(CONNECTIONS_MIN));
    share
        .and_then(|share| usize::try_from(share).ok())
        .map_or(CONNECTIONS_MAX, |share| share.min(CONNECTIONS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_full_ports_never_take_the_spare_descriptors() {
        for (limit, with_upstream, expected) in [
            (None, true, 18_000),
            (Some(1_048_576), true, 18_000),
            (Some(20_000), true, 4872),
            (Some(20_000), false, 9744),
            (Some(72_512), true, 18_000),
            (Some(1024), true, 128),
            (Some(512), false, 8),
            (Some(0), true, 8),
        ] {
            assert_eq!(share(limit, with_upstream), expected, "with a limit of {limit:?}");
        }
    }
}
