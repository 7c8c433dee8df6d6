//! Fleets of the size that somebody plans: hundreds of thousands of targets, up to a thousand nodes.
//!
//! The same nodes in the same world as in [`super::run`], with a judge that keeps one line per
//! target and none per target and node, and disks that keep nothing: nobody comes back here. What
//! nodes read from their config files they share, as if all files were one. A whole run is a
//! function of its [`Size`]. Drive it: [`Crowd::new`], then [`Crowd::until`] from moment to moment,
//! looking in between. Does not know goals; the bench `scale` does.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Duration, Rng, Time};
use health::{BodyRule, Definition, Event, Http, Probe, Rule, State};

use super::node::{Call, Process, Setup, Word};
use super::servers::Servers;
use crate::cluster::{DiskAfter, Fault, Host, Plan, Step, World};
use crate::target::{Mood, Server};

/// How large a fleet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Nodes, each on a host of its own.
    pub nodes: u32,
    /// Targets, all in the config file of every node.
    pub targets: u32,
    /// Of every target.
    pub interval: Duration,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Names of 40 characters instead of 8, labels, a group and expectations.
    pub is_rich: bool,
}

/// What the nodes have sent, in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams handed to the network.
    pub datagrams: u64,
    /// Messages over streams.
    pub streams: u64,
    /// Bytes of packets before they are sealed.
    pub bytes: u64,
    /// Bytes of their sections, by kind.
    pub kinds: BTreeMap<&'static str, u64>,
}

impl Traffic {
    /// What came after `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut kinds = self.kinds.clone();
        for (kind, bytes) in &mut kinds {
            *bytes -= before.kinds.get(kind).copied().unwrap_or(0);
        }
        Self {
            datagrams: self.datagrams - before.datagrams,
            streams: self.streams - before.streams,
            bytes: self.bytes - before.bytes,
            kinds,
        }
    }

    pub(super) fn add(&mut self, is_datagram: bool, packet: &[u8]) {
        self.datagrams += u64::from(is_datagram);
        self.streams += u64::from(!is_datagram);
        self.bytes += packet.len() as u64;
        for (kind, bytes) in health::packet::contents(packet) {
            *self.kinds.entry(kind).or_default() += bytes as u64;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.datagrams += other.datagrams;
        self.streams += other.streams;
        self.bytes += other.bytes;
        for (kind, bytes) in &other.kinds {
            *self.kinds.entry(kind).or_default() += bytes;
        }
    }
}

/// What a run has shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Checks started, without opinions.
    pub checks: u64,
    /// Opinions probed for others.
    pub opinions: u64,
    /// Times that a node showed `down` for a target that answered.
    pub false_alarms: u64,
    /// Times that a node showed `unknown` after something else.
    pub doubts: u64,
    /// The longest time from a check of a target to the next, since [`Crowd::watch_gaps`].
    pub gap: Duration,
    /// From an outage to `down` on the last node of all, the slowest so far.
    pub seen_down: Duration,
    /// How many pairs of a target that is out and a node have seen it.
    pub pairs_down: u64,
}

/// What one look over all nodes shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Nodes that run.
    pub nodes: u32,
    /// Nodes that show every target, each with a status.
    pub complete: u32,
    /// Targets that are stale, over all nodes.
    pub stale: u64,
    /// Nodes whose targets are, each and all, in another state than on the first node.
    pub differing: u32,
}

/// A fleet under way.
pub struct Crowd {
    size: Size,
    world: World<Process>,
    servers: Servers,
    rng: Rng,
    figures: Figures,
    /// When each target was last checked; zero before the first time.
    checked: Vec<Time>,
    watches_gaps: bool,
    /// Outages by target: since when, until when, and how many nodes have seen it.
    outages: BTreeMap<u32, (Time, Time, u32)>,
}

/// Who joins asks so many of the first nodes.
const CONTACTS: u32 = 5;

impl Crowd {
    /// A fleet whose nodes all boot at once with the same config file. With `share` they all hold
    /// one copy of it in memory; without, each reads its own, as real ones do.
    #[must_use]
    pub fn new(size: Size, share: bool) -> Self {
        let plan = Plan::calm(size.seed, size.nodes, Duration::from_hours(24));
        let file = share.then(|| file_of(size));
        let mut world = World::new(plan, move |boot| {
            let setup = Setup {
                contacts: CONTACTS,
                first: 0,
                keeps_time: false,
                file: file.clone().unwrap_or_else(|| file_of(size)),
                mutation: None,
                skew_ms: 0,
            };
            Process::new(&boot, &setup)
        });
        world.forget_disks();
        Self {
            size,
            world,
            servers: Servers::default(),
            rng: Rng::new(size.seed ^ 0x5ca1e),
            figures: Figures::default(),
            checked: vec![Time::ZERO; size.targets as usize],
            watches_gaps: false,
            outages: BTreeMap::new(),
        }
    }

