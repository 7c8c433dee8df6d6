//! The first three owners of many targets, kept up to date as members come and go.
//!
//! A member that leaves re-scores only the targets that had it among their three; those that join
//! or change are compared once per target with the third of its three. Where they get in, they and
//! the three are put in order; with zones, or members that can't probe everything, the target is
//! scored anew. Start reading at [`Ownership::handle`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::{Slot, Time};

use crate::score::{KeyHash, Racer};
use crate::{Member, Standing};

/// How many owners are kept per target: the owner and its two standbys.
pub const TOP: usize = 3;
/// The most members at a time; who comes beyond it is counted and left out.
pub const MEMBERS_MAX: usize = u16::MAX as usize;
const NOBODY: u16 = u16::MAX;

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A member is there, or is described anew: the name tells.
    Joined(Member),
    /// The same of many, in their order: each target is looked at once, and said once.
    AllJoined(Vec<Member>),
    /// The member of this name is gone.
    Left(Arc<str>),
    /// A target is to be owned. Another hash in a slot that was in use means another target from
    /// now on: what was said about the old one is forgotten.
    Defined(Slot, KeyHash),
    /// A target is gone.
    Undefined(Slot),
    /// A member says whether it can't probe a target (`true`), for lack of a secret or a way.
    /// Forgotten when either is gone.
    Unable(Slot, Arc<str>, bool),
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The first three of a target are others now, or the same in another order.
    Changed(Change),
}

/// The first three of a target, before and after; fewer where there are fewer members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which target.
    pub slot: Slot,
    /// Before; those of the slot's former target where it had one, empty where it had none.
    pub before: Vec<Arc<str>>,
    /// From now on; empty when the target is gone or nobody can have it.
    pub after: Vec<Arc<str>>,
}

type Three = [u16; TOP];

#[derive(Clone, Debug)]
struct Entry {
    member: Member,
    owned: u32,
    /// `false`: gone, and only its name is of use, to changes that are not yet drained.
    is_there: bool,
}

#[derive(Clone, Copy, Debug)]
struct Target {
    key: KeyHash,
    three: Three,
    is_live: bool,
}

/// The best draws so far, the best first.
#[derive(Default)]
struct Best<'a>([Option<(Standing, u64, &'a str, u16)>; TOP]);

impl<'a> Best<'a> {
    fn put(&mut self, one: (Standing, u64, &'a str, u16)) {
        let mut next = Some(one);
        for place in &mut self.0 {
            if place.is_none() || next < *place {
                std::mem::swap(place, &mut next);
            }
            if next.is_none() {
                return;
            }
        }
    }

    fn three(&self) -> Three {
        self.0.map(|place| place.map_or(NOBODY, |place| place.3))
    }
}

/// All members and the first three of every target. 16 bytes a target.
#[derive(Clone, Debug, Default)]
pub struct Ownership {
    /// Everybody, each at a place of its own.
    members: Vec<Entry>,
    /// The same, as all that a race needs, close together; `None` for who is gone.
    racers: Vec<(Option<Standing>, Racer)>,
    by_name: BTreeMap<Arc<str>, u16>,
    /// Places of those that are gone; given to others once no change names them.
    gone: Vec<u16>,
    /// How many joins found no room.
    refused: u64,
    targets: Vec<Target>,
    /// Members that can't probe a target.
    unable: BTreeMap<(Slot, u16), ()>,
    changed: VecDeque<(Slot, Three, Three)>,
    /// How many members stand in each zone.
    zones: BTreeMap<Arc<str>, usize>,
    /// What is being scored; kept for its room.
    scratch: Vec<(Standing, u64, u16)>,
}

impl Ownership {
    /// Nobody and nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened. Time plays no part; it is taken as every core takes it.
    pub fn handle(&mut self, _now: Time, input: Input) {
        match input {
            Input::Joined(member) => self.join(vec![member]),
            Input::AllJoined(members) => self.join(members),
            Input::Left(name) => self.leave(&name),
            Input::Defined(slot, key) => self.define(slot, key),
            Input::Undefined(slot) => self.undefine(slot),
            Input::Unable(slot, name, is_unable) => self.unable(slot, &name, is_unable),
        }
    }

    /// What follows; drain until `None`. Changes wait without bound: 16 bytes each, and at most
    /// one per target for each input.
    pub fn poll(&mut self) -> Option<Output> {
        let Some((slot, before, after)) = self.changed.pop_front() else {
            // A member has come or gone and moved many: the room is given back.
            self.changed.shrink_to(64);
            return None;
        };
        Some(Output::Changed(Change {
            slot,
            before: self.names(before),
            after: self.names(after),
        }))
    }

    /// Never: nothing here waits.
    #[must_use]
    pub const fn deadline(&self) -> Option<Time> {
        None
    }

