//! Promises of one store and of a few, over perfect and broken links.

mod closing;

use std::collections::{BTreeMap, VecDeque};

use base::{Duration, NodeId, Origin, Rng, Time, Way};
use crdts::{CmRDT, CvRDT};

use crate::{Config, Input, Mark, Message, Mutation, Output, Record, Store};

/// A few stores with disks that are always in time, and links that lose what they are told to.
struct Cluster {
    stores: BTreeMap<u64, Store>,
    disks: BTreeMap<u64, BTreeMap<Vec<u8>, Vec<u8>>>,
    under_way: VecDeque<(u64, u64, Way, Vec<u8>)>,
    now: Time,
    rng: Rng,
    loss: u64,
    boots: u64,
    mutation: Option<Mutation>,
    confirmed: Vec<base::Version>,
}

impl Cluster {
    fn new(size: u64, seed: u64) -> Self {
        Self::mutated(size, seed, None)
    }

    fn mutated(size: u64, seed: u64, mutation: Option<Mutation>) -> Self {
        let mut cluster = Self {
            stores: BTreeMap::new(),
            disks: BTreeMap::new(),
            under_way: VecDeque::new(),
            now: Time(1),
            rng: Rng::new(seed),
            loss: 0,
            boots: 0,
            mutation,
            confirmed: Vec::new(),
        };
        for id in 1..=size {
            cluster.boot(id);
        }
        cluster.connect_all();
        cluster
    }

    fn boot(&mut self, id: u64) {
        self.boots += 1;
        let seed = self.rng.word();
        let mut config = Config::lan(NodeId(id), Origin(seed | 1), seed ^ self.boots);
        config.mutation = self.mutation;
        let disk = self.disks.entry(id).or_default();
        let records = disk.iter().map(|(key, content)| Record {
            key: key.clone(),
            content: Some(content.clone()),
        });
        let store = Store::new(config, records.collect()).expect("its own records");
        self.stores.insert(id, store);
    }

    fn connect_all(&mut self) {
        let all: Vec<NodeId> = self.stores.keys().map(|id| NodeId(*id)).collect();
        for id in self.stores.keys().copied().collect::<Vec<_>>() {
            let (live, frontier) = (all.clone(), all.clone());
            self.give(id, Input::Peers { live, frontier });
        }
    }

    fn give(&mut self, id: u64, input: Input) {
        let now = self.now;
        let store = self.stores.get_mut(&id).expect("it runs");
        store.handle(now, input);
        let mut marks = Vec::new();
        while let Some(output) = store.poll() {
            match output {
                Output::Send(to, way, bytes) => {
                    assert!(
                        way == Way::Stream || bytes.len() <= 1_200,
                        "{}",
                        bytes.len()
                    );
                    let is_lost = way == Way::Datagram && self.rng.chance(self.loss);
                    if !is_lost {
                        self.under_way.push_back((id, to.0, way, bytes));
                    }
                }
                Output::Persist(mark, records) => {
                    let disk = self.disks.entry(id).or_default();
                    for Record { key, content } in records {
                        match content {
                            Some(content) => disk.insert(key, content),
                            None => disk.remove(&key),
                        };
                    }
                    marks.push(mark);
                }
                Output::Confirmed(version) => self.confirmed.push(version),
                Output::Changed(_) | Output::Renamed(..) => {}
            }
        }
        self.check_what_is_kept(id);
        for mark in marks {
            self.give(id, Input::Persisted(mark));
        }
    }

    /// Hashes and floors are not made anew each time; they must be what they would be then.
    /// Broken once: a claim that grew with an own write was not hashed again.
    fn check_what_is_kept(&mut self, id: u64) {
        let store = self.stores.get_mut(&id).expect("it runs");
        let kept = store.hash();
        let each = store.known.iter().map(|known| store.hash_of(known));
        assert_eq!(kept, each.fold(0, u64::wrapping_add));
        let kept = store.forgotten();
        assert_eq!(kept.closings, store.closings());
        assert_eq!(kept.floors, store.floors_of(|known| !known.is_closed()));
    }

    fn deliver(&mut self) {
        while let Some((from, to, way, bytes)) = self.under_way.pop_front() {
            if self.stores.contains_key(&to) {
                self.give(to, Input::Received(NodeId(from), way, bytes));
            }
        }
    }

