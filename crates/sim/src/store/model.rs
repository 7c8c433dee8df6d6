//! The reference: every dot ever written, with its causal past, and what each host knows of them.
//!
//! Built from what was asked and from what the nodes show, never from the core's contexts. A dot's
//! past is what its writer held under the key when it wrote, and the pasts of that. From this it
//! follows what a node that has seen a set of dots must show: those that no other of the set has
//! in its past, less deletes that were collected.

use std::collections::BTreeMap;

use base::{Origin, Version};

use super::promises::Promise;
use super::view::{Held, View};
use crate::cluster::Host;

/// A set of dots, by their numbers in the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn insert(&mut self, n: usize) {
        if self.0.len() <= n / 64 {
            self.0.resize(n / 64 + 1, 0);
        }
        self.0[n / 64] |= 1 << (n % 64);
    }

    pub(crate) fn has(&self, n: usize) -> bool {
        self.0
            .get(n / 64)
            .is_some_and(|word| word >> (n % 64) & 1 == 1)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let words = self.0.iter().enumerate();
        words.flat_map(|(at, &word)| {
            (0..64).filter_map(move |bit| (word >> bit & 1 == 1).then_some(at * 64 + bit))
        })
    }

    /// The first that is here and not in `other`.
    pub(crate) fn first_beyond(&self, other: &Self) -> Option<usize> {
        for (at, &word) in self.0.iter().enumerate() {
            let left = word & !other.0.get(at).copied().unwrap_or(0);
            if left != 0 {
                return Some(at * 64 + left.trailing_zeros() as usize);
            }
        }
        None
    }

    /// The first that is in both.
    pub(crate) fn first_shared(&self, other: &Self) -> Option<usize> {
        for (at, (mine, theirs)) in self.0.iter().zip(&other.0).enumerate() {
            if mine & theirs != 0 {
                return Some(at * 64 + (mine & theirs).trailing_zeros() as usize);
            }
        }
        None
    }
}

/// One write.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) dot: Version,
    pub(crate) key: Vec<u8>,
    /// `None` for a delete.
    pub(crate) value: Option<Vec<u8>>,
    /// Everything that it supersedes.
    past: Bits,
    /// The write that it carries on under another dot, and after how many moves.
    copy_of: Option<(usize, u64)>,
    pub(crate) by: Host,
    pub(crate) is_confirmed: bool,
}

/// A write asked for that nobody has seen yet.
#[derive(Clone, Debug)]
struct Asked {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    past: Bits,
}

/// What one host knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mind {
    pub(crate) view: View,
    /// All dots that it has seen, or what supersedes them.
    pub(crate) seen: Bits,
    /// All that those supersede.
    pub(crate) covered: Bits,
    held: Bits,
    /// Writes on their way to the disk, of all lives.
    asked: BTreeMap<Version, Asked>,
    /// What the disk has seen or knows to be superseded, while nobody touches the disk.
    pub(crate) durable: Bits,
    /// What any disk of this host has ever seen.
    ever: Bits,
}

const fn least(dot: Version) -> Version {
    Version {
        origin: dot.origin,
        seq: 0,
    }
}

/// A promise and how it was broken.
pub(crate) type Breach = (Promise, String);

/// All writes and all hosts.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) written: Vec<Written>,
    numbers: BTreeMap<(Origin, u64), usize>,
    deletes: Bits,
    pub(crate) minds: Vec<Mind>,
    /// Who was first to write under an origin.
    owners: BTreeMap<Origin, Host>,
    /// What was ever on any disk.
    on_disk: Bits,
}

impl Model {
    pub(crate) fn new(hosts: u32) -> Self {
        Self {
            written: Vec::new(),
            numbers: BTreeMap::new(),
            deletes: Bits::default(),
            minds: vec![Mind::default(); hosts as usize],
            owners: BTreeMap::new(),
            on_disk: Bits::default(),
        }
    }

    /// Somebody has asked for a write; `last` is the last write that the node names afterwards.
    pub(crate) fn asked(
        &mut self,
        host: Host,
        key: &[u8],
        value: Option<&[u8]>,
        last: Option<Version>,
    ) -> Result<(), Breach> {
        let mind = &mut self.minds[host.index()];
        let Some(dot) = last.filter(|_| mind.view.last != last) else {
            return Ok(());
        };
        let mut past = Bits::default();
        for held in mind.view.held.iter().filter(|held| held.key == key) {
            if let Some(&n) = self.numbers.get(&(held.dot.origin, held.dot.seq)) {
                past.insert(n);
                past.add(&self.written[n].past);
            }
        }
        for (earlier, asked) in mind.asked.range(least(dot)..dot) {
            if asked.key == key && earlier.origin == dot.origin {
                past.add(&asked.past);
            }
        }
        let (key, value) = (key.to_vec(), value.map(<[u8]>::to_vec));
        let twin = mind.asked.insert(dot, Asked { key, value, past });
        if twin.is_some() || self.numbers.contains_key(&(dot.origin, dot.seq)) {
            let how = format!("{dot} names one more write");
            return Err((Promise::NoDotUsedTwice, how));
        }
        Ok(())
    }

