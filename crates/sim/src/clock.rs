//! The machine's wall clock: drifts a little, and jumps when told.

use base::{Time, Wall};

/// A wall clock over the world's true time.
#[derive(Clone, Debug)]
pub(crate) struct WallClock {
    start_ms: i64,
    /// Gains so many microseconds per second.
    drift_ppm: i64,
    jumps_ms: i64,
}

impl WallClock {
    pub(crate) const fn new(start_ms: i64, drift_ppm: i64) -> Self {
        Self {
            start_ms,
            drift_ppm,
            jumps_ms: 0,
        }
    }

    pub(crate) const fn jump(&mut self, by_ms: i64) {
        self.jumps_ms += by_ms;
    }

    /// What the clock shows at the true time `now`.
    pub(crate) fn read(&self, now: Time) -> Wall {
        let micros = i64::try_from(now.0).unwrap_or(i64::MAX);
        let drifted = micros.saturating_add(micros / 1_000_000 * self.drift_ppm);
        Wall(self.start_ms + self.jumps_ms + drifted / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_drifts_slowly_and_jumps_at_once() {
        let mut clock = WallClock::new(1_000, 200);
        assert_eq!(clock.read(Time(10_000_000)), Wall(11_002));
        clock.jump(-3_600_000);
        assert_eq!(clock.read(Time(10_000_000)), Wall(11_002 - 3_600_000));
    }
}
