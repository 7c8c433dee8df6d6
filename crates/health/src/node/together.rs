//! A few nodes over a small network in memory: who owns what, who asks whom, what survives.
//!
//! `together/asked.rs` has what owners are asked, `together/missed.rs` what is caught up with,
//! `together/forgotten.rs` what becomes of the writes of who is forgotten, `together/moved.rs` how
//! nodes find each other that are not where they were, `together/promised.rs` what marks wait for.
//! Delays are a millisecond and nothing is lost unless a test cuts it; the simulator does the rest.

mod asked;
mod blind;
mod courses;
mod forgotten;
mod handed;
mod hostile;
mod mass;
mod missed;
mod moved;
mod once;
mod opinions;
mod promised;
mod redefined;
mod revisions;
mod unheard;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::*;
use crate::account::{Account, Findings, Missing, Past};
use crate::cluster::{ClusterConfig, WIRE};
use crate::definition::Definition;
use crate::input::Write;
use crate::outcome::Phase;
use crate::reach::Reach;
use crate::testing::definition;
use crate::view::Source;
use base::{NodeId, Wall, Way};

const MS: u64 = 1_000;
const REFUSED: Finding = Finding::Failed(Reason::Refused);

enum Event {
    Bytes(SocketAddr, Way, Vec<u8>),
    Persisted(crate::input::Batch),
    Probed(Slot, Ticket, Arc<str>),
}

struct Host {
    node: Option<Node>,
    address: SocketAddr,
    disk: BTreeMap<Key, Vec<u8>>,
    names: BTreeMap<Slot, Arc<str>>,
    events: Vec<String>,
    replies: Vec<(Request, Answer)>,
    past: Vec<(Origin, Vec<crate::input::Event>)>,
    told: Vec<(Time, Request, Result<Account, Missing>)>,
    /// Its targets are elsewhere, so that an uplink lies between.
    is_remote: bool,
    /// All but this one.
    local: Option<Arc<str>>,
    /// Says nothing of what it found, as an agent never would.
    is_mute: bool,
    notices: Vec<crate::cluster::Notice>,
    has_left: bool,
    lives: u64,
    /// The newest wire version that it speaks.
    wire: u8,
}

struct World {
    now: Time,
    hosts: Vec<Host>,
    queue: BTreeMap<(Time, u64), (usize, Event)>,
    queued: u64,
    cut: BTreeSet<(usize, usize)>,
    /// What each host sees of a target; others see it pass.
    seen: BTreeMap<(usize, Arc<str>), Finding>,
    probes: Vec<(Time, usize, Arc<str>)>,
    /// How long a probe takes, and a write to a host's disk.
    probe_ms: u64,
    disk_ms: BTreeMap<usize, u64>,
    file: Vec<Arc<Definition>>,
    /// Who said something to whom in which wire version.
    spoken: Vec<(usize, usize, u8)>,
}

fn address(host: usize) -> SocketAddr {
    format!("10.0.0.{}:7718", host + 1)
        .parse()
        .expect("an address")
}

fn target(name: &str, confirm: u8) -> Arc<Definition> {
    Arc::new(Definition {
        interval: Duration::from_secs(1),
        timeout: Duration::from_millis(500),
        confirm,
        ..Definition::clone(&definition(name))
    })
}

impl World {
    fn new(hosts: usize, targets: usize) -> Self {
        let file = (0..targets).map(|i| target(&format!("t{i}"), 2));
        Self::with_file(hosts, file.collect())
    }

    fn with_file(hosts: usize, file: Vec<Arc<Definition>>) -> Self {
        let mut world = Self {
            now: Time(1_000 * MS),
            hosts: Vec::new(),
            queue: BTreeMap::new(),
            queued: 0,
            cut: BTreeSet::new(),
            seen: BTreeMap::new(),
            probes: Vec::new(),
            probe_ms: 2,
            disk_ms: BTreeMap::new(),
            spoken: Vec::new(),
            file,
        };
        for at in 0..hosts {
            world.hosts.push(Host {
                node: None,
                address: address(at),
                disk: BTreeMap::new(),
                names: BTreeMap::new(),
                events: Vec::new(),
                replies: Vec::new(),
                past: Vec::new(),
                told: Vec::new(),
                is_mute: false,
                is_remote: false,
                local: None,
                notices: Vec::new(),
                has_left: false,
                lives: 0,
                wire: WIRE,
            });
        }
        for host in 0..hosts {
            world.boot(host);
        }
        world
    }

