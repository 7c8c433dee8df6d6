//! Many nodes without promises: who holds whom for what, counted as the words come.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ::membership::{Member, State};
use base::{Duration, NodeId, Time};

use super::super::node::{Call, Peer, Word};
use crate::cluster::{Happened, Host, Link, Plan, Step, World};

/// How long something took, many times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(Vec<Duration>);

impl Spans {
    /// One more.
    pub fn push(&mut self, span: Duration) {
        let at = self.0.partition_point(|other| *other <= span);
        self.0.insert(at, span);
    }

    /// All of another's.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_unstable();
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// What so many of a hundred do not exceed (nearest rank); zero of nothing.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        self.0.get(rank).copied().unwrap_or_default()
    }

    /// The middle one.
    #[must_use]
    pub fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// The longest.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.percentile(100)
    }
}

/// What changed in one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose table.
    pub at: Host,
    /// The member that it is about.
    pub of: Host,
    /// What it is held for now.
    pub member: Member,
}

/// Many nodes in one world, all of which join through host 0.
pub struct Crowd {
    /// The world that they are in.
    pub world: World<Peer>,
    hosts: BTreeMap<NodeId, Host>,
    /// What each holds each for; `[at][of]`.
    held: Vec<Vec<Option<State>>>,
    /// How many hold each for alive, itself included.
    alive: Vec<usize>,
    /// How many hold each for dead.
    dead: Vec<usize>,
    /// Pairs held for alive.
    pairs: usize,
}

impl Crowd {
    /// `hosts` nodes that boot at once and are told of host 0.
    #[must_use]
    pub fn new(seed: u64, hosts: u32, link: Link, span: Duration) -> Self {
        let mut plan = Plan::calm(seed, hosts, span);
        plan.link = link;
        let many = hosts as usize;
        Self {
            world: World::new(plan, |boot| Peer::new(&boot, None)),
            hosts: BTreeMap::new(),
            held: vec![vec![None; many]; many],
            alive: vec![0; many],
            dead: vec![0; many],
            pairs: 0,
        }
    }

    /// How many hosts there are.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.held.len()
    }

    /// Lets the next thing happen; what changed in whose table, `None` at the end.
    pub fn step(&mut self) -> Option<(Time, Vec<Turn>)> {
        let step = self.world.step()?;
        let mut turns = Vec::new();
        if let Some(host) = step.host {
            self.follow(&step, host);
            for word in step.words {
                turns.extend(self.hear(host, word));
            }
        }
        Some((step.at, turns))
    }

    /// Steps until everybody holds everybody for alive, or `until` has come; whether they do.
    pub fn gather(&mut self, until: Time) -> bool {
        while !self.is_whole() && self.world.now() < until {
            if self.step().is_none() {
                return false;
            }
        }
        self.is_whole()
    }

    /// Steps until `until`, through whatever happens.
    pub fn pass(&mut self, until: Time) {
        while self.world.now() < until && self.step().is_some() {}
    }

    /// Whether everybody holds everybody for alive.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.pairs == self.size() * self.size()
    }

    /// How many hold this one for alive, itself included.
    #[must_use]
    pub fn alive(&self, host: Host) -> usize {
        self.alive[host.index()]
    }

    /// How many hold this one for dead.
    #[must_use]
    pub fn dead(&self, host: Host) -> usize {
        self.dead[host.index()]
    }

    fn follow(&mut self, step: &Step<Peer>, host: Host) {
        match step.what {
            Happened::Booted => {
                let first: SocketAddr = self.world.address(Host(0));
                let second = self.world.address(Host(1));
                let seed = if host == Host(0) { second } else { first };
                self.world.call_at(step.at, host, Call::Join(vec![seed]));
            }
            Happened::Crashed => {
                for of in 0..self.size() {
                    self.set(host, Host(u32::try_from(of).expect("a host")), None);
                }
            }
            _ => {}
        }
    }

    fn hear(&mut self, host: Host, word: Word) -> Option<Turn> {
        let member = match word {
            Word::Began(me) => {
                self.hosts.insert(me.id, host);
                me
            }
            Word::Changed(member) => member,
            Word::Forgotten(id) => {
                let of = self.hosts[&id];
                self.set(host, of, None);
                return None;
            }
            Word::Refused(_) | Word::Left | Word::Accused(..) | Word::MassLoss(..) => {
                return None;
            }
        };
        let of = self.hosts[&member.id];
        self.set(host, of, Some(member.state));
        Some(Turn {
            at: host,
            of,
            member,
        })
    }

    fn set(&mut self, at: Host, of: Host, state: Option<State>) {
        let before = std::mem::replace(&mut self.held[at.index()][of.index()], state);
        let counted = |as_what| [before, state].map(|s| usize::from(s == Some(as_what)));
        let [was, is] = counted(State::Alive);
        for all in [&mut self.alive[of.index()], &mut self.pairs] {
            *all = *all + is - was;
        }
        let [was, is] = counted(State::Dead);
        let dead = &mut self.dead[of.index()];
        *dead = *dead + is - was;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let mut spans = Spans::default();
        for n in [5, 1, 4, 2, 3] {
            spans.push(Duration::from_secs(n));
        }
        assert_eq!(spans.median(), Duration::from_secs(3));
        assert_eq!(spans.percentile(99), Duration::from_secs(5));
        assert_eq!(spans.longest(), Duration::from_secs(5));
        assert_eq!(Spans::default().median(), Duration::ZERO);
    }
}
