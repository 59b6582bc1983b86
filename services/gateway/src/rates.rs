//! How many messages a device may send: a rate for each certificate, and twice that for the device.
//!
//! In: moments. Out: nothing, or how long to wait. A session beyond its rate is not read from until its turn comes; only
//! where that would take too long is a message refused. A session takes messages in portions, so that one costs no more
//! than a subtraction.

use core::time::Duration;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use touchmark_identity::{AuthorityVersionId, Name, SerialNumber};

/// Messages a second that a certificate may send where nothing else is configured: three times what the fastest client
/// of the benchmark sends, and far more than telemetry.
pub const PUBLISH_RATE: u32 = 50_000;
/// What was not sent may be sent at once later, for as long.
const SAVED: Duration = Duration::from_secs(1);
/// A message waits for its turn; beyond this it is refused: its sender would take the connection for dead.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Messages of one portion, and its part of a second at low rates.
const PORTION_MAX: u32 = 64;
const PORTIONS_A_SECOND: u32 = 100;
/// Meters remembered at once. Beyond it those are forgotten that nobody uses and that are at rest.
const METERS_MAX: usize = 16_384;

/// The meters of all.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second: u32,
    begin: Instant,
    certificates: Meters<(AuthorityVersionId, SerialNumber)>,
    devices: Meters<Name>,
}

/// The rate is used up for longer than a message may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverRate;

impl Rates {
    /// 0 is taken as 1: a rate of nothing is a policy, not a rate.
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        Self { per_second, begin: Instant::now(), certificates: Meters::new(), devices: Meters::new() }
    }

    /// The meters of one session.
    pub(crate) fn of(
        self: &Arc<Self>,
        device: &Name,
        certificate: (AuthorityVersionId, SerialNumber),
    ) -> Metered {
        let now = self.now(Instant::now());
        Metered {
            certificate: self.certificates.of(certificate, now),
            device: self.devices.of(device.clone(), now),
            rates: Arc::clone(self),
        }
    }

    fn now(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begin).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What one session is measured by.
#[derive(Clone, Debug)]
pub(crate) struct Metered {
    certificate: Arc<Meter>,
    device: Arc<Meter>,
    rates: Arc<Rates>,
}

impl Metered {
    /// Messages that a session takes at once.
    pub(crate) fn portion(&self) -> u32 {
        (self.rates.per_second / PORTIONS_A_SECOND).clamp(1, PORTION_MAX)
    }

    /// Takes so many messages; gives how long to wait before they are sent.
    ///
    /// # Errors
    /// [`OverRate`]; nothing was taken.
    pub(crate) fn take(&self, messages: u32, at: Instant) -> Result<Duration, OverRate> {
        let (now, rate) = (self.rates.now(at), self.rates.per_second);
        let wait = self.certificate.take(messages, rate, now)?;
        match self.device.take(messages, rate.saturating_mul(2), now) {
            Ok(longer) => Ok(wait.max(longer)),
            Err(over) => {
                self.certificate.give_back(messages, rate);
                Err(over)
            }
        }
    }
}

/// When the next message is due, in nanoseconds from the beginning: every message moves it by its part of a second.
#[derive(Debug, Default)]
struct Meter(AtomicU64);

impl Meter {
    fn take(&self, messages: u32, per_second: u32, now: u64) -> Result<Duration, OverRate> {
        let cost = cost(messages, per_second);
        let saved = nanoseconds(SAVED);
        let latest = now.saturating_add(saved).saturating_add(nanoseconds(WAIT_MAX));
        let due = |due: u64| {
            let next = due.max(now).saturating_add(cost);
            (next <= latest).then_some(next)
        };
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due) {
            Ok(before) => {
                let next = before.max(now).saturating_add(cost);
                Ok(Duration::from_nanos(next.saturating_sub(now.saturating_add(saved))))
            }
            Err(_) => Err(OverRate),
        }
    }

    fn give_back(&self, messages: u32, per_second: u32) {
        self.0.fetch_sub(cost(messages, per_second), Ordering::Relaxed);
    }
}

