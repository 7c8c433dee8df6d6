//! Asking members whether they are there: directly, through others, and by stream.
//!
//! SWIM's probe with Lifeguard's nacks. Everything that asks one member is a [`Probe`]; what is
//! done without an answer depends on its [`Purpose`].
//! Does not know how claims are merged.

use std::net::SocketAddr;

use base::{Duration, NodeId, Time, Way};

use crate::alarms::Alarm;
use crate::message::{Claim, Message};
use crate::table::Record;
use crate::{Incarnation, Membership, Mutation, State};

/// Members asked to ask for us.
const HELPERS: usize = 3;
/// Probes under way at most, and favours for others at most.
const MOST_PROBES: usize = 256;
/// About so many members confirm a suspicion, whatever the size of the cluster.
const CONFIRMERS: u64 = 10;
/// For so many probe intervals a member that did not help is not asked for that again.
const HUSHED: u32 = 60;
/// With so many under way, members that did not help wait for their turn.
const MOST_WITH_SILENT: usize = 16;
/// So many pulls in a row that are answered in time, a second apart, speak for this node's health.
const PULLS_IN_A_ROW: u8 = 3;
/// Peers that are pulled from after a stall, at once.
const PULLS_ON_WAKING: usize = 3;

/// Why a member is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It is its turn.
    Turn,
    /// To compare digests. Without an answer it becomes a turn, if this node is healthy.
    Pull,
    /// Somebody else suspects it.
    Confirm,
    /// It is dead, and might not be any more.
    Recontact,
    /// It has our name.
    Name,
    /// To say farewell.
    Farewell,
}

/// One question to one member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) target: NodeId,
    pub(crate) address: SocketAddr,
    purpose: Purpose,
    incarnation: Incarnation,
    /// The first incarnation of a bearer of our name.
    pub(crate) born: Incarnation,
    sent: Time,
    patience: Duration,
    /// Helpers asked, once the direct way has failed; those of them who have not said that it does
    /// not answer them either.
    helpers: Option<usize>,
    silent: [Option<NodeId>; HELPERS],
}

impl Probe {
    pub(crate) fn is_for_a_name(&self) -> bool {
        self.purpose == Purpose::Name
    }
}

/// A question that we ask for another node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Favour {
    target: NodeId,
    asker: SocketAddr,
    seq: u32,
}

impl Membership {
    pub(crate) fn next_turn(&mut self, now: Time) {
        if now < self.turn_at {
            return;
        }
        // The next one starts after this one has ended, however unhealthy we are.
        (self.turned, self.turn_at) = (now, now + self.config.probe_every * self.awareness.scale());
        self.alarms.set(self.turn_at, Alarm::Turn);
        if self.phase.is_running()
            && let Some(id) = self.turns.next(&self.table, &mut self.rng)
        {
            self.probe(now, id, Purpose::Turn);
        }
    }

    pub(crate) fn next_pull(&mut self, now: Time) {
        if now < self.pull_at {
            return;
        }
        self.pull_at = now + self.config.probe_every;
        self.alarms.set(self.pull_at, Alarm::Pull);
        if now >= self.settle_by {
            self.settle();
        }
        if self.phase.is_running()
            && let Some(id) = self.pulls.next(&self.table, &mut self.rng)
        {
            self.probe(now, id, Purpose::Pull);
        }
    }

    /// Something speaks for this node's health: it need not wait for so long any more.
    fn better(&mut self, now: Time, by: usize) {
        for _ in 0..by {
            self.awareness.better();
        }
        let every = self.config.probe_every * self.awareness.scale();
        let due = (self.turned + every).max(now);
        if due < self.turn_at {
            self.alarms.unset(self.turn_at, Alarm::Turn);
            self.turn_at = due;
            self.alarms.set(due, Alarm::Turn);
        }
    }

    /// A member that was dead lives. What spoke against this node's health when it stopped
    /// answering, and nobody answered who was to ask it, spoke of the network.
    pub(crate) fn regained(&mut self, now: Time) {
        self.better(now, HELPERS);
    }

    /// What we know differs from what others know: the next pull comes after a quarter.
    pub(crate) fn pull_soon(&mut self, now: Time) {
        let soon = now + self.config.probe_every / 4;
        if soon < self.pull_at {
            self.alarms.unset(self.pull_at, Alarm::Pull);
            self.pull_at = soon;
            self.alarms.set(soon, Alarm::Pull);
        }
    }

