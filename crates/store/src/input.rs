//! What a store takes in and gives out: two closed enums of plain data.

use base::{NodeId, Origin, Version, Way};

/// Counts what was given to the disk; a mark stands for everything up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub u64);

/// One thing on disk: a key of the store file, and its new content or `None` to remove it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Where it lies.
    pub key: Vec<u8>,
    /// What it is now.
    pub content: Option<Vec<u8>>,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The deadline has come.
    Tick,
    /// Bytes came from another node.
    Received(NodeId, Way, Vec<u8>),
    /// Write this; [`crate::Store::version`] then names the write.
    Put(Vec<u8>, Vec<u8>),
    /// Take this key away, as a write.
    Delete(Vec<u8>),
    /// Whom to exchange with, and whose knowledge must be waited for before anything is forgotten
    /// (the living, the suspect and those dead for a short time only). Neither names this node.
    Peers {
        /// Who can be talked to.
        live: Vec<NodeId>,
        /// Who must have seen a write before its traces go.
        frontier: Vec<NodeId>,
    },
    /// Everything up to this mark is on disk. What goes out never claims more than the disk holds.
    Persisted(Mark),
    /// This origin's node is gone for good: re-home its entries, then close it.
    Retire(Origin),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this. A stream that can't be opened is no error: the protocol asks again.
    Send(NodeId, Way, Vec<u8>),
    /// Write these in one transaction, in order, then say [`Input::Persisted`].
    Persist(Mark, Vec<Record>),
    /// What is held under this key has changed and is on disk.
    Changed(Vec<u8>),
    /// The write that this names is on this node's disk and on at least one peer's; where nobody
    /// is live, on this node's only.
    Confirmed(Version),
    /// This node writes under another origin from now on, and why.
    Renamed(Origin, &'static str),
}
