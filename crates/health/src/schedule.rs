//! When each target is due: a fixed beat, never a burst.
//!
//! Due times are `k·interval + phase`, `phase = hash(name) mod interval`, on the node clock. All
//! targets of one interval stand in one ring, sorted by phase, with a cursor: the next beat is
//! where the cursor stands, and passing it costs O(1) whatever the number of targets. (A timer
//! heap costs a logarithm and a cache miss per level; the ring is read in order.)
//! Beats that were missed are skipped. Does not know what is checked or whether there is room.

use std::collections::{BTreeMap, BTreeSet};

use base::{Duration, Slot, hash64};

use crate::clock::{NodeTime, micros};

/// A beat that comes later than this is skipped: the checker was away, not just busy.
pub(crate) const TOO_LATE: Duration = Duration::from_millis(100);

/// All beats of a node.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    rings: BTreeMap<u64, Ring>,
    /// When each ring is next due, and which: finding the first stays cheap with many intervals.
    order: BTreeSet<(NodeTime, u64)>,
}

/// The targets of one interval.
#[derive(Debug)]
struct Ring {
    interval: u64,
    beats: Vec<Beat>,
    cursor: usize,
    /// Start of the interval in which the beat at the cursor lies.
    lap: u64,
    /// No beat at or before this is given again.
    done: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Beat {
    phase: u64,
    slot: Slot,
}

/// What [`Schedule::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This target is due, since this time.
    Due(Slot, NodeTime),
    /// So many beats were missed.
    Missed(u64),
}

/// Where in its interval a target of this name is checked.
pub(crate) fn phase(name: &str, interval: Duration) -> u64 {
    hash64(name.as_bytes()) % micros(interval)
}

impl Schedule {
    /// Adds targets; O(n log n) in the targets of the touched intervals.
    pub(crate) fn add(
        &mut self,
        now: NodeTime,
        targets: impl IntoIterator<Item = (Slot, Duration, u64)>,
    ) {
        let mut touched: BTreeMap<u64, Vec<Beat>> = BTreeMap::new();
        for (slot, interval, phase) in targets {
            touched
                .entry(micros(interval))
                .or_default()
                .push(Beat { phase, slot });
        }
        for (interval, beats) in touched {
            self.change(interval, now, |ring| ring.add(now, beats));
        }
    }

    /// Takes a target out. O(n) in the targets of its interval.
    pub(crate) fn remove(&mut self, now: NodeTime, slot: Slot, interval: Duration, phase: u64) {
        self.change(micros(interval), now, |ring| {
            ring.remove(Beat { phase, slot })
        });
    }

    /// Takes many targets out. O(n) in all targets.
    pub(crate) fn remove_all(&mut self, gone: impl Fn(Slot) -> bool) {
        for ring in self.rings.values_mut() {
            ring.beats.retain(|beat| !gone(beat.slot));
            ring.find_cursor();
        }
        self.rings.retain(|_, ring| !ring.beats.is_empty());
        self.sort();
    }

    /// Changes one ring, which may come or go by it, and keeps `order` true.
    fn change(&mut self, interval: u64, now: NodeTime, change: impl FnOnce(&mut Ring)) {
        let ring = self
            .rings
            .entry(interval)
            .or_insert_with(|| Ring::new(interval, now));
        let before = ring.due();
        change(ring);
        let after = ring.due();
        if before != after {
            before.map(|due| self.order.remove(&(due, interval)));
            after.map(|due| self.order.insert((due, interval)));
        }
        if after.is_none() {
            self.rings.remove(&interval);
        }
    }

    fn sort(&mut self) {
        self.order = self
            .rings
            .iter()
            .filter_map(|(&interval, ring)| Some((ring.due()?, interval)))
            .collect();
    }

    /// The next beat at or before `now`, if any; call again until `None`.
    pub(crate) fn next(&mut self, now: NodeTime) -> Option<Next> {
        let &(due, interval) = self.order.first().filter(|(due, _)| *due <= now)?;
        let ring = self
            .rings
            .get_mut(&interval)
            .expect("`order` holds only rings that are there");
        let next = ring.next(now);
        let after = ring.due().expect("a ring in `order` has beats");
        if after != due {
            self.order.pop_first();
            self.order.insert((after, interval));
        }
        next
    }

