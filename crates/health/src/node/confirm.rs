//! Verdicts among others: an owner asks before it writes `down`.
//!
//! What counts as confirmed is in `cluster/votes.rs`. A target that a majority of the asked sees
//! answer stays as it is, and is shown as contested: an owner that alone sees it fail says more
//! about itself. How others are answered is in `favours.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Duration, NodeId, Origin, Slot, Version, Wall, hash64};

use super::ownership::Unable;
use super::{Mutation, Node, Role};
use crate::cluster::StatusEntry;
use crate::cluster::{
    Ask, Case, Notice, Ruling, Section, Stage, Streak, Vote, definition_key, patience, status_key,
};
use crate::definition;
use crate::fleet::Votes;
use crate::input::Event;
use crate::outcome::{Finding, Reason};
use crate::row::Row;
use crate::status::{State, Status};
use crate::verdict::Counters;
use crate::view::Source;

/// An owner that is outvoted so often running gives the target to the next for a time.
const OUTVOTED_MAX: u8 = 3;

type Why = (Reason, Option<Arc<str>>);

/// Of two statuses of one target the greater is the newer one.
const fn age_of(status: &Status) -> (u32, Wall, u8) {
    (status.transition, status.since, status.state as u8)
}

impl super::joined::Joined {
    /// Tells a target's standbys of its counters.
    pub(super) fn tell(&mut self, slot: Slot, streak: &Streak) {
        let standbys: Vec<Arc<str>> = self
            .cluster
            .ownership
            .owners(slot)
            .skip(1)
            .map(|member| Arc::clone(&member.name))
            .collect();
        for name in standbys {
            if let Some(id) = self.cluster.living(&name) {
                self.cluster.say(id, &Section::Streak(streak.clone()));
            }
        }
    }
}

impl Node {
    /// What a conclusive outcome means on a node among others.
    pub(super) fn conclude(&mut self, slot: Slot, before: Counters, next: Option<State>, why: Why) {
        let hot = &mut self.hot[slot.index()];
        let rule = hot.rule;
        match (hot.role, next) {
            (Role::None, _) => {}
            (Role::Shadow, Some(State::Down)) => hot.counters = before.held(rule),
            (Role::Shadow, Some(_)) => hot.counters = before,
            (Role::Shadow, None) => {}
            (Role::Owner | Role::Leaver, Some(State::Down)) if self.must_ask(slot) => {
                self.hot[slot.index()].counters = before.held(rule);
                self.soften(slot);
                self.accuse(slot, why);
            }
            (Role::Owner | Role::Leaver, Some(state)) => {
                self.drop_case(slot);
                self.change(slot, state, why.0, why.1);
            }
            (Role::Owner | Role::Leaver, None) => {
                if self.hot[slot.index()].counters.failures == 0 {
                    self.drop_case(slot);
                }
                if self.hot[slot.index()].counters != before {
                    self.soften(slot);
                }
            }
        }
        self.rest(slot);
    }

    /// A check has left the target at rest, perhaps: the owner's round goes on.
    fn rest(&mut self, slot: Slot) {
        let now = self.now;
        let hot = &self.hot[slot.index()];
        let said = hot.counters.state == State::Unknown && self.is_unconfirmed(slot);
        let ignores = self.config.mutation == Some(Mutation::MarkIgnoresPending);
        if hot.role != Role::Owner || !(hot.counters.is_at_rest() || said || ignores) {
            return;
        }
        let (interval, began, stamp) = (hot.interval, hot.last_start, hot.stamp);
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if joined.awaited.contains(&slot) {
            return;
        }
        let rounds = &mut joined.cluster.rounds;
        self.hot[slot.index()].stamp = rounds.rested(now, slot, interval, began, stamp);
    }

    fn is_unconfirmed(&self, slot: Slot) -> bool {
        let status = self.newest(slot);
        status.state == State::Unknown && status.reason == Reason::Unconfirmed
    }

    /// The status that the next one follows: the newest that this node wrote, on disk or not, or
    /// that the store holds, shown or not. A write supersedes all that the store holds, so it must
    /// not be made of what is older.
    fn newest(&self, slot: Slot) -> Status {
        let joined = self.joined.as_ref().expect("only a joined node comes here");
        let ahead = joined.ahead.get(&slot).cloned();
        let known = ahead.unwrap_or_else(|| self.row(slot).status());
        match self.held_status(self.row(slot).name()).0 {
            Some(held) if age_of(&held.status) > age_of(&known) => held.status,
            _ => known,
        }
    }