    /// The world's clock.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.world.now()
    }

    /// What was seen so far.
    #[must_use]
    pub const fn figures(&self) -> Figures {
        self.figures
    }

    /// How many targets were never checked.
    #[must_use]
    pub fn unchecked(&self) -> usize {
        self.checked.iter().filter(|at| **at == Time::ZERO).count()
    }

    /// Lets everything happen that happens before `at`.
    pub fn until(&mut self, at: Time) {
        while self.world.now() < at {
            let Some(step) = self.world.step() else {
                return;
            };
            self.note(step);
        }
    }

    /// From now on the time between two checks of a target is looked at.
    pub const fn watch_gaps(&mut self) {
        self.watches_gaps = true;
        self.figures.gap = Duration::ZERO;
    }

    /// Lets a target refuse from now on, for so long.
    pub fn outage(&mut self, target: u32, span: Duration) {
        let now = self.world.now();
        let server = Server {
            local: false,
            latency: Duration::from_millis(5),
            moods: vec![(now, now + span, Mood::Refusing)],
        };
        let name = name_of(target, self.size.is_rich);
        self.servers.moods.insert(name, server);
        self.outages.insert(target, (now, now + span, 0));
    }

    /// Kills a node's process for good; how many targets it owned.
    pub fn kill(&mut self, host: Host) -> u32 {
        let view = self.world.node(host).map(|process| process.node().view());
        let seats = view.and_then(|view| Some(&view.fleet()?.members));
        let name = super::node::name_of(host, 0);
        let seat = seats.and_then(|seats| seats.iter().find(|seat| seat.name == name));
        let owned = seat.map_or(0, |seat| seat.owned);
        let never = Duration::from_hours(48);
        let crash = Fault::Crash(host, never, DiskAfter::Wiped);
        self.world.fault_at(self.world.now(), crash);
        owned
    }

    /// What all nodes together have sent; those that were killed no longer count.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let mut all = Traffic::default();
        for (_, process) in self.world.nodes() {
            all.merge(process.traffic());
        }
        all
    }

    /// How many bytes the file's average definition takes as it is encoded, and as a type in memory.
    #[must_use]
    pub fn definition_bytes(&self) -> (f64, f64) {
        let file = file_of(Size {
            targets: self.size.targets.min(1_000),
            ..self.size
        });
        let mean = |bytes: usize| bytes as f64 / file.len() as f64;
        let encoded = file.iter().map(|d| health::encode_definition(d).len());
        (
            mean(encoded.sum()),
            mean(file.iter().map(|d| held(d)).sum()),
        )
    }

    /// Looks at everything that every node shows.
    #[must_use]
    pub fn look(&self) -> Look {
        let mut look = Look::default();
        let mut first = None;
        for (host, process) in self.world.nodes() {
            look.nodes += 1;
            let view = process.node().view();
            let here = self.world.local_time(host);
            let mut sum = base::hash64(&[]);
            let mut known = 0;
            for row in view.rows(None) {
                known += u32::from(row.transition() > 0);
                let fresh = view.freshness(row, here);
                look.stale += u64::from(fresh.is_none_or(|fresh| fresh.is_stale));
                let line = u64::from(row.transition()) << 8 | row.state() as u64;
                sum = base::hash64(&(sum ^ line).to_le_bytes());
            }
            look.complete += u32::from(known == self.size.targets);
            look.differing += u32::from(*first.get_or_insert(sum) != sum);
        }
        look
    }

    fn note(&mut self, step: Step<Process>) {
        let Some(host) = step.host else {
            return;
        };
        for word in step.words {
            match word {
                Word::Probe {
                    definition,
                    slot,
                    ticket,
                    is_opinion,
                } => {
                    let life = self.world.life(host) - 1;
                    let (name, timeout) = (&definition.name, definition.timeout);
                    let (after, finding) =
                        self.servers
                            .probe(host, name, timeout, step.at, &mut self.rng);
                    let call = Call::Probed {
                        life,
                        slot,
                        ticket,
                        after,
                        finding,
                    };
                    self.world.call_at(step.at + after, host, call);
                    self.started(step.at, name, is_opinion);
                }
                Word::Event(event) => self.event(step.at, &event),
                Word::Refused | Word::Left => panic!("names are unique here, and nobody leaves"),
                Word::Defined(_) | Word::Answer(..) | Word::View | Word::Notice(_) => {}
            }
        }
    }

    fn started(&mut self, now: Time, name: &str, is_opinion: bool) {
        if is_opinion {
            self.figures.opinions += 1;
            return;
        }
        self.figures.checks += 1;
        let last = &mut self.checked[number_of(name) as usize];
        let gap = now.since(*last);
        *last = now;
        if self.watches_gaps {
            self.figures.gap = self.figures.gap.max(gap);
        }
    }

    fn event(&mut self, now: Time, event: &Event) {
        let outage = self.outages.get_mut(&number_of(&event.target));
        match (event.transition.to, outage) {
            (State::Down, Some((from, until, seen))) if *from <= now && now < *until => {
                *seen += 1;
                self.figures.pairs_down += 1;
                self.figures.seen_down = self.figures.seen_down.max(now.since(*from));
            }
            (State::Down, _) => self.figures.false_alarms += 1,
            (State::Unknown, _) => self.figures.doubts += 1,
            (State::Up | State::Paused, _) => {}
        }
    }
}

