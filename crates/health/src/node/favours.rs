//! Opinions for others: what they ask, and the probes that answer them.
//!
//! Opinions are probes like any other, at most a tenth of the own rate or 50 a second. When very
//! many targets fail at once more is asked than that, so nothing is done in vain: who asks again
//! about a target keeps its place and is answered in its newest case; what was ruled meanwhile is
//! left out; and each node goes through what it is asked in an order of its own, so that of two who
//! are asked the same one has often answered before the other comes to it.
//! Drive it with [`Node::asked`] and [`Node::do_favours`]. Does not know what a word leads to.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use base::{Duration, NodeId, Slot, Ticket, Time, hash64};

use super::{Node, Role};
use crate::cluster::{Ask, Notice, Section, Word};
use crate::definition;
use crate::input::{Check, Output, Probed};
use crate::outcome::{Doubt, Finding};
use crate::status::State;
use crate::verdict;

/// Questions that wait at most; more are not answered.
const ASKED_MAX: usize = 10_000;
/// Opinions a second, at least.
const FAVOURS: u64 = 50;
/// A question that waited so long may have been answered by others.
const OLD: Duration = Duration::from_millis(500);
/// Marks a ticket as an opinion's.
const OPINION: u32 = 1 << 31;

/// Where a question stands, who asks, and about what.
type Place = (u64, NodeId, Arc<str>);

/// What this node is asked by others.
#[derive(Debug, Default)]
pub(super) struct Favours {
    /// Questions that wait, each with when it was first asked.
    waiting: BTreeMap<Place, (Ask, Time)>,
    /// The last one that was taken: the next one is behind it.
    last_taken: Option<Place>,
    /// Probes under way: who asked, and in which case.
    under_way: BTreeMap<(Slot, Ticket), (NodeId, u64)>,
    last: u32,
    /// Opinions that may be probed now, and since when that grows.
    room: u64,
    filled: Time,
}

impl Favours {
    /// When there is room for more of what waits.
    pub(super) fn deadline(&self) -> Option<Time> {
        let soon = self.filled + Duration::from_millis(20);
        (!self.waiting.is_empty()).then_some(soon)
    }

    fn ask(&mut self, now: Time, me: NodeId, from: NodeId, ask: Ask) {
        let mut bytes = me.0.to_le_bytes().to_vec();
        bytes.extend_from_slice(ask.target.as_bytes());
        let place = (hash64(&bytes), from, Arc::clone(&ask.target));
        if let Some((waits, _)) = self.waiting.get_mut(&place) {
            *waits = ask;
        } else if self.waiting.len() < ASKED_MAX {
            self.waiting.insert(place, (ask, now));
        }
    }

    /// The next question in turn: round and round, so that everything comes up.
    fn take(&mut self) -> Option<(NodeId, Ask, Time)> {
        let behind = self.last_taken.take().and_then(|last| {
            let mut rest = self
                .waiting
                .range((Bound::Excluded(last), Bound::Unbounded));
            rest.next().map(|(place, _)| place.clone())
        });
        let place = behind.or_else(|| self.waiting.keys().next().cloned())?;
        let (ask, since) = self.waiting.remove(&place)?;
        let from = place.1;
        self.last_taken = Some(place);
        Some((from, ask, since))
    }

    fn fill(&mut self, now: Time, rate: u64) {
        let gained = crate::clock::micros(now.since(self.filled)) * rate / 1_000_000;
        if gained > 0 {
            (self.room, self.filled) = ((self.room + gained).min(rate), now);
        }
    }

    fn of(&self, slot: Slot) -> impl Iterator<Item = (&(Slot, Ticket), &(NodeId, u64))> {
        self.under_way
            .range((slot, Ticket(0))..=(slot, Ticket(u32::MAX)))
    }

    /// A slot means something else from now on.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.under_way.retain(|(of, _), _| *of != slot);
    }
}

impl Node {
    /// Somebody wants to know what this node sees.
    pub(super) fn asked(&mut self, from: NodeId, ask: Ask) {
        let now = self.now;
        let slot = self.known(&ask.target).map(|entry| entry.slot);
        let joined = self.joined.as_mut().expect("its rooms spoke");
        let is_under_way = slot.is_some_and(|slot| {
            let mut probes = joined.favours.of(slot);
            probes.any(|(_, asker)| *asker == (from, ask.case))
        });
        if !is_under_way {
            let me = joined.cluster.me;
            joined.favours.ask(now, me, from, ask);
        }
    }

    /// Probes for others, as far as there is room.
    pub(super) fn do_favours(&mut self) {
        let now = self.now;
        let rate = FAVOURS.max(self.pace.per_second() / 10);
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if joined.favours.waiting.is_empty() {
            return;
        }
        joined.favours.fill(now, rate);
        while !self.is_stopping {
            let joined = self.joined.as_mut().expect("only a joined node comes here");
            if joined.favours.room == 0 {
                return;
            }
            let Some((from, ask, since)) = joined.favours.take() else {
                return;
            };
            if now.since(since) > OLD && self.is_ruled(&ask.target) {
                continue;
            }
            let joined = self.joined.as_mut().expect("it was there above");
            joined.favours.room -= 1;
            self.favour(from, &ask);
        }
    }

    /// Whether the status is down already: others have said enough.
    fn is_ruled(&self, target: &str) -> bool {
        let entry = self.known(target);
        entry.is_some_and(|entry| self.row(entry.slot).state() == State::Down)
    }

