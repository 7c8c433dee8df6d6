//! What is really so: who runs, what each member ever said of itself, and which hosts can reach
//! the others.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ::membership::{Incarnation, Member, Meta, State};
use base::{Duration, NodeId, Time};

use crate::cluster::{Fault, Host, Link};

/// One identity and the process that bears it.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) host: Host,
    /// Whether its process runs.
    pub(super) runs: bool,
    /// Since when it runs, or doesn't.
    pub(super) since: Time,
    /// The incarnation that its present or last process began with.
    pub(super) first: Incarnation,
    /// The newest that it ever claimed.
    claimed: Incarnation,
    /// Whether its process ended after a farewell that another one heard.
    pub(super) farewell_heard: bool,
    farewell: bool,
    /// What it said of itself at each incarnation.
    said: BTreeMap<Incarnation, (SocketAddr, Meta)>,
}

/// All identities that there ever were.
#[derive(Debug, Default)]
pub(super) struct Truth(BTreeMap<NodeId, Life>);

impl Truth {
    /// A process begins; the newest claim of its earlier life if that was not behind.
    pub(super) fn began(&mut self, host: Host, me: &Member, now: Time) -> Option<Incarnation> {
        let before = self.0.get(&me.id).map(|life| life.claimed);
        let life = self.0.entry(me.id).or_insert_with(|| Life {
            host,
            runs: true,
            since: now,
            first: me.incarnation,
            claimed: me.incarnation,
            farewell_heard: false,
            farewell: false,
            said: BTreeMap::new(),
        });
        (life.runs, life.since, life.first) = (true, now, me.incarnation);
        (life.farewell, life.farewell_heard) = (false, false);
        self.claimed(me);
        before.filter(|before| *before >= me.incarnation)
    }

    /// A member says something of itself.
    pub(super) fn claimed(&mut self, me: &Member) {
        if let Some(life) = self.0.get_mut(&me.id) {
            life.claimed = life.claimed.max(me.incarnation);
            let content = (me.address, me.meta.clone());
            life.said.insert(me.incarnation, content);
        }
    }

    pub(super) fn ended(&mut self, id: NodeId, now: Time) {
        if let Some(life) = self.0.get_mut(&id) {
            (life.runs, life.since) = (false, now);
        }
    }

    pub(super) fn said_farewell(&mut self, id: NodeId, heard: bool) {
        if let Some(life) = self.0.get_mut(&id) {
            (life.farewell, life.farewell_heard) = (true, heard);
        }
    }

    pub(super) fn life(&self, id: NodeId) -> Option<&Life> {
        self.0.get(&id)
    }

    pub(super) fn lives(&self) -> usize {
        self.0.len()
    }

    /// Who died so long ago without a farewell.
    pub(super) fn ended_before(
        &self,
        now: Time,
        span: Duration,
    ) -> impl Iterator<Item = (NodeId, Life)> + use<> {
        let gone = |(id, life): (&NodeId, &Life)| {
            let long = !life.runs && !life.farewell && now.since(life.since) > span;
            long.then(|| (*id, life.clone()))
        };
        self.0
            .iter()
            .filter_map(gone)
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Why what is said of a member can't be so.
    pub(super) fn contradicts(&self, member: &Member) -> Option<String> {
        let Some(life) = self.0.get(&member.id) else {
            return Some("there never was such a member".to_owned());
        };
        if member.incarnation > life.claimed {
            return Some(format!("it never claimed more than {:?}", life.claimed));
        }
        if member.state != State::Alive {
            return None;
        }
        let Some((address, meta)) = life.said.get(&member.incarnation) else {
            return Some("it never claimed that".to_owned());
        };
        let same = *address == member.address && *meta == member.meta;
        (!same).then(|| format!("it said {address} {meta:?}, not {member:?}"))
    }
}

/// Which hosts can reach the others, and since when.
#[derive(Debug, Default)]
pub(super) struct Skies {
    weather: Time,
    /// Since when each can be reached by the others.
    hosts: BTreeMap<Host, Time>,
    /// Since when each has not stood still.
    awake: BTreeMap<Host, Time>,
}

/// What a host needs to be found again after it has moved.
const FOUND_AGAIN: Duration = Duration::from_secs(10);

impl Skies {
    pub(super) fn good_from(&mut self, host: Option<Host>, at: Time) {
        if let Some(host) = host {
            let from = self.hosts.entry(host).or_default();
            *from = at.max(*from);
        }
    }

    pub(super) fn moved(&mut self, host: Option<Host>, at: Time) {
        self.good_from(host, at + FOUND_AGAIN);
    }

    pub(super) fn fault(&mut self, at: Time, fault: &Fault, hosts: u32) {
        match fault {
            Fault::Weather(link) if !is_fair(link) => self.weather = Time(u64::MAX),
            Fault::Weather(_) => self.weather = self.weather.min(at),
            Fault::Rough(from, to, link) if !is_fair(link) => {
                self.good_from(Some(*from), Time(u64::MAX));
                self.good_from(Some(*to), Time(u64::MAX));
            }
            Fault::Partition(_, span) | Fault::OneWay(_, _, span) => {
                for host in (0..hosts).map(Host) {
                    self.good_from(Some(host), at + *span);
                }
            }
            Fault::Pause(host, span) => {
                let until = self.awake.entry(*host).or_default();
                *until = (*until).max(at + *span);
            }
            Fault::Heal => {
                for from in self.hosts.values_mut() {
                    *from = at.min(*from);
                }
            }
            _ => {}
        }
    }

    /// Whether a host could be reached all this time, and did not stand still.
    pub(super) fn are_good_for(&self, host: Host, now: Time, span: Duration) -> bool {
        let awake = self.awake.get(&host).copied().unwrap_or_default();
        awake + span <= now && self.can_be_reached_for(host, now, span)
    }

    /// Whether a host could be reached all this time, when it didn't stand still.
    pub(super) fn can_be_reached_for(&self, host: Host, now: Time, span: Duration) -> bool {
        let from = self.hosts.get(&host).copied().unwrap_or_default();
        from.max(self.weather) + span <= now
    }
}

/// Whether a link is one on which nobody may be taken for dead.
fn is_fair(link: &Link) -> bool {
    link.loss <= 100
        && link.delay.1 <= Duration::from_millis(100)
        && link.corrupted <= 20
        && link.late <= 50
        && link.bytes_per_second == 0
}