fn name_of(target: u32, is_rich: bool) -> Arc<str> {
    let rest = if is_rich {
        ".frontend.shop.eu-central.cloud1"
    } else {
        ""
    };
    format!("t{target:07}{rest}").into()
}

fn number_of(name: &str) -> u32 {
    name[1..8].parse().expect("a t and a number")
}

/// The config file: HTTP targets with every default but the interval, or rich ones.
fn file_of(size: Size) -> Vec<Arc<Definition>> {
    let of = |n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        let url = format!("http://10.{a}.{b}.{c}:8080/health");
        let plain = Definition {
            name: name_of(n, size.is_rich),
            probe: Probe::Http(Box::new(Http::get(&url))),
            interval: size.interval,
            timeout: Duration::from_secs(2).min(size.interval),
            rule: Rule::default(),
            confirm: 2,
            paused: false,
            labels: Box::default(),
            group: None,
        };
        Arc::new(match size.is_rich {
            true => enriched(plain),
            false => plain,
        })
    };
    (0..size.targets).map(of).collect()
}

/// A definition with labels, a group, and what the answer must be like.
fn enriched(mut plain: Definition) -> Definition {
    if let Probe::Http(http) = &mut plain.probe {
        http.expect.status = Box::new([(200, 204)]);
        http.expect.body = Box::new([BodyRule::Matches("\"status\": *\"ok\"".into())]);
    }
    let labels = [("team", "payments"), ("env", "production"), ("tier", "1")];
    Definition {
        labels: labels.map(|(key, value)| (key.into(), value.into())).into(),
        group: Some("storefront".into()),
        ..plain
    }
}

/// What a definition of [`file_of`] takes as a type: itself, its counts, name, probe and text.
fn held(definition: &Definition) -> usize {
    let Probe::Http(http) = &definition.probe else {
        unreachable!("the file holds nothing else");
    };
    let counts = 2 * size_of::<usize>();
    let text = http.url.len() + http.method.len();
    2 * counts + size_of_val(definition) + definition.name.len() + size_of_val(&**http) + text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_small_crowd_settles_sees_an_outage_and_takes_over_and_is_equal_at_the_end() {
        let mut crowd = Crowd::new(
            Size {
                nodes: 5,
                targets: 200,
                interval: SECOND,
                seed: 1,
                is_rich: true,
            },
            true,
        );
        crowd.until(Time::ZERO + SECOND * 15);
        let look = crowd.look();
        assert_eq!((look.complete, look.stale, look.differing), (5, 0, 0));
        crowd.watch_gaps();
        crowd.outage(7, SECOND * 20);
        let owned = crowd.kill(Host(3));
        assert!(owned > 0);
        crowd.until(Time::ZERO + SECOND * 60);
        let figures = crowd.figures();
        assert_eq!((figures.false_alarms, crowd.unchecked()), (0, 0));
        assert_eq!(figures.pairs_down, 4);
        assert!(
            figures.gap > SECOND * 2 && figures.gap < SECOND * 9,
            "{figures:?}"
        );
        let look = crowd.look();
        assert_eq!((look.nodes, look.differing, look.stale), (4, 0, 0));
    }

    #[test]
    fn the_same_size_and_seed_make_the_same_run() {
        let once = || {
            let size = Size {
                nodes: 3,
                targets: 50,
                interval: SECOND,
                seed: 9,
                is_rich: false,
            };
            let mut crowd = Crowd::new(size, true);
            crowd.until(Time::ZERO + SECOND * 12);
            (crowd.figures(), crowd.traffic())
        };
        assert_eq!(once(), once());
    }
}
