//! One name, one living member.
//!
//! Whoever finds its name borne by another member asks that one. If it does not answer it is
//! forgotten, and the asker takes the name; if it does, one of the two ends. Who has looked around
//! before stays; between two that start at once the one with the lower first incarnation, then the
//! lower id. Nobody ends before the one that stays has answered it.

use base::{NodeId, Time, Way};

use crate::leave::Phase;
use crate::message::Message;
use crate::probe::Probe;
use crate::table::Record;
use crate::{Incarnation, Membership, Mutation, Output, State};

impl Membership {
    /// Whether a living `newcomer` may be taken in under its name; makes room for it if so.
    pub(crate) fn may_bear_its_name(&mut self, now: Time, newcomer: &Record, joins: bool) -> bool {
        let member = &newcomer.member;
        if self.config.mutation == Mutation::SharedNames {
            return true;
        }
        if let Some(holder) = self.living_named(&member.name, member.id) {
            let holder_id = holder.member.id;
            let incarnation = holder.member.incarnation;
            let is_senior = (newcomer.born, member.id) < (holder.born, holder_id);
            if holder_id == self.config.me.id {
                self.contest(now, newcomer, is_senior);
                return false;
            }
            // Who joins here is not known anywhere yet: clocks do not decide, the holder stays.
            if !is_senior || joins {
                self.counters.names_refused += 1;
                return false;
            }
            self.drop_for_good(now, holder_id, incarnation, 0);
        }
        for (id, incarnation) in self.gone_named(member) {
            self.drop_for_good(now, id, incarnation, 0);
        }
        true
    }

    /// Another one bears our own name.
    fn contest(&mut self, now: Time, other: &Record, is_senior: bool) {
        let member = &other.member;
        let (id, address, incarnation) = (member.id, member.address, member.incarnation);
        if address == self.config.me.address {
            // It stood where we stand: it can't be there any more.
            self.name_is_free(now, id, incarnation);
            return;
        }
        if is_senior || !self.is_settled {
            self.probe_namesake(now, other);
        } else {
            self.counters.names_refused += 1;
            let mine = self.claim_on(now, self.config.me.id);
            self.send(
                now,
                address,
                Way::Datagram,
                &Message::Gossip,
                mine.as_slice(),
            );
        }
    }

    /// The other bearer of our name has answered: one of us ends.
    ///
    /// Whoever has looked around before stays; of two that have, or have not, the senior. Each
    /// looks at what it is now and what the other was when it answered; whoever ends answers no
    /// more, so that never both end.
    pub(crate) fn namesake_answers(&mut self, now: Time, probe: &Probe, settled: bool) {
        let me = &self.config.me;
        let born = self
            .table
            .get(me.id)
            .map_or(me.incarnation, |held| held.born);
        let stays = if self.is_settled == settled {
            (born, me.id) < (probe.born, probe.target)
        } else {
            self.is_settled
        };
        if stays || !self.phase.is_running() {
            return;
        }
        let name = me.name.clone();
        self.config.me.state = State::Left;
        self.present(Incarnation(0));
        self.tell_at_once(now);
        self.phase = Phase::Refused;
        let (holder, at) = (probe.target, probe.address);
        self.outputs.push_back(Output::Refused { name, holder, at });
    }

    /// The other bearer of our name did not answer: the name is ours.
    pub(crate) fn name_is_free(&mut self, now: Time, id: NodeId, incarnation: Incarnation) {
        self.is_settled = true;
        self.drop_for_good(now, id, incarnation, 0);
        self.push.add(self.config.me.id, self.table.size());
    }

    /// The name has been free of others where we joined.
    pub(crate) fn settle(&mut self) {
        self.is_settled |= !self.is_asking_for_its_name();
    }
}
