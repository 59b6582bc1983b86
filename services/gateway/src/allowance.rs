//! An allowance: so many at once, and one more after each pause. What is not there is not spent.

use touchmark_identity::Timestamp;

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// As many at once.
    pub(crate) at_once: u64,
    /// One comes back in this time.
    pub(crate) one_every_ms: u64,
}

/// What is left of it, at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// In milliseconds of coming back.
    left_ms: u64,
    at: Timestamp,
}

impl Allowance {
    pub(crate) fn whole(terms: &Terms, now: Timestamp) -> Self {
        Self { left_ms: terms.at_once.saturating_mul(terms.one_every_ms), at: now }
    }

    /// Takes a number out of it. `false` when there is not so much; then nothing is taken.
    pub(crate) fn spend(&mut self, terms: &Terms, number: usize, now: Timestamp) -> bool {
        self.refill(terms, now);
        let wanted = u64::try_from(number).unwrap_or(u64::MAX).saturating_mul(terms.one_every_ms);
        let left = self.left_ms.checked_sub(wanted);
        self.left_ms = left.unwrap_or(self.left_ms);
        left.is_some()
    }

    /// Whether one is left.
    pub(crate) fn has_one(&mut self, terms: &Terms, now: Timestamp) -> bool {
        self.refill(terms, now);
        self.left_ms >= terms.one_every_ms
    }

    /// Whether nothing of it is spent, so that forgetting it changes nothing.
    pub(crate) fn is_whole(&mut self, terms: &Terms, now: Timestamp) -> bool {
        self.refill(terms, now);
        self.was_whole(terms)
    }

    /// The same when it was last looked at.
    pub(crate) fn was_whole(&self, terms: &Terms) -> bool {
        self.left_ms == terms.at_once.saturating_mul(terms.one_every_ms)
    }

    fn refill(&mut self, terms: &Terms, now: Timestamp) {
        let passed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let whole = terms.at_once.saturating_mul(terms.one_every_ms);
        self.left_ms = self.left_ms.saturating_add(passed).min(whole);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn an_allowance_is_used_up_and_comes_back_with_time() {
        let terms = Terms { at_once: 50, one_every_ms: 20 };
        let start = Timestamp::from_unix_s(1_700_000_000);
        let after = |ms| start.plus(Duration::from_millis(ms));
        let mut allowance = Allowance::whole(&terms, start);
        assert!((0..50).all(|_| allowance.spend(&terms, 1, start)));
        assert!(!allowance.spend(&terms, 1, after(19)) && allowance.spend(&terms, 1, after(20)));
        assert!(!allowance.spend(&terms, 51, after(100_000)), "never more than at once");
        assert!(allowance.spend(&terms, 50, after(100_000)), "and what was refused took nothing");
        assert!(!allowance.is_whole(&terms, after(100_999)) && allowance.is_whole(&terms, after(101_000)));
        assert!(
            allowance.spend(&terms, 50, start),
            "a clock that was set back gives nothing and takes nothing"
        );
        assert!(!allowance.spend(&terms, 1, start));
    }
}
