//! Comparing with a peer, and sending whole what it lacks.
//!
//! A pull is a hash of what is claimed; a peer whose hash differs answers with its vector, and
//! whoever has more sends all of it: every live entry that the vector does not cover, then those
//! that came meanwhile, then the marker with the own vector. Only the marker of an exchange whose
//! every part arrived moves the receiver's vector. Moving it with each part would be
//! Scuttlebutt's rule (van Renesse 2008), which loses writes: see docs/store.md.
//! Does not know datagrams from streams, except for where they fit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::wire::Writer;
use base::{Duration, NodeId, Origin, Time, Way, hash64};

use crate::claims::Claims;
use crate::message::{DecodeError, Marker, Message, Sent, Vector, put_seen, size_of};
use crate::table::At;
use crate::{Known, Mark, Mutation, Output, Seen, Slot, Store};

/// Bytes of one part on a stream.
const PART: usize = 64 << 10;
/// Parts under way that the receiver has not confirmed.
const WINDOW: u32 = 8;
/// The receiver confirms every so many parts.
const CONFIRM_EVERY: u32 = 4;
/// An exchange that has not moved for so long is over.
const PATIENCE: Duration = Duration::from_secs(10);
/// A peer is answered at most so often; what is asked between is asked again.
const ANSWER_EVERY: Duration = Duration::from_millis(20);

/// What is known of a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// What it claims to have on disk, by slot.
    pub(crate) claims: Claims,
    /// Whether, since it can be talked to, everything that it had was here once.
    pub(crate) is_met: bool,
    sending: Option<Box<Sending>>,
    receiving: Option<Receiving>,
}

/// What news says of what was forgotten here.
#[derive(Debug)]
pub(crate) struct Forgotten {
    /// One number over all that is closed; 0 for nothing.
    pub(crate) closings: u64,
    /// The highest number on which something was forgotten, of every origin that is not closed.
    pub(crate) floors: Vec<(Origin, u64)>,
}

/// What a peer said it has seen, and of which origins it has forgotten all but that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Has {
    pub(crate) seen: BTreeMap<Slot, Seen>,
    closed: BTreeSet<Slot>,
}

impl Has {
    /// Up to where the peer has missed nothing.
    fn reach(&self, slot: Slot) -> u64 {
        let is_closed = self.closed.contains(&slot);
        let seen = self.seen.get(&slot);
        seen.map_or(0, |s| if is_closed { s.last() } else { s.prefix() })
    }
}

/// An exchange on its way to a peer.
#[derive(Clone, Debug)]
struct Sending {
    exchange: u32,
    has: Has,
    /// What is still to be sent.
    queue: VecDeque<(At, Slot, u64)>,
    /// What was looked through so far: what comes later is sent before the marker.
    looked: Vec<Seen>,
    number: u32,
    confirmed: u32,
    moved: Time,
    resets: bool,
}

/// An exchange on its way here.
#[derive(Clone, Debug)]
struct Receiving {
    exchange: u32,
    next: u32,
    moved: Time,
    /// What does not count before the marker.
    kept_back: Vec<(Origin, Vec<Sent>)>,
}

impl Store {
    /// Takes over whom to talk to and whom to wait for.
    pub(crate) fn meet(&mut self, live: Vec<NodeId>, frontier: Vec<NodeId>) {
        let is_first = self.live.is_empty();
        let me = self.config.me;
        let fresh: Vec<NodeId> = live
            .iter()
            .filter(|&&id| id != me && !self.is_live(id))
            .copied()
            .collect();
        self.live = live.into_iter().filter(|id| *id != me).collect();
        self.alive = self.live.iter().copied().collect();
        self.frontier = frontier.into_iter().filter(|id| *id != me).collect();
        self.mute = self.frontier.first().copied();
        let known = |id: &NodeId| self.alive.contains(id) || self.frontier.contains(id);
        self.peers.retain(|id, _| known(id));
        for (id, peer) in &mut self.peers {
            peer.is_met &= self.alive.contains(id);
        }
        // Whoever is new is asked at once: it may know what this node lacks, or lack it.
        let hash = self.hash();
        for id in fresh.into_iter().take(if is_first { 3 } else { 1 }) {
            self.send(id, Way::Datagram, &Message::Pull(hash));
        }
        if self.live.is_empty() {
            for seq in std::mem::take(&mut self.unconfirmed) {
                self.confirm(seq);
            }
        }
    }

