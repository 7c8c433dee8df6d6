//! Before `down` is written: what others see of a target, and whether enough of them were heard.
//!
//! A case is opened at the failure that would make a target down. It ends with the first of:
//! a strict majority of all asked and the owner itself that failed, together with word newer than
//! the first failure from more than half of the members (down); a strict majority that passed
//! (outvoted). At the end of patience it is unconfirmed, and stays open for late word until the
//! target answers or fails again. Silence abstains and shrinks nothing (design.md, "Verdict").
//! Does not know how anybody is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Duration, NodeId, Slot, Time};

use super::packet::Word;
use crate::outcome::{Finding, Reason};

/// Cases open at a time; beyond, a verdict goes on without being confirmed, as unconfirmed.
const CASES_MAX: usize = 100_000;

/// What a case ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// A majority failed, and enough members were heard.
    Down,
    /// A majority passed.
    Outvoted,
    /// Neither, and the patience is over.
    Unconfirmed,
}

impl Ruling {
    /// In people's words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Outvoted => "outvoted",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// What one node found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote {
    /// Who.
    pub node: Arc<str>,
    /// `None`: it has not said anything.
    pub passed: Option<bool>,
}

/// Who said what, for a line of a log: `n1 failed, n2 passed, n3 silent`.
#[must_use]
pub fn votes_in_words(votes: &[Vote]) -> String {
    let words = votes.iter().map(|vote| {
        let word = match vote.passed {
            Some(true) => "passed",
            Some(false) => "failed",
            None => "silent",
        };
        format!("{} {word}", vote.node)
    });
    words.collect::<Vec<_>>().join(", ")
}

/// One verdict that waits for others.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) id: u64,
    pub(crate) slot: Slot,
    /// The first failure of the streak: only newer word counts.
    pub(crate) since: Time,
    pub(crate) opened: Time,
    pub(crate) until: Time,
    pub(crate) reason: Reason,
    pub(crate) detail: Option<Arc<str>>,
    /// Who was asked, what they found, and when that was heard.
    pub(crate) voters: BTreeMap<NodeId, Option<(Finding, Time)>>,
    /// How many votes there would be if everybody who should be asked could be: at least those.
    pub(crate) seats: usize,
    /// How many members there are by the word of those who have answered.
    pub(crate) members: usize,
    pub(crate) stage: Stage,
}

/// How far a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Everybody was asked.
    Asked,
    /// Who had not answered was asked again.
    Reminded,
    /// The patience is over. Word that comes later still counts: where very many targets fail at
    /// once opinions queue for longer than anybody waits.
    Overdue,
}

/// All open cases.
#[derive(Debug, Default)]
pub(crate) struct Cases {
    open: BTreeMap<u64, Case>,
    of_slot: BTreeMap<Slot, u64>,
    /// When the next thing is due of each case that is not overdue.
    due: BTreeSet<(Time, u64)>,
    /// The first failures of the same cases.
    since: BTreeSet<(Time, u64)>,
    /// Cases in which something was said since they were looked at.
    fresh: BTreeSet<u64>,
    /// Cases with enough failures that wait for a quorum, by their first failure.
    ripe: BTreeSet<(Time, u64)>,
    last: u64,
}

impl Cases {
    /// Cases whose numbers follow this one. Those of a node's two lives must not be the same: who
    /// was asked by the one may answer to the other, about another target.
    pub(crate) fn beginning_at(last: u64) -> Self {
        Self {
            last,
            ..Self::default()
        }
    }

    /// Opens a case, or asks anew in one that is overdue: word that is newer than its first failure
    /// is kept. `None` when one is under way for the slot, or too many are open.
    pub(crate) fn open(&mut self, mut case: Case) -> Option<u64> {
        match self.of(case.slot) {
            Some(old) if old.stage != Stage::Overdue => return None,
            Some(old) => {
                for (voter, word) in &mut case.voters {
                    let said = old.voters.get(voter).copied().flatten();
                    *word = said.filter(|(_, heard)| *heard > case.since);
                }
                (case.id, case.members) = (old.id, old.members);
                self.drop(case.slot);
            }
            None if self.open.len() >= CASES_MAX => return None,
            None => {
                self.last += 1;
                case.id = self.last;
            }
        }
        let id = case.id;
        self.of_slot.insert(case.slot, id);
        self.due.insert((case.due(), id));
        self.since.insert((case.since, id));
        self.fresh.insert(id);
        self.open.insert(id, case);
        Some(id)
    }

