//! One process with a whole node in it, driven as the agent drives it.
//!
//! Restored, wall clock and load at boot; the wall clock every second; a tick at the deadline;
//! records as bytes on the disk. Packets are sealed with a checksum, as the agent seals them with
//! a key: what was corrupted on the way never reaches the node.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use base::{Duration, NodeId, Origin, Slot, Ticket, Time, Wall, Way, hash64};
use health::{
    Answer, Batch, ClusterConfig, Config, Definition, Event, Finding, Input, Key, Mutation, Node,
    Notice, Output, Probed, Record, Request, Source, WIRE, WIRE_OLDEST, Write,
};

use super::scale::Traffic;
use crate::cluster::{self, Boot, Effect, Host};

/// What is asked of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Its config file has changed.
    Load(Vec<Arc<Definition>>),
    /// Define a target through the API.
    Put(Request, Arc<Definition>),
    /// Take a target made through the API away.
    Delete(Request, Arc<str>),
    /// Give all targets away.
    Drain(Request),
    /// Do so, and say farewell within so long; then the process ends.
    Leave(Duration),
    /// A probe of this life of the process comes back, so long after it was started.
    Probed {
        /// Which life.
        life: u64,
        /// Which target.
        slot: Slot,
        /// Which check.
        ticket: Ticket,
        /// How long it took.
        after: Duration,
        /// What it found.
        finding: Finding,
    },
}

/// What a process says to those who check promises.
#[derive(Clone, Debug)]
pub enum Word {
    /// A probe was started.
    Probe {
        /// Of what.
        definition: Arc<Definition>,
        /// Where.
        slot: Slot,
        /// Which.
        ticket: Ticket,
        /// Another node asked for it.
        is_opinion: bool,
    },
    /// A slot means this from now on.
    Defined(Arc<Definition>),
    /// A target changed its state.
    Event(Event),
    /// A request was answered.
    Answer(Request, Answer),
    /// Readers see something new.
    View,
    /// For people.
    Notice(Notice),
    /// Another live node has its name: it must end.
    Refused,
    /// It has said farewell: it ends.
    Left,
}

/// How a process is set up, beside what its host says.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// So many of the first hosts are known at boot.
    pub(super) contacts: u32,
    /// The number in the first host's name.
    pub(super) first: u32,
    pub(super) file: Vec<Arc<Definition>>,
    pub(super) mutation: Option<Mutation>,
    /// What its wall clock is off by, in milliseconds.
    pub(super) skew_ms: i64,
    /// Something keeps its wall clock right while its own clock drifts, as machines in a fleet have
    /// it: over many minutes a drift would be more than a beat may be off.
    pub(super) keeps_time: bool,
}

/// A ticket from here on belongs to an opinion.
const OPINION: u32 = 1 << 31;
/// How often the node hears the wall clock.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// One host's process.
#[derive(Debug)]
pub struct Process {
    node: Node,
    life: u64,
    wall_ms: i64,
    /// By how many millionths its own clock is faster than its wall clock.
    drift: i64,
    clock_at: Time,
    defined: BTreeMap<Slot, Arc<Definition>>,
    flights: BTreeMap<(Slot, Ticket), (Time, Duration)>,
    effects: VecDeque<Effect<Word>>,
    traffic: Traffic,
}

