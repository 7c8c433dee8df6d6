//! Stands in for the `store` core until that is there: the same verbs, every dot kept for ever.
//!
//! Rumours in rounds, a digest pull now and then. Speaks JSON inside, for it is not to stay.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{Duration, NodeId, Rng, Time, Way};
use serde::{Deserialize, Serialize};
use store::{Input, Mark, Output};

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) me: NodeId,
    pub(crate) origin: u64,
    pub(crate) seed: u64,
    pub(crate) pull_every: Duration,
    pub(crate) round: Duration,
    pub(crate) fan_out: usize,
    pub(crate) transmissions: usize,
}

type Dot = (u64, u64);
type Entry = (u64, u64, Vec<u8>, Vec<u8>);

#[derive(Debug, Serialize, Deserialize)]
enum Packet {
    News(Vec<Entry>),
    Digest(Vec<(u64, u64)>, Vec<Dot>),
}

#[derive(Debug)]
pub(crate) struct Store {
    config: Config,
    rng: Rng,
    seq: u64,
    peers: Vec<NodeId>,
    entries: BTreeMap<Dot, (Vec<u8>, Vec<u8>)>,
    latest: BTreeMap<Vec<u8>, (Dot, Vec<u8>)>,
    queue: BTreeMap<Dot, (usize, NodeId)>,
    next_round: Option<Time>,
    last_round: Option<Time>,
    next_pull: Option<Time>,
    out: VecDeque<Output>,
}

impl Store {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            rng: Rng::new(config.seed),
            config,
            seq: 0,
            peers: Vec::new(),
            entries: BTreeMap::new(),
            latest: BTreeMap::new(),
            queue: BTreeMap::new(),
            next_round: None,
            last_round: None,
            next_pull: None,
            out: VecDeque::new(),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.latest.get(key).map(|(_, value)| value.as_slice())
    }

    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.next_round.into_iter().chain(self.next_pull).min()
    }

    pub(crate) fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Tick => {}
            Input::Received(from, _, bytes) => self.received(now, from, &bytes),
            Input::Put(key, value) => {
                self.seq += 1;
                let me = self.config.me;
                self.learn(now, me, (self.config.origin, self.seq, key, value));
                self.out
                    .push_back(Output::Persist(Mark(self.seq), Vec::new()));
            }
            Input::Peers { live, .. } => {
                self.peers = live;
                let wait = self.config.pull_every.mul_f64(0.001)
                    * u32::try_from(self.rng.below(1_000)).unwrap_or(0);
                self.next_pull = Some(now + wait);
            }
            Input::Delete(_) | Input::Persisted(_) | Input::Retire(_) => {}
        }
        if self.next_round.is_some_and(|at| at <= now) {
            self.round(now);
        }
        if self.next_pull.is_some_and(|at| at <= now) {
            self.next_pull = Some(now + self.config.pull_every);
            if let Some(peer) = self.random() {
                let digest = self.digest();
                self.send(peer, &digest);
            }
        }
    }

    fn random(&mut self) -> Option<NodeId> {
        let i = usize::try_from(self.rng.below(self.peers.len() as u64)).ok()?;
        self.peers.get(i).copied()
    }

    fn digest(&self) -> Packet {
        let mut prefix: BTreeMap<u64, u64> = BTreeMap::new();
        let mut beyond = Vec::new();
        for (origin, seq) in self.entries.keys() {
            let have = prefix.entry(*origin).or_default();
            if *seq == *have + 1 {
                *have = *seq;
            } else {
                beyond.push((*origin, *seq));
            }
        }
        Packet::Digest(prefix.into_iter().collect(), beyond)
    }

    fn send(&mut self, to: NodeId, packet: &Packet) {
        let bytes = serde_json::to_vec(packet).expect("numbers and bytes");
        self.out.push_back(Output::Send(to, Way::Stream, bytes));
    }

    fn received(&mut self, now: Time, from: NodeId, bytes: &[u8]) {
        match serde_json::from_slice(bytes) {
            Ok(Packet::News(entries)) => {
                for entry in entries {
                    self.learn(now, from, entry);
                }
            }
            Ok(Packet::Digest(prefix, beyond)) => {
                let prefix: BTreeMap<u64, u64> = prefix.into_iter().collect();
                let beyond: BTreeSet<Dot> = beyond.into_iter().collect();
                let lacks = |dot: &Dot| {
                    dot.1 > prefix.get(&dot.0).copied().unwrap_or(0) && !beyond.contains(dot)
                };
                let missing = self.entries.iter().filter(|(dot, _)| lacks(dot));
                let missing = missing.map(|(d, (k, v))| (d.0, d.1, k.clone(), v.clone()));
                let missing: Vec<Entry> = missing.collect();
                self.send(from, &Packet::News(missing));
            }
            Err(_) => {}
        }
    }

    fn learn(&mut self, now: Time, from: NodeId, (origin, seq, key, value): Entry) {
        let dot = (origin, seq);
        if self.entries.contains_key(&dot) {
            return;
        }
        self.entries.insert(dot, (key.clone(), value.clone()));
        let held = self.latest.get(&key).map(|(held, _)| *held);
        if held.is_none_or(|held| held < dot) {
            self.latest.insert(key.clone(), (dot, value));
        }
        self.out.push_back(Output::Changed(key));
        self.queue.insert(dot, (self.config.transmissions, from));
        let at = self
            .last_round
            .map_or(now, |last| now.max(last + self.config.round));
        self.next_round = Some(self.next_round.map_or(at, |next| next.min(at)));
    }

    fn targets(&mut self) -> Vec<NodeId> {
        let mut all = self.peers.clone();
        for i in (1..all.len()).rev() {
            let j = usize::try_from(self.rng.below(i as u64 + 1)).unwrap_or(0);
            all.swap(i, j);
        }
        all.truncate(self.config.fan_out);
        all
    }

    fn round(&mut self, now: Time) {
        self.next_round = None;
        self.last_round = Some(now);
        for to in self.targets() {
            let due = self
                .queue
                .iter_mut()
                .filter(|(_, (left, from))| *left > 0 && *from != to);
            let mut news = Vec::new();
            for (dot, (left, _)) in due {
                *left -= 1;
                let (key, value) = &self.entries[dot];
                news.push((dot.0, dot.1, key.clone(), value.clone()));
            }
            if !news.is_empty() {
                self.send(to, &Packet::News(news));
            }
        }
        if self.config.fan_out >= self.peers.len() {
            self.queue.clear();
        }
        self.queue.retain(|_, (left, _)| *left > 0);
        self.next_round = (!self.queue.is_empty()).then(|| now + self.config.round);
    }
}
