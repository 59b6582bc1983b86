//! One attempt of a connected device, parsed, before it is decided.

use crate::{Action, Topic, TopicFilter, UpdatePath};

/// What a device asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// To hold a session.
    Connect,
    /// To publish on a topic; a will is asked for in the same way when it is set.
    Publish(Topic<'a>),
    /// To receive every topic that a filter matches.
    Subscribe(TopicFilter<'a>),
    /// To fetch one update file.
    RequestUpdate(UpdatePath<'a>),
}

impl Access<'_> {
    /// The kind of act, as the decision log names it.
    pub fn action(&self) -> Action {
        match self {
            Self::Connect => Action::Connect,
            Self::Publish(_) => Action::Publish,
            Self::Subscribe(_) => Action::Subscribe,
            Self::RequestUpdate(_) => Action::RequestUpdate,
        }
    }
}
