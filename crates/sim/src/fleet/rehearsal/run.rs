//! The run itself: the world steps, servers answer, what changed is looked at.
//!
//! Start reading at [`Stage::finish`]. What may be written, and when checks may come, the judge of
//! the drawn courses says at the very step; what everybody must show is looked at in `look.rs`.

use std::sync::Arc;

use base::{Duration, Rng, Time, Way};
use health::{Definition, Event, Finding, Reason, State};

use super::breaks::Breaks;
use super::checks::Checks;
use super::course::{detection_bound, hosts, index_of, recovery_bound};
use super::fates::Fates;
use super::look::Look;
use super::outages::Outages;
use super::{Bounds, Forecast, Rehearsal, Share};
use crate::cluster::{Bytes, DiskAfter, Fault, Happened, Host, Step, World};
use crate::fleet::course::Course;
use crate::fleet::judge::{Figures, Judge};
use crate::fleet::ledger::Ledger;
use crate::fleet::node::{Call, Process, SEAL, Setup, Word, name_of};
use crate::fleet::promises::Promise;
use crate::fleet::run::{RESTLESS, TRY_AGAIN};
use crate::fleet::trouble::Trouble;

/// How often a host's ages are looked at, and how many of them.
const AGES_EVERY: Duration = Duration::from_millis(300);
const AGES: usize = 64;
/// A target is new for an interval and so long: its first check comes when a node has found its
/// place among the others, and not at the target's beat.
const NEW: Duration = Duration::from_secs(10);

/// A run on its way.
pub(super) struct Stage<'a> {
    pub(super) rehearsal: &'a Rehearsal,
    pub(super) course: &'a Course,
    pub(super) world: World<Process>,
    pub(super) judge: Judge<'a>,
    pub(super) outages: Outages,
    pub(super) checks: Checks,
    pub(super) fates: Fates,
    pub(super) breaks: Breaks,
    pub(super) look: Look,
    /// Whose process runs.
    pub(super) running: Vec<bool>,
    /// Whether no majority ran at some time.
    pub(super) was_lonely: bool,
    rng: Rng,
    shares: Vec<Share>,
    since: Vec<Time>,
    /// When each host's ages are looked at next, and after which target.
    ages: Vec<(Time, Option<Arc<str>>)>,
    unconfirmed: u64,
    steps: u64,
}

impl<'a> Stage<'a> {
    pub(super) fn new(rehearsal: &'a Rehearsal, course: &'a Course) -> Self {
        let (count, targets) = (rehearsal.nodes as usize, course.file.len());
        let moods = course.servers.moods.iter();
        let spans = moods.flat_map(|(name, server)| {
            let moods = server.moods.iter();
            moods.map(|(from, until, _)| (index_of(name), *from, *until))
        });
        let share = |host| Share {
            host,
            ran: Duration::ZERO,
            checks: 0,
            opinions: 0,
            sent: Bytes::default(),
            received: Bytes::default(),
        };
        Self {
            rehearsal,
            course,
            world: world(course),
            judge: Judge {
                course,
                trouble: Trouble::of(&course.plan),
                ledger: Ledger::new(rehearsal.nodes),
                figures: Figures::default(),
                wiped: std::collections::BTreeSet::new(),
            },
            outages: Outages::new(spans.collect(), targets, count),
            checks: Checks::new(targets),
            fates: Fates::new(rehearsal),
            breaks: Breaks::default(),
            look: Look::new(count, targets),
            running: vec![false; count],
            was_lonely: false,
            rng: Rng::new(course.plan.seed ^ 0x5e12),
            shares: hosts(rehearsal).map(share).collect(),
            since: vec![Time::ZERO; count],
            ages: vec![(Time::ZERO, None); count],
            unconfirmed: 0,
            steps: 0,
        }
    }

    /// Lets it happen to the end.
    pub(super) fn finish(mut self) -> Forecast {
        let (mut last, mut restless) = (Time::ZERO, 0);
        while let Some(step) = self.world.step() {
            self.steps += 1;
            restless = if step.at == last { restless + 1 } else { 0 };
            last = step.at;
            if restless > RESTLESS {
                let how = format!("{RESTLESS} steps at one moment");
                self.breaks.add(last, step.host, Promise::NoBurst, how);
                break;
            }
            self.outages.advance(step.at);
            self.happened(step);
            if self.world.now() >= self.look.at {
                self.look();
            }
        }
        self.look();
        self.ended()
    }

