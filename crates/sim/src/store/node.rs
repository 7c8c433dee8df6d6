//! A store as a node of the world: one host, one disk, one core.
//!
//! Messages are sealed with a checksum, as the shell seals them with a key: bytes that were
//! corrupted on the way never reach the core.

use std::net::{IpAddr, SocketAddr};

use base::{Duration, NodeId, Origin, Time, Version, Way, hash64};
use store::{Config, Input, Mark, Output, Record, Store};

use super::view::Core;
use crate::cluster::{Boot, Effect, Host, Node};

/// What is asked of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Write this.
    Put(Vec<u8>, Vec<u8>),
    /// Take this key away.
    Delete(Vec<u8>),
    /// Write what is shown under this key once more, if it has siblings: the collapse write.
    Collapse(Vec<u8>),
    /// Whom to exchange with, and whom to wait for.
    Peers(Vec<NodeId>, Vec<NodeId>),
    /// This origin's node is gone for good.
    Retire(Origin),
}

/// What a store says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// What is held under this key has changed and is on disk.
    Changed(Vec<u8>),
    /// This write is on this disk and on another one.
    Confirmed(Version),
    /// It writes under another origin from now on.
    Renamed(Origin, &'static str),
}

/// How the world looks at its stores.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Whether messages carry a checksum; without, bytes are counted as the core made them.
    pub sealed: bool,
    /// Datagrams that contain these bytes are counted.
    pub marker: Option<Vec<u8>>,
}

/// One host with a store.
#[derive(Debug)]
pub struct Replica<C = Store> {
    store: C,
    sealed: bool,
    marker: Option<Vec<u8>>,
    /// How many datagrams with the marker have been sent.
    marked: u64,
    /// The longest datagram.
    longest: usize,
    /// How much was sent since the last input, and the most that ever was.
    sends: (usize, usize),
}

/// The id of a host's node.
#[must_use]
pub fn id_of(host: Host) -> NodeId {
    NodeId(u64::from(host.0) + 1)
}

/// The host of a node.
#[must_use]
pub fn host_of(id: NodeId) -> Host {
    Host(u32::try_from(id.0 - 1).expect("ids are made from hosts"))
}

impl<C: Core> Replica<C> {
    /// Starts a host's process over what its disk holds; `change` changes the presets.
    ///
    /// # Panics
    /// When the disk's content is not what a store wrote.
    #[must_use]
    pub fn new(boot: &Boot, tuning: &Tuning, change: impl FnOnce(&mut Config)) -> Self {
        let origin = Origin(hash64(&boot.seed.to_le_bytes()));
        let mut config = config(id_of(boot.host), origin, boot.seed);
        change(&mut config);
        let store = C::new(config, records(&boot.disk)).expect("a disk that a store wrote");
        Self {
            store,
            sealed: tuning.sealed,
            marker: tuning.marker.clone(),
            marked: 0,
            longest: 0,
            sends: (0, 0),
        }
    }

    /// The core.
    #[must_use]
    pub const fn store(&self) -> &C {
        &self.store
    }

    /// How many datagrams with the marker have been sent.
    #[must_use]
    pub const fn marked(&self) -> u64 {
        self.marked
    }

    /// The longest datagram, in bytes of the core's.
    #[must_use]
    pub const fn longest(&self) -> usize {
        self.longest
    }

    /// The most messages that one input ever made it send.
    #[must_use]
    pub const fn most_sends(&self) -> usize {
        self.sends.1
    }

    fn sealed(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.sealed {
            let sum = hash64(&bytes);
            bytes.extend_from_slice(&sum.to_le_bytes());
        }
        bytes
    }

    fn opened(&self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        if !self.sealed {
            return Some(bytes);
        }
        let at = bytes.len().checked_sub(8)?;
        let sum = bytes.split_off(at);
        (hash64(&bytes).to_le_bytes() == sum[..]).then_some(bytes)
    }

    fn count(&mut self, way: Way, bytes: &[u8]) {
        self.sends.0 += 1;
        self.sends.1 = self.sends.1.max(self.sends.0);
        if way == Way::Datagram {
            self.longest = self.longest.max(bytes.len());
        }
        let Some(marker) = &self.marker else {
            return;
        };
        let found = bytes
            .windows(marker.len())
            .any(|window| window == &marker[..]);
        if way == Way::Datagram && found {
            self.marked += 1;
        }
    }
}

/// The core's settings with its presets.
#[must_use]
pub(crate) const fn config(me: NodeId, origin: Origin, seed: u64) -> Config {
    Config::lan(me, origin, seed)
}

/// A disk's content as records.
pub(crate) fn records(disk: &[(Vec<u8>, Vec<u8>)]) -> Vec<Record> {
    let record = |(key, content): &(Vec<u8>, Vec<u8>)| Record {
        key: key.clone(),
        content: Some(content.clone()),
    };
    disk.iter().map(record).collect()
}

fn host_at(address: SocketAddr) -> Host {
    let IpAddr::V4(ip) = address.ip() else {
        unreachable!("hosts have IPv4 addresses");
    };
    let [_, a, b, c] = ip.octets();
    Host(u32::from_be_bytes([0, a, b, c]))
}

impl<C: Core> Node for Replica<C> {
    type Call = Call;
    type Word = Word;

    fn received(&mut self, now: Time, from: SocketAddr, way: Way, bytes: Vec<u8>) {
        if let Some(bytes) = self.opened(bytes) {
            let from = id_of(host_at(from));
            self.store.handle(now, Input::Received(from, way, bytes));
        }
    }

    fn call(&mut self, now: Time, call: Call) {
        let input = match call {
            Call::Put(key, value) => Input::Put(key, value),
            Call::Delete(key) => Input::Delete(key),
            Call::Collapse(key) => match self.store.view().collapse(&key) {
                Some(Some(value)) => Input::Put(key, value),
                Some(None) => Input::Delete(key),
                None => return,
            },
            Call::Peers(live, frontier) => Input::Peers { live, frontier },
            Call::Retire(origin) => Input::Retire(origin),
        };
        self.store.handle(now, input);
    }

    fn persisted(&mut self, now: Time, mark: u64) {
        self.store.handle(now, Input::Persisted(Mark(mark)));
    }

    fn moved(&mut self, _: Time, _: SocketAddr) {}

    fn tick(&mut self, now: Time) {
        self.store.handle(now, Input::Tick);
    }

    fn deadline(&self) -> Option<Time> {
        self.store.deadline()
    }

    fn poll(&mut self) -> Option<Effect<Word>> {
        let Some(output) = self.store.poll() else {
            self.sends.0 = 0;
            return None;
        };
        Some(match output {
            Output::Send(to, way, bytes) => {
                self.count(way, &bytes);
                Effect::Send(host_of(to).address(0), way, self.sealed(bytes))
            }
            Output::Persist(mark, records) => {
                let write = |record: Record| (record.key, record.content);
                Effect::Persist(mark.0, records.into_iter().map(write).collect())
            }
            Output::Changed(key) => Effect::Say(Word::Changed(key)),
            Output::Confirmed(version) => Effect::Say(Word::Confirmed(version)),
            Output::Renamed(origin, why) => Effect::Say(Word::Renamed(origin, why)),
        })
    }
}

/// How long a detector waits, unless the course says something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