    /// Compares with one live peer: every one in turn, in an order that is drawn anew each time, so
    /// that nobody waits long to hear from anybody.
    pub(crate) fn pull_one(&mut self) {
        let mut next = None;
        while let Some(peer) = self.turns.pop() {
            if self.is_live(peer) {
                next = Some(peer);
                break;
            }
        }
        let peer = next.unwrap_or_else(|| {
            self.turns.clone_from(&self.live);
            for i in (1..self.turns.len()).rev() {
                let j = self.rng.below(i as u64 + 1);
                self.turns.swap(i, usize::try_from(j).expect("an index"));
            }
            self.turns.pop().expect("somebody is live")
        });
        let hash = self.hash();
        self.send(peer, Way::Datagram, &Message::Pull(hash));
    }

    pub(crate) fn send(&mut self, to: NodeId, way: Way, message: &Message) {
        self.outputs
            .push_back(Output::Send(to, way, message.encode()));
    }

    /// One number over all that is claimed.
    pub(crate) fn hash(&mut self) -> u64 {
        if self.config.mutation == Some(Mutation::ClaimsBeforeDisk) {
            for slot in 0..self.known.len() {
                self.claim_changed(Slot::try_from(slot).expect("a slot is an index"));
            }
        }
        while let Some(slot) = self.unhashed.pop() {
            let known = &self.known[usize::from(slot)];
            let hash = self.hash_of(known);
            let known = &mut self.known[usize::from(slot)];
            known.is_unhashed = false;
            let before = std::mem::replace(&mut known.hash, hash);
            self.hashed = self.hashed.wrapping_sub(before).wrapping_add(hash);
        }
        self.hashed
    }

    /// What is claimed of an origin is more than it was, or the origin is new.
    pub(crate) fn claim_changed(&mut self, slot: Slot) {
        let known = &mut self.known[usize::from(slot)];
        if !std::mem::replace(&mut known.is_unhashed, true) {
            self.unhashed.push(slot);
        }
    }

    pub(crate) fn hash_of(&self, known: &Known) -> u64 {
        let claim = self.claim(known);
        let mut w = Writer::new();
        w.raw(&known.origin.0.to_le_bytes());
        match &known.closed {
            Some(all) if all.covers(claim) => {
                w.raw(&[u8::MAX]);
                put_seen(&mut w, all);
            }
            _ if claim.last() == 0 => return 0,
            _ => put_seen(&mut w, claim),
        }
        hash64(&w.finish())
    }

    /// What news says of what was forgotten here; made once for as long as it stays the same.
    pub(crate) fn forgotten(&mut self) -> Arc<Forgotten> {
        if let Some(forgotten) = &self.forgotten {
            return Arc::clone(forgotten);
        }
        let forgotten = Arc::new(Forgotten {
            closings: self.closings(),
            floors: self.floors_of(|known| !known.is_closed()),
        });
        self.forgotten = Some(Arc::clone(&forgotten));
        forgotten
    }

    pub(crate) fn closings(&self) -> u64 {
        let mut sum = 0_u64;
        for known in &self.known {
            if let Some(all) = known.retired.as_ref().filter(|_| known.is_closed()) {
                let mut w = Writer::new();
                w.raw(&known.origin.0.to_le_bytes());
                put_seen(&mut w, all);
                sum = sum.wrapping_add(hash64(&w.finish()));
            }
        }
        sum
    }

