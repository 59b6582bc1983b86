//! What each row is held against: the first bar that must be met, and the goal beyond it.
//!
//! Ids are stable: docs/performance.md accepts a miss by its id.

/// One bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    /// Missing it fails the run. `None` where only a goal is set.
    pub(crate) first: Option<f64>,
    pub(crate) goal: Option<f64>,
    /// More is better; otherwise less is.
    pub(crate) is_floor: bool,
}

const fn at_most(
    id: &'static str,
    what: &'static str,
    unit: &'static str,
    first: Option<f64>,
    goal: Option<f64>,
) -> Bar {
    Bar { id, what, unit, first, goal, is_floor: false }
}

const fn at_least(
    id: &'static str,
    what: &'static str,
    unit: &'static str,
    first: Option<f64>,
    goal: Option<f64>,
) -> Bar {
    Bar { is_floor: true, ..at_most(id, what, unit, first, goal) }
}

/// Every bar, in the order of the table.
pub(crate) const BARS: &[Bar] = &[
    at_most("est-keep-alive", "EST, keep-alive: CPU / (sign + verify)", "x", Some(2.2), Some(1.35)),
    at_most("est-cfssl-postgres", "EST, keep-alive: CPU / cfssl + PostgreSQL", "x", None, Some(1.0 / 12.0)),
    at_most("est-fresh", "EST, fresh connection: CPU / its crypto", "x", Some(1.5), Some(1.25)),
    at_most("journal-head", "journal: entry to signed head, in a storm", "s", Some(2.0), Some(2.0)),
    at_most("handshake-nginx", "handshake, decision, log entry: CPU / nginx", "x", Some(0.5), Some(0.36)),
    at_most("handshake-envoy", "handshake, decision, log entry: CPU / Envoy", "x", None, Some(0.72)),
    at_most(
        "handshake-revoked",
        "handshake with the largest revoked set: CPU / none",
        "x",
        Some(1.05),
        Some(1.02),
    ),
    at_most("idle-session", "idle MQTT session: memory", "KB", Some(12.0), Some(2.0)),
    at_most("revoke-close", "revoke call to closed session: p99", "ms", Some(2000.0), Some(10.0)),
    at_most("publish-proxy", "QoS 1 publish: CPU / byte proxy", "x", Some(1.3), Some(1.15)),
    at_most("publish-haproxy", "QoS 1 publish: CPU / haproxy", "x", None, Some(0.9)),
    at_most("decide-record", "publish in process: decide and record", "us", Some(3.0), Some(1.0)),
    at_least("log-rate", "decision log: durable entries", "/s", Some(50_000.0), Some(300_000.0)),
    at_most("log-octets", "decision log: octets per allowed publish", "B", None, Some(12.0)),
    at_most("four-questions", "explain, the four questions: p95", "ms", Some(20.0), Some(20.0)),
    at_most("start", "authority: start to serving, 1,000,000 devices", "s", Some(3.0), Some(3.0)),
    at_most("agent-size", "agent: stripped size", "MB", Some(3.0), Some(2.0)),
    at_most("agent-memory", "agent: resident memory", "MB", Some(6.0), Some(4.0)),
];

/// How a figure stands to its bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// There is no bar; it is told for comparison.
    Told,
    /// The goal is met.
    Goal,
    /// The first bar is met.
    Met,
    /// The goal is missed, and there is no first bar.
    Short,
    /// Below the first bar.
    Missed,
    /// There should be a figure, and there is none.
    Failed,
}

impl Bar {
    pub(crate) fn of(id: &str) -> Option<&'static Self> {
        BARS.iter().find(|bar| bar.id == id)
    }

    /// A figure that is no number meets nothing.
    pub(crate) fn judge(&self, value: f64) -> Verdict {
        let meets = |limit: f64| if self.is_floor { value >= limit } else { value <= limit };
        if value.is_nan() {
            Verdict::Failed
        } else if self.goal.is_some_and(meets) {
            Verdict::Goal
        } else {
            match self.first.map(meets) {
                Some(true) => Verdict::Met,
                Some(false) => Verdict::Missed,
                None => Verdict::Short,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_judged_by_the_direction_of_their_bar() {
        let (ceiling, floor) = (Bar::of("est-keep-alive").unwrap(), Bar::of("log-rate").unwrap());
        for (bar, value, expected) in [
            (ceiling, 1.3, Verdict::Goal),
            (ceiling, 2.2, Verdict::Met),
            (ceiling, 2.21, Verdict::Missed),
            (ceiling, f64::NAN, Verdict::Failed),
            (floor, 300_000.0, Verdict::Goal),
            (floor, 50_000.0, Verdict::Met),
            (floor, 49_999.0, Verdict::Missed),
        ] {
            assert_eq!(bar.judge(value), expected, "{} at {value}", bar.id);
        }
    }

    #[test]
    fn ids_are_single() {
        for bar in BARS {
            assert_eq!(BARS.iter().filter(|other| other.id == bar.id).count(), 1, "{}", bar.id);
        }
    }
}
