//! Traces of the real cores in the text form that `cargo xtask specs --trace` checks.
//!
//! Three nodes of membership over a network that loses and delays, with a partition, a crash, a
//! restart behind the earlier life, a farewell and an operator's forgetting, all drawn from the
//! seed. The form stands in `specs/README.md`. Knows nothing of what the specs allow.

mod store;

pub use store::store;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use base::{Duration, NodeId, Rng, Time, Way};
use membership::{
    Config, Incarnation, Input, Member, Membership, Meta, Mutation, Output, Standing, State,
};

/// How many nodes there are.
const NODES: u64 = 3;
/// How long the world runs.
const END: Time = Time(150_000_000);

/// A run of membership's core with this seed, a defect put in on purpose or none, as a trace.
#[must_use]
pub fn membership(seed: u64, mutation: Mutation) -> String {
    let mut world = World::new(seed, mutation);
    world.run();
    world.trace
}

/// What happens at a moment.
#[derive(Clone, Copy, Debug)]
enum Event {
    Start(u64, u64),
    Crash(u64),
    Cut(u64),
    Heal,
    Describe(u64),
    Leave(u64),
    Forget(u64, u64),
}

type Flight = (u64, u64, Way, Vec<u8>);

struct World {
    now: Time,
    rng: Rng,
    mutation: Mutation,
    nodes: BTreeMap<u64, Membership>,
    flights: BTreeMap<(Time, u64), Flight>,
    events: BTreeMap<(Time, u64), Event>,
    cut: Option<u64>,
    count: u64,
    rows: BTreeMap<u64, String>,
    trace: String,
}

impl World {
    fn new(seed: u64, mutation: Mutation) -> Self {
        let mut world = Self {
            now: Time(1_000_000),
            rng: Rng::new(seed),
            mutation,
            nodes: BTreeMap::new(),
            flights: BTreeMap::new(),
            events: BTreeMap::new(),
            cut: None,
            count: 0,
            rows: BTreeMap::new(),
            trace: format!("# seed {seed}, {mutation:?}\ntrace membership\nnodes n1 n2 n3\n"),
        };
        let one = world.rng.below(NODES) + 1;
        let two = one % NODES + 1;
        let three = two % NODES + 1;
        for id in 1..=NODES {
            world.plan(0, Event::Start(id, 1_000_000));
        }
        world.plan(5, Event::Cut(one));
        world.plan(20, Event::Heal);
        world.plan(35, Event::Describe(two));
        world.plan(40, Event::Crash(two));
        world.plan(90, Event::Start(two, 999_000));
        world.plan(105, Event::Leave(three));
        world.plan(115, Event::Forget(one, three));
        world.plan(125, Event::Start(three, 999_500));
        world
    }

    fn plan(&mut self, seconds: u64, event: Event) {
        let late = self.rng.below(2_000_000);
        self.count += 1;
        let at = self.now + Duration::from_secs(seconds) + Duration::from_micros(late);
        self.events.insert((at, self.count), event);
    }