    /// A process starts with what its disk holds.
    pub(crate) fn booted(&mut self, host: Host, view: View) -> Result<(), Breach> {
        let before = std::mem::take(&mut self.minds[host.index()]);
        self.minds[host.index()] = Mind {
            asked: before.asked,
            durable: before.durable,
            ever: before.ever,
            ..Mind::default()
        };
        self.looked(host, view)
    }

    /// A disk was lost, rolled back or overwritten: nothing is expected of it.
    pub(crate) fn disk_touched(&mut self, host: Host) {
        self.minds[host.index()].durable = Bits::default();
    }

    /// What the disk holds now, read as a boot would read it.
    pub(crate) fn on_disk(&mut self, host: Host, view: &View) -> Result<(), Breach> {
        let held = self.entries(host, view)?;
        let mut seen = self.seen_by(view);
        let covered = self.covered_by(&seen);
        self.honest(&seen, &covered, &held, "the disk").map_err(
            |(promise, how)| match promise {
                Promise::PrefixHonesty => (Promise::ClaimsAreOnDisk, how),
                other => (other, how),
            },
        )?;
        seen.add(&covered);
        let mind = &mut self.minds[host.index()];
        if let Some(n) = mind.durable.first_beyond(&seen) {
            let how = format!("{} was on this disk and is not", self.name(n));
            return Err((Promise::NoLostWrite, how));
        }
        mind.ever.add(&seen);
        self.on_disk.add(&seen);
        mind.durable = seen;
        Ok(())
    }

    /// What a host claims to have seen must be on its disk.
    pub(crate) fn claimed(&self, host: Host, claim: &View) -> Result<(), Breach> {
        let mind = &self.minds[host.index()];
        let claimed = self.seen_by(claim);
        match claimed.first_beyond(&mind.durable) {
            Some(n) => Err((
                Promise::ClaimsAreOnDisk,
                format!("{} is claimed and is not on disk", self.name(n)),
            )),
            None => Ok(()),
        }
    }

    /// A node says that a write is on its disk and on another.
    pub(crate) fn confirmed(
        &mut self,
        host: Host,
        dot: Version,
        is_alone: bool,
    ) -> Result<(), Breach> {
        let Some(&n) = self.numbers.get(&(dot.origin, dot.seq)) else {
            return Ok(());
        };
        let mind = &self.minds[host.index()];
        let here = mind.durable.has(n);
        let others = self.minds.iter().enumerate();
        let elsewhere = others
            .filter(|(at, _)| *at != host.index())
            .any(|(_, mind)| mind.ever.has(n));
        self.written[n].is_confirmed = true;
        // Whoever knows nobody can wait for nobody.
        if here && (elsewhere || is_alone) {
            return Ok(());
        }
        let how = format!(
            "{} was confirmed; on the own disk: {here}, on another: {elsewhere}",
            self.name(n)
        );
        Err((Promise::NoLostWrite, how))
    }

    /// What a host shows after a step.
    pub(crate) fn looked(&mut self, host: Host, view: View) -> Result<(), Breach> {
        if self.minds[host.index()].view == view {
            return Ok(());
        }
        if let Some(last) = view.last {
            self.owners.entry(last.origin).or_insert(host);
        }
        let held = self.entries(host, &view)?;
        let mind = &self.minds[host.index()];
        let seen = self.seen_by(&view);
        if let Some(n) = mind.seen.first_beyond(&seen) {
            let how = format!("{} was seen and is unseen again", self.name(n));
            return Err((Promise::PrefixHonesty, how));
        }
        let covered = self.covered_by(&seen);
        self.honest(&seen, &covered, &held, "the node")?;
        for n in seen.iter().filter(|&n| !mind.seen.has(n)) {
            if self.written[n].by != host && !self.on_disk.has(n) {
                let how = format!("{} was heard and is on no disk", self.name(n));
                return Err((Promise::ClaimsAreOnDisk, how));
            }
        }
        let mind = &mut self.minds[host.index()];
        (mind.view, mind.seen, mind.covered, mind.held) = (view, seen, covered, held);
        Ok(())
    }

