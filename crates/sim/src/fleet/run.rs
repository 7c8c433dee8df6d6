//! One run: the world steps, the servers answer, the judge looks.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use base::{Duration, Rng, Time};
use health::{Definition, Finding, Notice};

use super::course::Course;
use super::judge::{Breach, Figures, Judge};
use super::ledger::Ledger;
use super::node::{Call, Process, Setup, Word};
use super::promises::{Broken, Promise};
use super::readers::Readers;
use super::story::{Line, Story};
use super::trouble::Trouble;
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
    /// How often a node was refused because its name was taken.
    pub refused: u64,
    /// Bytes sent by all hosts.
    pub bytes: u64,
    /// What was measured.
    pub figures: Figures,
}

/// How often all nodes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// So many steps at one moment are a node that does not wait.
pub(super) const RESTLESS: u32 = 10_000;
/// Who was refused tries again after this, as a supervisor does.
pub(super) const TRY_AGAIN: Duration = Duration::from_secs(3);

/// Lets the course happen and checks every promise after every step; `keep` is how many lines of
/// the trace are kept.
#[must_use]
pub fn run(course: &Course, keep: usize) -> Report {
    Runner::new(course, keep).end().0
}

/// The same run as [`run`], and what each node's log says of it.
#[must_use]
pub fn tell(course: &Course) -> (Report, Vec<Line>) {
    let mut runner = Runner::new(course, 0);
    runner.story = Story::kept();
    runner.end()
}

/// The course without every fault, block, call and outage that `promise` breaks without.
#[must_use]
pub fn cut_down(course: &Course, promise: Promise) -> Course {
    let breaks = |course: &Course| {
        let broken = run(course, 0).broken;
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
    let base = least.clone();
    least.servers.blocks = cluster::cut_down(&base.servers.blocks, |blocks| {
        let mut fewer = base.clone();
        fewer.servers.blocks = blocks.to_vec();
        breaks(&fewer)
    });
    let names: Vec<Arc<str>> = least.servers.moods.keys().cloned().collect();
    for name in names {
        let mut fewer = least.clone();
        fewer
            .servers
            .moods
            .get_mut(&name)
            .expect("it is one of them")
            .moods
            .clear();
        if breaks(&fewer) {
            least = fewer;
        }
    }
    least
}

struct Runner<'a> {
    course: &'a Course,
    world: World<Process>,
    judge: Judge<'a>,
    readers: Readers,
    story: Story,
    /// Each host's config file.
    files: Rc<RefCell<Vec<Vec<Arc<Definition>>>>>,
    trace: Trace,
    rng: Rng,
    steps: u64,
    refused: u64,
    look_at: Time,
    /// How many steps there were at the moment of the last.
    restless: u32,
    last: Time,
    /// Since when all hosts run and nothing is wrong.
    calm: Time,
}

impl<'a> Runner<'a> {
    fn new(course: &'a Course, keep: usize) -> Self {
        let hosts = course.plan.hosts;
        let files = Rc::new(RefCell::new(vec![course.file.clone(); hosts as usize]));
        let (skews, mutation) = (course.skews.clone(), course.mutation);
        let first = course.first;
        let on_disk = Rc::clone(&files);
        let mut world = World::new(course.plan.clone(), move |boot| {
            let setup = Setup {
                contacts: hosts,
                first,
                file: on_disk.borrow()[boot.host.index()].clone(),
                mutation,
                skew_ms: skews[boot.host.index()],
                keeps_time: false,
            };
            Process::new(&boot, &setup)
        });
        for (at, host, call) in &course.calls {
            world.call_at(*at, *host, call.clone());
        }
        let wiped = course
            .plan
            .faults
            .iter()
            .filter_map(|(_, fault)| match fault {
                Fault::Crash(host, _, after) if *after != DiskAfter::Kept => Some(*host),
                _ => None,
            });
        Self {
            course,
            world,
            judge: Judge {
                course,
                trouble: Trouble::of(&course.plan),
                ledger: Ledger::new(hosts),
                figures: Figures::default(),
                wiped: wiped.collect(),
            },
            readers: Readers::new(&course.reads),
            story: Story::default(),
            files,
            trace: Trace::new(keep),
            rng: Rng::new(course.plan.seed ^ 0x5e12),
            steps: 0,
            refused: 0,
            look_at: Time::ZERO,
            restless: 0,
            last: Time::ZERO,
            calm: course.plan.calm_from,
        }
    }

