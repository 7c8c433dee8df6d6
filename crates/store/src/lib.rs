//! A replicated map of keys to values that any node may write and every node holds.
//!
//! Dots per origin over one shared map, live dots only: a delta-state CRDT (Almeida, Shoker,
//! Baquero 2018) with an optimised causal context, exchanged whole. Pure: no sockets, clocks or
//! disk. Start reading at [`Store::handle`]. Does not know what keys and values mean, nor how
//! peers are found.
//!
//! What holds, always:
//! - no dot names two writes: every boot writes under an origin of its own;
//! - a prefix is honest: who claims all of an origin up to n holds each of these writes or one
//!   that superseded it;
//! - what is claimed is on disk; own writes are sent only from there;
//! - what was superseded or deleted and forgotten does not come back: whoever missed it is reset;
//! - when nothing is written and peers can talk, all become equal and contexts empty.

mod claims;
mod config;
mod exchange;
mod input;
mod merge;
mod message;
mod news;
mod record;
mod reset;
mod room;
mod seen;
mod stability;
mod staged;
mod table;
#[cfg(test)]
mod tests;

pub use config::{Config, ConfigError, Mutation};
pub use input::{Input, Mark, Output, Record};
pub use message::{CopyOf, DecodeError, Marker, Message, Sent, Vector, WIRE_VERSION};
pub use seen::Seen;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::{NodeId, Origin, Rng, Time, Version, Way};

use claims::{Claims, Row};
use exchange::{Forgotten, Peer};
use merge::{Batch, Context};
use news::News;
use stability::Barrier;
use staged::Waits;
use table::{At, Table};

/// The longest key, in bytes.
pub const KEY_MAX: usize = 1_024;
/// The longest value, in bytes.
pub const VALUE_MAX: usize = 64 << 10;

/// What is held under a key, one of several when owners wrote without knowing of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held<'a> {
    /// Which write it is.
    pub version: Version,
    /// `None` for a delete.
    pub value: Option<&'a [u8]>,
    /// How many dots of others its context still names.
    pub context: usize,
    /// The write that this one only copies, and how often it was moved.
    pub copy_of: Option<(Version, u64)>,
}

/// What was counted, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Messages of a newer wire version.
    pub too_new: u64,
    /// Writes that were refused: key or value too long.
    pub refused: u64,
    /// Entries that came and were known already.
    pub known: u64,
    /// Entries that came and were new.
    pub new: u64,
    /// Times when news was dropped because an exchange carries it better.
    pub backlogs: u64,
    /// News that was left alone because this node had missed what was forgotten.
    pub late: u64,
    /// Exchanges that ended whole.
    pub exchanges: u64,
    /// Exchanges in which a peer was reset.
    pub resets: u64,
    /// Messages that named more origins than there is room for.
    pub crowded: u64,
}

/// An origin's place in the arrays.
type Slot = u16;

/// A hash of claims with the number of origins, and the claims.
type Agreed = ((u64, usize), Claims);

/// What is known of one origin.
#[derive(Clone, Debug, Default)]
struct Known {
    origin: Origin,
    seen: Seen,
    /// The same, as far as it is on disk.
    durable: Seen,
    /// The prefix as it was last given to the disk.
    written: u64,
    /// Seen beyond the prefix and not held any more: no entry on the disk tells of it.
    gone: Seen,
    /// The same as it was last given to the disk.
    gone_written: bool,
    /// The highest number on which something was forgotten.
    floor: u64,
    /// All frontier members had seen everything up to here when they were last looked through.
    stable: u64,
    /// A member of the frontier that had seen the least then.
    laggard: NodeId,
    /// Its part of the hash of all that is claimed, and whether that is to be made anew.
    hash: u64,
    is_unhashed: bool,
    /// All that was seen of it when it was closed, and is seen here too. A write beyond, held by
    /// one who was away, opens it again.
    retired: Option<Seen>,
    /// The same, as far as it is on disk.
    closed: Option<Seen>,
    /// It is closed once no entry carries it.
    retiring: bool,
    /// Its entries are moved too, because its node is gone for good; an own origin of an earlier
    /// life keeps its entries until they are written anew, and is closed when it has none left.
    moves: bool,
    /// It was this node's in an earlier life.
    was_mine: bool,
}

impl Known {
    /// Whether nobody writes under it any more, no entry carries it, and all knew all of it.
    fn is_closed(&self) -> bool {
        let all = self.retired.as_ref();
        all.is_some_and(|all| all.covers(&self.seen))
    }