    /// Each second every dead member is asked by about one living one, as long as the living have
    /// to ask no more than one each; so halves of a cluster find each other at once.
    pub(crate) fn recontact(&mut self, now: Time) {
        self.alarms
            .set(now + self.config.probe_every, Alarm::Recontact);
        let dead = self.table.dead().len();
        let size = self.table.size() as u64;
        if dead == 0 || !self.phase.is_running() || self.rng.below(size) >= dead as u64 {
            return;
        }
        self.next_dead = (self.next_dead + 1) % dead;
        let id = self.table.dead()[self.next_dead];
        self.probe(now, id, Purpose::Recontact);
    }

    /// Asks `id`, if it is known and not being asked already.
    pub(crate) fn probe(&mut self, now: Time, id: NodeId, purpose: Purpose) {
        let Some(record) = self.table.get(id) else {
            return;
        };
        let member = &record.member;
        let scale = match purpose {
            Purpose::Pull => 1,
            _ => self.awareness.scale(),
        };
        let probe = Probe {
            target: id,
            address: member.address,
            purpose,
            incarnation: member.incarnation,
            born: record.born,
            sent: now,
            patience: record.rtt.patience(self.config.probe_every) * scale,
            helpers: None,
            silent: [None; HELPERS],
        };
        self.begin(probe);
    }

    /// Members are pulled from every second, however unhealthy this node believes itself to be; when
    /// one after the other answers in the time that a healthy one has, it is not so any more.
    /// Otherwise whoever believes the worst, as after a cut, would ask so rarely that it took 44 s to
    /// believe the best.
    fn pull_answered(&mut self, now: Time) {
        if now < self.better_at {
            return;
        }
        self.better_at = now + self.config.probe_every;
        self.pulls_answered = self.pulls_answered.saturating_add(1);
        if self.pulls_answered >= PULLS_IN_A_ROW {
            self.better(now, 1);
        }
    }

    /// Asks another bearer of our name, who need not be known.
    pub(crate) fn probe_namesake(&mut self, now: Time, other: &Record) {
        let probe = Probe {
            target: other.member.id,
            address: other.member.address,
            purpose: Purpose::Name,
            incarnation: other.member.incarnation,
            born: other.born,
            sent: now,
            patience: self.config.probe_every / 4 * self.awareness.scale(),
            helpers: None,
            silent: [None; HELPERS],
        };
        self.begin(probe);
    }

    fn begin(&mut self, probe: Probe) {
        let Probe {
            target,
            address,
            purpose,
            sent,
            patience,
            ..
        } = probe;
        let asked = self
            .probes
            .values()
            .any(|p| p.target == target && p.purpose == purpose);
        if asked || self.probes.len() >= MOST_PROBES {
            self.counters.probes_skipped += 1;
            return;
        }
        self.counters.probes += 1;
        let seq = self.seq();
        self.probes.insert(seq, probe);
        self.alarms.set(sent + patience, Alarm::Answer(seq));
        self.ping(sent, seq, target, address, Way::Datagram);
    }

    fn seq(&mut self) -> u32 {
        self.next_seq = self.next_seq.wrapping_add(1);
        self.next_seq
    }

    /// Lifeguard's buddy system: whoever is suspect hears so first, to object at once.
    fn ping(&mut self, now: Time, seq: u32, to: NodeId, address: SocketAddr, way: Way) {
        let message = Message::Ping {
            seq,
            to,
            digest: self.table.digest(),
        };
        let mut must = Vec::new();
        must.extend(self.verdict_on(now, to));
        if !self.phase.is_running() {
            must.extend(self.claim_on(now, self.config.me.id));
        }
        self.send(now, address, way, &message, &must);
    }

    /// What `id` must be told because it will object: that it is suspect, dead or gone.
    fn verdict_on(&self, now: Time, id: NodeId) -> Option<Claim> {
        let record = self.table.get(id);
        let is_fine = record.is_some_and(|record| record.member.state == State::Alive);
        if is_fine || self.config.mutation == Mutation::NoBuddy {
            return None;
        }
        self.claim_on(now, id)
    }

