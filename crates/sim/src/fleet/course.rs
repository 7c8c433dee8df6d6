//! What happens in one run: hosts and their faults, servers and their moods, who asks what when;
//! drawn from a seed.

use std::sync::Arc;

use base::{Duration, Rng, Time};
use health::{Definition, Mutation, Request, Rule};

use super::node::Call;
use super::readers::Read;
use super::servers::{Block, Servers};
use crate::cluster::{DiskAfter, Fault, Host, Link, Plan};
use crate::faults::definition;
use crate::target::{Mood, Server};

/// What a course is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Only servers fail, and are not reached from one host or another.
    Still,
    /// Crashes with and without the disk, of one and of all, pauses and slow disks.
    Crashes,
    /// Partitions, one-way cuts, hosts that are cut off from everything.
    Cuts,
    /// Loss, delay, doubling, corruption.
    Weather,
    /// Targets come and go through the API and the config file while nodes crash.
    Writes,
    /// Everything at once.
    All,
    /// Puts through one node whose tokens are shown to others, whatever goes wrong meanwhile; disks
    /// are lost and go back in time, too.
    Reads,
    /// An operator has nodes give their targets away, or leave and come back, while others crash.
    Leaves,
    /// Nodes stop and come back at other addresses, which nobody's list names.
    Moves,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Still,
        Self::Crashes,
        Self::Cuts,
        Self::Weather,
        Self::Writes,
        Self::All,
        Self::Reads,
        Self::Leaves,
        Self::Moves,
    ];
}

/// One run, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// What it is mostly about.
    pub kind: Kind,
    /// The hosts, the faults and the end.
    pub plan: Plan,
    /// The number in the first host's name; 0 in what is drawn.
    pub first: u32,
    /// How the servers behave.
    pub servers: Servers,
    /// What every host's config file says at first.
    pub file: Vec<Arc<Definition>>,
    /// What each host's wall clock is off by, in milliseconds.
    pub skews: Vec<i64>,
    /// Who is asked what when, in the order of time.
    pub calls: Vec<(Time, Host, Call)>,
    /// Who reads what those calls wrote.
    pub reads: Vec<Read>,
    /// A rule that is broken on purpose.
    pub mutation: Option<Mutation>,
}

/// How long nothing goes wrong at first.
pub(super) const START: Duration = Duration::from_secs(10);
/// How long it stays calm at the end.
const CALM: Duration = Duration::from_secs(22);
/// How many puts with a reader each a course of [`Kind::Reads`] has.
const READS: u64 = 120;
/// Before the end, servers answer again for so long.
const WELL: Duration = Duration::from_secs(16);