    fn boot(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.lives += 1;
        host.has_left = false;
        host.names.clear();
        let seed = at as u64 * 1_000 + host.lives;
        let others = (0..self.hosts.len()).filter(|other| *other != at);
        let cluster = ClusterConfig {
            name: format!("n{at}").into(),
            address: self.hosts[at].address,
            zone: "".into(),
            weight: 1,
            join: others.map(address).collect(),
            seed,
            // Another where the host has moved to.
            fresh_id: match self.hosts[at].address == address(at) {
                true => NodeId(at as u64 + 1),
                false => NodeId(at as u64 + 101),
            },
            wire: self.hosts[at].wire,
            wall_ms: 1_700_000_000_000 + self.now.0 / MS,
        };
        let config = Config {
            cluster: Some(cluster),
            fresh_origin: Origin(seed),
            ..Config::default()
        };
        let host = &mut self.hosts[at];
        host.node = Some(Node::new(config).expect("the config is well"));
        let records = host.disk.iter().map(|(key, value)| crate::input::Record {
            key: key.clone(),
            value: value.clone(),
        });
        let records = records.collect();
        self.give(at, Input::Restored(records));
        self.tell_clock(at);
        self.give(at, Input::Load(Source::File, self.file.clone()));
    }

    fn tell_clock(&mut self, at: usize) {
        let wall = Wall(1_700_000_000_000 + i64::try_from(self.now.0 / MS).unwrap());
        self.give(at, Input::WallClock(wall));
    }

    fn kill(&mut self, at: usize) {
        self.hosts[at].node = None;
        self.queue.retain(|_, (host, _)| *host != at);
    }

    fn push(&mut self, after_us: u64, host: usize, event: Event) {
        self.queued += 1;
        let at = Time(self.now.0 + after_us);
        self.queue.insert((at, self.queued), (host, event));
    }

    fn give(&mut self, at: usize, input: Input) {
        let Some(node) = self.hosts[at].node.as_mut() else {
            return;
        };
        node.handle(self.now, input);
        while let Some(output) = self.hosts[at].node.as_mut().and_then(Node::poll) {
            self.take(at, output);
        }
    }

    fn take(&mut self, at: usize, output: Output) {
        let host = &mut self.hosts[at];
        match output {
            Output::Probe(check) => {
                let name = Arc::clone(host.names.get(&check.slot).expect("defined before checked"));
                self.probes.push((self.now, at, Arc::clone(&name)));
                let seen = self.seen.get(&(at, Arc::clone(&name)));
                let is_silent = seen == Some(&Finding::Failed(Reason::Timeout(Phase::Connect)));
                // Its definition says how long silence takes.
                let takes = if is_silent { 500 } else { self.probe_ms } * MS;
                self.push(takes, at, Event::Probed(check.slot, check.ticket, name));
            }
            Output::Persist { batch, writes, .. } => {
                for write in writes {
                    match write {
                        Write::Set(key, value) => drop(host.disk.insert(key, value)),
                        Write::Remove(key) => drop(host.disk.remove(&key)),
                    }
                }
                let takes = self.disk_ms.get(&at).copied().unwrap_or(3);
                self.push(takes * MS, at, Event::Persisted(batch));
            }
            Output::Define(slot, definition, _) => {
                host.names.insert(slot, Arc::clone(&definition.name));
            }
            Output::Undefine(slot) => drop(host.names.remove(&slot)),
            Output::Event(event) => {
                let t = event.transition;
                let text = format!("{} {} {}", event.target, t.number, t.to.name());
                host.events.push(text);
            }
            Output::Answer(request, answer) => host.replies.push((request, answer)),
            Output::Inquired(inquiry, slot) if !host.is_mute => {
                let name = Arc::clone(host.names.get(&slot).expect("its owner knows it"));
                let findings = self.findings(at, &name);
                self.give(at, Input::Tell(inquiry, Box::new(findings)));
            }
            Output::Told(request, told) => {
                let told = told.map(|account| *account);
                host.told.push((self.now, request, told));
            }
            Output::Send(to, way, bytes) => {
                // Where somebody was once nobody hears it.
                let Some(to) = self.hosts.iter().position(|host| host.address == to) else {
                    return;
                };
                self.spoken.push((at, to, bytes[0]));
                if !self.cut.contains(&(at, to)) {
                    let from = self.hosts[at].address;
                    self.push(MS, to, Event::Bytes(from, way, bytes));
                }
            }
            Output::Notice(notice) => host.notices.push(*notice),
            Output::Left => host.has_left = true,
            Output::Refused { .. } => panic!("names are unique here"),
            Output::Loaded(..) | Output::Judged(..) | Output::View(_) | Output::Inquired(..) => {}
            Output::Past(version, events) => host.past.push((version.origin, events)),
        }
    }

