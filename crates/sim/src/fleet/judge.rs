//! What must hold at every moment: who may write down, who must show it, how long nobody checks.
//!
//! When checks come is judged in `beats.rs`, what answers say of their age in `ages.rs`, and what
//! must hold once all is calm in `calm.rs`.

mod ages;
mod beats;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Duration, Time};
use health::{Definition, Event, Row, State, View};

use super::course::Course;
use super::ledger::{Ledger, Watched, Written};
use super::node::{self, Process};
use super::promises::Promise;
use super::trouble::Trouble;
use crate::cluster::{EPOCH_MS, Fault, Host, World};

/// A promise that is broken, and how.
pub(super) type Breach = (Promise, String);

/// How long it takes until a node that is gone is known to be, and its targets are checked again.
struct Detection {
    /// With good links, and more than half of all left.
    usual: Duration,
    /// Over bad or one-way links: who is slow is given more time, and what one says of another may
    /// be lost.
    rough: Duration,
    /// Where less than a majority is left: a suspicion that few can confirm waits longest.
    lonely: Duration,
}

/// Up to ten nodes. On 45,000 courses 5.1, 8.0 and 19.7 s beside the interval were the most.
const FEW_NODES: Detection = Detection {
    usual: Duration::from_secs(6),
    rough: Duration::from_secs(10),
    lonely: Duration::from_secs(22),
};
/// More of them.
const MANY_NODES: Detection = Detection {
    usual: Duration::from_secs(8),
    rough: Duration::from_secs(14),
    lonely: Duration::from_secs(25),
};
/// What a moment on a slewed wall clock of whole milliseconds may be behind.
const ROUNDED: Duration = Duration::from_millis(100);
/// How long what is taken away may be on its way out.
const GOES: Duration = Duration::from_secs(2);
/// How long after two files that were loaded within [`GOES`] of each other: whoever has the one
/// that counts writes again what the other took away, the last of seven 3.8 s later.
const IS_MENDED: Duration = Duration::from_secs(6);

/// What came out of a run, in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// By how much more than its interval a target went unchecked at most while somebody lived:
    /// with good links; after bad links or a one-way cut; where less than a majority is left.
    pub over_interval: [Duration; 3],
    /// The longest time from the begin of an outage for all until everybody showed it.
    pub longest_outage: Duration,
    /// Checks started, opinions not counted.
    pub checks: u64,
    /// Opinions.
    pub opinions: u64,
    /// How often down was written.
    pub downs: u64,
    /// Readers with a token that were shown what it names.
    pub reads: u64,
    /// Readers with a token whose patience was over before.
    pub reads_in_vain: u64,
}

/// Who judges.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    pub(super) course: &'a Course,
    pub(super) trouble: Trouble,
    pub(super) ledger: Ledger,
    pub(super) figures: Figures,
    /// Hosts whose disk is lost at some time.
    pub(super) wiped: BTreeSet<Host>,
}