fn cost(messages: u32, per_second: u32) -> u64 {
    u64::from(messages).saturating_mul(1_000_000_000) / u64::from(per_second.max(1))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Meters by who is measured.
#[derive(Debug)]
struct Meters<K>(Mutex<HashMap<K, Arc<Meter>>>);

impl<K: Hash + Eq> Meters<K> {
    fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    fn of(&self, key: K, now: u64) -> Arc<Meter> {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if meters.len() >= METERS_MAX && !meters.contains_key(&key) {
            meters.retain(|_, meter| Arc::strong_count(meter) > 1 || meter.0.load(Ordering::Relaxed) > now);
        }
        Arc::clone(meters.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(n: u64) -> (AuthorityVersionId, SerialNumber) {
        let serial = SerialNumber::try_from([&[1; 9][..], &n.to_be_bytes()].concat().as_slice()).unwrap();
        (crate::lab::version(1), serial)
    }

    fn metered(rates: &Arc<Rates>, device: &str, n: u64) -> Metered {
        rates.of(&device.parse().unwrap(), certificate(n))
    }

    #[test]
    fn a_certificate_waits_first_and_is_refused_when_it_would_take_too_long() {
        let rates = Arc::new(Rates::new(1_000));
        let (start, one) = (rates.begin, metered(&rates, "pump-01", 1));
        assert_eq!(one.portion(), 10);
        assert_eq!(one.take(1_000, start), Ok(Duration::ZERO), "a second's worth at once");
        assert_eq!(one.take(10, start), Ok(Duration::from_millis(10)), "then one after the other");
        assert_eq!(one.take(990, start), Ok(Duration::from_secs(1)));
        assert_eq!(one.take(4_001, start), Err(OverRate));
        assert_eq!(one.take(4_000, start), Ok(Duration::from_secs(5)), "what was refused took nothing");
        assert_eq!(one.take(1, start), Err(OverRate));
        let again = metered(&rates, "pump-01", 1);
        assert_eq!(again.take(1, start), Err(OverRate), "another session is the same certificate");
        assert_eq!(again.take(1, start + Duration::from_millis(1)), Ok(Duration::from_secs(5)));
        let later = start + Duration::from_secs(60);
        assert_eq!(again.take(1_000, later), Ok(Duration::ZERO), "never more saved than a second's worth");
        assert_eq!(again.take(1, later), Ok(Duration::from_millis(1)));
    }

    #[test]
    fn certificates_of_a_device_share_twice_the_rate_and_others_are_not_concerned() {
        let rates = Arc::new(Rates::new(1_000));
        let start = rates.begin;
        let [old, new, third] = [1, 2, 3].map(|n| metered(&rates, "pump-01", n));
        while old.take(10, start).is_ok() {}
        assert_eq!(new.take(1_000, start).ok().map(|wait| wait <= Duration::from_secs(3)), Some(true));
        while new.take(10, start).is_ok() {}
        assert_eq!(third.take(1_000, start), Err(OverRate), "twice the rate is used up");
        let other = metered(&rates, "pump-02", 4);
        assert_eq!(other.take(1_000, start), Ok(Duration::ZERO));
        for rate in [0, 1, u32::MAX] {
            let rates = Arc::new(Rates::new(rate));
            let one = metered(&rates, "pump-01", 1);
            assert!(one.portion() >= 1 && one.take(one.portion(), rates.begin).is_ok(), "{rate}");
        }
    }

    #[test]
    fn meters_are_bounded_by_those_who_use_them() {
        let rates = Arc::new(Rates::new(1_000));
        let kept = metered(&rates, "pump-01", 0);
        for n in 1..40_000 {
            drop(metered(&rates, &format!("d{n}"), n));
        }
        let count = rates.devices.0.lock().unwrap().len().max(rates.certificates.0.lock().unwrap().len());
        assert!(count <= METERS_MAX, "{count}");
        let again = metered(&rates, "pump-01", 0);
        assert!(
            Arc::ptr_eq(&kept.certificate, &again.certificate) && Arc::ptr_eq(&kept.device, &again.device)
        );
    }
}
