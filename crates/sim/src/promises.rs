//! What must hold after every step, whatever happens.
//!
//! The world feeds a [`Ledger`] with what it sees of the node; the first broken promise ends
//! the run. Bounds that depend on time are checked in `world.rs`, which knows the faults.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use base::{Duration, Time, Version, hash64};
use health::{Answer, Definition, Event, Source, State, Transition, View};

/// One promise of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// A target that answers every probe that reaches it is never called down.
    NoFalseAlarm,
    /// A target that fails (or answers) for long enough is shown so in time.
    NoMissedOutage,
    /// Nothing is followed by a burst of checks.
    NoBurst,
    /// Every target that is not paused is checked at least every two intervals.
    NoStarvation,
    /// Nothing is seen that the disk does not have, and what was seen survives.
    HonestDisk,
    /// Every transition is one event, in order, and the view is what the events add up to.
    WholeHistory,
    /// Checks under way are counted right, and never above the limit.
    Room,
    /// The verdict is a plain reading of the conclusive outcomes.
    PlainVerdict,
    /// When there is nothing to do, the node waits.
    Rest,
}

/// A promise that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// When, in the world's time.
    pub at: Time,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} broken at {}: {}", self.promise, self.at, self.what)
    }
}

/// What the node has shown so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) broken: Option<Broken>,
    now: Time,
    /// Numbers of events, and of answers (which may name the event that they brought).
    used: [BTreeSet<Version>; 2],
    /// The last transition of each target that was shown.
    replay: BTreeMap<Arc<str>, Transition>,
    /// Targets that were taken away, so that their numbers may start again.
    reborn: BTreeSet<Arc<str>>,
    /// What the API last answered of each name, and requests without an answer yet.
    acknowledged: BTreeMap<Arc<str>, Option<Arc<Definition>>>,
    asked: BTreeMap<u64, (Arc<str>, Option<Arc<Definition>>)>,
    starts: VecDeque<Time>,
    busiest: u64,
    busiest_before: (u64, Time),
}

impl Ledger {
    pub(crate) const fn at(&mut self, now: Time) {
        self.now = now;
    }

