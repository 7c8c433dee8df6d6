//! What an owner knows of a target, asked for by readers on any node.
//!
//! Recent outcomes are not in the node: [`Output::Inquired`] asks whoever probes for them, on the
//! owner, and [`crate::Input::Tell`] brings them. A question to another node waits half a second, is asked
//! again meanwhile, and so many wait at most; what was asked by others leaves nothing behind here.
//! What is told has no part in any decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Duration, NodeId, Slot, Time};

use super::{Node, Role};
use crate::account::{Account, Findings, Missing};
use crate::cluster::{Inquire, Section, Tell};
use crate::input::{Asker, Inquiry, Output, Request};

/// How long an owner has for its answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// How soon it is asked again: a datagram may be lost.
const AGAIN: Duration = Duration::from_millis(120);
/// Questions that wait for other nodes at most.
const WAITING_MAX: usize = 1_024;
/// Questions of other nodes that are answered in a second at most.
const ANSWERS_MAX: u32 = 2_000;

/// Questions that wait for other nodes, and how many of theirs were answered.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    waiting: BTreeMap<u64, Waiting>,
    last: u64,
    /// Answers given since.
    answered: (u32, Time),
}

/// A question that waits.
#[derive(Debug)]
struct Waiting {
    request: Request,
    target: Arc<str>,
    whom: NodeId,
    again: Time,
    until: Time,
}

impl Inquiries {
    /// When a question is to be asked again, or given up.
    pub(super) fn deadline(&self) -> Option<Time> {
        let due = |waiting: &Waiting| waiting.again.min(waiting.until);
        self.waiting.values().map(due).min()
    }

    /// The numbers of the questions that wait.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.waiting.keys().copied().collect()
    }

    /// Whether one more question of another node may be answered now.
    fn may_answer(&mut self, now: Time) -> bool {
        if now.since(self.answered.1) >= Duration::from_secs(1) {
            self.answered = (0, now);
        }
        self.answered.0 += 1;
        self.answered.0 <= ANSWERS_MAX
    }
}

impl Node {
    /// A reader here wants the owner's account of a target.
    pub(super) fn inquire(&mut self, request: Request, name: &Arc<str>) {
        let missing = match self.known(name).map(|entry| entry.slot) {
            None => Missing::NoTarget,
            Some(slot) if self.speaks_for(slot) => {
                let asker = Asker::Here(request);
                let inquiry = Inquiry { slot, asker };
                self.outputs.push_back(Output::Inquired(inquiry, slot));
                return;
            }
            Some(slot) => match self.ask_owner(request, slot, name) {
                Ok(()) => return,
                Err(missing) => missing,
            },
        };
        self.outputs.push_back(Output::Told(request, Err(missing)));
    }

    /// Whether this node's word on a target is the owner's.
    fn speaks_for(&self, slot: Slot) -> bool {
        self.joined.is_none() || self.hot[slot.index()].role == Role::Owner
    }

    fn ask_owner(
        &mut self,
        request: Request,
        slot: Slot,
        target: &Arc<str>,
    ) -> Result<(), Missing> {
        let now = self.now;
        let joined = self.joined.as_mut().expect("a node alone owns all");
        let owner = joined.cluster.ownership.owners(slot).next();
        let owner = owner.map(|member| Arc::clone(&member.name));
        let owner = owner.ok_or(Missing::Unowned)?;
        let whom = joined.cluster.living(&owner).ok_or(Missing::Unowned)?;
        if whom == joined.cluster.me {
            return Err(Missing::Disowned(owner));
        }
        if joined.inquiries.waiting.len() >= WAITING_MAX {
            joined.cluster.dropped.inquiries += 1;
            return Err(Missing::TooMany);
        }
        let number = joined.number_a_question();
        let waiting = Waiting {
            request,
            target: Arc::clone(target),
            whom,
            again: now + AGAIN,
            until: now + PATIENCE,
        };
        joined.put_question(number, &waiting);
        joined.inquiries.waiting.insert(number, waiting);
        Ok(())
    }