    pub(super) fn must_ask(&self, slot: Slot) -> bool {
        let joined = self.joined.as_ref().expect("only a joined node comes here");
        self.row(slot).definition().confirm > 0
            && joined.cluster.others() > 0
            && self.config.mutation != Some(Mutation::VotesIgnored)
    }

    pub(super) fn drop_case(&mut self, slot: Slot) {
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        joined.cluster.cases.drop(slot);
        joined.outvoted.remove(&slot);
    }

    /// Asks the next in the target's order what they see.
    fn accuse(&mut self, slot: Slot, (reason, detail): Why) {
        let now = self.now;
        let definition = self.row(slot).definition();
        let asks_once = self.config.mutation == Some(Mutation::AsksOnce);
        if asks_once && self.is_unconfirmed(slot) {
            return;
        }
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let cluster = &mut joined.cluster;
        let open = cluster.cases.of(slot);
        if open.is_some_and(|case| case.stage != Stage::Overdue) {
            return;
        }
        let seats = usize::from(definition.confirm).min(cluster.others());
        let members: Vec<ownership::Member> = cluster.ownership.members().cloned().collect();
        let order = ownership::order(&definition.name, &members);
        let others = order
            .into_iter()
            .filter(|member| member.name != cluster.name);
        let mut voters: Vec<NodeId> = others
            .filter_map(|member| cluster.living(&member.name))
            .collect();
        // Those of whom nothing can be heard now come last: they may be dead, or cut off.
        voters.sort_by_key(|id| !cluster.may_answer(*id, open));
        voters.truncate(seats);
        let beats = u32::from(definition.rule.of.max(definition.rule.fall)) - 1;
        let since = now
            .0
            .saturating_sub(crate::clock::micros(definition.interval * beats) + 1);
        let case = Case {
            id: 0,
            slot,
            since: base::Time(since),
            opened: now,
            until: now + patience(definition.timeout),
            reason,
            detail,
            voters: voters.iter().map(|id| (*id, None)).collect(),
            seats,
            members: 0,
            stage: Stage::Asked,
        };
        let Some(id) = cluster.cases.open(case) else {
            return;
        };
        let ask = Ask {
            case: id,
            target: Arc::clone(&definition.name),
            sum: hash64(&definition::encode(&definition)),
        };
        let case = cluster.cases.of(slot).expect("it was opened above");
        let silent = case.voters.iter().filter(|(_, word)| word.is_none());
        for voter in silent.map(|(id, _)| *id).collect::<Vec<_>>() {
            cluster.say(voter, &Section::Ask(ask.clone()));
        }
        let of = voters.iter().map(|id| cluster.name_of(*id)).collect();
        self.tell_people(Notice::Asked {
            target: ask.target,
            case: id,
            of,
        });
    }

    /// Rules every case that can be ruled, and reminds who has not answered.
    pub(super) fn rule(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let cluster = &mut joined.cluster;
        if cluster.cases.is_empty() {
            return;
        }
        let quorum = &cluster.quorum;
        let is_quorate = |since, members| quorum.is_met(since, members);
        let ruled = cluster.cases.rule(now, is_quorate);
        let reminded = cluster.cases.remind(now);
        for case in reminded {
            self.remind(&case);
        }
        for (case, ruling) in ruled {
            self.end_case(&case, ruling);
        }
    }

    fn remind(&mut self, case: &Case) {
        let definition = self.row(case.slot).definition();
        let ask = Ask {
            case: case.id,
            target: Arc::clone(&definition.name),
            sum: hash64(&definition::encode(&definition)),
        };
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let silent = case.voters.iter().filter(|(_, word)| word.is_none());
        for (id, _) in silent {
            joined.cluster.say(*id, &Section::Ask(ask.clone()));
            // Who has much to do says at least that it is there.
            joined.cluster.say(*id, &Section::Call);
        }
    }

