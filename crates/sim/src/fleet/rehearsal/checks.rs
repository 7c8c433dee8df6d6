//! When checks of each target began: the longest gap, and how many there were.

use base::{Duration, Time};

use super::Gap;

/// All checks of a run.
#[derive(Debug)]
pub(super) struct Checks {
    last: Vec<Option<Time>>,
    /// Targets that have had a check since somebody runs: their first gap is not counted, because
    /// the first check comes early and the beat after it may be left out.
    had: Vec<bool>,
    counts: Vec<u64>,
    longest: Option<Gap>,
    /// Since when somebody runs; a gap before that is nobody's.
    somebody: Option<Time>,
    /// How long somebody ran in all.
    ran: Duration,
}

impl Checks {
    pub(super) fn new(targets: usize) -> Self {
        Self {
            last: vec![None; targets],
            had: vec![false; targets],
            counts: vec![0; targets],
            longest: None,
            somebody: None,
            ran: Duration::ZERO,
        }
    }

    /// Somebody runs now, or nobody.
    pub(super) fn somebody_runs(&mut self, now: Time, runs: bool) {
        match (self.somebody, runs) {
            (None, true) => self.somebody = Some(now),
            (Some(since), false) => {
                self.ran += now.since(since);
                self.somebody = None;
                self.last.fill(None);
                self.had.fill(false);
            }
            _ => {}
        }
    }

    pub(super) fn started(&mut self, now: Time, target: usize) {
        self.counts[target] += 1;
        if !std::mem::replace(&mut self.had[target], true) {
            return;
        }
        if let Some(before) = self.last[target].replace(now) {
            self.gap(now, target, before);
        }
    }

    fn gap(&mut self, now: Time, target: usize, before: Time) {
        let span = now.since(before);
        if self.longest.is_none_or(|longest| longest.span < span) {
            self.longest = Some(Gap {
                span,
                target: target + 1,
                until: now,
            });
        }
    }

    /// The run is over: a gap that is still open counts as it is.
    pub(super) fn end(&mut self, now: Time) {
        for target in 0..self.last.len() {
            if let Some(before) = self.last[target] {
                self.gap(now, target, before);
            }
        }
        self.somebody_runs(now, false);
    }

    pub(super) const fn longest(&self) -> Option<Gap> {
        self.longest
    }

    /// How long somebody ran, up to [`Self::end`].
    pub(super) const fn ran(&self) -> Duration {
        self.ran
    }

    pub(super) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The first of the targets with most checks, counted from 1, and how many.
    pub(super) fn most(&self) -> Option<(usize, u64)> {
        let most = self.counts.iter().max()?;
        let at = self.counts.iter().position(|count| count == most)?;
        Some((at + 1, *most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: u64) -> Time {
        Time(second * 1_000_000)
    }

    #[test]
    fn the_longest_gap_is_between_two_checks_or_up_to_the_end() {
        let mut checks = Checks::new(2);
        checks.somebody_runs(at(0), true);
        checks.started(at(0), 0);
        checks.started(at(1), 0);
        checks.started(at(6), 0);
        checks.started(at(7), 1);
        assert_eq!(checks.longest().map(|gap| gap.target), Some(1));
        checks.end(at(20));
        let longest = checks.longest().expect("there were checks");
        assert_eq!((longest.span, longest.target), (Duration::from_secs(14), 1));
        assert_eq!((checks.total(), checks.most()), (4, Some((1, 3))));
    }

    #[test]
    fn while_nobody_runs_there_is_no_gap_and_nothing_is_due() {
        let mut checks = Checks::new(1);
        checks.somebody_runs(at(0), true);
        checks.started(at(0), 0);
        checks.started(at(1), 0);
        checks.somebody_runs(at(2), false);
        checks.somebody_runs(at(50), true);
        checks.started(at(50), 0);
        checks.started(at(51), 0);
        checks.end(at(52));
        let longest = checks.longest().expect("one at the end");
        assert_eq!(longest.span, Duration::from_secs(1));
        assert_eq!(checks.ran(), Duration::from_secs(4));
    }

    #[test]
    fn without_targets_there_is_nothing_to_tell() {
        let mut checks = Checks::new(0);
        checks.end(at(9));
        assert_eq!((checks.longest(), checks.most()), (None, None));
    }
}
