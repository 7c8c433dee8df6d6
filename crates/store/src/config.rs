//! Who writes, and the protocol's numbers, with their bounds.

use base::{Duration, NodeId, Origin};
use thiserror::Error;

/// What a store is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub me: NodeId,
    /// Whose writes this node's are, if the records name no origin: random, drawn for a new disk.
    pub origin: Origin,
    /// All randomness comes from here, fresh origins too: must differ between boots.
    pub seed: u64,
    /// Bytes of one datagram of the store at most. Default 1,200.
    pub packet_size: usize,
    /// One peer's digest is asked for this often. Default 1 s.
    pub pull_every: Duration,
    /// Whether news is pushed at all; without, peers learn by pulling only. Default true.
    pub push: bool,
}

/// A setting out of its bounds, or a record that can't be read. No state was made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// The value can't work.
    #[error("{name} is {value}; it must be {bounds}")]
    OutOfBounds {
        /// Which setting.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        bounds: &'static str,
    },
}