    /// When the next beat is.
    pub(crate) fn deadline(&self) -> Option<NodeTime> {
        self.order.first().map(|&(due, _)| due)
    }

    /// When the beat of this target is after `now`.
    pub(crate) fn next_of(now: NodeTime, interval: Duration, phase: u64) -> NodeTime {
        let interval = micros(interval);
        let lap = now.0 - now.0 % interval;
        let due = lap + phase;
        NodeTime(if due > now.0 { due } else { due + interval })
    }

    /// The node clock jumped to `now`: goes on from there without making up for anything.
    pub(crate) fn anchor(&mut self, now: NodeTime) {
        for ring in self.rings.values_mut() {
            ring.done = now.0;
            ring.find_cursor();
        }
        self.sort();
    }
}

impl Ring {
    const fn new(interval: u64, now: NodeTime) -> Self {
        Self {
            interval,
            beats: Vec::new(),
            cursor: 0,
            lap: 0,
            done: now.0,
        }
    }

    fn add(&mut self, now: NodeTime, mut beats: Vec<Beat>) {
        if self.beats.is_empty() {
            self.done = now.0;
        }
        if let [beat] = beats[..] {
            let at = self.beats.partition_point(|other| *other < beat);
            self.beats.insert(at, beat);
        } else {
            self.beats.append(&mut beats);
            self.beats.sort_unstable();
        }
        self.find_cursor();
    }

    fn remove(&mut self, beat: Beat) {
        if let Ok(at) = self.beats.binary_search(&beat) {
            self.beats.remove(at);
            self.find_cursor();
        }
    }

    /// Stands at the first beat after `done`.
    fn find_cursor(&mut self) {
        self.lap = self.done - self.done % self.interval;
        let within = self.done - self.lap;
        self.cursor = self.beats.partition_point(|beat| beat.phase <= within);
        self.wrap();
    }

    const fn wrap(&mut self) {
        if self.cursor >= self.beats.len() {
            self.cursor = 0;
            self.lap += self.interval;
        }
    }

    fn due(&self) -> Option<NodeTime> {
        Some(NodeTime(self.lap + self.beats.get(self.cursor)?.phase))
    }

    fn next(&mut self, now: NodeTime) -> Option<Next> {
        let due = self.due()?;
        if due > now {
            return None;
        }
        if now.0 - due.0 > micros(TOO_LATE) {
            return Some(Next::Missed(self.skip_to(now.0 - micros(TOO_LATE))));
        }
        let slot = self.beats[self.cursor].slot;
        self.done = due.0;
        self.cursor += 1;
        self.wrap();
        // Beats of one moment share `done`; the cursor, not `done`, tells them apart.
        Some(Next::Due(slot, due))
    }

