//! The one clock: hands `Time` to the rooms and wakes the loop at theirs.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use base::Time;
use tokio::time::Instant;

/// Monotonic time since this process made it.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How late it is.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::ZERO + self.0.elapsed()
    }

    /// Waits until `due`; for ever if there is none.
    pub async fn sleep_until(&self, due: Option<Time>) {
        match due {
            Some(due) => tokio::time::sleep_until(self.0 + due.since(Time::ZERO)).await,
            None => std::future::pending().await,
        }
    }

    /// Milliseconds since the Unix epoch: the first incarnation of a boot.
    #[must_use]
    pub fn wall_ms() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
    }

    /// Bits that no other process has drawn: the system seeds each `RandomState`.
    #[must_use]
    pub fn entropy() -> u64 {
        RandomState::new().hash_one(Self::wall_ms())
    }
}
