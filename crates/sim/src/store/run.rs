//! One run: the world steps, the model judges.

use std::collections::{BTreeMap, BTreeSet};

use base::{Duration, Origin, Rng, Time};
use store::{Config, Store};

use super::course::{Course, Kind};
use super::detector::Detector;
use super::model::{Breach, Model};
use super::node::{self, Call, Replica, Tuning, Word, id_of, records};
use super::promises::{Broken, Promise};
use super::view::{Core, View};
use crate::cluster::{self, DiskAfter, Fault, Happened, Host, Step, World};
use crate::trace::Trace;

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The first promise that was not kept; the run ended there.
    pub broken: Option<Broken>,
    /// What happened.
    pub trace: Trace,
    /// How many steps the world took.
    pub steps: u64,
    /// How many writes there were.
    pub writes: u64,
    /// How many of them were confirmed.
    pub confirmed: u64,
    /// How often a node took a fresh origin.
    pub renamed: u64,
    /// How many origins were retired.
    pub retired: u64,
    /// What every host showed last.
    pub views: Vec<View>,
}

/// How often origins that are gone are looked for.
const RETIRE_EVERY: Duration = Duration::from_secs(4);

/// Lets the course happen and checks every promise after every step; `tuning` is the core's
/// settings, `keep` how many lines of the trace are kept.
#[must_use]
pub fn run(course: &Course, tuning: fn(&mut Config), keep: usize) -> Report {
    run_of::<Store>(course, tuning, keep)
}

/// The same, with another store in its place.
#[must_use]
pub fn run_of<C: Core>(course: &Course, tuning: fn(&mut Config), keep: usize) -> Report {
    Runner::<C>::new(course, tuning, keep).finish()
}

/// The course without every fault and every write that `promise` breaks without.
#[must_use]
pub fn cut_down(course: &Course, tuning: fn(&mut Config), promise: Promise) -> Course {
    let breaks = |course: &Course| {
        let broken = run(course, tuning, 0).broken;
        broken.is_some_and(|broken| broken.promise == promise)
    };
    let mut least = course.clone();
    least.plan.faults = cluster::cut_down(&course.plan.faults, |faults| {
        let mut fewer = course.clone();
        fewer.plan.faults = faults.to_vec();
        breaks(&fewer)
    });
    let base = least.clone();
    least.calls = cluster::cut_down(&base.calls, |calls| {
        let mut fewer = base.clone();
        fewer.calls = calls.to_vec();
        breaks(&fewer)
    });
    least
}

struct Runner<'a, C: Core> {
    course: &'a Course,
    tuning: fn(&mut Config),
    world: World<Replica<C>>,
    detector: Detector,
    model: Model,
    trace: Trace,
    rng: Rng,
    report: Report,
    retire_at: Time,
    gone: BTreeSet<Origin>,
    /// Every origin ever seen as some node's own.
    origins: BTreeSet<Origin>,
    /// Under what each host writes, or wrote before it died.
    writers: Vec<Option<Origin>>,
}

impl<'a, C: Core> Runner<'a, C> {
    fn new(course: &'a Course, tuning: fn(&mut Config), keep: usize) -> Self {
        let push = course.push;
        let settings = Tuning {
            sealed: true,
            marker: None,
        };
        let mut world = World::new(course.plan.clone(), move |boot| {
            let change = |config: &mut Config| {
                config.push = push;
                tuning(config);
            };
            Replica::new(&boot, &settings, change)
        });
        for (at, host, call) in &course.calls {
            world.call_at(*at, *host, call.clone());
        }
        Self {
            course,
            tuning,
            world,
            detector: Detector::new(course.plan.hosts, course.retention),
            model: Model::new(course.plan.hosts),
            trace: Trace::new(keep),
            rng: Rng::new(course.plan.seed ^ 0x4e71),
            report: Report {
                broken: None,
                trace: Trace::new(0),
                steps: 0,
                writes: 0,
                confirmed: 0,
                renamed: 0,
                retired: 0,
                views: Vec::new(),
            },
            retire_at: Time::ZERO + RETIRE_EVERY,
            gone: BTreeSet::new(),
            origins: BTreeSet::new(),
            writers: vec![None; course.plan.hosts as usize],
        }
    }

