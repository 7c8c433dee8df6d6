//! What the node counts about itself, for `/metrics`.
//!
//! Plain atomics with a fixed set of names; per-target figures are in `figures`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base::{Duration, Way};
use health::{Finding, State};

use crate::cluster::Reason;

/// A number that many may read while one writes.
#[derive(Debug, Default)]
pub struct Meter(AtomicU64);

impl Meter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Replaces the number.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Why the node did not take what a member said: a newer version of the packets, none of them, its
/// own id, marks of too many owners, too many members, a name that a living member bears, too many
/// questions for accounts, accounts that nobody waits for, too many lives of nodes.
pub const IGNORED: [&str; 9] = [
    "newer",
    "unreadable",
    "own",
    "marks",
    "members",
    "names",
    "inquiries",
    "accounts",
    "origins",
];

/// All that a node counts.
#[derive(Debug, Default)]
pub struct Meters {
    /// Checks that passed.
    pub passed: Meter,
    /// Checks that failed.
    pub failed: Meter,
    /// Checks that could not tell.
    pub inconclusive: Meter,
    /// Beats that were skipped: too late, no room, or the last check still running.
    pub skipped: Meter,
    /// Changes of state, by the state after; in the order of [`State::ALL`].
    pub transitions: [Meter; 4],
    /// How late checks started.
    pub lag: Lag,
    /// Messages that wait for the driver.
    pub queue_driver: Meter,
    /// Checks that are due and wait for room.
    pub queue_waiting: Meter,
    /// Checks under way.
    pub queue_in_flight: Meter,
    /// Writes that wait for the disk.
    pub queue_disk: Meter,
    /// Bytes of streams from other nodes that are being read or wait for the driver.
    pub queue_streams_in: Meter,
    /// Bytes that wait for streams to other nodes.
    pub queue_streams_out: Meter,
    /// What goes over the cluster port.
    pub traffic: Arc<Traffic>,
    /// What members said and this node did not take, in the order of [`IGNORED`].
    pub ignored: [Meter; IGNORED.len()],
    /// Seconds since the epoch of the last reload that took effect; 0 before the first.
    pub reloaded_at: Meter,
    /// 1 after a reload that took effect, 0 after one that did not.
    pub reload_ok: Meter,
    /// Connections to the API that were turned away because too many were open.
    pub api_refused: Meter,
    /// 1 while the store file can't be written.
    pub store_failing: Meter,
    /// Records of the store file that this version could not read at boot.
    pub store_unreadable: Meter,
    /// Records in the store file.
    pub store_records: Meter,
}

impl Meters {
    /// Counts an outcome as it was judged.
    pub fn judged(&self, finding: Finding) {
        match finding {
            Finding::Passed => self.passed.add(1),
            Finding::Failed(_) => self.failed.add(1),
            Finding::Inconclusive(_) => self.inconclusive.add(1),
        }
    }

    /// The counter of changes to `state`.
    #[must_use]
    pub fn transitions_to(&self, state: State) -> &Meter {
        let at = State::ALL
            .into_iter()
            .position(|s| s == state)
            .expect("State::ALL holds every state");
        &self.transitions[at]
    }
}

/// What goes over the cluster port, by way.
#[derive(Debug, Default)]
pub struct Traffic {
    datagrams: Lane,
    streams: Lane,
}

/// One way's share of [`Traffic`].
#[derive(Debug, Default)]
pub struct Lane {
    /// Bytes that came, as they were on the wire.
    pub bytes_in: Meter,
    /// Bytes that went out.
    pub bytes_out: Meter,
    /// Messages that were handed to the node.
    pub messages_in: Meter,
    /// Messages that went out.
    pub messages_out: Meter,
    /// What was dropped, in the order of [`Reason::ALL`].
    dropped: [Meter; Reason::ALL.len()],
}

impl Traffic {
    /// The share of `way`.
    #[must_use]
    pub const fn of(&self, way: Way) -> &Lane {
        match way {
            Way::Datagram => &self.datagrams,
            Way::Stream => &self.streams,
        }
    }
}

impl Lane {
    /// The counter of what was dropped for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: Reason) -> &Meter {
        &self.dropped[reason.index()]
    }
}

/// A histogram of how late checks started.
#[derive(Debug, Default)]
pub struct Lag {
    buckets: [Meter; Self::BOUNDS.len()],
    count: Meter,
    micros: Meter,
}

impl Lag {
    /// The upper bounds of the buckets, in microseconds.
    pub const BOUNDS: [u64; 10] = [
        1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
    ];

    /// Counts one check that started this late.
    pub fn observe(&self, lag: Duration) {
        let micros = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        if let Some(at) = Self::BOUNDS.iter().position(|&bound| micros <= bound) {
            self.buckets[at].add(1);
        }
        self.count.add(1);
        self.micros.add(micros);
    }

    /// The buckets as Prometheus wants them: bound in seconds and how many were at most that late.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        Self::BOUNDS
            .iter()
            .zip(&self.buckets)
            .map(move |(&bound, bucket)| {
                below += bucket.get();
                (Duration::from_micros(bound).as_secs_f64(), below)
            })
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.get()
    }

    /// Their sum in seconds.
    #[must_use]
    pub fn sum(&self) -> f64 {
        Duration::from_micros(self.micros.get()).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_buckets_are_cumulative_and_what_is_later_is_in_none() {
        let lag = Lag::default();
        for millis in [0, 1, 3, 70, 9_000] {
            lag.observe(Duration::from_millis(millis));
        }
        let counts: Vec<u64> = lag.cumulative().map(|(_, n)| n).collect();
        assert_eq!(counts, [2, 2, 3, 3, 3, 3, 4, 4, 4, 4]);
        assert_eq!(lag.count(), 5);
        assert!((lag.sum() - 9.074).abs() < 1e-9);
    }

    #[test]
    fn every_finding_and_every_state_has_its_counter() {
        let meters = Meters::default();
        meters.judged(Finding::Passed);
        meters.judged(Finding::Inconclusive(health::Doubt::Late));
        assert_eq!(
            (
                meters.passed.get(),
                meters.failed.get(),
                meters.inconclusive.get()
            ),
            (1, 0, 1)
        );
        for state in State::ALL {
            meters.transitions_to(state).add(1);
        }
        assert!(meters.transitions.iter().all(|m| m.get() == 1));
    }
}
