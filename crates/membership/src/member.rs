//! A node as others see it.

use std::net::SocketAddr;
use std::sync::Arc;

use base::NodeId;

/// How often a node has answered claims about itself; only that node raises it. Starts from the
/// wall time of the boot in milliseconds, so that a restart without memory is still ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// What a member is believed to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Answers, or nobody has said otherwise.
    Alive,
    /// Did not answer somebody; has time to object.
    Suspect,
    /// Did not object in time. Remembered for a day and asked again.
    Dead,
    /// Said that it goes.
    Left,
}

/// Whether a member takes part in the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Takes work.
    #[default]
    Usable,
    /// Gives its work away; takes it only if nobody else can.
    Draining,
}

/// What a node says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Meta {
    /// Where it stands; empty when not said. At most 64 bytes.
    pub zone: Arc<str>,
    /// Its share of the work relative to others; 1 to 1,000.
    pub weight: u16,
    /// The oldest and the newest wire version that it understands.
    pub wire: (u8, u8),
    /// Whether it takes work.
    pub standing: Standing,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Its identity; a data directory's lifetime.
    pub id: NodeId,
    /// What people call it; unique among the living. 1 to 128 bytes.
    pub name: Arc<str>,
    /// Where its cluster port is.
    pub address: SocketAddr,
    /// What it is believed to be.
    pub state: State,
    /// The newest incarnation heard of.
    pub incarnation: Incarnation,
    /// What it says about itself.
    pub meta: Meta,
}
