//! A node that reaches no target, though others do, gives its targets to them until it sees again.
//!
//! When nothing answers, the witnesses (`uplink.rs`) are put to the votes of others, if those can be
//! heard. If the others see most of them answer, this node is *blind*: it drains itself, and looks
//! at the witnesses every few seconds until one answers. If the others see them fail, too, the
//! outage is real, and everything that was held counts. Source: none; the votes decide.
//! Drive it with [`Node::testify`] and, once a second, [`Node::look`]. Does not know why a probe is silent.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Duration, Slot, Time};

use super::{Node, Role};
use crate::cluster::{Notice, Ruling};
use crate::outcome::{Doubt, Finding};
use crate::uplink::Uplink;

/// So many witnesses decide.
const ENOUGH: usize = Uplink::AT_LEAST / 2;
/// How often a blind node looks whether it sees again, and at how many targets at a time.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LOOKS: usize = 3;
/// How long it gives its targets away at least; twice as long each time that follows within
/// [`SPELL_MAX`], which is also the most.
const SPELL: Duration = Duration::from_secs(10);
const SPELL_MAX: Duration = Duration::from_mins(10);

/// What others said of the witnesses, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Blind {
    /// Since when nothing answers, as the words below were given.
    cut: Option<Time>,
    /// Witnesses that were ruled on: whether others see them answer.
    ruled: BTreeMap<Arc<str>, bool>,
    spell: Option<Spell>,
    /// How many spells have followed each other, and when the last ended.
    spells: u32,
    ended: Time,
}

/// A time of blindness.
#[derive(Debug)]
struct Spell {
    /// Not over before.
    until: Time,
    look_at: Time,
    /// What others see answer.
    watched: Vec<Arc<str>>,
    next: usize,
    /// One of them answered here when it was last looked at.
    sees: bool,
}

impl Blind {
    /// Whether this node knows that it sees nothing.
    pub(super) const fn is_blind(&self) -> bool {
        self.spell.is_some()
    }

    fn hear(&mut self, cut: Time, name: Arc<str>, answers: bool) -> (usize, usize) {
        if self.cut.replace(cut) != Some(cut) {
            self.ruled.clear();
        }
        self.ruled.insert(name, answers);
        let answering = self.ruled.values().filter(|answers| **answers).count();
        (answering, self.ruled.len() - answering)
    }

    fn begin(&mut self, now: Time) -> Duration {
        let is_next = self.spells > 0 && now.since(self.ended) < SPELL_MAX;
        self.spells = if is_next { self.spells + 1 } else { 1 };
        let span = (SPELL * 2_u32.saturating_pow((self.spells - 1).min(16))).min(SPELL_MAX);
        let ruled = std::mem::take(&mut self.ruled).into_iter();
        self.spell = Some(Spell {
            until: now + span,
            look_at: now + LOOK_EVERY,
            watched: ruled
                .filter(|(_, answers)| *answers)
                .map(|(n, _)| n)
                .collect(),
            next: 0,
            sees: false,
        });
        span
    }

    /// What is to be looked at now.
    fn turn(&mut self, now: Time) -> Vec<Arc<str>> {
        let Some(spell) = self.spell.as_mut().filter(|spell| now >= spell.look_at) else {
            return Vec::new();
        };
        spell.look_at = now + LOOK_EVERY;
        let watched = spell.watched.iter().cycle().skip(spell.next);
        let now: Vec<Arc<str>> = watched
            .take(LOOKS.min(spell.watched.len()))
            .cloned()
            .collect();
        spell.next = (spell.next + now.len()) % spell.watched.len().max(1);
        now
    }

    fn is_over(&self, now: Time) -> bool {
        let spell = self.spell.as_ref();
        spell.is_some_and(|spell| now >= spell.until && (spell.sees || spell.watched.is_empty()))
    }
}

impl Node {
    /// Whether a failure of this target would be put to others who can be heard, now that nothing
    /// answers. Asked for each outcome.
    #[inline]
    pub(super) fn is_heard(&self, slot: Slot) -> bool {
        let cut = self.uplink.cut_since();
        cut.is_some_and(|cut| self.is_heard_since(slot, cut))
    }

    fn is_heard_since(&self, slot: Slot, cut: Time) -> bool {
        let Some(joined) = &self.joined else {
            return false;
        };
        let is_mine = self.hot[slot.index()].role == Role::Owner;
        is_mine && joined.cluster.quorum.is_met(cut, 0) && self.must_ask(slot)
    }

