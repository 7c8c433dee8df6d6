//! The plan of a run: the fleet, and which faults happen when; all drawn from the seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Duration, Rng, Time};
use health::{Definition, Http, Probe, Rule};

use crate::target::{Mood, Server};

/// Something that goes wrong, or is done to the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process stands still, as after SIGSTOP.
    Pause(Duration),
    /// For so long every input is followed by up to 80 ms without the processor.
    Starve(Duration),
    /// The wall clock jumps by so many milliseconds.
    JumpWall(i64),
    /// Nothing remote is heard for so long.
    CutUplink(Duration),
    /// For so long every other probe finds no descriptor.
    NoDescriptors(Duration),
    /// The disk takes much longer for so long.
    SlowDisk(Duration),
    /// The process dies; the number chooses how much of what was being written got through.
    Crash(u64),
    /// The process is asked to stop, and is started again.
    Stop,
    /// The config file is changed at random and loaded.
    Reload(u64),
    /// A target is put through the API.
    Put(u64),
    /// A target is deleted through the API.
    Delete(u64),
    /// A server misbehaves for so long; not the node's fault.
    Outage(Arc<str>, Mood, Duration),
}

/// Everything that a run depends on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of latencies and other small choices.
    pub seed: u64,
    /// The servers by name; those of later targets are made up from their names.
    pub servers: BTreeMap<Arc<str>, Server>,
    /// The config file at the start.
    pub file: Vec<Arc<Definition>>,
    /// The node's limit.
    pub in_flight_max: u32,
    /// How long the run is.
    pub span: Duration,
    /// What happens, by time.
    pub faults: Vec<(Time, Fault)>,
}