    /// The target has answered, or is not ours any more.
    pub(crate) fn drop(&mut self, slot: Slot) -> Option<Case> {
        let id = self.of_slot.remove(&slot)?;
        let case = self.open.remove(&id)?;
        self.due.remove(&(case.due(), id));
        self.since.remove(&(case.since, id));
        self.ripe.remove(&(case.since, id));
        self.fresh.remove(&id);
        Some(case)
    }

    /// Whether a case is open for a slot.
    pub(crate) fn of(&self, slot: Slot) -> Option<&Case> {
        self.open.get(self.of_slot.get(&slot)?)
    }

    /// Whether nobody is waited for.
    pub(crate) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Somebody's word; from one who was not asked, or twice, it counts nothing.
    pub(crate) fn word(&mut self, now: Time, from: NodeId, word: Word) {
        let Some(case) = self.open.get_mut(&word.case) else {
            return;
        };
        if let Some(vote) = case.voters.get_mut(&from) {
            vote.get_or_insert((word.finding, now));
            case.members = case.members.max(usize::from(word.members));
            self.fresh.insert(word.case);
        }
    }

    /// Every case that can be ruled now, in the order in which they were opened. Those that are
    /// decided are taken out; those whose patience is over are told once and stay.
    pub(crate) fn rule(
        &mut self,
        now: Time,
        is_quorate: impl Fn(Time, usize) -> bool,
    ) -> Vec<(Case, Ruling)> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let mut look = std::mem::take(&mut self.fresh);
        let expired = self.due.iter().take_while(|(due, _)| *due <= now);
        look.extend(expired.map(|(_, id)| *id));
        // A quorum since one moment is one since any moment before.
        let ripe = self.ripe.iter();
        look.extend(
            ripe.take_while(|(since, _)| is_quorate(*since, 0))
                .map(|(_, id)| *id),
        );
        let mut ruled = Vec::new();
        for id in look {
            let Some(case) = self.open.get_mut(&id) else {
                continue;
            };
            match case.ruling(now, &is_quorate) {
                Some(Ruling::Unconfirmed) => {
                    self.due.remove(&(case.due(), id));
                    self.since.remove(&(case.since, id));
                    self.ripe.remove(&(case.since, id));
                    case.stage = Stage::Overdue;
                    ruled.push((case.clone(), Ruling::Unconfirmed));
                }
                Some(ruling) => {
                    let slot = case.slot;
                    let case = self.drop(slot).expect("it was just looked at");
                    ruled.push((case, ruling));
                }
                // One that is overdue is decided by word, not by who is heard of again: those who
                // said so may have been cut off together.
                None if case.stage != Stage::Overdue && case.has_enough_failures() => {
                    self.ripe.insert((case.since, id));
                }
                None => {}
            }
        }
        ruled
    }

    /// Cases that have waited a third of their time: who has not answered is asked once more.
    pub(crate) fn remind(&mut self, now: Time) -> Vec<Case> {
        let mut reminded = Vec::new();
        let due = self.due.iter().take_while(|(due, _)| *due <= now);
        for (at, id) in due.copied().collect::<Vec<_>>() {
            let case = self.open.get_mut(&id).expect("what is due is open");
            if case.stage == Stage::Asked {
                case.stage = Stage::Reminded;
                self.due.remove(&(at, id));
                self.due.insert((case.due(), id));
                reminded.push(case.clone());
            }
        }
        reminded
    }

    /// The latest first failure of all cases under way: since when members must be heard.
    pub(crate) fn oldest_needed(&self) -> Option<Time> {
        self.since.last().map(|(since, _)| *since)
    }

    /// When the first patience ends.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }
}

impl Case {
    /// When something is to be done about it. In whole microseconds, as time is: a deadline must
    /// be reached when it has come.
    const fn due(&self) -> Time {
        match self.stage {
            Stage::Asked => Time(self.opened.0 + self.until.0.saturating_sub(self.opened.0) / 3),
            Stage::Reminded | Stage::Overdue => self.until,
        }
    }