impl Process {
    pub(super) fn new(boot: &Boot, setup: &Setup) -> Self {
        let wall = boot.wall_ms - boot.skew_ms;
        let wall_ms = i64::try_from(wall).expect("a wall clock") + setup.skew_ms;
        let others = (0..setup.contacts).map(Host).filter(|h| *h != boot.host);
        let cluster = ClusterConfig {
            name: name_of(boot.host, setup.first),
            address: boot.address,
            zone: "".into(),
            weight: 1,
            join: others.map(|host| host.address(0)).collect(),
            seed: boot.seed,
            fresh_id: NodeId(hash64(&boot.seed.to_le_bytes()) | 1),
            // Every boot is an upgrade, or the way back.
            wire: if boot.seed.is_multiple_of(3) {
                WIRE_OLDEST
            } else {
                WIRE
            },
            wall_ms: wall_ms.unsigned_abs(),
        };
        let config = Config {
            cluster: Some(cluster),
            fresh_origin: Origin(boot.seed | 1),
            mutation: setup.mutation,
            ..Config::default()
        };
        let node = Node::new(config).expect("the config is well");
        let mut process = Self {
            node,
            life: boot.life,
            wall_ms,
            drift: if setup.keeps_time { boot.drift } else { 0 },
            clock_at: boot.now,
            defined: BTreeMap::new(),
            flights: BTreeMap::new(),
            effects: VecDeque::new(),
            traffic: Traffic::default(),
        };
        let records = boot.disk.iter().map(|(key, value)| Record {
            key: key_of(key).expect("only a process writes here"),
            value: value.clone(),
        });
        process.give(boot.now, Input::Restored(records.collect()));
        process.tell_clock(boot.now);
        process.give(boot.now, Input::Load(Source::File, setup.file.clone()));
        process
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// How often the process had been started before.
    #[must_use]
    pub const fn life(&self) -> u64 {
        self.life
    }

    /// What it has sent in this life.
    #[must_use]
    pub const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn tell_clock(&mut self, now: Time) {
        self.clock_at = now + CLOCK_EVERY;
        let since = i64::try_from(now.0).expect("a span");
        let since = (since - since / 1_000_000 * self.drift) / 1_000;
        self.give(now, Input::WallClock(Wall(self.wall_ms + since)));
    }

    fn give(&mut self, now: Time, input: Input) {
        self.node.handle(now, input);
        while let Some(output) = self.node.poll() {
            self.take(now, output);
        }
    }

    fn say(&mut self, word: Word) {
        self.effects.push_back(Effect::Say(word));
    }

    fn take(&mut self, now: Time, output: Output) {
        match output {
            Output::Probe(check) => {
                let (slot, ticket) = (check.slot, check.ticket);
                let definition = self.defined.get(&slot).expect("defined before checked");
                let definition = Arc::clone(definition);
                self.flights
                    .insert((slot, ticket), (now, definition.timeout));
                self.say(Word::Probe {
                    definition,
                    slot,
                    ticket,
                    is_opinion: ticket.0 >= OPINION,
                });
            }
            Output::Define(slot, definition, _) => {
                self.defined.insert(slot, Arc::clone(&definition));
                self.say(Word::Defined(definition));
            }
            Output::Undefine(slot) => drop(self.defined.remove(&slot)),
            Output::Persist { batch, writes, .. } => {
                let writes = writes.into_iter().map(|write| match write {
                    Write::Set(key, value) => (bytes_of(&key), Some(value)),
                    Write::Remove(key) => (bytes_of(&key), None),
                });
                let persist = Effect::Persist(batch.0, writes.collect());
                self.effects.push_back(persist);
            }
            Output::Answer(request, answer) => self.say(Word::Answer(request, answer)),
            Output::Event(event) => self.say(Word::Event(event)),
            Output::View(_) => self.say(Word::View),
            Output::Notice(notice) => self.say(Word::Notice(*notice)),
            Output::Refused { .. } => self.say(Word::Refused),
            Output::Left => self.say(Word::Left),
            Output::Send(to, way, bytes) => {
                self.traffic.add(way == Way::Datagram, &bytes);
                self.effects.push_back(Effect::Send(to, way, sealed(bytes)));
            }
            Output::Inquired(inquiry, _) => {
                self.give(now, Input::Tell(inquiry, Box::default()));
            }
            Output::Past(..) | Output::Judged(..) | Output::Loaded(..) | Output::Told(..) => {}
        }
    }

    fn probed(&mut self, now: Time, slot: Slot, ticket: Ticket, after: Duration, finding: Finding) {
        let flight = self.flights.remove(&(slot, ticket));
        let (began, timeout) = flight.expect("only what was started comes back");
        self.give(
            now,
            Input::Probed(Probed {
                slot,
                ticket,
                finding,
                late: now.since(began + after),
                timeout,
                local: false,
                detail: None,
            }),
        );
    }
}

/// What people call a host's node, where the first has this number.
pub(super) fn name_of(host: Host, first: u32) -> Arc<str> {
    format!("n{}", host.0 + first).into()
}

/// The host of a node's name; `None` for the bare id of a life that nobody remembers any more.
pub(super) fn host_of(name: &str, first: u32) -> Option<Host> {
    let number: u32 = name.strip_prefix('n')?.parse().ok()?;
    number.checked_sub(first).map(Host)
}

/// What this world's seal adds to a packet: a checksum.
pub(super) const SEAL: u64 = 8;

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = hash64(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

fn opened(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let at = bytes.len().checked_sub(8)?;
    let sum = bytes.split_off(at);
    (hash64(&bytes).to_le_bytes() == sum[..]).then_some(bytes)
}

fn bytes_of(key: &Key) -> Vec<u8> {
    match key {
        Key::Origin => b"o".to_vec(),
        Key::Status(name) => [b"s", name.as_bytes()].concat(),
        Key::Definition(name) => [b"d", name.as_bytes()].concat(),
        Key::Members => b"m".to_vec(),
        Key::Store(key) => [&b"r"[..], key].concat(),
    }
}

fn key_of(bytes: &[u8]) -> Option<Key> {
    let (kind, rest) = bytes.split_first()?;
    let name = || std::str::from_utf8(rest).ok().map(Arc::from);
    Some(match kind {
        b'o' => Key::Origin,
        b's' => Key::Status(name()?),
        b'd' => Key::Definition(name()?),
        b'm' => Key::Members,
        b'r' => Key::Store(rest.to_vec()),
        _ => return None,
    })
}

impl cluster::Node for Process {
    type Call = Call;
    type Word = Word;

    fn received(&mut self, now: Time, from: SocketAddr, way: Way, bytes: Vec<u8>) {
        if let Some(bytes) = opened(bytes) {
            self.give(now, Input::Received(from, way, bytes));
        }
    }

    fn call(&mut self, now: Time, call: Call) {
        match call {
            Call::Drain(request) => self.give(now, Input::Drain(request)),
            Call::Leave(within) => self.give(now, Input::Leave(within)),
            Call::Load(file) => self.give(now, Input::Load(Source::File, file)),
            Call::Put(request, definition) => self.give(now, Input::Put(request, definition)),
            Call::Delete(request, name) => self.give(now, Input::Delete(request, name)),
            Call::Probed {
                life,
                slot,
                ticket,
                after,
                finding,
            } if life == self.life => self.probed(now, slot, ticket, after, finding),
            Call::Probed { .. } => {}
        }
    }

    fn persisted(&mut self, now: Time, mark: u64) {
        self.give(now, Input::Persisted(Batch(mark)));
    }

    fn moved(&mut self, _: Time, _: SocketAddr) {
        unreachable!("hosts stay where they are in these courses")
    }

    fn tick(&mut self, now: Time) {
        if now >= self.clock_at {
            self.tell_clock(now);
        }
        if self.node.deadline().is_some_and(|due| due <= now) {
            self.give(now, Input::Tick);
        }
    }

    fn deadline(&self) -> Option<Time> {
        let clock = Some(self.clock_at);
        self.node.deadline().into_iter().chain(clock).min()
    }

    fn poll(&mut self) -> Option<Effect<Word>> {
        let first = self.effects.pop_front();
        if first.is_none() {
            self.effects.shrink_to(64);
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_from_disk_as_it_was_written() {
        let keys = [
            Key::Origin,
            Key::Status("a".into()),
            Key::Definition("é".into()),
            Key::Members,
            Key::Store(vec![0, 255]),
        ];
        for key in keys {
            assert_eq!(key_of(&bytes_of(&key)), Some(key));
        }
        assert_eq!(key_of(b"x"), None);
    }

    #[test]
    fn corrupted_bytes_do_not_open() {
        let mut bytes = sealed(b"hello".to_vec());
        assert_eq!(opened(bytes.clone()), Some(b"hello".to_vec()));
        bytes[2] ^= 1;
        assert_eq!(opened(bytes), None);
    }
}
