//! One life of the process: the node, its checks under way, and what the agent does around it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Duration, Origin, Slot, Time, Version};
use health::{Batch, Config, Definition, Event, Explanation, Input, Output, Source, State};

use super::flight::Flight;
use super::{ForNode, Happening, World};
use crate::promises::Promise;
use crate::reference::Reading;
use crate::subject::Subject;

/// The process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) subject: Subject,
    /// The world's time at which its own began.
    pub(super) born: Time,
    pub(super) flights: BTreeMap<u64, Flight>,
    pub(super) flown: u64,
    pub(super) names: BTreeMap<Slot, Arc<Definition>>,
    pub(super) tick_at: Option<Time>,
    pub(super) idle_ticks: u32,
    pub(super) away_until: Time,
    pub(super) view_changed: bool,
    pub(super) judged_slot: Option<Slot>,
    pub(super) version: Version,
    pub(super) is_stopping: bool,
}

impl World {
    pub(super) fn boot(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.life += 1;
        let config = Config {
            in_flight_max: self.plan.in_flight_max,
            fresh_origin: Origin(self.rng.word()),
            ..Config::default()
        };
        self.process = Some(Process {
            subject: Subject::new(config, self.mutant),
            born: self.now,
            flights: BTreeMap::new(),
            flown: 0,
            names: BTreeMap::new(),
            tick_at: None,
            idle_ticks: 0,
            away_until: Time::ZERO,
            view_changed: false,
            judged_slot: None,
            version: Version::default(),
            is_stopping: false,
        });
        self.disturb(Duration::ZERO);
        self.watches.clear();
        self.batches = (Batch(0), Batch(0));
        let records = self.disk.records();
        self.note(|| format!("BOOT with {} records", records.len()));
        self.give(Input::Restored(records));
        let wall = self.clock.read(self.now);
        self.give(Input::WallClock(wall));
        self.give(Input::Load(Source::File, self.file.clone()));
        self.resume_readings();
        let at = self.now + Duration::from_secs(1);
        self.for_node(at, ForNode::WallClock);
    }

    /// Readings go on from what the restarted node says; after an orderly stop that is the same.
    fn resume_readings(&mut self) {
        let Some(process) = &self.process else { return };
        let farewell = std::mem::take(&mut self.farewell);
        for (&slot, definition) in &process.names {
            let Some(explained) = process.subject.explain(slot) else {
                continue;
            };
            if let Some(reading) = self.readings.get_mut(&definition.name) {
                reading.resume(&explained);
            }
            let counters = |e: &Explanation| (e.state, e.failures, e.successes, e.window);
            // A reload that the stop overtook takes effect at boot: another definition may pause.
            let told = farewell.get(&definition.name);
            if let Some((_, before)) = told.filter(|(old, _)| old == definition) {
                let same = counters(before) == counters(&explained);
                self.ledger.claim(Promise::HonestDisk, same, || {
                    let name = &definition.name;
                    format!("{name}: stopped with {before:?}, came back with {explained:?}")
                });
            }
        }
        self.ledger.rebooted(process.subject.view());
    }

    pub(super) fn end_process(&mut self) {
        self.process = None;
        self.life += 1;
        self.report.restarts += 1;
        let at = self.now + Duration::from_millis(50) + Duration::from_micros(self.rng.below(100));
        self.at(at, Happening::Boot);
    }

    /// Stops in order: the disk gets all that waits, then the process ends.
    pub(super) fn stop_process(&mut self) {
        self.disturb(Duration::from_millis(1_200));
        self.for_node(self.now, ForNode::Give(Input::Stop));
    }

    fn farewell(&mut self) {
        let Some(process) = self.process.as_mut() else {
            return;
        };
        process.is_stopping = true;
        let explained = process.names.iter().filter_map(|(&slot, definition)| {
            let told = (Arc::clone(definition), process.subject.explain(slot)?);
            Some((Arc::clone(&definition.name), told))
        });
        self.farewell = explained.collect();
        self.disk.crash(usize::MAX);
        self.end_process();
    }

    /// The process stands still for so long from now on.
    pub(super) fn stall(&mut self, span: Duration) {
        let now = self.now;
        if let Some(process) = self.process.as_mut() {
            let until = process.away_until.max(now + span);
            let more = until.since(process.away_until.max(now));
            process.away_until = until;
            for flight in process.flights.values_mut() {
                flight.late += more;
            }
        }
    }

