//! What a node's membership takes in and gives out: two closed enums of plain data.

use std::net::SocketAddr;
use std::sync::Arc;

use base::{NodeId, Way};

use crate::{Incarnation, Member, Meta};

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The deadline has come.
    Tick,
    /// Bytes came from another node. For a stream, `from` is the cluster address that the peer
    /// named when it connected, not the port that it called from.
    Received(SocketAddr, Way, Vec<u8>),
    /// Find the others at these addresses; repeated until one answers. More may be added later.
    Join(Vec<SocketAddr>),
    /// Say farewell; [`Output::Left`] follows when enough know.
    Leave,
    /// This node's own description has changed.
    Describe(Meta),
    /// This node's own address has changed.
    Moved(SocketAddr),
    /// An operator takes a dead member out for good.
    Forget(NodeId),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this. A stream that can't be opened is no error: the protocol asks again.
    Send(SocketAddr, Way, Vec<u8>),
    /// This is now believed of a member; also for this node itself.
    Changed(Member),
    /// This member is remembered no more.
    Forgotten(NodeId),
    /// Another live node bears our name, and has it from before; this node must end.
    Refused {
        /// The name that is taken.
        name: Arc<str>,
        /// Who has it.
        holder: NodeId,
        /// Where the holder is.
        at: SocketAddr,
    },
    /// The farewell has been heard by as many as needed, or nobody is there to hear it.
    Left,
    /// `by` said that `member` does not answer; told once for each accuser that is counted.
    Accused {
        /// Who is accused.
        member: NodeId,
        /// Who accuses; this node itself when its own probe failed.
        by: NodeId,
        /// The life of the member that the accusation is about.
        incarnation: Incarnation,
    },
    /// More than a third of the members died within one suspicion time: rather a broken network
    /// than so many broken nodes. Told once until it is over.
    MassLoss {
        /// How many died.
        lost: usize,
        /// How many there were, this node included.
        of: usize,
    },
}
