//! What is due when, and a clock that stands still while the process does.
//!
//! Does not know what any alarm is for.

use std::collections::BTreeSet;

use base::{Duration, NodeId, Time};

/// What can be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// The answer to this probe.
    Answer(u32),
    /// The answer to a probe made for another node.
    Favour(u32),
    /// The end of this member's time to object.
    Objection(NodeId),
    /// The next round of news.
    Gossip,
    /// The next member's turn to be probed.
    Turn,
    /// The next digest pull.
    Pull,
    /// The next attempt to find a dead member alive.
    Recontact,
    /// The next attempt to reach the addresses to join at.
    Join,
    /// The next step of the farewell.
    Farewell,
    /// The first of the dead to be forgotten.
    Oblivion,
}

/// Alarms in the order in which they are due.
#[derive(Debug, Default)]
pub(crate) struct Alarms(BTreeSet<(Time, Alarm)>);

impl Alarms {
    pub(crate) fn set(&mut self, at: Time, alarm: Alarm) {
        self.0.insert((at, alarm));
    }

    pub(crate) fn unset(&mut self, at: Time, alarm: Alarm) {
        self.0.remove(&(at, alarm));
    }

    pub(crate) fn first(&self) -> Option<Time> {
        self.0.first().map(|&(at, _)| at)
    }

    pub(crate) fn pop(&mut self, now: Time) -> Option<Alarm> {
        if self.first()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, alarm)| alarm)
    }
}

/// Later than this for an alarm, and the process did not run: it was stopped, or starved.
const STALL: Duration = Duration::from_millis(250);
/// After a stall everything waits this much longer, so that what lies in the socket is read first.
const GRACE: Duration = Duration::from_secs(1);

/// The time for which this process has been running, as far as its alarms can tell.
///
/// Each stall is taken out, so that no span that the others had to answer in runs while this node
/// could not have heard them.
#[derive(Debug, Default)]
pub(crate) struct OwnClock {
    behind: Duration,
    blind: bool,
}

impl OwnClock {
    pub(crate) const fn new(blind: bool) -> Self {
        Self {
            behind: Duration::ZERO,
            blind,
        }
    }

    /// Own time at `now`, and how long the process stood still before, if it did.
    pub(crate) fn enter(&mut self, now: Time, due: Option<Time>) -> (Time, Option<Duration>) {
        let own = now - self.behind;
        let late = due.map_or(Duration::ZERO, |due| own.since(due));
        if late < STALL || self.blind {
            return (own, None);
        }
        self.behind += late + late.min(GRACE);
        (now - self.behind, Some(late))
    }

    /// The moment `own` as the driver counts.
    pub(crate) fn outside(&self, own: Time) -> Time {
        own + self.behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_come_in_order_and_not_before_their_time() {
        let mut alarms = Alarms::default();
        alarms.set(Time(20), Alarm::Pull);
        alarms.set(Time(10), Alarm::Turn);
        assert_eq!(alarms.pop(Time(9)), None);
        assert_eq!(alarms.pop(Time(30)), Some(Alarm::Turn));
        assert_eq!(alarms.pop(Time(30)), Some(Alarm::Pull));
        assert_eq!(alarms.pop(Time(30)), None);
    }

    #[test]
    fn a_pause_is_taken_out_of_own_time_and_leaves_room_to_read_what_has_come() {
        let mut clock = OwnClock::new(false);
        let second = 1_000_000;
        assert_eq!(clock.enter(Time(second), Some(Time(second))).1, None);
        let due = Time(2 * second);
        let (own, stall) = clock.enter(Time(7 * second), Some(due));
        assert_eq!(stall, Some(Duration::from_secs(5)));
        assert_eq!(own, Time(second));
        assert_eq!(clock.outside(due), Time(8 * second));
    }

    #[test]
    fn being_a_little_late_is_no_stall() {
        let mut clock = OwnClock::new(false);
        assert_eq!(
            clock.enter(Time(240_000), Some(Time(0))),
            (Time(240_000), None)
        );
    }
}
