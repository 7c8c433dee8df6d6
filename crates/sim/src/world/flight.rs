//! One check under way: what the server does with it, and what the agent makes of that.
//!
//! A check's time is extended once by what the process stood still meanwhile, so that a reply
//! that waits in the socket counts. The reference reads what the node held to be conclusive.

use std::sync::Arc;

use base::{Duration, Slot, Time};
use health::{Check, Definition, Doubt, Finding, Input, Output, Phase, Probed, Reason, State};

use super::{ForNode, GAVE_UP, World};
use crate::promises::Promise;
use crate::reference::Reading;

/// A check under way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) check: Check,
    pub(super) definition: Arc<Definition>,
    pub(super) local: bool,
    /// When the reply is in the socket; `None` when none will be.
    pub(super) arrives: Option<Time>,
    pub(super) finding: Finding,
    pub(super) overdue: Finding,
    pub(super) deadline: Time,
    /// How long the process stood still meanwhile.
    pub(super) late: Duration,
    /// The server itself is to blame if this fails.
    pub(super) genuine: bool,
    /// The cut of the uplink that took the reply.
    pub(super) cut: Option<u64>,
}

impl World {
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

    /// The agent looks at a check: its reply is in the socket, or its time is over, or it waits.
    pub(super) fn reply(&mut self, id: u64) {
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
    /// several cuts in one streak, without room to ask in time, or with fewer than ten others known to be up that fall silent meanwhile.
    fn is_excused(&self, reading: &Reading, definition: &Definition) -> bool {
        let span = definition.interval * u32::from(definition.rule.fall.saturating_sub(1))
            + definition.timeout;
        let others = self.watches.values().filter(|watch| {
            let other = &watch.definition;
            let remote = self.servers.get(&other.name).is_some_and(|s| !s.local);
            let shown = self.readings.get(&other.name).map(|r| r.state);
            let told = other.interval + other.timeout + Duration::from_millis(100) < span;
            let known = watch.defined + other.interval * 2 < self.cut_from;
            other.name != definition.name && known && remote && shown == Some(State::Up) && told
        });
        let crowded = self.now.since(self.crowded_at) < span;
        definition.rule.fall < 2 || crowded || reading.cuts.len() > 1 || others.count() < 11
    }

    pub(super) fn start(&mut self, check: Check) {
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
            let silent = Finding::Failed(Reason::Timeout(Phase::Connect));
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
}