    /// The first three of a target, best first.
    pub fn owners(&self, slot: Slot) -> impl Iterator<Item = &Member> {
        let target = self.targets.get(slot.index()).filter(|t| t.is_live);
        target
            .map_or([NOBODY; TOP], |target| target.three)
            .into_iter()
            .filter_map(|at| Some(&self.entry(at)?.member))
    }

    /// Whether the member of this name is a target's owner.
    #[must_use]
    pub fn is_owner(&self, slot: Slot, name: &str) -> bool {
        self.owners(slot).next().is_some_and(|m| &*m.name == name)
    }

    /// How many targets a member owns.
    #[must_use]
    pub fn owned(&self, name: &str) -> u32 {
        let at = self.by_name.get(name).copied().unwrap_or(NOBODY);
        self.entry(at).map_or(0, |entry| entry.owned)
    }

    /// Which targets a member owns, in the order of their slots. O(n) in all targets.
    pub fn owned_by(&self, name: &str) -> impl Iterator<Item = Slot> {
        let at = self.by_name.get(name).copied();
        (0..)
            .map(Slot)
            .zip(&self.targets)
            .filter(move |(_, t)| t.is_live && Some(t.three[0]) == at)
            .map(|(slot, _)| slot)
    }

    /// All members, in the order of their names.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        let at = self.by_name.values();
        at.filter_map(|&at| Some(&self.entry(at)?.member))
    }

