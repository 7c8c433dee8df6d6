//! Which targets are checked here, and why: owners, standbys and those who hand over.
//!
//! A target's beat is a function of its name, so whoever takes over goes on in the old one's
//! beat. Who loses a target to somebody who lives goes on for one interval and a second, because
//! the new owner may not know it yet; the first standby of a suspect checks along at once.
//! A beat that nobody can have had, because who had the target before was gone by then, is caught up
//! with at once ([`Lapse`]).

use std::sync::Arc;

use base::{Duration, Slot, Time};
use ownership::Change;

use super::{Hot, Mutation, Node, Role};
use crate::clock::{NodeTime, micros};
use crate::cluster::{Promise, Stamp, Streak, unable_key};
use crate::definition::Definition;
use crate::fleet::{NOBODY, Owned};
use crate::input::Output;
use crate::row::Row;
use crate::schedule::{Schedule, phase};
use crate::status::State;
use crate::verdict::Counters;

/// Streaks that are remembered for others at most.
const STREAKS_MAX: usize = 100_000;
/// How many slots are left behind in a round at most; more hold the mark back.
const HANGING_MAX: usize = 64;

/// How long before its boot a node may have lived last without having been taken for dead.
const AWAY: Duration = Duration::from_secs(10);
/// After its boot, others know within this that a node has its targets no longer.
const NOTICED: Duration = Duration::from_secs(1);
/// Who was heard longer ago than this, or never, is taken to have lived until then.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// What is missed is not caught up with so shortly before the next beat.
const SOON: Duration = Duration::from_secs(1);

/// A span in which nobody may have checked a target, on the node clock: beats after `from` and not
/// after `until` were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lapse {
    from: NodeTime,
    until: NodeTime,
}

/// How long a target that this node can't probe, or alone sees fail, is left to the next in its
/// order; and how long at least where it has nobody then.
const YIELD: Duration = Duration::from_mins(10);
const YIELD_LEAST: Duration = Duration::from_secs(10);

/// Why a node leaves a target of its own to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unable {
    /// No probe of it can be made here.
    CannotProbe,
    /// It alone sees it fail.
    Outvoted,
}

/// How long a streak counts for whoever takes a target over: a check more has told its owner more.
fn streak_counts_for(interval: Duration) -> Duration {
    Duration::from_secs(60).max(interval * 2)
}

impl Lapse {
    /// The last beat of a target before now, if it falls into the lapse and the next is not soon.
    fn missed(self, now: NodeTime, interval: Duration, phase: u64) -> Option<NodeTime> {
        let next = Schedule::next_of(now, interval, phase);
        let last = NodeTime(next.0.checked_sub(micros(interval))?);
        let is_far = next.0 - now.0 > micros(SOON);
        (is_far && last > self.from && last <= self.until).then_some(last)
    }
}

impl Node {
    /// A target's owners are others now.
    pub(super) fn owners_changed(&mut self, change: &Change) {
        let slot = change.slot;
        let is_live = self.is_live(slot);
        let joined = self.joined.as_mut().expect("its rooms spoke");
        let mut three = [NOBODY; 3];
        for (place, name) in three.iter_mut().zip(&change.after) {
            *place = joined.place(name);
        }
        let owned = Owned {
            three,
            ..self.staging.owned(slot)
        };
        self.staging.own(slot, owned);
        self.count_share(slot);
        if is_live {
            self.note_move(change);
            if self.is_left_alone(change) || !self.is_concerned(slot) {
                return;
            }
            let lapse = self.lapse_of(change.before.first());
            self.take_or_give(slot, Some(lapse));
        }
    }

    /// Whether this node checks a target, or may have to from now on; of a thousand nodes hardly
    /// any does.
    fn is_concerned(&mut self, slot: Slot) -> bool {
        let joined = self.joined.as_mut().expect("its rooms spoke");
        let me = Arc::clone(&joined.cluster.name);
        let me = joined.place(&me);
        let [first, second, _] = self.staging.owned(slot).three;
        first == me || second == me || self.hot[slot.index()].role != Role::None
    }

