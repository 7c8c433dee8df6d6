//! What everybody has seen may lose its traces: contexts, deletes, origins.
//!
//! Stable is the least prefix that all members of the frontier claim. Whoever is left out of the
//! frontier, because it is away for long, may miss what was forgotten meanwhile; the floor tells,
//! and its next exchange is a reset.

use std::collections::BTreeMap;
use std::ops::Bound;

use base::{Duration, NodeId, Origin, Time};

use crate::claims::Claims;
use crate::exchange::Peer;
use crate::table::At;
use crate::{Known, Mutation, Seen, Slot, Store, record};

/// How often it is looked at.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// A delete whose traces somebody in the frontier still needs is kept this long at most.
const DELETE_MAX: Duration = Duration::from_hours(1);
/// Entries looked at in one sweep.
const SWEEP: usize = 20_000;
/// Entries that are copied to the own origin in one sweep.
const COPIES: usize = 200;

/// What is stable, and what must be here before its traces go.
#[derive(Clone, Debug)]
pub(crate) struct Barrier {
    stable: Vec<(Slot, u64, At)>,
    wanted: BTreeMap<Slot, Seen>,
}

impl Store {
    /// An origin's node is gone for good.
    pub(crate) fn retire(&mut self, origin: Origin) {
        if !self.has_room(origin) {
            return;
        }
        let slot = self.slot(origin);
        if Some(slot) != self.mine {
            let known = &mut self.known[usize::from(slot)];
            (known.retiring, known.moves) = (true, true);
        }
    }

    pub(crate) fn sweep(&mut self) {
        self.is_settled = false;
        self.clear_contexts_and_deletes();
        self.move_and_close();
    }

