//! Who is in the cluster, and who has stopped answering.
//!
//! SWIM with suspicion (Das, Gupta, Motivala 2002) and Lifeguard (Dadgar, Phillips, Currey 2017);
//! what we add and why stands in `docs/membership.md`.
//! Pure: no sockets, clocks or threads. Start reading at [`Membership::handle`].
//! Does not know about checks or the store.

mod alarms;
mod awareness;
#[cfg(test)]
mod campaign;
mod config;
mod counters;
mod input;
mod join;
mod leave;
mod member;
mod merge;
pub mod message;
mod names;
mod probe;
#[cfg(test)]
mod promises;
mod push;
mod ring;
mod rtt;
mod rumours;
mod suspicion;
mod table;
#[cfg(test)]
mod testing;

pub use config::{Config, ConfigError, Mutation};
pub use counters::Counters;
pub use input::{Input, Output};
pub use member::{Incarnation, Member, Meta, Standing, State};
pub use message::{Packet, PacketError, decode};

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use base::{Duration, NodeId, Rng, Time, Way};

use crate::alarms::{Alarm, Alarms, OwnClock};
use crate::awareness::Awareness;
use crate::join::Seeds;
use crate::leave::Phase;
use crate::message::Message;
use crate::probe::{Favour, Probe};
use crate::push::Push;
use crate::ring::Ring;
use crate::table::Table;

/// One node's knowledge of all members.
#[derive(Debug)]
pub struct Membership {
    config: Config,
    rng: Rng,
    table: Table,
    clock: OwnClock,
    alarms: Alarms,
    phase: Phase,
    awareness: Awareness,
    /// Before this no pull makes it better.
    better_at: Time,
    /// Pulls answered in time since one was not.
    pulls_answered: u8,
    push: Push,
    turns: Ring,
    pulls: Ring,
    pull_at: Time,
    /// When the last member had its turn, and when the next one has.
    turned: Time,
    turn_at: Time,
    next_dead: usize,
    next_seq: u32,
    probes: BTreeMap<u32, Probe>,
    favours: BTreeMap<u32, Favour>,
    /// Members that did not help, and when they were asked themselves for that.
    hushed: BTreeMap<NodeId, Time>,
    seeds: Seeds,
    is_settled: bool,
    settle_by: Time,
    losses: VecDeque<Time>,
    is_losing: bool,
    outputs: VecDeque<Output>,
    counters: Counters,
}