    /// Something comes for the process; it waits while the process stands still.
    pub(super) fn reach(&mut self, life: u64, what: ForNode) {
        if life != self.life {
            return;
        }
        let Some(process) = &self.process else { return };
        if self.now < process.away_until {
            let at = process.away_until;
            self.for_node(at, what);
            return;
        }
        match what {
            ForNode::Tick => self.tick(),
            ForNode::WallClock => {
                let wall = self.clock.read(self.now);
                self.give(Input::WallClock(wall));
                let at = self.now + Duration::from_secs(1);
                self.for_node(at, ForNode::WallClock);
            }
            ForNode::Reply(id) => self.reply(id),
            ForNode::Confirmed(batch) => {
                self.batches.1 = batch;
                self.give(Input::Persisted(batch));
            }
            ForNode::Give(input) => {
                match &input {
                    Input::Put(request, definition) => {
                        let (name, wanted) = (Arc::clone(&definition.name), Arc::clone(definition));
                        self.ledger.asked(request.0, name, Some(wanted));
                    }
                    Input::Delete(request, name) => {
                        self.ledger.asked(request.0, Arc::clone(name), None);
                    }
                    _ => {}
                }
                let stops = input == Input::Stop;
                self.give(input);
                if stops {
                    self.farewell();
                }
            }
        }
        if self.now < self.starve_until {
            let span = Duration::from_micros(self.rng.below(80_000));
            self.stall(span);
        }
    }

    fn tick(&mut self) {
        let now = self.now;
        let Some(process) = self
            .process
            .as_mut()
            .filter(|p| p.tick_at.is_some_and(|at| at <= now))
        else {
            return;
        };
        process.tick_at = None;
        self.give(Input::Tick);
    }

    /// Gives the node one input and does what it asks for.
    pub(super) fn give(&mut self, input: Input) {
        let Some(process) = self.process.as_mut() else {
            return;
        };
        if self.report.trace.is_on() {
            let line = match &input {
                Input::Load(_, definitions) => format!("> Load of {}", definitions.len()),
                Input::Restored(records) => format!("> Restored {}", records.len()),
                Input::Put(_, definition) => format!("> Put {}", definition.name),
                other => format!("> {other:?}"),
            };
            self.report.trace.line(self.now, || line);
        }
        let now = Time(self.now.0 - process.born.0);
        process.subject.handle(now, input);
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.process.as_mut().and_then(|p| p.subject.poll()) {
            self.take(output);
        }
        self.after_drain();
    }

    pub(super) fn take(&mut self, output: Output) {
        let seq = self.disk.seq();
        match output {
            Output::Probe(check) => self.start(check),
            Output::Past(version, events) => {
                self.ledger.past(&events);
                self.set_version(version);
            }
            Output::Judged(..) => {}
            Output::Send(..) | Output::Notice(_) | Output::Refused { .. } | Output::Left => {
                unreachable!("a node alone has nobody to talk to")
            }
            Output::Inquired(..) | Output::Told(..) => unreachable!("nobody asks here"),
            Output::Define(slot, definition, _) => self.defined(slot, definition),
            Output::Undefine(slot) => {
                let process = self.process.as_mut().expect("it has just spoken");
                if let Some(definition) = process.names.remove(&slot) {
                    self.ledger.removed(&definition.name);
                    self.watches.remove(&definition.name);
                    self.readings.remove(&definition.name);
                }
                self.fleet();
            }
            Output::Persist {
                batch,
                writes,
                urgent,
            } => {
                self.disk.slowness = if self.now < self.slow_disk_until {
                    Duration::from_millis(50 + self.rng.below(450))
                } else {
                    Duration::ZERO
                };
                self.batches.0 = batch;
                let (now, rng) = (self.now, &mut self.rng);
                let due = self.disk.write(now, rng, batch, writes, urgent);
                self.at(due, Happening::Disk);
            }
            Output::Answer(request, answer) => {
                self.note(|| format!("< {request:?} {answer:?}"));
                self.ledger.answer(request.0, answer, seq);
            }
            Output::Loaded(_, diff) => self.note(|| format!("< {diff:?}")),
            Output::Event(event) => self.event(&event, seq),
            Output::View(view) => {
                self.set_version(view.version);
                if let Some(process) = self.process.as_mut() {
                    process.view_changed = true;
                }
            }
        }
    }