    /// Asks once more who has not answered, and gives up on who took too long.
    pub(super) fn ask_again(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if joined.inquiries.deadline().is_none_or(|due| due > now) {
            return;
        }
        let mut waiting = std::mem::take(&mut joined.inquiries.waiting);
        for (_, late) in waiting.extract_if(.., |_, waiting| waiting.until <= now) {
            let missing = Missing::Silent(joined.cluster.name_of(late.whom));
            let told = Output::Told(late.request, Err(missing));
            self.outputs.push_back(told);
        }
        for (number, waiting) in waiting.iter_mut().filter(|(_, w)| w.again <= now) {
            waiting.again = now + AGAIN;
            joined.put_question(*number, waiting);
        }
        joined.inquiries.waiting = waiting;
    }

    /// Another node wants this one's account of a target.
    pub(super) fn inquired(&mut self, from: NodeId, inquire: &Inquire) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("its rooms spoke");
        if !joined.inquiries.may_answer(now) {
            joined.cluster.dropped.inquiries += 1;
            return;
        }
        let slot = self.known(&inquire.target).map(|entry| entry.slot);
        match slot.filter(|slot| self.speaks_for(*slot)) {
            Some(slot) => {
                let asker = Asker::There(from, inquire.number);
                let inquiry = Inquiry { slot, asker };
                self.outputs.push_back(Output::Inquired(inquiry, slot));
            }
            None => self.reply(from, inquire.number, None),
        }
    }

    /// What was found, from whoever probes: with the counters it is the account.
    pub(super) fn tell(&mut self, inquiry: Inquiry, findings: Findings) {
        let account = self.explain(inquiry.slot).map(|explanation| Account {
            by: self.own_name(),
            explanation,
            findings,
            unable: self.unable_for(inquiry.slot),
        });
        match inquiry.asker {
            Asker::Here(request) => {
                let told = account.map(Box::new).ok_or(Missing::NoTarget);
                self.outputs.push_back(Output::Told(request, told));
            }
            Asker::There(from, number) => self.reply(from, number, account),
        }
    }

    /// Who is left out of a target's order for now.
    fn unable_for(&self, slot: Slot) -> Vec<Arc<str>> {
        let unable = self.joined.as_ref().map(|joined| &joined.unable);
        let nodes = unable.and_then(|unable| unable.get(self.row(slot).name()));
        nodes.into_iter().flatten().cloned().collect()
    }

    fn own_name(&self) -> Arc<str> {
        let joined = self.joined.as_ref();
        joined.map_or_else(Arc::default, |joined| Arc::clone(&joined.cluster.name))
    }

    fn reply(&mut self, to: NodeId, number: u64, account: Option<Account>) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("another node asked");
        let account = account.map(|account| account.encode(now));
        let section = Section::Tell(Tell { number, account });
        joined.cluster.say_at_length(to, &section);
    }

    /// An account, or the word that there is none to give.
    pub(super) fn told(&mut self, from: NodeId, tell: &Tell) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("its rooms spoke");
        let waiting = &mut joined.inquiries.waiting;
        let is_asked = waiting.get(&tell.number).is_some_and(|w| w.whom == from);
        let account = tell.account.as_deref();
        let account = account.map(|bytes| Account::decode(bytes, now)).transpose();
        let (true, Ok(account)) = (is_asked, account) else {
            joined.cluster.dropped.accounts += 1;
            return;
        };
        let asked = waiting.remove(&tell.number).expect("it was there above");
        let disowned = || Missing::Disowned(joined.cluster.name_of(from));
        let told = account.map(Box::new).ok_or_else(disowned);
        self.outputs.push_back(Output::Told(asked.request, told));
    }
}

impl super::joined::Joined {
    /// Numbers of one life are not those of another: a late answer must not fit a new question.
    fn number_a_question(&mut self) -> u64 {
        if self.inquiries.last == 0 {
            self.inquiries.last = self.cluster.draw() >> 1;
        }
        self.inquiries.last += 1;
        self.inquiries.last
    }

    fn put_question(&mut self, number: u64, waiting: &Waiting) {
        let inquire = Inquire {
            number,
            target: Arc::clone(&waiting.target),
        };
        let section = Section::Inquire(inquire);
        self.cluster.say(waiting.whom, &section);
    }
}