impl Judge<'_> {
    pub(super) fn hosts(&self) -> impl Iterator<Item = Host> + use<> {
        (0..self.course.plan.hosts).map(Host)
    }

    pub(super) fn host_of(&self, name: &str) -> Option<Host> {
        node::host_of(name, self.course.first)
    }

    fn name(&self, host: Host) -> Arc<str> {
        node::name_of(host, self.course.first)
    }

    fn names(&self, hosts: &[Option<Host>]) -> String {
        let name = |host: &Option<Host>| host.map_or("somebody gone".into(), |h| self.name(h));
        let names: Vec<Arc<str>> = hosts.iter().map(name).collect();
        names.join(", ")
    }

    /// How many hosts count as members.
    fn members(&self, now: Time) -> usize {
        self.ledger.members(self.course.plan.hosts, now)
    }

    pub(super) fn detection(&self, now: Time) -> Duration {
        if self.is_rough(now) {
            self.bounds().rough
        } else {
            self.bounds().usual
        }
    }

    /// The same where less than a majority is left.
    pub(super) fn lonely_detection(&self) -> Duration {
        self.bounds().lonely
    }

    /// Two that have moved do not find each other while the one who could tell them is cut off.
    fn bounds(&self) -> &'static Detection {
        let mut faults = self.course.plan.faults.iter();
        let moves = faults.any(|(_, fault)| matches!(fault, Fault::Resettle(..)));
        if moves || self.course.plan.hosts > 10 {
            &MANY_NODES
        } else {
            &FEW_NODES
        }
    }

    /// Whether links are bad or one-way, or were a while ago.
    fn is_rough(&self, now: Time) -> bool {
        let early = Time(now.0.saturating_sub(30_000_000));
        self.trouble.is_rough(early, now) || self.trouble.was_one_way(early, now)
    }

    /// A host's node takes a target as this.
    pub(super) fn defined(
        &mut self,
        now: Time,
        host: Host,
        definition: &Arc<Definition>,
        view: &View,
    ) {
        let row = view.get(&definition.name);
        let is_young = row.is_none_or(|row| row.transition() == 0);
        self.ledger.defined(now, host, definition, is_young);
    }

    /// A target changed its state, as a node shows.
    pub(super) fn event(&mut self, host: Host, event: &Event, view: &View) -> Result<(), Breach> {
        let transition = event.transition;
        let key = (
            Arc::clone(&event.target),
            transition.number,
            transition.at.0,
        );
        if !self.ledger.seen.insert(key) {
            return Ok(());
        }
        let row = view.get(&event.target);
        // What another wrote under the same number may be shown by now.
        let row =
            row.filter(|row| row.transition() == transition.number && row.state() == transition.to);
        let votes = row.and_then(|row| row.votes());
        let owner = votes.as_ref().and_then(|votes| votes.votes.first());
        let by = owner
            .and_then(|vote| self.host_of(&vote.node))
            .unwrap_or(host);
        let clock = transition.at.0 - i64::try_from(EPOCH_MS).expect("a wall clock");
        let at = (clock - self.course.skews[by.index()])
            .max(0)
            .unsigned_abs()
            * 1_000;
        let written = Written {
            number: transition.number,
            at: Time(at),
            by,
        };
        let of_target = self.ledger.written.entry(Arc::clone(&event.target));
        let of_target = of_target.or_default();
        if of_target
            .last()
            .is_some_and(|last| last.number >= written.number)
        {
            // The target was deleted and made anew, or an owner did not know of another.
            of_target.clear();
        }
        of_target.push(written);
        let Some(row) = row.filter(|_| transition.to == State::Down) else {
            return Ok(());
        };
        self.figures.downs += 1;
        let is_alone = view.fleet().is_none_or(|fleet| fleet.members.len() <= 1);
        if is_alone {
            Ok(())
        } else {
            self.alarm(&written, row, view)
        }
    }

    /// Somebody has written down.
    fn alarm(&self, written: &Written, row: &Row, view: &View) -> Result<(), Breach> {
        let definition = &row.definition();
        let name = &definition.name;
        let patience = definition.timeout + Duration::from_secs(2);
        let streak = definition.interval * u32::from(definition.rule.fall + 1);
        let far = Time(written.at.0.saturating_sub(60_000_000));
        let stalled = self.trouble.stalled(far, written.at);
        let from = written
            .at
            .0
            .saturating_sub(micros(patience + streak + stalled));
        let (from, at) = (Time(from), written.at + Duration::from_millis(100));
        let asked: Vec<Option<Host>> = match &row.votes() {
            Some(votes) => {
                let votes = votes.votes.iter();
                votes.map(|vote| self.host_of(&vote.node)).collect()
            }
            None => Vec::new(),
        };
        let passes = |host: Host| self.course.servers.passes(host, name, from, at);
        let fails = |host: &&Option<Host>| host.is_none_or(|host| !passes(host));
        let (failing, seats) = if asked.is_empty() {
            let failing = self.hosts().filter(|host| !passes(*host)).count();
            let others = self.members(written.at).saturating_sub(1);
            let seats = usize::from(definition.confirm).min(others);
            (failing, seats + 1)
        } else {
            (asked.iter().filter(fails).count(), asked.len())
        };
        if failing * 2 <= seats {
            let how = format!(
                "{name} was written down by {} at {at}: of {seats} asked, {failing} can have seen it fail; asked {}",
                self.name(written.by),
                self.names(&asked)
            );
            return Err((Promise::NoFalseAlarm, how));
        }
        if definition.confirm > 0 {
            return self.has_heard_a_majority(written, name, from, view);
        }
        Ok(())
    }

    fn has_heard_a_majority(
        &self,
        written: &Written,
        name: &str,
        from: Time,
        view: &View,
    ) -> Result<(), Breach> {
        let at = written.at + ROUNDED;
        if self.trouble.is_rough(from, at) {
            return Ok(());
        }
        let is_heard = |other: &Host| {
            let lived = self.ledger.runs_since[other.index()].is_some()
                || self.ledger.ran_last[other.index()] >= from;
            *other != written.by && lived && self.trouble.is_open(*other, written.by, from, at)
        };
        let lost = |host: &Host| self.wiped.contains(host);
        let heard: Vec<Host> = self.hosts().filter(is_heard).collect();
        if lost(&written.by) && !heard.is_empty() && heard.iter().all(lost) {
            // Who could hear one another have lost their disks, and can't know of more.
            return Ok(());
        }
        let heard = heard.len() + 1;
        let members = self.members(written.at) - self.unknown_returns(written.at, view);
        if heard * 2 <= members {
            let how = format!(
                "{name} was written down by {}, who can have heard {heard} of {members}",
                self.name(written.by)
            );
            return Err((Promise::NoFalseAlarm, how));
        }
        Ok(())
    }

    /// Members that have said farewell and are back where a node can't have heard of it: for that
    /// node they have left.
    fn unknown_returns(&self, now: Time, view: &View) -> usize {
        let left = |name: &str| {
            let mut seats = view.fleet().into_iter().flat_map(|f| f.members.iter());
            seats.any(|seat| *seat.name == *name && seat.state == "left")
        };
        let back = self.ledger.returned(now);
        back.filter(|host| left(&self.name(*host))).count()
    }

    /// Looks at all nodes: outages, gaps.
    pub(super) fn look(&mut self, world: &World<Process>) -> Result<(), (Option<Host>, Breach)> {
        let now = world.now();
        let mut all: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for host in self.hosts() {
            if !world.is_running(host) {
                self.ledger.runs_since[host.index()] = None;
                continue;
            }
            self.ledger.runs_since[host.index()].get_or_insert(now);
            self.ledger.ran_last[host.index()] = now;
            let node = world.node(host).expect("it runs");
            let view = node.node().view();
            for row in view.rows(None) {
                self.ledger.shown(now, &row.definition());
                *all.entry(row.title()).or_default() += 1;
            }
            self.ledger
                .missed(now, host, |name| view.get(name).is_none());
        }
        let runs = self.hosts().any(|host| world.is_running(host));
        let gone = self
            .ledger
            .targets
            .extract_if(.., |name, _| !all.contains_key(name));
        let gone: Vec<Arc<str>> = gone.filter(|_| runs).map(|(name, _)| name).collect();
        self.ledger.gone.extend(gone);
        let running = self.hosts().filter(|host| world.is_running(*host));
        let is_torn = running
            .into_iter()
            .all(|host| self.is_in_minority(world, host));
        self.gaps(now, &all, is_torn)
            .map_err(|breach| (None, breach))?;
        self.states(world)
    }

    /// `is_torn`: nobody can talk with a majority.
    fn gaps(
        &mut self,
        now: Time,
        shown: &BTreeMap<Arc<str>, usize>,
        is_torn: bool,
    ) -> Result<(), Breach> {
        let Some(lives) = self.ledger.somebody_since() else {
            return Ok(());
        };
        let (members, detection) = (self.members(now), self.detection(now));
        let (lonely_detection, is_rough) = (self.lonely_detection(), self.is_rough(now));
        for (name, watched) in &mut self.ledger.targets {
            // A minority that is alone with a target has few to confirm a suspicion.
            let is_lonely = is_torn || shown[name] * 2 <= members;
            if is_lonely {
                watched.lonely = Some(now);
            }
        }
        for (name, watched) in &self.ledger.targets {
            let since = self.unchecked_since(now, watched, lives);
            let gap = now.since(since);
            // From when it is alone no more, what is promised to all counts again.
            let lonely = watched.lonely.filter(|at| *at > since);
            let others = now.since(lonely.unwrap_or(since));
            let kind = match lonely {
                Some(_) => 2,
                None => usize::from(is_rough),
            };
            let interval = watched.definition.interval;
            let over = &mut self.figures.over_interval[kind];
            *over = (*over).max(gap.saturating_sub(interval));
            if others > detection + interval || gap > lonely_detection + interval {
                let how = format!("{name} has not been checked for {gap:?}");
                return Err((Promise::NoneUnchecked, how));
            }
        }
        Ok(())
    }

    /// From when on a target counts as unchecked: from its last check. When more than one thing
    /// has happened since, from the last of them: who took over may be gone itself, and of its
    /// successor nobody has promised more than that.
    pub(super) fn unchecked_since(&self, now: Time, watched: &Watched, lives: Time) -> Time {
        let known = watched.since.max(lives);
        let checked = watched.checked.map_or(known, |at| at.max(known));
        let (happened, last) = self.trouble.happened(checked, now);
        if happened > 1 { last } else { checked }
    }

    /// Since when every probe of a target fails, or passes, from wherever; and until now.
    fn same_for_all(&self, name: &str, now: Time) -> Option<(State, Time)> {
        let server = self.course.servers.moods.get(name);
        let moods = server.map_or(&[][..], |server| &server.moods);
        if let Some((from, ..)) = moods
            .iter()
            .find(|(from, until, _)| (*from..*until).contains(&now))
        {
            let fails = self.course.servers.fails_for_all(name, *from, now);
            return fails.then_some((State::Down, *from));
        }
        let last = moods
            .iter()
            .map(|(_, until, _)| *until)
            .filter(|until| *until <= now);
        let blocks = self.course.servers.blocks.iter();
        let concerns = blocks.filter(|b| b.target.as_ref().is_none_or(|of| **of == *name));
        let since = concerns
            .filter(|b| b.from <= now)
            .map(|b| b.until)
            .chain(last)
            .max();
        let since = since.unwrap_or(Time::ZERO);
        (since <= now).then_some((State::Up, since))
    }

    fn states(&mut self, world: &World<Process>) -> Result<(), (Option<Host>, Breach)> {
        let now = world.now();
        let quiet = self.trouble.quiet_since(now);
        for (name, watched) in &self.ledger.targets {
            let Some((state, since)) = self.same_for_all(name, now) else {
                continue;
            };
            let definition = &watched.definition;
            let rule = definition.rule;
            let beats = if state == State::Down {
                rule.fall
            } else {
                rule.rise + 1
            };
            let span = definition.interval * u32::from(beats)
                + definition.timeout * 2
                + Duration::from_secs(2);
            let since = since.max(watched.since);
            let detection = self.detection(now);
            let due = |detection: Duration| {
                let after = if quiet + detection > since {
                    quiet + detection
                } else {
                    since
                };
                after + span
            };
            if now < due(detection) || self.is_going(now, name) {
                continue;
            }
            for host in self.hosts().filter(|host| world.is_running(*host)) {
                let view = world.node(host).expect("it runs").node().view();
                let Some(row) = view.get(name) else {
                    continue;
                };
                let shown = row.state();
                // An owner that hears no majority can confirm nothing, and all show what it says.
                let owner = view
                    .owners(row.slot)
                    .next()
                    .and_then(|name| self.host_of(name));
                let owner = owner.filter(|owner| world.is_running(*owner));
                // What is not on its owner's disk is told to nobody.
                let disks = [Some(host), owner.filter(|owner| *owner != host)];
                let disks = disks.into_iter().flatten();
                let disks = disks.map(|host| self.trouble.slow_disk(host, now) * 2);
                let disk: Duration = disks.sum();
                let is_lonely = self.is_in_minority(world, host);
                if now < due(detection) + disk
                    || (is_lonely && now < due(self.lonely_detection()) + disk)
                {
                    continue;
                }
                let is_minority =
                    is_lonely || owner.is_some_and(|owner| self.is_in_minority(world, owner));
                let allows = self.allowed(now, is_minority, state);
                let freshness = view.freshness(row, world.local_time(host));
                let is_stale = freshness.is_some_and(|freshness| freshness.is_stale);
                let is_excused = is_stale && self.trouble.has_cuts(now);
                if !allows.contains(&shown) && !is_excused {
                    let how = format!("{name} is {shown:?}, and is {state:?} since {since}");
                    return Err((Some(host), (Promise::NoMissedOutage, how)));
                }
            }
        }
        Ok(())
    }

    /// Whether a target may be on its way out: its status may go before its definition.
    fn is_going(&self, now: Time, name: &str) -> bool {
        let reloads = self.ledger.reloads.iter().map(|reload| reload.at);
        let reloads: Vec<Time> = reloads.filter(|at| now < *at + IS_MENDED).collect();
        let two = reloads.windows(2).any(|two| two[1].since(two[0]) < GOES);
        let mut ops = self.ledger.ops.values().filter(|op| *op.name == *name);
        two || reloads.iter().any(|at| now < *at + GOES) || ops.any(|op| now < op.at + GOES)
    }

    /// Whether a host can talk with no more than half of all, itself included.
    pub(super) fn is_in_minority(&self, world: &World<Process>, host: Host) -> bool {
        let now = world.now();
        let joined = |other: &Host| {
            world.is_running(*other)
                && self.trouble.is_open(host, *other, now, now)
                && self.trouble.is_open(*other, host, now, now)
        };
        let connected = self.hosts().filter(joined).count();
        connected * 2 <= self.members(now)
    }

    /// What a host may show of a target that is in this state for all, as if it were fresh.
    pub(super) fn allowed(&self, now: Time, is_minority: bool, state: State) -> &'static [State] {
        let early = Time(now.0.saturating_sub(15_000_000));
        // Who is asked may be out of reach, and yet alive for everybody.
        let is_torn = self.trouble.is_one_way(now) || self.trouble.is_partial(now);
        let is_doubtful = is_minority || is_torn || self.trouble.is_rough(early, now);
        match (state, is_doubtful) {
            (State::Up, false) => &[State::Up],
            (State::Up, true) => &[State::Up, State::Unknown],
            (_, false) => &[State::Down],
            (_, true) => &[State::Down, State::Unknown],
        }
    }
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).expect("a span of a run")
}