    /// Checks every entry shown, and takes in those that this host has just written.
    fn entries(&mut self, host: Host, view: &View) -> Result<Bits, Breach> {
        let mut held = Bits::default();
        // One step may write several: they were written in the order of their numbers.
        let is_new = |h: &&Held| !self.numbers.contains_key(&(h.dot.origin, h.dot.seq));
        let mut fresh: Vec<&Held> = view.held.iter().filter(is_new).collect();
        fresh.sort_by_key(|entry| entry.dot);
        for entry in fresh {
            self.write(host, entry)?;
        }
        for (at, entry) in view.held.iter().enumerate() {
            let twin =
                |other: &Held| other.key == entry.key && other.dot.origin == entry.dot.origin;
            if at > 0 && twin(&view.held[at - 1]) {
                let how = format!("{:?} and {entry:?}", view.held[at - 1]);
                return Err((Promise::SiblingsBounded, how));
            }
            let n = self.numbers[&(entry.dot.origin, entry.dot.seq)];
            let written = &self.written[n];
            if written.key != entry.key || written.value != entry.value {
                let how = format!("{entry:?} is also {}", self.name(n));
                return Err((Promise::NoDotUsedTwice, how));
            }
            held.insert(n);
        }
        Ok(held)
    }

    /// A dot that nobody has shown before: this host wrote it, because it was asked to or because
    /// it carries a write on under another origin. Or its disk is a copy of the disk of another,
    /// who did not live to show what it had written.
    fn write(&mut self, host: Host, entry: &Held) -> Result<(), Breach> {
        let dot = entry.dot;
        let asked = self.take_asked(host, dot);
        let copy_of = entry.copy_of.and_then(|(dot, times)| {
            let n = *self.numbers.get(&(dot.origin, dot.seq))?;
            let written = &self.written[n];
            let is_same = written.key == entry.key && written.value == entry.value;
            is_same.then_some((n, times))
        });
        let asked_here = asked.as_ref().map(|(_, asked)| asked);
        let past = self.past_of_new(entry, asked_here, copy_of.map(|(n, _)| n))?;
        let owner = *self.owners.get(&dot.origin).unwrap_or(&host);
        let by = asked.as_ref().map_or(owner, |(by, _)| *by);
        self.is_next(by, entry)?;
        let n = self.written.len();
        self.numbers.insert((dot.origin, dot.seq), n);
        if entry.value.is_none() {
            self.deletes.insert(n);
        }
        self.written.push(Written {
            dot,
            key: entry.key.clone(),
            value: entry.value.clone(),
            past,
            copy_of: copy_of.filter(|_| asked.is_none()),
            by,
            is_confirmed: false,
        });
        self.bind_copies(n);
        Ok(())
    }

    /// What a new entry supersedes: what its writer saw, or what the entry that it copies does.
    fn past_of_new(
        &self,
        entry: &Held,
        asked: Option<&Asked>,
        original: Option<usize>,
    ) -> Result<Bits, Breach> {
        match (asked, original) {
            (Some(asked), _) if asked.key == entry.key && asked.value == entry.value => {
                Ok(self.past_of(asked, entry.dot))
            }
            (Some(_), _) => {
                let how = format!("{entry:?} is not what was asked for");
                Err((Promise::NoDotUsedTwice, how))
            }
            (None, Some(original)) => {
                let mut past = self.written[original].past.clone();
                past.insert(original);
                Ok(past)
            }
            (None, None) => {
                let how = format!("nobody asked for {entry:?}");
                Err((Promise::NothingInvented, how))
            }
        }
    }

    /// What was asked for under this dot, and of whom: of this host, if it was.
    fn take_asked(&mut self, host: Host, dot: Version) -> Option<(Host, Asked)> {
        let others = (0..).map(Host).take(self.minds.len());
        let mut hosts = std::iter::once(host).chain(others);
        hosts.find_map(|by| Some((by, self.minds[by.index()].asked.remove(&dot)?)))
    }

    /// All of one origin under one key is in a line, and a write has what it saw in its past.
    fn past_of(&self, asked: &Asked, dot: Version) -> Bits {
        let mut past = asked.past.clone();
        for (_, &n) in self.numbers.range((dot.origin, 0)..(dot.origin, dot.seq)) {
            if self.written[n].key == asked.key {
                past.insert(n);
                past.add(&self.written[n].past);
            }
        }
        past
    }

