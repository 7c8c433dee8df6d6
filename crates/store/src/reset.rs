//! The end of an exchange: what the sender has seen is taken over, and what it has dropped is dropped.
//!
//! Below a floor contexts are gone, so entries can't tell what they replaced. There the sender names
//! all that lives: what it has seen and does not name was superseded. The same goes for copies of
//! what it has seen: whoever was cut off may have moved an entry that was superseded elsewhere.
//! Does not know how an exchange is sent.

use std::collections::{BTreeMap, BTreeSet};

use base::{NodeId, Origin};

use crate::claims::Claims;
use crate::message::{Live, Marker};
use crate::table::At;
use crate::{Seen, Slot, Store, record};

impl Store {
    /// All that lives here, for who has missed what was forgotten.
    pub(crate) fn all_live(&self) -> Live {
        Live {
            entries: self.live_entries(),
            originals: self.live_originals(),
        }
    }

    fn live_entries(&self) -> Vec<(Origin, Vec<u64>)> {
        let mut lists = Vec::new();
        for (slot, known) in (0..).zip(&self.known) {
            let live = self.table.of_origin(slot);
            let mut seqs: Vec<u64> = live.map(|at| self.table.dot(at).1).collect();
            seqs.reverse();
            if !seqs.is_empty() {
                lists.push((known.origin, seqs));
            }
        }
        lists
    }

    fn live_originals(&self) -> Vec<(Origin, Vec<u64>)> {
        let mut lists: BTreeMap<Origin, Vec<u64>> = BTreeMap::new();
        for copy in self.contexts.values().filter_map(|c| c.copy_of) {
            let (origin, seq) = self.named(copy.original);
            lists.entry(origin).or_default().push(seq);
        }
        lists.values_mut().for_each(|seqs| seqs.sort_unstable());
        lists.into_iter().collect()
    }

    /// Every part of an exchange is here: what the sender has seen is seen here too.
    pub(crate) fn complete(&mut self, from: NodeId, marker: Marker) {
        self.counters.exchanges += 1;
        let has = self.by_slot(&marker.vector);
        for (&slot, theirs) in &has.seen {
            self.learn(slot, theirs);
        }
        if let (true, Some(&slot)) = (self.batch.learned.is_empty(), has.seen.keys().next()) {
            // Nothing is new; what waits for this exchange goes its way all the same.
            self.batch.learned.push((slot, 1, 0));
        }
        if let Some(live) = marker.live {
            self.reset(&has.seen, live);
        }
        for (origin, floor) in marker.floors {
            self.raise_floor(origin, floor);
        }
        for (origin, all) in marker.vector.retired {
            self.adopt_retired(origin, all);
        }
        let claims = Claims::of(&has.seen, &mut self.row);
        self.peer_claims(from, claims);
        self.met(from);
    }

    /// All of this is seen here too.
    fn learn(&mut self, slot: Slot, theirs: &Seen) {
        let known = &mut self.known[usize::from(slot)];
        let prefix = known.seen.prefix();
        if theirs.last() <= prefix && known.written >= prefix {
            // In most exchanges this holds of nearly all origins.
            return;
        }
        known.seen.join(theirs);
        self.saw(slot);
        let ranges = [(1, theirs.prefix())];
        for &(first, last) in ranges.iter().chain(theirs.beyond()) {
            self.batch.learned.push((slot, first, last));
            self.note_gone(slot, first, last);
        }
    }

    /// Drops whatever the sender has seen and does not hold any more, and copies of that.
    fn reset(&mut self, theirs: &BTreeMap<Slot, Seen>, live: Live) {
        self.counters.resets += 1;
        let entries = self.lists_by_slot(live.entries);
        let originals = self.lists_by_slot(live.originals);
        let is_in = |lists: &BTreeMap<Slot, Vec<u64>>, (slot, seq): (Slot, u64)| {
            let list = lists.get(&slot).map_or(&[][..], Vec::as_slice);
            list.binary_search(&seq).is_ok()
        };
        let mut gone: BTreeSet<At> = BTreeSet::new();
        for (&slot, seen) in theirs {
            let of_origin = self.table.of_origin(slot);
            gone.extend(of_origin.filter(|&at| {
                let dot = self.table.dot(at);
                seen.has(dot.1) && !is_in(&entries, dot)
            }));
        }
        for (&at, context) in &self.contexts {
            let Some(copy) = context.copy_of else {
                continue;
            };
            let (slot, seq) = copy.original;
            let is_seen = theirs.get(&slot).is_some_and(|seen| seen.has(seq));
            let lives = is_in(&originals, copy.original) || is_in(&entries, copy.original);
            if is_seen && !lives && !is_in(&entries, self.table.dot(at)) {
                gone.insert(at);
            }
        }
        gone.into_iter().for_each(|at| self.drop_entry(at));
    }

    fn lists_by_slot(&mut self, lists: Vec<(Origin, Vec<u64>)>) -> BTreeMap<Slot, Vec<u64>> {
        let named = lists.into_iter();
        named
            .map(|(origin, seqs)| (self.slot(origin), seqs))
            .collect()
    }

    pub(crate) fn raise_floor(&mut self, origin: Origin, floor: u64) {
        let slot = usize::from(self.slot(origin));
        let known = &mut self.known[slot];
        if floor > known.floor {
            known.floor = floor;
            self.forgotten = None;
            let (place, content) = record::floor(origin, floor);
            self.batch.writes.insert(place, Some(content));
        }
    }
}