    pub(crate) fn pinged(
        &mut self,
        now: Time,
        (from, way): (SocketAddr, Way),
        sender: NodeId,
        (seq, to): (u32, NodeId),
        claims: Vec<Claim>,
    ) {
        let me = self.config.me.id;
        if to != me {
            self.asked_for_another(now, from, sender);
            return;
        }
        // What the asker believes of us, it must hear corrected in this very answer.
        let mentioned = claims.iter().any(|claim| claim.id() == me);
        self.take_in(now, sender, claims);
        let mut must = Vec::new();
        must.extend(self.verdict_on(now, sender));
        if mentioned {
            must.extend(self.claim_on(now, me));
        }
        let (digest, settled) = (self.table.digest(), self.is_settled);
        let message = Message::Ack {
            seq,
            digest,
            settled,
        };
        self.send(now, from, way, &message, &must);
    }

    pub(crate) fn acked(
        &mut self,
        now: Time,
        (from, sender): (SocketAddr, NodeId),
        seq: u32,
        digest: u64,
        settled: bool,
    ) {
        if let Some(favour) = self.favours.remove(&seq) {
            if sender == favour.target {
                let message = Message::Ack {
                    seq: favour.seq,
                    digest,
                    settled,
                };
                self.send(now, favour.asker, Way::Datagram, &message, &[]);
            }
            return;
        }
        let Some(probe) = self.probes.remove(&seq) else {
            return;
        };
        let is_direct = sender == probe.target;
        if is_direct && probe.helpers.is_none() {
            if let Some(rtt) = self.table.rtt(sender) {
                rtt.learn(now.since(probe.sent));
            }
        } else {
            self.counters.probes_rescued += 1;
        }
        match probe.purpose {
            Purpose::Turn | Purpose::Confirm => self.awareness.better(),
            Purpose::Pull if is_direct => self.pull_answered(now),
            Purpose::Name => self.namesake_answers(now, &probe, settled),
            Purpose::Farewell => self.farewell_heard(),
            Purpose::Pull | Purpose::Recontact => {}
        }
        if is_direct && digest != self.table.digest() && self.phase.is_running() {
            self.counters.differences += 1;
            let message = Message::Compare {
                buckets: self.table.buckets(),
            };
            self.send(now, from, Way::Datagram, &message, &[]);
            self.pull_soon(now);
        }
    }

    /// No answer in time: other ways are tried, and after those the member is accused.
    pub(crate) fn unanswered(&mut self, now: Time, seq: u32) {
        let Some(mut probe) = self.probes.remove(&seq) else {
            return;
        };
        if probe.helpers.is_some() {
            self.failed(now, probe);
            return;
        }
        match probe.purpose {
            Purpose::Recontact | Purpose::Farewell => return,
            Purpose::Pull if self.awareness.score() > 0 => {
                self.pulls_answered = 0;
                return;
            }
            Purpose::Pull => probe.purpose = Purpose::Turn,
            Purpose::Turn | Purpose::Confirm | Purpose::Name => {}
        }
        let scale = self.awareness.scale();
        let every = self.config.probe_every;
        let rest = (every * scale).saturating_sub(probe.patience);
        let wait = (probe.patience * 4).max(every * scale * 2 / 5).min(rest);
        let helpers = self.ask_others(now, seq, &probe, wait);
        probe.helpers = Some(helpers.len());
        for (silent, helper) in probe.silent.iter_mut().zip(helpers) {
            *silent = Some(helper);
        }
        self.ping(now, seq, probe.target, probe.address, Way::Stream);
        self.probes.insert(seq, probe);
        self.alarms.set(now + wait, Alarm::Answer(seq));
    }

    fn ask_others(&mut self, now: Time, seq: u32, probe: &Probe, wait: Duration) -> Vec<NodeId> {
        let helpers = self.table.random(&mut self.rng, HELPERS, probe.target);
        let patience_ms = u32::try_from((wait / 2).as_millis()).unwrap_or(u32::MAX);
        let (target, address) = (probe.target, probe.address);
        let message = Message::Ask {
            seq,
            target,
            address,
            patience_ms,
        };
        for id in &helpers {
            if let Some(helper) = self.table.get(*id) {
                self.send(now, helper.member.address, Way::Datagram, &message, &[]);
            }
        }
        helpers
    }