    /// A mutant: targets of the dead are nobody's.
    fn is_left_alone(&self, change: &Change) -> bool {
        let cluster = &self.joined.as_ref().expect("its rooms spoke").cluster;
        let lives = |name: &Arc<str>| cluster.living(name).is_some();
        self.config.mutation == Some(Mutation::KeepsTheDead)
            && change.before.first().is_some_and(|name| !lives(name))
    }

    /// When nobody may have checked the targets of who owned them before.
    ///
    /// Who lives goes on until its successor does; but if this is the successor's first life for
    /// long, it may have had them itself and died without being missed. Who is gone or silent
    /// checked no more than it was last heard after.
    fn lapse_of(&self, former: Option<&Arc<str>>) -> Lapse {
        let joined = self.joined.as_ref().expect("only a joined node comes here");
        let cluster = &joined.cluster;
        let (now, began) = (self.clock.node(self.now), self.clock.node(cluster.began()));
        let before = |at: NodeTime, span| NodeTime(at.0.saturating_sub(micros(span)));
        let is_me = |name: &&Arc<str>| **name == cluster.name;
        let Some(former) = former.filter(|name| !is_me(name)) else {
            let from = before(began, AWAY);
            return Lapse { from, until: now };
        };
        if cluster.living(former).is_some() && !joined.suspects.contains(former) {
            let until = NodeTime(began.0 + micros(NOTICED));
            let from = before(began, AWAY);
            return Lapse { from, until };
        }
        let long_ago = before(now, SILENT_MAX);
        let heard = cluster.heard(former).map(|at| self.clock.node(at));
        Lapse {
            from: heard.map_or(long_ago, |heard| heard.max(long_ago)),
            until: now,
        }
    }

