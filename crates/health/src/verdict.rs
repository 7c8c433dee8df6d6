//! The step from outcomes to a status: fall, rise, k of n, inconclusive.
//!
//! | from | outcome | to |
//! |---|---|---|
//! | unknown | one pass | up |
//! | unknown, up | `fall` failures in a row (or among the last `of`) | down |
//! | down | `rise` passes in a row | up |
//! | any | inconclusive | stays, and no counter moves |
//!
//! Does not know targets, time or disk.

use crate::definition::Rule;
use crate::input::Probed;
use crate::outcome::{Doubt, Finding};
use crate::status::State;

/// What a verdict is made from; survives a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) state: State,
    /// Failures in a row, up to `fall`.
    pub(crate) failures: u16,
    /// Passes in a row while down, up to `rise`.
    pub(crate) successes: u16,
    /// The last outcomes, newest lowest, 1 for a failure; only kept when `of` exceeds `fall`.
    pub(crate) window: u64,
}

impl Counters {
    pub(crate) const fn new(state: State) -> Self {
        Self {
            state,
            failures: 0,
            successes: 0,
            window: 0,
        }
    }

    /// Counts one outcome; the new state if it changes.
    pub(crate) fn step(&mut self, rule: Rule, passed: bool) -> Option<State> {
        let next = match self.state {
            State::Paused => None,
            State::Down => self.while_down(rule, passed),
            State::Unknown | State::Up => self.while_not_down(rule, passed),
        };
        if let Some(state) = next {
            *self = Self::new(state);
        }
        next
    }

    /// Counts a failure that would make it down, while that waits for others to confirm it.
    pub(crate) fn held(mut self, rule: Rule) -> Self {
        self.failures = self.failures.saturating_add(1).max(rule.fall);
        self.window = window(self.window, rule, false);
        self
    }

    /// Counts failures that were held back, as far as they make no verdict by themselves.
    pub(crate) fn fail_before(&mut self, rule: Rule, held: u32) {
        if matches!(self.state, State::Unknown | State::Up) {
            let room = rule.fall.saturating_sub(1 + self.failures);
            for _ in 0..held.min(u32::from(room)) {
                self.failures += 1;
                self.window = window(self.window, rule, false);
            }
        }
    }

    /// Whether no verdict is in the making.
    pub(crate) const fn is_at_rest(self) -> bool {
        self.failures == 0 && self.successes == 0
    }

    fn while_down(&mut self, rule: Rule, passed: bool) -> Option<State> {
        self.successes = if passed { self.successes + 1 } else { 0 };
        (self.successes >= rule.rise).then_some(State::Up)
    }

    fn while_not_down(&mut self, rule: Rule, passed: bool) -> Option<State> {
        self.failures = if passed {
            0
        } else {
            self.failures.saturating_add(1)
        };
        let windowed = rule.of > rule.fall;
        self.window = window(self.window, rule, passed);
        let fell = self.failures >= rule.fall
            || windowed && self.window.count_ones() >= u32::from(rule.fall);
        match (self.state, passed) {
            (State::Unknown, true) => Some(State::Up),
            _ if fell => Some(State::Down),
            _ => None,
        }
    }
}

fn window(window: u64, rule: Rule, passed: bool) -> u64 {
    if rule.of > rule.fall {
        (window << 1 | u64::from(!passed)) & (u64::MAX >> (64 - rule.of.min(64)))
    } else {
        window
    }
}

