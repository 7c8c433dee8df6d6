//! Finding the others, and getting what they know: whole tables at first, differences later.

use std::net::SocketAddr;

use base::{NodeId, Time, Way};

use crate::Membership;
use crate::alarms::Alarm;
use crate::merge::How;
use crate::message::{BUCKETS, Builder, Claim, Message};
use crate::table::bucket;

/// Addresses remembered at most; of these, so many are tried at a time.
const MOST_SEEDS: usize = 64;
const TRIED: usize = 3;
/// After so many attempts the wait between two grows no more.
const SLOWEST: u32 = 5;

/// The addresses to join at.
#[derive(Debug, Default)]
pub(crate) struct Seeds {
    silent: Vec<SocketAddr>,
    /// Where the next attempt goes on; the first begins anywhere.
    next: Option<usize>,
    attempts: u32,
    one_answered: bool,
    due: Option<Time>,
}

impl Seeds {
    /// A packet has come from `address`.
    pub(crate) fn answered(&mut self, address: SocketAddr) {
        if let Some(at) = self.silent.iter().position(|&silent| silent == address) {
            self.silent.swap_remove(at);
            self.one_answered = true;
        }
    }
}

impl Membership {
    pub(crate) fn join(&mut self, now: Time, addresses: Vec<SocketAddr>) {
        self.come_back();
        for address in addresses {
            let known = self.seeds.silent.contains(&address);
            if known || address == self.config.me.address {
                continue;
            }
            if self.seeds.silent.len() >= MOST_SEEDS {
                self.counters.over_bounds += 1;
                break;
            }
            self.seeds.silent.push(address);
        }
        (self.seeds.attempts, self.seeds.one_answered) = (0, false);
        self.try_to_join(now);
    }

    pub(crate) fn join_due(&mut self, now: Time) {
        if self.seeds.due.is_some_and(|due| due <= now) {
            self.try_to_join(now);
        }
    }

    /// Asks a few of the silent addresses for all they know, the next few the next time. While nobody has answered the wait
    /// doubles from a quarter to eight probe intervals; after that it is thirty, for ever: an
    /// address of the list may come up later and know nobody.
    fn try_to_join(&mut self, now: Time) {
        self.seeds.due = None;
        if !self.phase.is_running() {
            return;
        }
        if self.seeds.attempts > 0 {
            let members = self.table.records().map(|record| record.member.address);
            let known: Vec<SocketAddr> = members.collect();
            self.seeds.silent.retain(|address| !known.contains(address));
        }
        let silent = self.seeds.silent.len();
        if silent == 0 {
            return;
        }
        let anywhere = usize::try_from(self.rng.below(silent as u64)).expect("below a length");
        let first = self.seeds.next.unwrap_or(anywhere);
        let tried = silent.min(TRIED);
        self.seeds.next = Some((first + tried) % silent);
        for i in 0..tried {
            let address = self.seeds.silent[(first + i) % silent];
            self.send_table(now, address, u64::MAX, true, &|_| true);
        }
        let every = self.config.probe_every;
        let wait = if self.seeds.one_answered {
            every * 30
        } else {
            every * 2_u32.pow(self.seeds.attempts.min(SLOWEST)) / 4
        };
        self.seeds.attempts = self.seeds.attempts.saturating_add(1);
        let due = now + wait + self.part_of(wait / 2);
        self.seeds.due = Some(due);
        self.alarms.set(due, Alarm::Join);
    }

    /// Somebody asks here for the node that stood at this address before. Whoever is still looking
    /// for others and does not know the asker joins through it: the lists may all be out of date.
    pub(crate) fn asked_for_another(&mut self, now: Time, from: SocketAddr, sender: NodeId) {
        let is_stranger = self.table.get(sender).is_none();
        if is_stranger && self.phase.is_running() && !self.seeds.silent.is_empty() {
            self.send_table(now, from, u64::MAX, true, &|_| true);
        }
    }

    /// A peer's hashes: it gets all that we know in the parts that differ.
    pub(crate) fn compared(&mut self, now: Time, from: SocketAddr, theirs: &[u32; BUCKETS]) {
        let ours = self.table.buckets();
        let mut mask = 0;
        for part in 0..BUCKETS {
            mask |= u64::from(ours[part] != theirs[part]) << part;
        }
        if mask != 0 {
            self.send_table(now, from, mask, true, &|_| true);
            self.pull_soon(now);
        }
    }

    /// A peer's claims in some parts: what it lacks goes back, if it asks for that.
    pub(crate) fn synced(
        &mut self,
        now: Time,
        from: SocketAddr,
        sender: NodeId,
        (mask, reply): (u64, bool),
        claims: Vec<Claim>,
    ) {
        let mut theirs: Vec<(NodeId, (crate::Incarnation, u8))> = claims
            .iter()
            .map(|claim| (claim.id(), claim.rank()))
            .collect();
        theirs.sort_unstable();
        let joins = reply && mask == u64::MAX;
        self.merge(
            now,
            sender,
            claims,
            if joins { How::Joining } else { How::Exchange },
        );
        if !reply {
            if mask == u64::MAX {
                self.settle();
            }
            return;
        }
        let lacks = |claim: &Claim| {
            let at = theirs.partition_point(|&(id, _)| id < claim.id());
            theirs
                .get(at)
                .is_none_or(|&(id, rank)| id != claim.id() || rank < claim.rank())
        };
        self.send_table(now, from, mask, false, &lacks);
    }

    /// Sends the claims in the parts of `mask` that are `wanted`: in one datagram if they fit.
    ///
    /// Who joins, and is answered, always hears something, and always by stream.
    fn send_table(
        &mut self,
        now: Time,
        to: SocketAddr,
        mask: u64,
        reply: bool,
        wanted: &dyn Fn(&Claim) -> bool,
    ) {
        let ids = self.table.records().map(|record| record.member.id);
        let ids = ids.chain(self.table.tombstones().map(|(id, _)| id));
        let claims: Vec<Vec<u8>> = ids
            .filter(|&id| mask >> bucket(id) & 1 == 1)
            .filter_map(|id| self.claim_on(now, id))
            .filter(wanted)
            .map(|claim| claim.encode())
            .collect();
        let joins = mask == u64::MAX;
        if claims.is_empty() && !reply && !joins {
            return;
        }
        let message = Message::Sync { mask, reply };
        let bytes: usize = claims.iter().map(|claim| claim.len() + 2).sum();
        let way = if joins || bytes + 64 > self.config.packet_size {
            Way::Stream
        } else {
            Way::Datagram
        };
        let mut packet = Builder::new(self.config.me.id, &message, usize::MAX);
        for claim in claims {
            packet.add(&claim);
        }
        self.outputs
            .push_back(crate::Output::Send(to, way, packet.finish()));
    }

    /// Whether a question to another bearer of our name is under way.
    pub(crate) fn is_asking_for_its_name(&self) -> bool {
        self.probes.values().any(crate::probe::Probe::is_for_a_name)
    }
}
