//! Writes and merges: what supersedes what, and what goes to the disk.
//!
//! A dot is accounted once (`Seen`), and that is the filter for everything that was merged before.
//! An entry supersedes older ones of its own origin under its key, and the dots of others that its
//! context names; a copy (a write that moved to another origin) is superseded by whatever
//! supersedes the original. Own writes wait for the disk before they take part at all.

use std::collections::{BTreeMap, BTreeSet};

use base::{NodeId, Origin, Version, hash64};

use crate::message::{CopyOf, Sent};
use crate::table::At;
use crate::{KEY_MAX, Mark, Mutation, Output, Record, Seen, Slot, Store, VALUE_MAX, record};

/// What an entry overrides, in slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context {
    /// At most one per origin: with all smaller numbers under the same key.
    pub(crate) over: Vec<(Slot, u64)>,
    /// The dot of which this is only a copy, for good.
    pub(crate) copy_of: Option<Copied>,
}

/// What a copy copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) original: (Slot, u64),
    pub(crate) times: u64,
}

/// An own write on its way to the disk.
#[derive(Clone, Debug)]
pub(crate) struct Staged {
    pub(crate) mark: Mark,
    pub(crate) slot: Slot,
    pub(crate) seq: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) context: Context,
    /// A copy of what was superseded meanwhile: only its number is used up.
    pub(crate) is_void: bool,
}

/// What becomes true when a transaction is on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// First and last number of what was seen.
    pub(crate) learned: Vec<(Slot, u64, u64)>,
    pub(crate) changed: BTreeSet<Vec<u8>>,
    /// Origins of which something has to be written down.
    pub(crate) touched: BTreeSet<Slot>,
    /// To be pushed on: who it came from.
    pub(crate) fresh: Vec<(Slot, u64, Option<NodeId>)>,
    /// Origins that are closed.
    pub(crate) closed: Vec<(Slot, Seen)>,
    /// Who wants to know that it is on disk.
    pub(crate) acks: BTreeSet<(NodeId, Slot)>,
    /// Whether all of this came in an exchange.
    pub(crate) exchanged: bool,
}