    fn end_case(&mut self, case: &Case, ruling: Ruling) {
        let slot = case.slot;
        let agrees = self.config.mutation == Some(Mutation::SilenceAgrees);
        let ruling = match ruling {
            Ruling::Unconfirmed if agrees => Ruling::Down,
            // Where nothing answers, who fails to see says little against one who sees.
            Ruling::Unconfirmed if self.uplink.is_witness(slot) && case.rather_passes() => {
                let joined = self.joined.as_mut().expect("it had a case");
                joined.cluster.cases.drop(slot);
                Ruling::Outvoted
            }
            other => other,
        };
        self.testify(slot, ruling);
        let votes = self.votes_of(case, ruling == Ruling::Outvoted);
        let (reason, detail) = (case.reason, case.detail.clone());
        self.tell_people(Notice::Ruled {
            target: self.row(slot).title(),
            case: case.id,
            ruling: ruling.name(),
            votes: votes.votes.clone(),
        });
        match ruling {
            Ruling::Down => {
                self.joined
                    .as_mut()
                    .expect("it had a case")
                    .outvoted
                    .remove(&slot);
                self.declare_with(slot, State::Down, (reason, detail), Some(votes));
            }
            Ruling::Outvoted => self.outvoted(slot, votes),
            Ruling::Unconfirmed => {
                if !self.is_unconfirmed(slot) {
                    let why = (Reason::Unconfirmed, Some(reason.words().into()));
                    self.declare_with(slot, State::Unknown, why, Some(votes));
                }
                // The case stays open for late word; the next failure asks again.
                let hot = &mut self.hot[slot.index()];
                hot.counters.failures = hot.rule.fall;
                self.rest(slot);
            }
        }
    }

    fn votes_of(&self, case: &Case, contested: bool) -> Votes {
        let joined = self.joined.as_ref().expect("it had a case");
        let mine = Vote {
            node: Arc::clone(&joined.cluster.name),
            passed: Some(false),
        };
        let others = case.voters.iter().map(|(id, word)| Vote {
            node: joined.cluster.name_of(*id),
            passed: match word {
                Some((Finding::Passed, _)) => Some(true),
                Some((Finding::Failed(_), _)) => Some(false),
                Some((Finding::Inconclusive(_), _)) | None => None,
            },
        });
        Votes {
            votes: [mine].into_iter().chain(others).collect(),
            contested,
        }
    }

    /// Others see it answer: it stays as it is, and that is shown.
    fn outvoted(&mut self, slot: Slot, votes: Votes) {
        let hot = &mut self.hot[slot.index()];
        hot.counters = Counters::new(hot.counters.state);
        let joined = self.joined.as_mut().expect("it had a case");
        let times = joined.outvoted.entry(slot).or_default();
        *times += 1;
        let is_enough = *times >= OUTVOTED_MAX;
        let status = self.newest(slot);
        self.write_entry(slot, status, Some(votes));
        if is_enough {
            self.say_unable(slot, Unable::Outvoted);
        }
    }

    /// Writes a new state, for all nodes; readers see it once the disk has it.
    pub(super) fn declare(
        &mut self,
        slot: Slot,
        to: State,
        reason: Reason,
        detail: Option<Arc<str>>,
    ) {
        self.declare_with(slot, to, (reason, detail), None);
    }

    fn declare_with(&mut self, slot: Slot, to: State, why: Why, votes: Option<Votes>) {
        if !matches!(self.hot[slot.index()].role, Role::Owner | Role::Leaver) {
            return;
        }
        let at = self.clock.wall(self.now);
        let newest = self.newest(slot);
        self.hot[slot.index()].counters = Counters::new(to);
        if newest.state == to && newest.transition > self.row(slot).transition() {
            // Somebody has said so already; it is shown once it is on disk.
            let joined = self.joined.as_mut().expect("only a joined node comes here");
            joined.awaited.insert(slot);
            return;
        }
        let status = newest.changed(to, at, why.0, why.1, 0);
        self.write_entry(slot, status, votes);
    }

    fn write_entry(&mut self, slot: Slot, status: Status, votes: Option<Votes>) {
        let now = self.now;
        let key = status_key(self.row(slot).name());
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let entry = StatusEntry {
            status: status.clone(),
            by: Arc::clone(&joined.cluster.name),
            votes: votes.map(Arc::new),
            is_chosen: false,
        };
        joined.ahead.insert(slot, status);
        joined.cluster.write(now, key, Some(entry.encode()));
    }

    /// What the store holds of a target's status: the sibling that all nodes choose, and how many
    /// there are.
    pub(super) fn held_status(&self, name: &str) -> (Option<StatusEntry>, usize) {
        let (best, siblings) = self.held_write(name);
        (best.map(|(entry, _)| entry), siblings)
    }

