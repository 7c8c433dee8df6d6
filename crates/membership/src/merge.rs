//! What is believed of each member, and how claims change it.
//!
//! A higher incarnation wins; at the same one, left over dead over suspect over alive. So the
//! order of arrival does not matter, and only the member itself can undo what is said of it.
//! Does not know how claims travel.

use base::{NodeId, Time};

use crate::alarms::Alarm;
use crate::message::{Claim, Rank};
use crate::suspicion::Suspicion;
use crate::table::{Record, Tombstone};
use crate::{Incarnation, Member, Membership, Meta, Mutation, Output, State};

/// An exchange of more claims than this brings what many know already.
const BULK: usize = 16;

/// How claims came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Pushed because they are new.
    News,
    /// With a request to join here.
    Joining,
    /// In an exchange of tables; they may be old.
    Exchange,
}

impl Membership {
    /// Claims that were pushed to us: news.
    pub(crate) fn take_in(&mut self, now: Time, sender: NodeId, claims: Vec<Claim>) {
        self.merge(now, sender, claims, How::News);
    }

    /// Merges claims; those from an exchange of tables may be old.
    pub(crate) fn merge(&mut self, now: Time, by: NodeId, mut claims: Vec<Claim>, how: How) {
        self.push.in_bulk = how == How::Exchange && claims.len() > BULK;
        // A name that became free in the same packet is free for its new bearer.
        claims.sort_by_key(|claim| std::cmp::Reverse(claim.rank().1));
        for claim in claims {
            if claim.id() == self.config.me.id {
                self.object(&claim);
                continue;
            }
            if self
                .table
                .tombstone(claim.id())
                .is_some_and(|stone| claim.rank() < (stone.incarnation, crate::message::FORGOTTEN))
            {
                continue;
            }
            match claim {
                Claim::About {
                    member,
                    born,
                    accusers,
                    age_s,
                } => {
                    let record = Record::new(member, born);
                    self.believe(now, by, record, &accusers, age_s, how);
                }
                Claim::Forgotten {
                    id,
                    incarnation,
                    age_s,
                } => {
                    self.drop_for_good(now, id, incarnation, age_s);
                }
            }
        }
        self.push.in_bulk = false;
    }

    fn believe(
        &mut self,
        now: Time,
        by: NodeId,
        mut record: Record,
        accusers: &[NodeId],
        age_s: u64,
        how: How,
    ) {
        let id = record.member.id;
        let held = self
            .table
            .get(id)
            .map(|held| (held.rank(), held.is_living()));
        let rank = record.rank();
        if held.is_some_and(|(held, _)| held >= rank) {
            self.hear_again(now, &record, accusers, age_s);
            return;
        }
        let lives = held.is_some_and(|(_, lives)| lives);
        let is_farewell = held.is_some() && !lives && record.member.state == State::Left;
        if is_farewell && self.config.mutation == Mutation::DeafToFarewells {
            return;
        }
        // After a partition each side holds the other for dead. Whoever lives here is only
        // suspected on such word, so that it can object first.
        if how != How::News && record.member.state == State::Dead && lives {
            record.member.state = State::Suspect;
            self.believe(now, by, record, &[by], 0, How::News);
            return;
        }
        let joins = how == How::Joining && by == id;
        if record.is_living() && !self.may_bear_its_name(now, &record, joins) {
            return;
        }
        if held.is_none() && self.table.size() > self.config.max_members {
            self.counters.over_bounds += 1;
            return;
        }
        let was_dead = self.table.get(id).map(|held| held.member.state) == Some(State::Dead);
        if was_dead && record.member.state == State::Alive {
            self.regained(now);
        }
        match record.member.state {
            State::Alive => self.alive(now, record, lives),
            State::Suspect => self.suspect(now, record, accusers, lives),
            State::Dead | State::Left => self.gone(now, record, age_s, lives),
        }
    }

    /// The same news once more: it may name more accusers, or an earlier death.
    fn hear_again(&mut self, now: Time, record: &Record, accusers: &[NodeId], age_s: u64) {
        let id = record.member.id;
        if self
            .table
            .get(id)
            .is_none_or(|held| held.rank() != record.rank())
        {
            return;
        }
        match record.member.state {
            State::Alive => {}
            State::Suspect => self.accuse(now, id, accusers),
            State::Dead | State::Left => {
                let end = self.end_of(now, age_s).unwrap_or(now);
                self.table.forget_sooner(id, end);
                self.arm_oblivion();
            }
        }
    }

    fn alive(&mut self, now: Time, record: Record, lived: bool) {
        self.table.unbury(record.member.id);
        self.enter(record, lived);
        self.pull_soon(now);
    }

    /// Puts what is newly believed into the table and says so.
    fn enter(&mut self, record: Record, lived: bool) {
        let id = record.member.id;
        if record.is_living() && !lived {
            self.turns.insert(id, &mut self.rng);
            self.pulls.insert(id, &mut self.rng);
        }
        self.outputs
            .push_back(Output::Changed(record.member.clone()));
        self.table.put(record);
        self.push.add(id, self.table.size());
        self.count_the_rest();
    }

