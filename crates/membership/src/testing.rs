//! A few nodes on a network made of nothing: for this crate's own tests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use base::{Duration, NodeId, Rng, Time, Way};

use crate::{Config, Incarnation, Input, Member, Membership, Meta, Output, Standing, State};

/// Where node `id` is.
pub(crate) fn address(id: u64) -> SocketAddr {
    let [.., a, b, c, d] = id.to_be_bytes();
    SocketAddr::from(([10, b, c, d], 7_000 + u16::from(a)))
}

/// Node `id`, alive in incarnation 1,000.
pub(crate) fn member(id: u64) -> Member {
    Member {
        id: NodeId(id),
        name: format!("node-{id}").into(),
        address: address(id),
        state: State::Alive,
        incarnation: Incarnation(1_000),
        meta: Meta {
            zone: "".into(),
            weight: 100,
            wire: (1, 1),
            standing: Standing::Usable,
        },
    }
}

/// One thing on its way.
type Flight = (SocketAddr, SocketAddr, Way, Vec<u8>);

/// Nodes and what is on its way between them.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) nodes: BTreeMap<SocketAddr, Membership>,
    pub(crate) seen: Vec<(Time, NodeId, Output)>,
    flights: BTreeMap<(Time, u64), Flight>,
    rng: Rng,
    count: u64,
    /// Of a hundred datagrams, so many are lost; and half as many streams.
    pub(crate) loss: u64,
    /// These do nothing until then; what comes waits.
    pub(crate) stopped: BTreeMap<SocketAddr, Time>,
    /// Nodes of different sides do not hear each other.
    pub(crate) sides: BTreeMap<SocketAddr, u8>,
    pub(crate) bytes: u64,
    dues: BTreeSet<(Time, SocketAddr)>,
    due_of: BTreeMap<SocketAddr, Time>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Time(1_000_000),
            nodes: BTreeMap::new(),
            seen: Vec::new(),
            flights: BTreeMap::new(),
            rng: Rng::new(seed),
            count: 0,
            loss: 0,
            stopped: BTreeMap::new(),
            sides: BTreeMap::new(),
            bytes: 0,
            dues: BTreeSet::new(),
            due_of: BTreeMap::new(),
        }
    }

    /// `count` nodes that join at node 1, and two seconds for it.
    pub(crate) fn of(count: u64, seed: u64) -> Self {
        let mut world = Self::new(seed);
        for id in 1..=count {
            world.start(Config::lan(member(id), seed ^ (id << 32)));
            world.input(id, Input::Join(vec![address(1)]));
        }
        world.run(Duration::from_secs(2));
        world
    }

    pub(crate) fn start(&mut self, config: Config) {
        let at = config.me.address;
        let node = Membership::new(config).expect("settings within their bounds");
        self.nodes.insert(at, node);
        self.give(at, Input::Tick);
    }

    pub(crate) fn node(&self, id: u64) -> &Membership {
        &self.nodes[&address(id)]
    }

    pub(crate) fn input(&mut self, id: u64, input: Input) {
        self.give(address(id), input);
    }

    fn give(&mut self, at: SocketAddr, input: Input) {
        let node = self.nodes.get_mut(&at).expect("a node that runs");
        node.handle(self.now, input);
        let id = node.me().id;
        let outputs: Vec<Output> = std::iter::from_fn(|| node.poll()).collect();
        self.note(at);
        for output in outputs {
            let Output::Send(to, way, bytes) = output else {
                self.seen.push((self.now, id, output));
                continue;
            };
            self.bytes += bytes.len() as u64;
            let loss = if way == Way::Stream {
                self.loss / 2
            } else {
                self.loss
            };
            let lost = self.rng.chance(loss);
            let delay = Duration::from_micros(200 + self.rng.below(1_800));
            self.count += 1;
            if !lost {
                self.flights
                    .insert((self.now + delay, self.count), (at, to, way, bytes));
            }
        }
    }

    pub(crate) fn crash(&mut self, id: u64) {
        self.nodes.remove(&address(id));
    }

    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.next().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    fn next(&self) -> Option<Time> {
        let flight = self.flights.keys().next().map(|&(at, _)| at);
        self.dues
            .first()
            .map(|&(at, _)| at)
            .into_iter()
            .chain(flight)
            .min()
    }

    /// Notes when node `at` wants to be called, not before it runs again.
    fn note(&mut self, at: SocketAddr) {
        if let Some(old) = self.due_of.remove(&at) {
            self.dues.remove(&(old, at));
        }
        if let Some(due) = self.nodes.get(&at).and_then(Membership::deadline) {
            let due = self.stopped.get(&at).map_or(due, |&until| due.max(until));
            self.dues.insert((due, at));
            self.due_of.insert(at, due);
        }
    }

    fn step(&mut self) {
        if let Some(entry) = self.flights.first_entry()
            && entry.key().0 <= self.now
        {
            let count = entry.key().1;
            let (from, to, way, bytes) = entry.remove();
            if let Some(&until) = self.stopped.get(&to).filter(|&&until| until > self.now) {
                // Whoever wakes up looks at its clock first, and then into its socket.
                let after = until + Duration::from_micros(50);
                self.flights.insert((after, count), (from, to, way, bytes));
            } else if self.nodes.contains_key(&to) && self.sides.get(&from) == self.sides.get(&to) {
                self.give(to, Input::Received(from, way, bytes));
            }
            return;
        }
        if let Some((_, at)) = self.dues.first().copied() {
            let until = self.stopped.get(&at).filter(|&&until| until > self.now);
            if until.is_none() && self.nodes.contains_key(&at) {
                self.give(at, Input::Tick);
            } else {
                self.note(at);
            }
        }
    }

    /// Whether everybody believes that exactly those that run are alive.
    pub(crate) fn agrees(&self) -> bool {
        let running: BTreeSet<NodeId> = self.nodes.values().map(|n| n.me().id).collect();
        self.nodes.values().all(|node| {
            let alive = node
                .members()
                .filter(|m| m.state == State::Alive)
                .map(|m| m.id);
            alive.collect::<BTreeSet<_>>() == running
        })
    }

    /// Who was believed dead by whom, in order.
    pub(crate) fn deaths(&self) -> Vec<(Time, NodeId, NodeId)> {
        let seen = self.seen.iter();
        seen.filter_map(|(at, by, output)| match output {
            Output::Changed(member) if member.state == State::Dead => Some((*at, *by, member.id)),
            _ => None,
        })
        .collect()
    }
}