    /// Up to where nothing was missed.
    fn reach(&self) -> u64 {
        let closed = self.retired.as_ref().map_or(0, Seen::last);
        self.seen.prefix().max(closed)
    }
}

/// One node's copy.
#[derive(Clone, Debug)]
pub struct Store {
    config: Config,
    rng: Rng,
    now: Time,
    table: Table,
    contexts: BTreeMap<At, Context>,
    /// Entries with a context and deletes, until everybody has seen them: since when.
    waiting: BTreeMap<(Slot, u64), (At, Time)>,
    /// What is about to lose its traces.
    barrier: Option<Barrier>,
    known: Vec<Known>,
    slots: BTreeMap<Origin, Slot>,
    /// The origin of this life; none before its first write.
    mine: Option<Slot>,
    last_seq: u64,
    staged: Waits,
    batch: Batch,
    mark: u64,
    at_disk: VecDeque<(Mark, Batch)>,
    /// Ends of exchanges that wait for the disk, at most one for each peer.
    held_out: VecDeque<(Mark, NodeId, Way, Vec<u8>)>,
    unconfirmed: BTreeSet<u64>,
    peers: BTreeMap<NodeId, Peer>,
    /// What this node claimed when a peer last claimed the same; its hash, and of how many origins.
    agreed: Option<Agreed>,
    /// What claims are kept in relation to.
    row: Row,
    /// The hash of all that is claimed, but for the origins whose part is to be made anew.
    hashed: u64,
    unhashed: Vec<Slot>,
    forgotten: Option<Arc<Forgotten>>,
    live: Vec<NodeId>,
    /// The same, to be found.
    alive: BTreeSet<NodeId>,
    frontier: BTreeSet<NodeId>,
    /// A member of the frontier that may have claimed nothing yet.
    mute: Option<NodeId>,
    /// Whether the frontier was looked through in this sweep.
    is_settled: bool,
    /// Who is compared with next, the last first.
    turns: Vec<NodeId>,
    news: News,
    next_pull: Time,
    next_sweep: Time,
    /// How often what is claimed has grown.
    growths: u64,
    outputs: VecDeque<Output>,
    counters: Counters,
}

impl Store {
    /// A copy as the disk held it; `records` is empty on a new disk.
    ///
    /// # Errors
    /// When a setting is out of its bounds, or a record can't be read.
    pub fn new(config: Config, records: Vec<Record>) -> Result<Self, ConfigError> {
        let config = config.checked()?;
        let mut store = Self {
            rng: Rng::new(config.seed),
            config,
            now: Time::ZERO,
            table: Table::new(),
            contexts: BTreeMap::new(),
            waiting: BTreeMap::new(),
            barrier: None,
            known: Vec::new(),
            slots: BTreeMap::new(),
            mine: None,
            last_seq: 0,
            staged: Waits::default(),
            batch: Batch::default(),
            mark: 0,
            at_disk: VecDeque::new(),
            held_out: VecDeque::new(),
            unconfirmed: BTreeSet::new(),
            peers: BTreeMap::new(),
            agreed: None,
            row: Row::default(),
            hashed: 0,
            unhashed: Vec::new(),
            forgotten: None,
            live: Vec::new(),
            alive: BTreeSet::new(),
            frontier: BTreeSet::new(),
            mute: None,
            is_settled: false,
            turns: Vec::new(),
            news: News::default(),
            next_pull: Time::ZERO,
            next_sweep: Time::ZERO,
            growths: 0,
            outputs: VecDeque::new(),
            counters: Counters::default(),
        };
        store.restore(records)?;
        Ok(store)
    }