/// A moment below `span`.
fn moment(rng: &mut Rng, span: Duration) -> Time {
    Time(rng.below(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
}

fn seconds(rng: &mut Rng, least_ms: u64, most_ms: u64) -> Duration {
    Duration::from_millis(least_ms + rng.below(most_ms - least_ms))
}

/// The default target of the simulator.
pub(crate) fn definition(name: &str, interval_ms: u64, timeout_ms: u64) -> Definition {
    Definition {
        name: name.into(),
        probe: Probe::Http(Box::new(Http::get("http://sim/"))),
        interval: Duration::from_millis(interval_ms),
        timeout: Duration::from_millis(timeout_ms),
        rule: Rule::default(),
        confirm: 0,
        paused: false,
        labels: Box::default(),
        group: None,
    }
}

pub(crate) fn random_definition(rng: &mut Rng, name: &str) -> Definition {
    let intervals = [500, 1_000, 1_000, 1_000, 2_000, 3_000, 5_000, 10_000];
    let pick = usize::try_from(rng.below(8)).unwrap_or(0);
    let interval = intervals[pick];
    let timeout = if rng.chance(30) {
        interval
    } else {
        interval / (2 + rng.below(3))
    };
    let small = |n: u64| u16::try_from(n).unwrap_or(1);
    let fall = small(1 + rng.below(4));
    let of = if rng.chance(80) {
        fall
    } else {
        fall + small(rng.below(4))
    };
    Definition {
        rule: Rule {
            fall,
            of,
            rise: small(1 + rng.below(3)),
        },
        paused: rng.chance(4),
        ..definition(name, interval, timeout.min(2_000))
    }
}

impl Server {
    /// A server that is up, its latency drawn.
    pub(crate) fn random(rng: &mut Rng, timeout: Duration) -> Self {
        let most = u64::try_from(timeout.as_micros()).unwrap_or(1_000) / 2;
        Self {
            local: rng.chance(20),
            latency: Duration::from_micros(rng.below(most.min(120_000)) + 1),
            moods: Vec::new(),
        }
    }
}

impl Plan {
    /// The fleet and the faults of this seed: 5 to 60 targets, 40 to 120 seconds.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x51_0d_e5);
        let span = seconds(&mut rng, 40_000, 120_000);
        let mut servers = BTreeMap::new();
        let mut file = Vec::new();
        let most = if rng.chance(30) { 56 } else { 20 };
        let is_even = rng.chance(40);
        for i in 0..5 + rng.below(most) {
            let name = format!("t{i}");
            let mut definition = random_definition(&mut rng, &name);
            if is_even {
                definition.interval = Duration::from_secs(1);
                definition.timeout = definition.timeout.min(definition.interval);
            }
            servers.insert(
                Arc::clone(&definition.name),
                Server::random(&mut rng, definition.timeout),
            );
            file.push(Arc::new(definition));
        }
        let in_flight_max = if rng.chance(10) {
            3 + u32::try_from(rng.below(10)).unwrap_or(0)
        } else {
            4_096
        };
        let mut plan = Self {
            seed,
            servers,
            file,
            in_flight_max,
            span,
            faults: Vec::new(),
        };
        plan.draw_outages(&mut rng);
        // Some runs are quiet, so that the bounds without allowances are tested too.
        if !rng.chance(25) {
            plan.draw_faults(&mut rng);
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    fn draw_outages(&mut self, rng: &mut Rng) {
        for definition in &self.file {
            for _ in 0..rng.below(3) {
                let mood = match rng.below(8) {
                    0..=2 => Mood::Refusing,
                    3 | 4 => Mood::Silent,
                    5 => Mood::Unavailable,
                    6 => Mood::Slow(definition.timeout.mul_f64(0.5) * (1 + rng.below(4) as u32)),
                    _ => Mood::Flapping(seconds(rng, 300, 9_000)),
                };
                let outage = Fault::Outage(
                    Arc::clone(&definition.name),
                    mood,
                    seconds(rng, 500, 60_000),
                );
                self.faults.push((moment(rng, self.span), outage));
            }
        }
    }

    fn draw_faults(&mut self, rng: &mut Rng) {
        let kinds = rng.word();
        for _ in 0..1 + rng.below(9) {
            let kind = rng.below(11);
            if kinds >> kind & 1 == 0 {
                continue;
            }
            let fault = match kind {
                0 => {
                    let most = if rng.chance(50) { 1_000 } else { 30_000 };
                    Fault::Pause(seconds(rng, 20, most))
                }
                1 => Fault::Starve(seconds(rng, 500, 20_000)),
                2 => {
                    let sizes = [3_600_000, 350, 900, 1_500, 60_000, 7];
                    let size = sizes[usize::try_from(rng.below(6)).unwrap_or(0)];
                    Fault::JumpWall(if rng.chance(50) { size } else { -size })
                }
                3 => Fault::CutUplink(seconds(rng, 300, 25_000)),
                4 => Fault::NoDescriptors(seconds(rng, 300, 15_000)),
                5 => Fault::SlowDisk(seconds(rng, 300, 10_000)),
                6 => Fault::Crash(rng.word()),
                7 => Fault::Stop,
                8 => Fault::Reload(rng.word()),
                9 => Fault::Put(rng.word()),
                _ => Fault::Delete(rng.word()),
            };
            self.faults.push((moment(rng, self.span), fault));
        }
    }
}

/// A random change of a config file.
pub(crate) fn edit(rng: &mut Rng, file: &[Arc<Definition>]) -> Vec<Arc<Definition>> {
    let mut edited = Vec::new();
    for definition in file {
        match rng.below(20) {
            0 => {}
            1 | 2 => edited.push(Arc::new(random_definition(rng, &definition.name))),
            3 => {
                let paused = !definition.paused;
                edited.push(Arc::new(Definition {
                    paused,
                    ..Definition::clone(definition)
                }));
            }
            4 => {
                let probe = Probe::Http(Box::new(Http::get("http://sim/other")));
                edited.push(Arc::new(Definition {
                    probe,
                    ..Definition::clone(definition)
                }));
            }
            _ => edited.push(Arc::clone(definition)),
        }
    }
    for _ in 0..rng.below(6) {
        let name = format!("extra{}", rng.below(12));
        if edited.iter().all(|d| *d.name != *name) {
            edited.push(Arc::new(random_definition(rng, &name)));
        }
    }
    edited
}
