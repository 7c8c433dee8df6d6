//! Who is known: the members, those forgotten for good, and hashes over all of it.
//!
//! The hashes are sums of one hash for each entry, so that they do not depend on the order in
//! which things were learned and each change costs the same at any size.
//! Does not know time's flow, nor why anything changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{NodeId, Rng, Time, hash64};

use crate::message::{BUCKETS, Claim, FORGOTTEN, Rank};
use crate::rtt::Rtt;
use crate::suspicion::Suspicion;
use crate::{Incarnation, Member, State};

/// What is known of one member.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) member: Member,
    /// The first incarnation of its present run.
    pub(crate) born: Incarnation,
    pub(crate) rtt: Rtt,
    pub(crate) suspicion: Option<Suspicion>,
    /// When a dead or departed one is to be forgotten.
    pub(crate) forget_at: Option<Time>,
    /// Where it stands in the list of its kind.
    place: usize,
}

impl Record {
    pub(crate) fn new(member: Member, born: Incarnation) -> Self {
        let (rtt, place) = (Rtt::default(), 0);
        Self {
            member,
            born,
            rtt,
            suspicion: None,
            forget_at: None,
            place,
        }
    }

    pub(crate) fn rank(&self) -> Rank {
        (self.member.incarnation, self.member.state as u8)
    }

    pub(crate) fn is_living(&self) -> bool {
        self.member.state <= State::Suspect
    }

    /// What to tell of it; `age_s` for the dead and the departed.
    pub(crate) fn claim(&self, age_s: u64) -> Claim {
        let accusers = self
            .suspicion
            .as_ref()
            .map_or(Vec::new(), |s| s.accusers().to_vec());
        Claim::About {
            member: self.member.clone(),
            born: self.born,
            accusers,
            age_s,
        }
    }
}

/// One that is remembered no more, so that old news does not bring it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) incarnation: Incarnation,
    pub(crate) forget_at: Time,
}

/// All that is known.
#[derive(Debug)]
pub(crate) struct Table {
    me: NodeId,
    records: BTreeMap<NodeId, Record>,
    tombstones: BTreeMap<NodeId, Tombstone>,
    names: BTreeSet<(Arc<str>, NodeId)>,
    /// Alive and suspect, without this node.
    living: Vec<NodeId>,
    /// Dead, to be asked again; those who left are not.
    dead: Vec<NodeId>,
    /// Dead, departed and forgotten, by when they are to be forgotten altogether.
    ends: BTreeSet<(Time, NodeId)>,
    digest: u64,
    buckets: Box<[u64; BUCKETS]>,
}

impl Table {
    pub(crate) fn new(me: Member) -> Self {
        let mut table = Self {
            me: me.id,
            records: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            names: BTreeSet::new(),
            living: Vec::new(),
            dead: Vec::new(),
            ends: BTreeSet::new(),
            digest: 0,
            buckets: Box::new([0; BUCKETS]),
        };
        let born = me.incarnation;
        table.put(Record::new(me, born));
        table
    }

