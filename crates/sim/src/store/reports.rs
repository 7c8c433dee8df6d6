//! How fast and at what cost news spreads: pure functions of seeds that return plain numbers.
//!
//! Every node knows all others from the start, links have the delays of a local network and lose
//! 10 % of all datagrams, disks take up to 8 ms. A change is visible on a node when its store says
//! [`Word::Changed`], which is after that node's own disk. All times are simulated.

use std::collections::BTreeMap;

use base::{Duration, Rng, Time};

use super::node::{Call, Replica, Tuning, Word, id_of};
use crate::cluster::{Host, Link, Plan, World};

/// How many of a thousand datagrams are lost.
pub const LOSS: u64 = 100;
/// Before anything is measured, the nodes find their pace for so long.
const SETTLE: Duration = Duration::from_secs(5);

/// How long changes took until every node showed them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visible {
    /// How many changes.
    pub changes: u64,
    /// How many of them were not visible everywhere at the end.
    pub missing: u64,
    /// Half of them were visible everywhere after this.
    pub median: Duration,
    /// 99 of 100 were.
    pub p99: Duration,
    /// All were.
    pub max: Duration,
}

/// What a steady load of changes costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// How many changes.
    pub changes: u64,
    /// All datagrams of all nodes while they were made, by one change.
    pub datagrams: f64,
    /// The same, less what an idle cluster sends in that time.
    pub beyond_idle: f64,
    /// All stream messages of all nodes while they were made, by one change.
    pub streams: f64,
    /// All bytes of all nodes while they were made, by one change.
    pub bytes: f64,
}

/// How often one change alone was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Copies {
    /// Datagrams with the change that a node sent, on average over nodes and seeds.
    pub mean: f64,
    /// The most that any node sent.
    pub max: u64,
}

/// How a great many changes at once spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flood {
    /// From the writes until every node showed all; `None` if not within a minute.
    pub everywhere: Option<Duration>,
    /// Bytes of all nodes until then.
    pub bytes: u64,
}

/// What a cluster without changes sends, by node and second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Idle {
    /// Bytes of payload.
    pub bytes: f64,
    /// Datagrams.
    pub datagrams: f64,
}

/// When `changes` changes by random nodes, ten a second, each at a random moment, were visible
/// on all `nodes`; without `push`, news travels by pulls only.
#[must_use]
pub fn visible(seed: u64, nodes: u32, push: bool, changes: u64) -> Visible {
    let mut rng = Rng::new(seed ^ 0x715_1b1e);
    let span = Duration::from_millis(changes * 100);
    let mut world = world(
        seed,
        nodes,
        SETTLE + span + Duration::from_secs(15),
        push,
        None,
    );
    let mut writes = Vec::new();
    for n in 0..changes {
        let at = Time::ZERO + SETTLE + between(&mut rng, span);
        world.call_at(at, any(&mut rng, nodes), change(n));
        writes.push(at);
    }
    let mut shown: BTreeMap<Vec<u8>, (u32, Time)> = BTreeMap::new();
    while let Some(step) = world.step() {
        for word in step.words {
            if let Word::Changed(key) = word {
                let (count, last) = shown.entry(key).or_default();
                (*count, *last) = (*count + 1, step.at);
            }
        }
    }
    let mut spans = Vec::new();
    for (n, at) in (0..).zip(writes) {
        if let Some((count, last)) = shown.get(&key(n))
            && *count >= nodes
        {
            spans.push(last.since(at));
        }
    }
    summed(changes, spans)
}

/// What `rate` changes a second by random nodes cost over ten seconds.
#[must_use]
pub fn load(seed: u64, nodes: u32, rate: u64) -> Load {
    let span = Duration::from_secs(10);
    let changes = rate * 10;
    let idle = spent(seed, nodes, 0, span);
    let busy = spent(seed, nodes, changes, span);
    let by_change = |count: u64| float(count) / float(changes);
    Load {
        changes,
        datagrams: by_change(busy.0),
        beyond_idle: by_change(busy.0.saturating_sub(idle.0)),
        streams: by_change(busy.1),
        bytes: by_change(busy.2),
    }
}

/// Datagrams, stream messages and bytes of all nodes while so many changes are made, and for two
/// seconds after.
fn spent(seed: u64, nodes: u32, changes: u64, span: Duration) -> (u64, u64, u64) {
    let mut rng = Rng::new(seed ^ 0x10ad);
    let end = SETTLE + span + Duration::from_secs(2);
    let mut world = world(seed, nodes, end, true, None);
    for n in 0..changes {
        let at = Time::ZERO + SETTLE + between(&mut rng, span);
        world.call_at(at, any(&mut rng, nodes), change(n));
    }
    let before = until(&mut world, nodes, Time::ZERO + SETTLE);
    let after = until(&mut world, nodes, Time::ZERO + end);
    (after.0 - before.0, after.1 - before.1, after.2 - before.2)
}

