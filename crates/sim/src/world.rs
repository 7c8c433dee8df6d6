//! The world: an ordered queue of happenings, and one node in it.
//!
//! Contract with the node, as the agent keeps it: every check comes back once unless the process
//! dies; `poll` is drained after every `handle`; `Tick` is given at the deadline; while the
//! process stands still, whatever comes for it waits. Start reading at [`run`].

mod flight;
mod process;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Duration, Rng, Time};
use health::{Batch, Definition, Finding, Input, Reason, Source};

use crate::clock::WallClock;
use crate::disk::Disk;
use crate::faults::{Fault, Plan, edit, random_definition};
use crate::promises::{Broken, Ledger};
use crate::reference::Reading;
use crate::subject::Mutant;
use crate::target::{Mood, Server};
use crate::trace::Trace;
use process::Process;
use watch::Watch;

/// What a run yielded.
#[derive(Debug)]
pub struct Report {
    /// The first promise that broke, if any.
    pub broken: Option<Broken>,
    /// The course of the run.
    pub trace: Trace,
    /// Checks started.
    pub checks: u64,
    /// Transitions to down that were shown.
    pub downs: u64,
    /// Restarts of the process.
    pub restarts: u64,
    /// Outcomes that the node held to be inconclusive.
    pub inconclusive: u64,
}

/// What happens at a moment; what is for the node names the life of the process it is meant for.
#[derive(Clone, Debug)]
enum Happening {
    Fault(usize),
    Mood(Arc<str>),
    Disk,
    Boot,
    Verify(Arc<str>, u64),
    ForNode(u64, ForNode),
}

/// What the process would handle.
#[derive(Clone, Debug)]
enum ForNode {
    Tick,
    WallClock,
    Reply(u64),
    Confirmed(Batch),
    Give(Input),
}

struct World {
    plan: Plan,
    mutant: Option<Mutant>,
    rng: Rng,
    now: Time,
    queue: BTreeMap<(Time, u64), Happening>,
    queued: u64,
    clock: WallClock,
    disk: Disk,
    servers: BTreeMap<Arc<str>, Server>,
    file: Vec<Arc<Definition>>,
    process: Option<Process>,
    life: u64,
    /// The end of the last fault that may delay or skip checks.
    disturbed_until: Time,
    cut: (u64, Time),
    cut_from: Time,
    /// The last batch that was written, and the last that the node was told of.
    batches: (Batch, Batch),
    /// When the last room was taken.
    crowded_at: Time,
    starve_until: Time,
    no_descriptors_until: Time,
    slow_disk_until: Time,
    watches: BTreeMap<Arc<str>, Watch>,
    readings: BTreeMap<Arc<str>, Reading>,
    /// What the counters were when the process stopped in order; they must come back.
    farewell: BTreeMap<Arc<str>, (Arc<Definition>, health::Explanation)>,
    ledger: Ledger,
    report: Report,
    requests: u64,
}

/// Lets a plan happen; keeps the last `trace_lines` lines of the trace.
#[must_use]
pub fn run(plan: &Plan, mutant: Option<Mutant>, trace_lines: usize) -> Report {
    let mut world = World::new(plan.clone(), mutant, trace_lines);
    let end = Time::ZERO + plan.span;
    while let Some(((at, _), happening)) = world.queue.pop_first() {
        if at > end || world.ledger.broken.is_some() {
            break;
        }
        world.now = at;
        world.ledger.at(at);
        world.happen(happening);
    }
    world.finish()
}

impl World {
    fn new(plan: Plan, mutant: Option<Mutant>, trace_lines: usize) -> Self {
        let mut rng = Rng::new(plan.seed);
        let drift = i64::try_from(rng.below(400)).unwrap_or(0) - 200;
        let mut world = Self {
            rng,
            mutant,
            now: Time::ZERO,
            queue: BTreeMap::new(),
            queued: 0,
            clock: WallClock::new(1_790_000_000_123, drift),
            disk: Disk::default(),
            servers: plan.servers.clone(),
            file: plan.file.clone(),
            process: None,
            life: 0,
            disturbed_until: Time::ZERO,
            cut: (0, Time::ZERO),
            cut_from: Time::ZERO,
            batches: (Batch(0), Batch(0)),
            crowded_at: Time::ZERO,
            starve_until: Time::ZERO,
            no_descriptors_until: Time::ZERO,
            slow_disk_until: Time::ZERO,
            watches: BTreeMap::new(),
            readings: BTreeMap::new(),
            farewell: BTreeMap::new(),
            ledger: Ledger::default(),
            report: Report {
                broken: None,
                trace: Trace::new(trace_lines),
                checks: 0,
                downs: 0,
                restarts: 0,
                inconclusive: 0,
            },
            requests: 0,
            plan,
        };
        for (i, (at, fault)) in world.plan.faults.clone().into_iter().enumerate() {
            if let Fault::Outage(name, mood, span) = fault {
                if let Some(server) = world.servers.get_mut(&name) {
                    server.moods.push((at, at + span, mood));
                }
                world.at(at, Happening::Mood(Arc::clone(&name)));
                world.at(at + span, Happening::Mood(name));
            } else {
                world.at(at, Happening::Fault(i));
            }
        }
        world.at(Time::ZERO, Happening::Boot);
        world
    }

    fn at(&mut self, at: Time, happening: Happening) {
        self.queued += 1;
        self.queue.insert((at, self.queued), happening);
    }