    /// Makes a slot's role what the order says; if it is checked from now on, what was missed in
    /// the lapse is caught up with.
    fn take_or_give(&mut self, slot: Slot, lapse: Option<Lapse>) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if !joined.cluster.is_ready() {
            return;
        }
        let me = Arc::clone(&joined.cluster.name);
        let me = joined.place(&me);
        let [first, second, _] = self.staging.owned(slot).three;
        let suspects = joined.suspects.iter().cloned().collect::<Vec<_>>();
        let is_shadow = second == me && suspects.iter().any(|name| joined.place(name) == first);
        let role = self.hot[slot.index()].role;
        let interval = self.hot[slot.index()].interval;
        match role {
            _ if first == me => self.take_up(slot, Role::Owner, lapse),
            Role::Owner => {
                let until = now + interval + Duration::from_secs(1);
                joined.leavers.insert(slot, until);
                self.take_up(slot, Role::Leaver, None);
            }
            Role::None if is_shadow => self.take_up(slot, Role::Shadow, lapse),
            Role::Shadow if !is_shadow => self.lay_down(slot),
            Role::None | Role::Shadow | Role::Leaver => {}
        }
    }

    /// This node may own targets from now on.
    pub(super) fn ready(&mut self) {
        self.fleet_is_old();
        let lapse = self.lapse_of(None);
        for slot in self.live_slots() {
            self.take_or_give(slot, Some(lapse));
        }
        self.file_may_be_due();
    }

    pub(super) fn live_slots(&self) -> Vec<Slot> {
        self.rows.iter().map(|(slot, _)| slot).collect()
    }

    /// A member is suspected, or not any more: its first standbys check along.
    pub(super) fn suspect(&mut self, name: &Arc<str>, is_suspect: bool) {
        let joined = self.joined.as_mut().expect("its rooms spoke");
        let is_news = if is_suspect {
            joined.suspects.insert(Arc::clone(name))
        } else {
            joined.suspects.remove(name)
        };
        if !is_news {
            return;
        }
        let owner = joined.place(name);
        let me = Arc::clone(&joined.cluster.name);
        let me = joined.place(&me);
        let lapse = self.lapse_of(Some(name));
        for slot in self.live_slots() {
            let [first, second, _] = self.staging.owned(slot).three;
            if first == owner && second == me {
                self.take_or_give(slot, Some(lapse));
            }
        }
    }

    /// Checks a target from now on, or for another reason than before.
    fn take_up(&mut self, slot: Slot, role: Role, lapse: Option<Lapse>) {
        let was = self.hot[slot.index()].role;
        if was == role {
            return;
        }
        if was == Role::None {
            let row = self.row(slot).clone();
            self.warm(slot, &row.definition(), Counters::new(row.state()));
        }
        self.hot[slot.index()].role = role;
        if was == Role::None {
            self.begin_to_check(slot, lapse);
        }
        if was == Role::Owner {
            self.disown(slot);
        }
        if role == Role::Owner {
            self.own_again(slot);
            self.pause_or_resume(slot);
            self.collapse(slot);
            let begins_anew = self.config.mutation == Some(Mutation::TakeoverBeginsAnew);
            if begins_anew && self.hot[slot.index()].was_checked {
                self.change(slot, State::Unknown, crate::outcome::Reason::None, None);
            }
            if self.config.mutation == Some(Mutation::StreakInventsDown)
                && self.hot[slot.index()].counters.failures > 0
            {
                self.change(slot, State::Down, crate::outcome::Reason::Refused, None);
            }
        }
    }

    /// Who has this target at which interval, as this node believes, is counted; a mark that does
    /// not know it so holds not of it.
    pub(super) fn count_share(&mut self, slot: Slot) {
        if let Some(epoch) = self.recount(slot) {
            let owned = self.staging.owned(slot);
            self.staging.own(slot, Owned { epoch, ..owned });
        }
    }

    /// Counts a target and its status in its owner's share; since which epoch it is so, if it was
    /// not before.
    pub(super) fn recount(&mut self, slot: Slot) -> Option<u32> {
        let now = self.now;
        let (Some(joined), Some(row)) = (&mut self.joined, self.rows.get(slot)) else {
            return None;
        };
        let place = self.staging.owned(slot).three[0];
        let (interval, _) = row.pace();
        let of = (!row.is_paused()).then_some((place, interval));
        let shares = &mut joined.cluster.shares;
        let owner = shares.names().get(usize::from(place));
        let is_blunt = self.config.mutation == Some(Mutation::MarkHoldsAtOnce);
        let foreign = owner.filter(|_| !is_blunt);
        let foreign = foreign.map_or(0, |owner| row.foreign_to(owner));
        shares.count(now, slot, row.name(), of, foreign)
    }

    /// A target is gone: it is nobody's share.
    pub(super) fn leave_share(&mut self, slot: Slot) {
        let now = self.now;
        let row = self.row(slot).clone();
        if let Some(joined) = &mut self.joined {
            joined.cluster.shares.count(now, slot, row.name(), None, 0);
        }
    }

    /// An owner's target was defined anew: what it promised of it begins anew.
    pub(super) fn own_again(&mut self, slot: Slot) {
        let now = self.now;
        let interval = self.hot[slot.index()].interval;
        self.hot[slot.index()].stamp = Stamp::default();
        let is_paused = self.row(slot).is_paused();
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if !is_paused {
            joined.cluster.rounds.join(now, slot, interval);
        }
    }

    fn begin_to_check(&mut self, slot: Slot, lapse: Option<Lapse>) {
        let row = self.row(slot).clone();
        let state = row.state();
        let streak = self.streak_of(&row);
        let hot = &mut self.hot[slot.index()];
        let fall = hot.rule.fall;
        hot.counters = Counters {
            failures: streak.as_ref().map_or(0, |s| s.failures.min(fall - 1)),
            successes: streak
                .as_ref()
                .map_or(0, |s| s.successes.min(hot.rule.rise - 1)),
            window: streak.as_ref().map_or(0, |s| s.window),
            ..Counters::new(state)
        };
        hot.ticket.0 = hot.ticket.0.wrapping_add(1);
        hot.in_flight = false;
        hot.owed = false;
        // Who was asked before by somebody is asked at its beat, not at once.
        hot.was_checked =
            row.transition() > 0 && self.config.mutation != Some(Mutation::TakeoverWithoutPhase);
        hot.was_heard = false;
        hot.last_start = Time::ZERO;
        if self.config.mutation == Some(Mutation::TakeoverWithoutPhase) && !hot.waits {
            hot.waits = true;
            self.pace.wait(slot, None);
        }
        let definition = row.definition();
        self.join_beat(slot, &definition);
        if let Some(lapse) = lapse {
            self.note_missed(slot, &definition, lapse);
        }
        self.outputs
            .push_back(Output::Define(slot, definition, row.source));
    }

    /// A target that is checked here from now on may have missed its last beat.
    fn note_missed(&mut self, slot: Slot, definition: &Definition, lapse: Lapse) {
        let hot = &self.hot[slot.index()];
        let is_left = self.config.mutation == Some(Mutation::MissedIsMissed);
        if definition.paused || !hot.was_checked || hot.waits || is_left {
            return;
        }
        let interval = definition.interval;
        let now = self.clock.node(self.now);
        let missed = lapse.missed(now, interval, phase(&definition.name, interval));
        self.missed.extend(missed.map(|at| (at, slot)));
    }

    /// What was missed longest ago is caught up with first.
    pub(super) fn catch_up(&mut self) {
        let mut missed = std::mem::take(&mut self.missed);
        missed.sort_unstable();
        for (_, slot) in missed {
            let hot = &mut self.hot[slot.index()];
            if hot.role != Role::None && !std::mem::replace(&mut hot.waits, true) {
                self.pace.catch_up(slot);
            }
        }
    }

    /// Checks a target no longer.
    fn lay_down(&mut self, slot: Slot) {
        let was = std::mem::replace(&mut self.hot[slot.index()].role, Role::None);
        if was == Role::None {
            return;
        }
        if was == Role::Owner {
            self.disown(slot);
        } else {
            self.drop_case(slot);
        }
        let definition = self.row(slot).definition();
        self.leave_beat(slot, &definition);
        self.hot.cool(slot);
        // A probe for another node is still under way: its end takes the definition away.
        if !self.is_probed_for_others(slot) {
            self.outputs.push_back(Output::Undefine(slot));
        }
    }

    /// What only an owner keeps of a target is dropped.
    pub(super) fn disown(&mut self, slot: Slot) {
        let Hot {
            interval, stamp, ..
        } = self.hot[slot.index()];
        let now = self.now;
        let is_paused = self.row(slot).is_paused();
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if !is_paused {
            joined.cluster.rounds.leave(now, slot, interval, stamp);
        }
        joined.cluster.cases.drop(slot);
        joined.outvoted.remove(&slot);
        joined.awaited.remove(&slot);
    }

    /// Who handed over stops when its time has come.
    pub(super) fn let_leavers_go(&mut self) {
        let now = self.now;
        loop {
            let joined = self.joined.as_mut().expect("only a joined node comes here");
            let Some(slot) = joined.leavers.take_due(now) else {
                return;
            };
            if self.hot[slot.index()].role == Role::Leaver {
                self.lay_down(slot);
                self.take_or_give(slot, None);
            }
        }
    }

    /// Counters that changed are told to the standbys, so that a takeover need not start anew.
    pub(super) fn tell_standbys(&mut self) {
        if self.soft.is_empty() || self.now < self.soft_at {
            return;
        }
        for slot in std::mem::take(&mut self.soft) {
            let hot = &mut self.hot[slot.index()];
            if !std::mem::take(&mut hot.soft) || !hot.is_live || hot.role != Role::Owner {
                continue;
            }
            let counters = hot.counters;
            let row = self.row(slot).clone();
            let streak = Streak {
                target: row.title(),
                transition: row.transition(),
                failures: counters.failures,
                successes: counters.successes,
                window: counters.window,
            };
            let joined = self.joined.as_mut().expect("only a joined node comes here");
            joined.tell(slot, &streak);
        }
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        while let Some((to, way, bytes)) = joined.cluster.send() {
            self.outputs.push_back(Output::Send(to, way, bytes));
        }
    }

    pub(super) fn hear_streak(&mut self, streak: Streak) {
        let now = self.now;
        let streaks = &mut self.joined.as_mut().expect("its rooms spoke").streaks;
        if streak.is_at_rest() {
            streaks.remove(&streak.target);
            return;
        }
        if streaks.len() < STREAKS_MAX || streaks.contains_key(&streak.target) {
            let target = Arc::clone(&streak.target);
            streaks.insert(target, (now, streak));
        }
    }

    /// Once a second: what came to nothing, and was not told so, makes room.
    pub(super) fn forget_old_streaks(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if joined.streaks.len() < STREAKS_MAX / 2 {
            return;
        }
        let mut streaks = std::mem::take(&mut joined.streaks);
        streaks.retain(|name, (heard, _)| {
            let entry = self.known(name);
            entry.is_some_and(|entry| {
                let (interval, _) = self.row(entry.slot).pace();
                now.since(*heard) < streak_counts_for(interval)
            })
        });
        self.joined.as_mut().expect("it was there above").streaks = streaks;
    }

    fn streak_of(&mut self, row: &Row) -> Option<Streak> {
        let now = self.now;
        let joined = self.joined.as_mut()?;
        let (heard, streak) = joined.streaks.remove(row.name())?;
        let (interval, _) = row.pace();
        let is_news = now.since(heard) < streak_counts_for(interval);
        (is_news && streak.transition == row.transition()).then_some(streak)
    }

    /// A node says that it can't probe a target, or that it can again.
    pub(super) fn unable_stored(&mut self, node: &Arc<str>, target: &Arc<str>, key: &[u8]) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("its store spoke");
        let is_unable = joined.cluster.store.get(key).is_some();
        let nodes = joined.unable.entry(Arc::clone(target)).or_default();
        if is_unable {
            nodes.insert(Arc::clone(node));
        } else {
            nodes.remove(node);
        }
        if nodes.is_empty() {
            joined.unable.remove(target);
        }
        if !is_unable && *node == joined.cluster.name {
            // Whoever is forgotten by mistake says it again.
            joined.yielded.remove(target);
        }
        if let Some(entry) = self.catalogue.get(target, &self.rows) {
            let slot = entry.slot;
            let input = ownership::Input::Unable(slot, Arc::clone(node), is_unable);
            joined.cluster.own_target(now, input);
        }
    }

    /// Ownership forgets with a member what it can't probe; the store does not.
    pub(super) fn seated(&mut self, name: &Arc<str>) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("its rooms spoke");
        let concerned = joined
            .unable
            .iter()
            .filter(|(_, nodes)| nodes.contains(name));
        let entries = concerned.filter_map(|(target, _)| self.catalogue.get(target, &self.rows));
        let slots: Vec<Slot> = entries.map(|entry| entry.slot).collect();
        for slot in slots {
            let unable = ownership::Input::Unable(slot, Arc::clone(name), true);
            joined.cluster.own_target(now, unable);
        }
    }

    /// A target is new here: who owns it follows.
    pub(super) fn enter_order(&mut self, slot: Slot, name: &Arc<str>) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let key = ownership::KeyHash::of(name);
        let cluster = &mut joined.cluster;
        cluster.own_target(now, ownership::Input::Defined(slot, key));
        for node in joined.unable.get(name).into_iter().flatten() {
            let unable = ownership::Input::Unable(slot, Arc::clone(node), true);
            cluster.own_target(now, unable);
        }
    }

    /// This node can't probe a target, or yields it because it alone sees it fail: the next in its
    /// order takes it.
    pub(super) fn say_unable(&mut self, slot: Slot, why: Unable) {
        let now = self.now;
        let name = self.row(slot).title();
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if joined.cluster.others() == 0 || joined.yielded.contains_key(&name) {
            return;
        }
        let key = unable_key(&joined.cluster.name, &name);
        joined.yielded.insert(name, (now, why));
        joined.cluster.write(now, key, Some(Vec::new()));
    }

    /// What this node yielded was another definition, which says nothing of the one that stands now.
    pub(super) fn try_again(&mut self, name: &str) {
        let now = self.now;
        let Some(joined) = &mut self.joined else {
            return;
        };
        if joined.yielded.remove(name).is_some() {
            let key = unable_key(&joined.cluster.name, name);
            joined.cluster.write(now, key, None);
        }
    }

    /// A person has the config read again: what could not be probed may have come with it.
    pub(super) fn try_all_again(&mut self) {
        let joined = self.joined.as_ref().expect("only a joined node comes here");
        let yielded = joined.yielded.iter();
        let cannot = yielded.filter(|(_, (_, why))| *why == Unable::CannotProbe);
        let names: Vec<Arc<str>> = cannot.map(|(name, _)| Arc::clone(name)).collect();
        for name in names {
            self.try_again(&name);
        }
    }

    /// What was yielded for a time is taken back; sooner where nobody has it now, because all
    /// others have yielded it, too, or are gone.
    pub(super) fn yield_no_longer(&mut self) {
        let now = self.now;
        let joined = self.joined.as_ref().expect("only a joined node comes here");
        let is_over = |name: &Arc<str>, (since, why): (Time, Unable)| {
            let is_free = || {
                let entry = self.catalogue.get(name, &self.rows);
                let mut owners = entry.map(|entry| joined.cluster.ownership.owners(entry.slot));
                owners
                    .as_mut()
                    .is_some_and(|owners| owners.next().is_none())
            };
            let span = now.since(since);
            span >= YIELD || why == Unable::Outvoted && span >= YIELD_LEAST && is_free()
        };
        let yielded = joined.yielded.iter();
        let over = yielded.filter(|(name, what)| is_over(name, **what));
        let names: Vec<Arc<str>> = over.map(|(name, _)| Arc::clone(name)).collect();
        let joined = self.joined.as_mut().expect("it was there above");
        for name in names {
            joined.yielded.remove(&name);
            let key = unable_key(&joined.cluster.name, &name);
            joined.cluster.write(now, key, None);
        }
    }

    /// A round that takes too long goes on without the few that hang.
    pub(super) fn leave_the_hanging_behind(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        for (interval, round) in joined.cluster.rounds.overdue(now) {
            let behind = joined.cluster.rounds.behind(interval);
            let hangs = |(slot, hot): &(Slot, &Hot)| {
                hot.role == Role::Owner
                    && hot.interval == interval
                    && hot.stamp != round
                    && hot.counters.state != State::Paused
                    && !behind.contains(slot)
            };
            let hanging = self.hot.iter().filter(hangs);
            let mut slots: Vec<Slot> = hanging.map(|(slot, _)| slot).collect();
            slots.sort_unstable();
            slots.truncate(HANGING_MAX);
            joined.cluster.rounds.leave_behind(now, interval, &slots);
        }
    }

    /// What this node may promise of its targets.
    pub(super) fn promise(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if !joined.cluster.is_ready() {
            return;
        }
        let rows = &self.rows;
        let name_of = |slot: &Slot| {
            let row = rows.get(*slot).expect("a live slot has a row");
            base::hash64(row.name().as_bytes())
        };
        let marks = joined.cluster.rounds.marks();
        let promises = marks.map(|(interval, at, total, behind)| Promise {
            interval,
            at,
            total,
            except: behind.iter().map(name_of).collect(),
        });
        let promises: Vec<Promise> = promises.collect();
        joined.cluster.promise(now, promises);
    }
}