impl Store {
    /// Writes under this life's origin; the last one under a key counts.
    pub(crate) fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let too_long = value.as_ref().is_some_and(|value| value.len() > VALUE_MAX);
        if key.is_empty() || key.len() > KEY_MAX || too_long {
            self.counters.refused += 1;
            return;
        }
        if value.is_none() && self.config.mutation == Some(Mutation::DeletesWithoutDots) {
            for at in self.table.under(&key).collect::<Vec<_>>() {
                self.drop_entry(at);
            }
            return;
        }
        let context = self.context_over(&key);
        self.stage(key, value, context);
    }

    /// Writes what an entry holds once more under the own origin, as a copy of it.
    pub(crate) fn copy(&mut self, at: At) {
        let context = self.context_of_copy(at);
        let key = self.table.key(at).whole().into_owned();
        let value = self.table.value(at).map(<[u8]>::to_vec);
        self.stage(key, value, context);
    }

    fn context_of_copy(&self, at: At) -> Context {
        let (slot, seq) = self.table.dot(at);
        let old = self.contexts.get(&at).cloned().unwrap_or_default();
        let mut over = old.over;
        raise(&mut over, slot, seq);
        let copy = old.copy_of.unwrap_or(Copied {
            original: (slot, seq),
            times: 0,
        });
        Context {
            over,
            copy_of: Some(Copied {
                times: copy.times + 1,
                ..copy
            }),
        }
    }

    fn stage(&mut self, key: Vec<u8>, value: Option<Vec<u8>>, mut context: Context) {
        let mine = self.own_slot();
        context.over.retain(|(slot, _)| *slot != mine);
        self.last_seq += 1;
        let seq = self.last_seq;
        let sent = self.sent(seq, &key, value.as_deref(), &context);
        let origin = self.known[usize::from(mine)].origin;
        let (place, content) = record::entry(origin, &sent);
        self.batch.writes.insert(place, Some(content));
        let (place, content) = record::prefix(origin, seq);
        self.batch.writes.insert(place, Some(content));
        self.staged.push(Staged {
            mark: Mark(self.mark + 1),
            slot: mine,
            seq,
            key,
            value,
            context,
            is_void: false,
        });
    }

    /// Everything under `key` that a write here overrides, the own writes that wait included.
    fn context_over(&self, key: &[u8]) -> Context {
        let mut over = Vec::new();
        for at in self.table.under(key) {
            let (slot, seq) = self.table.dot(at);
            raise(&mut over, slot, seq);
            if let Some(context) = self.contexts.get(&at) {
                join(&mut over, context);
                // Other copies of the same write may be under way.
                if let Some(copy) = context.copy_of {
                    raise(&mut over, copy.original.0, copy.original.1);
                }
            }
        }
        for staged in self.staged.under(key) {
            join(&mut over, &staged.context);
        }
        Context {
            over,
            copy_of: None,
        }
    }

    /// The origin of this life, drawn when the first write needs it.
    fn own_slot(&mut self) -> Slot {
        if let Some(mine) = self.mine {
            return mine;
        }
        // A counter that was read from a disk may lie: the disk may have gone back in time, or be
        // a copy. Nobody can vouch for it, for whoever knows more may be away. A fresh origin is
        // right in every case.
        let before = self.known.iter().rev().find(|known| known.was_mine);
        let keeps = self.config.mutation == Some(Mutation::CounterRolledBack);
        let origin = match before {
            Some(known) if keeps => {
                self.last_seq = known.seen.prefix();
                known.origin
            }
            Some(known) => {
                let words = [self.config.seed, known.origin.0, self.config.me.0];
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                let fresh = Origin(hash64(&bytes));
                self.outputs.push_back(Output::Renamed(
                    fresh,
                    "a new life: nobody can vouch for the counter on the disk",
                ));
                fresh
            }
            None => self.config.origin,
        };
        let slot = self.slot(origin);
        self.mine = Some(slot);
        let (place, content) = record::own(origin);
        self.batch.writes.insert(place, Some(content));
        slot
    }

    /// Merges an entry that came from elsewhere; whether it was new.
    pub(crate) fn merge(&mut self, origin: Origin, sent: &Sent, from: NodeId) -> bool {
        let slot = self.slot(origin);
        let known = &mut self.known[usize::from(slot)];
        let is_early = self.config.mutation == Some(Mutation::RetireEarly);
        let is_shut = is_early && known.retired.is_some();
        if sent.seq == 0 || known.seen.has(sent.seq) || is_shut {
            self.counters.known += 1;
            return false;
        }
        known.seen.add(sent.seq, sent.seq);
        self.saw(slot);
        self.counters.new += 1;
        self.batch.learned.push((slot, sent.seq, sent.seq));
        let context = self.context_of(sent);
        let value = sent.value.as_deref();
        if !self.is_outdated(&sent.key, &context)
            && self.place(slot, sent.seq, &sent.key, value, context)
        {
            self.batch.fresh.push((slot, sent.seq, Some(from)));
            let at = self.waiting_or_newest(slot, sent.seq, &sent.key);
            self.write_entry(at);
        } else {
            self.note_gone(slot, sent.seq, sent.seq);
        }
        self.batch.changed.insert(sent.key.clone());
        true
    }

    /// Whether this is a copy of a write that was seen here, and neither it nor another copy of it
    /// is left: it was superseded, though what did it may have forgotten that by now.
    fn is_outdated(&self, key: &[u8], context: &Context) -> bool {
        let Some(copy) = context.copy_of else {
            return false;
        };
        let (slot, seq) = copy.original;
        let known = &self.known[usize::from(slot)];
        let is_same = |at: At| {
            let theirs = self.contexts.get(&at).and_then(|context| context.copy_of);
            self.table.is(at, slot, seq) || theirs.is_some_and(|t| t.original == copy.original)
        };
        known.seen.has(seq) && !self.table.under(key).any(is_same)
    }

    fn waiting_or_newest(&self, slot: Slot, seq: u64, key: &[u8]) -> At {
        let mut under = self.table.under(key);
        under
            .find(|&at| self.table.is(at, slot, seq))
            .expect("it was just put in")
    }

    /// Puts an entry beside what is under its key, without what it supersedes; `false` when it is
    /// superseded itself.
    pub(crate) fn place(
        &mut self,
        slot: Slot,
        seq: u64,
        key: &[u8],
        value: Option<&[u8]>,
        context: Context,
    ) -> bool {
        let ignores = self.config.mutation == Some(Mutation::NoCollapse);
        let mut is_superseded = false;
        for at in self.table.under(key).collect::<Vec<_>>() {
            let theirs = self.contexts.get(&at).cloned().unwrap_or_default();
            let dot = self.table.dot(at);
            if self.covers((slot, seq), &context, dot, &theirs, ignores) {
                self.drop_entry(at);
            } else {
                is_superseded |= self.covers(dot, &theirs, (slot, seq), &context, ignores);
            }
        }
        if is_superseded {
            return false;
        }
        let at = self.table.insert(slot, seq, key, value);
        let overrides = !context.over.is_empty();
        let has_context = overrides || context.copy_of.is_some();
        if has_context && self.config.mutation != Some(Mutation::ContextClearedEarly) {
            self.contexts.insert(at, context);
        }
        if value.is_none() || overrides {
            self.waiting.insert((slot, seq), (at, self.now));
        }
        true
    }

    /// What was seen beyond the prefix and is not held must be written down.
    pub(crate) fn note_gone(&mut self, slot: Slot, first: u64, last: u64) {
        let known = &mut self.known[usize::from(slot)];
        let first = first.max(known.seen.prefix() + 1);
        if first <= last {
            known.gone.add(first, last);
            known.gone_written = false;
            self.batch.touched.insert(slot);
        }
    }

    /// Takes an entry away, here and from the disk.
    pub(crate) fn drop_entry(&mut self, at: At) {
        let (slot, seq) = self.table.dot(at);
        self.note_gone(slot, seq, seq);
        let place = record::entry_place(self.known[usize::from(slot)].origin, seq);
        self.batch.writes.insert(place, None);
        let key = self.table.key(at).whole();
        self.batch.changed.insert(key.into_owned());
        self.contexts.remove(&at);
        self.waiting.remove(&(slot, seq));
        self.table.remove(at);
    }

    /// Gives an entry to the disk as it is now.
    pub(crate) fn write_entry(&mut self, at: At) {
        let (slot, _) = self.table.dot(at);
        let origin = self.known[usize::from(slot)].origin;
        let (place, content) = record::entry(origin, &self.entry(at));
        self.batch.writes.insert(place, Some(content));
    }

    /// An entry as it is sent.
    pub(crate) fn entry(&self, at: At) -> Sent {
        let (_, seq) = self.table.dot(at);
        let nothing = Context::default();
        let context = self.contexts.get(&at).unwrap_or(&nothing);
        let key = self.table.key(at).whole();
        self.sent(seq, &key, self.table.value(at), context)
    }

    fn sent(&self, seq: u64, key: &[u8], value: Option<&[u8]>, context: &Context) -> Sent {
        Sent {
            seq,
            key: key.to_vec(),
            value: value.map(<[u8]>::to_vec),
            over: context.over.iter().map(|&dot| self.named(dot)).collect(),
            copy_of: context.copy_of.map(|copy| CopyOf {
                original: self.named(copy.original),
                times: copy.times,
            }),
        }
    }

    pub(crate) fn context_of(&mut self, sent: &Sent) -> Context {
        let mut over = Vec::new();
        for &(origin, seq) in &sent.over {
            let slot = self.slot(origin);
            raise(&mut over, slot, seq);
        }
        let copy_of = sent.copy_of.map(|copy| Copied {
            original: (self.slot(copy.original.0), copy.original.1),
            times: copy.times,
        });
        Context { over, copy_of }
    }

    /// Ends the step: what has changed goes to the disk as one transaction.
    pub(crate) fn hand_over(&mut self) {
        self.take_back_copies();
        let learned = std::mem::take(&mut self.batch.learned);
        let mut touched = std::mem::take(&mut self.batch.touched);
        touched.extend(learned.iter().map(|(slot, ..)| *slot));
        for slot in touched {
            let known = &mut self.known[usize::from(slot)];
            if known.is_closed() {
                continue;
            }
            if known.seen.prefix() > known.written {
                known.written = known.seen.prefix();
                let (place, content) = record::prefix(known.origin, known.written);
                self.batch.writes.insert(place, Some(content));
                // What the prefix has reached needs no word of its own.
                if known.gone.last() > 0 {
                    known.gone.add(1, known.written);
                    known.gone_written = false;
                }
            }
            if !known.gone_written && known.gone.last() > 0 {
                known.gone_written = true;
                let is_needed = known.gone.last() > known.seen.prefix();
                let (place, content) = record::gone(known.origin, &known.gone);
                self.batch
                    .writes
                    .insert(place, is_needed.then_some(content));
                if !is_needed {
                    known.gone = Seen::default();
                }
            }
        }
        self.batch.learned = learned;
        let is_idle = self.batch.writes.is_empty() && self.batch.learned.is_empty();
        if is_idle && self.batch.acks.is_empty() && self.batch.changed.is_empty() {
            return;
        }
        self.mark += 1;
        let mark = Mark(self.mark);
        let mut batch = std::mem::take(&mut self.batch);
        let records = std::mem::take(&mut batch.writes)
            .into_iter()
            .map(|(key, content)| Record { key, content })
            .collect();
        self.at_disk.push_back((mark, batch));
        self.outputs.push_back(Output::Persist(mark, records));
    }

    /// A copy that waits for the disk goes when its original does: the disk must not hold it
    /// beside what superseded that.
    fn take_back_copies(&mut self) {
        if !self.staged.has_copies() {
            return;
        }
        let mut staged = std::mem::take(&mut self.staged);
        for copy in staged.iter_mut().filter(|s| !s.is_void) {
            if self.is_outdated(&copy.key, &copy.context) {
                copy.is_void = true;
                let origin = self.known[usize::from(copy.slot)].origin;
                let place = record::entry_place(origin, copy.seq);
                self.batch.writes.insert(place, None);
            }
        }
        self.staged = staged;
    }

    /// Everything up to `mark` is down: it may be claimed, shown and sent.
    pub(crate) fn persisted(&mut self, mark: Mark) {
        let mut acks = BTreeSet::new();
        while let Some((_, mut batch)) = self.at_disk.pop_front_if(|(first, _)| *first <= mark) {
            self.growths += u64::from(!batch.learned.is_empty() || !batch.closed.is_empty());
            for &(slot, first, last) in &batch.learned {
                self.known[usize::from(slot)].durable.add(first, last);
                self.claim_changed(slot);
            }
            for (slot, all) in batch.closed {
                self.known[usize::from(slot)].closed = Some(all);
                self.claim_changed(slot);
            }
            for key in batch.changed {
                self.outputs.push_back(Output::Changed(key));
            }
            acks.append(&mut batch.acks);
            self.announce(batch.fresh, batch.exchanged);
        }
        if self.at_disk.is_empty() {
            // A long file was written: the room that it took is given back.
            self.at_disk.shrink_to(16);
        }
        for (node, slot) in acks {
            self.acknowledge(node, slot);
        }
        while let Some((_, to, way, bytes)) = self.held_out.pop_front_if(|held| held.0 <= mark) {
            self.outputs.push_back(Output::Send(to, way, bytes));
        }
        while let Some(staged) = self.staged.pop_if(|staged| staged.mark <= mark) {
            self.take_part(staged);
        }
    }

    /// An own write is on disk: from here on it is like any other.
    pub(crate) fn take_part(&mut self, staged: Staged) {
        let Staged {
            slot,
            seq,
            key,
            value,
            context,
            is_void,
            ..
        } = staged;
        self.growths += 1;
        let known = &mut self.known[usize::from(slot)];
        known.seen.add(seq, seq);
        known.durable.add(seq, seq);
        known.written = known.written.max(seq);
        self.saw(slot);
        self.claim_changed(slot);
        if is_void {
            return;
        }
        if self.place(slot, seq, &key, value.as_deref(), context) {
            self.announce(vec![(slot, seq, None)], false);
        } else {
            let place = record::entry_place(self.known[usize::from(slot)].origin, seq);
            self.batch.writes.insert(place, None);
        }
        self.outputs.push_back(Output::Changed(key));
        if Some(slot) != self.mine {
            return;
        }
        if self.live.is_empty() {
            self.confirm(seq);
        } else {
            self.unconfirmed.insert(seq);
        }
    }

    pub(crate) fn confirm(&mut self, seq: u64) {
        let mine = self.mine.expect("only own writes are confirmed");
        let origin = self.known[usize::from(mine)].origin;
        let version = Version { origin, seq };
        self.outputs.push_back(Output::Confirmed(version));
    }

    /// Whether the write `dot` with `context` supersedes `other` with `theirs` under the same key.
    fn covers(
        &self,
        dot: (Slot, u64),
        context: &Context,
        other: (Slot, u64),
        theirs: &Context,
        ignores_contexts: bool,
    ) -> bool {
        let is_over = |(slot, seq): (Slot, u64)| {
            (dot.0 == slot && dot.1 > seq)
                || (!ignores_contexts
                    && context
                        .over
                        .iter()
                        .any(|&(o, most)| o == slot && most >= seq))
        };
        let Some(copy) = theirs.copy_of else {
            return is_over(other);
        };
        // Of two copies of one write the one that moved more often stays, on every node; a copy
        // goes with its original.
        match context
            .copy_of
            .filter(|mine| mine.original == copy.original)
        {
            Some(mine) => (mine.times, self.named(dot)) > (copy.times, self.named(other)),
            None => is_over(other) || is_over(copy.original),
        }
    }
}

/// Notes that everything of `slot` up to `seq` is overridden.
pub(crate) fn raise(over: &mut Vec<(Slot, u64)>, slot: Slot, seq: u64) {
    match over.iter_mut().find(|(other, _)| *other == slot) {
        Some((_, most)) => *most = seq.max(*most),
        None => over.push((slot, seq)),
    }
}

fn join(over: &mut Vec<(Slot, u64)>, context: &Context) {
    for &(slot, seq) in &context.over {
        raise(over, slot, seq);
    }
}