    fn soon(&mut self, micros_max: u64) -> Time {
        self.now + Duration::from_micros(self.rng.below(micros_max))
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        self.report.trace.line(self.now, text);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Fault(i) => self.fault(i),
            Happening::Mood(name) => {
                let mood = self.servers.get(&name).map(|server| server.mood(self.now));
                self.note(|| format!("server {name} is {mood:?}"));
                self.watch(&name);
            }
            Happening::Disk => {
                if let Some(batch) = self.disk.settle(self.now) {
                    let at = self.soon(1_000);
                    self.for_node(at, ForNode::Confirmed(batch));
                }
            }
            Happening::Boot => self.boot(),
            Happening::Verify(name, token) => self.verify(&name, token),
            Happening::ForNode(life, what) => self.reach(life, what),
        }
    }

    fn for_node(&mut self, at: Time, what: ForNode) {
        self.at(at, Happening::ForNode(self.life, what));
    }

    fn disturb(&mut self, span: Duration) {
        self.disturbed_until = self.disturbed_until.max(self.now + span);
    }

    fn fault(&mut self, i: usize) {
        let fault = self.plan.faults[i].1.clone();
        self.note(|| format!("FAULT {fault:?}"));
        match fault {
            Fault::Pause(span) => {
                self.disturb(span);
                self.stall(span);
            }
            Fault::Starve(span) => {
                self.disturb(span + Duration::from_millis(80));
                self.starve_until = self.starve_until.max(self.now + span);
            }
            Fault::JumpWall(by_ms) => {
                // Up to a second until it is heard; then small jumps are slewed for some seconds.
                let span = if by_ms.abs() <= 1_000 { 14 } else { 2 };
                self.disturb(Duration::from_secs(span));
                self.clock.jump(by_ms);
            }
            Fault::CutUplink(span) => {
                self.disturb(span);
                self.cut_from = self.now;
                self.cut = (self.cut.0 + 1, self.cut.1.max(self.now + span));
                self.cut_flights();
            }
            Fault::NoDescriptors(span) => {
                self.disturb(span);
                self.no_descriptors_until = self.no_descriptors_until.max(self.now + span);
            }
            Fault::SlowDisk(span) => {
                self.disturb(span + Duration::from_millis(500));
                self.slow_disk_until = self.slow_disk_until.max(self.now + span);
            }
            Fault::Crash(word) => {
                let pending = self.disk.pending() as u64;
                let reached = usize::try_from(word % (pending + 1)).unwrap_or(0);
                self.disk.crash(reached);
                self.end_process();
                self.disturb(Duration::from_millis(200));
            }
            Fault::Stop => self.stop_process(),
            Fault::Reload(word) => {
                self.file = edit(&mut Rng::new(word), &self.file);
                let input = Input::Load(Source::File, self.file.clone());
                self.for_node(self.now, ForNode::Give(input));
            }
            Fault::Put(word) => {
                let mut rng = Rng::new(word);
                let name = api_name(&mut rng);
                let definition = Arc::new(random_definition(&mut rng, &name));
                self.requests += 1;
                let request = health::Request(self.requests);
                self.for_node(self.now, ForNode::Give(Input::Put(request, definition)));
            }
            Fault::Delete(word) => {
                let name = api_name(&mut Rng::new(word)).into();
                self.requests += 1;
                let request = health::Request(self.requests);
                self.for_node(self.now, ForNode::Give(Input::Delete(request, name)));
            }
            Fault::Outage(..) => {}
        }
    }

    fn is_cut(&self) -> bool {
        self.now < self.cut.1
    }

    /// The server of this name; made up if nobody planned it.
    fn server(&mut self, name: &Arc<str>) -> &Server {
        self.servers.entry(Arc::clone(name)).or_insert_with(|| {
            let mut rng = Rng::new(base::hash64(name.as_bytes()));
            Server::random(&mut rng, Duration::from_millis(100))
        })
    }

    fn finish(mut self) -> Report {
        if self.ledger.broken.is_none() {
            self.nobody_starved();
        }
        let broken = self.ledger.broken.take();
        if let Some(broken) = &broken {
            self.report
                .trace
                .line(self.now, || format!("BROKEN {broken}"));
        }
        Report {
            broken,
            ..self.report
        }
    }
}

/// Some names are in the file too, so that one shadows the other.
fn api_name(rng: &mut Rng) -> String {
    if rng.chance(25) {
        format!("t{}", rng.below(10))
    } else {
        format!("api{}", rng.below(5))
    }
}

const fn is_failing(mood: Mood, timeout: Duration) -> Option<bool> {
    match mood {
        Mood::Up => Some(false),
        Mood::Refusing | Mood::Silent | Mood::Unavailable => Some(true),
        Mood::Slow(after) => {
            let (after, timeout) = (after.as_micros(), timeout.as_micros());
            if after > timeout + 10_000 {
                Some(true)
            } else if after + 10_000 < timeout {
                Some(false)
            } else {
                None
            }
        }
        Mood::Flapping(_) => None,
    }
}

const GAVE_UP: Finding = Finding::Failed(Reason::ClosedEarly);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_without_faults_goes_up_and_stays_so() {
        let mut plan = Plan::draw(1);
        plan.faults.clear();
        let report = run(&plan, None, 50);
        assert_eq!(report.broken, None, "{}", report.trace);
        assert_eq!((report.downs, report.restarts), (0, 0));
        assert!(report.checks > 100);
    }

    #[test]
    fn slow_servers_fail_only_beyond_the_timeout() {
        let second = Duration::from_secs(1);
        assert_eq!(is_failing(Mood::Slow(second * 2), second), Some(true));
        assert_eq!(is_failing(Mood::Slow(second / 2), second), Some(false));
        assert_eq!(is_failing(Mood::Slow(second), second), None);
    }
}
