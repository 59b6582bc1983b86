//! Who may use a key: root, the agent's own user, and those whom the configuration names.

/// Users by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(Vec<u32>);

impl Users {
    /// Beside root and the agent's own user.
    pub fn allowing(uids: Vec<u32>) -> Self {
        Self(uids)
    }

    /// Whether `uid` may; `own` is the agent's.
    pub fn permit(&self, uid: u32, own: u32) -> bool {
        uid == 0 || uid == own || self.0.contains(&uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_the_agent_and_the_named_may() {
        let users = Users::allowing(vec![1001]);
        for (uid, may) in [(0, true), (998, true), (1001, true), (1002, false)] {
            assert_eq!(users.permit(uid, 998), may, "{uid}");
        }
        assert!(!Users::default().permit(1001, 998));
    }
}
