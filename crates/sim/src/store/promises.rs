//! What the store promises, each with a name, and how a broken one is told.

use std::fmt;

use base::Time;

use crate::cluster::Host;

/// A sentence about the store that holds after every step, or at a run's calm end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// One dot names one write: one origin, one number, one key, one value.
    NoDotUsedTwice,
    /// A number claimed as seen is held, or something that supersedes it is, or its delete was
    /// collected.
    PrefixHonesty,
    /// What a node knows to be superseded, deleted or not, never shows there again.
    NoResurrection,
    /// A confirmed write is on two disks; a disk that has it keeps it or what supersedes it, and
    /// while such a disk is there every node ends with it.
    NoLostWrite,
    /// Everything held was written by somebody, with this key and this value.
    NothingInvented,
    /// What others hear of a write, and what a node claims to have seen, is on a disk.
    ClaimsAreOnDisk,
    /// In the calm, all nodes become equal.
    Convergence,
    /// Siblings are concurrent writes of different origins; one collapse write ends them.
    SiblingsBounded,
    /// In the calm, no entry carries a context any more, and no delete is kept.
    ContextsClear,
    /// A node whose disk went back in time, or is a copy, never writes under that origin again.
    FreshOriginAfterRollback,
    /// A retired origin is in no entry and in no digest any more.
    RetiredGoesAway,
    /// Queues and ranges stay within their bounds.
    Bounded,
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
