//! The kinds of act that are decided and logged.

use core::fmt;

/// What a device does. Words and numbers are stable: the decision log stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Hold a session at a gateway.
    Connect,
    /// Send on a topic.
    Publish,
    /// Receive what a filter matches.
    Subscribe,
    /// Fetch an update file.
    RequestUpdate,
    /// Call a service behind the gateway.
    Call,
    /// Renew the device's own certificate.
    Renew,
}

impl Action {
    const ALL: [Self; 6] =
        [Self::Connect, Self::Publish, Self::Subscribe, Self::RequestUpdate, Self::Call, Self::Renew];

    /// Every action, in the order of its number.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    /// The word in logs, JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::RequestUpdate => "request-update",
            Self::Call => "call",
            Self::Renew => "renew",
        }
    }

    /// The number in the decision log.
    pub fn number(self) -> u8 {
        match self {
            Self::Connect => 1,
            Self::Publish => 2,
            Self::Subscribe => 3,
            Self::RequestUpdate => 4,
            Self::Call => 5,
            Self::Renew => 6,
        }
    }

    /// Reads [`Action::as_str`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::all().find(|action| action.as_str() == word)
    }

    /// Reads [`Action::number`] back.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::all().find(|action| action.number() == number)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_reads_back_by_its_stable_word_and_number() {
        let rows = [
            (Action::Connect, 1, "connect"),
            (Action::Publish, 2, "publish"),
            (Action::Subscribe, 3, "subscribe"),
            (Action::RequestUpdate, 4, "request-update"),
            (Action::Call, 5, "call"),
            (Action::Renew, 6, "renew"),
        ];
        assert!(Action::all().eq(rows.map(|(action, ..)| action)));
        for (action, number, word) in rows {
            assert_eq!((action.number(), action.as_str()), (number, word));
            assert_eq!(Action::from_word(word), Some(action));
            assert_eq!(Action::from_number(number), Some(action));
        }
        assert_eq!((Action::from_word("Connect"), Action::from_number(0)), (None, None));
    }
}