    /// One exchange in both directions, over links that lose nothing, and nobody else hears it.
    fn join(&mut self, a: u64, b: u64) {
        self.under_way.clear();
        let hash = self.stores.get_mut(&a).unwrap().hash();
        let pull = Message::Pull(hash).encode();
        // Exchanges that were begun before are over by now.
        self.now += Duration::from_secs(11);
        self.give(b, Input::Received(NodeId(a), Way::Datagram, pull));
        while let Some((from, to, way, bytes)) = self.under_way.pop_front() {
            let is_news = matches!(Message::decode(&bytes), Ok(Message::News { .. }));
            if [a, b].contains(&from) && [a, b].contains(&to) && !is_news {
                self.give(to, Input::Received(NodeId(from), way, bytes));
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.deliver();
            self.now += Duration::from_millis(20);
            for id in self.stores.keys().copied().collect::<Vec<_>>() {
                if self.stores[&id]
                    .deadline()
                    .is_some_and(|due| due <= self.now)
                {
                    self.give(id, Input::Tick);
                }
            }
        }
        self.deliver();
    }

    fn put(&mut self, id: u64, key: &str, value: &str) {
        self.give(id, Input::Put(key.into(), value.into()));
    }

    fn delete(&mut self, id: u64, key: &str) {
        self.give(id, Input::Delete(key.into()));
    }

    fn get(&self, id: u64, key: &str) -> Option<String> {
        let value = self.stores[&id].get(key.as_bytes())?;
        Some(String::from_utf8(value.to_vec()).expect("text"))
    }

    /// All that every store shows.
    fn shown(&self) -> Vec<BTreeMap<Vec<u8>, Vec<u8>>> {
        let of = |store: &Store| {
            let keys = store.iter().map(|(key, _)| key.to_vec());
            keys.filter_map(|key| Some((key.clone(), store.get(&key)?.to_vec())))
                .collect()
        };
        self.stores.values().map(of).collect()
    }

    fn are_equal(&self) -> bool {
        let shown = self.shown();
        shown.windows(2).all(|two| two[0] == two[1])
    }
}

/// The visible values under every key, as an independent CRDT sees them: `crdts` 7, an
/// observed-remove set of (key, value), in which a write takes away all that its writer sees under
/// the key and adds one. (Its map of registers is no oracle: a removal that is merged takes causal
/// history away from the registers that stay.)
#[test]
fn it_shows_what_an_independent_crdt_shows_after_the_same_history() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut cluster = Cluster::new(3, seed);
        let mut oracles: BTreeMap<u64, Oracle> = (1..=3).map(|id| (id, Oracle::new())).collect();
        for step in 0..40_u64 {
            let id = rng.below(3) + 1;
            let key = format!("k{}", rng.below(3));
            match rng.below(4) {
                0 | 1 => {
                    cluster.put(id, &key, &step.to_string());
                    let oracle = oracles.get_mut(&id).expect("one of three");
                    take_away(oracle, &key);
                    let context = oracle.read_ctx().derive_add_ctx(id);
                    oracle.apply(oracle.add((key, step.to_string()), context));
                }
                2 => {
                    cluster.delete(id, &key);
                    take_away(oracles.get_mut(&id).expect("one of three"), &key);
                }
                _ => {
                    // What one holds reaches another, whole and both ways.
                    let other = id % 3 + 1;
                    cluster.join(id, other);
                    let mut joined = oracles[&id].clone();
                    joined.merge(oracles[&other].clone());
                    oracles.insert(id, joined.clone());
                    oracles.insert(other, joined);
                }
            }
            for (id, oracle) in &oracles {
                let mut theirs: Vec<(String, String)> = oracle.read().val.into_iter().collect();
                theirs.sort();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
                let mut ours: Vec<(String, String)> = cluster.stores[id]
                    .iter()
                    .filter_map(|(key, held)| Some((text(&key), text(held.value?))))
                    .collect();
                ours.sort();
                assert_eq!(ours, theirs, "seed {seed}, step {step}, node {id}");
            }
        }
    }
}

type Oracle = crdts::Orswot<(String, String), u64>;

fn take_away(oracle: &mut Oracle, key: &str) {
    let all = oracle.read().val;
    for member in all.into_iter().filter(|(of, _)| of == key) {
        let context = oracle.contains(&member).derive_rm_ctx();
        oracle.apply(oracle.rm(member, context));
    }
}