    pub(crate) fn get(&self, id: NodeId) -> Option<&Record> {
        self.records.get(&id)
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    pub(crate) fn tombstone(&self, id: NodeId) -> Option<Tombstone> {
        self.tombstones.get(&id).copied()
    }

    pub(crate) fn tombstones(&self) -> impl Iterator<Item = (NodeId, Tombstone)> {
        self.tombstones.iter().map(|(&id, &stone)| (id, stone))
    }

    /// The others that are alive or suspect.
    pub(crate) fn living(&self) -> &[NodeId] {
        &self.living
    }

    pub(crate) fn dead(&self) -> &[NodeId] {
        &self.dead
    }

    /// The living that are suspected. O(n).
    pub(crate) fn suspects(&self) -> Vec<NodeId> {
        let living = self.living.iter().copied();
        living.filter(|id| self.is_suspect(*id)).collect()
    }

    /// This node and the living others.
    pub(crate) fn size(&self) -> usize {
        self.living.len() + 1
    }

    /// All that have a record, this node included.
    pub(crate) fn known(&self) -> usize {
        self.records.len()
    }

    /// Adds or replaces what is known of one member.
    pub(crate) fn put(&mut self, mut record: Record) {
        let id = record.member.id;
        if let Some(old) = self.take(id) {
            record.rtt = old.rtt;
        }
        self.names.insert((Arc::clone(&record.member.name), id));
        self.toggle(id, record.rank(), true);
        if let Some(list) = self.list(id, record.member.state) {
            record.place = list.len();
            list.push(id);
        }
        if let Some(end) = record.forget_at {
            self.ends.insert((end, id));
        }
        self.records.insert(id, record);
    }

    /// What was learned of `id`'s answers, to learn more.
    pub(crate) fn rtt(&mut self, id: NodeId) -> Option<&mut Rtt> {
        self.records.get_mut(&id).map(|record| &mut record.rtt)
    }

    pub(crate) fn suspicion(&mut self, id: NodeId) -> Option<&mut Suspicion> {
        self.records.get_mut(&id)?.suspicion.as_mut()
    }

    /// Moves the moment at which `id` is to be forgotten forward, never back.
    pub(crate) fn forget_sooner(&mut self, id: NodeId, end: Time) {
        let held = match self.records.get_mut(&id) {
            Some(record) => record.forget_at.as_mut(),
            None => self
                .tombstones
                .get_mut(&id)
                .map(|stone| &mut stone.forget_at),
        };
        if let Some(held) = held
            && end < *held
        {
            self.ends.remove(&(*held, id));
            *held = end;
            self.ends.insert((end, id));
        }
    }

    /// Removes a member, without a trace.
    pub(crate) fn take(&mut self, id: NodeId) -> Option<Record> {
        let record = self.records.remove(&id)?;
        self.toggle(id, record.rank(), false);
        self.names.remove(&(Arc::clone(&record.member.name), id));
        if let Some(end) = record.forget_at {
            self.ends.remove(&(end, id));
        }
        let place = record.place;
        if let Some(list) = self.list(id, record.member.state) {
            list.swap_remove(place);
            if let Some(&moved) = list.get(place) {
                let moved = self
                    .records
                    .get_mut(&moved)
                    .expect("whoever is listed has a record");
                moved.place = place;
            }
        }
        Some(record)
    }

    /// Remembers that `id` is to be remembered no more.
    pub(crate) fn bury(&mut self, id: NodeId, stone: Tombstone) {
        self.unbury(id);
        self.toggle(id, (stone.incarnation, FORGOTTEN), true);
        self.ends.insert((stone.forget_at, id));
        self.tombstones.insert(id, stone);
    }

    /// Removes a tombstone.
    pub(crate) fn unbury(&mut self, id: NodeId) {
        if let Some(stone) = self.tombstones.remove(&id) {
            self.toggle(id, (stone.incarnation, FORGOTTEN), false);
            self.ends.remove(&(stone.forget_at, id));
        }
    }

    /// Who is to be forgotten altogether first, and when.
    pub(crate) fn first_end(&self) -> Option<(Time, NodeId)> {
        self.ends.first().copied()
    }

    /// How many are remembered only to be forgotten one day.
    pub(crate) fn remembered(&self) -> usize {
        self.ends.len()
    }

    /// All that bear `name`, living or not.
    pub(crate) fn named(&self, name: &Arc<str>) -> Vec<NodeId> {
        let from = (Arc::clone(name), NodeId(0));
        self.names
            .range(from..)
            .take_while(|(held, _)| held == name)
            .map(|&(_, id)| id)
            .collect()
    }

    /// Up to `count` different living others, without `except`; the alive before suspects.
    pub(crate) fn random(&self, rng: &mut Rng, count: usize, except: NodeId) -> Vec<NodeId> {
        let mut chosen: Vec<NodeId> = Vec::with_capacity(count);
        let total = self.living.len();
        if total <= count {
            chosen.extend(self.living.iter().filter(|&&id| id != except));
            return chosen;
        }
        for attempt in 0..count * 8 {
            let at = rng.below(total as u64);
            let id = self.living[usize::try_from(at).expect("below a length")];
            let patient = attempt < count * 4;
            if id == except || chosen.contains(&id) || (patient && self.is_suspect(id)) {
                continue;
            }
            chosen.push(id);
            if chosen.len() == count {
                break;
            }
        }
        chosen
    }

    fn is_suspect(&self, id: NodeId) -> bool {
        self.get(id)
            .is_some_and(|record| record.suspicion.is_some())
    }

    /// The hash of everything.
    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    /// The hashes of the parts.
    pub(crate) fn buckets(&self) -> Box<[u32; BUCKETS]> {
        let mut parts = Box::new([0; BUCKETS]);
        for (part, &whole) in parts.iter_mut().zip(self.buckets.iter()) {
            *part = u32::try_from(whole >> 32).expect("the upper half of 64 bits");
        }
        parts
    }

    fn list(&mut self, id: NodeId, state: State) -> Option<&mut Vec<NodeId>> {
        match state {
            _ if id == self.me => None,
            State::Alive | State::Suspect => Some(&mut self.living),
            State::Dead => Some(&mut self.dead),
            State::Left => None,
        }
    }

    fn toggle(&mut self, id: NodeId, rank: Rank, add: bool) {
        let mut bytes = [0; 17];
        bytes[..8].copy_from_slice(&id.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&rank.0.0.to_le_bytes());
        bytes[16] = rank.1;
        let hash = hash64(&bytes);
        let bucket = &mut self.buckets[bucket(id)];
        for sum in [bucket, &mut self.digest] {
            *sum = if add {
                sum.wrapping_add(hash)
            } else {
                sum.wrapping_sub(hash)
            };
        }
    }
}

/// Which part `id` belongs to.
pub(crate) fn bucket(id: NodeId) -> usize {
    // The upper six bits of the hash.
    usize::try_from(hash64(&id.0.to_le_bytes()) >> 58).expect("below 64")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::member;

    fn record(id: u64, state: State) -> Record {
        let mut member = member(id);
        member.state = state;
        let born = member.incarnation;
        Record::new(member, born)
    }

    #[test]
    fn the_digest_depends_on_what_is_known_and_not_on_how_it_was_learned() {
        let (mut a, mut b) = (Table::new(member(1)), Table::new(member(1)));
        let empty = a.digest();
        for id in 2..200 {
            a.put(record(id, State::Alive));
        }
        for id in (2..200).rev() {
            b.put(record(id, State::Dead));
            assert_ne!(a.digest(), b.digest());
            b.put(record(id, State::Alive));
        }
        assert_eq!((a.digest(), a.buckets()), (b.digest(), b.buckets()));
        for id in 2..200 {
            a.take(NodeId(id));
        }
        assert_eq!((a.digest(), a.size()), (empty, 1));
    }

    #[test]
    fn a_change_shows_in_one_part_only() {
        let mut table = Table::new(member(1));
        let before = table.buckets();
        table.put(record(2, State::Alive));
        let after = table.buckets();
        let changed: Vec<usize> = (0..BUCKETS).filter(|&i| before[i] != after[i]).collect();
        assert_eq!(changed, [bucket(NodeId(2))]);
    }

    #[test]
    fn random_members_are_different_and_alive_before_suspect() {
        let mut table = Table::new(member(1));
        for id in 2..12 {
            table.put(record(id, State::Alive));
        }
        let mut rng = Rng::new(1);
        for _ in 0..100 {
            let chosen = table.random(&mut rng, 3, NodeId(5));
            let set: BTreeSet<NodeId> = chosen.iter().copied().collect();
            assert_eq!((set.len(), set.contains(&NodeId(5))), (3, false));
        }
        assert_eq!(table.random(&mut rng, 20, NodeId(5)).len(), 9);
    }

    #[test]
    fn lists_hold_each_member_once_whatever_its_way() {
        let mut table = Table::new(member(1));
        let mut rng = Rng::new(2);
        let states = [State::Alive, State::Suspect, State::Dead, State::Left];
        for _ in 0..5_000 {
            let id = 2 + rng.below(20);
            if rng.chance(20) {
                table.take(NodeId(id));
            } else {
                let state = usize::try_from(rng.below(4)).expect("below four");
                table.put(record(id, states[state]));
            }
            let count = |of: fn(State) -> bool| {
                let others = table.records().filter(|r| r.member.id != NodeId(1));
                others.filter(|r| of(r.member.state)).count()
            };
            assert_eq!(table.living().len(), count(|s| s <= State::Suspect));
            assert_eq!(table.dead().len(), count(|s| s == State::Dead));
        }
    }
}