impl Course {
    /// Three to seven hosts, three to nine targets, one to two and a half minutes of trouble.
    #[must_use]
    pub fn draw(kind: Kind, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xf1ee7);
        let hosts = 3 + small(rng.below(3).min(rng.below(5)) + rng.below(3));
        let stormy = START + Duration::from_millis(60_000 + rng.below(90_000));
        let plan = Plan::calm(seed, hosts, stormy + CALM);
        let mut course = Self::still(kind, plan, 3 + rng.below(7), &mut rng);
        course.plan.calm_from = Time::ZERO + stormy;
        course.draw_servers(&mut rng);
        course.draw_faults(&mut rng);
        if matches!(kind, Kind::Writes | Kind::All) {
            course.draw_calls(&mut rng);
        }
        if kind == Kind::Reads {
            course.draw_reads(&mut rng);
        }
        if kind == Kind::Leaves {
            course.draw_leaves(&mut rng);
        }
        if kind == Kind::Moves {
            course.draw_moves(&mut rng);
            if rng.chance(40) {
                course.draw_calls(&mut rng);
            }
        }
        course
    }

    /// A course in which nothing happens, with so many targets.
    #[must_use]
    pub fn still(kind: Kind, plan: Plan, targets: u64, rng: &mut Rng) -> Self {
        let off = |rng: &mut Rng| i64::try_from(rng.below(40)).expect("small") - 20;
        let skews = (0..plan.hosts).map(|_| off(rng)).collect();
        let file = (0..targets).map(|n| target(rng, n)).collect();
        Self {
            kind,
            plan,
            first: 0,
            servers: Servers::default(),
            file,
            skews,
            calls: Vec::new(),
            reads: Vec::new(),
            mutation: None,
        }
    }

    fn draw_servers(&mut self, rng: &mut Rng) {
        let latest = Time(self.plan.end.0 - micros(WELL));
        for definition in self.file.clone() {
            let server = server(rng, &definition, latest);
            let name = Arc::clone(&definition.name);
            self.servers.moods.insert(name, server);
        }
        let blocks = match self.kind {
            Kind::Crashes
            | Kind::Weather
            | Kind::Writes
            | Kind::Reads
            | Kind::Leaves
            | Kind::Moves => rng.below(3),
            Kind::Still | Kind::Cuts | Kind::All => rng.below(8),
        };
        for _ in 0..blocks {
            let host = self.any(rng);
            let (from, until) = span(rng, Time::ZERO + START, self.plan.calm_from);
            let one = rng.below(self.file.len() as u64);
            let one = &self.file[usize::try_from(one).expect("an index")];
            let target = (!rng.chance(25)).then(|| Arc::clone(&one.name));
            self.servers.blocks.push(Block {
                host,
                target,
                from,
                until,
            });
        }
    }

    fn draw_faults(&mut self, rng: &mut Rng) {
        let count = match self.kind {
            Kind::Still | Kind::Moves => 0,
            Kind::Leaves => rng.below(5),
            Kind::All | Kind::Reads => 2 + rng.below(16),
            Kind::Crashes | Kind::Cuts | Kind::Weather | Kind::Writes => 1 + rng.below(10),
        };
        for _ in 0..count {
            let (from, until) = span(rng, Time::ZERO + START, self.plan.calm_from);
            self.draw_fault(rng, from, until.since(from));
        }
        let calm = self.plan.calm_from;
        self.plan.faults.push((calm, Fault::Weather(Link::lan())));
        self.plan.faults.push((calm, Fault::Heal));
        self.plan.faults.sort_by_key(|(at, _)| *at);
    }

    fn draw_fault(&mut self, rng: &mut Rng, at: Time, span: Duration) {
        let kind = match self.kind {
            Kind::All | Kind::Reads => Kind::ALL[1 + usize::try_from(rng.below(3)).expect("small")],
            Kind::Writes if rng.chance(40) => Kind::Cuts,
            Kind::Writes | Kind::Leaves => Kind::Crashes,
            other => other,
        };
        let host = self.any(rng);
        let fault = match (kind, rng.below(10)) {
            (Kind::Crashes, 0..4) => Fault::Crash(host, span, DiskAfter::Kept),
            (Kind::Crashes, 4) => Fault::Crash(host, span, DiskAfter::Wiped),
            (Kind::Crashes, 5) if self.kind == Kind::Reads && rng.chance(50) => {
                let before = START + Duration::from_micros(rng.below(at.0 - micros(START) + 1));
                let kept = (Time::ZERO + before, Fault::BackUp(host));
                self.plan.faults.push(kept);
                Fault::Crash(host, span, DiskAfter::RolledBack)
            }
            (Kind::Crashes, 5) => Fault::CrashAll(span.min(Duration::from_secs(10))),
            (Kind::Crashes, 6) => {
                let slower = Duration::from_millis(rng.below(2_000));
                Fault::SlowDisk(host, slower, span)
            }
            (Kind::Crashes, _) => Fault::Pause(host, span),
            (Kind::Cuts, 0..4) => Fault::Partition(self.some(rng), span),
            (Kind::Cuts, 4 | 5) => Fault::OneWay(self.some(rng), self.some(rng), span),
            (Kind::Cuts, _) => {
                self.servers.blocks.push(Block {
                    host,
                    target: None,
                    from: at,
                    until: at + span,
                });
                Fault::Partition(vec![host], span)
            }
            (Kind::Weather, 0..7) => Fault::Weather(bad_link(rng)),
            (Kind::Weather, _) => Fault::Rough(host, self.any(rng), bad_link(rng)),
            (
                Kind::Still | Kind::Writes | Kind::All | Kind::Reads | Kind::Leaves | Kind::Moves,
                _,
            ) => return,
        };
        self.plan.faults.push((at, fault));
    }

    /// Each put is a definition of its own, each version of the file too, so that one can tell
    /// which of them a node shows.
    fn draw_calls(&mut self, rng: &mut Rng) {
        let count = 2 + rng.below(20);
        for n in 0..count {
            let host = self.any(rng);
            let (at, _) = span(rng, Time::ZERO + START, self.plan.calm_from);
            let name = format!("api-{}", rng.below(3));
            let call = match rng.below(10) {
                0..5 => Call::Put(Request(n), labelled(&target_named(rng, &name), n)),
                5..8 => Call::Delete(Request(n), name.into()),
                _ => Call::Load(self.version(rng, n)),
            };
            self.calls.push((at, host, call));
        }
        self.calls.sort_by_key(|(at, ..)| *at);
    }

    /// Who leaves is started again after a while; who only gives its targets away does so until its
    /// process ends.
    fn draw_leaves(&mut self, rng: &mut Rng) {
        let count = 1 + rng.below(8);
        for n in 0..count {
            let (at, _) = span(rng, Time::ZERO + START, self.plan.calm_from);
            let call = if rng.chance(70) {
                Call::Leave(Duration::from_millis(500 + rng.below(10_000)))
            } else {
                Call::Drain(Request(n))
            };
            self.calls.push((at, self.any(rng), call));
        }
        self.calls.sort_by_key(|(at, ..)| *at);
    }

    /// Many puts of few names, each read on another host soon after its answer. Nobody checks
    /// these targets: what counts is what they are.
    fn draw_reads(&mut self, rng: &mut Rng) {
        let (from, until) = (Time::ZERO + START, self.plan.calm_from);
        for n in 0..READS {
            let host = self.any(rng);
            let at = Time(from.0 + rng.below(until.0 - from.0));
            let name = format!("api-{}", rng.below(4));
            if rng.chance(12) {
                let delete = Call::Delete(Request(READS + n), name.as_str().into());
                self.calls.push((at, self.any(rng), delete));
            }
            let paused = Definition {
                paused: true,
                ..definition(&name, 1_000, 500)
            };
            let put = Call::Put(Request(n), labelled(&paused, n));
            self.calls.push((at, host, put));
            let other = 1 + rng.below(u64::from(self.plan.hosts) - 1);
            self.reads.push(Read {
                put: Request(n),
                host: Host((host.0 + small(other)) % self.plan.hosts),
                after: Duration::from_millis(rng.below(3) * rng.below(40)),
                patience: Duration::from_millis(50 + rng.below(5_000)),
            });
        }
        self.calls.sort_by_key(|(at, ..)| *at);
    }

    /// Another content of the file: one target less or more, and a mark on the first.
    fn version(&self, rng: &mut Rng, n: u64) -> Vec<Arc<Definition>> {
        let mut file = self.file.clone();
        file[0] = labelled(&file[0], n);
        if rng.chance(50) {
            file.pop();
        } else {
            file.push(target_named(rng, &format!("more-{n}")));
        }
        file
    }

    pub(super) fn any(&self, rng: &mut Rng) -> Host {
        Host(small(rng.below(u64::from(self.plan.hosts))))
    }

    /// At least one host, and not all.
    pub(super) fn some(&self, rng: &mut Rng) -> Vec<Host> {
        let hosts = (0..self.plan.hosts).map(Host);
        let chosen: Vec<Host> = hosts.filter(|_| rng.chance(40)).collect();
        if chosen.is_empty() || chosen.len() == self.plan.hosts as usize {
            return vec![self.any(rng)];
        }
        chosen
    }
}