    pub(crate) fn claim(&mut self, promise: Promise, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            let (at, what) = (self.now, what());
            self.broken = Some(Broken { promise, at, what });
        }
    }

    /// The fleet changed: its schedule's busiest second is the measure of a burst.
    pub(crate) fn fleet(&mut self, definitions: &[&Definition]) {
        let busiest = busiest_second(definitions);
        let still = if self.now.since(self.busiest_before.1) > Duration::from_secs(1) {
            0
        } else {
            self.busiest_before.0
        };
        self.busiest_before = (self.busiest.max(still), self.now);
        self.busiest = busiest;
    }

    /// A check started.
    pub(crate) fn started(&mut self) {
        let now = self.now;
        self.starts.push_back(now);
        while self
            .starts
            .pop_front_if(|at| now.since(*at) >= Duration::from_secs(1))
            .is_some()
        {}
        let mut busiest = self.busiest;
        if now.since(self.busiest_before.1) <= Duration::from_secs(1) {
            busiest = busiest.max(self.busiest_before.0);
        }
        // Even for tiny fleets the bucket gains two a second, holds two, and may owe two; and two
        // targets may be asked again early when the clock jumps.
        let most = busiest * 12 / 10 + 8;
        let starts = self.starts.len() as u64;
        self.claim(Promise::NoBurst, starts <= most, || {
            format!("{starts} checks within a second; the busiest has {busiest}")
        });
    }

    /// A number was shown: it must be down, and new.
    fn shown(&mut self, kind: usize, version: Version, disk_seq: u64) {
        self.claim(Promise::HonestDisk, version.seq <= disk_seq, || {
            format!("{version} was shown, the disk has {disk_seq}")
        });
        let is_new = self.used[kind].insert(version);
        self.claim(Promise::HonestDisk, is_new, || {
            format!("{version} was used twice")
        });
    }

    pub(crate) fn asked(
        &mut self,
        request: u64,
        name: Arc<str>,
        definition: Option<Arc<Definition>>,
    ) {
        self.asked.insert(request, (name, definition));
    }

    pub(crate) fn answer(&mut self, request: u64, answer: Answer, disk_seq: u64) {
        let asked = self.asked.remove(&request);
        self.claim(Promise::HonestDisk, asked.is_some(), || {
            format!("request {request} was answered twice")
        });
        let Some((name, definition)) = asked else {
            return;
        };
        if let Answer::Created(version) | Answer::Replaced(version) | Answer::Deleted(version) =
            answer
        {
            self.shown(1, version, disk_seq);
            self.acknowledged.insert(name, definition);
        }
    }

    pub(crate) fn event(&mut self, version: Version, event: &Event, disk_seq: u64) {
        let transition = event.transition;
        let seq = transition.seq;
        self.shown(0, Version { seq, ..version }, disk_seq);
        let before = self.replay.insert(Arc::clone(&event.target), transition);
        let (number, state) = before.map_or((0, State::Unknown), |t| (t.number, t.to));
        let first = transition.number == 1 && self.reborn.contains(&event.target);
        let next = transition.number == number + 1 && transition.from == state;
        self.claim(Promise::WholeHistory, first || next, || {
            format!("{}: {transition:?} after {before:?}", event.target)
        });
    }

    pub(crate) fn removed(&mut self, name: &Arc<str>) {
        self.reborn.insert(Arc::clone(name));
    }

    /// After a drain: the view is what the events add up to.
    pub(crate) fn view(&mut self, view: &View, disk_seq: u64, nothing_pending: bool) {
        let seq = view.version.seq;
        self.claim(Promise::HonestDisk, seq <= disk_seq, || {
            format!("view {} is ahead of the disk's {disk_seq}", view.version)
        });
        for row in view.rows(None) {
            let (name, status) = (&row.definition().name, &row.status());
            if self.reborn.contains(name) {
                match status.recent.last() {
                    Some(&last) => drop(self.replay.insert(Arc::clone(name), last)),
                    None => drop(self.replay.remove(name)),
                }
                continue;
            }
            let seen = self.replay.get(name).copied();
            let (number, state) = seen.map_or((0, State::Unknown), |t| (t.number, t.to));
            let same = (number, state) == (status.transition, status.state);
            self.claim(Promise::WholeHistory, same, || {
                format!("{name}: view says {status:?}, events say {seen:?}")
            });
        }
        if nothing_pending {
            for name in std::mem::take(&mut self.reborn) {
                if view.get(&name).is_none() {
                    self.replay.remove(&name);
                }
            }
        }
    }

    /// A restart read this from the disk: nothing that was shown may be missing.
    pub(crate) fn past(&mut self, past: &[Event]) {
        let mut restored: BTreeMap<Arc<str>, Transition> = BTreeMap::new();
        for event in past {
            restored.insert(Arc::clone(&event.target), event.transition);
        }
        for (name, shown) in std::mem::take(&mut self.replay) {
            let kept = restored.get(&name);
            let holds = self.reborn.contains(&name)
                || kept.is_some_and(|kept| {
                    kept.number > shown.number && kept.seq > shown.seq || *kept == shown
                });
            self.claim(Promise::HonestDisk, holds, || {
                format!("{name}: {shown:?} was shown, the disk has {kept:?}")
            });
        }
        self.replay = restored;
    }

    /// A restart has loaded everything: acknowledged targets are there.
    pub(crate) fn rebooted(&mut self, view: &View) {
        // Targets that the file gave up shortly before the crash are swept from the disk only now.
        let swept = self.replay.keys().filter(|name| view.get(name).is_none());
        self.reborn.extend(swept.cloned());
        let open: BTreeSet<Arc<str>> = std::mem::take(&mut self.asked)
            .into_values()
            .map(|(name, _)| name)
            .collect();
        self.acknowledged.retain(|name, _| !open.contains(name));
        for (name, wanted) in &self.acknowledged.clone() {
            let row = view.get(name);
            let of_api = row.filter(|row| row.source == Source::Api);
            let holds = match (row, wanted) {
                (Some(row), _) if row.source == Source::File => true,
                _ => of_api.map(|row| row.definition()) == *wanted,
            };
            self.claim(Promise::HonestDisk, holds, || {
                format!("{name} was answered as {wanted:?}, after the restart it is {row:?}")
            });
        }
    }
}

/// The most checks that the schedule of a fleet can bring within a second.
///
/// The sum over the intervals, as if their busiest seconds met: an upper bound that they reach.
fn busiest_second(definitions: &[&Definition]) -> u64 {
    const SECOND: u64 = 1_000_000;
    let mut rings: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for definition in definitions.iter().filter(|d| !d.paused) {
        let interval = u64::try_from(definition.interval.as_micros()).unwrap_or(u64::MAX);
        let phase = hash64(definition.name.as_bytes()) % interval;
        rings.entry(interval).or_default().push(phase);
    }
    let mut sum = 0;
    for (interval, mut phases) in rings {
        let n = phases.len() as u64;
        phases.sort_unstable();
        sum += n * (SECOND / interval);
        let rest = SECOND % interval;
        let next: Vec<u64> = phases.iter().map(|phase| phase + interval).collect();
        phases.extend(next);
        sum += (0..n)
            .map(|i| {
                let from = phases[usize::try_from(i).unwrap_or(0)];
                (phases.partition_point(|&phase| phase < from + rest) as u64).saturating_sub(i)
            })
            .max()
            .unwrap_or(0);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::definition;

    #[test]
    fn the_busiest_second_of_a_fleet_counts_every_interval() {
        let fast: Vec<Definition> = (0..3)
            .map(|i| definition(&format!("t{i}"), 500, 100))
            .collect();
        assert_eq!(busiest_second(&fast.iter().collect::<Vec<_>>()), 6);
        let slow = definition("slow", 10_000, 100);
        assert_eq!(busiest_second(&[&slow]), 1);
        assert_eq!(busiest_second(&[]), 0);
    }
}
