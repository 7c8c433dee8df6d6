//! One whole node: the only place where the parts meet.
//!
//! Drive it with [`Node::handle`] and [`Node::poll`]; start reading at [`Node::handle`], where
//! each input is one line. Targets live in dense arrays indexed by slot; the work per outcome
//! and per beat does not grow with their number.
//! Does not know sockets, disks, YAML or HTTP.

mod blind;
mod catalog;
mod confirm;
mod favours;
mod heat;
mod inquire;
mod joined;
mod leavers;
mod origins;
mod ownership;
mod story;
mod targets;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::{Duration, Origin, Slot, Ticket, Time, Version, Wall};
use thiserror::Error;

use crate::catalogue::Catalogue;
use crate::clock::{NodeClock, NodeTime};
use crate::cluster::{ClusterConfig, ClusterError, Dropped, Stamp};
use crate::definition::Rule;
use crate::input::{Answer, Check, Event, Explanation, Input, Key, Output, Probed, Request, Write};
use crate::outcome::{Doubt, Finding, Reason};
use crate::pace::Pace;
use crate::record;
use crate::row::Row;
use crate::rows::Rows;
use crate::schedule::{Next, Schedule, TOO_LATE};
use crate::staging::Staging;
use crate::status::{State, Status};

use crate::uplink::{Balance, Uplink};
use crate::verdict::{self, Counters};
use crate::view::{Counts, View};
use heat::Heat;
use joined::Joined;
use ownership::Unable;

/// What a node must be told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most checks under way at once. At least 1; the agent derives it from the limit on
    /// file descriptors.
    pub in_flight_max: u32,
    /// The most targets, from all sources together. Default 1,000,000.
    pub targets_max: u32,
    /// The origin to take if the disk holds none; random.
    pub fresh_origin: Origin,
    /// How often readers may see a new view while nobody waits for one. Default 50 ms.
    pub view_every: Duration,
    /// The node's place among others; `None` for a node alone.
    pub cluster: Option<ClusterConfig>,
    /// A rule that is broken on purpose, for tests of tests.
    #[doc(hidden)]
    pub mutation: Option<Mutation>,
}

/// Rules that tests break to see that somebody notices.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    /// Siblings of a status are never made one.
    NoCollapse,
    /// `down` is written without asking.
    VotesIgnored,
    /// Who says nothing agrees.
    SilenceAgrees,
    /// A new owner takes the counters' streak for a verdict.
    StreakInventsDown,
    /// Beats that were missed in a pause are made up for.
    BurstAfterPause,
    /// A pending verdict does not hold the mark back.
    MarkIgnoresPending,
    /// A new owner starts a beat of its own.
    TakeoverWithoutPhase,
    /// A boot makes a new revision whatever the cluster has.
    BootOverrules,
    /// Whoever has seen a later write of an origin is taken to have seen all before it.
    TokenSkipsGaps,
    /// What has come counts as seen before the disk has it and readers are shown it.
    SeenBeforeShown,
    /// Whoever could not confirm an outage does not ask again.
    AsksOnce,
    /// Targets of the dead are left alone.
    KeepsTheDead,
    /// What fell between a death and its takeover is not made up for.
    MissedIsMissed,
    /// A new owner begins the status anew.
    TakeoverBeginsAnew,
    /// A mark holds of whatever targets are believed to be the owner's.
    MarkOfOthers,
    /// A mark counts once the last write of its owner is there, without those before it.
    MarkSkipsGaps,
    /// A mark counts once what its owner had written is there, on disk and shown or not.
    MarkBeforeShown,
    /// A new owner's mark holds of a target at once, whatever others have written of it.
    MarkHoldsAtOnce,
    /// Whoever has moved is spoken to where it was first.
    FormerAddress,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            in_flight_max: 4_096,
            targets_max: 1_000_000,
            fresh_origin: Origin(1),
            view_every: Duration::from_millis(50),
            cluster: None,
            mutation: None,
        }
    }
}

/// A config that no node can work with. Nothing was made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// No check could ever start.
    #[error("in_flight_max is 0; give the process more file descriptors")]
    NoRoom,
    /// The node's place among others can't be.
    #[error("{0}")]
    Cluster(#[from] ClusterError),
}

