//! A plain reading of one target's conclusive outcomes: what the verdict must equal.

use std::collections::BTreeSet;

use health::{Explanation, Rule, State};

/// All that is remembered of one target.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) rule: Rule,
    pub(crate) state: State,
    /// Conclusive outcomes since the last change of state, newest last.
    outcomes: Vec<bool>,
    /// Failures since the last pass (or the last change, with a window) that the server itself made.
    pub(crate) genuine: u32,
    /// The uplink cuts to which other failures in that time are owed.
    pub(crate) cuts: BTreeSet<u64>,
}

impl Reading {
    pub(crate) fn new(rule: Rule, state: State) -> Self {
        Self {
            rule,
            state,
            outcomes: Vec::new(),
            genuine: 0,
            cuts: BTreeSet::new(),
        }
    }

    /// Goes on from what a restarted node explains.
    pub(crate) fn resume(&mut self, explained: &Explanation) {
        self.state = explained.state;
        self.outcomes = match explained.state {
            State::Down => vec![true; usize::from(explained.successes)],
            State::Paused => Vec::new(),
            State::Unknown | State::Up if self.rule.of > self.rule.fall => (0..self.rule.of)
                .rev()
                .map(|bit| explained.window >> bit & 1 == 0)
                .collect(),
            State::Unknown | State::Up => vec![false; usize::from(explained.failures)],
        };
    }

    /// Forgets outcomes: the target is asked in another way, or was paused.
    pub(crate) fn reset(&mut self, rule: Rule, state: State) {
        *self = Self::new(rule, state);
    }

    /// Reads one outcome; what is to blame stands in `genuine` and `cut`.
    pub(crate) fn read(&mut self, passed: bool, genuine: bool, cut: Option<u64>) {
        if self.state == State::Paused {
            return;
        }
        if passed && self.rule.of == self.rule.fall {
            self.genuine = 0;
            self.cuts.clear();
        }
        self.genuine += u32::from(!passed && genuine);
        self.cuts.extend(cut.filter(|_| !passed));
        self.outcomes.push(passed);
        let next = self.next();
        if next != self.state {
            self.state = next;
            self.outcomes.clear();
        }
    }

    fn next(&self) -> State {
        let last = |n: u16| self.outcomes.iter().rev().take(usize::from(n));
        let Rule { fall, of, rise } = self.rule;
        let passes = last(rise).filter(|passed| **passed).count();
        let failures = last(of).filter(|passed| !**passed).count();
        match self.state {
            State::Down if passes == usize::from(rise) => State::Up,
            State::Unknown if last(1).any(|passed| *passed) => State::Up,
            State::Up | State::Unknown if failures >= usize::from(fall) => State::Down,
            same => same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_goes_down_and_up_by_its_rule() {
        let mut reading = Reading::new(Rule::default(), State::Unknown);
        let states: Vec<State> = [true, false, false, false, true, true]
            .into_iter()
            .map(|passed| {
                reading.read(passed, true, None);
                reading.state
            })
            .collect();
        let (up, down) = (State::Up, State::Down);
        assert_eq!(states, [up, up, up, down, down, up]);
    }
}