impl Membership {
    /// A node that knows only itself. It counts time from its first [`Self::handle`].
    ///
    /// # Errors
    /// When a setting is out of its bounds.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let mut config = config.checked()?;
        config.me.state = State::Alive;
        let mutation = config.mutation;
        let mut rng = Rng::new(config.seed);
        let next_seq = u32::try_from(rng.below(1 << 32)).expect("32 bits");
        Ok(Self {
            rng,
            table: Table::new(config.me.clone()),
            clock: OwnClock::new(mutation == Mutation::BlindToStalls),
            alarms: Alarms::default(),
            phase: Phase::New,
            awareness: Awareness::new(mutation == Mutation::NoNacks),
            better_at: Time::ZERO,
            pulls_answered: 0,
            push: Push::default(),
            turns: Ring::default(),
            pulls: Ring::default(),
            pull_at: Time::ZERO,
            turned: Time::ZERO,
            turn_at: Time::ZERO,
            next_dead: 0,
            next_seq,
            probes: BTreeMap::new(),
            favours: BTreeMap::new(),
            hushed: BTreeMap::new(),
            seeds: Seeds::default(),
            is_settled: false,
            settle_by: Time::ZERO,
            losses: VecDeque::new(),
            is_losing: false,
            outputs: VecDeque::new(),
            counters: Counters::default(),
            config,
        })
    }

    /// Takes in what happened; never fails, never waits. What is due by `now` is done too.
    ///
    /// `now` must never fall. The first call may be at any time and starts the clock.
    pub fn handle(&mut self, now: Time, input: Input) {
        let (now, stalled) = self.clock.enter(now, self.alarms.first());
        if self.phase == Phase::New {
            self.start(now);
        }
        if let Some(span) = stalled {
            self.wake(now, span);
        }
        match input {
            Input::Tick => {}
            Input::Received(from, way, bytes) => self.receive(now, from, way, &bytes),
            Input::Join(addresses) => self.join(now, addresses),
            Input::Leave => self.leave(now),
            Input::Describe(meta) => self.describe(meta),
            Input::Moved(address) => self.move_to(address),
            Input::Forget(id) => self.forget(now, id),
        }
        while let Some(alarm) = self.alarms.pop(now) {
            self.ring(now, alarm);
        }
        self.tell_at_once(now);
    }

    /// What is to be done next; drain until `None` after every [`Self::handle`].
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due; before the first [`Self::handle`], at once.
    ///
    /// Call [`Self::handle`] close to it: more than 250 ms later is taken for a pause of the
    /// whole process, and all that is under way is given as much longer.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        if self.phase == Phase::New {
            return Some(Time::ZERO);
        }
        self.alarms.first().map(|due| self.clock.outside(due))
    }

    /// Every member that is known, this node included, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.table.records().map(|record| &record.member)
    }

    /// One member, if it is known.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.table.get(id).map(|record| &record.member)
    }

    /// This node as it describes itself.
    #[must_use]
    pub const fn me(&self) -> &Member {
        &self.config.me
    }

    /// How many are alive or suspect, this node included. Constant time.
    #[must_use]
    pub fn living(&self) -> usize {
        self.table.size()
    }

    /// The others that are alive or suspect, in no order that means anything. Constant time.
    #[must_use]
    pub fn others(&self) -> &[NodeId] {
        self.table.living()
    }

    /// How many members are known, this node included, whatever their state. Constant time.
    #[must_use]
    pub fn known(&self) -> usize {
        self.table.known()
    }

    /// The hash of all that is known; equal on nodes that know the same.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.table.digest()
    }

    /// This node's opinion of its own health: 0 is perfect, 8 the worst.
    #[must_use]
    pub const fn health(&self) -> u8 {
        self.awareness.score()
    }

    /// What was counted since the start.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    fn start(&mut self, now: Time) {
        self.phase = Phase::Running;
        let every = self.config.probe_every;
        self.settle_by = now + every * 3;
        let turn = self.part_of(every);
        self.turn_at = now + turn;
        self.alarms.set(self.turn_at, Alarm::Turn);
        self.pull_at = now + self.part_of(every);
        self.alarms.set(self.pull_at, Alarm::Pull);
        let recontact = self.part_of(every);
        self.alarms.set(now + recontact, Alarm::Recontact);
        self.outputs
            .push_back(Output::Changed(self.config.me.clone()));
    }

    /// A random part of `span`, so that nodes that start together do not act together.
    fn part_of(&mut self, span: Duration) -> Duration {
        let whole = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.rng.below(whole))
    }

    fn ring(&mut self, now: Time, alarm: Alarm) {
        match alarm {
            Alarm::Answer(seq) => self.unanswered(now, seq),
            Alarm::Favour(seq) => self.favour_failed(now, seq),
            Alarm::Objection(id) => self.objection_ended(now, id),
            Alarm::Gossip => self.gossip_due(now),
            Alarm::Turn => self.next_turn(now),
            Alarm::Pull => self.next_pull(now),
            Alarm::Recontact => self.recontact(now),
            Alarm::Join => self.join_due(now),
            Alarm::Farewell => self.farewell_due(now),
            Alarm::Oblivion => self.forget_the_oldest(now),
        }
    }

    fn receive(&mut self, now: Time, from: SocketAddr, way: Way, bytes: &[u8]) {
        let packet = match decode(bytes) {
            Ok(packet) => packet,
            Err(fault) => {
                *match fault {
                    PacketError::Corrupt => &mut self.counters.corrupt,
                    PacketError::TooNew(_) => &mut self.counters.too_new,
                    PacketError::Malformed(_) => &mut self.counters.malformed,
                } += 1;
                return;
            }
        };
        if packet.sender == self.config.me.id {
            self.counters.from_myself += 1;
            return;
        }
        if self.phase.is_over() {
            return;
        }
        self.seeds.answered(from);
        self.answer(now, from, way, packet);
    }

    fn answer(&mut self, now: Time, from: SocketAddr, way: Way, packet: Packet) {
        let Packet {
            sender,
            message,
            claims,
        } = packet;
        match message {
            Message::Ping { seq, to, .. } => {
                self.pinged(now, (from, way), sender, (seq, to), claims)
            }
            Message::Ack {
                seq,
                digest,
                settled,
            } => {
                self.take_in(now, sender, claims);
                self.acked(now, (from, sender), seq, digest, settled);
            }
            Message::Ask {
                seq,
                target,
                address,
                patience_ms,
            } => {
                self.take_in(now, sender, claims);
                let patience = Duration::from_millis(patience_ms.into());
                self.asked(now, from, seq, (target, address), patience);
            }
            Message::Nack { seq } => {
                self.take_in(now, sender, claims);
                self.nacked(sender, seq);
            }
            Message::Gossip => self.take_in(now, sender, claims),
            Message::Compare { buckets } => {
                self.take_in(now, sender, claims);
                self.compared(now, from, &buckets);
            }
            Message::Sync { mask, reply } => {
                self.synced(now, from, sender, (mask, reply), claims);
            }
        }
    }
}
