//! News: what is new goes out at once when it is quiet, and in rounds when it is not.
//!
//! Only what was new here goes on, and never back to where it came from (Enes and others 2019:
//! without these two rules deltas cost as much as whole states). Each piece is sent a bounded
//! number of times. When more waits than datagrams carry well, or waits too long, pushing stops
//! and peers are asked to compare instead, which moves it over streams.

use std::collections::{BTreeMap, BTreeSet};

use base::{Duration, NodeId, Origin, Time, Way};

use crate::message::{Message, Sent, size_of};
use crate::table::At;
use crate::{Seen, Slot, Store};

/// More than this does not wait for rounds.
const BACKLOG_BYTES: usize = 32 << 10;
/// What has waited longer is better compared.
const BACKLOG_AGE: Duration = Duration::from_secs(2);
/// Bytes before the entries of one origin, at most.
const GROUP_BYTES: usize = 11;
/// Bytes of one floor on the wire, at most for numbers below 2³⁵.
const FLOOR_BYTES: usize = 13;
/// Datagrams to one peer in one round.
const DATAGRAMS: usize = 4;
/// Entries of an exchange that go on as news; more are left to comparing.
const FROM_EXCHANGE: usize = 64;

/// What waits to be pushed.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    waiting: BTreeMap<(Slot, u64), Piece>,
    bytes: usize,
    next_round: Time,
    /// Peers are asked to compare in this many more rounds.
    compares: u32,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    at: At,
    left: usize,
    since: Time,
    from: Option<NodeId>,
    size: usize,
    is_new: bool,
}

impl News {
    /// When the next round is due, if anything waits.
    pub(crate) fn due(&self) -> Option<Time> {
        (!self.waiting.is_empty() || self.compares > 0).then_some(self.next_round)
    }

    fn clear(&mut self) {
        self.waiting.clear();
        self.bytes = 0;
    }
}

impl Store {
    /// What is new and on disk is to be pushed on.
    pub(crate) fn announce(&mut self, fresh: Vec<(Slot, u64, Option<NodeId>)>, exchanged: bool) {
        if fresh.is_empty() || self.live.is_empty() {
            return;
        }
        if !self.config.push || (exchanged && fresh.len() > FROM_EXCHANGE) {
            self.news.compares = self.news.compares.max(2);
            return;
        }
        let left = self.transmissions();
        for (slot, seq, from) in fresh {
            let Some(at) = self.live_at(slot, seq) else {
                continue;
            };
            let over = self.contexts.get(&at).map_or(0, |c| c.over.len() + 1);
            let size = size_of(seq, self.table.key(at).len(), self.table.value(at), over);
            let piece = Piece {
                at,
                left,
                since: self.now,
                from,
                size,
                is_new: true,
            };
            if self.news.waiting.insert((slot, seq), piece).is_none() {
                self.news.bytes += size;
            }
            if self.news.bytes > BACKLOG_BYTES {
                self.fall_back();
                return;
            }
        }
    }

    fn live_at(&self, slot: Slot, seq: u64) -> Option<At> {
        let mut live = self.table.of_origin(slot);
        live.find(|&at| self.table.dot(at).1 <= seq)
            .filter(|&at| self.table.is(at, slot, seq))
    }

    /// Comparing carries it better.
    fn fall_back(&mut self) {
        self.counters.backlogs += 1;
        self.news.clear();
        self.news.compares = self.news.compares.max(3);
    }

    /// How often one piece of news is sent from here.
    fn transmissions(&self) -> usize {
        if self.config.transmissions > 0 {
            return self.config.transmissions;
        }
        let nodes = self.live.len() + 1;
        let digits = (1..).find(|&d| 10_usize.pow(d) > nodes).unwrap_or(9);
        7 + digits as usize
    }

    /// Sends what waits, when its round has come.
    pub(crate) fn spread(&mut self) {
        if self.now < self.news.next_round || self.news.due().is_none() {
            return;
        }
        self.news.next_round = self.now + self.config.round;
        let peers = self.some_peers();
        if self.news.compares > 0 {
            self.news.compares -= 1;
            let hash = self.hash();
            for &peer in &peers {
                self.send(peer, Way::Datagram, &Message::Pull(hash));
            }
        }
        let forgotten = self.forgotten();
        let (closings, floors) = (forgotten.closings, &forgotten.floors);
        if floors.len() * FLOOR_BYTES > self.config.packet_size / 2 {
            // Too much was forgotten to tell of it in each datagram.
            self.fall_back();
        }
        for (n, &peer) in peers.iter().enumerate() {
            self.push_to(peer, n == 0, closings, floors);
        }
        self.tidy();
    }

    /// As many live peers as the fan-out, drawn without repetition.
    fn some_peers(&mut self) -> Vec<NodeId> {
        let mut all = self.live.clone();
        let count = self.config.fan_out.min(all.len());
        for i in 0..count {
            let more = self.rng.below((all.len() - i) as u64);
            all.swap(i, i + usize::try_from(more).expect("below a length"));
        }
        all.truncate(count);
        all
    }