    fn run(&mut self, seconds: u64) {
        self.run_ms(seconds * 1_000);
    }

    fn run_ms(&mut self, ms: u64) {
        let end = Time(self.now.0 + ms * MS);
        let mut clock_at = self.now;
        while self.now < end {
            if self.now >= clock_at {
                clock_at = self.now + Duration::from_secs(1);
                (0..self.hosts.len()).for_each(|at| self.tell_clock(at));
            }
            let wakes = self
                .hosts
                .iter()
                .filter_map(|h| h.node.as_ref()?.deadline());
            let wake = wakes.min().unwrap_or(end).max(Time(self.now.0 + 100));
            let next = self.queue.keys().next().map_or(end, |(at, _)| *at);
            self.now = wake.min(next).min(end).min(clock_at).max(self.now);
            while let Some(entry) = self.queue.first_entry().filter(|e| e.key().0 <= self.now) {
                let (host, event) = entry.remove();
                self.happen(host, event);
            }
            for at in 0..self.hosts.len() {
                let due = self.hosts[at].node.as_ref().and_then(Node::deadline);
                if due.is_some_and(|due| due <= self.now) {
                    self.give(at, Input::Tick);
                }
            }
        }
    }

    fn happen(&mut self, at: usize, event: Event) {
        match event {
            Event::Bytes(from, way, bytes) => self.give(at, Input::Received(from, way, bytes)),
            Event::Persisted(batch) => self.give(at, Input::Persisted(batch)),
            Event::Probed(slot, ticket, name) => {
                let is_local = self.hosts[at].local.as_ref() == Some(&name);
                let finding = self
                    .seen
                    .get(&(at, name))
                    .copied()
                    .unwrap_or(Finding::Passed);
                self.give(
                    at,
                    Input::Probed(Probed {
                        slot,
                        ticket,
                        finding,
                        late: Duration::ZERO,
                        timeout: Duration::from_millis(500),
                        local: is_local || !self.hosts[at].is_remote,
                        detail: None,
                    }),
                );
            }
        }
    }

    fn node(&self, at: usize) -> &Node {
        self.hosts[at].node.as_ref().expect("it runs")
    }

    fn state(&self, at: usize, name: &str) -> (State, u32) {
        let row = self.node(at).view().get(name).expect("it is defined");
        (row.status().state, row.status().transition)
    }

    fn owner(&self, at: usize, name: &str) -> String {
        let view = self.node(at).view();
        let row = view.get(name).expect("it is defined");
        let owner = view.owners(row.slot).next();
        owner.map_or_else(String::new, |name| name.to_string())
    }

    fn owner_host(&self, name: &str) -> usize {
        let at = (0..self.hosts.len()).find(|at| self.hosts[*at].node.is_some());
        self.owner(at.expect("somebody runs"), name)[1..]
            .parse()
            .expect("names are n and a number")
    }

    fn sees(&mut self, at: usize, name: &str, finding: Finding) {
        self.seen.insert((at, name.into()), finding);
    }

    fn everybody_sees(&mut self, name: &str, finding: Finding) {
        (0..self.hosts.len()).for_each(|at| self.sees(at, name, finding));
    }

    /// What a host found of a target, as its agent would tell it.
    fn findings(&self, at: usize, name: &str) -> Findings {
        let mine = self.probes.iter();
        let mine = mine.filter(|(_, host, of)| *host == at && &**of == name);
        let past = |(when, ..): &(Time, usize, Arc<str>)| Past {
            at: Wall(i64::try_from(when.0 / MS).expect("a time")),
            finding: Finding::Passed,
            latency: Duration::from_millis(2),
        };
        Findings {
            recent: mine.map(past).collect(),
            ..Findings::default()
        }
    }

