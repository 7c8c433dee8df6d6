//! How many checks may be under way, and how fast those that could not start in time may follow.
//!
//! A check that is on time and finds room starts at once. All others wait in order of arrival
//! and are let go by a bucket that fills at 1.1 × the steady rate, so that nothing (a pause, a
//! lack of descriptors, a clock) is ever followed by a burst. While checks are caught up with that
//! somebody else has missed, it fills at 1.35 × that rate. Does not know what a check is.

use std::collections::VecDeque;

use base::{Duration, Slot, Time};

use crate::clock::micros;

/// A check that starts this late counts as late, and must not add to a crowd.
pub(crate) const ON_TIME: Duration = Duration::from_millis(10);

/// Who could have let a check go so long ago was not busy but away.
const STOOD_STILL: Duration = Duration::from_secs(1);

/// One check, in the bucket's unit.
const ONE: i64 = 1_000_000;
/// What the bucket gains each second, and holds at most, even for very few targets.
const LEAST: u64 = 2_000_000;

/// Room for checks.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Checks under way.
    pub(crate) in_flight: u32,
    in_flight_max: u32,
    /// Checks that are due, with their due time.
    due: VecDeque<(Slot, Time)>,
    /// Checks that a former owner missed, behind all that are due.
    missed: VecDeque<Slot>,
    /// First checks; a long file must not hold up the targets that are already asked.
    first: VecDeque<Slot>,
    /// Room ran out, and those who waited for it have not all been served: nobody overtakes.
    is_crowded: bool,
    /// Millionths of a check per second that the schedule asks for.
    steady: u64,
    bucket: i64,
    filled: Time,
}

impl Pace {
    pub(crate) const fn new(in_flight_max: u32) -> Self {
        Self {
            in_flight: 0,
            in_flight_max,
            due: VecDeque::new(),
            missed: VecDeque::new(),
            first: VecDeque::new(),
            is_crowded: false,
            steady: 0,
            bucket: 0,
            filled: Time::ZERO,
        }
    }

    /// One more target is checked every `interval`.
    pub(crate) fn add(&mut self, interval: Duration) {
        self.steady += per_second(interval);
    }

    /// One target fewer is.
    pub(crate) fn remove(&mut self, interval: Duration) {
        self.steady -= per_second(interval);
    }

    /// Whether a check that is due now, this late, may start now.
    pub(crate) fn has_room(&mut self, late: Duration) -> bool {
        self.is_crowded |= self.in_flight >= self.in_flight_max;
        late <= ON_TIME && !self.is_crowded
    }

    /// Lets a check wait; without a due time it is a first check, and lets those with one go
    /// before it.
    pub(crate) fn wait(&mut self, slot: Slot, due: Option<Time>) {
        match due {
            Some(due) => self.due.push_back((slot, due)),
            None => self.first.push_back(slot),
        }
    }

    /// Lets a check wait that a former owner missed: behind those that are due, before first checks.
    pub(crate) fn catch_up(&mut self, slot: Slot) {
        self.missed.push_back(slot);
    }

    /// Counts a check as started.
    pub(crate) fn started(&mut self, now: Time) {
        self.fill(now);
        self.in_flight += 1;
        self.bucket = (self.bucket - ONE).max(-self.depth());
    }

    /// Counts a check as ended.
    pub(crate) fn ended(&mut self) {
        self.in_flight = self
            .in_flight
            .checked_sub(1)
            .expect("every check ends once");
    }

    /// The next waiting check that may start now.
    pub(crate) fn release(&mut self, now: Time) -> Option<(Slot, Option<Time>)> {
        self.fill(now);
        if self.bucket < ONE || self.in_flight >= self.in_flight_max {
            return None;
        }
        let next = self.due.pop_front().map(|(slot, due)| (slot, Some(due)));
        self.is_crowded &= !self.due.is_empty();
        let mut others = || self.missed.pop_front().or_else(|| self.first.pop_front());
        next.or_else(|| Some((others()?, None)))
    }

    /// When the next waiting check may start; `None` if none waits or only room is lacking.
    pub(crate) fn deadline(&self) -> Option<Time> {
        if self.waiting() == 0 || self.in_flight >= self.in_flight_max {
            return None;
        }
        let lacking = (ONE - self.bucket).max(0).unsigned_abs();
        Some(self.filled + Duration::from_micros((lacking * 1_000_000).div_ceil(self.gain())))
    }

    /// After this process has stood still nothing is made up for: those that waited for their turn
    /// then wait no more. First checks do.
    pub(crate) fn forget_if_late(&mut self, now: Time) -> Vec<Slot> {
        let could_have = self.deadline();
        if could_have.is_none_or(|at| now.since(at) < STOOD_STILL) {
            return Vec::new();
        }
        self.is_crowded = false;
        let due = self.due.drain(..).map(|(slot, _)| slot);
        due.chain(self.missed.drain(..)).collect()
    }

    /// How many checks a second the schedule asks for.
    pub(crate) const fn per_second(&self) -> u64 {
        self.steady / 1_000_000
    }

    /// How many checks wait.
    pub(crate) fn waiting(&self) -> usize {
        self.due.len() + self.missed.len() + self.first.len()
    }