    fn happened(&mut self, step: Step<Process>) {
        let Some(host) = step.host else {
            return;
        };
        let now = step.at;
        match step.what {
            Happened::Received(_, way, len) => {
                let received = &mut self.shares[host.index()].received;
                let len = len as u64;
                match way {
                    Way::Datagram => {
                        received.datagrams += 1;
                        received.datagram_bytes += len;
                    }
                    Way::Stream => {
                        received.streams += 1;
                        received.stream_bytes += len;
                    }
                }
            }
            Happened::Called(Call::Probed {
                life,
                slot,
                ticket,
                finding,
                ..
            }) => {
                let flight = (host, life, slot, ticket);
                let flight = self.judge.ledger.flights.remove(&flight);
                if let Some((name, began)) = flight.filter(|_| finding == Finding::Passed) {
                    let passed = self.judge.ledger.passed.entry(name).or_insert(began);
                    *passed = began.max(*passed);
                }
            }
            Happened::Booted => self.booted(now, host),
            Happened::Crashed => self.crashed(now, host),
            _ => {}
        }
        for word in step.words {
            self.heard(now, host, word);
        }
    }

    fn booted(&mut self, now: Time, host: Host) {
        self.judge.trouble.note(now);
        self.judge.ledger.runs_since[host.index()] = Some(now);
        self.running[host.index()] = true;
        self.since[host.index()] = now;
        self.outages.forgets(host.index());
        self.checks.somebody_runs(now, true);
        self.look.at = now;
    }

    fn crashed(&mut self, now: Time, host: Host) {
        self.judge.ledger.runs_since[host.index()] = None;
        if std::mem::replace(&mut self.running[host.index()], false) {
            self.shares[host.index()].ran += now.since(self.since[host.index()]);
        }
        self.fates.crashed(now, host);
        let runs = self.running.contains(&true);
        self.checks.somebody_runs(now, runs);
    }

    fn heard(&mut self, now: Time, host: Host, word: Word) {
        match word {
            Word::Probe {
                definition,
                slot,
                ticket,
                is_opinion,
            } => {
                let life = self.world.life(host) - 1;
                let name = Arc::clone(&definition.name);
                let timeout = definition.timeout;
                let servers = &self.course.servers;
                let (after, finding) = servers.probe(host, &name, timeout, now, &mut self.rng);
                let call = Call::Probed {
                    life,
                    slot,
                    ticket,
                    after,
                    finding,
                };
                self.world.call_at(now + after, host, call);
                let flight = (host, life, slot, ticket);
                self.judge.ledger.flights.insert(flight, (name, now));
                if is_opinion {
                    self.shares[host.index()].opinions += 1;
                } else {
                    self.started(now, host, &definition);
                }
            }
            Word::Defined(definition) => {
                let view = self.world.node(host).expect("it spoke").node().view();
                self.judge.defined(now, host, &definition, view);
            }
            Word::Event(event) => self.changed(now, host, &event),
            Word::View => self.viewed(now, host),
            Word::Answer(..) | Word::Notice(_) | Word::Left => {}
            Word::Refused => {
                self.judge.trouble.note(now);
                let ends = Fault::Crash(host, TRY_AGAIN, DiskAfter::Kept);
                self.world.fault_at(now, ends);
            }
        }
    }

    fn started(&mut self, now: Time, host: Host, definition: &Arc<Definition>) {
        let target = index_of(&definition.name);
        self.shares[host.index()].checks += 1;
        self.checks.started(now, target);
        self.fates.started(now, host, target);
        let view = self.world.node(host).expect("it spoke").node().view();
        let shown = view.get(&definition.name);
        let broken = self.judge.started(now, host, definition, shown);
        if let Err((promise, how)) = broken
            && !self.is_new(now, &definition.name)
        {
            self.breaks.add(now, Some(host), promise, how);
        }
    }

    /// Whether a target's first check is not long ago.
    fn is_new(&self, now: Time, name: &str) -> bool {
        let watched = self.judge.ledger.targets.get(name);
        watched.is_none_or(|watched| now < watched.since + self.rehearsal.interval + NEW)
    }

    fn changed(&mut self, now: Time, host: Host, event: &Event) {
        let (number, at) = (event.transition.number, event.transition.at.0);
        let key = (Arc::clone(&event.target), number, at);
        let is_news = !self.judge.ledger.seen.contains(&key);
        let is_unconfirmed =
            event.transition.to == State::Unknown && event.transition.reason == Reason::Unconfirmed;
        self.unconfirmed += u64::from(is_news && is_unconfirmed);
        let view = self.world.node(host).expect("it spoke").node().view();
        if let Err((promise, how)) = self.judge.event(host, event, view) {
            self.breaks.add(now, Some(host), promise, how);
        }
    }

