//! What an owner may promise: when all its targets of one interval were last checked.
//!
//! Targets of one interval go through rounds. A target is done once a check that began within the
//! round has left it at rest: passed or failed, and no verdict pending. When all are done, all
//! were checked at or after the round's beginning, and that is the mark. O(1) for each outcome.
//! A few that hang are listed as exceptions; with too many there is no mark, and its age grows.
//! Does not know targets, other nodes or the wire.

use std::collections::{BTreeMap, BTreeSet};

use base::{Duration, Slot, Time};

use super::packet::EXCEPTIONS_MAX;

/// The round in which a slot was last done; kept with the slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp(pub(crate) u32);

/// The targets of one interval.
#[derive(Debug)]
struct Class {
    /// Never 0: a slot that is new is not done.
    round: u32,
    began: Time,
    total: usize,
    /// Neither done in this round nor behind.
    remaining: usize,
    /// The beginning of the last round that was completed.
    mark: Option<Time>,
    /// Not at rest since the mark.
    behind: BTreeSet<Slot>,
}

/// All intervals.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    classes: BTreeMap<Duration, Class>,
}

impl Rounds {
    /// A target is checked here from now on; what its first check finds is not known yet.
    pub(crate) fn join(&mut self, now: Time, slot: Slot, interval: Duration) {
        let class = self.classes.entry(interval).or_insert(Class {
            round: 1,
            began: now,
            total: 0,
            remaining: 0,
            mark: None,
            behind: BTreeSet::new(),
        });
        if class.behind.insert(slot) {
            class.total += 1;
        }
    }

    /// A target is not checked here any more.
    pub(crate) fn leave(&mut self, now: Time, slot: Slot, interval: Duration, stamp: Stamp) {
        let Some(class) = self.classes.get_mut(&interval) else {
            return;
        };
        class.total -= 1;
        if !class.behind.remove(&slot) && stamp.0 != class.round {
            class.remaining -= 1;
        }
        if class.total == 0 {
            self.classes.remove(&interval);
        } else {
            class.complete(now);
        }
    }

    /// A check that began at `began` has left a target at rest; its new stamp.
    pub(crate) fn rested(
        &mut self,
        now: Time,
        slot: Slot,
        interval: Duration,
        began: Time,
        stamp: Stamp,
    ) -> Stamp {
        let Some(class) = self.classes.get_mut(&interval) else {
            return stamp;
        };
        let in_round = began >= class.began;
        let is_behind = class.behind.contains(&slot);
        let done = Stamp(class.round);
        if is_behind {
            if class.mark.is_some_and(|mark| began < mark) {
                return stamp;
            }
            class.behind.remove(&slot);
            if !in_round {
                class.remaining += 1;
                return Stamp(0);
            }
        } else if !in_round || stamp == done {
            return stamp;
        } else {
            class.remaining -= 1;
        }
        class.complete(now);
        done
    }

    /// Intervals whose round takes too long: their hanging targets are to be left behind.
    pub(crate) fn overdue(&self, now: Time) -> Vec<(Duration, Stamp)> {
        let is_late = |(interval, class): &(&Duration, &Class)| {
            class.remaining > 0 && now.since(class.began) > **interval * 2 + Duration::from_secs(1)
        };
        let late = self.classes.iter().filter(is_late);
        late.map(|(interval, class)| (*interval, Stamp(class.round)))
            .collect()
    }

    /// The targets of an interval that are exceptions.
    pub(crate) fn behind(&self, interval: Duration) -> BTreeSet<Slot> {
        let class = self.classes.get(&interval);
        class.map_or_else(BTreeSet::new, |class| class.behind.clone())
    }

    /// These targets hang; the others' round goes on without them, unless they are too many.
    pub(crate) fn leave_behind(&mut self, now: Time, interval: Duration, slots: &[Slot]) {
        let Some(class) = self.classes.get_mut(&interval) else {
            return;
        };
        if class.behind.len() + slots.len() > EXCEPTIONS_MAX {
            return;
        }
        for &slot in slots {
            if class.behind.insert(slot) {
                class.remaining -= 1;
            }
        }
        class.complete(now);
    }

