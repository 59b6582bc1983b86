//! One switch that ends everything listening to it.

use tokio::sync::watch;

/// Held by whoever decides the end; dropping it stops everything too.
#[derive(Debug)]
pub struct StopSwitch(watch::Sender<bool>);

/// Held by everything that must end; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl StopSwitch {
    /// A switch and its first listener.
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    /// Asks everything to end. Calling it again changes nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// One more listener.
    pub fn listener(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

impl Stop {
    /// Returns when the end was asked for, at once if it was before. Safe to drop and call again.
    pub async fn stopped(&mut self) {
        // An error means that the switch is gone, which is an end as well.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }

    /// Whether the end was asked for.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_ends_by_the_switch_and_by_its_loss() {
        let (switch, mut stop) = StopSwitch::new();
        let mut later = stop.clone();
        assert!(!stop.is_stopped());
        switch.stop();
        stop.stopped().await;
        stop.stopped().await;
        assert!(stop.is_stopped());
        later.stopped().await;
        let mut late = switch.listener();
        late.stopped().await;

        let (switch, mut stop) = StopSwitch::new();
        drop(switch);
        stop.stopped().await;
        assert!(stop.is_stopped());
    }
}