    /// Computes what is stable: of each origin what all of the frontier claim. O(n) in all claims,
    /// and so done only when something may be stable, once a sweep.
    fn settle(&mut self) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        for known in &mut self.known {
            (known.stable, known.laggard) = (known.durable.prefix(), self.config.me);
        }
        for id in &self.frontier {
            let claims = self.peers.get(id).map(|peer| &peer.claims);
            for (slot, known) in (0..).zip(&mut self.known) {
                let theirs = claims.map_or(0, |claims| claims.prefix(slot));
                if theirs < known.stable {
                    (known.stable, known.laggard) = (theirs, *id);
                }
            }
        }
    }

    /// Whether all of the frontier claim a write.
    fn is_stable(&mut self, (slot, seq): (Slot, u64)) -> bool {
        let known = &self.known[usize::from(slot)];
        if known.is_closed() {
            return true;
        }
        if !self.is_settled && (known.durable.prefix() < seq || self.lags(known.laggard, slot, seq))
        {
            return false;
        }
        self.settle();
        self.known[usize::from(slot)].stable >= seq
    }

    /// Whether a member of the frontier does not claim a write.
    fn lags(&self, id: NodeId, slot: Slot, seq: u64) -> bool {
        let prefix = |peer: &Peer| peer.claims.prefix(slot);
        self.frontier.contains(&id) && self.peers.get(&id).map_or(0, prefix) < seq
    }

    /// Whether some member of the frontier has claimed nothing yet: then nothing is stable but what
    /// is closed.
    fn is_one_mute(&mut self) -> bool {
        while let Some(id) = self.mute {
            if self
                .peers
                .get(&id)
                .is_none_or(|peer| peer.claims.is_empty())
            {
                return true;
            }
            let after = (Bound::Excluded(id), Bound::Unbounded);
            self.mute = self.frontier.range(after).next().copied();
        }
        false
    }

    /// In two steps: what is stable now waits until all that anybody claims now is here. A copy of
    /// what a delete took away may have been made before its maker saw the delete; it must find
    /// the delete still there.
    fn clear_contexts_and_deletes(&mut self) {
        if let Some(barrier) = self.barrier.take_if(|barrier| {
            let is_here = |(slot, seen): (&Slot, &Seen)| {
                let known = &self.known[usize::from(*slot)];
                known.durable.covers(seen)
            };
            self.staged.is_empty() && barrier.wanted.iter().all(is_here)
        }) {
            for (slot, seq, at) in barrier.stable {
                if self.table.is(at, slot, seq) {
                    self.forget_traces(slot, seq, at, false);
                }
            }
        }
        self.forget_overdue();
        let is_lost = self.barrier.as_ref().is_some_and(|b| self.is_lost(b));
        if is_lost || self.barrier.is_none() {
            self.barrier = self.raise_barrier();
        }
    }

    /// What has kept its traces for as long as anything may.
    fn forget_overdue(&mut self) {
        let late = |since| self.now.since(since) > DELETE_MAX;
        if !late(Time::ZERO) {
            return;
        }
        let overdue: Vec<(Slot, u64, At)> = self
            .waiting
            .iter()
            .filter(|&(_, &(_, since))| late(since))
            .map(|(&(slot, seq), &(at, _))| (slot, seq, at))
            .take(SWEEP)
            .collect();
        for (slot, seq, at) in overdue {
            if self.table.is(at, slot, seq) {
                self.forget_traces(slot, seq, at, true);
            }
        }
    }

    /// Whether something is waited for that nobody claims any more, because a disk went back in
    /// time: it never comes.
    fn is_lost(&self, barrier: &Barrier) -> bool {
        barrier.wanted.iter().any(|(&slot, wanted)| {
            let mut left = self.known[usize::from(slot)].durable.clone();
            if left.covers(wanted) {
                return false;
            }
            let peers = self.frontier.iter().filter_map(|id| self.peers.get(id));
            for seen in peers.filter_map(|peer| peer.claims.get(slot)) {
                left.join(&seen);
            }
            !left.covers(wanted)
        })
    }

    /// What may be forgotten once everything that is claimed by now is here.
    fn raise_barrier(&mut self) -> Option<Barrier> {
        let stable = self.stable_waiting();
        (!stable.is_empty()).then(|| Barrier {
            stable,
            wanted: self.all_wanted(),
        })
    }

    /// What waits and is stable, in the order of the dots. Of each origin the least is looked at
    /// first: mostly it is not stable, and then nothing of that origin is.
    fn stable_waiting(&mut self) -> Vec<(Slot, u64, At)> {
        let mut stable = Vec::new();
        if self.is_one_mute() && !self.known.iter().any(Known::is_closed) {
            return stable;
        }
        let mut next = Some(0);
        while let Some(from) = next {
            let Some((&(slot, least), _)) = self.waiting.range((from, 0)..).next() else {
                break;
            };
            next = slot.checked_add(1);
            if !self.is_stable((slot, least)) {
                continue;
            }
            let known = &self.known[usize::from(slot)];
            let most = if known.is_closed() {
                u64::MAX
            } else {
                known.stable
            };
            let dots = self.waiting.range((slot, least)..=(slot, most));
            stable.extend(dots.map(|(&(slot, seq), &(at, _))| (slot, seq, at)));
        }
        stable.truncate(SWEEP);
        stable
    }

    /// What the frontier claims to have on disk, together, where this node has not all of it.
    fn all_wanted(&self) -> BTreeMap<Slot, Seen> {
        let mut all: BTreeMap<Slot, Seen> = BTreeMap::new();
        let mut last: Option<&Claims> = None;
        for peer in self.frontier.iter().filter_map(|id| self.peers.get(id)) {
            let claims = &peer.claims;
            if last
                .replace(claims)
                .is_some_and(|l| l.is_shared_with(claims))
            {
                continue;
            }
            for (slot, known) in (0..).zip(&self.known).take(claims.end()) {
                let durable = &known.durable;
                let seen = claims.get(slot).filter(|seen| !durable.covers(seen));
                if let Some(seen) = seen {
                    all.entry(slot).or_default().join(&seen);
                }
            }
        }
        all
    }

    fn forget_traces(&mut self, slot: Slot, seq: u64, at: At, is_late: bool) {
        let origin = self.known[usize::from(slot)].origin;
        let is_delete = self.table.value(at).is_none();
        let over = self.contexts.get(&at).map(|context| context.over.clone());
        if let Some(over) = over.filter(|over| !over.is_empty()) {
            // What was overridden must be known to all as well: then it can't come back either.
            let is_settled =
                self.is_stable((slot, seq)) && over.iter().all(|&dot| self.is_stable(dot));
            let is_overdue = is_late && is_delete;
            if !is_settled && !is_overdue {
                return;
            }
            self.clear_context(at);
            self.write_entry(at);
            self.raise_floor(origin, seq);
            // Whoever lacks what was overridden would take it for news.
            for (over, most) in over {
                let origin = self.known[usize::from(over)].origin;
                self.raise_floor(origin, most);
            }
        }
        if !is_delete {
            self.waiting.remove(&(slot, seq));
            return;
        }
        // A write that did not know of the delete stays; it needs no delete beside it.
        self.raise_floor(origin, seq);
        self.drop_entry(at);
    }

    /// What an entry overrides is forgotten. What it copies is not: a write over the original may
    /// come at any time, and must mean the same on every node.
    fn clear_context(&mut self, at: At) {
        if let Some(context) = self.contexts.get_mut(&at) {
            context.over.clear();
            if context.copy_of.is_none() {
                self.contexts.remove(&at);
            }
        }
    }

    /// Moves the entries of origins that are to be closed, and closes those that are empty.
    fn move_and_close(&mut self) {
        for slot in 0..self.known.len() {
            let key = Slot::try_from(slot).expect("a slot is an index");
            let known = &self.known[slot];
            let is_mine = Some(key) == self.mine;
            let is_open_again = known.retired.is_some();
            if is_mine || known.is_closed() || !(known.retiring || is_open_again) {
                continue;
            }
            if self.table.count_of(key) > 0 && self.is_up_to_date() {
                let am_first = self.live.iter().all(|id| *id > self.config.me);
                if (known.moves || is_open_again) && (known.was_mine || am_first) {
                    self.move_entries(key);
                }
            } else if self.table.count_of(key) == 0 && self.may_close(key) {
                let all = known.seen.clone();
                self.close(key, all);
            }
        }
    }

    /// Whether everything that the frontier had is here: what is not superseded here is then
    /// superseded nowhere in it. Who is waited for and can't be asked may know more. Alone there
    /// is no hurry.
    fn is_up_to_date(&self) -> bool {
        let is_met =
            |id| self.alive.contains(id) && self.peers.get(id).is_some_and(|peer| peer.is_met);
        !self.frontier.is_empty() && self.frontier.iter().all(is_met)
    }

    fn move_entries(&mut self, slot: Slot) {
        // A delete goes by itself once it is stable; beyond a gap that nobody can fill it never is.
        let prefix = self.known[usize::from(slot)].seen.prefix();
        let stays = |at: &At| self.table.value(*at).is_some() || self.table.dot(*at).1 > prefix;
        let live: Vec<At> = self
            .table
            .of_origin(slot)
            .filter(stays)
            .take(COPIES)
            .collect();
        for at in live {
            if self.may_copy(at) {
                self.copy(at);
            }
        }
    }

    /// An own write supersedes all own ones before it under its key: a copy must not do that to
    /// a sibling, and one that waits for the disk may move or supersede the entry already.
    fn may_copy(&self, at: At) -> bool {
        let key = &self.table.key(at).whole();
        let is_mine = |other: At| Some(self.table.dot(other).0) == self.mine;
        !self.table.under(key).any(is_mine) && !self.staged.has(key)
    }

    /// Whether all that matter have seen exactly what is seen here of an origin.
    fn may_close(&self, slot: Slot) -> bool {
        let known = &self.known[usize::from(slot)];
        if self.config.mutation == Some(Mutation::RetireEarly) {
            return true;
        }
        let is_equal = |peer: Option<&Peer>| {
            peer.and_then(|peer| peer.claims.get(slot)).as_ref() == Some(&known.durable)
        };
        self.is_up_to_date()
            && known.seen == known.durable
            && self.frontier.iter().all(|id| is_equal(self.peers.get(id)))
    }

    /// Nobody writes under it any more, and no entry carries what was seen of it.
    fn close(&mut self, slot: Slot, all: Seen) {
        let known = &mut self.known[usize::from(slot)];
        let origin = known.origin;
        self.batch.closed.push((slot, all.clone()));
        let (place, content) = record::retired(origin, &all);
        self.batch.writes.insert(place, Some(content));
        known.retired = Some(all);
        self.forgotten = None;
        if known.is_closed() {
            known.gone = Seen::default();
            known.gone_written = true;
            self.batch.writes.insert(record::gone_place(origin), None);
            self.batch.writes.insert(record::prefix_place(origin), None);
        }
    }

    /// A peer has closed an origin, and this node holds all that the peer holds. What was seen of
    /// it beyond that is carried on, and it is closed once more.
    pub(crate) fn adopt_retired(&mut self, origin: Origin, mut all: Seen) {
        let slot = self.slot(origin);
        let known = &mut self.known[usize::from(slot)];
        if known.retired.as_ref().is_some_and(|mine| mine.covers(&all)) {
            return;
        }
        if Some(slot) == self.mine {
            if !self.staged.is_empty() {
                // Its own writes are still on their way to the disk: it will be told again.
                return;
            }
            // Closed by others while it lives: this node writes under a fresh one from now on.
            self.mine = None;
            known.was_mine = true;
            self.last_seq = 0;
            self.unconfirmed.clear();
        }
        if let Some(mine) = &known.retired {
            all.join(mine);
        }
        known.seen.join(&all);
        self.forgotten = None;
        for at in self.table.of_origin(slot).collect::<Vec<_>>() {
            if all.has(self.table.dot(at).1) {
                self.drop_entry(at);
            }
        }
        self.close(slot, all);
    }
}

