//! How long to wait for one peer's answer, learned from its answers.
//!
//! Jacobson 1988: a smoothed mean and a smoothed deviation, in whole microseconds.

use base::Duration;

/// What was learned of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rtt {
    mean_us: u64,
    deviation_us: u64,
}

impl Rtt {
    /// Learns from one answer. Samples above a minute count as a minute.
    pub(crate) fn learn(&mut self, sample: Duration) {
        let sample = u64::try_from(sample.as_micros())
            .unwrap_or(u64::MAX)
            .clamp(1, 60_000_000);
        if self.mean_us == 0 {
            self.mean_us = sample;
            self.deviation_us = sample / 2;
            return;
        }
        let off = self.mean_us.abs_diff(sample);
        self.deviation_us = (3 * self.deviation_us + off) / 4;
        self.mean_us = ((7 * self.mean_us + sample) / 8).max(1);
    }

    /// Mean and four deviations, between a tenth and a half of `probe_every` (100 and 500 ms by
    /// default); the half while nothing is known.
    pub(crate) fn patience(&self, probe_every: Duration) -> Duration {
        if self.mean_us == 0 {
            return probe_every / 2;
        }
        let learned = Duration::from_micros(self.mean_us + 4 * self.deviation_us);
        learned.clamp(probe_every / 10, probe_every / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_near_peer_is_given_a_tenth_and_an_unknown_one_a_half() {
        let mut near = Rtt::default();
        assert_eq!(near.patience(SECOND), Duration::from_millis(500));
        for _ in 0..10 {
            near.learn(Duration::from_micros(400));
        }
        assert_eq!(near.patience(SECOND), Duration::from_millis(100));
    }

    #[test]
    fn a_far_and_unsteady_peer_is_given_more_but_never_more_than_a_half() {
        let mut far = Rtt::default();
        for _ in 0..50 {
            far.learn(Duration::from_millis(150));
        }
        let steady = far.patience(SECOND);
        assert!(steady >= Duration::from_millis(150) && steady < Duration::from_millis(200));
        far.learn(Duration::from_millis(400));
        assert!(far.patience(SECOND) > steady);
        far.learn(Duration::from_secs(100));
        assert_eq!(far.patience(SECOND), Duration::from_millis(500));
    }
}
