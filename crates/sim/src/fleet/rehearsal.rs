//! What would a fleet like this do? A course that a person describes, run to its end and measured.
//!
//! The nodes, the world and the promises are those of the drawn courses. Differences: a broken
//! promise does not end the run; outages of servers are drawn from the seed and each is followed
//! until every node shows it; and nodes are looked at when something changed, and whole once a
//! second, so that ten minutes of a thousand targets take seconds. Start reading at [`rehearse`].
//! Does not know how a person says all this, nor how it is printed.

mod breaks;
mod checks;
mod course;
mod fates;
mod forecast;
mod look;
mod outages;
mod run;

pub use breaks::Breach;
pub use forecast::{Bounds, Fate, Forecast, Gap, Healed, Share, Spread};

use base::{Duration, Time};
use health::{DefinitionError, Mutation, Rule};

use crate::cluster::Host;

/// A fleet, and what happens to it. Nodes are `n1`, `n2` and so on; targets are `t1`, `t2` and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// How many nodes; 1 to [`Self::NODES_MAX`], default 5.
    pub nodes: u32,
    /// How many targets, all known to every node from its config; default 100.
    pub targets: u32,
    /// How long the run is; default ten minutes.
    pub span: Duration,
    /// Where all randomness comes from; default 1.
    pub seed: u64,
    /// How many of a thousand datagrams between nodes are lost; default 0.
    pub loss: u64,
    /// Processes that die, in the order of time.
    pub kills: Vec<Kill>,
    /// Cuts between nodes, in the order of time; no two at once.
    pub partitions: Vec<Partition>,
    /// How many targets fail once during the run; `None` is a fifth of them, if the run has room.
    pub outages: Option<u32>,
    /// Every target is checked this often; default 10 s.
    pub interval: Duration,
    /// A check is over after this; default 2 s, at most the interval.
    pub timeout: Duration,
    /// How many outcomes make a status; default 3 failures, 2 successes.
    pub rule: Rule,
    /// How many others are asked before down is written; default 2.
    pub confirm: u8,
    /// A rule that every node breaks on purpose, to see a promise broken.
    pub mutation: Option<Mutation>,
}

/// A process dies, as by `kill -9`; its disk is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Whose.
    pub host: Host,
    /// When.
    pub at: Time,
    /// When it is started again; `None`: never.
    pub returns: Option<Time>,
}

/// Nothing passes between nodes of different sides; every node still reaches every target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// At least two sides; every node is on one of them.
    pub sides: Vec<Vec<Host>>,
    /// From when.
    pub from: Time,
    /// Until when.
    pub until: Time,
}

impl Default for Rehearsal {
    fn default() -> Self {
        Self {
            nodes: 5,
            targets: 100,
            span: Duration::from_mins(10),
            seed: 1,
            loss: 0,
            kills: Vec::new(),
            partitions: Vec::new(),
            outages: None,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            rule: Rule::default(),
            confirm: 2,
            mutation: None,
        }
    }
}

impl Rehearsal {
    /// As many nodes are simulated at most.
    pub const NODES_MAX: u32 = 200;
    /// As many rows are simulated at most: one for each target on each node.
    pub const ROWS_MAX: u64 = 1_000_000;

    /// The shortest run in which a target can fail, be seen to, and come back.
    #[must_use]
    pub fn least_span_of_outages(&self) -> Duration {
        course::least_span(self)
    }

    /// Whether every target is one that a config may define.
    ///
    /// # Errors
    ///
    /// What is out of its bounds: interval, timeout or rule.
    pub fn check(&self) -> Result<(), DefinitionError> {
        course::target(self, 0).check()
    }

    /// How many targets fail during the run.
    #[must_use]
    pub fn outages(&self) -> u32 {
        let default = if self.span < self.least_span_of_outages() {
            0
        } else {
            self.targets.div_ceil(5)
        };
        self.outages.unwrap_or(default)
    }
}

/// Lets it happen and measures it. The same rehearsal gives the same forecast on every machine.
///
/// # Panics
///
/// When it can't be: no node, a host that is not there, a timeout over the interval, a time after
/// the end, more outages than targets, outages in a run too short for them.
#[must_use]
pub fn rehearse(rehearsal: &Rehearsal) -> Forecast {
    let course = course::course(rehearsal);
    run::Stage::new(rehearsal, &course).finish()
}

#[cfg(test)]
mod tests;