    /// Whoever supersedes a write supersedes its copies; of two copies the one that was moved more
    /// often stays.
    fn bind_copies(&mut self, n: usize) {
        for m in 0..n {
            let (new, old) = (&self.written[n], &self.written[m]);
            match (new.copy_of, old.copy_of) {
                (Some((of, times)), Some((also, before))) if of == also => {
                    let new_wins = (times, new.dot) > (before, old.dot);
                    let (winner, loser) = if new_wins { (n, m) } else { (m, n) };
                    self.written[winner].past.insert(loser);
                }
                (Some((of, _)), _) if old.past.has(of) => self.written[m].past.insert(n),
                (_, Some((of, _))) if new.past.has(of) => self.written[n].past.insert(m),
                _ => {}
            }
        }
    }

    /// A writer's numbers only grow, and nobody else writes under them.
    fn is_next(&self, host: Host, entry: &Held) -> Result<(), Breach> {
        let origin = entry.dot.origin;
        let all = || self.numbers.range((origin, 0)..=(origin, u64::MAX));
        let mut strangers = all().filter(|(_, n)| self.written[**n].by != host);
        if let Some((_, &n)) = strangers.next() {
            let how = format!("{entry:?} was written under the origin of {}", self.name(n));
            return Err((Promise::FreshOriginAfterRollback, how));
        }
        Ok(())
    }

    /// All dots that a digest names.
    fn seen_by(&self, view: &View) -> Bits {
        let mut seen = Bits::default();
        let mut take = |origin: Origin, first: u64, last: u64| {
            for (_, &n) in self.numbers.range((origin, first)..=(origin, last)) {
                seen.insert(n);
            }
        };
        for (&origin, &last) in view.prefix.iter().chain(&view.retired) {
            take(origin, 0, last);
        }
        for &(origin, first, last) in &view.beyond {
            take(origin, first, last);
        }
        seen
    }

    fn covered_by(&self, seen: &Bits) -> Bits {
        let mut covered = Bits::default();
        for n in seen.iter() {
            covered.add(&self.written[n].past);
        }
        covered
    }

    fn honest(&self, seen: &Bits, covered: &Bits, held: &Bits, who: &str) -> Result<(), Breach> {
        if let Some(n) = held.first_shared(covered) {
            let over = seen.iter().find(|&m| self.written[m].past.has(n));
            let over = over.map(|m| self.name(m)).unwrap_or_default();
            let how = format!("{who} holds {} and has seen {over}", self.name(n));
            return Err((Promise::NoResurrection, how));
        }
        if let Some(n) = held.first_beyond(seen) {
            let how = format!("{who} holds {} and has not seen it", self.name(n));
            return Err((Promise::PrefixHonesty, how));
        }
        let mut enough = held.clone();
        enough.add(covered);
        enough.add(&self.deletes);
        match seen.first_beyond(&enough) {
            Some(n) => Err((
                Promise::PrefixHonesty,
                format!("{who} has seen {} and holds nothing of it", self.name(n)),
            )),
            None => Ok(()),
        }
    }