    fn run(&mut self) {
        while self.now < END {
            let due = self
                .nodes
                .iter()
                .filter_map(|(&id, node)| Some((node.deadline()?.max(self.now), id)))
                .min();
            let event = self.events.keys().next().copied();
            let flight = self.flights.keys().next().copied();
            let next = [
                due.map(|due| due.0),
                event.map(|e| e.0),
                flight.map(|f| f.0),
            ];
            let Some(next) = next.into_iter().flatten().min() else {
                return;
            };
            self.now = self.now.max(next);
            if let Some((_, id)) = due.filter(|due| due.0 <= self.now) {
                self.give(id, "Tick", Input::Tick);
            } else if let Some(key) = event.filter(|event| event.0 <= self.now) {
                let event = self.events.remove(&key).expect("its key was seen");
                self.happen(event);
            } else if let Some(key) = flight {
                let flight = self.flights.remove(&key).expect("its key was seen");
                self.arrive(flight);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(id, incarnation) => self.start(id, incarnation),
            Event::Crash(id) => self.crash(id),
            Event::Cut(id) => self.cut = Some(id),
            Event::Heal => self.cut = None,
            Event::Describe(id) => {
                let meta = Meta {
                    weight: 200,
                    ..meta()
                };
                self.give(id, "Describe", Input::Describe(meta));
            }
            Event::Leave(id) => self.give(id, "Leave", Input::Leave),
            Event::Forget(id, other) => self.give(id, "Forget", Input::Forget(NodeId(other))),
        }
    }

    fn start(&mut self, id: u64, incarnation: u64) {
        let me = Member {
            id: NodeId(id),
            name: format!("node-{id}").into(),
            address: address(id),
            state: State::Alive,
            incarnation: Incarnation(incarnation),
            meta: meta(),
        };
        let mut config = Config::lan(me, self.rng.word());
        config.mutation = self.mutation;
        let node = Membership::new(config).expect("settings within their bounds");
        self.nodes.insert(id, node);
        self.note(id, "Restart");
        let others = (1..=NODES).filter(|&other| other != id).map(address);
        self.give(id, "Join", Input::Join(others.collect()));
    }

    fn crash(&mut self, id: u64) {
        self.nodes.remove(&id);
        self.rows.remove(&id);
        writeln!(self.trace, "n{id} Crash").expect("a string takes everything");
    }

    fn arrive(&mut self, (from, to, way, bytes): Flight) {
        let is_cut = self.cut.is_some_and(|cut| cut == from || cut == to);
        if !is_cut && self.nodes.contains_key(&to) {
            self.give(to, "Received", Input::Received(address(from), way, bytes));
        }
    }

    /// One input, its step in the trace, and what the node sends because of it.
    fn give(&mut self, id: u64, action: &str, input: Input) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.handle(self.now, input);
        let outputs: Vec<Output> = std::iter::from_fn(|| node.poll()).collect();
        self.note(id, action);
        for output in outputs {
            match output {
                Output::Send(to, way, bytes) => self.send(id, to, way, bytes),
                Output::Left => {
                    self.crash(id);
                    return;
                }
                _ => {}
            }
        }
    }

    /// The step, unless nothing can be seen of it.
    fn note(&mut self, id: u64, action: &str) {
        let row = row(&self.nodes[&id]);
        let is_news = self.rows.get(&id) != Some(&row);
        if is_news || !matches!(action, "Tick" | "Received") {
            writeln!(self.trace, "n{id} {action}{row}").expect("a string takes everything");
        }
        self.rows.insert(id, row);
    }

    fn send(&mut self, from: u64, to: SocketAddr, way: Way, bytes: Vec<u8>) {
        let loss = if way == Way::Datagram { 20 } else { 5 };
        if self.rng.chance(loss) {
            return;
        }
        let Some(to) = (1..=NODES).find(|&id| address(id) == to) else {
            return;
        };
        let delay = Duration::from_micros(200 + self.rng.below(50_000));
        self.count += 1;
        self.flights
            .insert((self.now + delay, self.count), (from, to, way, bytes));
    }
}

fn address(id: u64) -> SocketAddr {
    let last = u8::try_from(id).expect("few nodes");
    SocketAddr::from(([10, 0, 0, last], 7_000))
}

fn meta() -> Meta {
    Meta {
        zone: "".into(),
        weight: 100,
        wire: (1, 1),
        standing: Standing::Usable,
    }
}

fn row(node: &Membership) -> String {
    let mut row = String::new();
    for member in node.members() {
        let state = match member.state {
            State::Alive => "alive",
            State::Suspect => "suspect",
            State::Dead => "dead",
            State::Left => "left",
        };
        let (id, incarnation) = (member.id.0, member.incarnation.0);
        write!(row, " n{id}={state}:{incarnation}").expect("a string takes everything");
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        let trace = membership(7, Mutation::None);
        assert_eq!(trace, membership(7, Mutation::None));
        assert_ne!(trace, membership(8, Mutation::None));
    }

    #[test]
    fn traces_show_suspicion_death_farewell_and_return() {
        for seed in 0..20 {
            let trace = membership(seed, Mutation::None);
            for word in [
                "=suspect:",
                "=dead:",
                "=left:",
                " Leave ",
                " Crash",
                " Forget ",
                " Describe ",
            ] {
                assert!(trace.contains(word), "seed {seed} lacks {word}:\n{trace}");
            }
        }
    }

    #[test]
    fn a_trace_is_short_enough_to_be_checked() {
        for seed in 0..20 {
            let steps = membership(seed, Mutation::None).lines().count();
            assert!(steps < 300, "seed {seed}: {steps} steps");
        }
    }
}
