//! Where a change of the feed is in force, from what the authority saw of each gateway.
//!
//! In: how long ago a gateway asked, what it acknowledged, whether an operator declared it offline, whether the authority
//! still accepts it. Out: one word for people and programs. A gateway of which nothing is known is never taken for one
//! that has applied something.

use crate::Position;
use core::time::Duration;

/// A gateway that asked for the feed within this time is online. It asks again at least every 10 s while the
/// authority answers, and a lost link is tried again after 2 s at most: three polls may be missed.
pub const ONLINE_WITHIN: Duration = Duration::from_secs(30);

/// What the authority knows of one gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayView {
    /// How long ago it asked for the feed; `None` when not since the authority started.
    pub asked: Option<Duration>,
    /// The highest position that it acknowledged, if any.
    pub applied: Option<Position>,
    /// An operator said that it is not running, and it has not asked since.
    pub declared_offline: bool,
    /// The authority accepts none of its certificates: it gets no feed, and can acknowledge nothing more.
    pub refused: bool,
    /// It said, as it was refused, that it serves nobody. Counts for one that is refused only: whoever holds a revoked
    /// key of a gateway can say so.
    pub cut_off: bool,
}

/// Whether a change is in force at a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// It says so.
    Applied,
    /// It is online and has not said so.
    Late,
    /// Nobody knows: it may be serving devices on what it knew before.
    Unknown,
    /// An operator said that it is not running.
    Offline,
    /// The authority refuses it, and it said that it serves nobody.
    CutOff,
}

impl GatewayView {
    /// Whether it asked for the feed of late.
    pub fn is_online(&self) -> bool {
        self.asked.is_some_and(|ago| ago < ONLINE_WITHIN)
    }

    /// Whether the change at `position` is in force there.
    pub fn enforcement(&self, position: Position) -> Enforcement {
        match self.applied {
            Some(applied) if applied >= position => Enforcement::Applied,
            _ if self.refused && self.cut_off => Enforcement::CutOff,
            _ if self.declared_offline => Enforcement::Offline,
            _ if self.is_online() && !self.refused => Enforcement::Late,
            _ => Enforcement::Unknown,
        }
    }

    /// Whether waiting for its word can help: it is online, or the authority has been `up` too shortly to have heard
    /// from it. One that is refused says that it serves nobody, once.
    pub fn is_awaited(&self, up: Duration) -> bool {
        let not_yet = self.asked.is_none() && up < ONLINE_WITHIN;
        let settled = self.declared_offline || (self.refused && self.cut_off);
        !settled && (self.is_online() || not_yet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Position = Position { epoch: 2, seq: 7 };

    fn view(asked: Option<u64>, applied: Option<(u64, u64)>, declared_offline: bool) -> GatewayView {
        GatewayView {
            asked: asked.map(Duration::from_secs),
            applied: applied.map(|(epoch, seq)| Position { epoch, seq }),
            declared_offline,
            refused: false,
            cut_off: false,
        }
    }

    fn refused(cut_off: bool, view: GatewayView) -> GatewayView {
        GatewayView { refused: true, cut_off, ..view }
    }

    #[test]
    fn only_an_acknowledgement_of_this_position_counts_as_applied() {
        use Enforcement::*;
        let rows = [
            ("applied", view(Some(1), Some((2, 7)), false), Applied),
            ("applied more", view(Some(1), Some((2, 9)), false), Applied),
            ("applied, then gone", view(Some(900), Some((2, 7)), false), Applied),
            ("applied, then declared offline", view(Some(900), Some((2, 7)), true), Applied),
            ("online, behind", view(Some(1), Some((2, 6)), false), Late),
            ("online, of an older epoch", view(Some(1), Some((1, 99)), false), Late),
            ("online, nothing said", view(Some(29), None, false), Late),
            ("asked, then declared offline", view(Some(1), Some((2, 6)), true), Offline),
            ("silent for too long", view(Some(30), Some((2, 6)), false), Unknown),
            ("never seen", view(None, None, false), Unknown),
            ("never seen, declared offline", view(None, None, true), Offline),
            ("silent, declared offline", view(Some(31), Some((2, 6)), true), Offline),
            ("refused, applied before", refused(false, view(Some(1), Some((2, 7)), false)), Applied),
            ("refused, asked a moment ago", refused(false, view(Some(1), Some((2, 6)), false)), Unknown),
            ("refused, silent", refused(false, view(Some(31), Some((2, 6)), false)), Unknown),
            ("refused, never seen", refused(false, view(None, None, false)), Unknown),
            ("refused, declared offline", refused(false, view(Some(1), Some((2, 6)), true)), Offline),
            ("refused, and says so", refused(true, view(Some(1), Some((2, 6)), false)), CutOff),
            ("refused, said so, silent since", refused(true, view(Some(900), None, false)), CutOff),
            ("refused, says so, declared offline", refused(true, view(Some(1), None, true)), CutOff),
            (
                "accepted, while somebody with a revoked key of it says that it serves nobody",
                GatewayView { cut_off: true, ..view(Some(1), Some((2, 6)), false) },
                Late,
            ),
        ];
        for (name, view, expected) in rows {
            assert_eq!(view.enforcement(HEAD), expected, "{name}");
        }
    }

    #[test]
    fn nobody_waits_for_a_gateway_that_cannot_answer() {
        let (short, long) = (Duration::from_secs(3), Duration::from_secs(300));
        let rows = [
            ("online", view(Some(1), None, false), long, true),
            ("silent", view(Some(31), None, false), short, false),
            ("not seen yet, the authority is new", view(None, None, false), short, true),
            ("not seen, the authority is old", view(None, None, false), long, false),
            ("not seen, declared offline", view(None, None, true), short, false),
            ("asked, then declared offline", view(Some(1), None, true), long, false),
            ("refused, asked a moment ago", refused(false, view(Some(1), None, false)), long, true),
            ("refused, silent", refused(false, view(Some(31), None, false)), long, false),
            ("refused, and said so", refused(true, view(Some(1), None, false)), long, false),
            (
                "refused, and said so, the authority is new",
                refused(true, view(None, None, false)),
                short,
                false,
            ),
        ];
        for (name, view, up, expected) in rows {
            assert_eq!(view.is_awaited(up), expected, "{name}");
        }
    }
}