    /// Others have said what they see of a target.
    pub(super) fn testify(&mut self, slot: Slot, ruling: Ruling) {
        let Some(cut) = self.uplink.cut_since() else {
            return;
        };
        let answers = match ruling {
            Ruling::Down => false,
            Ruling::Outvoted => true,
            Ruling::Unconfirmed => return,
        };
        if !self.uplink.is_witness(slot) {
            return;
        }
        let name = self.row(slot).title();
        let joined = self.joined.as_mut().expect("it has asked");
        let (answering, failing) = joined.blind.hear(cut, name, answers);
        if failing >= ENOUGH {
            self.uplink.believe();
        } else if answering >= ENOUGH && !joined.blind.is_blind() {
            self.go_blind();
        }
    }

    fn go_blind(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("it has asked");
        if !joined.cluster.has_heirs() {
            return;
        }
        let span = joined.blind.begin(now);
        joined.cluster.blind(now, true);
        self.tell_people(Notice::Blind { span });
    }

    /// Once a second: whether it sees again.
    pub(super) fn look(&mut self) {
        let now = self.now;
        let cut = self.uplink.cut_since();
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        joined.cluster.wanted = cut;
        if joined.blind.is_over(now) {
            joined.blind.spell = None;
            joined.blind.ended = now;
            joined.cluster.blind(now, false);
            self.uplink.answered(now);
            return self.tell_people(Notice::Sees);
        }
        let me = joined.cluster.me;
        for name in joined.blind.turn(now) {
            let slot = self.known(&name).map(|entry| entry.slot);
            match slot.filter(|slot| !self.row(*slot).is_paused()) {
                Some(slot) => self.probe_for(me, 0, slot),
                None => self.unwatch(&name),
            }
        }
    }

    fn unwatch(&mut self, name: &str) {
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if let Some(spell) = &mut joined.blind.spell {
            spell.watched.retain(|watched| **watched != *name);
        }
    }

    /// What this node sees of a target that it looked at for itself.
    pub(super) fn saw(&mut self, finding: Finding) {
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if let Some(spell) = &mut joined.blind.spell {
            spell.sees = match finding {
                Finding::Failed(reason) => !reason.is_silent(),
                Finding::Passed => true,
                Finding::Inconclusive(_) => spell.sees,
            };
        }
    }

    /// What a blind node may say to others of what it found: silence says more about itself.
    pub(super) fn as_told(&self, finding: Finding) -> Finding {
        let joined = self.joined.as_ref();
        let is_blind = joined.is_some_and(|joined| joined.blind.is_blind());
        match finding {
            Finding::Failed(reason) if is_blind && reason.is_silent() => {
                Finding::Inconclusive(Doubt::NothingAnswers)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_grow_while_they_follow_each_other_and_are_short_again_later() {
        let mut blind = Blind::default();
        let mut now = Time(1_000_000_000);
        let mut spans = Vec::new();
        for _ in 0..9 {
            let span = blind.begin(now);
            spans.push(span.as_secs());
            now += span;
            (blind.spell, blind.ended) = (None, now);
            now += Duration::from_secs(5);
        }
        assert_eq!(spans, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(blind.begin(now + SPELL_MAX), SPELL);
    }

    #[test]
    fn what_others_see_answer_is_looked_at_in_turn_until_one_answers() {
        let mut blind = Blind::default();
        for at in 0..6 {
            let name = format!("t{at}").into();
            blind.hear(Time(1), name, at != 3);
        }
        assert_eq!(blind.hear(Time(1), "t0".into(), true), (5, 1));
        blind.begin(Time(1));
        let mut seen = Vec::new();
        let mut now = Time(1);
        for _ in 0..3 {
            now += LOOK_EVERY;
            assert!(blind.turn(Time(now.0 - 1)).is_empty());
            seen.extend(blind.turn(now));
        }
        let seen: Vec<&str> = seen.iter().map(|name| &**name).collect();
        assert_eq!(seen, ["t0", "t1", "t2", "t4", "t5", "t0", "t1", "t2", "t4"]);
        assert!(!blind.is_over(now));
        blind.spell.as_mut().expect("it has begun").sees = true;
        assert!(blind.is_over(now));
        // Another cut is another question.
        assert_eq!(blind.hear(Time(9), "t3".into(), false), (0, 1));
    }
}
