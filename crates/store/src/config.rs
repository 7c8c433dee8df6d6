//! Who writes, and the protocol's numbers, with their bounds.

use base::{Duration, NodeId, Origin};
use thiserror::Error;

/// What a store is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub me: NodeId,
    /// Whose writes this node's are, on a new disk: random. A store that finds an older origin of
    /// its own on its disk draws a fresh one from [`Self::seed`].
    pub origin: Origin,
    /// All randomness comes from here, fresh origins too: must differ between boots.
    pub seed: u64,
    /// Bytes of one datagram of the store at most. Default 1,200; 200 to 65,000.
    pub packet_size: usize,
    /// One peer is compared with this often. Default 1 s; 50 ms to 1 h.
    pub pull_every: Duration,
    /// Whether news is pushed at all; without, peers learn by comparing only. Default true.
    pub push: bool,
    /// How many peers get news in one round. Default 3; 1 to 1,000.
    pub fan_out: usize,
    /// News that is not alone waits this long for company. Default 100 ms; 5 ms to 10 s.
    pub round: Duration,
    /// How often one node sends one piece of news, at most; 0 for 7 + ⌈log10(n + 1)⌉. Default 0.
    pub transmissions: usize,
    /// A rule that is broken on purpose, for tests of tests.
    #[doc(hidden)]
    pub mutation: Option<Mutation>,
}

impl Config {
    /// What suits a local network.
    #[must_use]
    pub const fn lan(me: NodeId, origin: Origin, seed: u64) -> Self {
        Self {
            me,
            origin,
            seed,
            packet_size: 1_200,
            pull_every: Duration::from_secs(1),
            push: true,
            fan_out: 3,
            round: Duration::from_millis(100),
            transmissions: 0,
            mutation: None,
        }
    }

    pub(crate) fn checked(self) -> Result<Self, ConfigError> {
        let bound = |is_well: bool, name, value: String, bounds| {
            if is_well {
                return Ok(());
            }
            Err(ConfigError::OutOfBounds {
                name,
                value,
                bounds,
            })
        };
        let size = self.packet_size;
        bound(
            (200..=65_000).contains(&size),
            "packet_size",
            size.to_string(),
            "200 to 65,000 bytes",
        )?;
        let (pull, round) = (self.pull_every, self.round);
        bound(
            pull >= Duration::from_millis(50) && pull <= Duration::from_hours(1),
            "pull_every",
            format!("{pull:?}"),
            "50 ms to 1 h",
        )?;
        bound(
            round >= Duration::from_millis(5) && round <= Duration::from_secs(10),
            "round",
            format!("{round:?}"),
            "5 ms to 10 s",
        )?;
        bound(
            (1..=1_000).contains(&self.fan_out),
            "fan_out",
            self.fan_out.to_string(),
            "1 to 1,000",
        )?;
        Ok(self)
    }
}

/// Rules that tests break to see that somebody notices.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    /// An exchange is cut short and the vector advances to the last thing sent (Scuttlebutt's rule).
    TruncateAndAdvance,
    /// What an entry overrides is ignored: siblings never collapse.
    NoCollapse,
    /// A peer that missed what was forgotten gets no reset.
    FloorIgnored,
    /// Contexts are cleared at once.
    ContextClearedEarly,
    /// A store goes on under the origin and the counter that its disk holds.
    CounterRolledBack,
    /// A delete takes the local entry away and tells nobody.
    DeletesWithoutDots,
    /// Digests claim what is not on disk yet.
    ClaimsBeforeDisk,
    /// An origin is closed while somebody may still lack its writes, and stays closed.
    RetireEarly,
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
    /// A record of the store file is not one of ours.
    #[error(
        "the record under {key:02x?} can't be read: {why}; restore the store file or start with an empty one"
    )]
    Record {
        /// Where it lies.
        key: Vec<u8>,
        /// What is wrong.
        why: String,
    },
}
