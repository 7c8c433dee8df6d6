//! How targets come, change and go: from the disk, the config file and the API.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Slot, Version};

use super::{Beat, Hot, Node, Role};
use crate::catalogue::{Entry, Winner};
use crate::cluster::{Known, definition_key};
use crate::definition::{self, Definition};
use crate::input::{Answer, Diff, Event, Key, Output, Record, Request, Write};
use crate::outcome::Reason;
use crate::record;
use crate::row::{Row, What};
use crate::schedule::phase;
use crate::status::{State, Status};
use crate::verdict::Counters;
use crate::view::Source;

/// Targets whose first beat would be further away than this get a first check before it.
const FIRST_CHECK_AFTER: base::Duration = base::Duration::from_secs(1);
/// From how many removals on the rings are swept once instead of searched for each.
const SWEEP: usize = 64;

/// What a change of one definition did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Added,
    Changed,
    Removed,
    None,
}

impl Node {
    /// Takes in what the disk held. Targets made through the API are back at once; statuses of
    /// others wait until the config file is loaded.
    pub(super) fn restore(&mut self, records: Vec<Record>) {
        let mut definitions = Vec::new();
        let (mut stored, mut known) = (Vec::new(), None);
        for Record { key, value } in records {
            let readable = match key {
                Key::Members => Known::decode(&value).map(|k| known = Some(k)).is_ok(),
                Key::Store(key) => {
                    let content = Some(value);
                    stored.push(store::Record { key, content });
                    true
                }
                Key::Origin => record::decode_version(&value)
                    .map(|version| {
                        self.version = version;
                        self.written = version;
                    })
                    .is_ok(),
                Key::Status(name) => record::decode_status(&value)
                    .map(|status| self.orphans.insert(name, status))
                    .is_ok(),
                Key::Definition(name) => definition::decode(&value)
                    .ok()
                    .filter(|d| d.name == name && d.check().is_ok())
                    .map(|d| definitions.push(Arc::new(d)))
                    .is_some(),
            };
            self.tally.unreadable += u64::from(!readable);
        }
        self.is_booting = true;
        if self.enter(known, stored) {
            self.restore_together(definitions);
        } else {
            self.tell_the_past();
            self.set_all(Source::Api, &definitions);
        }
    }

    /// Every name has its definition: only now it is said who is paused. An API definition that
    /// the file shadows must not touch the status before.
    fn end_boot(&mut self) {
        if std::mem::take(&mut self.is_booting) {
            for slot in self.live_slots() {
                self.pause_or_resume(slot);
            }
        }
    }

    /// Gives the transitions that the disk still knows to whoever resumes a stream of events.
    fn tell_the_past(&mut self) {
        let mut past = Vec::new();
        let mut complete_after = 0;
        for (name, (status, _)) in &self.orphans {
            let lost = usize::try_from(status.transition).is_ok_and(|n| n > status.recent.len());
            if let Some(oldest) = status.recent.first().filter(|_| lost) {
                complete_after = complete_after.max(oldest.seq.saturating_sub(1));
            }
            let newest = status.transition;
            past.extend(status.recent.iter().map(|&transition| {
                let detail = status
                    .detail
                    .clone()
                    .filter(|_| transition.number == newest);
                Event {
                    target: Arc::clone(name),
                    transition,
                    detail,
                }
            }));
        }
        past.sort_by_key(|event| event.transition.seq);
        let origin = self.version.origin;
        self.outputs.push_back(Output::Past(
            Version {
                origin,
                seq: complete_after,
            },
            past,
        ));
    }

    /// Takes the whole new content of a config source.
    pub(super) fn load(&mut self, source: Source, definitions: Vec<Arc<Definition>>) {
        if self.joined.is_some() {
            return self.load_together(definitions);
        }
        let keep: BTreeMap<&str, ()> = definitions.iter().map(|d| (&*d.name, ())).collect();
        let keep = |name: &str| keep.contains_key(name);
        let gone = self.catalogue.names_without(source, keep, &self.rows);
        let mut diff = Diff::default();
        for name in gone {
            match self.set(&name, source, None) {
                Effect::Removed => diff.removed.push(name),
                Effect::Added | Effect::Changed | Effect::None => diff.changed.push(name),
            }
        }
        for (definition, effect) in definitions.iter().zip(self.set_all(source, &definitions)) {
            match effect {
                Effect::Added => diff.added.push(Arc::clone(&definition.name)),
                Effect::Changed => diff.changed.push(Arc::clone(&definition.name)),
                Effect::Removed | Effect::None => diff.unchanged += 1,
            }
        }
        self.sweep_orphans();
        self.end_boot();
        // A person may wait for it.
        self.staging.open.urgent = true;
        self.staging.open.loaded.push((source, diff));
    }

