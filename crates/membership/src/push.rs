//! Telling news: at once when it is new, then in rounds, and along with everything that is sent.
//!
//! Does not know what the news is.

use std::net::SocketAddr;

use base::{Duration, NodeId, Time, Way};

use crate::alarms::Alarm;
use crate::message::{Builder, Claim, Message};
use crate::rumours::{self, Rumours};
use crate::{Membership, Output};

/// Members that are told in each round.
const FAN_OUT: usize = 3;
/// Pieces of news looked at for one packet; more than fit into 1,200 bytes.
const LOOKED_AT: usize = 48;

/// What came with many others in an exchange of tables is told so often; pulls do the rest. Without
/// this each of 1,000 nodes that start together would tell 1,000 pieces of news 16 times.
const TOLD_IN_BULK: u32 = 2;

/// News and when it was last told.
#[derive(Debug, Default)]
pub(crate) struct Push {
    pub(crate) rumours: Rumours,
    fresh: bool,
    /// What is learned now is known to many: it is told a few times only.
    pub(crate) in_bulk: bool,
    last: Time,
    due: Option<Time>,
}

impl Push {
    pub(crate) fn add(&mut self, id: NodeId, cluster: usize) {
        let told = if self.in_bulk {
            rumours::limit(cluster).saturating_sub(TOLD_IN_BULK)
        } else {
            0
        };
        self.rumours.add(id, told);
        self.fresh = true;
    }
}

impl Membership {
    /// Rounds of news follow each other a tenth of the probe interval apart: 100 ms by default.
    fn round(&self) -> Duration {
        self.config.probe_every / 10
    }

    /// What is new goes out within this call, unless a round has only just gone out.
    pub(crate) fn tell_at_once(&mut self, now: Time) {
        if !self.push.fresh || self.phase.is_over() {
            return;
        }
        self.push.fresh = false;
        let soonest = self.push.last + self.round() / 5;
        if now >= soonest || self.push.last == Time::ZERO {
            self.tell(now);
        } else if self.push.due.is_none_or(|due| due > soonest) {
            self.tell_by(soonest);
        }
    }

    pub(crate) fn gossip_due(&mut self, now: Time) {
        if self.push.due.is_some_and(|due| due <= now) {
            self.push.due = None;
            self.tell(now);
        }
    }

    fn tell_by(&mut self, at: Time) {
        if let Some(old) = self.push.due.replace(at) {
            self.alarms.unset(old, Alarm::Gossip);
        }
        self.alarms.set(at, Alarm::Gossip);
    }

    /// One round: each of a few random members gets what was told least.
    fn tell(&mut self, now: Time) {
        self.push.last = now;
        for id in self.table.random(&mut self.rng, FAN_OUT, self.config.me.id) {
            if self.push.rumours.is_empty() {
                break;
            }
            if let Some(record) = self.table.get(id) {
                let address = record.member.address;
                self.send(now, address, Way::Datagram, &Message::Gossip, &[]);
            }
        }
        if !self.push.rumours.is_empty() {
            self.tell_by(now + self.round());
        }
    }

    /// Sends one packet: the claims that it must carry, then news as long as there is room.
    pub(crate) fn send(
        &mut self,
        now: Time,
        to: SocketAddr,
        way: Way,
        message: &Message,
        must: &[Claim],
    ) {
        let mut packet = Builder::new(self.config.me.id, message, self.config.packet_size);
        for claim in must {
            // Name and zone are bounded so that two claims always fit.
            assert!(
                packet.add(&claim.encode()),
                "a claim that must be told does not fit"
            );
        }
        let limit = rumours::limit(self.table.size());
        let mut rumours = std::mem::take(&mut self.push.rumours);
        let mut gone = Vec::new();
        rumours.tell(limit, LOOKED_AT, |id| {
            if packet.is_full() {
                return None;
            }
            if must.iter().any(|claim| claim.id() == id) {
                return Some(true);
            }
            let Some(claim) = self.claim_on(now, id) else {
                gone.push(id);
                return Some(false);
            };
            Some(packet.add(&claim.encode()))
        });
        for id in gone {
            rumours.drop_news(id);
        }
        self.push.rumours = rumours;
        self.outputs
            .push_back(Output::Send(to, way, packet.finish()));
    }

    /// What this node has to say about `id`, if anything.
    pub(crate) fn claim_on(&self, now: Time, id: NodeId) -> Option<Claim> {
        if let Some(record) = self.table.get(id) {
            return Some(record.claim(self.age_s(now, record.forget_at)));
        }
        let stone = self.table.tombstone(id)?;
        let age_s = self.age_s(now, Some(stone.forget_at));
        Some(Claim::Forgotten {
            id,
            incarnation: stone.incarnation,
            age_s,
        })
    }

    /// For how many seconds something has been remembered that ends at `end`, rounded up.
    pub(crate) fn age_s(&self, now: Time, end: Option<Time>) -> u64 {
        let left = end.map_or(self.config.remember_dead, |end| end.since(now));
        let age = self.config.remember_dead.saturating_sub(left);
        u64::try_from(age.as_micros().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// When something is to be forgotten that is `age_s` old; `None` if it should be already.
    pub(crate) fn end_of(&self, now: Time, age_s: u64) -> Option<Time> {
        let left = self
            .config
            .remember_dead
            .checked_sub(Duration::from_secs(age_s))?;
        (!left.is_zero()).then(|| now + left)
    }
}