    fn favour(&mut self, from: NodeId, ask: &Ask) {
        let entry = self.known(&ask.target);
        let slot = entry.map(|entry| entry.slot).filter(|slot| {
            let row = self.row(*slot);
            !row.is_paused() && hash64(&definition::encode(&row.definition())) == ask.sum
        });
        let Some(slot) = slot else {
            let finding = Finding::Inconclusive(Doubt::Unable);
            return self.say_word(from, ask.case, finding);
        };
        self.probe_for(from, ask.case, slot);
    }

    /// Probes a target once; `from`, perhaps this node itself, is told what comes of it.
    pub(super) fn probe_for(&mut self, from: NodeId, case: u64, slot: Slot) {
        if self.hot[slot.index()].role == Role::None && !self.is_probed_for_others(slot) {
            let row = Arc::clone(self.row(slot));
            let definition = row.definition();
            self.outputs
                .push_back(Output::Define(slot, definition, row.source));
        }
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let favours = &mut joined.favours;
        favours.last = favours.last.wrapping_add(1);
        let ticket = Ticket(OPINION | favours.last);
        favours.under_way.insert((slot, ticket), (from, case));
        self.pace.started(now);
        self.tally.opinions += 1;
        self.outputs.push_back(Output::Probe(Check {
            slot,
            ticket,
            due: now,
        }));
    }

    pub(super) fn is_probed_for_others(&self, slot: Slot) -> bool {
        let joined = self.joined.as_ref();
        joined.is_some_and(|joined| joined.favours.of(slot).next().is_some())
    }

    fn say_word(&mut self, to: NodeId, case: u64, finding: Finding) {
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let members = joined.cluster.quorum.members();
        let word = Section::Word(Word {
            case,
            finding,
            members: u16::try_from(members).expect("fifty stand for all"),
        });
        joined.cluster.say(to, &word);
    }

    fn give_opinion(&mut self, from: NodeId, case: u64, slot: Slot, finding: Finding) {
        let finding = self.as_told(finding);
        self.say_word(from, case, finding);
        let joined = self.joined.as_ref().expect("it was asked");
        let to = joined.cluster.name_of(from);
        if let Some(row) = self.rows[slot.index()].as_ref() {
            let target = row.title();
            self.tell_people(Notice::Opinion {
                target,
                case,
                to,
                finding,
            });
        }
    }

    /// Whether this outcome was asked for by another node, then it has been told.
    pub(super) fn is_opinion(&mut self, probed: &Probed) -> bool {
        let Some(joined) = &mut self.joined else {
            return false;
        };
        let key = (probed.slot, probed.ticket);
        let Some((from, case)) = joined.favours.under_way.remove(&key) else {
            return false;
        };
        let is_own = from == joined.cluster.me;
        let finding = verdict::judge(probed);
        if is_own {
            self.saw(finding);
        } else {
            self.give_opinion(from, case, probed.slot, finding);
        }
        let is_mine = self.hot[probed.slot.index()].role != Role::None;
        if self.is_live(probed.slot) && !is_mine && !self.is_probed_for_others(probed.slot) {
            self.outputs.push_back(Output::Undefine(probed.slot));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(favours: &mut Favours, now: u64, from: u64, target: &str, case: u64) {
        let target = target.into();
        let ask = Ask {
            case,
            target,
            sum: 0,
        };
        favours.ask(Time(now), NodeId(9), NodeId(from), ask);
    }

    fn taken(favours: &mut Favours) -> Vec<(u64, u64)> {
        let each = std::iter::from_fn(|| favours.take());
        each.map(|(from, ask, _)| (from.0, ask.case)).collect()
    }

    #[test]
    fn who_asks_again_keeps_its_place_and_is_answered_in_its_newest_case() {
        let mut favours = Favours::default();
        for case in 0..10 {
            ask(&mut favours, case, 1, "a", case);
        }
        ask(&mut favours, 1, 2, "a", 77);
        assert_eq!(
            favours.waiting.len(),
            2,
            "another node's question is its own"
        );
        let (_, _, since) = favours.take().expect("one waits");
        assert_eq!(since, Time(0));
        ask(&mut favours, 1, 1, "a", 10);
        let mut rest = taken(&mut favours);
        rest.sort_unstable();
        assert_eq!(rest, [(1, 10), (2, 77)]);
    }

    /// What is asked again and again must not keep others from their turn.
    #[test]
    fn everything_comes_up_in_turn_and_there_is_a_bound() {
        let mut favours = Favours::default();
        let names: Vec<String> = (0..100).map(|i| format!("t{i}")).collect();
        let mut came: BTreeMap<u64, u32> = BTreeMap::new();
        for _ in 0..300 {
            for (case, name) in names.iter().enumerate() {
                ask(&mut favours, 0, 1, name, case as u64);
            }
            let (_, ask, _) = favours.take().expect("they wait");
            *came.entry(ask.case).or_default() += 1;
        }
        assert!(came.values().all(|times| *times == 3), "{came:?}");
        for case in 0..20_000 {
            ask(&mut favours, 0, 2, &format!("t{case}"), case);
        }
        assert_eq!(favours.waiting.len(), ASKED_MAX);
    }

    #[test]
    fn two_nodes_that_are_asked_the_same_go_through_it_in_different_orders() {
        let orders = [8, 9].map(|me| {
            let mut favours = Favours::default();
            for case in 0..50 {
                let target = format!("t{case}").into();
                let sum = 0;
                let ask = Ask { case, target, sum };
                favours.ask(Time(0), NodeId(me), NodeId(1), ask);
            }
            taken(&mut favours)
        });
        assert_ne!(orders[0], orders[1]);
    }
}