    fn finish(mut self) -> Report {
        loop {
            self.detector.look(&mut self.world);
            self.retire();
            let Some(step) = self.world.step() else {
                break;
            };
            self.report.steps += 1;
            self.note(&step);
            let host = step.host;
            if let Err(breach) = self.judge(step) {
                return self.over(host, breach);
            }
        }
        match self.calm_end() {
            Err((host, breach)) => self.over(host, breach),
            Ok(()) => self.ended(),
        }
    }

    fn over(mut self, host: Option<Host>, (promise, how): Breach) -> Report {
        self.report.broken = Some(Broken {
            promise,
            at: self.world.now(),
            host,
            how,
        });
        self.ended()
    }

    fn ended(mut self) -> Report {
        self.report.trace = self.trace;
        self.report.writes = self.model.written.len() as u64;
        let confirmed = self.model.written.iter().filter(|w| w.is_confirmed);
        self.report.confirmed = confirmed.count() as u64;
        self.report.retired = self.gone.len() as u64;
        let minds = self.model.minds.into_iter();
        self.report.views = minds.map(|mind| mind.view).collect();
        self.report
    }

    fn note(&mut self, step: &Step<Replica<C>>) {
        self.trace.line(step.at, || {
            let who = step
                .host
                .map_or("all".to_owned(), |h| format!("host {}", h.0));
            let words = if step.words.is_empty() {
                String::new()
            } else {
                format!(" -> {:?}", step.words)
            };
            format!("{who} {:?}{words}", step.what)
        });
    }

    fn judge(&mut self, step: Step<Replica<C>>) -> Result<(), Breach> {
        if let Happened::Faulted(Fault::CrashAll(_)) = step.what {
            return Ok(());
        }
        let Some(host) = step.host else {
            return Ok(());
        };
        match &step.what {
            Happened::Crashed => {
                self.crashed(host, step.at);
                return Ok(());
            }
            Happened::Booted => self.booted(host)?,
            Happened::Persisted(_) => self.settled(host)?,
            _ => {}
        }
        let Some(node) = self.world.node(host) else {
            return Ok(());
        };
        let view = node.store().view();
        if let Happened::Called(call) = &step.what {
            self.called(host, call, &view)?;
        }
        let node = self.world.node(host).expect("it is still there");
        self.writers[host.index()] = view.last.map(|last| last.origin);
        self.origins.extend(view.last.map(|last| last.origin));
        self.model.looked(host, view)?;
        self.model.claimed(host, &node.store().claimed())?;
        bounded(node)?;
        for word in step.words {
            match word {
                Word::Confirmed(dot) => {
                    let is_alone = node.store().is_alone();
                    self.model.confirmed(host, dot, is_alone)?;
                }
                Word::Renamed(..) => self.report.renamed += 1,
                Word::Changed(_) => {}
            }
        }
        Ok(())
    }

    /// What was asked of a node, now that it has done it.
    fn called(&mut self, host: Host, call: &Call, view: &View) -> Result<(), Breach> {
        match call {
            Call::Put(key, value) => self.model.asked(host, key, Some(value), view.last),
            Call::Delete(key) => self.model.asked(host, key, None, view.last),
            Call::Collapse(key) => {
                let shown = self.model.minds[host.index()].view.collapse(key);
                match shown {
                    Some(value) => self.model.asked(host, key, value.as_deref(), view.last),
                    None => Ok(()),
                }
            }
            Call::Peers(..) | Call::Retire(_) => Ok(()),
        }
    }

    fn crashed(&mut self, host: Host, at: Time) {
        let touched = self.course.plan.faults.iter().any(|(when, fault)| {
            *when == at
                && matches!(fault, Fault::Crash(dead, _, after)
                    if *dead == host && *after != DiskAfter::Kept)
        });
        if touched {
            self.model.disk_touched(host);
        }
    }

