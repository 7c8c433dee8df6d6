//! Who is there: joining, leaving, being found again, and who counts.
//!
//! The membership says who lives; here it becomes owners, those who count for a quorum, and those
//! whom the store talks to. Does not know targets or marks.

use std::net::SocketAddr;
use std::sync::Arc;

use base::{Duration, NodeId, Time};
use membership::{Standing, State};

use super::{Cluster, DIRECT_MAX, Effect, Notice, Section, state_name};
use crate::fleet::Accusation;
use crate::node::Mutation;

/// A node that should join others goes on alone after this, if nobody answers.
const ALONE_AFTER: Duration = Duration::from_secs(5);
/// How often members of an earlier life that were not seen in this one are looked for: a cut that
/// heals is noticed by whoever booted within it, too.
pub(super) const SEEK_EVERY: Duration = Duration::from_secs(2);
/// The same among more than a dozen members.
const SEEK_SLOWLY: Duration = Duration::from_secs(30);
/// Addresses that others may be at, as they are told while the node runs; of more only the
/// membership knows.
const JOIN_MAX: usize = 64;
/// Accusations that are remembered at most.
const ACCUSATIONS_MAX: usize = 64;
/// How long the store waits for a dead member before it forgets traces.
const FRONTIER: Duration = Duration::from_mins(10);
/// How soon a member that must be heard is called again.
const CALL_EVERY: Duration = Duration::from_millis(200);

impl Cluster {
    /// Looks for members of an earlier life, and, while alone, wherever others may be.
    pub(super) fn seek(&mut self) {
        if self.now < self.seek_at || self.is_leaving {
            return;
        }
        let living = self.membership.living();
        let is_small = living <= DIRECT_MAX;
        self.seek_at = self.now + if is_small { SEEK_EVERY } else { SEEK_SLOWLY };
        let mut addresses = self.peers.unseen_at(&self.membership);
        if living == 1 {
            addresses.extend(&self.join);
        }
        if !addresses.is_empty() {
            let join = membership::Input::Join(addresses);
            self.membership.handle(self.now, join);
            self.drain();
        }
    }

    /// Others may be found at these addresses too.
    pub(crate) fn join(&mut self, now: Time, mut addresses: Vec<SocketAddr>) {
        let mine = self.membership.me().address;
        addresses.retain(|address| *address != mine);
        self.has_company |= !addresses.is_empty();
        for &address in &addresses {
            self.find_at(address);
        }
        self.membership
            .handle(now, membership::Input::Join(addresses));
        self.now = now;
        self.drain();
    }

    /// Another may be found here, when this node is alone and looks for others.
    pub(super) fn find_at(&mut self, address: SocketAddr) {
        if self.join.len() < JOIN_MAX && !self.join.contains(&address) {
            self.join.push(address);
            self.is_count_old = true;
        }
    }

    /// Gives all targets away; others take them while this node goes on.
    pub(crate) fn drain_away(&mut self, now: Time) {
        self.now = now;
        self.is_draining = true;
        self.describe();
        self.drain();
    }

    /// Gives all targets away until it sees again.
    pub(crate) fn blind(&mut self, now: Time, is_blind: bool) {
        self.now = now;
        self.is_blind = is_blind;
        self.describe();
        self.drain();
    }

    /// Whether anybody takes targets who does not give them away.
    pub(crate) fn is_anybody_usable(&self) -> bool {
        let usable = |m: &ownership::Member| m.standing == ownership::Standing::Usable;
        self.ownership.members().any(usable)
    }

    /// Says farewell.
    pub(crate) fn leave(&mut self, now: Time) {
        self.now = now;
        self.is_leaving = true;
        self.membership.handle(now, membership::Input::Leave);
        self.drain();
    }

    /// Takes the dead members of a name out for good; who that was.
    pub(crate) fn forget(&mut self, now: Time, name: &str) -> Vec<NodeId> {
        let is_it = |m: &&membership::Member| {
            &*m.name == name && matches!(m.state, State::Dead | State::Left)
        };
        let mut ids: Vec<NodeId> = self
            .membership
            .members()
            .filter(is_it)
            .map(|m| m.id)
            .collect();
        for &id in &ids {
            self.membership.handle(now, membership::Input::Forget(id));
        }
        self.now = now;
        self.drain();
        ids.extend(self.peers.forget(name));
        self.count_members();
        self.effects.push_back(Effect::Members);
        ids
    }

    pub(super) fn describe(&mut self) {
        let mut meta = self.membership.me().meta.clone();
        meta.standing = if self.is_ready && !self.is_draining && !self.is_blind {
            Standing::Usable
        } else {
            Standing::Draining
        };
        if meta != self.membership.me().meta {
            let input = membership::Input::Describe(meta);
            self.membership.handle(self.now, input);
        }
    }

    /// A node that has caught up with one other, or has waited long enough, takes part.
    pub(super) fn become_ready(&mut self) {
        if self.is_ready {
            return;
        }
        let began = self.began.expect("the first tick has been");
        let has_met = self.membership.living() > 1 && self.store.has_met();
        let is_alone = self.now.since(began) >= ALONE_AFTER && self.membership.living() == 1;
        if has_met || is_alone || !self.has_company {
            self.is_ready = true;
            self.describe();
            self.drain();
            self.effects.push_back(Effect::Ready);
        }
    }

