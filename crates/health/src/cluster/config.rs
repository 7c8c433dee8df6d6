//! What a node among others is told once.

use std::net::SocketAddr;
use std::sync::Arc;

use base::{NodeId, Origin};
use membership::{Incarnation, Member, Meta, Standing, State};
use thiserror::Error;

use super::wire::WIRE_OLDEST;

/// A node's place among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// What people call it; unique among the living. 1 to 128 bytes.
    pub name: Arc<str>,
    /// Where its cluster port is, for others.
    pub address: SocketAddr,
    /// Where it stands; empty when not said. At most 64 bytes.
    pub zone: Arc<str>,
    /// Its share of the targets relative to others; 1 to 1,000.
    pub weight: u16,
    /// Where others may be; asked until they answer.
    pub join: Vec<SocketAddr>,
    /// All randomness comes from here, fresh origins too: must differ between boots.
    pub seed: u64,
    /// The id to take if the disk holds none; random.
    pub fresh_id: NodeId,
    /// The newest wire version that it speaks and reads: [`super::WIRE`] unless it is being taken
    /// back to an older release; at least [`super::WIRE_OLDEST`].
    pub wire: u8,
    /// The wall clock at boot in milliseconds: the first incarnation.
    pub wall_ms: u64,
}

/// A cluster config that no node can work with, or a disk that can't be read. Nothing was made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ClusterError {
    /// A membership setting is out of its bounds.
    #[error("{0}")]
    Member(#[from] membership::ConfigError),
    /// A store setting is out of its bounds, or a record is not one of ours.
    #[error("{0}")]
    Store(#[from] store::ConfigError),
}

impl ClusterConfig {
    /// Whether a node could work with it.
    pub(crate) fn check(&self) -> Result<(), ClusterError> {
        membership::Membership::new(self.membership(self.fresh_id, false))?;
        Ok(())
    }

    /// Joining nodes first catch up: until then they are used only if nobody else can be.
    pub(super) fn membership(&self, me: NodeId, joins: bool) -> membership::Config {
        let standing = if joins {
            Standing::Draining
        } else {
            Standing::Usable
        };
        let member = Member {
            id: me,
            name: Arc::clone(&self.name),
            address: self.address,
            state: State::Alive,
            incarnation: Incarnation(self.wall_ms),
            meta: Meta {
                zone: Arc::clone(&self.zone),
                weight: self.weight,
                wire: (WIRE_OLDEST, self.wire),
                standing,
            },
        };
        membership::Config::lan(member, self.seed)
    }

    pub(super) fn store(&self, me: NodeId) -> store::Config {
        let origin = Origin(base::hash64(&self.seed.to_le_bytes()));
        store::Config::lan(me, origin, self.seed ^ 0x5702e)
    }
}