    fn end(mut self) -> (Report, Vec<Line>) {
        let broken = self.finish().err();
        if let Some(broken) = &broken {
            self.story.broken(broken);
        }
        let lines = std::mem::take(&mut self.story).into_lines();
        (self.ended(broken), lines)
    }

    fn finish(&mut self) -> Result<(), Broken> {
        while let Some(step) = self.world.step() {
            self.steps += 1;
            self.restless = if step.at == self.last {
                self.restless + 1
            } else {
                0
            };
            self.last = step.at;
            self.note(&step);
            self.tell(&step);
            if self.restless > RESTLESS {
                let how = format!("{RESTLESS} steps at one moment, the last {:?}", step.what);
                return Err(self.over(step.host, (Promise::NoBurst, how)));
            }
            let host = step.host;
            if let Err(breach) = self.judge(step) {
                return Err(self.over(host, breach));
            }
            let read = self.readers.look(&self.world, host, &self.judge.ledger);
            for (host, put, message) in self.readers.ended() {
                let fields = vec![("put", put.to_string())];
                self.story
                    .add(self.last, Some(host), "INFO", message, fields);
            }
            if let Err((host, breach)) = read {
                return Err(self.over(Some(host), breach));
            }
            if self.world.now() >= self.look_at {
                self.look_at = self.world.now() + LOOK_EVERY;
                if let Err((host, breach)) = self.look() {
                    return Err(self.over(host, breach));
                }
            }
        }
        let is_settled = self.world.now().since(self.calm) > Duration::from_secs(8);
        let (ledger, lost) = (&self.judge.ledger, &self.judge.wiped);
        let tokens = self.readers.at_end(&self.world, ledger, lost);
        match self.judge.at_end(&self.world).and(tokens) {
            Err(breach) if is_settled => Err(self.over(None, breach)),
            _ => Ok(()),
        }
    }

    fn look(&mut self) -> Result<(), (Option<Host>, Breach)> {
        self.judge.look(&self.world)?;
        if self.world.now() > self.calm {
            self.judge.equal(&self.world, self.calm)?;
        }
        Ok(())
    }

    fn over(&self, host: Option<Host>, (promise, how): Breach) -> Broken {
        let at = self.world.now();
        Broken {
            promise,
            at,
            host,
            how,
        }
    }

    fn ended(self, broken: Option<Broken>) -> Report {
        let hosts = (0..self.course.plan.hosts).map(Host);
        Report {
            broken,
            trace: self.trace,
            steps: self.steps,
            refused: self.refused,
            bytes: hosts
                .map(|host| self.world.network.sent(host).total())
                .sum(),
            figures: Figures {
                reads: self.readers.shown,
                reads_in_vain: self.readers.in_vain,
                ..self.judge.figures
            },
        }
    }

    fn note(&mut self, step: &Step<Process>) {
        let is_dull = matches!(
            step.what,
            Happened::Received(..) | Happened::Ticked | Happened::Persisted(_)
        );
        if is_dull && step.words.iter().all(|word| matches!(word, Word::View)) {
            return;
        }
        self.trace.line(step.at, || {
            let who = step
                .host
                .map_or("all".to_owned(), |h| format!("host {}", h.0));
            let words: Vec<String> = step.words.iter().map(told).collect();
            match &step.what {
                Happened::Called(Call::Probed { slot, finding, .. }) => {
                    format!("{who} probed {slot:?} {finding:?} -> {words:?}")
                }
                what => format!("{who} {what:?} -> {words:?}"),
            }
        });
    }

    /// What the step means for the logs.
    fn tell(&mut self, step: &Step<Process>) {
        if !self.story.is_kept() {
            return;
        }
        let probed = match (&step.what, step.host) {
            (
                Happened::Called(Call::Probed {
                    life, slot, ticket, ..
                }),
                Some(host),
            ) => {
                let flight = (host, *life, *slot, *ticket);
                let flight = self.judge.ledger.flights.get(&flight);
                flight.map(|(name, _)| Arc::clone(name))
            }
            _ => None,
        };
        self.story.happened(step.at, step.host, &step.what, probed);
        for word in &step.words {
            let host = step.host.expect("only a host speaks");
            self.story.said(step.at, host, word);
        }
    }

