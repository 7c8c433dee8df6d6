//! When checks are skipped because no more may run at once: said with the limit that is behind it.
//!
//! Does not know which checks, or how many may run: it is told.

use base::{Duration, Time};
use health::Tally;

/// How long nothing more is said.
const SILENCE: Duration = Duration::from_secs(3_600);

/// What the process may have open, and what follows from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// File descriptors of the process at most.
    pub(crate) descriptors: usize,
    /// Checks at once at most.
    pub(crate) in_flight: u32,
}

/// Notices when room is what is lacking.
#[derive(Debug)]
pub(super) struct Shortage {
    room: Room,
    skipped: u64,
    silent_until: Time,
}

impl Shortage {
    pub(super) const fn new(room: Room) -> Self {
        Self {
            room,
            skipped: 0,
            silent_until: Time::ZERO,
        }
    }

    /// Looks at the counts of now, and says so when checks were skipped while no room was left.
    pub(super) fn look(&mut self, now: Time, tally: &Tally) {
        if self.is_news(now, tally) {
            let Room {
                descriptors,
                in_flight,
            } = self.room;
            tracing::warn!(
                descriptors,
                in_flight,
                skipped = tally.skipped,
                "checks are skipped: no more than these may run at once under the limit on file descriptors; raise it (ulimit -n), shorten timeouts, or add a node. Not said again for an hour"
            );
        }
    }

    fn is_news(&mut self, now: Time, tally: &Tally) -> bool {
        let before = std::mem::replace(&mut self.skipped, tally.skipped);
        let is_full = tally.in_flight >= self.room.in_flight && tally.waiting > 0;
        let is_short = tally.skipped > before && is_full;
        if !is_short || now < self.silent_until {
            return false;
        }
        self.silent_until = now + SILENCE;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(in_flight: u32, waiting: usize, skipped: u64) -> Tally {
        Tally {
            in_flight,
            waiting,
            skipped,
            ..Tally::default()
        }
    }

    #[test]
    fn skipping_for_want_of_room_is_said_once_an_hour_and_other_skipping_never() {
        let mut shortage = Shortage::new(Room {
            descriptors: 64,
            in_flight: 4,
        });
        let second = |n: u64| Time(n * 1_000_000);
        let steps = [
            (1, tally(4, 9, 0), false, "nothing is skipped"),
            (2, tally(2, 0, 5), false, "skipped, and there is room"),
            (3, tally(4, 9, 6), true, "skipped, and no room"),
            (4, tally(4, 9, 7), false, "said already"),
            (3_700, tally(4, 9, 7), false, "nothing more is skipped"),
            (3_701, tally(4, 9, 8), true, "an hour later"),
        ];
        for (at, tally, is_news, what) in steps {
            assert_eq!(shortage.is_news(second(at), &tally), is_news, "{what}");
        }
    }
}