    fn booted(&mut self, host: Host) -> Result<(), Breach> {
        let node = self.world.node(host).expect("it has just booted");
        let view = node.store().view();
        // Its disk may be a copy of one whose last writes nobody has seen yet.
        self.settled(host)?;
        self.model.booted(host, view)
    }

    /// Reads the disk as a boot would.
    fn settled(&mut self, host: Host) -> Result<(), Breach> {
        let view = self.disk(host);
        self.model.on_disk(host, &view)
    }

    fn disk(&self, host: Host) -> View {
        let mut config = node::config(id_of(host), Origin(0), 1);
        (self.tuning)(&mut config);
        let records = records(&self.world.disk(host).read());
        let core = C::new(config, records).expect("a disk that a store wrote");
        core.view()
    }

    /// Now and then, and in the calm for certain, the origins that no host has any more are
    /// retired by everybody who runs.
    fn retire(&mut self) {
        let now = self.world.now();
        if !self.course.retires || now < self.retire_at {
            return;
        }
        self.retire_at = now + RETIRE_EVERY;
        let calm = now >= self.course.plan.calm_from;
        let late = self.course.plan.calm_from + Duration::from_secs(9);
        let early = self.course.kind != Kind::Disks && self.rng.chance(40);
        if now > late || !calm && !early {
            return;
        }
        let hosts: Vec<Host> = (0..self.course.plan.hosts).map(Host).collect();
        let kept: BTreeSet<Origin> = self.writers.iter().flatten().copied().collect();
        let gone: Vec<Origin> = self.origins.difference(&kept).copied().collect();
        for origin in gone {
            self.gone.insert(origin);
            for &host in &hosts {
                if calm || self.rng.chance(80) {
                    self.world.call_at(now, host, Call::Retire(origin));
                }
            }
        }
    }

    /// Everything has been good for a while: what must be true now.
    fn calm_end(&self) -> Result<(), (Option<Host>, Breach)> {
        let all = &self.model.minds;
        let mut known = BTreeMap::new();
        for (host, mind) in (0..).map(Host).zip(all) {
            let at = Some(host);
            let breach = |promise, how| Err((at, (promise, how)));
            for origin in self.gone.iter().filter(|_| C::COLLECTS) {
                let view = &mind.view;
                let entry = view.held.iter().find(|held| held.dot.origin == *origin);
                if entry.is_some() || view.prefix.contains_key(origin) {
                    let how = format!("{origin} is still there: {entry:?}");
                    return breach(Promise::RetiredGoesAway, how);
                }
            }
            let (first, mine) = (&all[0].view, &mind.view);
            if dots(first) != dots(mine) || first.prefix != mine.prefix {
                let how = format!("{first:?}\nand host {}: {mine:?}", host.0);
                return breach(Promise::Convergence, how);
            }
            for held in &mine.held {
                if let Some(other) = known.insert((host, &held.key), held) {
                    let how = format!("{held:?} and {other:?} after the collapse");
                    return breach(Promise::SiblingsBounded, how);
                }
                if C::COLLECTS && (held.context > 0 || held.value.is_none()) {
                    return breach(Promise::ContextsClear, format!("{held:?} is left"));
                }
            }
            for (n, write) in self.model.written.iter().enumerate() {
                let kept = all.iter().any(|mind| mind.durable.has(n));
                let known = mind.seen.has(n) || mind.covered.has(n);
                if write.is_confirmed && kept && !known {
                    return breach(Promise::NoLostWrite, self.model.name(n));
                }
            }
        }
        Ok(())
    }
}

fn dots(view: &View) -> Vec<base::Version> {
    view.held.iter().map(|held| held.dot).collect()
}

/// The most messages that one input may make a store of this world send.
const SENDS: usize = 64;

fn bounded<C: Core>(node: &Replica<C>) -> Result<(), Breach> {
    let most = node.store().config().packet_size;
    if node.longest() > most {
        let how = format!("a datagram of {} bytes", node.longest());
        return Err((Promise::Bounded, how));
    }
    if node.most_sends() > SENDS {
        let how = format!("{} messages at once", node.most_sends());
        return Err((Promise::Bounded, how));
    }
    Ok(())
}