#[cfg(test)]
mod tests {
    use base::Rng;

    use super::*;
    use crate::Config;

    const PEERS: u64 = 5;
    const ORIGINS: u64 = 4;

    fn some(rng: &mut Rng) -> Vec<NodeId> {
        let mut all: Vec<NodeId> = (2..2 + PEERS).map(NodeId).collect();
        all.retain(|_| rng.chance(80));
        all
    }

    /// What peers, the disk or the list of members may bring about between two sweeps.
    fn happen(store: &mut Store, rng: &mut Rng) {
        let below = |rng: &mut Rng, most| usize::try_from(rng.below(most)).expect("small");
        match rng.below(10) {
            0 => {
                let (live, frontier) = (some(rng), some(rng));
                store.meet(live, frontier);
            }
            1..=3 => {
                let slot = below(rng, ORIGINS);
                let next = store.known[slot].durable.prefix() + 1 + rng.below(2);
                store.known[slot].durable.add(next, next);
            }
            _ => {
                let from = NodeId(2 + rng.below(PEERS));
                let mut said = BTreeMap::new();
                for slot in 0..Slot::try_from(rng.below(ORIGINS + 1)).expect("small") {
                    // Now and then a disk went back in time, or a peer knows more than this node.
                    said.insert(slot, Seen::up_to(rng.below(9)));
                }
                store.peers.entry(from).or_default();
                let claims = Claims::of(&said, &mut store.row);
                store.peer_claims(from, claims);
            }
        }
    }