    /// Takes in bytes from a peer.
    pub(crate) fn receive(&mut self, from: NodeId, bytes: &[u8]) {
        let message = match Message::decode(bytes) {
            Ok(message) => message,
            Err(DecodeError::TooNew(_)) => {
                self.counters.too_new += 1;
                return;
            }
            Err(_) => {
                self.counters.unreadable += 1;
                return;
            }
        };
        if from == self.config.me {
            return;
        }
        if !self.has_room_for(&message, bytes.len()) {
            self.counters.crowded += 1;
            return;
        }
        self.peers.entry(from).or_default();
        match message {
            Message::Pull(hash) => self.pulled(from, hash),
            Message::Same(hash) => self.same(from, hash),
            Message::Vector {
                exchange,
                answer,
                vector,
            } => self.compare(from, exchange, answer, &vector),
            Message::Part {
                exchange,
                number,
                whole,
                entries,
                marker,
            } => self.part(from, exchange, number, whole, entries, marker.map(|m| *m)),
            Message::More(exchange, next) => self.more(from, exchange, next),
            Message::News {
                ack,
                closings,
                floors,
                entries,
            } => self.hear(from, ack, closings, floors, &entries),
            Message::Ack(origin, seen) => self.acknowledged(from, origin, seen),
        }
        if !self.is_live(from) && !self.frontier.contains(&from) {
            self.peers.remove(&from);
        }
    }

    fn pulled(&mut self, from: NodeId, hash: u64) {
        if hash == self.hash() {
            self.same(from, hash);
            self.send(from, Way::Datagram, &Message::Same(hash));
        } else {
            self.tell_vector(from, true);
        }
    }

    /// The peer claims exactly what this node claims.
    fn same(&mut self, from: NodeId, hash: u64) {
        if hash != self.hash() {
            return;
        }
        let claims = self.claims_now(hash);
        self.peer_claims(from, claims);
        self.met(from);
    }

