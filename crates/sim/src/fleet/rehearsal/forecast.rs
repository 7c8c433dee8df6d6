//! What came of a rehearsal, in figures.

use base::{Duration, Time};

use super::Breach;
use crate::cluster::{Bytes, Host};

/// Spans of one kind, as people ask for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many there were.
    pub count: usize,
    /// Half of them were not longer.
    pub median: Duration,
    /// Ninety-nine of a hundred were not longer.
    pub p99: Duration,
    /// None was longer.
    pub max: Duration,
}

impl Spread {
    /// Of these spans, in any order.
    #[must_use]
    pub fn of(mut spans: Vec<Duration>) -> Self {
        spans.sort_unstable();
        let Some(&max) = spans.last() else {
            return Self::default();
        };
        let at = |percent: usize| spans[(spans.len() * percent).div_ceil(100) - 1];
        Self {
            count: spans.len(),
            median: at(50),
            p99: at(99),
            max,
        }
    }
}

/// What the promises allow in this rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From an outage's begin until every node shows it.
    pub outage: Duration,
    /// From its end until every node shows that it is up.
    pub recovery: Duration,
    /// What is added to both in or after a kill, a return or a partition: until those who are
    /// gone are known to be.
    pub detection: Duration,
    /// From one check of a target to the next, whoever makes them.
    pub gap: Duration,
    /// From the end of a partition until all nodes answer equally.
    pub equal: Duration,
    /// How many checks of a target there may be for each one that is due, in hundredths.
    pub checks_percent: u64,
}

/// The longest time between two checks of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How long.
    pub span: Duration,
    /// Of which target, counted from 1.
    pub target: usize,
    /// When it ended.
    pub until: Time,
}

/// What followed a kill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Whose.
    pub host: Host,
    /// When.
    pub at: Time,
    /// When it was started again.
    pub returns: Option<Time>,
    /// How many targets it had checked last.
    pub targets: usize,
    /// After how long every other running node held it for dead; `None`: not before it returned or
    /// the run ended.
    pub dead: Option<Duration>,
    /// From the kill until somebody checked these targets again.
    pub taken_over: Spread,
}

/// What followed a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healed {
    /// The sides.
    pub sides: Vec<Vec<Host>>,
    /// From when.
    pub from: Time,
    /// Until when.
    pub until: Time,
    /// How long after its end every running node held every other for alive; looked at every 100 ms.
    pub together: Option<Duration>,
    /// How long after its end all running nodes showed the same of every target; looked at every
    /// 100 ms.
    pub equal: Option<Duration>,
}

/// What one node did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Who.
    pub host: Host,
    /// How long it ran.
    pub ran: Duration,
    /// Checks that it started.
    pub checks: u64,
    /// Probes that others asked it for.
    pub opinions: u64,
    /// What it sent: what packets say, without seal or headers.
    pub sent: Bytes,
    /// What reached it; likewise.
    pub received: Bytes,
}

/// What came of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// What was allowed.
    pub bounds: Bounds,
    /// How many targets failed.
    pub outages: u32,
    /// Outages far from any kill or partition: from the begin until every node showed them.
    pub shown: Spread,
    /// The other outages: from the begin, or from the last kill, return, begin or end of a partition
    /// after it.
    pub shown_late: Spread,
    /// Outages that ended before every node showed them; without a broken promise only where
    /// faults excuse it.
    pub unseen: usize,
    /// From an outage's end until every node showed that, far from any kill or partition.
    pub recovered: Spread,
    /// The others, counted like [`Self::shown_late`].
    pub recovered_late: Spread,
    /// How often down was written.
    pub downs: u64,
    /// How often unknown was written because not enough others confirmed.
    pub unconfirmed: u64,
    /// Down written of a target that answers.
    pub false_alarms: u64,
    /// Outages that some node did not show in time.
    pub missed: u64,
    /// The longest time that a target went unchecked while somebody ran, its first check aside;
    /// `None` without three checks.
    pub gap: Option<Gap>,
    /// Checks started, opinions not counted.
    pub checks: u64,
    /// Checks that were due while somebody ran.
    pub due: u64,
    /// The target with most checks, counted from 1, and how many.
    pub most: Option<(usize, u64)>,
    /// How many checks were due for one target.
    pub due_each: u64,
    /// By kill.
    pub kills: Vec<Fate>,
    /// By partition.
    pub partitions: Vec<Healed>,
    /// By node.
    pub shares: Vec<Share>,
    /// Every promise that was broken, the first time each.
    pub broken: Vec<Breach>,
    /// Steps of the world.
    pub steps: u64,
}