    fn failed(&mut self, now: Time, probe: Probe) {
        self.counters.probes_failed += 1;
        if probe.purpose == Purpose::Name {
            self.name_is_free(now, probe.target, probe.incarnation);
            return;
        }
        // A dead target still yields nacks; silence all around says that we are the sick one.
        let helpers = probe.helpers.unwrap_or(0);
        self.awareness.worse(if helpers == 0 {
            1
        } else {
            probe.silent.iter().flatten().count()
        });
        // Those may be dead, too: each would have its turn late, since we now take ourselves for sick.
        for helper in probe.silent.into_iter().flatten() {
            self.confirm_silence(now, helper);
        }
        // Whoever has objected to something in the meantime was there.
        let unchanged = self.table.get(probe.target).is_some_and(|record| {
            record.is_living() && record.member.incarnation == probe.incarnation
        });
        if unchanged {
            self.counters.accusations += 1;
            self.accuse(now, probe.target, &[self.config.me.id]);
        }
    }

    pub(crate) fn asked(
        &mut self,
        now: Time,
        asker: SocketAddr,
        seq: u32,
        (target, address): (NodeId, SocketAddr),
        patience: Duration,
    ) {
        if self.favours.len() >= MOST_PROBES {
            self.counters.favours_refused += 1;
            return;
        }
        let own = self.seq();
        self.favours.insert(own, Favour { target, asker, seq });
        let most = self.config.probe_every * 10;
        self.alarms
            .set(now + patience.min(most), Alarm::Favour(own));
        self.ping(now, own, target, address, Way::Datagram);
    }

    pub(crate) fn favour_failed(&mut self, now: Time, seq: u32) {
        if let Some(favour) = self.favours.remove(&seq)
            && self.config.mutation != Mutation::NoNacks
        {
            let message = Message::Nack { seq: favour.seq };
            self.send(now, favour.asker, Way::Datagram, &message, &[]);
        }
    }

    pub(crate) fn nacked(&mut self, helper: NodeId, seq: u32) {
        if let Some(probe) = self.probes.get_mut(&seq) {
            let silent = probe.silent.iter_mut();
            silent.for_each(|silent| *silent = silent.filter(|id| *id != helper));
        }
    }

    /// Asks a member that did not help, unless it is suspected or asked already, or was so a moment
    /// ago: who objects to others, and is not heard here, is not asked faster than in its turn.
    fn confirm_silence(&mut self, now: Time, id: NodeId) {
        let is_alive = self
            .table
            .get(id)
            .is_some_and(|record| record.member.state == State::Alive);
        let is_asked = self.probes.values().any(|probe| probe.target == id);
        let has_room = self.probes.len() < MOST_WITH_SILENT;
        let every = self.config.probe_every;
        self.hushed
            .retain(|_, asked| now.since(*asked) < every * HUSHED);
        let is_news = !self.hushed.contains_key(&id);
        if is_alive && !is_asked && has_room && is_news && self.config.mutation != Mutation::NoNacks
        {
            self.hushed.insert(id, now);
            self.probe(now, id, Purpose::Confirm);
        }
    }

    /// Somebody is suspected for the first time: about ten members, chosen by chance, look at
    /// once, so that a real death is confirmed within a second and a false one disproved.
    pub(crate) fn confirm(&mut self, now: Time, id: NodeId) {
        if self.rng.below(self.table.size() as u64) < CONFIRMERS {
            self.probe(now, id, Purpose::Confirm);
        }
    }

    /// This process stood still for `span`: what went unanswered meanwhile says nothing.
    pub(crate) fn wake(&mut self, now: Time, span: Duration) {
        self.counters.stalls += 1;
        self.probes
            .retain(|_, probe| matches!(probe.purpose, Purpose::Name | Purpose::Farewell));
        self.favours.clear();
        if span < self.config.probe_every / 2 || !self.phase.is_running() {
            return;
        }
        self.awareness.worse(1);
        self.better_at = now + self.config.probe_every;
        self.pulls_answered = 0;
        for id in self
            .table
            .random(&mut self.rng, PULLS_ON_WAKING, self.config.me.id)
        {
            self.probe(now, id, Purpose::Pull);
        }
    }
}
