//! Which targets each owner has, as this node believes: a sum for every owner and interval.
//!
//! A mark says of which targets it holds by the sum of their names, and of those statuses that
//! another than the owner wrote. Whoever believes the same now, or has a moment ago, may let it
//! count; a node that still shows a target which the owner has already lost, or was never told of,
//! may not, nor one that shows what another wrote and the owner does not know, or the other way
//! round. (The owner's own writes come before its mark.) O(1) for each change of one target.
//! Does not know marks, members, definitions or the wire.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::{Duration, Slot, Time, hash64};

use crate::fleet::NOBODY;

/// How many former sums of an owner and interval are remembered.
const FORMER: usize = 16;
/// Intervals that are told apart at most; targets of more are covered by no mark.
const INTERVALS_MAX: u16 = u16::MAX;

/// An owner's targets of one interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Share {
    sum: u64,
    count: usize,
    /// What the sum has been, and the epoch in which it became so; the newest last.
    former: VecDeque<(u32, u64)>,
    at: Time,
}

/// A place in the list of names, and one in the list of intervals.
type Class = (u16, u16);

/// Who has what, in sums.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    names: Arc<Vec<Arc<str>>>,
    places: BTreeMap<Arc<str>, u16>,
    intervals: BTreeMap<Duration, u16>,
    shares: BTreeMap<Class, Share>,
    counted: Vec<Class>,
    /// The hashes of the statuses that another than the owner wrote.
    foreign: BTreeMap<Slot, u64>,
    epoch: u32,
}

/// Counted for nobody.
const NONE: Class = (NOBODY, 0);

impl Shares {
    /// A member's place in the list of names.
    pub(crate) fn place(&mut self, name: &Arc<str>) -> u16 {
        if let Some(&place) = self.places.get(name) {
            return place;
        }
        let Some(place) = u16::try_from(self.names.len()).ok().filter(|p| *p < NOBODY) else {
            return NOBODY;
        };
        Arc::make_mut(&mut self.names).push(Arc::clone(name));
        self.places.insert(Arc::clone(name), place);
        place
    }

    /// The names by place.
    pub(crate) const fn names(&self) -> &Arc<Vec<Arc<str>>> {
        &self.names
    }

    /// The target in `slot` is this owner's at this interval now, or nobody's, and its status has
    /// this hash if another wrote it, else 0. Returns the epoch in which that became so; `None` if
    /// it was so before.
    pub(crate) fn count(
        &mut self,
        now: Time,
        slot: Slot,
        name: &str,
        of: Option<(u16, Duration)>,
        foreign: u64,
    ) -> Option<u32> {
        let class = self.class(of);
        if self.counted.len() <= slot.index() {
            if self.counted.capacity() <= slot.index() {
                let room = slot.index() + 1 - self.counted.len();
                self.counted.reserve_exact(room + slot.index() / 8);
            }
            self.counted.resize(slot.index() + 1, NONE);
        }
        let foreign = if class == NONE { 0 } else { foreign };
        let before = std::mem::replace(&mut self.counted[slot.index()], class);
        let was_foreign = self.replace_foreign(slot, foreign);
        if (before, was_foreign) == (class, foreign) {
            return None;
        }
        self.epoch += 1;
        let hash = hash64(name.as_bytes());
        if before.0 != NOBODY {
            let share = self.shares.get_mut(&before).expect("it was counted there");
            share.count -= 1;
            let sum = share.sum.wrapping_sub(together(hash, was_foreign));
            share.turn(now, self.epoch, sum);
        }
        if class.0 != NOBODY {
            let share = self.shares.entry(class).or_default();
            share.count += 1;
            let sum = share.sum.wrapping_add(together(hash, foreign));
            share.turn(now, self.epoch, sum);
        }
        Some(self.epoch)
    }

    fn replace_foreign(&mut self, slot: Slot, foreign: u64) -> u64 {
        let before = match foreign {
            0 if self.foreign.is_empty() => None,
            0 => self.foreign.remove(&slot),
            foreign => self.foreign.insert(slot, foreign),
        };
        before.unwrap_or_default()
    }

