//! What is really so: who runs, what each member ever said of itself, and which hosts can reach
//! the others.

use std::collections::{BTreeMap, BTreeSet};
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
    farewell: bool,
    /// Whether its process ended after a farewell to some that it held for alive.
    pub(super) farewell_to_others: bool,
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
            farewell: false,
            farewell_to_others: false,
            said: BTreeMap::new(),
        });
        (life.runs, life.since, life.first) = (true, now, me.incarnation);
        (life.farewell, life.farewell_to_others) = (false, false);
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

    pub(super) fn said_farewell(&mut self, id: NodeId, to_others: bool) {
        if let Some(life) = self.0.get_mut(&id) {
            (life.farewell, life.farewell_to_others) = (true, to_others);
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
#[derive(Debug)]
pub(super) struct Skies {
    size: usize,
    weather: Time,
    /// Since when nothing is cut off from each.
    whole: BTreeMap<Host, Time>,
    /// Since when each has not stood still.
    awake: BTreeMap<Host, Time>,
    /// Links with troubles of their own.
    rough: BTreeSet<(Host, Host)>,
    /// Since when each has had good links to a majority, if it has.
    dry: BTreeMap<Host, Time>,
}

/// What a host needs to be found again after it has moved.
const FOUND_AGAIN: Duration = Duration::from_secs(10);
const NEVER: Time = Time(u64::MAX);

impl Skies {
    pub(super) const fn new(size: u32) -> Self {
        Self {
            size: size as usize,
            weather: Time::ZERO,
            whole: BTreeMap::new(),
            awake: BTreeMap::new(),
            rough: BTreeSet::new(),
            dry: BTreeMap::new(),
        }
    }

    pub(super) fn whole_from(&mut self, host: Option<Host>, at: Time) {
        if let Some(host) = host {
            let from = self.whole.entry(host).or_default();
            *from = at.max(*from);
        }
    }

    pub(super) fn moved(&mut self, host: Option<Host>, at: Time) {
        self.whole_from(host, at + FOUND_AGAIN);
    }

    pub(super) fn fault(&mut self, at: Time, fault: &Fault) {
        match fault {
            Fault::Weather(link) if !is_fair(link) => self.weather = NEVER,
            Fault::Weather(_) => self.weather = self.weather.min(at),
            Fault::Rough(from, to, link) if !is_fair(link) => {
                self.rough.insert((*from, *to));
                self.look_at_links(at);
            }
            Fault::Partition(_, span) | Fault::OneWay(_, _, span) => {
                for host in self.hosts() {
                    self.whole_from(Some(host), at + *span);
                }
            }
            Fault::Pause(host, span) => {
                let until = self.awake.entry(*host).or_default();
                *until = (*until).max(at + *span);
            }
            Fault::Heal => {
                self.rough.clear();
                self.look_at_links(at);
                for from in self.whole.values_mut() {
                    *from = at.min(*from);
                }
            }
            _ => {}
        }
    }

    fn hosts(&self) -> impl Iterator<Item = Host> + use<> {
        (0..u32::try_from(self.size).expect("was a u32")).map(Host)
    }

    fn look_at_links(&mut self, at: Time) {
        for host in self.hosts() {
            let rough = |other: &Host| {
                self.rough.contains(&(host, *other)) || self.rough.contains(&(*other, host))
            };
            let good = self.size - self.hosts().filter(rough).count();
            let from = self.dry.entry(host).or_default();
            if good * 2 <= self.size {
                *from = NEVER;
            } else if *from == NEVER {
                *from = at;
            }
        }
    }

    /// Whether a host has had good links to a majority all this time, and did not stand still.
    pub(super) fn are_good_for(&self, host: Host, now: Time, span: Duration) -> bool {
        let awake = self.awake.get(&host).copied().unwrap_or_default();
        let dry = self.dry.get(&host).copied().unwrap_or_default();
        awake.max(dry) + span <= now && self.are_whole_for(host, now, span)
    }

    /// Whether nothing was cut off from a host all this time, however bad its links and however
    /// often it stood still.
    pub(super) fn are_whole_for(&self, host: Host, now: Time, span: Duration) -> bool {
        let from = self.whole.get(&host).copied().unwrap_or_default();
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
