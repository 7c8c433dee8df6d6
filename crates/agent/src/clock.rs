//! The machine's two clocks, as the types that the node knows.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base::{Duration, Time, Wall};

/// Reads monotonic time since the process started, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts at zero now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The moment that is [`Time::ZERO`].
    #[must_use]
    pub const fn zero(&self) -> Instant {
        self.start
    }

    /// Monotonic time since the process started.
    #[must_use]
    pub fn now(&self) -> Time {
        self.at(Instant::now())
    }

    /// `instant` on this clock; zero for one before the start.
    #[must_use]
    pub fn at(&self, instant: Instant) -> Time {
        Time::ZERO + instant.saturating_duration_since(self.start)
    }

    /// `time` as the runtime's timers want it.
    #[must_use]
    pub fn instant(&self, time: Time) -> Instant {
        self.start + Duration::from_micros(time.0)
    }

    /// What the machine's wall clock says now; the epoch if it stands before it.
    #[must_use]
    pub fn wall(&self) -> Wall {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Wall(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// When `time` was, by the wall clock of now.
    #[must_use]
    pub fn wall_at(&self, time: Time) -> Wall {
        let ago = self.now().since(time);
        self.wall()
            .plus_micros(-i64::try_from(ago.as_micros()).unwrap_or(i64::MAX))
    }
}
