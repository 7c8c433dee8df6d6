//! Whether it is the targets that are silent, or this node that is cut off.
//!
//! Source: design.md, "Verdict". Drive it with every outcome ([`Uplink::weigh`]). Does not know
//! targets, votes or members.

use base::{Duration, Slot, Time};

use crate::input::Probed;
use crate::outcome::{Doubt, Finding, Reason};

/// Notices when nothing at all answers any more: the checker is probably cut off.
///
/// Counts targets that answered last time and are silent now, since anything last answered. A
/// silence is inconclusive once there are ten of them, and they are a quarter of all that are up
/// or nothing has answered for a whole interval of the target in hand (which matters where a few
/// are asked often and many rarely). When something answers again, checks that had started
/// before it are still in doubt. So a cut uplink costs each target at most one failure, and a
/// real outage is delayed only while nothing whatever answers. Targets on this machine are left
/// out: no uplink lies between.
///
/// A node among others need not hold it for long: the first [`Uplink::AT_LEAST`] that fell silent
/// are its *witnesses*. They go on being counted, and so are put to the others' votes. If those see
/// the same, the outage is real ([`Uplink::believe`]), and what was held counts after all.
#[derive(Debug, Default)]
pub(crate) struct Uplink {
    newly_silent: usize,
    /// The first of those that fell silent since anything last answered.
    witnesses: Vec<Slot>,
    /// Others see the same.
    is_real: bool,
    /// When anything last answered.
    heard: Time,
    /// A silence was held to be inconclusive, and nothing has answered since.
    is_cut: bool,
    /// When that began.
    cut_at: Time,
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
    /// Its failures would be put to the votes of others, who are there.
    pub(crate) asks: bool,
}

impl Uplink {
    /// So many silent ones are a cut at least, and so many are witnesses.
    pub(crate) const AT_LEAST: usize = 10;

    /// Since when nothing answers; `None` while something does.
    pub(crate) fn cut_since(&self) -> Option<Time> {
        self.is_cut.then_some(self.cut_at)
    }

    /// Whether what others see of this target tells of this node's uplink.
    pub(crate) fn is_witness(&self, slot: Slot) -> bool {
        self.is_cut && self.witnesses.contains(&slot)
    }

    /// Others see the same silence: it is the targets', until something answers.
    pub(crate) const fn believe(&mut self) {
        self.is_real = true;
    }

    /// Something answers.
    pub(crate) fn answered(&mut self, now: Time) {
        (self.newly_silent, self.heard, self.is_real) = (0, now, false);
        self.witnesses.clear();
        if std::mem::take(&mut self.is_cut) {
            self.restored = now;
        }
    }

    /// How many checks of a target were held since the cut that others see, too, began.
    pub(crate) fn held_back(&self, b: Balance) -> u32 {
        if !self.is_cut || !self.is_real || b.interval.is_zero() {
            return 0;
        }
        let span = b.started.since(self.cut_at).as_micros() / b.interval.as_micros();
        u32::try_from(span).unwrap_or(u32::MAX)
    }

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
            self.answered(b.now);
            return judged;
        }
        let many = self.newly_silent >= Self::AT_LEAST;
        let long = self.newly_silent >= b.up / 4 || b.now.since(self.heard) >= b.interval;
        if many && long && !self.is_cut {
            (self.is_cut, self.cut_at) = (true, b.now);
        }
        let counts = self.is_real || b.asks && self.witnesses.contains(&probed.slot);
        if self.is_cut && !counts || b.started < self.restored {
            return Finding::Inconclusive(Doubt::NothingAnswers);
        }
        if !self.is_cut && (b.answered || b.resumed) {
            self.newly_silent += 1;
            if self.witnesses.len() < Self::AT_LEAST {
                self.witnesses.push(probed.slot);
            }
        }
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
    use base::Ticket;

    const SILENT: Finding = Finding::Failed(Reason::Timeout(Phase::Connect));

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

    /// An outcome among so many that are up, half a second after the start.
    const fn among(up: usize) -> Balance {
        Balance {
            now: Time(500_000),
            started: Time(500_000),
            interval: Duration::from_secs(1),
            answered: true,
            resumed: false,
            up,
            asks: false,
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

    #[test]
    fn the_first_silent_ones_go_on_counting_where_others_can_be_asked_and_all_once_those_agree() {
        let of = |slot: u32| Probed {
            slot: Slot(slot),
            ..probed(SILENT, 0, false)
        };
        let mut uplink = Uplink::default();
        for slot in 0..20 {
            uplink.weigh(&of(slot), SILENT, among(20));
        }
        assert_eq!(uplink.cut_since(), Some(Time(500_000)));
        let asking = Balance {
            now: Time(3_600_000),
            started: Time(3_500_000),
            asks: true,
            answered: false,
            ..among(20)
        };
        let counted = |uplink: &mut Uplink, b| {
            let slots = (0..20).filter(|slot| uplink.weigh(&of(*slot), SILENT, b) == SILENT);
            slots.count()
        };
        assert_eq!(counted(&mut uplink, asking), 10);
        assert!(uplink.is_witness(Slot(0)) && !uplink.is_witness(Slot(19)));
        let alone = Balance {
            asks: false,
            ..asking
        };
        assert_eq!(counted(&mut uplink, alone), 0);
        assert_eq!(
            uplink.held_back(asking),
            0,
            "nobody has said that it is real"
        );
        uplink.believe();
        assert_eq!(counted(&mut uplink, alone), 20);
        assert_eq!(uplink.held_back(asking), 3);
        uplink.weigh(&of(3), Finding::Passed, asking);
        assert_eq!(uplink.held_back(asking), 0);
        assert!(!uplink.is_witness(Slot(0)));
    }
}
