//! One life of the process: the node, its checks under way, and what the agent does around it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Duration, Origin, Slot, Time, Version};
use health::{
    Check, Config, Definition, Doubt, Event, Explanation, Finding, Input, Output, Probed, Reason,
    Source, State,
};

use super::{ForNode, GAVE_UP, Happening, World};
use crate::promises::Promise;
use crate::reference::Reading;
use crate::subject::Subject;

/// The process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) subject: Subject,
    /// The world's time at which its own began.
    born: Time,
    flights: BTreeMap<u64, Flight>,
    flown: u64,
    names: BTreeMap<Slot, Arc<Definition>>,
    tick_at: Option<Time>,
    idle_ticks: u32,
    away_until: Time,
    view_changed: bool,
    judged_slot: Option<Slot>,
    version: Version,
    is_stopping: bool,
}

/// A check under way.
#[derive(Clone, Debug)]
struct Flight {
    check: Check,
    definition: Arc<Definition>,
    local: bool,
    /// When the reply is in the socket; `None` when none will be.
    arrives: Option<Time>,
    finding: Finding,
    overdue: Finding,
    deadline: Time,
    /// How long the process stood still meanwhile.
    late: Duration,
    /// The server itself is to blame if this fails.
    genuine: bool,
    /// The cut of the uplink that took the reply.
    cut: Option<u64>,
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
            if let Some(before) = farewell.get(&definition.name) {
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
            Some((Arc::clone(&definition.name), process.subject.explain(slot)?))
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

    /// The uplink is cut: replies from afar that are not here yet will not come.
    pub(super) fn cut_flights(&mut self) {
        let (now, cut) = (self.now, self.cut.0);
        let Some(process) = self.process.as_mut() else {
            return;
        };
        for flight in process.flights.values_mut().filter(|f| !f.local) {
            if flight.arrives.is_some_and(|at| at > now) {
                flight.arrives = None;
                flight.cut = Some(cut);
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
            ForNode::Confirmed(batch) => self.give(Input::Persisted(batch)),
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

    /// The agent looks at a check: its reply is in the socket, or its time is over, or it waits.
    fn reply(&mut self, id: u64) {
        let now = self.now;
        let gives_up = self.rng.chance(50);
        let Some(process) = self.process.as_mut() else {
            return;
        };
        let Some(flight) = process.flights.get(&id) else {
            return;
        };
        let timeout = flight.definition.timeout;
        // The time is extended once by what the process stood still.
        let deadline = flight.deadline + flight.late.min(timeout);
        let mut flight = flight.clone();
        match flight.arrives {
            Some(at) if at <= now.min(deadline) => {
                // A server does not wait for ever for a client that stands still.
                if flight.late > timeout && gives_up {
                    flight.finding = GAVE_UP;
                }
            }
            _ if now >= deadline => flight.finding = flight.overdue,
            arrives => {
                let at = arrives.map_or(deadline, |at| at.min(deadline));
                return self.for_node(at, ForNode::Reply(id));
            }
        }
        process.flights.remove(&id);
        self.deliver(&flight);
    }

    fn deliver(&mut self, flight: &Flight) {
        let Flight {
            check,
            definition,
            local,
            finding,
            late,
            ..
        } = flight;
        let probed = Probed {
            slot: check.slot,
            ticket: check.ticket,
            finding: *finding,
            late: *late,
            timeout: definition.timeout,
            local: *local,
            detail: None,
        };
        let process = self.process.as_mut().expect("only a process has checks");
        let now = Time(self.now.0 - process.born.0);
        process.subject.handle(now, Input::Probed(probed));
        self.note(|| format!("{} {finding:?} late {late:?}", definition.name));
        // What the node makes of the outcome comes first, before any other output.
        let mut first = self.process.as_mut().and_then(|p| p.subject.poll());
        if let Some(Output::Judged(slot, judged)) = first {
            self.judged(flight, slot, judged);
            first = None;
        }
        if let Some(output) = first {
            self.take(output);
        }
        self.drain();
    }

    /// The node's finding must follow from what it was told; the reference reads it.
    fn judged(&mut self, flight: &Flight, slot: Slot, judged: Finding) {
        let timeout = flight.definition.timeout;
        let fair = match (flight.finding, judged) {
            (Finding::Failed(_), Finding::Inconclusive(Doubt::Late)) => flight.late > timeout / 2,
            (Finding::Failed(reason), Finding::Inconclusive(Doubt::NothingAnswers)) => {
                reason.is_silent() && !flight.local
            }
            (told, judged) => told == judged,
        };
        self.ledger.claim(
            Promise::PlainVerdict,
            fair && slot == flight.check.slot,
            || {
                format!(
                    "{}: {:?} was judged {judged:?}",
                    flight.definition.name, flight.finding
                )
            },
        );
        if let Finding::Inconclusive(doubt) = judged {
            self.report.inconclusive += 1;
            self.note(|| format!("  inconclusive: {}", doubt.words()));
            return;
        }
        let Some(process) = self.process.as_mut() else {
            return;
        };
        process.judged_slot = Some(slot);
        let Some(name) = process.names.get(&slot).map(|d| Arc::clone(&d.name)) else {
            return;
        };
        let Some(reading) = self.readings.get_mut(&name) else {
            return;
        };
        let was = reading.state;
        reading.read(judged == Finding::Passed, flight.genuine, flight.cut);
        let (state, reading) = (reading.state, reading.clone());
        if state == State::Down && was != State::Down {
            let excused = !reading.cuts.is_empty() && self.is_excused(&reading, &flight.definition);
            self.ledger.claim(
                Promise::NoFalseAlarm,
                reading.genuine > 0 || excused,
                || format!("{name} is called down and answered whatever reached it"),
            );
        }
        if let Some(reading) = self.readings.get_mut(&name).filter(|r| r.state != was) {
            reading.genuine = 0;
            reading.cuts.clear();
        }
    }

    /// A cut uplink may cost alarms where it can't be noticed in time: with `fall: 1`, with
    /// several cuts in one streak, without room to ask in time, or with fewer than ten others that fall silent meanwhile.
    fn is_excused(&self, reading: &Reading, definition: &Definition) -> bool {
        let span = definition.interval * u32::from(definition.rule.fall.saturating_sub(1))
            + definition.timeout;
        let others = self.watches.values().filter(|watch| {
            let other = &watch.definition;
            let remote = self.servers.get(&other.name).is_some_and(|s| !s.local);
            let shown = self.readings.get(&other.name).map(|r| r.state);
            let told = other.interval + other.timeout + Duration::from_millis(100) < span;
            other.name != definition.name && remote && shown == Some(State::Up) && told
        });
        let crowded = self.now.since(self.crowded_at) < span;
        definition.rule.fall < 2 || crowded || reading.cuts.len() > 1 || others.count() < 11
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

    fn drain(&mut self) {
        while let Some(output) = self.process.as_mut().and_then(|p| p.subject.poll()) {
            self.take(output);
        }
        self.after_drain();
    }

    fn take(&mut self, output: Output) {
        let seq = self.disk.seq();
        match output {
            Output::Probe(check) => self.start(check),
            Output::Past(version, events) => {
                self.ledger.past(&events);
                self.set_version(version);
            }
            Output::Judged(..) => {}
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

    fn start(&mut self, check: Check) {
        let now = self.now;
        self.report.checks += 1;
        let process = self.process.as_ref().expect("it has just spoken");
        let Some(definition) = process.names.get(&check.slot).cloned() else {
            return self.ledger.claim(Promise::Room, false, || {
                format!("a check of slot {} that means nothing", check.slot.0)
            });
        };
        self.note(|| format!("check {}", definition.name));
        self.ledger
            .claim(Promise::PlainVerdict, !definition.paused, || {
                format!("{} is paused and was checked", definition.name)
            });
        self.ledger.started();
        self.checked(&definition.name);
        let flight = self.fly(check, definition);
        let lag = self.rng.below(2_000);
        let at = flight
            .arrives
            .map_or(flight.deadline, |at| at.min(flight.deadline));
        let process = self.process.as_mut().expect("it has just spoken");
        process.flown += 1;
        let id = process.flown;
        process.flights.insert(id, flight);
        let at = at.max(now) + Duration::from_micros(lag);
        self.for_node(at, ForNode::Reply(id));
    }

    fn fly(&mut self, check: Check, definition: Arc<Definition>) -> Flight {
        let now = self.now;
        let mut rng = self.rng.clone();
        let server = self.server(&definition.name);
        let reply = server.reply(now, &mut rng);
        let local = server.local;
        self.rng = rng;
        let mut flight = Flight {
            check,
            local,
            arrives: reply.after.map(|after| now + after),
            finding: reply.finding,
            overdue: reply.overdue,
            deadline: now + definition.timeout,
            late: Duration::ZERO,
            genuine: reply.finding != Finding::Passed
                || reply.after.is_none_or(|after| after > definition.timeout),
            cut: None,
            definition,
        };
        if self.is_cut() && !local {
            let silent = Finding::Failed(Reason::Timeout(health::Phase::Connect));
            flight.arrives = None;
            flight.overdue = silent;
            flight.cut = Some(self.cut.0);
        }
        if now < self.no_descriptors_until && self.rng.chance(50) {
            flight.arrives = Some(now);
            flight.finding = Finding::Inconclusive(Doubt::Descriptors);
        }
        flight
    }

    /// What must hold once the node has said all.
    fn after_drain(&mut self) {
        let seq = self.disk.seq();
        let idle = self.disk.is_idle();
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