    /// Every interval's mark: of how many targets it holds, and those it does not hold of.
    pub(crate) fn marks(&self) -> impl Iterator<Item = (Duration, Time, usize, &BTreeSet<Slot>)> {
        let few = |class: &&Class| class.behind.len() <= EXCEPTIONS_MAX;
        let marked = self.classes.iter().filter(move |(_, class)| few(class));
        marked.filter_map(|(interval, class)| {
            Some((*interval, class.mark?, class.total, &class.behind))
        })
    }

    /// What was known of a target does not hold any more: its next rest counts, none before.
    pub(crate) fn unsettle(&mut self, now: Time, slot: Slot, interval: Duration, stamp: Stamp) {
        self.leave(now, slot, interval, stamp);
        self.join(now, slot, interval);
    }
}

impl Class {
    fn complete(&mut self, now: Time) {
        let few = self.behind.len() <= EXCEPTIONS_MAX && self.behind.len() < self.total;
        if self.remaining > 0 || !few {
            return;
        }
        self.mark = Some(self.began);
        self.began = now;
        self.round = self.round.wrapping_add(1).max(1);
        self.remaining = self.total - self.behind.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Rng;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Time {
        Time(ms * 1_000)
    }

    fn mark(rounds: &Rounds) -> Option<(Time, usize)> {
        let (_, mark, _, behind) = rounds.marks().next()?;
        Some((mark, behind.len()))
    }

    #[test]
    fn a_mark_is_the_beginning_of_a_round_in_which_all_came_to_rest() {
        let mut rounds = Rounds::default();
        rounds.join(at(0), Slot(0), SECOND);
        rounds.join(at(0), Slot(1), SECOND);
        assert_eq!(mark(&rounds), None);
        let a = rounds.rested(at(100), Slot(0), SECOND, at(90), Stamp(0));
        let b = rounds.rested(at(600), Slot(1), SECOND, at(590), Stamp(0));
        let (first, behind) = mark(&rounds).expect("both are done");
        assert!(first <= at(90) && behind <= 1);
        let a = rounds.rested(at(1_100), Slot(0), SECOND, at(1_090), a);
        rounds.rested(at(1_600), Slot(1), SECOND, at(1_590), b);
        let (second, behind) = mark(&rounds).expect("both are done again");
        assert!(second > first && second <= at(1_090) && behind == 0);
        // A check that began before the round says nothing of it.
        let before = mark(&rounds);
        rounds.rested(at(1_700), Slot(0), SECOND, at(1_000), a);
        assert_eq!(mark(&rounds), before);
    }

    #[test]
    fn a_mark_never_claims_more_than_each_target_had() {
        for seed in 0..500 {
            let mut rng = Rng::new(seed);
            let mut rounds = Rounds::default();
            // Per slot: its stamp, and when the last check that left it at rest began.
            let mut slots: BTreeMap<Slot, (Stamp, Option<Time>)> = BTreeMap::new();
            let mut now = Time(0);
            for _ in 0..400 {
                now += Duration::from_millis(1 + rng.below(60));
                let slot = Slot(u32::try_from(rng.below(6)).unwrap());
                match (slots.get_mut(&slot), rng.below(20)) {
                    (None, _) => {
                        rounds.join(now, slot, SECOND);
                        slots.insert(slot, (Stamp(0), None));
                    }
                    (Some((stamp, _)), 0) => {
                        rounds.leave(now, slot, SECOND, *stamp);
                        slots.remove(&slot);
                    }
                    (Some((stamp, last)), 1..16) => {
                        let micros = rng.below(50_000);
                        let began = Time(now.0.saturating_sub(micros));
                        *stamp = rounds.rested(now, slot, SECOND, began, *stamp);
                        *last = (*last).max(Some(began));
                    }
                    (Some(_), _) => {
                        for (interval, round) in rounds.overdue(now) {
                            let hang: Vec<Slot> = slots
                                .iter()
                                .filter(|(_, (stamp, _))| *stamp != round)
                                .map(|(slot, _)| *slot)
                                .collect();
                            let behind = rounds.behind(interval);
                            let fresh: Vec<Slot> =
                                hang.into_iter().filter(|s| !behind.contains(s)).collect();
                            rounds.leave_behind(now, interval, &fresh);
                        }
                    }
                }
                for (_, mark, _, behind) in rounds.marks() {
                    for (slot, (_, last)) in &slots {
                        let held = behind.contains(slot) || *last >= Some(mark);
                        assert!(held, "seed {seed}: {slot:?} {last:?} {mark:?}");
                    }
                }
            }
        }
    }
}