    /// The same with the write that brought it.
    fn held_write(&self, name: &str) -> (Option<(StatusEntry, Version)>, usize) {
        let joined = self.joined.as_ref().expect("only a joined node comes here");
        let held = joined.cluster.store.entries(&status_key(name));
        let siblings = held.len();
        let read = |held: &store::Held<'_>| {
            let entry = StatusEntry::decode(held.value?).ok()?;
            Some((entry, held.version))
        };
        let entries = held.iter().filter_map(read);
        let best = entries.max_by(|(a, _), (b, _)| a.rank().cmp(&b.rank()));
        (best, siblings)
    }

    /// A row with the status that the store holds, if it holds any; it then lies in memory once.
    pub(super) fn as_stored(&mut self, name: &str, row: Row) -> Row {
        if self.joined.is_none() {
            return row;
        }
        match self.held_write(name).0 {
            Some((entry, version)) => {
                self.note_found(&entry.by, version);
                let bytes = self.share_status(name, version);
                row.with_entry(bytes, entry.status.state)
            }
            None => row,
        }
    }

    fn share_status(&mut self, name: &str, version: Version) -> (Arc<[u8]>, usize) {
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let shared = joined.cluster.store.share_write(&status_key(name), version);
        shared.expect("it was just read")
    }

    /// The status of a target has changed in the store: readers see it, and what it says that is
    /// new becomes events.
    pub(super) fn adopt_status(&mut self, name: &Arc<str>) {
        let Some(slot) = self.known(name).map(|entry| entry.slot) else {
            return self.orphan(name);
        };
        let (Some((entry, version)), _) = self.held_write(name) else {
            return self.begin_anew(slot);
        };
        self.note_found(&entry.by, version);
        let bytes = self.share_status(name, version);
        let joined = self.joined.as_mut().expect("its store spoke");
        joined.awaited.remove(&slot);
        let is_mine = joined
            .ahead
            .get(&slot)
            .is_some_and(|ahead| entry.status.transition >= ahead.transition);
        if is_mine {
            joined.ahead.remove(&slot);
        }
        let is_behind = joined.ahead.contains_key(&slot);
        let row = self.row(slot).clone();
        let shown = row.entry();
        if shown.status != entry.status || shown.votes != entry.votes {
            self.show_status(&row, &entry, bytes);
        } else if !row.keeps_entry(&bytes.0) {
            // Written anew, as when a node's writes are taken over.
            self.place(row.with_entry(bytes, entry.status.state));
        }
        if shown.status == entry.status {
            self.recount(slot);
        } else {
            self.is_it_foreign(slot, &entry, version.origin);
        }
        let hot = &mut self.hot[slot.index()];
        if !is_behind && hot.counters.state != entry.status.state {
            hot.counters = Counters::new(entry.status.state);
        }
        if row.transition() == 0 && !std::mem::replace(&mut hot.was_checked, true) {
            // Others have asked it: the first check here is that of its beat.
            hot.waits = false;
        }
        if self.hot[slot.index()].role == Role::Owner {
            self.collapse(slot);
            self.pause_or_resume(slot);
        }
    }

    /// A status that somebody else than the target's owner found, or that was chosen among siblings,
    /// or that its owner wrote in a former life that it may have forgotten: what the owner promises
    /// may be of another one, until it knows this one; and an owner that learns it has to check again.
    fn is_it_foreign(&mut self, slot: Slot, entry: &StatusEntry, origin: Origin) {
        let now = self.now;
        let epoch = self.recount(slot);
        let is_paused = self.row(slot).is_paused();
        let joined = self.joined.as_mut().expect("its store spoke");
        let is_this_life = joined.cluster.writes_as(&entry.by, origin);
        let mut owned = self.staging.owned(slot);
        let is_owners = owned.three[0] == joined.place(&entry.by) && !entry.is_chosen;
        if is_owners && is_this_life || self.config.mutation == Some(Mutation::MarkHoldsAtOnce) {
            return;
        }
        owned.epoch = epoch.unwrap_or(owned.epoch);
        if is_owners {
            owned.anew(now);
        }
        self.staging.own(slot, owned);
        let hot = &mut self.hot[slot.index()];
        if hot.role == Role::Owner && !is_paused {
            let stamp = std::mem::take(&mut hot.stamp);
            let rounds = &mut joined.cluster.rounds;
            rounds.unsettle(now, slot, hot.interval, stamp);
        }
    }

    /// The status was deleted with a definition, and another definition stands: a new target.
    fn begin_anew(&mut self, slot: Slot) {
        let joined = self.joined.as_ref().expect("its store spoke");
        let row = self.row(slot).clone();
        if row.transition() == 0 || joined.ahead.contains_key(&slot) {
            return;
        }
        self.counts.remove(row.state());
        self.counts.add(State::Unknown);
        let status = Status::new(self.clock.wall(self.now));
        self.hot[slot.index()].counters = Counters::new(State::Unknown);
        self.place(row.with_status(&status, &None));
        self.recount(slot);
        if self.hot[slot.index()].role == Role::Owner {
            self.drop_case(slot);
            self.pause_or_resume(slot);
        }
    }

    fn show_status(&mut self, row: &Row, entry: &StatusEntry, bytes: (Arc<[u8]>, usize)) {
        let seen = row.transition();
        let newest = entry.status.transition;
        for transition in entry.status.recent.iter().filter(|t| t.number > seen) {
            self.version.seq += 1;
            let mut transition = *transition;
            transition.seq = self.version.seq;
            let detail = entry.status.detail.clone();
            self.staging.open.events.push(Event {
                target: row.title(),
                transition,
                detail: detail.filter(|_| transition.number == newest),
            });
        }
        self.counts.remove(row.state());
        self.counts.add(entry.status.state);
        self.place(row.with_entry(bytes, entry.status.state));
        self.staging.open.urgent = true;
    }

    /// Owners that did not know of each other wrote siblings: one write makes them one again,
    /// with number and `since` as they were.
    pub(super) fn collapse(&mut self, slot: Slot) {
        let name = self.row(slot).title();
        let (Some(entry), siblings) = self.held_status(&name) else {
            return;
        };
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let waits = joined.ahead.contains_key(&slot);
        if siblings > 1 && !waits && self.config.mutation != Some(Mutation::NoCollapse) {
            let now = self.now;
            joined.ahead.insert(slot, entry.status.clone());
            let chosen = StatusEntry {
                is_chosen: true,
                ..entry
            };
            joined
                .cluster
                .write(now, status_key(&name), Some(chosen.encode()));
            self.tell_people(Notice::Collapsed { target: name });
        }
    }

    /// A mutant: what was missed in a pause is made up for.
    pub(super) fn after_a_pause(&mut self, away: Duration) {
        if self.config.mutation != Some(Mutation::BurstAfterPause) || away < Duration::from_secs(2)
        {
            return;
        }
        for slot in self.live_slots() {
            let hot = &self.hot[slot.index()];
            if hot.is_live && hot.role == Role::Owner && !hot.in_flight {
                self.start(slot, self.now);
            }
        }
    }

    /// Whoever checked a target until now may have written its status once more before it heard
    /// that it is deleted: that must not be shown of another one under this name.
    pub(super) fn unwrite_status(&mut self, name: &str) {
        let now = self.now;
        let Some(joined) = &mut self.joined else {
            return;
        };
        let store = &joined.cluster.store;
        let mut sources = [Source::File, Source::Api].into_iter();
        // A node of another release may read what this one does not.
        let is_defined = sources.any(|source| store.get(&definition_key(source, name)).is_some());
        if !is_defined && store.get(&status_key(name)).is_some() {
            joined.cluster.write(now, status_key(name), None);
        }
    }

    /// Statuses without a definition, one by one: forgotten after a time by the first of all.
    fn orphan(&mut self, name: &Arc<str>) {
        let now = self.now;
        let is_held = self.held_status(name).0.is_some();
        let joined = self.joined.as_mut().expect("its store spoke");
        if is_held {
            joined.orphans.entry(Arc::clone(name)).or_insert(now);
        } else {
            joined.orphans.remove(name);
        }
    }

    pub(super) fn sweep_statuses(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if joined.orphans.is_empty() || !joined.cluster.is_first() {
            return;
        }
        let due: BTreeMap<Arc<str>, base::Time> = joined
            .orphans
            .extract_if(.., |_, since| now.since(*since) > ORPHANS)
            .collect();
        for name in due.into_keys() {
            if self.known(&name).is_none() {
                let joined = self.joined.as_mut().expect("only a joined node comes here");
                joined.cluster.write(now, status_key(&name), None);
            }
        }
    }
}

/// How long a status may stand without a definition: both may be on their way.
const ORPHANS: Duration = Duration::from_secs(60);