    /// How many joins were refused because [`MEMBERS_MAX`] places were taken. State was unchanged.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    fn entry(&self, at: u16) -> Option<&Entry> {
        self.members.get(usize::from(at)).filter(|e| e.is_there)
    }

    fn names(&self, three: Three) -> Vec<Arc<str>> {
        let entries = three
            .iter()
            .filter_map(|&at| self.members.get(usize::from(at)));
        entries
            .map(|entry| Arc::clone(&entry.member.name))
            .collect()
    }

    fn join(&mut self, members: Vec<Member>) {
        let (mut newcomers, mut worse) = (Vec::new(), Vec::new());
        for member in members {
            if self.is_described_so(&member) {
                continue;
            }
            let is_worse = self.is_worse_than_before(&member);
            let Some(at) = self.seat(member) else {
                self.refused += 1;
                continue;
            };
            newcomers.push(at);
            if is_worse {
                worse.push(at);
            }
        }
        if newcomers.is_empty() {
            return;
        }
        newcomers.sort_unstable();
        newcomers.dedup();
        let is_simple = self.zones.len() <= 1 && self.unable.is_empty();
        for index in 0..self.targets.len() {
            let target = self.targets[index];
            if !target.is_live {
                continue;
            }
            let has_worse = !worse.is_empty() && target.three.iter().any(|at| worse.contains(at));
            if is_simple && !has_worse {
                self.let_in(index, &newcomers);
                continue;
            }
            let is_new = |at: &u16| newcomers.binary_search(at).is_ok();
            if target.three.iter().any(is_new) || self.any_gets_in(index, &newcomers) {
                self.score(index);
            }
        }
    }

    /// Whether who is described anew may have lost places by that; who is new has none to lose.
    fn is_worse_than_before(&self, member: &Member) -> bool {
        let at = self.by_name.get(&member.name);
        let before = at.and_then(|&at| self.entry(at)).map(|e| &e.member);
        before.is_some_and(|before| {
            let is_same = before.weight == member.weight && before.zone == member.zone;
            !is_same || before.standing < member.standing
        })
    }

    fn is_described_so(&self, member: &Member) -> bool {
        let at = self.by_name.get(&member.name);
        at.and_then(|&at| self.entry(at))
            .is_some_and(|entry| entry.member == *member)
    }

    /// Gives a member its place: its own if it has one, else a free one, else a new one.
    fn seat(&mut self, member: Member) -> Option<u16> {
        let racer = Racer::new(&member.name, member.weight);
        let racer = (Some(member.standing), racer);
        let mut entry = Entry {
            member,
            owned: 0,
            is_there: true,
        };
        if let Some(&at) = self.by_name.get(&entry.member.name) {
            let old = &mut self.members[usize::from(at)];
            entry.owned = old.owned;
            let zone = Arc::clone(&entry.member.zone);
            let left = std::mem::replace(old, entry).member.zone;
            self.count_zone(zone, left);
            self.racers[usize::from(at)] = racer;
            return Some(at);
        }
        // While a change is not drained, it may name somebody who is gone.
        let free = self.gone.pop_if(|_| self.changed.is_empty());
        if free.is_none() && self.members.len() == MEMBERS_MAX {
            return None;
        }
        let at = free
            .unwrap_or_else(|| u16::try_from(self.members.len()).expect("fewer than MEMBERS_MAX"));
        self.by_name.insert(Arc::clone(&entry.member.name), at);
        *self
            .zones
            .entry(Arc::clone(&entry.member.zone))
            .or_default() += 1;
        match free {
            Some(at) => {
                self.members[usize::from(at)] = entry;
                self.racers[usize::from(at)] = racer;
            }
            None => {
                self.members.push(entry);
                self.racers.push(racer);
            }
        }
        Some(at)
    }

    fn leave(&mut self, name: &str) {
        let Some(at) = self.by_name.remove(name) else {
            return;
        };
        let gone = &mut self.members[usize::from(at)];
        gone.is_there = false;
        self.racers[usize::from(at)].0 = None;
        let zone = Arc::clone(&gone.member.zone);
        self.leave_zone(&zone);
        self.gone.push(at);
        self.unable.retain(|(_, member), ()| *member != at);
        for index in 0..self.targets.len() {
            let target = self.targets[index];
            if target.is_live && target.three.contains(&at) {
                self.score(index);
            }
        }
    }

    fn count_zone(&mut self, entered: Arc<str>, left: Arc<str>) {
        *self.zones.entry(entered).or_default() += 1;
        self.leave_zone(&left);
    }

    fn leave_zone(&mut self, zone: &Arc<str>) {
        let count = self.zones.get_mut(zone).expect("it was counted");
        *count -= 1;
        if *count == 0 {
            self.zones.remove(zone);
        }
    }

    fn define(&mut self, slot: Slot, key: KeyHash) {
        let nothing = Target {
            key,
            three: [NOBODY; TOP],
            is_live: false,
        };
        if self.targets.len() <= slot.index() {
            if self.targets.capacity() <= slot.index() {
                // An eighth more than is needed: there may be a million.
                let room = slot.index() + 1 - self.targets.len();
                self.targets.reserve_exact(room + slot.index() / 8);
            }
            self.targets.resize(slot.index() + 1, nothing);
        }
        let target = &mut self.targets[slot.index()];
        let is_another = target.key != key;
        (target.key, target.is_live) = (key, true);
        if is_another {
            self.forget_unable(slot);
        }
        self.score(slot.index());
    }

    fn undefine(&mut self, slot: Slot) {
        let Some(target) = self.targets.get_mut(slot.index()).filter(|t| t.is_live) else {
            return;
        };
        target.is_live = false;
        self.set(slot.index(), [NOBODY; TOP]);
        self.forget_unable(slot);
    }

    fn forget_unable(&mut self, slot: Slot) {
        let of_slot: Vec<(Slot, u16)> = self
            .unable
            .range((slot, 0)..=(slot, u16::MAX))
            .map(|(key, ())| *key)
            .collect();
        for key in of_slot {
            self.unable.remove(&key);
        }
    }

    fn unable(&mut self, slot: Slot, name: &str, is_unable: bool) {
        let Some(&at) = self.by_name.get(name) else {
            return;
        };
        if !self.targets.get(slot.index()).is_some_and(|t| t.is_live) {
            return;
        }
        if is_unable {
            self.unable.insert((slot, at), ());
        } else {
            self.unable.remove(&(slot, at));
        }
        self.score(slot.index());
    }

    /// Where all stand in one zone and can probe everything: a target's three and newcomers in the
    /// order of their draws. Only right if nobody of the three is worse than before.
    fn let_in(&mut self, index: usize, newcomers: &[u16]) {
        let Target { key, three, .. } = self.targets[index];
        let mut best = Best::default();
        let held = three.iter().filter(|&&at| at != NOBODY);
        if let Some(&last) = three.last().filter(|&&at| at != NOBODY) {
            // Nearly always nobody gets in: the three are compared only if somebody does.
            let (standing, racer) = self.racers[usize::from(last)];
            let standing = standing.expect("who is gone is nobody's owner");
            let most = racer.cost(key);
            let gets_in = |at: &u16| {
                let (theirs, racer) = self.racers[usize::from(*at)];
                let theirs = theirs.expect("it has just joined");
                theirs < standing || theirs == standing && racer.cost_below(key, most).is_some()
            };
            if !newcomers.iter().any(gets_in) {
                return;
            }
        }
        for &at in held.chain(newcomers.iter().filter(|at| !three.contains(at))) {
            self.race(key, at, &mut best);
        }
        self.set(index, best.three());
    }

    /// The best draws of all for a target.
    fn race_all(&self, key: KeyHash, is_able: impl Fn(u16) -> bool) -> Three {
        let mut best = Best::default();
        let mut last = None;
        for (at, (standing, racer)) in (0_u16..).zip(&self.racers) {
            // Nearly all are turned away here.
            if let Some((worst, most)) = last
                && *standing == Some(worst)
                && racer.is_surely_above(key, most)
            {
                continue;
            }
            if is_able(at) {
                self.race(key, at, &mut best);
                last = best.0[TOP - 1].map(|(standing, cost, ..)| (standing, cost));
            }
        }
        best.three()
    }

    /// One member's draw for a target beside the best so far.
    fn race<'a>(&'a self, key: KeyHash, at: u16, best: &mut Best<'a>) {
        let (standing, racer) = &self.racers[usize::from(at)];
        let Some(standing) = *standing else {
            return;
        };
        let most = match best.0[TOP - 1] {
            None => u64::MAX,
            Some((worst, ..)) if standing < worst => u64::MAX,
            Some((worst, ..)) if standing > worst => return,
            Some((_, cost, ..)) => cost,
        };
        if let Some(cost) = racer.cost_below(key, most) {
            let name = &*self.members[usize::from(at)].member.name;
            best.put((standing, cost, name, at));
        }
    }

    /// Whether one of the members that are not among a target's three may be so now; `true` when
    /// in doubt.
    fn any_gets_in(&self, index: usize, newcomers: &[u16]) -> bool {
        let Target { key, three, .. } = self.targets[index];
        let Some(third) = self.entry(three[TOP - 1]) else {
            return true;
        };
        if third.member.standing == Standing::Draining {
            return true;
        }
        let zones = three.map(|place| self.entry(place).map(|e| &e.member.zone));
        let is_spread = zones[0] != zones[1] && zones[1] != zones[2] && zones[0] != zones[2];
        let cost = |at: &u16| Some(self.racers.get(usize::from(*at))?.1.cost(key));
        let worst = three.iter().filter_map(cost).max();
        // Where not every place has a zone of its own, a better draw of a known zone can displace
        // any of the three, and a new zone gets in with any draw.
        let may_bring_a_zone = !is_spread && self.zones.len() > 1;
        newcomers.iter().any(|&at| {
            let (standing, racer) = self.racers[usize::from(at)];
            if standing != Some(Standing::Usable) {
                return false;
            }
            let zone = || Some(&self.members[usize::from(at)].member.zone);
            (may_bring_a_zone && !zones.contains(&zone()))
                || worst.is_none_or(|worst| racer.cost_below(key, worst).is_some())
        })
    }

    /// Computes a target's three from nothing.
    fn score(&mut self, index: usize) {
        let key = self.targets[index].key;
        let slot = Slot(u32::try_from(index).expect("a slot is an index"));
        let is_any_unable = self
            .unable
            .range((slot, 0)..=(slot, u16::MAX))
            .next()
            .is_some();
        let is_able = |at: u16| !is_any_unable || !self.unable.contains_key(&(slot, at));
        if self.zones.len() <= 1 {
            let three = self.race_all(key, is_able);
            self.set(index, three);
            return;
        }
        let mut scores = std::mem::take(&mut self.scratch);
        scores.clear();
        for (at, (standing, racer)) in (0_u16..).zip(&self.racers) {
            if let Some(standing) = standing.filter(|_| is_able(at)) {
                scores.push((standing, racer.cost(key), at));
            }
        }
        let mut three = [NOBODY; TOP];
        for place in 0..TOP {
            three[place] = self.next(&scores, &three[..place]);
        }
        self.scratch = scores;
        self.set(index, three);
    }

    /// Who comes after `taken`: the usable first, and of these one from a zone that has none yet.
    fn next(&self, scores: &[(Standing, u64, u16)], taken: &[u16]) -> u16 {
        let standing_of = |at: u16| self.entry(at).map(|e| e.member.standing);
        let mut best: Option<(Standing, bool, u64, &str, u16)> = None;
        for &(standing, cost, at) in scores {
            if taken.contains(&at) {
                continue;
            }
            let member = &self.entry(at).expect("it was just scored").member;
            let has_place = taken.iter().any(|&t| {
                standing_of(t) == Some(standing)
                    && self.entry(t).is_some_and(|e| e.member.zone == member.zone)
            });
            let rank = (standing, has_place, cost, &*member.name, at);
            if best.is_none_or(|best| rank < best) {
                best = Some(rank);
            }
        }
        best.map_or(NOBODY, |best| best.4)
    }

    fn set(&mut self, index: usize, after: Three) {
        let before = std::mem::replace(&mut self.targets[index].three, after);
        if before == after {
            return;
        }
        for (at, by) in [(before[0], -1), (after[0], 1)] {
            let entry = self.members.get_mut(usize::from(at));
            if let Some(entry) = entry {
                entry.owned = entry.owned.saturating_add_signed(by);
            }
        }
        let slot = Slot(u32::try_from(index).expect("a slot is an index"));
        self.changed.push_back((slot, before, after));
    }
}