/// Exchanges in any order and however often lead to the same state.
#[test]
fn joining_is_commutative_associative_and_idempotent() {
    for seed in 0..300 {
        let histories = |order: &[(u64, u64)]| {
            let mut rng = Rng::new(seed);
            let mut cluster = Cluster::new(3, seed);
            for step in 0..30_u64 {
                let id = rng.below(3) + 1;
                let key = format!("k{}", rng.below(4));
                if rng.chance(70) {
                    cluster.put(id, &key, &step.to_string());
                } else {
                    cluster.delete(id, &key);
                }
            }
            for &(a, b) in order {
                cluster.join(a, b);
            }
            cluster.shown()
        };
        let once = histories(&[(1, 2), (2, 3), (3, 1), (1, 2)]);
        assert!(once.windows(2).all(|two| two[0] == two[1]), "seed {seed}");
        let other_way = histories(&[(3, 2), (1, 3), (2, 1), (2, 3)]);
        assert_eq!(once, other_way, "seed {seed}: commutative and associative");
        let twice = histories(&[
            (1, 2),
            (1, 2),
            (2, 3),
            (3, 2),
            (3, 1),
            (1, 2),
            (2, 3),
            (1, 2),
        ]);
        assert_eq!(once, twice, "seed {seed}: idempotent");
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_is_written_on_one_is_read_on_all() {
    let mut cluster = Cluster::new(3, 1);
    cluster.put(1, "a", "1");
    cluster.put(2, "b", "2");
    cluster.run(SECOND);
    for id in 1..=3 {
        assert_eq!(cluster.get(id, "a").as_deref(), Some("1"));
        assert_eq!(cluster.get(id, "b").as_deref(), Some("2"));
    }
}

#[test]
fn a_write_is_confirmed_once_a_peer_has_it_on_disk() {
    let mut cluster = Cluster::new(3, 1);
    cluster.put(1, "a", "1");
    assert_eq!(cluster.confirmed, []);
    cluster.run(SECOND);
    let version = cluster.stores[&1].version().expect("it has written");
    assert_eq!(cluster.confirmed, [version]);
    assert!(cluster.stores[&3].is_satisfied(version));
}

#[test]
fn a_lone_store_confirms_by_itself() {
    let mut cluster = Cluster::new(1, 1);
    cluster.put(1, "a", "1");
    assert_eq!(cluster.confirmed.len(), 1);
}

#[test]
fn writes_that_did_not_know_of_each_other_are_both_kept_until_somebody_who_saw_both_writes() {
    let mut cluster = Cluster::new(2, 1);
    cluster.loss = 100;
    cluster.put(1, "k", "one");
    cluster.put(2, "k", "two");
    cluster.under_way.clear();
    cluster.loss = 0;
    cluster.run(3 * SECOND);
    for store in cluster.stores.values() {
        assert_eq!(store.entries(b"k").len(), 2);
    }
    cluster.put(1, "k", "both");
    cluster.run(3 * SECOND);
    for store in cluster.stores.values() {
        let held = store.entries(b"k");
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].value, Some(&b"both"[..]));
        assert_eq!(held[0].context, 0, "everybody has seen it");
    }
}

#[test]
fn a_delete_leaves_nothing_behind_once_everybody_has_seen_it() {
    let mut cluster = Cluster::new(3, 1);
    cluster.put(1, "k", "v");
    cluster.run(SECOND);
    cluster.delete(2, "k");
    cluster.run(10 * SECOND);
    for store in cluster.stores.values() {
        assert_eq!(store.len(), 0);
    }
}

/// Broken once: without the reset the absent node brought the key back for itself for ever.
#[test]
fn who_was_away_while_a_delete_was_forgotten_does_not_bring_the_key_back() {
    for mutation in [None, Some(Mutation::FloorIgnored)] {
        let mut cluster = Cluster::mutated(3, 1, mutation);
        cluster.put(1, "k", "v");
        cluster.run(2 * SECOND);
        let away = cluster.stores.remove(&3).expect("it was there");
        cluster.connect_all();
        cluster.delete(2, "k");
        cluster.run(10 * SECOND);
        assert!(cluster.stores.values().all(Store::is_empty));
        cluster.stores.insert(3, away);
        cluster.connect_all();
        cluster.run(10 * SECOND);
        let is_gone = cluster.stores.values().all(Store::is_empty);
        assert_eq!(is_gone, mutation.is_none());
    }
}

#[test]
fn a_restart_keeps_everything_and_never_uses_a_dot_again() {
    let mut cluster = Cluster::new(2, 1);
    cluster.put(1, "k", "old");
    cluster.run(2 * SECOND);
    let before = cluster.stores[&1].version().expect("it has written");
    // The disk goes back to before a second write that the peer has seen.
    let backup = cluster.disks[&1].clone();
    cluster.put(1, "k", "new");
    cluster.run(2 * SECOND);
    cluster.disks.insert(1, backup);
    cluster.boot(1);
    cluster.connect_all();
    assert_eq!(cluster.get(1, "k").as_deref(), Some("old"));
    cluster.put(1, "other", "x");
    let after = cluster.stores[&1].version().expect("it has written");
    assert_ne!(before.origin, after.origin);
    cluster.run(5 * SECOND);
    assert!(cluster.are_equal(), "{:?}", cluster.shown());
    assert_eq!(cluster.get(1, "k").as_deref(), Some("new"));
}