    fn count(&self, passed: bool) -> usize {
        let same = |vote: &&Option<(Finding, Time)>| match vote {
            Some((Finding::Passed, _)) => passed,
            Some((Finding::Failed(_), _)) => !passed,
            Some((Finding::Inconclusive(_), _)) | None => false,
        };
        self.voters.values().filter(same).count()
    }

    /// Whether more of the others saw it pass than fail.
    pub(crate) fn rather_passes(&self) -> bool {
        self.count(true) > self.count(false)
    }

    fn has_enough_failures(&self) -> bool {
        (self.count(false) + 1) * 2 > self.seats + 1
    }

    fn ruling(&self, now: Time, is_quorate: &impl Fn(Time, usize) -> bool) -> Option<Ruling> {
        if self.has_enough_failures() && is_quorate(self.since, self.members) {
            Some(Ruling::Down)
        } else if self.count(true) * 2 > self.seats + 1 {
            Some(Ruling::Outvoted)
        } else if now >= self.until && self.stage != Stage::Overdue {
            Some(Ruling::Unconfirmed)
        } else {
            None
        }
    }
}

/// Whether more than half of the members were heard since a moment, this node included.
///
/// Of more than fifty members, the fifty whose ids hash lowest stand for all.
#[derive(Debug, Default)]
pub(crate) struct Quorum {
    heard: BTreeMap<NodeId, Time>,
    /// Everybody who counts, this node not included: alive, suspect and dead.
    known: BTreeSet<NodeId>,
    /// How many there should be of whom this node knows only where they are.
    unmet: usize,
}

/// How many stand for all.
const DEPUTIES: usize = 50;

impl Quorum {
    /// Something came from a node.
    pub(crate) fn hear(&mut self, from: NodeId, now: Time) {
        if self.known.contains(&from) {
            self.heard.insert(from, now);
        }
    }

    /// Who counts, `me` not among them, and how many more there should be.
    pub(crate) fn count(&mut self, me: NodeId, all: impl Iterator<Item = NodeId>, unmet: usize) {
        self.unmet = unmet.min(DEPUTIES - 1);
        let mut all: Vec<NodeId> = all.filter(|id| *id != me).collect();
        if all.len() >= DEPUTIES {
            all.sort_by_key(|id| base::hash64(&id.0.to_le_bytes()));
            all.truncate(DEPUTIES - 1);
        }
        self.known = all.into_iter().collect();
        self.heard.retain(|id, _| self.known.contains(id));
    }

    /// How many others count.
    pub(crate) fn others(&self) -> usize {
        self.known.len() + self.unmet
    }

    /// How many count, this node included.
    pub(crate) fn members(&self) -> usize {
        self.others() + 1
    }

    /// Whether enough were heard after `since`, of at least so many `members`: others may know of
    /// more, whom this node has not met since it lost its disk.
    pub(crate) fn is_met(&self, since: Time, members: usize) -> bool {
        let heard = self.heard.values().filter(|at| **at > since).count();
        (heard + 1) * 2 > self.members().max(members.min(DEPUTIES))
    }

    /// Who has not been heard after `since`.
    pub(crate) fn silent(&self, since: Time) -> impl Iterator<Item = NodeId> {
        let is_silent = move |id: &&NodeId| self.heard.get(id).is_none_or(|at| *at <= since);
        self.known.iter().filter(is_silent).copied()
    }
}