/// How often one change alone is sent by each of `nodes`.
#[must_use]
pub fn lone(seed: u64, nodes: u32) -> Copies {
    let marker = b"a change like no other".to_vec();
    let end = SETTLE + Duration::from_secs(15);
    let mut world = world(seed, nodes, end, true, Some(marker.clone()));
    let writer = any(&mut Rng::new(seed), nodes);
    world.call_at(Time::ZERO + SETTLE, writer, Call::Put(key(0), marker));
    while world.step().is_some() {}
    let sent: Vec<u64> = world.nodes().map(|(_, node)| node.marked()).collect();
    Copies {
        mean: float(sent.iter().sum()) / f64::from(nodes),
        max: sent.into_iter().max().unwrap_or(0),
    }
}

/// `changes` changes at one moment, by one node or spread over all of them.
#[must_use]
pub fn flood(seed: u64, nodes: u32, changes: u64, is_spread: bool) -> Flood {
    let at = Time::ZERO + SETTLE;
    let mut world = world(seed, nodes, SETTLE + Duration::from_secs(60), true, None);
    for n in 0..changes {
        let writer = if is_spread { n % u64::from(nodes) } else { 0 };
        world.call_at(at, host(writer), change(n));
    }
    let all = changes * u64::from(nodes);
    let mut shown = 0;
    while let Some(step) = world.step() {
        let changed = step.words.iter().filter(|w| matches!(w, Word::Changed(_)));
        shown += changed.count() as u64;
        if shown >= all {
            return Flood {
                everywhere: Some(step.at.since(at)),
                bytes: sent(&world, nodes).2,
            };
        }
    }
    Flood {
        everywhere: None,
        bytes: sent(&world, nodes).2,
    }
}

/// What a node of `nodes` sends a second when every node has written once and nothing changes.
#[must_use]
pub fn idle(seed: u64, nodes: u32) -> Idle {
    let settled = Duration::from_secs(20);
    let span = Duration::from_secs(10);
    let mut world = world(seed, nodes, settled + span, true, None);
    for n in 0..u64::from(nodes) {
        world.call_at(Time(1_000_000 + n * 1_000), host(n), change(n));
    }
    let before = until(&mut world, nodes, Time::ZERO + settled);
    let after = until(&mut world, nodes, Time::ZERO + settled + span);
    let by_node = |count: u64| float(count) / f64::from(nodes) / span.as_secs_f64();
    Idle {
        bytes: by_node(after.2 - before.2),
        datagrams: by_node(after.0 - before.0),
    }
}

fn world(
    seed: u64,
    nodes: u32,
    span: Duration,
    push: bool,
    marker: Option<Vec<u8>>,
) -> World<Replica> {
    let mut plan = Plan::calm(seed, nodes, span);
    plan.link = Link::lossy(LOSS);
    let tuning = Tuning {
        sealed: false,
        marker,
    };
    let mut world = World::new(plan, move |boot| {
        Replica::new(&boot, &tuning, |config| config.push = push)
    });
    for host in (0..nodes).map(Host) {
        let others: Vec<_> = (0..nodes)
            .map(Host)
            .filter(|o| *o != host)
            .map(id_of)
            .collect();
        world.call_at(Time(1), host, Call::Peers(others.clone(), others));
    }
    world
}

/// Lets the world go on until a moment; what has been sent by then.
fn until(world: &mut World<Replica>, nodes: u32, at: Time) -> (u64, u64, u64) {
    while world.now() < at && world.step().is_some() {}
    sent(world, nodes)
}

fn sent(world: &World<Replica>, nodes: u32) -> (u64, u64, u64) {
    let mut sum = (0, 0, 0);
    for host in (0..nodes).map(Host) {
        let sent = world.network.sent(host);
        sum.0 += sent.datagrams;
        sum.1 += sent.streams;
        sum.2 += sent.total();
    }
    sum
}

fn summed(changes: u64, mut spans: Vec<Duration>) -> Visible {
    spans.sort();
    let at = |percent: usize| {
        let place = (spans.len() * percent).div_ceil(100).max(1) - 1;
        spans.get(place).copied().unwrap_or_default()
    };
    Visible {
        changes,
        missing: changes - spans.len() as u64,
        median: at(50),
        p99: at(99),
        max: at(100),
    }
}

/// A status like those that the health checker will write: 8 bytes of key, 12 of value.
fn change(n: u64) -> Call {
    let mut value = n.to_le_bytes().to_vec();
    value.extend_from_slice(b"down");
    Call::Put(key(n), value)
}

fn key(n: u64) -> Vec<u8> {
    base::hash64(&n.to_le_bytes()).to_be_bytes().to_vec()
}

fn host(n: u64) -> Host {
    Host(u32::try_from(n).expect("few hosts"))
}

fn any(rng: &mut Rng, nodes: u32) -> Host {
    host(rng.below(u64::from(nodes)))
}

fn between(rng: &mut Rng, span: Duration) -> Duration {
    let micros = u64::try_from(span.as_micros()).expect("short");
    Duration::from_micros(rng.below(micros))
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
const fn float(n: u64) -> f64 {
    n as f64
}