    fn running(&self) -> Vec<usize> {
        (0..self.hosts.len())
            .filter(|at| self.hosts[*at].node.is_some())
            .collect()
    }

    fn probes_of(&self, name: &str, from: Time, to: Time) -> usize {
        let within =
            |(at, _, of): &&(Time, usize, Arc<str>)| &**of == name && *at >= from && *at < to;
        self.probes.iter().filter(within).count()
    }
}

#[test]
fn three_nodes_share_the_file_and_every_one_answers_for_all() {
    let mut world = World::new(3, 30);
    world.run(12);
    let mut owned = [0; 3];
    for i in 0..30 {
        let name = format!("t{i}");
        let owner = world.owner(0, &name);
        owned[world.owner_host(&name)] += 1;
        for at in 0..3 {
            assert_eq!(world.owner(at, &name), owner);
            assert_eq!(world.state(at, &name).0, State::Up, "{name} on n{at}");
            let view = world.node(at).view();
            let row = view.get(&name).expect("it is defined");
            let freshness = view.freshness(row, world.now).expect("a cluster's view");
            assert!(!freshness.is_stale, "{name} on n{at}: {freshness:?}");
        }
    }
    assert!(owned.iter().all(|n| *n > 2), "{owned:?}");
    // Each target is checked once a second by its owner alone.
    let (from, to) = (Time(world.now.0 - 5_000 * MS), world.now);
    for i in 0..30 {
        assert_eq!(world.probes_of(&format!("t{i}"), from, to), 5, "t{i}");
    }
}

#[test]
fn down_is_written_when_others_see_it_too_and_everybody_hears_it_once() {
    let mut world = World::new(3, 6);
    world.run(10);
    world.everybody_sees("t1", REFUSED);
    world.run(6);
    for at in 0..3 {
        assert_eq!(world.state(at, "t1"), (State::Down, 2));
        let events = world.hosts[at]
            .events
            .iter()
            .filter(|e| e.starts_with("t1 "));
        assert_eq!(events.collect::<Vec<_>>(), ["t1 1 up", "t1 2 down"]);
        let row = world.node(at).view().get("t1").unwrap();
        let votes = row.votes().expect("others were asked");
        assert!(votes.votes.len() == 3 && !votes.contested);
    }
    world.everybody_sees("t1", Finding::Passed);
    world.run(4);
    for at in 0..3 {
        assert_eq!(world.state(at, "t1"), (State::Up, 3));
    }
}

#[test]
fn an_owner_that_alone_sees_it_fail_is_outvoted_and_gives_it_to_the_next() {
    let mut world = World::new(3, 6);
    world.run(10);
    let owner = world.owner_host("t2");
    world.sees(owner, "t2", REFUSED);
    world.run(5);
    assert_eq!(world.state(0, "t2"), (State::Up, 1));
    let row = world.node(1).view().get("t2").unwrap();
    assert!(row.votes().is_some_and(|votes| votes.contested));
    world.run(15);
    assert_ne!(world.owner_host("t2"), owner);
    assert_eq!(world.state(1, "t2"), (State::Up, 1));
}

#[test]
fn who_is_cut_off_writes_unconfirmed_and_the_others_go_on() {
    let mut world = World::new(3, 9);
    world.run(10);
    let name = (0..9)
        .map(|i| format!("t{i}"))
        .find(|n| world.owner_host(n) == 0)
        .unwrap();
    for other in [1, 2] {
        world.cut.insert((0, other));
        world.cut.insert((other, 0));
    }
    world.sees(0, &name, REFUSED);
    world.run(20);
    assert_eq!(world.state(0, &name).0, State::Unknown);
    let row = world.node(0).view().get(&name).unwrap();
    assert_eq!(row.status().reason, Reason::Unconfirmed);
    assert_eq!(world.state(1, &name), (State::Up, 1));
    assert_ne!(world.owner(1, &name), "n0");
    world.cut.clear();
    world.sees(0, &name, Finding::Passed);
    world.run(25);
    for at in 0..3 {
        let (state, _) = world.state(at, &name);
        assert_eq!(state, State::Up, "n{at}");
        assert_eq!(world.state(at, &name), world.state(0, &name));
    }
}