    fn push_to(&mut self, peer: NodeId, may_ask: bool, closings: u64, floors: &[(Origin, u64)]) {
        let head = 26 + floors.len() * FLOOR_BYTES;
        let room = self.config.packet_size.saturating_sub(head);
        let mut packets: Vec<(Vec<(Slot, u64)>, bool)> = Vec::new();
        let mut origins = BTreeSet::new();
        let mut used = room;
        // What was sent least goes first.
        let mut order: Vec<((Slot, u64), Piece)> =
            self.news.waiting.iter().map(|(k, p)| (*k, *p)).collect();
        order.sort_by_key(|(dot, piece)| (usize::MAX - piece.left, *dot));
        for (dot, piece) in order {
            let (slot, seq) = dot;
            let is_told = piece.left == 0 || piece.from == Some(peer);
            if is_told || !self.table.is(piece.at, slot, seq) {
                continue;
            }
            if piece.size + GROUP_BYTES > room {
                continue;
            }
            let head = |origins: &BTreeSet<Slot>| match origins.contains(&slot) {
                true => 0,
                false => GROUP_BYTES,
            };
            if used + piece.size + head(&origins) > room {
                if packets.len() == DATAGRAMS {
                    break;
                }
                packets.push((Vec::new(), false));
                origins.clear();
                used = 0;
            }
            used += piece.size + head(&origins);
            origins.insert(slot);
            let (packet, asks) = packets.last_mut().expect("one was just made");
            packet.push(dot);
            *asks |= piece.is_new && Some(slot) == self.mine && may_ask;
        }
        for (dots, ack) in packets {
            for dot in &dots {
                if let Some(piece) = self.news.waiting.get_mut(dot) {
                    piece.left = piece.left.saturating_sub(1);
                    piece.is_new &= !ack;
                }
            }
            let mut entries = self.grouped(dots);
            if let Some(mine) = self.mine.filter(|_| ack) {
                // The first group is the one that is acknowledged.
                let mine = self.known[usize::from(mine)].origin;
                entries.sort_by_key(|(origin, _)| *origin != mine);
            }
            let floors = floors.to_vec();
            let news = Message::News {
                ack,
                closings,
                floors,
                entries,
            };
            self.send(peer, Way::Datagram, &news);
        }
    }

    fn grouped(&self, mut dots: Vec<(Slot, u64)>) -> Vec<(Origin, Vec<Sent>)> {
        dots.sort_unstable();
        let mut groups: Vec<(Origin, Vec<Sent>)> = Vec::new();
        for (slot, seq) in dots {
            let origin = self.known[usize::from(slot)].origin;
            let at = self.news.waiting[&(slot, seq)].at;
            match groups.last_mut() {
                Some((last, group)) if *last == origin => group.push(self.entry(at)),
                _ => groups.push((origin, vec![self.entry(at)])),
            }
        }
        groups
    }

    /// Forgets what was sent often enough, was superseded, or has waited too long.
    fn tidy(&mut self) {
        let (table, now) = (&self.table, self.now);
        let mut is_late = false;
        let mut bytes = 0;
        let room = self.config.packet_size / 2 - 40;
        self.news.waiting.retain(|&(slot, seq), piece| {
            let stays = piece.left > 0 && table.is(piece.at, slot, seq);
            // What no datagram holds is for the exchanges.
            let fits = piece.size <= room;
            is_late |= stays && (!fits || now.since(piece.since) > BACKLOG_AGE);
            bytes += if stays { piece.size } else { 0 };
            stays
        });
        self.news.bytes = bytes;
        if is_late {
            self.fall_back();
        }
    }

    /// News from a peer. Whoever has not seen all that the sender has forgotten things about
    /// would take entries without the contexts that they once had: it needs a whole exchange.
    pub(crate) fn hear(
        &mut self,
        from: NodeId,
        ack: bool,
        closings: u64,
        floors: Vec<(Origin, u64)>,
        entries: &[(Origin, Vec<Sent>)],
    ) {
        let is_other = closings != self.forgotten().closings;
        let is_behind = |(origin, floor): &(Origin, u64)| {
            let slot = self.slots.get(origin);
            slot.map_or(0, |&slot| self.known[usize::from(slot)].reach()) < *floor
        };
        if is_other || floors.iter().any(is_behind) {
            self.counters.late += 1;
            self.tell_vector(from, true);
            return;
        }
        for (origin, floor) in floors {
            self.raise_floor(origin, floor);
        }
        for (n, (origin, group)) in entries.iter().enumerate() {
            let mut is_new = false;
            for sent in group {
                is_new |= self.merge(*origin, sent, from);
            }
            if ack && n == 0 {
                let slot = self.slot(*origin);
                if is_new {
                    self.batch.acks.insert((from, slot));
                } else {
                    self.acknowledge(from, slot);
                }
            }
        }
    }

    /// Tells a peer what of an origin is on disk here.
    pub(crate) fn acknowledge(&mut self, to: NodeId, slot: Slot) {
        let known = &self.known[usize::from(slot)];
        let message = Message::Ack(known.origin, self.claim(known).clone());
        self.send(to, Way::Datagram, &message);
    }

    /// A peer has said what of an origin is on its disk.
    pub(crate) fn acknowledged(&mut self, from: NodeId, origin: Origin, seen: Seen) {
        let slot = self.slot(origin);
        if Some(slot) == self.mine {
            self.confirm_seen(&seen);
        }
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.claims.insert(slot, seen);
        }
    }
}