/// What a node counts of its own work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Checks started.
    pub started: u64,
    /// Beats skipped: missed in a pause, or their target's last check still waits or runs.
    pub skipped: u64,
    /// Checks under way.
    pub in_flight: u32,
    /// Checks that are due and wait for room.
    pub waiting: usize,
    /// Outcomes of checks whose target is gone or was defined anew meanwhile.
    pub dropped: u64,
    /// Records at boot that could not be read; their targets start anew.
    pub unreadable: u64,
    /// Probes made because another node asked.
    pub opinions: u64,
}

/// How long a change of counters may wait for the disk when nothing else is written.
const SOFT_WRITE: Duration = Duration::from_secs(1);
/// Room for outputs that is kept when none is left.
const OUTPUTS_KEPT: usize = 64;

/// One node.
#[derive(Debug)]
pub struct Node {
    config: Config,
    now: Time,
    clock: NodeClock,
    catalogue: Catalogue,
    schedule: Schedule,
    pace: Pace,
    uplink: Uplink,
    hot: Heat,
    rows: Rows,
    counts: Counts,
    /// Statuses from the disk whose targets have not been defined yet.
    orphans: BTreeMap<Arc<str>, (Status, Counters)>,
    version: Version,
    written: Version,
    staging: Staging,
    view_at: Time,
    /// Slots whose counters changed since they were last written.
    soft: Vec<Slot>,
    soft_at: Time,
    /// What left and joined the beat with the input in hand, each with its place among both.
    off_beat: Vec<(Beat, usize)>,
    on_beat: Vec<(Beat, usize)>,
    /// Beats that former owners missed, of targets that joined with the input in hand.
    missed: Vec<(NodeTime, Slot)>,
    /// When the node clock last jumped.
    jumped: Time,
    /// From the records of the disk until the config file is loaded: which definition wins a
    /// name is not known yet.
    is_booting: bool,
    is_stopping: bool,
    tally: Tally,
    /// The node's part in a cluster, once its disk was read; `None` on a node alone.
    joined: Option<Box<Joined>>,
    outputs: VecDeque<Output>,
}

/// A slot with its interval and the phase within it.
type Beat = (Slot, Duration, u64);

/// What every outcome touches, in one cache line.
#[derive(Clone, Debug, Default)]
struct Hot {
    counters: Counters,
    last_start: Time,
    interval: Duration,
    rule: Rule,
    ticket: Ticket,
    is_live: bool,
    was_checked: bool,
    /// A check has come back since the start of the process.
    was_heard: bool,
    in_flight: bool,
    waits: bool,
    /// The last beat came while its check was under way.
    owed: bool,
    soft: bool,
    /// The last check that says anything found it silent.
    is_silent: bool,
    /// Checks in a row that were held because nothing answered.
    held: u8,
    /// Why it is checked here.
    role: Role,
    /// When it was last at rest, for the owner's promise.
    stamp: Stamp,
}

/// Why a target is checked on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    /// It is not.
    #[default]
    None,
    /// It is this node's: its verdicts are written.
    Owner,
    /// It was this node's until a moment ago; the new owner may not know it yet.
    Leaver,
    /// Its owner is suspected, and this node is next.
    Shadow,
}

/// A check that was so long before a beat, off the beat, stands for it: otherwise a target would go
/// unchecked for so much longer than its interval.
const STANDS_FOR: Duration = Duration::from_secs(5);

/// Whether the last check of a target stands for the beat that comes now. When the clock jumped in
/// between, it may be the same beat again.
fn is_had(now: Time, hot: &Hot, jumped: Time) -> bool {
    let since = now.since(hot.last_start);
    since < hot.interval / 2 && (since < STANDS_FOR || hot.last_start <= jumped)
}

