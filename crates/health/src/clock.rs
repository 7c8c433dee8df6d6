//! The node clock: monotonic time moved gently towards the wall clock.
//!
//! All nodes of a cluster keep one beat, so that a new owner continues the old one's. Small
//! differences are slewed away, at most a tenth of the time that passes; a jump re-anchors.
//! Does not read any clock.

use base::{Duration, Time, Wall};

/// Microseconds since the epoch on the node clock; what due times are computed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeTime(pub(crate) u64);

/// Differences below this are left alone: the wall clock comes in whole milliseconds.
const DEAD_BAND: i64 = 5_000;
/// Differences above this are not slewed but taken at once.
const JUMP: i64 = 1_000_000;

/// Monotonic time, the offset to the node clock, and the wall clock as last heard.
#[derive(Debug, Default)]
pub(crate) struct NodeClock {
    offset: i64,
    heard: Option<(Time, Wall)>,
}

impl NodeClock {
    /// Hears the wall clock; `true` when the node clock jumped.
    pub(crate) fn hear(&mut self, now: Time, wall: Wall) -> bool {
        let before = self.heard.replace((now, wall));
        let target = wall.0.saturating_mul(1_000).saturating_sub(signed(now));
        let apart = target.saturating_sub(self.offset);
        let Some((then, _)) = before else {
            self.offset = target;
            return true;
        };
        if apart.abs() > JUMP {
            self.offset = target;
            return true;
        }
        if apart.abs() > DEAD_BAND {
            let most = i64::try_from(now.since(then).as_micros() / 10).unwrap_or(JUMP);
            self.offset += apart.clamp(-most, most);
        }
        false
    }

    /// `now` on the node clock.
    pub(crate) fn node(&self, now: Time) -> NodeTime {
        NodeTime(
            signed(now)
                .saturating_add(self.offset)
                .max(0)
                .unsigned_abs(),
        )
    }

    /// The monotonic moment at which the node clock says `at`.
    pub(crate) fn time(&self, at: NodeTime) -> Time {
        let at = i64::try_from(at.0).unwrap_or(i64::MAX);
        Time(at.saturating_sub(self.offset).max(0).unsigned_abs())
    }

    /// `now` for people to read.
    pub(crate) fn wall(&self, now: Time) -> Wall {
        self.heard.map_or(Wall(0), |(then, wall)| {
            wall.plus_micros(i64::try_from(now.since(then).as_micros()).unwrap_or(i64::MAX))
        })
    }
}

fn signed(time: Time) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// A span as whole microseconds.
pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn started() -> NodeClock {
        let mut clock = NodeClock::default();
        assert!(clock.hear(Time(0), Wall(1_000_000)));
        clock
    }

    #[test]
    fn a_small_difference_is_slewed_by_at_most_a_tenth() {
        let mut clock = started();
        assert!(!clock.hear(Time(SECOND), Wall(1_001_500)));
        assert_eq!(
            clock.node(Time(SECOND)).0,
            1_001_100_000,
            "100 ms of the 500"
        );
        for second in 2..=10 {
            assert!(!clock.hear(
                Time(second * SECOND),
                Wall(1_000_500 + i64::try_from(second).unwrap() * 1_000)
            ));
        }
        assert_eq!(clock.node(Time(10 * SECOND)).0, 1_010_500_000);
    }

    #[test]
    fn an_hour_forward_or_back_is_taken_at_once_and_said() {
        let mut clock = started();
        assert!(clock.hear(Time(SECOND), Wall(1_001_000 + 3_600_000)));
        assert_eq!(clock.node(Time(SECOND)).0, (1_001_000 + 3_600_000) * 1_000);
        assert!(clock.hear(Time(2 * SECOND), Wall(1_002_000)));
        assert_eq!(clock.wall(Time(3 * SECOND)), Wall(1_003_000));
    }

    #[test]
    fn the_jitter_of_whole_milliseconds_moves_nothing() {
        let mut clock = started();
        clock.hear(Time(SECOND), Wall(1_001_001));
        assert_eq!(clock.node(Time(SECOND)).0, 1_001_000_000);
    }

    #[test]
    fn node_time_and_time_are_inverse() {
        let clock = started();
        for t in [0, 1, 77, SECOND] {
            assert_eq!(clock.time(clock.node(Time(t))), Time(t));
        }
    }
}