    /// Statuses on disk whose targets nobody defines any more are taken off it.
    fn sweep_orphans(&mut self) {
        for name in std::mem::take(&mut self.orphans).into_keys() {
            self.staging
                .open
                .writes
                .push(Write::Remove(Key::Status(name)));
        }
    }

    pub(super) fn put(&mut self, request: Request, definition: Arc<Definition>) {
        if self.joined.is_some() {
            return self.put_together(request, &definition);
        }
        self.end_boot();
        let entry = self.known(&definition.name);
        let is_new = entry.is_none_or(|entry| !entry.in_api);
        if is_new && self.catalogue.len() >= self.config.targets_max as usize {
            self.answer(request, Answer::Full);
            return;
        }
        self.version.seq += 1;
        let key = Key::Definition(Arc::clone(&definition.name));
        self.staging
            .open
            .writes
            .push(Write::Set(key, definition::encode(&definition)));
        self.staging.open.urgent = true;
        self.set_all(Source::Api, &[definition]);
        let version = self.version;
        self.answer(
            request,
            if is_new {
                Answer::Created(version)
            } else {
                Answer::Replaced(version)
            },
        );
    }

    pub(super) fn delete(&mut self, request: Request, name: &Arc<str>) {
        if self.joined.is_some() {
            return self.delete_together(request, name);
        }
        self.end_boot();
        match self.known(name).map(|entry| (entry.in_api, entry.in_file)) {
            None => return self.answer(request, Answer::NotFound),
            Some((false, _)) => return self.answer(request, Answer::FromFile),
            Some((true, _)) => {}
        }
        self.version.seq += 1;
        self.staging
            .open
            .writes
            .push(Write::Remove(Key::Definition(Arc::clone(name))));
        self.staging.open.urgent = true;
        self.set(name, Source::Api, None);
        self.answer(request, Answer::Deleted(self.version));
    }

    /// Sets many definitions. Slots are given in the order of the beat, so that the node walks
    /// through its memory as it walks through time.
    pub(super) fn set_all(
        &mut self,
        source: Source,
        definitions: &[Arc<Definition>],
    ) -> Vec<Effect> {
        let mut order: Vec<usize> = (0..definitions.len()).collect();
        order.sort_by_cached_key(|&i| {
            (
                definitions[i].interval,
                phase(&definitions[i].name, definitions[i].interval),
            )
        });
        let mut effects = vec![Effect::None; definitions.len()];
        for i in order {
            let definition = &definitions[i];
            effects[i] = self.set(&definition.name, source, Some(Arc::clone(definition)));
        }
        effects
    }

    /// Who defines a name, and where it lies.
    pub(super) fn known(&self, name: &str) -> Option<Entry> {
        self.catalogue.get(name, &self.rows)
    }

    /// Sets or takes away what one source says of one name.
    pub(super) fn set(
        &mut self,
        name: &Arc<str>,
        source: Source,
        definition: Option<Arc<Definition>>,
    ) -> Effect {
        let catalogue = &mut self.catalogue;
        let (slot, before, after) = catalogue.set(name, source, definition, &self.rows);
        self.settle(slot, before, after)
    }

    /// Takes what left the beat off it and puts what joined on, all at once.
    pub(super) fn retime(&mut self) {
        if self.off_beat.is_empty() && self.on_beat.is_empty() {
            return;
        }
        let (mut off, mut on) = (
            std::mem::take(&mut self.off_beat),
            std::mem::take(&mut self.on_beat),
        );
        off.sort_unstable();
        // What joined and left with one input was never on the beat, and is not put on it now.
        on.retain(|&(beat, joined)| {
            let next = off.partition_point(|&of| of <= (beat, joined));
            off.get(next).is_none_or(|&(of, _)| of != beat)
        });
        let now = self.clock.node(self.now);
        if off.len() > SWEEP {
            self.schedule
                .remove_all(|slot| off.binary_search_by_key(&slot, |(beat, _)| beat.0).is_ok());
        } else {
            off.into_iter().for_each(|((slot, interval, phase), _)| {
                self.schedule.remove(now, slot, interval, phase)
            });
        }
        let on: Vec<Beat> = on.into_iter().map(|(beat, _)| beat).collect();
        for &(slot, interval, _) in &on {
            let hot = &mut self.hot[slot.index()];
            if interval > FIRST_CHECK_AFTER && !hot.was_checked && !hot.waits {
                hot.waits = true;
                self.pace.wait(slot, None);
            }
        }
        if !on.is_empty() {
            self.schedule.add(now, on);
        }
    }