impl Node {
    /// A node that knows nothing yet; give it [`Input::Restored`] first, then the wall clock.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        if config.in_flight_max == 0 {
            return Err(ConfigError::NoRoom);
        }
        if let Some(cluster) = &config.cluster {
            cluster.check()?;
        }
        let version = Version {
            origin: config.fresh_origin,
            seq: 0,
        };
        Ok(Self {
            pace: Pace::new(config.in_flight_max),
            config,
            now: Time::ZERO,
            clock: NodeClock::default(),
            catalogue: Catalogue::default(),
            schedule: Schedule::default(),
            uplink: Uplink::default(),
            hot: Heat::default(),
            rows: Rows::default(),
            counts: Counts::default(),
            orphans: BTreeMap::new(),
            version,
            written: Version::default(),
            staging: Staging::new(),
            view_at: Time::ZERO,
            soft: Vec::new(),
            soft_at: Time::ZERO,
            off_beat: Vec::new(),
            on_beat: Vec::new(),
            missed: Vec::new(),
            jumped: Time::ZERO,
            is_booting: false,
            is_stopping: false,
            tally: Tally::default(),
            joined: None,
            outputs: VecDeque::new(),
        })
    }

    /// Takes in what happened; never fails, never waits. `now` never goes back.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        match input {
            // Whoever asks now is told nothing: it would not be on disk before the end.
            Input::Load(..)
            | Input::Put(..)
            | Input::Delete(..)
            | Input::Drain(..)
            | Input::Forget(..)
            | Input::Inquire(..)
                if self.is_stopping => {}
            Input::Restored(records) => self.restore(records),
            Input::WallClock(wall) => self.hear_clock(wall),
            Input::Load(source, definitions) => self.load(source, definitions),
            Input::Put(request, definition) => self.put(request, definition),
            Input::Delete(request, name) => self.delete(request, &name),
            Input::Probed(probed) => self.probed(probed),
            Input::Persisted(batch) => self.persisted(batch),
            Input::Received(from, way, bytes) => self.received(from, way, &bytes),
            Input::Join(addresses) => self.join(addresses),
            Input::Drain(request) => self.drain_away(request),
            Input::Leave(within) => self.leave(within),
            Input::Forget(request, name) => self.forget(request, &name),
            Input::Inquire(request, name) => self.inquire(request, &name),
            Input::Tell(inquiry, findings) => self.tell(inquiry, *findings),
            Input::Tick => {}
            Input::Stop => self.stop(),
        }
        if self.joined.is_some() {
            self.turn_together();
        }
        self.retime();
        self.catch_up();
        if !self.is_stopping {
            self.beat();
        }
    }

    /// What shall be done next; drain until `None` after every [`Node::handle`].
    pub fn poll(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.flush_counters();
            self.seal();
            if self.staging.is_ready() && (self.now >= self.view_at || self.staging.is_awaited()) {
                self.staging.show(&self.rows, &mut self.outputs);
                self.view_at = self.now + self.config.view_every;
            }
        }
        let first = self.outputs.pop_front();
        if first.is_none() && self.outputs.capacity() > OUTPUTS_KEPT {
            // A load of many targets is over: its room is given back.
            self.outputs.shrink_to(OUTPUTS_KEPT);
        }
        first
    }

    /// When to give [`Input::Tick`], if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let mut first = None;
        // By hand: it is asked for after every input.
        let mut or = |due: Option<Time>| {
            if let Some(due) = due {
                first = Some(first.map_or(due, |first: Time| first.min(due)));
            }
        };
        if !self.is_stopping {
            or(self.schedule.deadline().map(|due| self.clock.time(due)));
            or(self.pace.deadline());
        }
        or(self.staging.is_ready().then_some(self.view_at));
        or((!self.soft.is_empty()).then_some(self.soft_at));
        or(self.joined.as_ref().and_then(|joined| joined.deadline()));
        first
    }

    /// What readers see.
    #[must_use]
    pub const fn view(&self) -> &Arc<View> {
        self.staging.view()
    }

    /// What the node counts of its own work.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            in_flight: self.pace.in_flight,
            waiting: self.pace.waiting(),
            ..self.tally
        }
    }

    /// What was dropped of what other nodes sent.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        let joined = self.joined.as_ref();
        joined.map_or_else(Dropped::default, |joined| joined.cluster.dropped())
    }

    /// How many statuses stand more than once, by owners that did not know of each other, until
    /// one of them makes them one. 0 on a node alone.
    #[must_use]
    pub fn siblings(&self) -> usize {
        let Some(joined) = &self.joined else {
            return 0;
        };
        let key = |row: &Row| crate::cluster::status_key(row.name());
        let store = &joined.cluster.store;
        let rows = self.rows.iter();
        rows.filter(|(_, row)| store.entries(&key(row)).len() > 1)
            .count()
    }

    /// A target's verdict in the making; `None` if the slot is empty.
    #[must_use]
    pub fn explain(&self, slot: Slot) -> Option<Explanation> {
        let row = self.rows.get(slot)?;
        let hot = &self.hot[slot.index()];
        if !hot.is_live {
            return Some(Explanation {
                state: row.state(),
                ..Explanation::default()
            });
        }
        let phase = crate::schedule::phase(row.name(), hot.interval);
        let next = Schedule::next_of(self.clock.node(self.now), hot.interval, phase);
        Some(Explanation {
            state: hot.counters.state,
            failures: hot.counters.failures,
            successes: hot.counters.successes,
            window: hot.counters.window,
            in_flight: hot.in_flight,
            next_due: (hot.counters.state != State::Paused && hot.role != Role::None)
                .then(|| self.clock.time(next)),
        })
    }

    /// Starts nothing more, and writes at once what could have waited.
    fn stop(&mut self) {
        self.is_stopping = true;
        self.soft_at = self.now;
        self.staging.open.urgent = true;
    }

    fn hear_clock(&mut self, wall: Wall) {
        if self.clock.hear(self.now, wall) {
            self.jumped = self.now;
            self.schedule.anchor(self.clock.node(self.now));
        }
    }

    /// Starts what is due, then what waits, as far as there is room.
    fn beat(&mut self) {
        let node_now = self.clock.node(self.now);
        for slot in self.pace.forget_if_late(self.now) {
            self.hot[slot.index()].waits = false;
            self.tally.skipped += 1;
        }
        while let Some(next) = self.schedule.next(node_now) {
            match next {
                Next::Due(slot, due) => self.due(slot, self.clock.time(due)),
                Next::Missed(beats) => self.tally.skipped += beats,
            }
        }
        while let Some((slot, due)) = self.pace.release(self.now) {
            let hot = &mut self.hot[slot.index()];
            let is_checked = hot.is_live && hot.role != Role::None;
            let is_asked = is_checked && hot.counters.state != State::Paused;
            if std::mem::take(&mut hot.waits) && is_asked && !hot.in_flight {
                self.start(slot, due.unwrap_or(self.now));
            }
        }
    }

    fn due(&mut self, slot: Slot, due: Time) {
        let hot = &mut self.hot[slot.index()];
        if hot.role == Role::None {
            // Its beat leaves the schedule with this input.
        } else if hot.in_flight {
            hot.owed = true;
            self.tally.skipped += 1;
        } else if hot.was_checked && is_had(self.now, hot, self.jumped) {
            // The clock was moved, or the last check was off the beat: this beat has been had.
        } else if self.pace.has_room(self.now.since(due)) {
            // Whoever waits, perhaps behind a crowd of first checks, starts at its own beat.
            hot.waits = false;
            self.start(slot, due);
        } else if hot.waits {
            self.tally.skipped += 1;
        } else {
            hot.waits = true;
            self.pace.wait(slot, Some(due));
        }
    }

    fn start(&mut self, slot: Slot, due: Time) {
        let hot = &mut self.hot[slot.index()];
        hot.ticket.0 = hot.ticket.0.wrapping_add(1);
        hot.in_flight = true;
        hot.owed = false;
        hot.was_checked = true;
        hot.last_start = self.now;
        self.pace.started(self.now);
        self.tally.started += 1;
        self.outputs.push_back(Output::Probe(Check {
            slot,
            ticket: hot.ticket,
            due,
        }));
    }

    fn probed(&mut self, probed: Probed) {
        let slot = probed.slot;
        self.pace.ended();
        if self.is_opinion(&probed) {
            return;
        }
        self.count(probed);
        self.redeem(slot);
    }

    /// A check that ends just after its target's next beat must not cost that beat: a silent
    /// target whose timeout is its interval would be asked only every other time.
    fn redeem(&mut self, slot: Slot) {
        let hot = &mut self.hot[slot.index()];
        if !std::mem::take(&mut hot.owed) || hot.in_flight || self.is_stopping {
            return;
        }
        let interval = hot.interval;
        let row = self.row(slot);
        let phase = crate::schedule::phase(row.name(), interval);
        let next = Schedule::next_of(self.clock.node(self.now), interval, phase);
        let due = self.clock.time(next) - interval;
        if self.now.since(due) <= TOO_LATE {
            self.tally.skipped -= 1;
            self.due(slot, due);
        }
    }

    fn count(&mut self, probed: Probed) {
        let asks = self.is_heard(probed.slot);
        let hot = &mut self.hot[probed.slot.index()];
        if !hot.is_live || hot.ticket != probed.ticket || !hot.in_flight {
            self.tally.dropped += 1;
            return;
        }
        hot.in_flight = false;
        let judged = verdict::judge(&probed);
        let was_silent = hot.is_silent;
        match judged {
            Finding::Inconclusive(_) => {}
            Finding::Passed => hot.is_silent = false,
            Finding::Failed(reason) => hot.is_silent = reason.is_silent(),
        }
        let is_up = hot.counters.state == State::Up;
        let answered = is_up && hot.counters.failures == 0 && !was_silent;
        let is_first = !std::mem::replace(&mut hot.was_heard, true);
        let balance = Balance {
            now: self.now,
            started: hot.last_start,
            interval: hot.interval,
            is_up,
            answered,
            resumed: is_first && is_up && hot.counters.failures > 0,
            up: self.counts.up,
            asks,
        };
        let finding = self.uplink.weigh(&probed, judged, balance);
        self.outputs.push_back(Output::Judged(probed.slot, finding));
        let (passed, reason) = match finding {
            Finding::Passed => (true, Reason::None),
            Finding::Failed(reason) => (false, reason),
            Finding::Inconclusive(Doubt::Unable) if self.joined.is_some() => {
                return self.say_unable(probed.slot, Unable::CannotProbe);
            }
            Finding::Inconclusive(doubt) => {
                hot.held += u8::from(doubt == Doubt::NothingAnswers && hot.held < u8::MAX);
                return;
            }
        };
        let before = hot.counters;
        let held = std::mem::take(&mut hot.held);
        if !passed && held > 0 && self.uplink.gives_back(&probed, reason) {
            hot.counters.fail_before(hot.rule, held.into());
        }
        let next = hot.counters.step(hot.rule, passed);
        if self.joined.is_some() {
            self.conclude(probed.slot, before, next, (reason, probed.detail));
        } else if let Some(state) = next {
            self.change(probed.slot, state, reason, probed.detail);
        } else if self.hot[probed.slot.index()].counters != before {
            self.soften(probed.slot);
        }
    }

    /// Counters changed: they are written within a second.
    fn soften(&mut self, slot: Slot) {
        if !std::mem::replace(&mut self.hot[slot.index()].soft, true) {
            if self.soft.is_empty() {
                self.soft_at = self.now + SOFT_WRITE;
            }
            self.soft.push(slot);
        }
    }

    fn row(&self, slot: Slot) -> &Row {
        self.rows.get(slot).expect("a live slot has a row")
    }

    /// Writes a new state down; readers see it once the disk has it.
    fn change(&mut self, slot: Slot, to: State, reason: Reason, detail: Option<Arc<str>>) {
        if self.joined.is_some() {
            return self.declare(slot, to, reason, detail);
        }
        let row = self.row(slot).clone();
        let at = self.clock.wall(self.now);
        self.version.seq += 1;
        let before = row.status();
        let status = before.changed(to, at, reason, detail.clone(), self.version.seq);
        let transition = *status
            .recent
            .last()
            .expect("a change is among the recent ones");
        self.counts.remove(row.state());
        self.counts.add(to);
        let target = row.title();
        let row = row.with_status(&status, &row.votes());
        self.hot[slot.index()].counters = Counters::new(to);
        self.write_status(&row);
        self.place(row);
        let open = &mut self.staging.open;
        open.urgent = true;
        open.events.push(Event {
            target,
            transition,
            detail,
        });
    }

    fn write_status(&mut self, row: &Row) {
        let hot = &mut self.hot[row.slot.index()];
        let value = record::encode_status(&row.status(), &hot.counters);
        let key = Key::Status(row.title());
        self.staging.open.writes.push(Write::Set(key, value));
    }

    /// Writes counters that changed without a change of state, all in one batch.
    fn flush_counters(&mut self) {
        if self.joined.is_some() {
            return self.tell_standbys();
        }
        if self.soft.is_empty() || self.now < self.soft_at {
            return;
        }
        for slot in std::mem::take(&mut self.soft) {
            let hot = &mut self.hot[slot.index()];
            if std::mem::take(&mut hot.soft) && hot.is_live {
                let row = self.row(slot).clone();
                self.write_status(&row);
            }
        }
    }

    fn seal(&mut self) {
        if self.joined.is_some() {
            return self.seal_together();
        }
        if self.version != self.written && !self.staging.open.writes.is_empty() {
            let value = record::encode_version(self.version);
            self.staging
                .open
                .writes
                .push(Write::Set(Key::Origin, value));
            self.written = self.version;
        }
        let persist = self.staging.seal(self.version);
        self.outputs.extend(persist);
    }

    fn answer(&mut self, request: Request, answer: Answer) {
        self.staging.open.answers.push((request, answer));
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod together;