    /// A node shows something new.
    fn viewed(&mut self, now: Time, host: Host) {
        self.show(now, host);
        let node = self.world.node(host).expect("it spoke").node();
        let view = node.view();
        let fleet = view.fleet();
        for (kill, dead) in self.fates.suspects(now, host) {
            if fleet.is_some_and(|fleet| !fleet.lives(&self.name(dead))) {
                self.fates.holds_dead(now, host, kill, &self.running);
            }
        }
        let (next, after) = &self.ages[host.index()];
        if now < *next {
            return;
        }
        let rows: Vec<_> = view.rows(after.as_deref()).take(AGES).collect();
        for row in &rows {
            if let Err((promise, how)) = self.judge.age(&self.world, host, view, row) {
                self.breaks.add(now, Some(host), promise, how);
            }
        }
        let last = rows.last().filter(|_| rows.len() == AGES);
        let after = last.map(|row| row.title());
        self.ages[host.index()] = (now + AGES_EVERY, after);
    }

    /// What a host shows now of the outages under way.
    pub(super) fn show(&mut self, now: Time, host: Host) {
        let waits: Vec<_> = self.outages.waits(host.index()).collect();
        if waits.is_empty() {
            return;
        }
        for wait in waits {
            if self.shows(host, wait.target, wait.state) {
                self.outages.shows(host.index(), wait.place);
            }
        }
        let trouble = &self.judge.trouble;
        let detection = self.judge.detection(now);
        let fault = trouble.quiet_since(now);
        self.outages
            .close(now, &self.running, fault, |from, until| {
                trouble.is_quiet(from - detection, until) && !trouble.has_cuts(from)
            });
    }

    /// Whether a host shows a target as one that is in this state for everybody may be shown.
    pub(super) fn shows(&self, host: Host, target: usize, state: State) -> bool {
        let Some(node) = self.world.node(host) else {
            return false;
        };
        let view = node.node().view();
        let Some(row) = view.get(&self.course.file[target].name) else {
            return false;
        };
        let allowed = {
            let is_minority = self.judge.is_in_minority(&self.world, host);
            self.judge.allowed(self.world.now(), is_minority, state)
        };
        if allowed.contains(&row.status().state) {
            return true;
        }
        let local = self.world.local_time(host);
        let is_stale = view.freshness(row, local).is_some_and(|f| f.is_stale);
        is_stale && self.judge.trouble.has_cuts(self.world.now())
    }

    pub(super) fn name(&self, host: Host) -> Arc<str> {
        name_of(host, self.course.first)
    }

    fn bounds(&self) -> Bounds {
        let detection = if self.was_lonely {
            self.judge.lonely_detection()
        } else {
            self.judge.detection(self.world.now())
        };
        Bounds {
            outage: detection_bound(self.rehearsal),
            recovery: recovery_bound(self.rehearsal),
            detection,
            gap: detection + self.rehearsal.interval,
            equal: crate::fleet::calm::EQUAL_AFTER,
            checks_percent: 120,
        }
    }

    fn ended(mut self) -> Forecast {
        let now = Time::ZERO + self.rehearsal.span;
        self.at_end();
        self.checks.end(now);
        for host in hosts(self.rehearsal) {
            let share = &mut self.shares[host.index()];
            if self.running[host.index()] {
                share.ran += now.since(self.since[host.index()]);
            }
            share.sent = unsealed(self.world.network.sent(host));
            share.received = unsealed(share.received);
        }
        let bounds = self.bounds();
        let interval = self.rehearsal.interval.as_micros();
        let due = |targets: u128| {
            let due = self.checks.ran().as_micros() * targets / interval;
            u64::try_from(due).expect("fewer than steps")
        };
        let ([shown, shown_late], [recovered, recovered_late]) =
            (self.outages.shown(), self.outages.recovered());
        let (kills, partitions) = self.fates.into_parts();
        Forecast {
            bounds,
            outages: self.rehearsal.outages(),
            shown,
            shown_late,
            unseen: self.outages.unseen,
            recovered,
            recovered_late,
            downs: self.judge.figures.downs,
            unconfirmed: self.unconfirmed,
            false_alarms: self.breaks.count(Promise::NoFalseAlarm),
            missed: self.look.missed(),
            gap: self.checks.longest(),
            checks: self.checks.total(),
            due: due(u128::from(self.rehearsal.targets)),
            most: self.checks.most(),
            due_each: due(1),
            kills,
            partitions,
            shares: self.shares,
            broken: self.breaks.all,
            steps: self.steps,
        }
    }
}

const fn unsealed(mut bytes: Bytes) -> Bytes {
    bytes.datagram_bytes -= bytes.datagrams * SEAL;
    bytes.stream_bytes -= bytes.streams * SEAL;
    bytes
}

fn world(course: &Course) -> World<Process> {
    let (hosts, first) = (course.plan.hosts, course.first);
    let (file, skews) = (course.file.clone(), course.skews.clone());
    let mutation = course.mutation;
    World::new(course.plan.clone(), move |boot| {
        let setup = Setup {
            contacts: hosts,
            first,
            file: file.clone(),
            mutation,
            skew_ms: skews[boot.host.index()],
            keeps_time: true,
        };
        Process::new(&boot, &setup)
    })
}