    /// A write in words.
    pub(crate) fn name(&self, n: usize) -> String {
        let write = &self.written[n];
        let key = String::from_utf8_lossy(&write.key);
        let value = write.value.as_ref();
        let value = value.map_or("nothing".into(), |v| {
            String::from_utf8_lossy(v).into_owned()
        });
        format!("{} ({key} = {value}, by host {})", write.dot, write.by.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Host = Host(0);
    const BOB: Host = Host(1);
    const A: Origin = Origin(1);
    const B: Origin = Origin(2);

    fn held(origin: Origin, seq: u64, value: &str) -> Held {
        Held {
            key: b"web".to_vec(),
            dot: Version { origin, seq },
            value: (!value.is_empty()).then(|| value.as_bytes().to_vec()),
            context: 0,
            copy_of: None,
        }
    }

    fn view(me: Origin, prefix: &[(Origin, u64)], held: &[Held]) -> View {
        let mine = prefix.iter().find(|(origin, _)| *origin == me);
        View {
            last: mine.map(|&(origin, seq)| Version { origin, seq }),
            held: held.to_vec(),
            prefix: prefix.iter().copied().collect(),
            ..View::default()
        }
    }

    /// Alice has written `up`, then `down` over it; both are on her disk.
    fn alice_wrote_twice() -> Model {
        let mut model = Model::new(2);
        for (seq, value) in [(1, "up"), (2, "down")] {
            let shown = view(A, &[(A, seq)], &[held(A, seq, value)]);
            model
                .asked(ALICE, b"web", Some(value.as_bytes()), shown.last)
                .unwrap();
            model.looked(ALICE, shown.clone()).unwrap();
            model.on_disk(ALICE, &shown).unwrap();
        }
        model
    }

    fn breach(result: Result<(), Breach>) -> Option<Promise> {
        result.err().map(|(promise, _)| promise)
    }

    #[test]
    fn a_superseded_write_never_shows_again() {
        let mut model = alice_wrote_twice();
        let old = view(B, &[(A, 2)], &[held(A, 1, "up")]);
        assert_eq!(
            breach(model.looked(BOB, old)),
            Some(Promise::NoResurrection)
        );
    }

    #[test]
    fn a_claim_without_anything_held_is_dishonest_unless_a_delete_was_collected() {
        let mut model = alice_wrote_twice();
        let empty = view(B, &[(A, 2)], &[]);
        let broken = breach(model.clone().looked(BOB, empty));
        assert_eq!(broken, Some(Promise::PrefixHonesty));
        let last = Some(Version { origin: A, seq: 3 });
        model.asked(ALICE, b"web", None, last).unwrap();
        let deleted = view(A, &[(A, 3)], &[held(A, 3, "")]);
        model.looked(ALICE, deleted.clone()).unwrap();
        model.on_disk(ALICE, &deleted).unwrap();
        assert_eq!(breach(model.looked(BOB, view(B, &[(A, 3)], &[]))), None);
    }

    #[test]
    fn a_write_that_nobody_asked_for_is_invented() {
        let mut model = alice_wrote_twice();
        let strange = view(A, &[(A, 3)], &[held(A, 3, "sideways")]);
        let broken = breach(model.clone().looked(ALICE, strange));
        assert_eq!(broken, Some(Promise::NothingInvented));
        let copied = view(B, &[(A, 3)], &[held(A, 3, "down")]);
        assert_eq!(
            breach(model.looked(BOB, copied)),
            Some(Promise::NothingInvented)
        );
    }

    #[test]
    fn a_dot_with_another_value_was_used_twice() {
        let mut model = alice_wrote_twice();
        let other = view(B, &[(A, 2)], &[held(A, 2, "up")]);
        assert_eq!(
            breach(model.looked(BOB, other)),
            Some(Promise::NoDotUsedTwice)
        );
    }

    #[test]
    fn what_is_heard_is_on_a_disk() {
        let mut model = alice_wrote_twice();
        let last = Some(Version { origin: A, seq: 3 });
        model.asked(ALICE, b"web", Some(b"up"), last).unwrap();
        let third = view(A, &[(A, 3)], &[held(A, 3, "up")]);
        model.looked(ALICE, third).unwrap();
        let heard = view(B, &[(A, 3)], &[held(A, 3, "up")]);
        let broken = breach(model.clone().looked(BOB, heard.clone()));
        assert_eq!(broken, Some(Promise::ClaimsAreOnDisk));
        model
            .on_disk(ALICE, &view(A, &[(A, 3)], &[held(A, 3, "up")]))
            .unwrap();
        assert_eq!(breach(model.looked(BOB, heard)), None);
    }

    #[test]
    fn a_disk_that_forgets_loses_writes_unless_somebody_touched_it() {
        let mut model = alice_wrote_twice();
        let older = view(A, &[(A, 1)], &[held(A, 1, "up")]);
        let broken = breach(model.clone().on_disk(ALICE, &older));
        assert_eq!(broken, Some(Promise::NoLostWrite));
        model.disk_touched(ALICE);
        assert_eq!(breach(model.on_disk(ALICE, &older)), None);
    }

    #[test]
    fn a_counter_that_went_back_is_seen_at_the_next_write() {
        let mut model = alice_wrote_twice();
        model.disk_touched(ALICE);
        let empty = view(A, &[], &[]);
        model.booted(ALICE, empty).unwrap();
        let last = Some(Version { origin: A, seq: 1 });
        let broken = breach(model.asked(ALICE, b"db", Some(b"up"), last));
        assert_eq!(broken, Some(Promise::NoDotUsedTwice));
    }

    #[test]
    fn a_confirmed_write_is_on_two_disks() {
        let mut model = alice_wrote_twice();
        let dot = Version { origin: A, seq: 2 };
        let broken = breach(model.clone().confirmed(ALICE, dot, false));
        assert_eq!(broken, Some(Promise::NoLostWrite));
        let copy = view(B, &[(A, 2)], &[held(A, 2, "down")]);
        model.looked(BOB, copy.clone()).unwrap();
        model.on_disk(BOB, &copy).unwrap();
        assert_eq!(breach(model.confirmed(ALICE, dot, false)), None);
    }
}