    /// Where few are left that nobody suspects, no more than those are waited for.
    fn count_the_rest(&mut self) {
        let suspects = self.table.suspects();
        let rest = self.table.size() - suspects.len();
        for id in suspects {
            let suspicion = self.table.suspicion(id).expect("it is a suspect");
            let before = suspicion.ends();
            suspicion.left(rest - 1);
            let after = suspicion.ends();
            if before != after {
                self.alarms.unset(before, Alarm::Objection(id));
                self.alarms.set(after, Alarm::Objection(id));
            }
        }
    }

    fn suspect(&mut self, now: Time, mut record: Record, accusers: &[NodeId], lived: bool) {
        let id = record.member.id;
        let n = self.table.size() + usize::from(!lived);
        let fixed = self.config.mutation == Mutation::FixedSuspicion;
        let suspicion = Suspicion::new(now, n, self.config.probe_every, fixed);
        record.suspicion = Some(suspicion);
        self.counters.suspicions += 1;
        self.table.unbury(id);
        self.enter(record, lived);
        self.accuse(now, id, accusers);
        if let Some(suspicion) = self.table.suspicion(id) {
            let ends = suspicion.ends();
            self.alarms.set(ends, Alarm::Objection(id));
        }
        if !accusers.contains(&self.config.me.id) {
            self.confirm(now, id);
        }
    }

    /// Counts accusers of a member that lives; the first makes it suspect.
    pub(crate) fn accuse(&mut self, now: Time, id: NodeId, accusers: &[NodeId]) {
        let Some(held) = self.table.get(id) else {
            return;
        };
        let incarnation = held.member.incarnation;
        if held.member.state == State::Alive {
            let mut record = Record::new(held.member.clone(), held.born);
            record.member.state = State::Suspect;
            self.suspect(now, record, accusers, true);
            return;
        }
        let Some(suspicion) = self.table.suspicion(id) else {
            return;
        };
        let before = suspicion.ends();
        let new: Vec<NodeId> = accusers
            .iter()
            .copied()
            .filter(|&by| by != id && suspicion.accuse(by))
            .collect();
        let ends = suspicion.ends();
        if new.is_empty() {
            return;
        }
        if ends < before {
            self.alarms.unset(before, Alarm::Objection(id));
            self.alarms.set(ends, Alarm::Objection(id));
        }
        self.push.add(id, self.table.size());
        for by in new {
            self.outputs.push_back(Output::Accused {
                member: id,
                by,
                incarnation,
            });
        }
    }

    /// The suspect had its time, unless the alarm is an old one.
    pub(crate) fn objection_ended(&mut self, now: Time, id: NodeId) {
        let Some(record) = self.table.get(id) else {
            return;
        };
        if !self.phase.is_running()
            || record
                .suspicion
                .as_ref()
                .is_none_or(|suspicion| suspicion.ends() > now)
        {
            return;
        }
        self.counters.deaths += 1;
        let mut record = Record::new(record.member.clone(), record.born);
        record.member.state = State::Dead;
        self.gone(now, record, 0, true);
    }

    fn gone(&mut self, now: Time, mut record: Record, age_s: u64, lived: bool) {
        let id = record.member.id;
        let Some(end) = self.end_of(now, age_s) else {
            return;
        };
        // A name that lives on belongs to its new bearer alone.
        if self.living_named(&record.member.name, id).is_some() {
            self.drop_for_good(now, id, record.member.incarnation, age_s);
            return;
        }
        record.forget_at = Some(end);
        if lived && record.member.state == State::Dead {
            self.count_loss(now);
        }
        self.table.unbury(id);
        self.enter(record, lived);
        self.bound_the_dead();
        self.arm_oblivion();
    }

    /// Forgets `id` up to `incarnation`, so that older news does not bring it back.
    pub(crate) fn drop_for_good(
        &mut self,
        now: Time,
        id: NodeId,
        incarnation: Incarnation,
        age_s: u64,
    ) {
        let Some(forget_at) = self.end_of(now, age_s) else {
            return;
        };
        if self
            .table
            .get(id)
            .is_some_and(|held| held.member.incarnation > incarnation)
        {
            return;
        }
        if self
            .table
            .tombstone(id)
            .is_some_and(|stone| stone.incarnation >= incarnation)
        {
            self.table.forget_sooner(id, forget_at);
            self.arm_oblivion();
            return;
        }
        if self.table.take(id).is_some() {
            self.outputs.push_back(Output::Forgotten(id));
        }
        self.table.bury(
            id,
            Tombstone {
                incarnation,
                forget_at,
            },
        );
        self.push.add(id, self.table.size());
        self.bound_the_dead();
        self.arm_oblivion();
    }