    /// Makes the slot what the catalogue says.
    fn settle(&mut self, slot: Slot, before: Option<Winner>, after: Option<Winner>) -> Effect {
        match (before, after) {
            (None, None) => Effect::None,
            (None, Some(winner)) => {
                self.begin(slot, winner);
                Effect::Added
            }
            (Some(_), None) => {
                self.end(slot);
                Effect::Removed
            }
            (Some(before), Some(after)) if before == after => {
                self.share_again(slot, &after);
                Effect::None
            }
            (Some(before), Some(after)) if before.definition == after.definition => {
                self.relabel(slot, after);
                Effect::None
            }
            (Some(before), Some(after)) => {
                self.redefine(slot, &before, after);
                Effect::Changed
            }
        }
    }

    fn begin(&mut self, slot: Slot, winner: Winner) {
        let kept = self.kept(&winner);
        let definition = winner.definition;
        let fresh = || {
            (
                Status::new(self.clock.wall(self.now)),
                Counters::new(State::Unknown),
            )
        };
        let (status, counters) = self.orphans.remove(&definition.name).unwrap_or_else(fresh);
        let name = Arc::clone(&definition.name);
        let origin = (winner.source, winner.shadowed);
        let fresh = Row::new(slot, kept, origin, &status, &None);
        let row = self.as_stored(&name, fresh);
        self.counts.add(row.state());
        if self.joined.is_none() {
            self.warm(slot, &definition, counters);
            self.hot[slot.index()].role = Role::Owner;
            self.join_beat(slot, &definition);
            self.outputs
                .push_back(Output::Define(slot, Arc::clone(&definition), winner.source));
        }
        self.place(row);
        if self.joined.is_some() {
            self.enter_order(slot, &name);
        } else {
            self.pause_or_resume(slot);
        }
    }

    /// The same is checked, but its source or shadow changed.
    fn relabel(&mut self, slot: Slot, winner: Winner) {
        let is_elsewhere = self.row(slot).source != winner.source;
        let kept = self.kept(&winner);
        let (definition, source) = (winner.definition, winner.source);
        if is_elsewhere && self.is_defined(slot) {
            // Trust depends on the source: the agent prepares the probe anew.
            self.outputs
                .push_back(Output::Define(slot, definition, source));
        }
        let row = self.row(slot);
        let row = row.with_definition(kept, (source, winner.shadowed));
        self.place(row);
    }

    /// Another definition under the same name: the status stays, and the counters too unless
    /// the target is asked in another way.
    fn redefine(&mut self, slot: Slot, before: &Winner, after: Winner) {
        let role = self.hot[slot.index()].role;
        if role != Role::None {
            self.leave_beat(slot, &before.definition);
        }
        let is_shared_owner = self.joined.is_some() && role == Role::Owner;
        if is_shared_owner {
            self.disown(slot);
        } else if self.joined.is_some() && role == Role::Leaver {
            // Who hands over may have asked others about the old one.
            self.drop_case(slot);
        }
        let kept = self.kept(&after);
        let definition = after.definition;
        let hot = &mut self.hot[slot.index()];
        hot.interval = definition.interval;
        hot.rule = definition.rule;
        hot.owed = false;
        let asked_otherwise = before.definition.probe != definition.probe
            || before.definition.rule != definition.rule;
        if asked_otherwise && !self.is_booting {
            hot.counters = Counters::new(hot.counters.state);
            hot.ticket.0 = hot.ticket.0.wrapping_add(1);
            hot.in_flight = false;
            // Whoever changed it wants to see soon whether it works.
            hot.was_checked = false;
            // The old counters must not come back after a crash.
            self.soften(slot);
        }
        if definition.paused {
            // What is under way belongs to no round of the owner's any more, and says nothing; and
            // nothing that waits may start, though it was resumed a moment ago.
            let hot = &mut self.hot[slot.index()];
            hot.ticket.0 = hot.ticket.0.wrapping_add(1);
            hot.in_flight = false;
            hot.counters = Counters::new(State::Paused);
        }
        if role != Role::None {
            self.join_beat(slot, &definition);
        }
        if self.is_defined(slot) {
            self.outputs
                .push_back(Output::Define(slot, Arc::clone(&definition), after.source));
        }
        let origin = (after.source, after.shadowed);
        self.place(self.row(slot).with_definition(kept, origin));
        self.count_share(slot);
        if is_shared_owner {
            self.own_again(slot);
        }
        if asked_otherwise {
            self.try_again(&definition.name);
        }
        self.pause_or_resume(slot);
    }