/// How long a case waits for a target with this timeout.
pub(crate) fn patience(timeout: Duration) -> Duration {
    timeout + Duration::from_millis(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Finding = Finding::Failed(Reason::Refused);

    fn case(voters: &[u64], seats: usize) -> Case {
        Case {
            id: 0,
            slot: Slot(1),
            since: Time(1),
            opened: Time(2),
            until: Time(1_000),
            reason: Reason::Refused,
            detail: None,
            voters: voters.iter().map(|&id| (NodeId(id), None)).collect(),
            seats,
            members: 0,
            stage: Stage::Asked,
        }
    }

    fn rule(cases: &mut Cases, now: u64, quorate: bool) -> Option<Ruling> {
        let ruled = cases.rule(Time(now), |_, _| quorate);
        ruled.first().map(|(_, ruling)| *ruling)
    }

    fn say(cases: &mut Cases, now: u64, from: u64, case: u64, finding: Finding) {
        let word = Word {
            case,
            finding,
            members: 3,
        };
        cases.word(Time(now), NodeId(from), word);
    }

    #[test]
    fn down_needs_a_strict_majority_of_all_seats_and_a_quorum() {
        let mut cases = Cases::default();
        let id = cases.open(case(&[1, 2], 2)).unwrap();
        assert_eq!(rule(&mut cases, 10, true), None, "one of three");
        say(&mut cases, 5, 1, id, FAILED);
        assert_eq!(rule(&mut cases, 10, false), None, "nobody else was heard");
        assert_eq!(rule(&mut cases, 10, true), Some(Ruling::Down));
        assert!(cases.is_empty());
    }

    #[test]
    fn silence_and_doubt_abstain_and_shrink_nothing() {
        let mut cases = Cases::default();
        let id = cases.open(case(&[1, 2], 2)).unwrap();
        let unable = Finding::Inconclusive(crate::outcome::Doubt::Unable);
        say(&mut cases, 5, 1, id, unable);
        assert_eq!(rule(&mut cases, 999, true), None);
        assert_eq!(rule(&mut cases, 1_000, true), Some(Ruling::Unconfirmed));
        // Nobody could be asked, and two should have been.
        cases.open(case(&[], 2)).unwrap();
        assert_eq!(rule(&mut cases, 999, true), None);
        assert_eq!(rule(&mut cases, 1_000, true), Some(Ruling::Unconfirmed));
    }

    #[test]
    fn whoever_wakes_at_the_deadline_finds_the_reminder_due() {
        for span in 1..100 {
            let mut cases = Cases::default();
            let mut case = case(&[1], 1);
            case.until = Time(case.opened.0 + span);
            cases.open(case);
            let due = cases.deadline().unwrap();
            assert_eq!(cases.remind(due).len(), 1, "{span} us");
        }
    }

    #[test]
    fn late_word_counts_and_who_is_only_heard_of_again_confirms_nothing() {
        let mut cases = Cases::default();
        let id = cases.open(case(&[1, 2], 2)).unwrap();
        assert_eq!(rule(&mut cases, 1_000, true), Some(Ruling::Unconfirmed));
        assert_eq!(rule(&mut cases, 1_001, true), None, "it is said once");
        assert!(cases.is_empty() && cases.deadline().is_none());
        assert_eq!(cases.oldest_needed(), None);
        say(&mut cases, 2_000, 1, id, FAILED);
        assert_eq!(
            rule(&mut cases, 2_000, false),
            None,
            "nobody else was heard"
        );
        assert_eq!(rule(&mut cases, 2_001, true), None, "heard of again later");
        say(&mut cases, 2_002, 2, id, FAILED);
        assert_eq!(rule(&mut cases, 2_002, true), Some(Ruling::Down));
        assert!(cases.of(Slot(1)).is_none());
    }

    #[test]
    fn a_case_that_is_asked_anew_keeps_the_word_that_is_newer_than_its_first_failure() {
        let mut cases = Cases::default();
        let id = cases.open(case(&[1, 2, 3, 4], 4)).unwrap();
        say(&mut cases, 900, 1, id, FAILED);
        say(&mut cases, 990, 2, id, FAILED);
        assert_eq!(cases.open(case(&[1], 1)), None, "it is under way");
        assert_eq!(rule(&mut cases, 1_000, false), Some(Ruling::Unconfirmed));
        let mut anew = case(&[2, 3, 1, 4], 4);
        (anew.since, anew.opened, anew.until) = (Time(950), Time(1_500), Time(2_500));
        assert_eq!(cases.open(anew), Some(id));
        let said = |id: u64| cases.of(Slot(1)).unwrap().voters[&NodeId(id)].is_some();
        assert_eq!([said(1), said(2), said(3)], [false, true, false]);
        say(&mut cases, 1_600, 4, id, FAILED);
        assert_eq!(rule(&mut cases, 1_600, true), Some(Ruling::Down));
    }

    #[test]
    fn a_quorum_that_is_heard_later_rules_all_cases_under_way_that_are_ripe() {
        let mut cases = Cases::default();
        for slot in 0..10_u32 {
            let mut case = case(&[1], 1);
            (case.slot, case.since) = (Slot(slot), Time(u64::from(slot)));
            let id = cases.open(case).unwrap();
            say(&mut cases, 5, 1, id, FAILED);
        }
        assert_eq!(rule(&mut cases, 6, false), None);
        let ruled = cases.rule(Time(7), |since, _| since < Time(4));
        assert_eq!(ruled.len(), 4);
        assert!(ruled.iter().all(|(_, ruling)| *ruling == Ruling::Down));
        assert_eq!(cases.rule(Time(8), |_, _| true).len(), 6);
    }

    #[test]
    fn two_who_see_it_answer_outvote_the_owner() {
        let mut cases = Cases::default();
        let id = cases.open(case(&[1, 2], 2)).unwrap();
        say(&mut cases, 5, 1, id, Finding::Passed);
        say(&mut cases, 5, 1, id, FAILED);
        say(&mut cases, 5, 9, id, FAILED);
        assert_eq!(rule(&mut cases, 10, true), None);
        say(&mut cases, 5, 2, id, Finding::Passed);
        assert_eq!(rule(&mut cases, 10, true), Some(Ruling::Outvoted));
    }

    #[test]
    fn one_slot_has_one_case_and_a_dropped_one_hears_nothing() {
        let mut cases = Cases::default();
        let id = cases.open(case(&[1], 1)).unwrap();
        assert_eq!(cases.open(case(&[1], 1)), None);
        assert!(cases.drop(Slot(1)).is_some());
        say(&mut cases, 5, 1, id, FAILED);
        assert_eq!(rule(&mut cases, 2_000, true), None);
        assert!(cases.open(case(&[1], 1)).is_some());
    }

    #[test]
    fn more_than_half_of_all_members_must_be_heard_after_the_first_failure() {
        let mut quorum = Quorum::default();
        quorum.count(NodeId(0), (0..5).map(NodeId), 0);
        assert_eq!(quorum.others(), 4);
        quorum.hear(NodeId(1), Time(10));
        assert!(!quorum.is_met(Time(5), 0));
        quorum.hear(NodeId(2), Time(11));
        assert!(quorum.is_met(Time(5), 0));
        assert!(!quorum.is_met(Time(10), 0), "word as old as the failure");
        assert_eq!(quorum.silent(Time(10)).count(), 3);
        quorum.hear(NodeId(77), Time(20));
        quorum.hear(NodeId(1), Time(20));
        assert!(quorum.is_met(Time(10), 0));
    }

    #[test]
    fn two_nodes_need_both_and_one_alone_needs_nobody() {
        let mut quorum = Quorum::default();
        assert!(quorum.is_met(Time(0), 0));
        quorum.count(NodeId(0), [NodeId(1)].into_iter(), 0);
        assert!(!quorum.is_met(Time(0), 0));
        quorum.hear(NodeId(1), Time(1));
        assert!(quorum.is_met(Time(0), 0));
    }

    #[test]
    fn who_is_new_here_counts_those_whom_others_know_or_who_should_be_there() {
        let mut quorum = Quorum::default();
        quorum.count(NodeId(0), [NodeId(1)].into_iter(), 0);
        quorum.hear(NodeId(1), Time(10));
        assert!(quorum.is_met(Time(5), 3), "two of three");
        assert!(!quorum.is_met(Time(5), 4), "two of four");
        assert!(!quorum.is_met(Time(5), usize::MAX), "two of fifty");
        let mut alone = Quorum::default();
        alone.count(NodeId(0), std::iter::empty(), 2);
        assert_eq!(alone.others(), 2);
        assert!(!alone.is_met(Time(5), 0), "one of three");
        let mut cases = Cases::default();
        let id = cases.open(case(&[1], 1)).unwrap();
        say(&mut cases, 5, 1, id, FAILED);
        let ruled = |members| move |_, of| of <= members;
        assert!(cases.rule(Time(6), ruled(2)).is_empty());
        assert_eq!(cases.rule(Time(7), ruled(3)).len(), 1);
    }

    #[test]
    fn fifty_stand_for_a_thousand_and_every_node_chooses_the_same() {
        let mut quorum = Quorum::default();
        quorum.count(NodeId(0), (0..1_000).map(NodeId), 0);
        assert_eq!(quorum.others(), 49);
        let chosen = quorum.known.clone();
        quorum.count(NodeId(500), (0..1_000).map(NodeId), 0);
        let same = quorum.known.intersection(&chosen).count();
        assert!(same >= 48, "{same}");
    }
}