fn target(rng: &mut Rng, n: u64) -> Arc<Definition> {
    target_named(rng, &format!("t{n}"))
}

fn target_named(rng: &mut Rng, name: &str) -> Arc<Definition> {
    let interval = [500, 1_000, 1_000, 2_000][usize::try_from(rng.below(4)).expect("small")];
    let timeout = (200 + 100 * rng.below(3)).min(interval);
    let few = |n: u64| u16::try_from(n).expect("small");
    let fall = 2 + few(rng.below(2));
    Arc::new(Definition {
        rule: Rule {
            fall,
            of: fall,
            rise: 1 + few(rng.below(2)),
        },
        confirm: u8::try_from(rng.below(4).min(2)).expect("small"),
        ..definition(name, interval, timeout)
    })
}

pub(super) fn labelled(definition: &Definition, n: u64) -> Arc<Definition> {
    let label = ("n".into(), n.to_string().into());
    Arc::new(Definition {
        labels: Box::new([label]),
        ..definition.clone()
    })
}

fn server(rng: &mut Rng, definition: &Definition, latest: Time) -> Server {
    let mut moods = Vec::new();
    let mut at = START + Duration::from_millis(rng.below(15_000));
    let is_long = rng.chance(40);
    for _ in 0..rng.below(9) {
        let length = if is_long {
            Duration::from_millis(16_000 + rng.below(8_000))
        } else {
            Duration::from_millis(300 + rng.below(12_000))
        };
        let (from, until) = (Time::ZERO + at, Time::ZERO + at + length);
        if until > latest {
            break;
        }
        let mood = match rng.below(10) {
            0..4 => Mood::Refusing,
            4..7 => Mood::Silent,
            _ if is_long => Mood::Unavailable,
            7 => Mood::Unavailable,
            8 => Mood::Slow(definition.timeout + Duration::from_millis(rng.below(300))),
            _ => Mood::Flapping(Duration::from_millis(200 + rng.below(4_000))),
        };
        moods.push((from, until, mood));
        let rest = if is_long { 16_000 } else { 500 };
        at += length + Duration::from_millis(rest + rng.below(12_000));
    }
    Server {
        local: false,
        latency: Duration::from_millis(1 + rng.below(40)),
        moods,
    }
}