#[test]
fn a_dead_nodes_targets_are_checked_by_others_in_the_same_beat() {
    let mut world = World::new(3, 20);
    world.run(10);
    let name = (0..20)
        .map(|i| format!("t{i}"))
        .find(|n| world.owner_host(n) == 2)
        .unwrap();
    let phase = |world: &World| {
        let last = world.probes.iter().rev().find(|(_, _, of)| **of == *name);
        last.expect("it is checked").0.0 / MS % 1_000
    };
    let before = phase(&world);
    let died = world.now;
    world.kill(2);
    world.run(15);
    assert_eq!(phase(&world).abs_diff(before) % 999, 0);
    let later = world
        .probes
        .iter()
        .filter(|(at, _, of)| *at > died && **of == *name);
    let times: Vec<Time> = [died]
        .into_iter()
        .chain(later.map(|(at, ..)| *at))
        .collect();
    let gap = times.windows(2).map(|w| w[1].since(w[0])).max().unwrap();
    assert!(gap < Duration::from_secs(7), "{gap:?}");
    assert_eq!(
        world.state(0, &name),
        (State::Up, 1),
        "no event of a takeover"
    );
    world.boot(2);
    world.run(15);
    assert_eq!(world.owner(0, &name), "n2");
    assert_eq!(world.owner(2, &name), "n2");
    assert_eq!(world.state(2, &name), (State::Up, 1));
}

#[test]
fn a_target_made_on_one_node_is_checked_and_seen_on_all_and_gone_when_deleted_anywhere() {
    let mut world = World::new(3, 3);
    world.run(8);
    world.give(0, Input::Put(Request(7), target("new", 2)));
    world.run(3);
    let (_, answer) = world.hosts[0].replies[0];
    let Answer::Created(version) = answer else {
        panic!("{answer:?}");
    };
    for at in 0..3 {
        assert_eq!(world.state(at, "new").0, State::Up);
        let reach = world.node(at).view().reach(version);
        assert_eq!(reach, Reach::Shown, "n{at}");
    }
    world.everybody_sees("new", REFUSED);
    world.run(6);
    assert_eq!(world.state(1, "new").1, 2);
    world.give(2, Input::Delete(Request(8), "new".into()));
    world.run(3);
    for at in world.running() {
        assert!(world.node(at).view().get("new").is_none());
    }
    world.give(1, Input::Put(Request(9), target("new", 2)));
    world.run_ms(300);
    assert_eq!(world.state(0, "new").1, 0, "the old status is gone too");
}

#[test]
fn all_nodes_restarted_at_once_know_what_they_knew() {
    let mut world = World::new(3, 8);
    world.run(10);
    world.everybody_sees("t3", REFUSED);
    world.run(6);
    (0..3).for_each(|at| world.kill(at));
    world.run(2);
    (0..3).for_each(|at| world.boot(at));
    world.run_ms(20);
    assert_eq!(
        world.state(1, "t3"),
        (State::Down, 2),
        "from its own disk, at once"
    );
    world.run(12);
    for at in 0..3 {
        assert_eq!(world.state(at, "t3"), (State::Down, 2));
        assert_eq!(world.state(at, "t4"), (State::Up, 1));
        let revisions = world.hosts[at].notices.iter().filter(
            |n| matches!(n, crate::cluster::Notice::Revision { revision, .. } if *revision > 1),
        );
        assert_eq!(revisions.count(), 0, "the file is what it was");
    }
}

#[test]
fn a_node_that_leaves_misses_no_beat() {
    let mut world = World::new(3, 20);
    world.run(10);
    let name = (0..20)
        .map(|i| format!("t{i}"))
        .find(|n| world.owner_host(n) == 1)
        .unwrap();
    let from = world.now;
    world.give(1, Input::Leave(Duration::from_secs(10)));
    world.run(8);
    assert!(world.hosts[1].has_left);
    world.kill(1);
    world.run(4);
    let times: Vec<Time> = world
        .probes
        .iter()
        .filter(|(at, _, of)| *at > Time(from.0 - 1_000 * MS) && **of == *name)
        .map(|(at, ..)| *at)
        .collect();
    let gap = times.windows(2).map(|w| w[1].since(w[0])).max().unwrap();
    assert!(gap < Duration::from_millis(1_100), "{gap:?}");
    let row = world.node(0).view().fleet().unwrap();
    let seat = row.members.iter().find(|seat| &*seat.name == "n1").unwrap();
    assert_eq!(seat.state, "left");
}