    fn set_version(&mut self, version: Version) {
        if let Some(process) = self.process.as_mut() {
            process.version = version;
        }
    }

    fn event(&mut self, event: &Event, seq: u64) {
        let transition = event.transition;
        self.note(|| {
            let (from, to) = (transition.from.name(), transition.to.name());
            format!("< {} {} {from} > {to}", event.target, transition.number)
        });
        self.report.downs += u64::from(transition.to == State::Down);
        let version = self.process.as_ref().map(|p| p.version).unwrap_or_default();
        self.ledger.event(version, event, seq);
    }

    fn defined(&mut self, slot: Slot, definition: Arc<Definition>) {
        let process = self.process.as_mut().expect("it has just spoken");
        let explained = process.subject.explain(slot);
        let before = process.names.insert(slot, Arc::clone(&definition));
        let name = Arc::clone(&definition.name);
        let state = explained.map_or(State::Unknown, |e| e.state);
        let reading = self
            .readings
            .entry(name)
            .or_insert_with(|| Reading::new(definition.rule, state));
        let asked_otherwise = before.as_ref().is_some_and(|before| {
            before.probe != definition.probe
                || before.rule != definition.rule
                || before.paused != definition.paused
        });
        if asked_otherwise {
            reading.reset(definition.rule, state);
        }
        reading.rule = definition.rule;
        if definition.paused {
            reading.state = State::Paused;
        }
        self.define(definition);
        self.fleet();
    }

    fn fleet(&mut self) {
        let process = self.process.as_ref().expect("it has just spoken");
        let fleet: Vec<&Definition> = process.names.values().map(AsRef::as_ref).collect();
        self.ledger.fleet(&fleet);
    }

    /// What must hold once the node has said all.
    fn after_drain(&mut self) {
        let seq = self.disk.seq();
        let idle = self.disk.is_idle() && self.batches.0 == self.batches.1;
        let now = self.now;
        let Some(process) = self.process.as_mut() else {
            return;
        };
        let tally = process.subject.tally();
        let (flights, most) = (process.flights.len(), self.plan.in_flight_max);
        self.ledger.claim(
            Promise::Room,
            tally.in_flight as usize == flights && tally.in_flight <= most,
            || format!("{tally:?} with {flights} under way of at most {most}"),
        );
        if tally.in_flight == most {
            self.crowded_at = now;
            self.disturbed_until = self.disturbed_until.max(now + Duration::from_secs(1));
        }
        if std::mem::take(&mut process.view_changed) {
            self.ledger.view(process.subject.view(), seq, idle);
        }
        let slot = process.judged_slot.take();
        if let Some((slot, definition)) = slot.and_then(|s| Some((s, process.names.get(&s)?)))
            && let Some(explained) = process.subject.explain(slot)
        {
            let read = self.readings.get(&definition.name).map(|r| r.state);
            let resumed = read == Some(State::Paused) && explained.state == State::Unknown;
            self.ledger.claim(
                Promise::PlainVerdict,
                read == Some(explained.state) || resumed,
                || format!("{}: {explained:?}, plainly read {read:?}", definition.name),
            );
        }
        self.schedule_tick();
    }

    fn schedule_tick(&mut self) {
        let now = self.now;
        let Some(process) = self.process.as_mut().filter(|p| !p.is_stopping) else {
            return;
        };
        let Some(deadline) = process.subject.deadline() else {
            return;
        };
        let at = Time(deadline.0 + process.born.0);
        process.idle_ticks = if at <= now { process.idle_ticks + 1 } else { 0 };
        let spins = process.idle_ticks;
        let at = at.max(now);
        let is_new = process.tick_at.is_none_or(|tick| at < tick);
        if is_new {
            process.tick_at = Some(at);
        }
        self.ledger.claim(Promise::Rest, spins < 20, || {
            format!("asks for a tick at {deadline} again and again")
        });
        if is_new {
            self.for_node(at, ForNode::Tick);
        }
    }
}
