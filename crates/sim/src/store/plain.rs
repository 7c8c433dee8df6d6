//! The plainest store that keeps the promises: whole states, one record on disk, nothing collected.
//!
//! The optimised observed-remove map of Bieniusa and others (2012), joined whole. It takes a fresh
//! origin at every boot, sends all it has on disk to one peer three times a second and never
//! forgets a delete. It shows that the promises can be kept, and with one of its faults that each
//! of them bites, whatever the store proper does. Not for use: its cost grows with all it holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::wire::{DecodeError, Reader, Writer};
use base::{Duration, NodeId, Origin, Rng, Time, Version, Way};
use store::{Config, ConfigError, Input, Mark, Output, Record};

use super::view::{Core, Held, View};

/// Nothing is wrong.
pub const SOUND: u8 = 0;
/// Every third entry is left out of what is sent, and what is claimed is the whole.
pub const TRUNCATES: u8 = 1;
/// What is sent is what memory holds, not what the disk holds.
pub const CLAIMS_EARLY: u8 = 2;
/// The origin is kept over boots, and the counter is what the disk says.
pub const KEEPS_ORIGIN: u8 = 3;
/// A delete takes the entries away and writes no dot.
pub const DELETES_WITHOUT_DOTS: u8 = 4;
/// What a peer has seen and doesn't hold is kept all the same.
pub const IGNORES_CONTEXT: u8 = 5;
/// A write is confirmed as soon as it is on the own disk.
pub const CONFIRMS_ALONE: u8 = 6;
/// A new value is written under the dot of the one before.
pub const REUSES_DOTS: u8 = 7;
/// What others send is dropped as soon as anything is held.
pub const STOPS_LISTENING: u8 = 8;
/// A write over siblings takes only the first of them away.
pub const COLLAPSES_ONE: u8 = 9;
/// Values that arrive lose their last byte.
pub const CUTS_VALUES: u8 = 10;

type Entries = BTreeMap<Vec<u8>, BTreeMap<Version, Option<Vec<u8>>>>;

#[derive(Clone, Debug, Default)]
struct State {
    seen: BTreeMap<Origin, u64>,
    held: Entries,
}

/// One node's copy, with the fault `F`.
#[derive(Debug)]
pub struct Plain<const F: u8> {
    config: Config,
    me: Origin,
    state: State,
    mark: u64,
    /// What the disk holds, and what is on its way there.
    on_disk: State,
    pending: VecDeque<(u64, State)>,
    confirmed: u64,
    live: Vec<NodeId>,
    due: Time,
    rng: Rng,
    out: VecDeque<Output>,
}

const EVERY: Duration = Duration::from_millis(333);

impl State {
    fn encode(&self, me: Origin, leave_out: bool) -> Vec<u8> {
        let mut w = Writer::new();
        w.number(me.0);
        w.number(self.seen.len() as u64);
        for (origin, seq) in &self.seen {
            w.number(origin.0);
            w.number(*seq);
        }
        for (key, dots) in &self.held {
            for (dot, value) in dots {
                if leave_out && dot.seq.is_multiple_of(3) {
                    continue;
                }
                w.bytes(key);
                w.number(dot.origin.0);
                w.number(dot.seq);
                w.number(u64::from(value.is_some()));
                w.bytes(value.as_deref().unwrap_or_default());
            }
        }
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<(Origin, Self), DecodeError> {
        let mut r = Reader::new(bytes);
        let me = Origin(r.number()?);
        let mut state = Self::default();
        for _ in 0..r.number()? {
            let origin = Origin(r.number()?);
            state.seen.insert(origin, r.number()?);
        }
        while !r.is_empty() {
            let key = r.bytes()?.to_vec();
            let dot = Version {
                origin: Origin(r.number()?),
                seq: r.number()?,
            };
            let is_put = r.number()? == 1;
            let value = r.bytes()?.to_vec();
            let dots = state.held.entry(key).or_default();
            dots.insert(dot, is_put.then_some(value));
        }
        Ok((me, state))
    }

    fn has_seen(&self, dot: Version) -> bool {
        self.seen.get(&dot.origin).is_some_and(|&n| n >= dot.seq)
    }

    /// An entry stays if both hold it, or if the side that doesn't has not seen it.
    fn join(&mut self, other: &Self, ignores_context: bool) {
        let keys: BTreeSet<Vec<u8>> = self.held.keys().chain(other.held.keys()).cloned().collect();
        let none = BTreeMap::new();
        for key in keys {
            let theirs = other.held.get(&key).unwrap_or(&none);
            let mine = self.held.remove(&key).unwrap_or_default();
            let mut dots = BTreeMap::new();
            for (&dot, value) in &mine {
                if ignores_context || theirs.contains_key(&dot) || !other.has_seen(dot) {
                    dots.insert(dot, value.clone());
                }
            }
            for (&dot, value) in theirs {
                if mine.contains_key(&dot) || !self.has_seen(dot) {
                    dots.insert(dot, value.clone());
                }
            }
            self.held.insert(key, dots);
        }
        for (&origin, &seq) in &other.seen {
            let mine = self.seen.entry(origin).or_default();
            *mine = (*mine).max(seq);
        }
    }
}

impl<const F: u8> Plain<F> {
    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let dots = self.state.held.entry(key.clone()).or_default();
        if F == DELETES_WITHOUT_DOTS && value.is_none() {
            dots.clear();
        } else {
            let seq = self.state.seen.entry(self.me).or_default();
            if F != REUSES_DOTS || *seq == 0 || !seq.is_multiple_of(5) {
                *seq += 1;
            }
            if F == COLLAPSES_ONE {
                dots.pop_first();
            } else {
                dots.clear();
            }
            let dot = Version {
                origin: self.me,
                seq: *seq,
            };
            dots.insert(dot, value);
        }
        self.save();
        self.out.push_back(Output::Changed(key));
    }

