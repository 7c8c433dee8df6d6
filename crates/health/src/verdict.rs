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

use base::{Duration, Time};

use crate::definition::Rule;
use crate::input::Probed;
use crate::outcome::{Doubt, Finding, Reason};
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

/// Notices when nothing at all answers any more: the checker is probably cut off.
///
/// Counts targets that answered last time and are silent now, since anything last answered. A
/// silence is inconclusive once there are ten of them, and they are a quarter of all that are up
/// or nothing has answered for a whole interval of the target in hand (which matters where a few
/// are asked often and many rarely). When something answers again, checks that had started
/// before it are still in doubt. So a cut uplink costs each target at most one failure, and a
/// real outage is delayed only while nothing whatever answers. Targets on this machine are left
/// out: no uplink lies between.
#[derive(Debug, Default)]
pub(crate) struct Uplink {
    newly_silent: usize,
    /// When anything last answered.
    heard: Time,
    /// A silence was held to be inconclusive, and nothing has answered since.
    is_cut: bool,
    /// When something answered after a cut.
    restored: Time,
}

/// What an outcome is weighed against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Balance {
    pub(crate) now: Time,
    /// When the check started.
    pub(crate) started: Time,
    pub(crate) interval: Duration,
    /// The target answered last time.
    pub(crate) answered: bool,
    /// It failed before a restart, and this is its first outcome since.
    pub(crate) resumed: bool,
    /// How many targets are up.
    pub(crate) up: usize,
}

impl Uplink {
    const AT_LEAST: usize = 10;

    /// Looks at one outcome.
    pub(crate) fn weigh(&mut self, probed: &Probed, judged: Finding, b: Balance) -> Finding {
        let silent = match judged {
            _ if probed.local => return judged,
            Finding::Inconclusive(_) => return judged,
            Finding::Passed => false,
            Finding::Failed(reason) if reason.is_silent() => true,
            // Something was heard once, perhaps before the cut: says nothing of now.
            Finding::Failed(Reason::Timeout(_)) => return judged,
            Finding::Failed(_) => false,
        };
        if !silent {
            self.newly_silent = 0;
            self.heard = b.now;
            if std::mem::take(&mut self.is_cut) {
                self.restored = b.now;
            }
            return judged;
        }
        let many = self.newly_silent >= Self::AT_LEAST;
        let long = self.newly_silent >= b.up / 4 || b.now.since(self.heard) >= b.interval;
        self.is_cut |= many && long;
        if self.is_cut || b.started < self.restored {
            return Finding::Inconclusive(Doubt::NothingAnswers);
        }
        self.newly_silent += usize::from(b.answered || b.resumed);
        // A streak from before a restart goes on only once the uplink has been seen to work,
        // or with the next outcome: the restart may have come in the middle of a cut.
        if b.resumed && self.heard == Time::ZERO {
            return Finding::Inconclusive(Doubt::NothingAnswers);
        }
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Phase;
    use base::{Rng, Slot, Ticket};

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

    /// An outcome among so many that are up, half a second after the start.
    const fn among(up: usize) -> Balance {
        Balance {
            now: Time(500_000),
            started: Time(500_000),
            interval: Duration::from_secs(1),
            answered: true,
            resumed: false,
            up,
        }
    }

    #[test]
    fn checks_that_started_in_a_cut_are_in_doubt_even_after_it() {
        let mut uplink = Uplink::default();
        let silent = probed(SILENT, 0, false);
        for _ in 0..11 {
            uplink.weigh(&silent, SILENT, among(40));
        }
        let after = Balance {
            now: Time(900_000),
            ..among(40)
        };
        uplink.weigh(&probed(Finding::Passed, 0, false), Finding::Passed, after);
        assert_ne!(uplink.weigh(&silent, SILENT, after), SILENT);
        let fresh = Balance {
            started: after.now,
            ..after
        };
        assert_eq!(uplink.weigh(&silent, SILENT, fresh), SILENT);
    }

    #[test]
    fn ten_that_are_silent_for_a_whole_interval_are_a_cut_among_however_many() {
        let mut uplink = Uplink::default();
        let silent = probed(SILENT, 0, false);
        for _ in 0..10 {
            assert_eq!(uplink.weigh(&silent, SILENT, among(10_000)), SILENT);
        }
        assert_eq!(uplink.weigh(&silent, SILENT, among(10_000)), SILENT);
        let later = Balance {
            now: Time(1_500_000),
            answered: false,
            ..among(10_000)
        };
        assert_ne!(uplink.weigh(&silent, SILENT, later), SILENT);
    }

    #[test]
    fn a_cut_uplink_is_noticed_after_a_quarter_of_the_targets() {
        let mut uplink = Uplink::default();
        let held = (0..100)
            .filter(|_| uplink.weigh(&probed(SILENT, 0, false), SILENT, among(100)) != SILENT)
            .count();
        assert_eq!(held, 75);
        let passed = probed(Finding::Passed, 0, false);
        uplink.weigh(&passed, Finding::Passed, among(100));
        assert_eq!(
            uplink.weigh(&probed(SILENT, 0, false), SILENT, among(100)),
            SILENT
        );
    }

    #[test]
    fn targets_that_are_silent_already_and_targets_on_this_machine_say_nothing_about_the_uplink() {
        let mut uplink = Uplink::default();
        let long_silent = Balance {
            answered: false,
            ..among(40)
        };
        for _ in 0..1_000 {
            assert_eq!(
                uplink.weigh(&probed(SILENT, 0, false), SILENT, long_silent),
                SILENT
            );
            assert_eq!(
                uplink.weigh(&probed(SILENT, 0, true), SILENT, among(40)),
                SILENT
            );
        }
    }

    #[test]
    fn a_timeout_after_the_connect_does_not_prove_that_anything_answers_now() {
        let mut uplink = Uplink::default();
        let silent = probed(SILENT, 0, false);
        let half = Finding::Failed(Reason::Timeout(Phase::Processing));
        for _ in 0..10 {
            uplink.weigh(&silent, SILENT, among(40));
            assert_eq!(uplink.weigh(&probed(half, 0, false), half, among(40)), half);
        }
        assert_ne!(uplink.weigh(&silent, SILENT, among(40)), SILENT);
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let mut uplink = Uplink::default();
        let refused = Finding::Failed(Reason::Refused);
        for i in 0..1_000 {
            let finding = if i % 9 == 0 { refused } else { SILENT };
            assert_eq!(
                uplink.weigh(&probed(finding, 0, false), finding, among(40)),
                finding
            );
        }
    }
}