#[test]
fn a_new_revision_takes_effect_everywhere_and_a_restart_does_not_undo_it() {
    let mut world = World::new(3, 5);
    world.run(8);
    let old = world.file.clone();
    let mut new = old.clone();
    new.remove(0);
    new.push(target("added", 0));
    world.give(1, Input::Load(Source::File, new));
    world.run(3);
    // n2's file is still the old one.
    world.kill(2);
    world.run(1);
    world.boot(2);
    world.run(12);
    for at in 0..3 {
        let view = world.node(at).view();
        assert!(
            view.get("added").is_some() && view.get("t0").is_none(),
            "n{at}"
        );
    }
    let adopted = world.hosts[2]
        .notices
        .iter()
        .any(|n| matches!(n, crate::cluster::Notice::Adopted { revision: 2 }));
    assert!(adopted, "{:?}", world.hosts[2].notices);
    // A rollback is a reload of the old content.
    world.give(0, Input::Load(Source::File, old));
    world.run(3);
    assert!(world.node(2).view().get("t0").is_some());
}

#[test]
fn silent_targets_are_refused_in_a_phase_that_names_it() {
    let mut world = World::new(2, 2);
    world.run(8);
    let silent = Finding::Failed(Reason::Timeout(Phase::Connect));
    world.everybody_sees("t0", silent);
    world.run(8);
    let row = world.node(0).view().get("t0").unwrap();
    assert_eq!(row.status().reason, Reason::Timeout(Phase::Connect));
}

#[test]
fn a_target_that_its_owner_cant_probe_goes_to_the_next_in_its_order() {
    let mut world = World::new(3, 6);
    world.run(10);
    let owner = world.owner_host("t5");
    let unable = Finding::Inconclusive(Doubt::Unable);
    world.sees(owner, "t5", unable);
    world.run(4);
    assert_ne!(world.owner_host("t5"), owner);
    assert_eq!(world.state(owner, "t5"), (State::Up, 1));
}

#[test]
fn a_definition_that_the_store_would_refuse_is_refused_before() {
    let mut long = Definition::clone(&target("long", 0));
    long.labels = Box::new([("a".into(), "x".repeat(Definition::BYTES_MAX).into())]);
    let refused = long.check();
    assert!(matches!(refused, Err(crate::definition::DefinitionError::Bytes(n)) if n > 60 << 10));
    long.labels = Box::new([("a".into(), "x".repeat(Definition::BYTES_MAX - 500).into())]);
    assert_eq!(long.check(), Ok(()));
    assert!(crate::definition::encode(&long).len() < store::VALUE_MAX);
}

#[test]
fn people_are_told_who_was_asked_what_was_ruled_and_who_took_over() {
    use crate::cluster::Notice;
    let mut world = World::new(3, 6);
    world.run(10);
    let owner = world.owner_host("t1");
    world.everybody_sees("t1", REFUSED);
    world.run(6);
    let told = |world: &World, at: usize, is: &dyn Fn(&Notice) -> bool| {
        world.hosts[at].notices.iter().filter(|n| is(n)).count()
    };
    let asked = |n: &Notice| matches!(n, Notice::Asked { target, of, .. } if &**target == "t1" && of.len() == 2);
    let ruled =
        |n: &Notice| matches!(n, Notice::Ruled { target, ruling: "down", .. } if &**target == "t1");
    let opined = |n: &Notice| {
        matches!(
            n,
            Notice::Opinion {
                finding: REFUSED,
                ..
            }
        )
    };
    for at in 0..3 {
        let times = usize::from(at == owner);
        assert_eq!(told(&world, at, &asked), times, "n{at}");
        assert_eq!(told(&world, at, &ruled), times, "n{at}");
        assert_eq!(told(&world, at, &opined), 1 - times, "n{at}");
    }
    world.kill(owner);
    world.run(15);
    let took = |n: &Notice| matches!(n, Notice::Moved { is_taken: true, why: "the owner is gone", first, .. } if first.iter().any(|t| &**t == "t1"));
    let takers = (0..3).filter(|at| told(&world, *at, &took) == 1).count();
    assert_eq!(takers, 1);
}
