//! How long a suspect has to object: long while one node alone accuses it, short once several do.
//!
//! Lifeguard's dogpile timer: it starts at the maximum and falls with
//! `log(confirmations + 1) / log(wanted + 1)` to the minimum. Whole numbers only.
//! Does not know who the accusers are, nor how their word came.

use base::{Duration, NodeId, Time};

use crate::message::MAX_ACCUSERS;

/// Confirmations that bring the timer to its minimum.
const WANTED: usize = MAX_ACCUSERS - 1;
/// The maximum as a multiple of the minimum; the LAN default of the field.
const MAX_TIMES: u32 = 6;

/// One suspect's time to object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Suspicion {
    started: Time,
    accusers: Vec<NodeId>,
    wanted: usize,
    /// How many others there are to confirm it: who is suspected itself can't.
    rest: usize,
    least: Duration,
    most: Duration,
}

impl Suspicion {
    /// A suspicion in a cluster of `n` nodes, not yet accused by anybody.
    pub(crate) fn new(now: Time, n: usize, probe_every: Duration, fixed: bool) -> Self {
        let least = least(n, probe_every);
        Self {
            started: now,
            accusers: Vec::new(),
            // Neither the suspect nor the first accuser can confirm.
            wanted: WANTED.min(n.saturating_sub(2)),
            rest: n,
            least,
            most: if fixed { least } else { least * MAX_TIMES },
        }
    }

    /// Counts an accuser; false if it was counted before or enough are.
    pub(crate) fn accuse(&mut self, by: NodeId) -> bool {
        let counts = self.accusers.len() < MAX_ACCUSERS && !self.accusers.contains(&by);
        if counts {
            self.accusers.push(by);
        }
        counts
    }

    /// So many are left who could confirm it. When all of them have, nobody is waited for; but one
    /// who is left alone may be the sick one.
    pub(crate) fn left(&mut self, rest: usize) {
        self.rest = rest.max(1);
    }

    pub(crate) fn accusers(&self) -> &[NodeId] {
        &self.accusers
    }

    /// When the suspect is to be declared dead, as far as is known now.
    pub(crate) fn ends(&self) -> Time {
        let wanted = self.wanted.min(self.rest);
        let confirmed = self.accusers.len().saturating_sub(1).min(wanted);
        let fallen = fallen(confirmed, wanted);
        self.started + (self.most - (self.most - self.least) * fallen / 1_024)
    }
}

/// `log(confirmed + 1) / log(wanted + 1)` in 1,024ths; all of it when nobody else could confirm.
const fn fallen(confirmed: usize, wanted: usize) -> u32 {
    match (confirmed, wanted) {
        (1, 2) => 646,
        (1, 3) => 512,
        (2, 3) => 812,
        (confirmed, wanted) if confirmed >= wanted => 1_024,
        _ => 0,
    }
}

/// The shortest suspicion in a cluster of `n`: twice the probe interval, and 0.45 × log2(n + 1)
/// times it above 20 nodes (2.2 s at 30, 3 s at 100, 4.5 s at 1,000).
///
/// It must be longer than the way of the news to the suspect and of its objection to everybody:
/// news reaches everybody in about log2(n) hops, at first without waiting, and whom it misses
/// pulls it within a second. Serf's default is 6 s at 30 and 12 s at 1,000, because its
/// confirmations come with its probes' turns and what push misses waits for half a minute.
fn least(n: usize, probe_every: Duration) -> Duration {
    let by_size = probe_every * log2_sixteenths(n + 1) * 45 / 1_600;
    by_size.max(probe_every * 2)
}

/// log2 in sixteenths, straight between powers of two.
fn log2_sixteenths(n: usize) -> u32 {
    let n = u64::try_from(n).unwrap_or(u64::MAX).clamp(1, 1 << 32);
    let whole = n.ilog2();
    let part = ((n * 16) >> whole) - 16;
    whole * 16 + u32::try_from(part).expect("below sixteen")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ends_after(confirmations: u64, n: usize) -> u64 {
        let mut suspicion = Suspicion::new(Time::ZERO, n, SECOND, false);
        for id in 0..=confirmations {
            suspicion.accuse(NodeId(id));
        }
        suspicion.ends().0 / 1_000
    }

    #[test]
    fn each_confirmation_brings_the_end_nearer() {
        let ends: Vec<u64> = (0..=4).map(|c| ends_after(c, 30)).collect();
        assert!(ends.is_sorted_by(|a, b| a >= b), "{ends:?}");
        assert_eq!((ends[0], ends[3], ends[4]), (13_331, 2_221, 2_221));
    }

    #[test]
    fn an_accuser_counts_once() {
        let mut suspicion = Suspicion::new(Time::ZERO, 30, SECOND, false);
        assert!(suspicion.accuse(NodeId(1)));
        let alone = suspicion.ends();
        assert!(!suspicion.accuse(NodeId(1)));
        assert_eq!(suspicion.ends(), alone);
    }

    #[test]
    fn where_nobody_can_confirm_the_time_is_short_at_once() {
        assert_eq!(ends_after(0, 2), 2_000);
        assert_eq!((ends_after(0, 3), ends_after(1, 3)), (12_000, 2_000));
    }

    #[test]
    fn nobody_is_waited_for_once_all_that_are_left_have_confirmed_but_who_is_alone_waits() {
        let mut suspicion = Suspicion::new(Time::ZERO, 7, SECOND, false);
        suspicion.accuse(NodeId(1));
        suspicion.left(1);
        assert_eq!(suspicion.ends(), Time(12_000_000));
        suspicion.accuse(NodeId(2));
        assert_eq!(suspicion.ends(), Time(2_000_000));
        suspicion.left(4);
        assert_eq!(suspicion.ends(), Time(7_000_000), "they live after all");
        suspicion.left(0);
        assert_eq!(suspicion.ends(), Time(2_000_000), "somebody else said so");
    }

    #[test]
    fn the_time_grows_slowly_with_the_cluster() {
        let short: Vec<u64> = [10, 30, 100, 1_000].map(|n| ends_after(3, n)).to_vec();
        assert_eq!(short, [2_000, 2_221, 2_953, 4_471]);
    }
}