    fn save(&mut self) {
        self.mark += 1;
        let content = Some(self.state.encode(self.me, false));
        let key = b"all".to_vec();
        let records = vec![Record { key, content }];
        self.out
            .push_back(Output::Persist(Mark(self.mark), records));
        self.pending.push_back((self.mark, self.state.clone()));
    }

    fn heard(&mut self, bytes: &[u8]) {
        let Ok((_, mut other)) = State::decode(bytes) else {
            return;
        };
        if F == CUTS_VALUES {
            let values = other.held.values_mut().flat_map(BTreeMap::values_mut);
            for value in values.flatten() {
                value.pop();
            }
        }
        if F == STOPS_LISTENING && !self.state.held.is_empty() {
            return;
        }
        self.state.join(&other, F == IGNORES_CONTEXT);
        self.save();
        self.confirm(other.seen.get(&self.me).copied().unwrap_or(0));
    }

    /// Somebody has this many of the own writes on disk.
    fn confirm(&mut self, theirs: u64) {
        let own = self.on_disk.seen.get(&self.me).copied().unwrap_or(0);
        for seq in self.confirmed + 1..=theirs.min(own) {
            self.confirmed = seq;
            let origin = self.me;
            self.out
                .push_back(Output::Confirmed(Version { origin, seq }));
        }
    }

    fn persisted(&mut self, mark: Mark) {
        while let Some((_, state)) = self.pending.pop_front_if(|(at, _)| *at <= mark.0) {
            self.on_disk = state;
        }
        if F == CONFIRMS_ALONE {
            self.confirm(u64::MAX);
        }
    }

    fn tick(&mut self, now: Time) {
        self.due = now + EVERY;
        if self.live.is_empty() {
            return;
        }
        let at = self.rng.below(self.live.len() as u64);
        let to = self.live[usize::try_from(at).expect("below a length")];
        let state = if F == CLAIMS_EARLY {
            &self.state
        } else {
            &self.on_disk
        };
        let bytes = state.encode(self.me, F == TRUNCATES);
        self.out.push_back(Output::Send(to, Way::Stream, bytes));
    }
}

impl<const F: u8> Core for Plain<F> {
    const COLLECTS: bool = false;

    fn new(config: Config, records: Vec<Record>) -> Result<Self, ConfigError> {
        let content = records.into_iter().find_map(|record| record.content);
        let (before, state) = content
            .and_then(|bytes| State::decode(&bytes).ok())
            .unwrap_or((config.origin, State::default()));
        let me = if F == KEEPS_ORIGIN {
            before
        } else {
            config.origin
        };
        Ok(Self {
            me,
            on_disk: state.clone(),
            state,
            mark: 0,
            pending: VecDeque::new(),
            confirmed: 0,
            live: Vec::new(),
            due: Time::ZERO,
            rng: Rng::new(config.seed),
            out: VecDeque::new(),
            config,
        })
    }

    fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Tick => self.tick(now),
            Input::Received(_, _, bytes) => self.heard(&bytes),
            Input::Put(key, value) => self.write(key, Some(value)),
            Input::Delete(key) => self.write(key, None),
            Input::Peers { live, .. } => self.live = live,
            Input::Persisted(mark) => self.persisted(mark),
            Input::Retire(_) => {}
        }
    }

    fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.due)
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn view(&self) -> View {
        let seq = self.state.seen.get(&self.me).copied();
        let mut view = View {
            last: seq.map(|seq| Version {
                origin: self.me,
                seq,
            }),
            prefix: self.state.seen.clone(),
            ..View::default()
        };
        for (key, dots) in &self.state.held {
            view.held.extend(dots.iter().map(|(&dot, value)| Held {
                key: key.clone(),
                dot,
                value: value.clone(),
                context: 0,
                copy_of: None,
            }));
        }
        view
    }

    fn is_alone(&self) -> bool {
        false
    }

    fn claimed(&self) -> View {
        View {
            prefix: self.on_disk.seen.clone(),
            ..View::default()
        }
    }
}