    pub(super) fn member_says(&mut self, output: membership::Output) {
        use membership::Output;
        match output {
            Output::Send(to, way, bytes) => self.put(to, way, &Section::Membership(bytes)),
            Output::Changed(member) => self.member_changed(&member),
            Output::Forgotten(id) => {
                let of = self.peers.name(id);
                if let Some((name, bearer)) = self.peers.gone(id) {
                    self.seat(name, bearer);
                }
                self.marks.forget(id);
                self.is_count_old = true;
                self.effects.push_back(Effect::Members);
                let forgotten = of.map(|name| Effect::Forgotten(id, name));
                self.effects.extend(forgotten);
            }
            Output::Refused { name, at, .. } => {
                self.effects.push_back(Effect::Refused(name, at));
            }
            Output::Left => self.effects.push_back(Effect::Left),
            Output::Accused { member, by, .. } => {
                let (member, by) = (self.name_of(member), self.name_of(by));
                self.remember_accusation(&member, &by);
                let notice = Notice::Accused { member, by };
                self.effects.push_back(Effect::Notice(notice));
            }
            Output::MassLoss { lost, of } => {
                let notice = Notice::MassLoss { lost, of };
                self.effects.push_back(Effect::Notice(notice));
            }
        }
    }

    pub(super) fn remember_accusation(&mut self, member: &Arc<str>, by: &Arc<str>) {
        if self.accusations.len() == ACCUSATIONS_MAX {
            self.accusations.pop_front();
        }
        self.accusations.push_back(Accusation {
            member: Arc::clone(member),
            by: Arc::clone(by),
            at: self.now,
        });
        self.effects.push_back(Effect::Members);
    }

    pub(super) fn member_changed(&mut self, member: &membership::Member) {
        let state = member.state;
        if self.mutation == Some(Mutation::FormerAddress) {
            let former = self.former.entry(Arc::clone(&member.name));
            former.or_insert(member.address);
        }
        let change = self.peers.changed(self.now, member);
        // What is still said of an earlier life at the same place may be of another release.
        if change.bearer == Some(member.id) {
            let members = self.membership.known();
            let (peers, membership) = (&self.peers, &self.membership);
            let lives_there = |other: NodeId| {
                let other = membership.member(other);
                other.is_some_and(|other| {
                    other.address == member.address && peers.living(&other.name) == Some(other.id)
                })
            };
            let at = (member.address, member.id);
            self.tongues
                .learn(at, member.meta.wire, members, lives_there);
        }
        if change.is_other || change.bearer == Some(member.id) {
            self.seat(Arc::clone(&member.name), change.bearer);
        }
        self.is_count_old = true;
        self.effects.push_back(Effect::Members);
        if change.state {
            let notice = Notice::Member {
                member: Arc::clone(&member.name),
                state: state_name(state),
                incarnation: member.incarnation.0,
            };
            self.effects.push_back(Effect::Notice(notice));
        }
    }

    /// Tells ownership who bears a name now, if anybody does.
    pub(super) fn seat(&mut self, name: Arc<str>, bearer: Option<NodeId>) {
        let member = bearer.and_then(|id| self.membership.member(id));
        let is_suspect = member.is_some_and(|member| member.state == State::Suspect);
        // Whoever bore the name before may have been suspected to the last.
        let suspicion = Effect::Suspect(Arc::clone(&name), is_suspect);
        self.suspicions.push_back(suspicion);
        if member.is_some() {
            self.effects.push_back(Effect::Seated(Arc::clone(&name)));
        }
        match member {
            Some(member) => self.joining.push(ownership::Member {
                name,
                zone: Arc::clone(&member.meta.zone),
                weight: u32::from(member.meta.weight),
                standing: match member.meta.standing {
                    Standing::Usable => ownership::Standing::Usable,
                    Standing::Draining => ownership::Standing::Draining,
                },
            }),
            None => {
                self.seat_the_joining();
                self.own(ownership::Input::Left(name));
            }
        }
    }

    pub(super) fn seat_the_joining(&mut self) {
        let joining = std::mem::take(&mut self.joining);
        self.own(ownership::Input::AllJoined(joining));
    }

    pub(super) fn own(&mut self, input: ownership::Input) {
        self.ownership.handle(self.now, input);
    }

    /// Tells the quorum and the store who counts.
    pub(super) fn count_members(&mut self) {
        // A node that lost its disk is one node, not two.
        let counts = |m: &&membership::Member| {
            let is_over = m.state == State::Dead && self.peers.is_succeeded(m);
            m.state != State::Left && !is_over
        };
        let known: Vec<NodeId> = self
            .membership
            .members()
            .filter(counts)
            .map(|m| m.id)
            .collect();
        let unseen = self.peers.unseen(&self.membership);
        let is_alone = known.iter().all(|id| *id == self.me);
        let unmet = if self.peers.has_met_nobody(is_alone) {
            self.join.len()
        } else {
            0
        };
        self.quorum
            .count(self.me, known.into_iter().chain(unseen), unmet);
        let (live, frontier) = self
            .peers
            .whom(self.me, self.now, &self.membership, FRONTIER);
        if self.peers.are_others(&live, &frontier) {
            let input = store::Input::Peers { live, frontier };
            self.store.handle(self.now, input);
        }
    }

    /// Members whose word is needed and that are silent are asked whether they are there.
    pub(super) fn call_the_silent(&mut self) {
        let Some(since) = self.cases.oldest_needed().max(self.wanted) else {
            return;
        };
        if self.now < self.call_at {
            return;
        }
        self.call_at = self.now + CALL_EVERY;
        if self.quorum.is_met(since, 0) {
            return;
        }
        let silent: Vec<NodeId> = self.quorum.silent(since).collect();
        for id in silent {
            self.say(id, &Section::Call);
        }
    }
}