pub(super) fn span(rng: &mut Rng, from: Time, until: Time) -> (Time, Time) {
    let whole = until.0 - from.0;
    let begins = from.0 + rng.below(whole * 9 / 10);
    let most = (until.0 - begins).min(25_000_000);
    (
        Time(begins),
        Time(begins + 200_000 + rng.below(most)).min(until),
    )
}

pub(super) fn bad_link(rng: &mut Rng) -> Link {
    let mut link = Link::lan();
    link.delay.1 = Duration::from_millis(2 + rng.below(100));
    if rng.chance(60) {
        link.loss = rng.below(200);
    }
    if rng.chance(40) {
        link.doubled = rng.below(300);
    }
    if rng.chance(40) {
        link.late = rng.below(200);
        link.late_by = Duration::from_millis(rng.below(1_000));
    }
    if rng.chance(30) {
        link.corrupted = rng.below(100);
    }
    link
}

pub(super) fn small(n: u64) -> u32 {
    u32::try_from(n).expect("small")
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).expect("a span of a run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_course() {
        for seed in 0..100 {
            for kind in Kind::ALL {
                let draw = || Course::draw(kind, seed);
                assert_eq!(draw(), draw(), "seed {seed}");
            }
        }
    }

    #[test]
    fn nothing_goes_wrong_on_hosts_in_the_calm_and_every_definition_is_allowed() {
        for seed in 0..200 {
            let course = Course::draw(Kind::All, seed);
            let calm = course.plan.calm_from;
            for (at, fault) in &course.plan.faults {
                assert!(*at <= calm, "seed {seed}: {fault:?}");
            }
            for definition in &course.file {
                assert_eq!(definition.check(), Ok(()), "seed {seed}");
            }
            assert!((3..=7).contains(&course.plan.hosts), "seed {seed}");
        }
    }
}