    fn class(&mut self, of: Option<(u16, Duration)>) -> Class {
        let Some((place, interval)) = of.filter(|(place, _)| *place != NOBODY) else {
            return NONE;
        };
        let next = u16::try_from(self.intervals.len()).unwrap_or(INTERVALS_MAX);
        let known = self.intervals.get(&interval).copied();
        let index = known.or_else(|| {
            let fits = next < INTERVALS_MAX;
            fits.then(|| *self.intervals.entry(interval).or_insert(next))
        });
        index.map_or(NONE, |index| (place, index))
    }

    /// How many targets of this interval an owner has, and their sum.
    pub(crate) fn of(&self, owner: &str, interval: Duration) -> (usize, u64) {
        let share = self.share(owner, interval);
        share.map_or((0, 0), |share| (share.count, share.sum))
    }

    fn share(&self, owner: &str, interval: Duration) -> Option<&Share> {
        let place = *self.places.get(owner)?;
        self.shares.get(&(place, *self.intervals.get(&interval)?))
    }

    /// Since which epoch a sum is what this node believes of an owner; `None` if it never was, or
    /// too many changes ago.
    pub(crate) fn epoch(&self, owner: &str, interval: Duration, sum: u64) -> Option<u32> {
        let former = &self.share(owner, interval)?.former;
        let known = former.iter().rev().find(|(_, former)| *former == sum);
        known.map(|(epoch, _)| *epoch)
    }
}

/// What one target adds to a sum: the hash of its name, and that of a status that belongs to it.
const fn together(name: u64, foreign: u64) -> u64 {
    name.wrapping_add(foreign.wrapping_mul(name | 1))
}

