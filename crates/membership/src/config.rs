//! A node's own description and the protocol's numbers, with their bounds.

use base::Duration;
use thiserror::Error;

use crate::Member;

/// What a node is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node as others shall see it. The incarnation is its first: from the boot's wall time,
    /// so that it is higher than that of any earlier life.
    pub me: Member,
    /// All randomness comes from here.
    pub seed: u64,
    /// Bytes of one datagram of membership at most. Default 1,200.
    pub packet_size: usize,
    /// One member is probed this often. Default 1 s.
    pub probe_every: Duration,
}

/// A setting out of its bounds. No state was made.
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