    /// Takes in what happened; never fails, never waits.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Tick => {}
            Input::Received(from, _, bytes) => self.receive(from, &bytes),
            Input::Put(key, value) => self.write(key, Some(value)),
            Input::Delete(key) => self.write(key, None),
            Input::Peers { live, frontier } => self.meet(live, frontier),
            Input::Persisted(mark) => self.persisted(mark),
            Input::Retire(origin) => self.retire(origin),
        }
        self.turn();
        self.hand_over();
    }

    /// What is to be done next; drain until `None` after every [`Self::handle`].
    pub fn poll(&mut self) -> Option<Output> {
        let first = self.outputs.pop_front();
        if first.is_none() {
            // A bulk load is over: its room is given back.
            self.outputs.shrink_to(64);
        }
        first
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let mut due = self.next_sweep;
        if !self.live.is_empty() {
            due = due.min(self.next_pull);
            if let Some(round) = self.news.due() {
                due = due.min(round);
            }
        }
        Some(due)
    }

    /// Everything that is due by now.
    fn turn(&mut self) {
        if self.now >= self.next_sweep {
            self.next_sweep = self.now + stability::SWEEP_EVERY;
            self.sweep();
        }
        if self.live.is_empty() {
            return;
        }
        if self.now >= self.next_pull {
            self.next_pull = self.now + self.config.pull_every;
            self.pull_one();
        }
        self.spread();
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// What a reader is shown under a key: what lives goes before what was deleted, then the
    /// greater version. `None` when there is nothing, or it was deleted.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.table.value(self.shown(key)?)
    }

    /// The same to be kept, and where in the bytes it begins: as long as both hold it, it lies in
    /// memory once. What a reader holds stays as it is, whatever is written.
    pub fn share(&mut self, key: &[u8]) -> Option<(Arc<[u8]>, usize)> {
        let shown = self.shown(key)?;
        self.table.value(shown)?;
        Some(self.table.share(shown))
    }

    /// The same of the write with this version.
    pub fn share_write(&mut self, key: &[u8], version: Version) -> Option<(Arc<[u8]>, usize)> {
        let is_it = |at: &At| self.version_of(*at) == version;
        let at = self.table.under(key).find(is_it)?;
        Some(self.table.share(at))
    }

    /// All that is held under a key, by version; more than one where writers did not know of each
    /// other.
    #[must_use]
    pub fn entries(&self, key: &[u8]) -> Vec<Held<'_>> {
        let mut held: Vec<Held<'_>> = self.table.under(key).map(|at| self.held(at)).collect();
        held.sort_by_key(|held| held.version);
        held
    }

    /// Every entry with its key, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, [u8]>, Held<'_>)> {
        let all = self.table.iter();
        all.map(|at| (self.table.key(at).whole(), self.held(at)))
    }

    /// How many entries are held, deletes included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// This store as it will be once its own writes are on disk: what a writer reads of its own.
    #[must_use]
    pub fn ahead(&self) -> Self {
        let mut ahead = self.clone();
        while let Some(staged) = ahead.staged.pop_if(|_| true) {
            ahead.take_part(staged);
        }
        ahead.outputs.clear();
        ahead
    }

    /// Whether there is nobody to talk to: writes are then confirmed by the own disk alone.
    #[must_use]
    pub const fn is_alone(&self) -> bool {
        self.live.is_empty()
    }

    /// Whether this node has caught up with one of the living since its start.
    #[must_use]
    pub fn has_met(&self) -> bool {
        let is_met = |id| self.peers.get(id).is_some_and(|peer| peer.is_met);
        self.live.iter().any(is_met)
    }

    /// Whether own writes wait for the disk.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.staged.is_empty()
    }

    /// What this node has seen.
    #[must_use]
    pub fn vector(&self) -> Vector {
        self.vector_of(|known| &known.seen, |known| known.retired.as_ref())
    }

    /// What this node claims to have seen: as much of [`Self::vector`] as is on disk.
    #[must_use]
    pub fn claimed(&self) -> Vector {
        self.vector_of(|known| self.claim(known), |known| known.closed.as_ref())
    }

    /// How often [`Self::claimed`] has grown since the start: as long as this stays the same, so
    /// does that.
    #[must_use]
    pub const fn growths(&self) -> u64 {
        self.growths
    }

    /// The highest number of an origin on which something was forgotten here.
    #[must_use]
    pub fn floor(&self, origin: Origin) -> u64 {
        self.slots
            .get(&origin)
            .map_or(0, |&slot| self.known[usize::from(slot)].floor)
    }

    /// The last write of this life; `None` before the first. Not yet on disk, maybe.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        let origin = self.known[usize::from(self.mine?)].origin;
        let seq = self.last_seq;
        (seq > 0).then_some(Version { origin, seq })
    }

    /// Under what this life writes; `None` before its first write.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        Some(self.known[usize::from(self.mine?)].origin)
    }

    /// The origins of this data directory that are not closed, this life's among them, each with
    /// how many entries are held of it.
    #[must_use]
    pub fn own_origins(&self) -> Vec<(Origin, usize)> {
        let slots = self.slots.iter();
        let mine = slots.filter(|&(_, &slot)| {
            let known = &self.known[usize::from(slot)];
            Some(slot) == self.mine || known.was_mine && !known.is_closed()
        });
        mine.map(|(&origin, &slot)| (origin, self.table.count_of(slot)))
            .collect()
    }

    /// Whether an origin is closed here: nobody writes under it and no entry carries it.
    #[must_use]
    pub fn is_closed(&self, origin: Origin) -> bool {
        let slot = self.slots.get(&origin);
        slot.is_some_and(|&slot| self.known[usize::from(slot)].is_closed())
    }

    /// Whether a write, and with it everything that superseded it, is seen here.
    #[must_use]
    pub fn is_satisfied(&self, version: Version) -> bool {
        self.slots.get(&version.origin).is_some_and(|&slot| {
            let known = &self.known[usize::from(slot)];
            known.is_closed() || known.seen.has(version.seq)
        })
    }

    /// Whether a write and all that its origin wrote before it are seen here.
    #[must_use]
    pub fn has_all_up_to(&self, version: Version) -> bool {
        self.slots.get(&version.origin).is_some_and(|&slot| {
            let known = &self.known[usize::from(slot)];
            known.is_closed() || known.seen.prefix() >= version.seq
        })
    }

    /// The same of what is on disk here: see [`Self::claimed`].
    #[must_use]
    pub fn claims_all_up_to(&self, version: Version) -> bool {
        self.slots.get(&version.origin).is_some_and(|&slot| {
            let known = &self.known[usize::from(slot)];
            let claim = self.claim(known);
            let closed = known.closed.as_ref();
            closed.is_some_and(|all| all.covers(claim)) || claim.prefix() >= version.seq
        })
    }

    fn shown(&self, key: &[u8]) -> Option<At> {
        let under = self.table.under(key);
        under.max_by_key(|&at| (self.table.value(at).is_some(), self.version_of(at)))
    }

    fn held(&self, at: At) -> Held<'_> {
        let context = self.contexts.get(&at);
        let copy_of = context.and_then(|context| context.copy_of);
        Held {
            version: self.version_of(at),
            value: self.table.value(at),
            context: context.map_or(0, |context| context.over.len()),
            copy_of: copy_of.map(|copy| {
                let (origin, seq) = self.named(copy.original);
                (Version { origin, seq }, copy.times)
            }),
        }
    }

    fn version_of(&self, at: At) -> Version {
        let (origin, seq) = self.named(self.table.dot(at));
        Version { origin, seq }
    }

    /// A dot as every node knows it.
    fn named(&self, (slot, seq): (Slot, u64)) -> (Origin, u64) {
        (self.known[usize::from(slot)].origin, seq)
    }

    fn vector_of(
        &self,
        of: impl for<'a> Fn(&'a Known) -> &'a Seen,
        closed: impl for<'a> Fn(&'a Known) -> Option<&'a Seen>,
    ) -> Vector {
        let mut vector = Vector::default();
        for (&origin, &slot) in &self.slots {
            let known = &self.known[usize::from(slot)];
            let seen = of(known);
            match closed(known).filter(|all| all.covers(seen)) {
                Some(all) => vector.retired.push((origin, all.clone())),
                None if seen.last() > 0 => vector.seen.push((origin, seen.clone())),
                None => {}
            }
        }
        vector
    }

    /// What may be claimed of an origin.
    fn claim<'a>(&self, known: &'a Known) -> &'a Seen {
        if self.config.mutation == Some(Mutation::ClaimsBeforeDisk) {
            &known.seen
        } else {
            &known.durable
        }
    }

    /// The slot of an origin, made when it is new.
    fn slot(&mut self, origin: Origin) -> Slot {
        if let Some(&slot) = self.slots.get(&origin) {
            return slot;
        }
        let slot = Slot::try_from(self.known.len()).expect("500 places are kept for own lives");
        self.known.push(Known {
            origin,
            ..Known::default()
        });
        self.slots.insert(origin, slot);
        self.claim_changed(slot);
        slot
    }

    fn is_live(&self, id: NodeId) -> bool {
        self.alive.contains(&id)
    }

    /// More was seen of an origin: one that was closed may be open again.
    fn saw(&mut self, slot: Slot) {
        if self.known[usize::from(slot)].retired.is_some() {
            self.forgotten = None;
        }
    }
}