    fn least(store: &Store, slot: Slot) -> u64 {
        let own = store.known[usize::from(slot)].durable.prefix();
        let theirs = |id| {
            let peer: Option<&Peer> = store.peers.get(id);
            peer.and_then(|peer| peer.claims.get(slot))
                .map_or(0, |seen| seen.prefix())
        };
        let all = store.frontier.iter().map(theirs);
        all.chain([own]).min().expect("its own")
    }

    /// Broken once: who lagged last time was believed to lag still after it had left the frontier.
    #[test]
    fn what_is_stable_is_what_all_of_the_frontier_claim_whoever_is_looked_at_first() {
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let config = Config::lan(NodeId(1), Origin(1), seed);
            let mut store = Store::new(config, Vec::new()).expect("an empty disk");
            for origin in 10..10 + ORIGINS {
                store.slot(Origin(origin));
            }
            for _ in 0..60 {
                happen(&mut store, &mut rng);
                if rng.chance(50) {
                    continue;
                }
                store.is_settled = false;
                let is_one_mute = store.is_one_mute();
                for _ in 0..6 {
                    let slot = Slot::try_from(rng.below(ORIGINS)).expect("small");
                    let (seq, least) = (1 + rng.below(9), least(&store, slot));
                    assert_eq!(store.is_stable((slot, seq)), seq <= least, "seed {seed}");
                    assert!(!is_one_mute || least == 0, "seed {seed}");
                }
            }
        }
    }
}