    fn end(&mut self, slot: Slot) {
        let is_defined = self.is_defined(slot);
        let role = self.hot[slot.index()].role;
        if self.joined.is_some() && role == Role::Owner {
            self.disown(slot);
        }
        self.leave_share(slot);
        let row = self.rows.set(slot, None).expect("a live slot has a row");
        self.staging.change(slot, None);
        if role != Role::None {
            self.leave_beat(slot, &row.definition());
        }
        self.hot.cool(slot);
        self.try_again(row.name());
        if matches!(role, Role::Owner | Role::Leaver) {
            self.unwrite_status(row.name());
        }
        self.counts.remove(row.state());
        if is_defined {
            self.outputs.push_back(Output::Undefine(slot));
        }
        let now = self.now;
        if let Some(joined) = &mut self.joined {
            // Who hands over may have asked others about it.
            joined.cluster.cases.drop(slot);
            joined.outvoted.remove(&slot);
            joined.ahead.remove(&slot);
            joined.awaited.remove(&slot);
            joined.favours.forget(slot);
            let gone = ownership::Input::Undefined(slot);
            joined.cluster.own_target(now, gone);
        } else {
            let key = Key::Status(row.title());
            self.staging.open.writes.push(Write::Remove(key));
        }
    }

    /// A target is checked from now on: it has a hot part.
    pub(super) fn warm(&mut self, slot: Slot, definition: &Definition, counters: Counters) {
        let hot = Hot {
            counters,
            interval: definition.interval,
            rule: definition.rule,
            is_live: true,
            ..Hot::default()
        };
        self.hot.warm(slot, hot);
    }

    /// Whether there is a target in a slot.
    pub(super) fn is_live(&self, slot: Slot) -> bool {
        self.rows.get(slot).is_some()
    }

    /// Whether the shell was told what this slot means.
    fn is_defined(&self, slot: Slot) -> bool {
        self.hot[slot.index()].role != Role::None || self.is_probed_for_others(slot)
    }

    /// How a definition is kept in its row. On a node among others as bytes, because most of them
    /// it does not check itself: those of the store. Where the store holds another under the name,
    /// because a write came a moment ago, the row has what is checked to itself.
    fn kept(&mut self, winner: &Winner) -> What {
        let Some(joined) = &mut self.joined else {
            return What::Whole(Arc::clone(&winner.definition));
        };
        let key = definition_key(winner.source, &winner.definition.name);
        let content = definition::encode(&winner.definition);
        let store = &mut joined.cluster.store;
        let is_held = store.get(&key) == Some(&content);
        let shared = is_held.then(|| store.share(&key)).flatten();
        // The store keeps no key before it, because the definition repeats it.
        let shared = shared.filter(|(_, from)| *from == 0);
        What::Packed(shared.map_or_else(|| content.into(), |(bytes, _)| bytes))
    }

    /// The same content was written anew, as when a node's writes are taken over: the row lets go
    /// of the former bytes.
    fn share_again(&mut self, slot: Slot, winner: &Winner) {
        let kept = self.kept(winner);
        let row = self.row(slot);
        if self.joined.is_some() && !row.keeps(&kept) {
            let row = row.with_definition(kept, (winner.source, winner.shadowed));
            self.place(row);
        }
    }

    pub(super) fn place(&mut self, row: Row) {
        let slot = row.slot;
        self.rows.set(slot, Some(row.clone()));
        self.staging.change(slot, Some(row));
    }

    pub(super) fn pause_or_resume(&mut self, slot: Slot) {
        if self.is_booting {
            return;
        }
        let row = self.row(slot);
        match (row.is_paused(), row.state()) {
            (true, State::Up | State::Down | State::Unknown) => {
                self.change(slot, State::Paused, Reason::None, None)
            }
            (false, State::Paused) => self.change(slot, State::Unknown, Reason::None, None),
            (true, State::Paused) | (false, State::Up | State::Down | State::Unknown) => {}
        }
    }

    pub(super) fn leave_beat(&mut self, slot: Slot, definition: &Definition) {
        if !definition.paused {
            self.pace.remove(definition.interval);
            let (interval, order) = (definition.interval, self.beats_changed());
            let beat = (slot, interval, phase(&definition.name, interval));
            self.off_beat.push((beat, order));
        }
    }

    pub(super) fn join_beat(&mut self, slot: Slot, definition: &Definition) {
        if !definition.paused {
            self.pace.add(definition.interval);
            let (interval, order) = (definition.interval, self.beats_changed());
            let beat = (slot, interval, phase(&definition.name, interval));
            self.on_beat.push((beat, order));
        }
    }

    /// How many have joined or left the beat with the input in hand.
    fn beats_changed(&self) -> usize {
        self.off_beat.len() + self.on_beat.len()
    }
}