    /// Goes on after `until` and says how many beats that passes.
    fn skip_to(&mut self, until: u64) -> u64 {
        let (lap, cursor) = (self.lap, self.cursor);
        self.done = until;
        self.find_cursor();
        let laps = (self.lap - lap) / self.interval;
        let passed = laps * self.beats.len() as u64 + self.cursor as u64;
        passed - cursor as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> NodeTime {
        NodeTime(millis * 1_000)
    }

    fn drain(schedule: &mut Schedule, now: NodeTime) -> (Vec<u32>, u64) {
        let (mut due, mut missed) = (Vec::new(), 0);
        while let Some(next) = schedule.next(now) {
            match next {
                Next::Due(slot, _) => due.push(slot.0),
                Next::Missed(n) => missed += n,
            }
        }
        (due, missed)
    }

    fn three() -> Schedule {
        let mut schedule = Schedule::default();
        schedule.add(
            at(5_000),
            [
                (Slot(1), SECOND, 100_000),
                (Slot(2), SECOND, 500_000),
                (Slot(3), 2 * SECOND, 300_000),
            ],
        );
        schedule
    }

    #[test]
    fn every_target_is_due_once_an_interval_at_its_phase() {
        let mut schedule = three();
        let mut seen = Vec::new();
        while schedule.deadline().is_some_and(|due| due < at(9_000)) {
            let now = schedule.deadline().expect("checked");
            for slot in drain(&mut schedule, now).0 {
                seen.push((now.0 / 1_000, slot));
            }
        }
        let due_at = [
            (5_100, 1),
            (5_500, 2),
            (6_100, 1),
            (6_300, 3),
            (6_500, 2),
            (7_100, 1),
            (7_500, 2),
        ];
        assert_eq!(seen[..7], due_at);
        assert_eq!(seen[7..], [(8_100, 1), (8_300, 3), (8_500, 2)]);
    }

    #[test]
    fn beats_missed_in_a_pause_are_skipped_and_counted() {
        let mut schedule = three();
        assert_eq!(drain(&mut schedule, at(5_110)), (vec![1], 0));
        assert_eq!(drain(&mut schedule, at(5_440)), (vec![], 0));
        // Away from 5.44 s to 35.52 s: 30 beats of slot 1, 30 of slot 2, 15 of slot 3.
        let (due, missed) = drain(&mut schedule, at(35_520));
        assert_eq!(due, [2], "only what is due now");
        assert_eq!(missed, 30 + 30 + 15);
    }

    #[test]
    fn a_jump_of_the_clock_makes_up_for_nothing() {
        let mut schedule = three();
        schedule.anchor(at(3_605_000));
        assert_eq!(drain(&mut schedule, at(3_605_050)), (vec![], 0));
        schedule.anchor(at(5_000));
        assert_eq!(drain(&mut schedule, at(5_150)), (vec![1], 0));
    }

    #[test]
    fn targets_of_one_moment_are_all_due() {
        let mut schedule = Schedule::default();
        schedule.add(at(0), (0..5).map(|i| (Slot(i), SECOND, 7_000)));
        assert_eq!(drain(&mut schedule, at(7)).0, [0, 1, 2, 3, 4]);
        assert_eq!(drain(&mut schedule, at(7)).0, [0; 0]);
    }

    #[test]
    fn targets_that_come_and_go_do_not_disturb_the_others() {
        let mut schedule = three();
        assert_eq!(drain(&mut schedule, at(5_200)).0, [1]);
        schedule.add(at(5_200), [(Slot(9), SECOND, 50_000)]);
        schedule.remove(at(5_200), Slot(3), 2 * SECOND, 300_000);
        assert_eq!(drain(&mut schedule, at(5_550)).0, [2]);
        assert_eq!(drain(&mut schedule, at(6_110)).0, [9, 1]);
        schedule.remove_all(|slot| slot == Slot(9));
        assert_eq!(
            drain(&mut schedule, at(7_000)).1,
            1,
            "slot 2 at 6.5 s was missed"
        );
        schedule.remove_all(|_| true);
        assert_eq!(schedule.deadline(), None);
    }

    #[test]
    fn the_next_beat_of_one_target_is_the_one_that_comes() {
        for millis in [0, 99, 100, 101, 999, 1_000] {
            let due = Schedule::next_of(at(millis), SECOND, 100_000);
            assert!(due > at(millis) && due.0 <= at(millis).0 + 1_000_000);
            assert_eq!(due.0 % 1_000_000, 100_000);
        }
    }

    #[test]
    fn whatever_the_wake_ups_no_beat_is_given_twice_and_none_within_tolerance_is_lost() {
        for seed in 0..300 {
            let mut rng = base::Rng::new(seed);
            let mut schedule = Schedule::default();
            let n = 1 + rng.below(20);
            schedule.add(
                at(0),
                (0..n)
                    .map(|i| {
                        (
                            Slot(u32::try_from(i).unwrap()),
                            SECOND,
                            rng.below(1_000_000),
                        )
                    })
                    .collect::<Vec<_>>(),
            );
            let (mut now, mut given, mut missed) = (0, 0, 0);
            while now < 20_000 {
                let most = if rng.chance(5) { 4_000 } else { 90 };
                now += rng.below(most);
                let (due, skipped) = drain(&mut schedule, at(now));
                given += due.len() as u64;
                missed += skipped;
            }
            let phases_done = schedule
                .rings
                .values()
                .map(|r| r.lap / r.interval * n + r.cursor as u64)
                .sum::<u64>();
            assert_eq!(given + missed, phases_done, "seed {seed}");
        }
    }
}