/// What a probe's finding counts as, given what its own report says of the checker.
///
/// A failure of a probe during which the checker's own loop stood still for more than half of
/// the probe's time says more about the checker.
pub(crate) fn judge(probed: &Probed) -> Finding {
    match probed.finding {
        Finding::Failed(_) if probed.late > probed.timeout / 2 => {
            Finding::Inconclusive(Doubt::Late)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Phase, Reason};
    use base::{Duration, Rng, Slot, Ticket};

    const RULE: Rule = Rule {
        fall: 3,
        of: 3,
        rise: 2,
    };
    const THREE_OF_FIVE: Rule = Rule {
        fall: 3,
        of: 5,
        rise: 2,
    };

    /// Runs outcomes written as text (`+` passed, `-` failed) and writes the states after each.
    fn run(rule: Rule, from: State, outcomes: &str) -> String {
        let mut counters = Counters::new(from);
        outcomes
            .chars()
            .map(|c| {
                counters.step(rule, c == '+');
                match counters.state {
                    State::Up => 'U',
                    State::Down => 'D',
                    State::Unknown => '?',
                    State::Paused => 'P',
                }
            })
            .collect()
    }

    #[test]
    fn verdicts_by_table() {
        let table = [
            (RULE, State::Unknown, "+", "U"),
            (RULE, State::Unknown, "---", "??D"),
            (RULE, State::Unknown, "--+--", "??UUU"),
            (RULE, State::Up, "--+--+---", "UUUUUUUUD"),
            (RULE, State::Down, "+-++", "DDDU"),
            (RULE, State::Down, "+-+-+-", "DDDDDD"),
            (THREE_OF_FIVE, State::Up, "-+-+-", "UUUUD"),
            (THREE_OF_FIVE, State::Up, "-++-++-++", "UUUUUUUUU"),
            (THREE_OF_FIVE, State::Up, "---", "UUD"),
            (
                Rule {
                    fall: 1,
                    of: 1,
                    rise: 1,
                },
                State::Up,
                "-+-+",
                "DUDU",
            ),
            (RULE, State::Paused, "---++", "PPPPP"),
        ];
        for (rule, from, outcomes, states) in table {
            assert_eq!(
                run(rule, from, outcomes),
                states,
                "{rule:?} from {from:?}: {outcomes}"
            );
        }
    }

    #[test]
    fn the_verdict_equals_a_plain_reading_of_the_whole_history() {
        for seed in 0..2_000 {
            let mut rng = Rng::new(seed);
            let fall = u16::try_from(1 + rng.below(4)).unwrap();
            let rule = Rule {
                fall,
                of: fall + u16::try_from(rng.below(4)).unwrap(),
                rise: u16::try_from(1 + rng.below(3)).unwrap(),
            };
            let mut counters = Counters::new(State::Unknown);
            // The plain reading: outcomes since the last change, newest last.
            let (mut state, mut since): (State, Vec<bool>) = (State::Unknown, Vec::new());
            for _ in 0..60 {
                let passed = rng.chance(60);
                counters.step(rule, passed);
                since.push(passed);
                let tail = |n: u16| since.iter().rev().take(usize::from(n));
                let next = match state {
                    State::Down
                        if since.len() >= usize::from(rule.rise) && tail(rule.rise).all(|p| *p) =>
                    {
                        State::Up
                    }
                    State::Unknown if passed => State::Up,
                    State::Up | State::Unknown
                        if tail(rule.of).filter(|p| !**p).count() >= usize::from(rule.fall) =>
                    {
                        State::Down
                    }
                    same => same,
                };
                if next != state {
                    state = next;
                    since.clear();
                }
                assert_eq!(counters.state, state, "seed {seed}, {rule:?}");
            }
        }
    }

    fn probed(finding: Finding, late_ms: u64, local: bool) -> Probed {
        Probed {
            slot: Slot(0),
            ticket: Ticket(0),
            finding,
            late: Duration::from_millis(late_ms),
            timeout: Duration::from_secs(1),
            local,
            detail: None,
        }
    }

    const SILENT: Finding = Finding::Failed(Reason::Timeout(Phase::Connect));

    #[test]
    fn a_failure_while_the_checker_stood_still_is_inconclusive_and_a_pass_is_a_pass() {
        assert_eq!(
            judge(&probed(SILENT, 501, true)),
            Finding::Inconclusive(Doubt::Late)
        );
        assert_eq!(judge(&probed(SILENT, 500, true)), SILENT);
        assert_eq!(
            judge(&probed(Finding::Passed, 30_000, true)),
            Finding::Passed
        );
    }
}