    /// Millionths of a check that the bucket gains per second.
    ///
    /// While something is caught up with, a quarter of the rate more. What a dead owner missed until
    /// its death was seen has to be made up for in the time that detection is given by the promise:
    /// where two nodes were and one is left, half of its new rate for 5 of 8 seconds. With more
    /// nodes it is less.
    fn gain(&self) -> u64 {
        let more = if self.missed.is_empty() {
            0
        } else {
            self.steady / 4
        };
        self.steady + self.steady / 10 + more + LEAST
    }

    /// What the bucket holds at most: a twentieth of a second's checks.
    fn depth(&self) -> i64 {
        i64::try_from(self.steady / 20 + LEAST).unwrap_or(i64::MAX)
    }

    fn fill(&mut self, now: Time) {
        // More than a second fills the bucket from any depth.
        let passed = micros(now.since(self.filled)).min(1_000_000);
        let gained = u128::from(self.gain()) * u128::from(passed) / 1_000_000;
        self.bucket = (self.bucket + i64::try_from(gained).unwrap_or(i64::MAX)).min(self.depth());
        self.filled = self.filled.max(now);
    }
}

fn per_second(interval: Duration) -> u64 {
    1_000_000_000_000 / micros(interval).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace_of(targets: u32, in_flight_max: u32) -> Pace {
        let mut pace = Pace::new(in_flight_max);
        (0..targets).for_each(|_| pace.add(SECOND));
        pace
    }

    fn release_all(pace: &mut Pace, now: Time) -> u32 {
        let mut released = 0;
        while pace.release(now).is_some() {
            pace.started(now);
            pace.ended();
            released += 1;
        }
        released
    }

    #[test]
    fn a_crowd_that_waited_is_let_go_at_little_more_than_the_steady_rate() {
        let mut pace = pace_of(1_000, u32::MAX);
        (0..5_000).for_each(|i| pace.wait(Slot(i), None));
        let mut released = Vec::new();
        for second in 1..=4 {
            let before: u32 = released.iter().sum();
            let mut n = 0;
            for step in 0..1_000 {
                n += release_all(&mut pace, Time(second * 1_000_000 + step * 1_000));
            }
            released.push(n);
            assert!(before <= 5_000);
        }
        assert!(
            released.iter().all(|n| (1_000..=1_200).contains(n)),
            "{released:?}"
        );
    }

    #[test]
    fn what_another_missed_is_caught_up_with_before_first_checks_at_a_quarter_more() {
        let mut pace = pace_of(1_000, u32::MAX);
        (0..500).for_each(|i| pace.wait(Slot(i), None));
        (500..3_000).for_each(|i| pace.catch_up(Slot(i)));
        pace.wait(Slot(3_000), Some(Time(0)));
        let mut order = Vec::new();
        let mut by_second = [0; 4];
        for step in 0..4_000 {
            let now = Time(1_000_000 + step * 1_000);
            while let Some((slot, _)) = pace.release(now) {
                pace.started(now);
                pace.ended();
                order.push(slot.0);
                by_second[usize::try_from(step).unwrap() / 1_000] += 1;
            }
        }
        assert_eq!(order[..3], [3_000, 500, 501]);
        assert_eq!(order.last(), Some(&499));
        // A twentieth more at first: what the bucket holds.
        assert!((1_300..1_420).contains(&by_second[0]), "{by_second:?}");
        assert_eq!(by_second.iter().sum::<i32>(), 3_001);
        assert!(by_second.iter().all(|n| *n < 1_420), "{by_second:?}");
    }

    #[test]
    fn what_waited_while_this_process_stood_still_waits_no_more_but_first_checks_do() {
        let mut pace = pace_of(1_000, 1);
        pace.wait(Slot(0), None);
        pace.wait(Slot(1), Some(Time(900_000)));
        pace.catch_up(Slot(2));
        assert_eq!(pace.forget_if_late(Time(1_000_000)), []);
        pace.started(Time(1_000_000));
        assert_eq!(
            pace.forget_if_late(Time(9_000_000)),
            [],
            "there was no room"
        );
        pace.ended();
        let could_have = pace.deadline().expect("three wait");
        let late = could_have + STOOD_STILL;
        assert_eq!(pace.forget_if_late(Time(late.0 - 1)), []);
        assert_eq!(pace.forget_if_late(late), [Slot(1), Slot(2)]);
        assert_eq!(pace.release(late), Some((Slot(0), None)));
        assert_eq!(pace.waiting(), 0);
    }

    #[test]
    fn a_check_on_time_needs_room_and_nothing_else() {
        let mut pace = pace_of(10, 2);
        assert!(pace.has_room(Duration::ZERO));
        pace.started(Time(0));
        pace.started(Time(0));
        assert!(!pace.has_room(Duration::ZERO));
        pace.wait(Slot(7), Some(Time(0)));
        pace.ended();
        assert!(
            !pace.has_room(Duration::ZERO),
            "nobody overtakes the one who waits"
        );
        assert!(pace.release(Time(1_000_000)).is_some());
        assert!(pace.has_room(ON_TIME) && !pace.has_room(ON_TIME + Duration::from_micros(1)));
    }

    #[test]
    fn the_deadline_is_when_the_bucket_holds_one_check() {
        let mut pace = pace_of(100, 5);
        (0..50).for_each(|i| pace.wait(Slot(i), None));
        release_all(&mut pace, Time(1));
        let at = pace.deadline().expect("some still wait");
        assert_eq!(release_all(&mut pace, at), 1);
        (0..5).for_each(|_| pace.started(at));
        assert_eq!(
            pace.deadline(),
            None,
            "room is lacking, an outcome will wake us"
        );
    }
}