    fn judge(&mut self, step: Step<Process>) -> Result<(), Breach> {
        let Some(host) = step.host else {
            return Ok(());
        };
        match &step.what {
            Happened::Called(Call::Probed {
                life,
                slot,
                ticket,
                finding,
                ..
            }) => {
                let flight = self
                    .judge
                    .ledger
                    .flights
                    .remove(&(host, *life, *slot, *ticket));
                if let Some((name, began)) = flight.filter(|_| *finding == Finding::Passed) {
                    let passed = self.judge.ledger.passed.entry(name).or_insert(began);
                    *passed = began.max(*passed);
                }
            }
            Happened::Called(call) => {
                self.judge.asked(&self.world, host, call);
                if let Call::Load(file) = call {
                    self.files.borrow_mut()[host.index()].clone_from(file);
                }
            }
            Happened::Booted => {
                self.judge.trouble.note(step.at);
                self.judge.ledger.runs_since[host.index()] = Some(step.at);
                if let Some(back) = self.judge.ledger.left.get_mut(&host) {
                    *back = Some(step.at);
                }
                self.calm = self.calm.max(step.at);
            }
            _ => {}
        }
        for word in step.words {
            self.heard(step.at, host, word)?;
        }
        Ok(())
    }

    fn heard(&mut self, now: Time, host: Host, word: Word) -> Result<(), Breach> {
        match word {
            Word::Probe {
                definition,
                slot,
                ticket,
                is_opinion,
            } => {
                let life = self.world.life(host) - 1;
                let name = &definition.name;
                let (after, finding) =
                    self.course
                        .servers
                        .probe(host, name, definition.timeout, now, &mut self.rng);
                let call = Call::Probed {
                    life,
                    slot,
                    ticket,
                    after,
                    finding,
                };
                self.world.call_at(now + after, host, call);
                let flight = (Arc::clone(name), now);
                self.judge
                    .ledger
                    .flights
                    .insert((host, life, slot, ticket), flight);
                if is_opinion {
                    self.judge.figures.opinions += 1;
                    return Ok(());
                }
                let view = self.world.node(host).expect("it spoke").node().view();
                self.judge.started(now, host, &definition, view.get(name))
            }
            Word::Defined(definition) => {
                let view = self.world.node(host).expect("it spoke").node().view();
                self.judge.defined(now, host, &definition, view);
                Ok(())
            }
            Word::Event(event) => {
                let view = self.world.node(host).expect("it spoke").node().view();
                self.judge.event(host, &event, view)
            }
            Word::View => self.judge.ages(&self.world, host),
            Word::Answer(request, answer) => {
                if let Some(op) = self.judge.ledger.ops.get_mut(&request.0) {
                    op.answer = Some(answer);
                }
                self.readers.answered(now, request, answer);
                Ok(())
            }
            // Its process may die before it is done with its farewell.
            Word::Notice(Notice::Member { member, state, .. }) => {
                if state == "left" && self.judge.host_of(&member) == Some(host) {
                    self.judge.ledger.left.insert(host, None);
                }
                Ok(())
            }
            Word::Notice(_) => Ok(()),
            Word::Left => {
                self.judge.trouble.note(now);
                self.judge.ledger.left.insert(host, None);
                let away = Duration::from_millis(200 + self.rng.below(8_000));
                self.calm = self.calm.max(now + away);
                let ends = Fault::Crash(host, away, DiskAfter::Kept);
                self.world.fault_at(now, ends);
                Ok(())
            }
            Word::Refused => {
                self.refused += 1;
                self.judge.trouble.note(now);
                self.calm = self.calm.max(now + TRY_AGAIN);
                let ends = Fault::Crash(host, TRY_AGAIN, DiskAfter::Kept);
                self.world.fault_at(now, ends);
                Ok(())
            }
        }
    }
}

fn told(word: &Word) -> String {
    match word {
        Word::Probe {
            definition,
            is_opinion,
            ..
        } => {
            let why = if *is_opinion { "opines on" } else { "checks" };
            format!("{why} {}", definition.name)
        }
        Word::Defined(definition) => format!("defines {}", definition.name),
        Word::Event(event) => {
            let t = event.transition;
            format!(
                "{} {}: {:?} to {:?}, {:?}",
                event.target, t.number, t.from, t.to, t.reason
            )
        }
        Word::Answer(request, answer) => format!("{request:?} {answer:?}"),
        Word::View => "view".to_owned(),
        Word::Notice(notice) => format!("{notice:?}"),
        Word::Refused => "refused".to_owned(),
        Word::Left => "left".to_owned(),
    }
}