impl Share {
    fn turn(&mut self, now: Time, epoch: u32, sum: u64) {
        self.sum = sum;
        // What changes at one moment is one change.
        if self.at == now && !self.former.is_empty() {
            self.former.pop_back();
        } else if self.former.len() == FORMER {
            self.former.pop_front();
        }
        self.at = now;
        self.former.push_back((epoch, sum));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Rng;

    const SECOND: Duration = Duration::from_secs(1);

    fn two() -> (Shares, u16, u16) {
        let mut shares = Shares::default();
        let (a, b) = (shares.place(&"a".into()), shares.place(&"b".into()));
        (shares, a, b)
    }

    #[test]
    fn who_believes_the_same_has_the_same_sums_whatever_came_first() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let (mut mine, a, b) = two();
            let mut theirs = Shares::default();
            let (their_b, their_a) = (theirs.place(&"b".into()), theirs.place(&"a".into()));
            for _ in 0..200 {
                let slot = u32::try_from(rng.below(20)).unwrap();
                let interval = SECOND * u32::try_from(1 + rng.below(2)).unwrap();
                let of = (!rng.chance(20)).then_some((rng.chance(50), interval));
                let name = format!("t{slot}");
                let place = |is_a, a, b| if is_a { a } else { b };
                let here = of.map(|(is_a, i)| (place(is_a, a, b), i));
                let there = of.map(|(is_a, i)| (place(is_a, their_a, their_b), i));
                let now = Time(rng.below(1_000));
                mine.count(now, Slot(slot), &name, here, 0);
                // Their slots are others.
                theirs.count(now, Slot(19 - slot), &name, there, 0);
            }
            for (owner, interval) in [("a", SECOND), ("b", SECOND), ("a", SECOND * 2)] {
                let (mine, theirs) = (mine.of(owner, interval), theirs.of(owner, interval));
                assert_eq!(mine, theirs, "seed {seed}");
            }
        }
    }

    #[test]
    fn a_sum_from_before_a_change_has_the_epoch_from_before_it() {
        let (mut shares, a, _) = two();
        let first = shares.count(Time(1), Slot(0), "t0", Some((a, SECOND)), 0);
        let (_, before) = shares.of("a", SECOND);
        let second = shares.count(Time(2), Slot(1), "t1", Some((a, SECOND)), 0);
        let (count, after) = shares.of("a", SECOND);
        assert_eq!(count, 2);
        assert_eq!(shares.epoch("a", SECOND, before), first);
        assert_eq!(shares.epoch("a", SECOND, after), second);
        assert!(first < second);
        assert_eq!(shares.epoch("a", SECOND, 77), None);
        assert_eq!(shares.epoch("b", SECOND, before), None);
        assert_eq!(
            shares.count(Time(3), Slot(1), "t1", Some((a, SECOND)), 0),
            None
        );
    }

    #[test]
    fn what_moves_to_another_owner_or_interval_leaves_the_former_sum() {
        let (mut shares, a, b) = two();
        shares.count(Time(1), Slot(0), "t0", Some((a, SECOND)), 0);
        shares.count(Time(2), Slot(0), "t0", Some((b, SECOND)), 0);
        assert_eq!(shares.of("a", SECOND), (0, 0));
        assert_eq!(shares.of("b", SECOND).0, 1);
        shares.count(Time(3), Slot(0), "t0", Some((b, SECOND * 2)), 0);
        assert_eq!(shares.of("b", SECOND), (0, 0));
        shares.count(Time(4), Slot(0), "t0", None, 0);
        assert_eq!(shares.of("b", SECOND * 2), (0, 0));
    }

    #[test]
    fn a_status_that_another_wrote_is_a_part_of_its_owners_sum_until_the_owner_writes() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let (mut mine, a, b) = two();
            let mut last = BTreeMap::new();
            for n in 0..100 {
                let slot = u32::try_from(rng.below(6)).unwrap();
                let foreign = if rng.chance(50) { 0 } else { 1 + rng.below(3) };
                let of = (!rng.chance(10)).then_some((if rng.chance(50) { a } else { b }, SECOND));
                let name = format!("t{slot}");
                let epoch = mine.count(Time(n), Slot(slot), &name, of, foreign);
                let now = of.map(|of| (of, foreign));
                let before = last.insert(slot, now).flatten();
                assert_eq!(epoch.is_some(), before != now, "seed {seed}");
            }
            // Whoever was told only the end of it believes the same.
            let (mut theirs, ..) = two();
            for (slot, now) in &last {
                let (of, foreign) = now.map_or((None, 0), |(of, foreign)| (Some(of), foreign));
                theirs.count(Time(0), Slot(*slot), &format!("t{slot}"), of, foreign);
            }
            for owner in ["a", "b"] {
                let (mine, theirs) = (mine.of(owner, SECOND), theirs.of(owner, SECOND));
                assert_eq!(mine, theirs, "seed {seed}");
            }
            let held = last.values().flatten().filter(|(_, foreign)| *foreign > 0);
            assert_eq!(mine.foreign.len(), held.count(), "seed {seed}");
        }
    }

    #[test]
    fn only_the_last_changes_are_remembered() {
        let (mut shares, a, _) = two();
        shares.count(Time(0), Slot(0), "t0", Some((a, SECOND)), 0);
        let (_, first) = shares.of("a", SECOND);
        for n in 1..=40 {
            shares.count(
                Time(n),
                Slot(1),
                "t1",
                (n % 2 == 1).then_some((a, SECOND)),
                0,
            );
            shares.count(Time(n), Slot(2), &format!("u{n}"), Some((a, SECOND)), 0);
            shares.count(Time(n), Slot(2), &format!("u{n}"), None, 0);
        }
        assert!(shares.epoch("a", SECOND, first).is_some(), "it is so again");
        for n in 0..20 {
            shares.count(Time(50 + n), Slot(10 + n as u32), "v", Some((a, SECOND)), 0);
        }
        assert_eq!(shares.epoch("a", SECOND, first), None);
        let share = shares.shares.values().next().unwrap();
        assert!(share.former.len() <= FORMER);
    }
}