    fn bound_the_dead(&mut self) {
        while self.table.remembered() > self.config.max_dead {
            self.counters.over_bounds += 1;
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, id)) = self.table.first_end() {
            self.table.unbury(id);
            if self.table.take(id).is_some() {
                self.outputs.push_back(Output::Forgotten(id));
            }
        }
    }

    pub(crate) fn forget_the_oldest(&mut self, now: Time) {
        while self.table.first_end().is_some_and(|(end, _)| end <= now) {
            self.forget_first();
        }
        self.arm_oblivion();
    }

    fn arm_oblivion(&mut self) {
        if let Some((end, _)) = self.table.first_end() {
            self.alarms.set(end, Alarm::Oblivion);
        }
    }

    /// Says once when more than a third of the members die within one suspicion time.
    fn count_loss(&mut self, now: Time) {
        let window = Suspicion::new(now, self.table.size(), self.config.probe_every, false);
        let span = window.ends().since(now);
        self.losses.push_back(now);
        while self.losses.front().is_some_and(|&at| now.since(at) > span) {
            self.losses.pop_front();
            self.is_losing &= !self.losses.is_empty();
        }
        if self.losses.len() == 1 {
            self.is_losing = false;
        }
        let lost = self.losses.len();
        // The one that is being counted still stands in the table.
        let of = self.table.size() + lost - 1;
        if lost >= 2 && lost * 3 > of && !self.is_losing {
            self.is_losing = true;
            self.counters.mass_losses += 1;
            self.outputs.push_back(Output::MassLoss { lost, of });
        }
    }

    /// A claim about this node: whatever is not what we say ourselves is answered by going past it.
    fn object(&mut self, claim: &Claim) {
        if self.config.mutation == Mutation::NoRefutation || !self.phase.is_running() {
            return;
        }
        let me = &self.config.me;
        let said: Rank = claim.rank();
        let same = matches!(claim, Claim::About { member, .. } if member == me);
        if same || said < (me.incarnation, State::Alive as u8) {
            // Older news of ourselves; whoever still believes worse hears the present.
            if !same && said.1 != State::Alive as u8 {
                self.push.add(me.id, self.table.size());
            }
            return;
        }
        if said.0.0 >= crate::message::MAX_INCARNATION {
            self.counters.malformed += 1;
            return;
        }
        if said.1 != State::Alive as u8 {
            self.counters.refutations += 1;
            self.awareness.worse(1);
        }
        let past = Incarnation(said.0.0 + 1);
        self.present(past);
    }

    /// This node, as it describes itself now, in a new incarnation.
    pub(crate) fn present(&mut self, incarnation: Incarnation) {
        let me = &mut self.config.me;
        me.incarnation = incarnation.max(Incarnation(me.incarnation.0 + 1));
        let born = self
            .table
            .get(me.id)
            .map_or(me.incarnation, |held| held.born);
        let record = Record::new(me.clone(), born);
        let in_bulk = std::mem::take(&mut self.push.in_bulk);
        self.enter(record, true);
        self.push.in_bulk = in_bulk;
    }

    pub(crate) fn describe(&mut self, mut meta: Meta) {
        if meta.zone.len() > crate::message::MAX_ZONE {
            self.counters.wishes_refused += 1;
            return;
        }
        meta.weight = meta.weight.clamp(1, 1_000);
        if self.config.me.meta != meta {
            self.config.me.meta = meta;
            self.present_next();
        }
    }

    pub(crate) fn move_to(&mut self, address: std::net::SocketAddr) {
        if self.config.me.address != address {
            self.config.me.address = address;
            self.present_next();
        }
    }

    fn present_next(&mut self) {
        if self.phase.is_running() {
            let next = Incarnation(self.config.me.incarnation.0 + 1);
            self.present(next);
        }
    }

    /// An operator's word that a dead or departed member will not come back.
    pub(crate) fn forget(&mut self, now: Time, id: NodeId) {
        match self.table.get(id) {
            Some(held) if !held.is_living() => {
                let incarnation = held.member.incarnation;
                self.drop_for_good(now, id, incarnation, 0);
            }
            _ => self.counters.wishes_refused += 1,
        }
    }

    /// The member other than `except` that lives under `name`.
    pub(crate) fn living_named(
        &self,
        name: &std::sync::Arc<str>,
        except: NodeId,
    ) -> Option<&Record> {
        let mut bearers = self.table.named(name).into_iter();
        let id = bearers
            .find(|&id| id != except && self.table.get(id).is_some_and(Record::is_living))?;
        self.table.get(id)
    }

    /// Another member with this name that lives no more.
    pub(crate) fn gone_named(&self, member: &Member) -> Vec<(NodeId, Incarnation)> {
        let others = self
            .table
            .named(&member.name)
            .into_iter()
            .filter(|&id| id != member.id);
        let held = others.filter_map(|id| self.table.get(id));
        held.filter(|held| !held.is_living())
            .map(|held| (held.member.id, held.member.incarnation))
            .collect()
    }
}
