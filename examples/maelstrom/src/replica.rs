//! Sets and counters as keys of the `store` core, and its messages as JSON bodies.
//!
//! An element of the set is a key with an empty value; a node's part of the counter is a key that only
//! that node writes, whose value is its sum so far. The disk is a promise at once kept: these nodes lose all
//! when they end, as Maelstrom's do not. Does not know the protocol's requests.

mod streams;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{NodeId, Origin, Rng, Time, Way};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use store::{Config, Input, Output, Store};

use self::streams::{Place, Streams};
use crate::message::Message;
use crate::tuning::Tuning;

/// First byte of an element's key; its JSON text follows.
const ELEMENT: u8 = b'e';
/// First byte of a counter's key; its node's name follows.
const COUNTER: u8 = b'c';

/// One node's copy of the set and of the counter.
#[derive(Debug)]
pub(crate) struct Replica {
    store: Store,
    streams: Streams,
    me: String,
    /// All nodes in order; one's [`NodeId`] is its place, from 1.
    names: Vec<String>,
    /// What reads show, in the order in which it came.
    elements: Vec<Value>,
    known: BTreeSet<Vec<u8>>,
    /// Each node's sum so far, by key.
    sums: BTreeMap<Vec<u8>, i64>,
}

impl Replica {
    /// A copy that knows nothing yet, or why there can be none.
    pub(crate) fn new(
        now: Time,
        me: &str,
        mut names: Vec<String>,
        tuning: Tuning,
        rng: &mut Rng,
    ) -> Result<Self, String> {
        names.sort();
        names.dedup();
        let place = names.iter().position(|name| name == me);
        let place = place.ok_or_else(|| format!("node_ids does not list {me:?} itself"))?;
        let id = |place: usize| NodeId(place as u64 + 1);
        let live: Vec<NodeId> = tuning
            .peers(place, names.len())
            .into_iter()
            .map(id)
            .collect();
        let config = Config {
            round: tuning.round(),
            fan_out: tuning.fan_out(live.len()),
            transmissions: tuning.transmissions(live.len()),
            ..Config::lan(id(place), Origin(rng.word()), rng.word())
        };
        let mut store = Store::new(config, Vec::new()).map_err(|e| e.to_string())?;
        let all = (0..names.len()).filter(|i| *i != place).map(id);
        let frontier = all.collect();
        store.handle(now, Input::Peers { live, frontier });
        Ok(Self {
            store,
            streams: Streams::new(rng.word()),
            me: me.to_owned(),
            names,
            elements: Vec::new(),
            known: BTreeSet::new(),
            sums: BTreeMap::new(),
        })
    }

    pub(crate) fn tick(&mut self, now: Time) {
        self.store.handle(now, Input::Tick);
        self.read_streams(now);
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let patience = self.streams.deadline();
        self.store.deadline().into_iter().chain(patience).min()
    }

    /// Takes in another node's message; false if it is none.
    pub(crate) fn received(&mut self, now: Time, message: &Message) -> bool {
        let Some(place) = self.names.iter().position(|name| *name == message.src) else {
            return false;
        };
        let bytes = message
            .text("bytes")
            .map(|text| STANDARD_NO_PAD.decode(text));
        let Some(Ok(bytes)) = bytes else {
            return false;
        };
        let from = NodeId(place as u64 + 1);
        match message.body.get("stream") {
            None => {
                let received = Input::Received(from, Way::Datagram, bytes);
                self.store.handle(now, received);
            }
            Some(stream) => {
                let number = |i: usize| stream.get(i).and_then(Value::as_u64);
                let (Some(boot), Some(number)) = (number(0), number(1)) else {
                    return false;
                };
                self.streams.take(now, from, Place { boot, number }, bytes);
                self.read_streams(now);
            }
        }
        true
    }

    /// Gives the store what is in order by now.
    fn read_streams(&mut self, now: Time) {
        while let Some((from, bytes)) = self.streams.ready(now) {
            let received = Input::Received(from, Way::Stream, bytes);
            self.store.handle(now, received);
        }
    }

    /// Does what the store wants done; what is to be sent goes to `out`.
    pub(crate) fn drain(&mut self, now: Time, out: &mut VecDeque<Message>) {
        while let Some(output) = self.store.poll() {
            match output {
                Output::Send(to, way, bytes) => out.extend(self.packed(to, way, &bytes)),
                Output::Persist(mark, _) => {
                    self.store.handle(now, Input::Persisted(mark));
                }
                Output::Changed(key) => self.changed(key),
                Output::Confirmed(_) | Output::Renamed(..) => {}
            }
        }
    }

    fn packed(&mut self, to: NodeId, way: Way, bytes: &[u8]) -> Option<Message> {
        let name = usize::try_from(to.0.checked_sub(1)?).ok()?;
        let mut body = json!({"type": "store", "bytes": STANDARD_NO_PAD.encode(bytes)});
        if way == Way::Stream {
            let Place { boot, number } = self.streams.place(to);
            body["stream"] = json!([boot, number]);
        }
        Some(Message::new(&self.me, self.names.get(name)?, body))
    }

    fn changed(&mut self, key: Vec<u8>) {
        match key.split_first() {
            Some((&ELEMENT, text)) => {
                if let Ok(element) = serde_json::from_slice(text)
                    && self.known.insert(key)
                {
                    self.elements.push(element);
                }
            }
            Some((&COUNTER, _)) => {
                if let Some(sum) = self.stored_sum(&key) {
                    self.sums.insert(key, sum);
                }
            }
            _ => {}
        }
    }

    fn stored_sum(&self, key: &[u8]) -> Option<i64> {
        let value = self.store.get(key)?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    /// Adds an element; a second time changes nothing.
    pub(crate) fn insert(&mut self, now: Time, element: &Value) {
        let mut key = vec![ELEMENT];
        key.extend(element.to_string().as_bytes());
        if !self.known.contains(&key) {
            self.store.handle(now, Input::Put(key, Vec::new()));
        }
    }

    /// Adds to this node's part of the counter, or says why it can't.
    pub(crate) fn count(&mut self, now: Time, delta: i64) -> Result<(), String> {
        let mut key = vec![COUNTER];
        key.extend(self.me.as_bytes());
        let mine = self.sums.get(&key).copied().unwrap_or_default();
        // The sum of all nodes stays within 64 bits too: each has an equal part of them.
        let most = i64::MAX / i64::try_from(self.names.len()).unwrap_or(i64::MAX);
        let sum = mine.checked_add(delta);
        let sum = sum.filter(|sum| sum.unsigned_abs() <= most.unsigned_abs());
        let sum = sum.ok_or_else(|| format!("{mine} and {delta} leave the range of a counter"))?;
        let value = sum.to_string().into_bytes();
        self.store.handle(now, Input::Put(key, value));
        Ok(())
    }

    /// The set, in the order in which its elements came.
    pub(crate) fn elements(&self) -> &[Value] {
        &self.elements
    }

    /// The counter.
    pub(crate) fn sum(&self) -> i64 {
        self.sums.values().sum()
    }
}