    pub(crate) fn met(&mut self, from: NodeId) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.is_met = true;
        }
    }

    /// What this node claims, which has this hash; made once for all who claim the same.
    fn claims_now(&mut self, hash: u64) -> Claims {
        // Origins of which nothing is claimed are not in the hash.
        let key = (hash, self.slots.len());
        if let Some((_, claims)) = self.agreed.as_ref().filter(|(of, _)| *of == key) {
            return claims.clone();
        }
        let open = self
            .slots
            .values()
            .map(|&slot| (slot, &self.known[usize::from(slot)]));
        let claims = open.map(|(slot, known)| (slot, self.claim(known).clone()));
        let claims = Claims::of(&claims.collect(), &mut self.row);
        self.agreed = Some((key, claims.clone()));
        claims
    }

    /// Says what this node has, as the start of an exchange to here.
    pub(crate) fn tell_vector(&mut self, to: NodeId, answer: bool) {
        let now = self.now;
        let fresh = u32::try_from(self.rng.word() >> 32).expect("the upper half");
        let receiving = &mut self.peers.entry(to).or_default().receiving;
        // An exchange that moves is not begun anew, unless it has not even started.
        if let Some(under_way) = receiving {
            let is_moving = under_way.next > 0 && now.since(under_way.moved) < PATIENCE;
            let is_fresh = now.since(under_way.moved) < ANSWER_EVERY;
            if is_moving || (is_fresh && answer) {
                return;
            }
        }
        *receiving = Some(Receiving {
            exchange: fresh,
            next: 0,
            moved: now,
            kept_back: Vec::new(),
        });
        let message = Message::Vector {
            exchange: fresh,
            answer,
            vector: self.claimed(),
        };
        let bytes = message.encode();
        let way = self.way(bytes.len());
        self.outputs.push_back(Output::Send(to, way, bytes));
    }

    const fn way(&self, len: usize) -> Way {
        if len <= self.config.packet_size {
            Way::Datagram
        } else {
            Way::Stream
        }
    }

    /// A peer has said what it has: whoever has more sends it.
    fn compare(&mut self, from: NodeId, exchange: u32, answer: bool, vector: &Vector) {
        let has = self.by_slot(vector);
        let nothing = Seen::default();
        let (mut lacks, mut knows_more) = (false, false);
        let mut all = has.seen.iter().peekable();
        for (slot, known) in (0..).zip(&self.known) {
            let theirs = all.next_if(|(of, _)| **of == slot);
            let theirs = theirs.map_or(&nothing, |(_, theirs)| theirs);
            let (covers, is_covered) = (known.seen.covers(theirs), theirs.covers(&known.seen));
            let (here, there) = (known.is_closed(), has.closed.contains(&slot));
            lacks |= !is_covered || (covers && here && !there);
            knows_more |= !covers || (is_covered && there && !here);
        }
        let claims = Claims::of(&has.seen, &mut self.row);
        self.peer_claims(from, claims);
        if !knows_more {
            self.met(from);
        }
        if lacks {
            self.begin(from, exchange, has);
        }
        if answer && knows_more {
            self.tell_vector(from, false);
        }
    }

    pub(crate) fn by_slot(&mut self, vector: &Vector) -> Has {
        // Peers send vectors in the order of the origins: most slots are found by walking along.
        let mut held = self.slots.iter().peekable();
        let mut seen: Vec<(Slot, Seen)> = Vec::with_capacity(vector.seen.len());
        let mut not_found = Vec::new();
        for (origin, theirs) in &vector.seen {
            while held.next_if(|(held, _)| *held < origin).is_some() {}
            match held.peek() {
                Some(&(held, &slot)) if held == origin => seen.push((slot, theirs.clone())),
                _ => not_found.push((origin, theirs)),
            }
        }
        for (origin, theirs) in not_found {
            seen.push((self.slot(*origin), theirs.clone()));
        }
        let mut has = Has {
            seen: seen.into_iter().collect(),
            closed: BTreeSet::new(),
        };
        for (origin, all) in &vector.retired {
            let slot = self.slot(*origin);
            has.seen.insert(slot, all.clone());
            has.closed.insert(slot);
        }
        has
    }

    /// Starts to send everything that a peer lacks.
    fn begin(&mut self, to: NodeId, exchange: u32, has: Has) {
        let resets = self.has_missed(&has);
        let mut sending = Box::new(Sending {
            exchange,
            has,
            queue: VecDeque::new(),
            looked: Vec::new(),
            number: 0,
            confirmed: 0,
            moved: self.now,
            resets,
        });
        self.look(&mut sending);
        self.continue_sending(to, sending);
    }

    /// Whether who has seen only this has missed something that was forgotten here.
    fn has_missed(&self, has: &Has) -> bool {
        let is_missed =
            |(slot, known): (Slot, &Known)| known.floor > 0 && has.reach(slot) < known.floor;
        self.config.mutation != Some(Mutation::FloorIgnored)
            && (0..).zip(&self.known).any(is_missed)
    }

    pub(crate) fn floors_of(&self, counts: impl Fn(&Known) -> bool) -> Vec<(Origin, u64)> {
        let some = self.known.iter().filter(|k| k.floor > 0 && counts(k));
        some.map(|known| (known.origin, known.floor)).collect()
    }

    /// Queues every live entry that neither the peer has nor an earlier look has found.
    fn look(&self, sending: &mut Sending) {
        let nothing = Seen::default();
        let mut lists: VecDeque<Vec<(At, Slot, u64)>> = VecDeque::new();
        let mut all = sending.has.seen.iter().peekable();
        for slot in 0..self.known.len() {
            let slot = Slot::try_from(slot).expect("a slot is an index");
            let has = all.next_if(|(of, _)| **of == slot);
            let has = has.map_or(&nothing, |(_, has)| has);
            let looked = sending.looked.get(usize::from(slot)).unwrap_or(&nothing);
            let least = has.prefix().max(looked.prefix());
            let mut found: Vec<(At, Slot, u64)> = self
                .table
                .of_origin(slot)
                .map(|at| (at, slot, self.table.dot(at).1))
                .take_while(|(_, _, seq)| *seq > least)
                .filter(|(_, _, seq)| !has.has(*seq) && !looked.has(*seq))
                .collect();
            if found.is_empty() {
                continue;
            }
            found.reverse();
            if Some(slot) == self.mine {
                lists.push_front(found);
            } else {
                lists.push_back(found);
            }
        }
        // Turn by turn, so that no origin waits behind a long one.
        let mut from = vec![0; lists.len()];
        let mut is_left = true;
        while is_left {
            is_left = false;
            for (list, from) in lists.iter().zip(&mut from) {
                let until = (*from + 64).min(list.len());
                sending.queue.extend(&list[*from..until]);
                *from = until;
                is_left |= until < list.len();
            }
        }
        sending.looked = self.known.iter().map(|known| known.seen.clone()).collect();
    }

    /// Sends parts until the window is full or the marker is out.
    fn continue_sending(&mut self, to: NodeId, mut sending: Box<Sending>) {
        if !sending.resets && self.has_missed(&sending.has) {
            // Something was forgotten meanwhile that the receiver lacks: it asks again.
            self.peers.entry(to).or_default().sending = None;
            return;
        }
        while sending.number < sending.confirmed + WINDOW {
            let (entries, bytes) = self.fill(&mut sending);
            let mut is_last = sending.queue.is_empty();
            if is_last {
                self.look(&mut sending);
                is_last = sending.queue.is_empty();
            }
            let cut = self.cut_short(&mut sending, &entries);
            let marker = (is_last || cut.is_some()).then(|| Box::new(self.marker(&sending, cut)));
            let message = Message::Part {
                exchange: sending.exchange,
                number: sending.number,
                whole: sending.resets,
                entries,
                marker,
            };
            let is_last = matches!(
                &message,
                Message::Part {
                    marker: Some(_),
                    ..
                }
            );
            let encoded = message.encode();
            let way = if sending.number == 0 && is_last && bytes <= self.config.packet_size {
                self.way(encoded.len())
            } else {
                Way::Stream
            };
            if is_last {
                self.send_from_disk(to, way, encoded);
            } else {
                self.outputs.push_back(Output::Send(to, way, encoded));
            }
            sending.number += 1;
            if is_last {
                self.peers.entry(to).or_default().sending = None;
                return;
            }
        }
        sending.moved = self.now;
        self.peers.entry(to).or_default().sending = Some(sending);
    }

    /// Sends what tells of everything that is held now, once all of that is on disk.
    fn send_from_disk(&mut self, to: NodeId, way: Way, bytes: Vec<u8>) {
        let is_changed = !self.batch.learned.is_empty() || !self.batch.writes.is_empty();
        let mark = if is_changed {
            Some(Mark(self.mark + 1))
        } else {
            self.at_disk.back().map(|(mark, _)| *mark)
        };
        // The peer waits for the exchange that it asked for last, and only for that one.
        self.held_out.retain(|(_, other, ..)| *other != to);
        match mark {
            Some(mark) => self.held_out.push_back((mark, to, way, bytes)),
            None => self.outputs.push_back(Output::Send(to, way, bytes)),
        }
    }

    /// The next entries, grouped, up to the size of a part; and their size.
    fn fill(&self, sending: &mut Sending) -> (Vec<(Origin, Vec<Sent>)>, usize) {
        let mut groups: Vec<(Origin, Vec<Sent>)> = Vec::new();
        let mut bytes = 32;
        while let Some((at, slot, seq)) = sending.queue.pop_front() {
            if !self.table.is(at, slot, seq) {
                continue;
            }
            let origin = self.known[usize::from(slot)].origin;
            let over = self.contexts.get(&at).map_or(0, |c| c.over.len() + 1);
            bytes += size_of(seq, self.table.key(at).len(), self.table.value(at), over);
            match groups.last_mut() {
                Some((last, group)) if *last == origin => group.push(self.entry(at)),
                _ => {
                    groups.push((origin, vec![self.entry(at)]));
                    bytes += 12;
                }
            }
            if bytes >= PART || self.is_cut(bytes) {
                break;
            }
        }
        (groups, bytes)
    }

    fn is_cut(&self, bytes: usize) -> bool {
        self.config.mutation == Some(Mutation::TruncateAndAdvance) && bytes >= 120
    }

    /// The rule of Scuttlebutt, for tests: what is claimed ends with the last thing sent.
    fn cut_short(&self, sending: &mut Sending, entries: &[(Origin, Vec<Sent>)]) -> Option<Vector> {
        let is_cut = self.config.mutation == Some(Mutation::TruncateAndAdvance);
        if !is_cut || sending.queue.is_empty() {
            return None;
        }
        let mut vector = Vector::default();
        for (origin, group) in entries {
            let last = group.last().map_or(0, |sent| sent.seq);
            vector.seen.push((*origin, Seen::up_to(last)));
        }
        sending.queue.clear();
        Some(vector)
    }

    fn marker(&self, sending: &Sending, cut: Option<Vector>) -> Marker {
        let live = sending.resets.then(|| self.all_live());
        Marker {
            vector: cut.unwrap_or_else(|| self.vector()),
            floors: self.floors_of(|_| true),
            live,
        }
    }

    /// The receiver has confirmed parts: more may follow.
    fn more(&mut self, from: NodeId, exchange: u32, next: u32) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        let Some(mut sending) = peer.sending.take_if(|s| s.exchange == exchange) else {
            return;
        };
        sending.confirmed = next.clamp(sending.confirmed, sending.number);
        self.continue_sending(from, sending);
    }

    /// A part of an exchange that was asked for.
    fn part(
        &mut self,
        from: NodeId,
        exchange: u32,
        number: u32,
        whole: bool,
        mut entries: Vec<(Origin, Vec<Sent>)>,
        marker: Option<Marker>,
    ) {
        let now = self.now;
        let peer = self.peers.entry(from).or_default();
        let is_next = |r: &Receiving| r.exchange == exchange && r.next == number;
        let Some(receiving) = peer.receiving.as_mut().filter(|r| is_next(r)) else {
            return;
        };
        receiving.next += 1;
        receiving.moved = now;
        let next = receiving.next;
        if whole {
            receiving.kept_back.append(&mut entries);
        }
        if whole && marker.is_some() {
            entries = std::mem::take(&mut receiving.kept_back);
        }
        self.batch.exchanged = true;
        for (origin, group) in &entries {
            for sent in group {
                self.merge(*origin, sent, from);
            }
        }
        if let Some(marker) = marker {
            self.peers.entry(from).or_default().receiving = None;
            self.complete(from, marker);
        } else if next.is_multiple_of(CONFIRM_EVERY) {
            self.send(from, Way::Stream, &Message::More(exchange, next));
        }
    }

    /// Notes what a peer has on disk, and what of ours is thereby confirmed.
    pub(crate) fn peer_claims(&mut self, from: NodeId, claims: Claims) {
        if let Some(seen) = self.mine.and_then(|mine| claims.get(mine)) {
            self.confirm_seen(&seen);
        }
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.claims = claims;
        }
    }

    pub(crate) fn confirm_seen(&mut self, seen: &Seen) {
        let confirmed: Vec<u64> = self
            .unconfirmed
            .iter()
            .copied()
            .take_while(|seq| *seq <= seen.last())
            .filter(|seq| seen.has(*seq))
            .collect();
        for seq in confirmed {
            self.unconfirmed.remove(&seq);
            self.confirm(seq);
        }
    }
}