#[test]
fn a_retired_origin_leaves_the_digest_and_its_entries_stay() {
    let mut cluster = Cluster::new(3, 1);
    cluster.put(3, "k", "v");
    cluster.run(2 * SECOND);
    let gone = cluster.stores[&3].version().expect("it has written").origin;
    cluster.stores.remove(&3);
    cluster.connect_all();
    for id in 1..=2 {
        cluster.give(id, Input::Retire(gone));
    }
    cluster.run(20 * SECOND);
    for store in cluster.stores.values() {
        assert_eq!(store.get(b"k"), Some(&b"v"[..]));
        let vector = store.vector();
        assert!(vector.seen.iter().all(|(origin, _)| *origin != gone));
        assert!(vector.retired.iter().any(|(origin, _)| *origin == gone));
    }
}

#[test]
fn everything_converges_whatever_is_lost_and_whoever_restarts() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut cluster = Cluster::new(3 + seed % 3, seed);
        cluster.loss = rng.below(40);
        let size = cluster.stores.len() as u64;
        for step in 0..60_u64 {
            let id = rng.below(size) + 1;
            let key = format!("k{}", rng.below(6));
            match rng.below(10) {
                0..6 => cluster.put(id, &key, &step.to_string()),
                6..8 => cluster.delete(id, &key),
                8 => {
                    cluster.boot(id);
                    cluster.connect_all();
                }
                _ => cluster.under_way.clear(),
            }
            cluster.run(Duration::from_millis(rng.below(400)));
        }
        cluster.loss = 0;
        cluster.run(30 * SECOND);
        assert!(cluster.are_equal(), "seed {seed}: {:?}", cluster.shown());
        for store in cluster.stores.values() {
            let contexts: usize = store.iter().map(|(_, held)| held.context).sum();
            assert_eq!(contexts, 0, "seed {seed}");
        }
    }
}

#[test]
fn a_large_backlog_arrives_whole() {
    let mut cluster = Cluster::new(3, 1);
    for n in 0..20_000 {
        cluster.put(1, &format!("key{n}"), "value");
    }
    cluster.run(4 * SECOND);
    assert!(cluster.stores.values().all(|store| store.len() == 20_000));
}

#[test]
fn what_is_not_on_disk_is_neither_sent_nor_claimed() {
    let mut store = Store::new(Config::lan(NodeId(1), Origin(1), 1), Vec::new()).unwrap();
    let peers = Input::Peers {
        live: vec![NodeId(2)],
        frontier: vec![NodeId(2)],
    };
    store.handle(Time(1), peers);
    while store.poll().is_some() {}
    store.handle(Time(2), Input::Put(b"k".to_vec(), b"v".to_vec()));
    let mut mark = None;
    while let Some(output) = store.poll() {
        match output {
            Output::Persist(at, _) => mark = Some(at),
            Output::Send(_, _, bytes) => {
                let message = Message::decode(&bytes).unwrap();
                assert!(!matches!(message, Message::News { .. }));
            }
            _ => {}
        }
    }
    assert_eq!(store.claimed().seen, []);
    store.handle(Time(3), Input::Persisted(mark.unwrap_or(Mark(0))));
    assert_eq!(store.claimed().seen.len(), 1);
    assert_eq!(store.get(b"k"), Some(&b"v"[..]));
}

#[test]
fn a_record_with_a_number_that_no_write_has_is_refused_by_name() {
    for (kind, numbers) in [(b'g', vec![1, 2, u64::MAX]), (b'v', vec![u64::MAX])] {
        let mut w = base::wire::Writer::new();
        numbers.into_iter().for_each(|n| w.number(n));
        let key = [&[kind][..], &7_u64.to_be_bytes()].concat();
        let record = Record {
            key,
            content: Some(w.finish()),
        };
        let config = Config::lan(NodeId(1), Origin(1), 1);
        let refused = Store::new(config, vec![record]).map(|_| ());
        assert!(refused.is_err(), "{}", char::from(kind));
    }
}

#[test]
fn too_long_keys_and_values_are_refused_and_counted() {
    let mut cluster = Cluster::new(1, 1);
    cluster.give(1, Input::Put(vec![0; crate::KEY_MAX + 1], Vec::new()));
    cluster.give(1, Input::Put(b"k".to_vec(), vec![0; (64 << 10) + 1]));
    cluster.give(1, Input::Delete(Vec::new()));
    assert_eq!(cluster.stores[&1].counters().refused, 3);
    assert!(cluster.stores[&1].is_empty());
}
