//! What a cluster of nodes promises, each with a name, and how a broken one is told.

use std::fmt;

use base::Time;

use crate::cluster::Host;

/// A sentence about the cluster that holds after every step, or once all is calm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Nobody writes down a target that answers a majority of the nodes asked, and who hears from
    /// no majority of all nodes writes no down that needs confirming.
    NoFalseAlarm,
    /// A target that fails for everybody is shown down on every connected live node within
    /// fall × interval + 2 × timeout + 2 s (where no majority is connected, or links are bad,
    /// unknown will do); one that answers everybody is up again after as many passes as it takes.
    NoMissedOutage,
    /// While somebody lives, no target goes unchecked for longer than detection, grace and one
    /// interval.
    NoneUnchecked,
    /// Once all is calm, all nodes answer equally within 5 s, each status is one, what was
    /// acknowledged is there, and what was deleted or replaced has not come back.
    Equal,
    /// A target that all nodes see alike, in long phases, goes through the states that one node
    /// alone would give it: takeovers neither invent nor lose one.
    PlainOrder,
    /// What is shown up and fresh since a moment has passed a check at or after it, and what is
    /// shown reflects every transition its owner wrote before.
    HonestAge,
    /// Checks come at the target's own beat, whoever makes them, and never in a burst: outside
    /// takeovers and cuts not more than 1.2 times those that are due.
    NoBurst,
    /// Whoever was given a write's token and is told elsewhere that it is shown finds that write,
    /// one that did not come before it, or nothing after a delete; and once all is calm every token
    /// is good everywhere, but for those of lost disks.
    ReadYourWrites,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// When.
    pub at: Time,
    /// Where; `None` for what concerns all.
    pub host: Option<Host>,
    /// How.
    pub how: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.promise, self.at)?;
        if let Some(host) = self.host {
            write!(f, " on host {}", host.0)?;
        }
        write!(f, ": {}", self.how)
    }
}
