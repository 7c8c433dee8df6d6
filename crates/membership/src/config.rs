//! A node's own description and the protocol's numbers, with their bounds.

use base::Duration;
use thiserror::Error;

use crate::Member;
use crate::message::{MAX_NAME, MAX_ZONE};

/// What a node is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node as others shall see it. The incarnation is its first: from the boot's wall time,
    /// so that it is higher than that of any earlier life.
    pub me: Member,
    /// All randomness comes from here.
    pub seed: u64,
    /// Bytes of one datagram of membership at most. Default 1,200; 512 to 65,000, so that the
    /// longest name always fits.
    pub packet_size: usize,
    /// One member is probed this often. Default 1 s; 10 ms to 60 s. Every other span of the
    /// protocol is a multiple of it.
    pub probe_every: Duration,
    /// The dead, the departed and the forgotten are remembered for this long. Default one day.
    pub remember_dead: Duration,
    /// As many dead, and as many forgotten, are remembered at most; the oldest go first.
    /// Default 4,096.
    pub max_dead: usize,
    /// As many living members are taken in at most, this node not counted; more are refused and
    /// counted. Default 4,096; up to 65,536.
    pub max_members: usize,
    /// A defect put in on purpose, so that tests can show that they would find it.
    #[doc(hidden)]
    pub mutation: Mutation,
}

/// Defects put in on purpose; each must be caught by a promise of the simulator.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    /// No defect.
    #[default]
    None,
    /// Claims about oneself are never answered.
    NoRefutation,
    /// Suspicion lasts its minimum, confirmed or not.
    FixedSuspicion,
    /// No nacks are sent and the own health is always believed to be perfect.
    NoNacks,
    /// A suspect is not told that it is one.
    NoBuddy,
    /// The dead are forgotten after 30 s.
    ForgetsDeadSoon,
    /// A pause of the own process is taken for silence of the others.
    BlindToStalls,
    /// A member is taken in though another one lives under its name.
    SharedNames,
    /// Who is held for dead is not believed to have left.
    DeafToFarewells,
}

impl Config {
    /// The defaults for nodes of one local network.
    #[must_use]
    pub const fn lan(me: Member, seed: u64) -> Self {
        Self {
            me,
            seed,
            packet_size: 1_200,
            probe_every: Duration::from_secs(1),
            remember_dead: Duration::from_secs(24 * 60 * 60),
            max_dead: 4_096,
            max_members: 4_096,
            mutation: Mutation::None,
        }
    }

    /// The same settings, if each is within its bounds.
    pub(crate) fn checked(mut self) -> Result<Self, ConfigError> {
        let name = self.me.name.len();
        let weight = self.me.meta.weight;
        let zone = self.me.meta.zone.len();
        let bounded = [
            ("me.name", name, 1, MAX_NAME, "1 to 128 bytes"),
            ("me.meta.zone", zone, 0, MAX_ZONE, "at most 64 bytes"),
            ("me.meta.weight", weight.into(), 1, 1_000, "1 to 1,000"),
            (
                "packet_size",
                self.packet_size,
                512,
                65_000,
                "512 to 65,000",
            ),
            ("max_dead", self.max_dead, 1, 65_536, "1 to 65,536"),
            ("max_members", self.max_members, 1, 65_536, "1 to 65,536"),
        ];
        for (name, value, least, most, bounds) in bounded {
            if !(least..=most).contains(&value) {
                let value = value.to_string();
                return Err(ConfigError::OutOfBounds {
                    name,
                    value,
                    bounds,
                });
            }
        }
        let probe = Duration::from_millis(10)..=Duration::from_secs(60);
        if !probe.contains(&self.probe_every) {
            return Err(ConfigError::OutOfBounds {
                name: "probe_every",
                value: format!("{:?}", self.probe_every),
                bounds: "10 ms to 60 s",
            });
        }
        if self.mutation == Mutation::ForgetsDeadSoon {
            self.remember_dead = Duration::from_secs(30);
        }
        Ok(self)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::member;

    #[test]
    fn the_defaults_are_within_their_bounds() {
        assert!(Config::lan(member(1), 1).checked().is_ok());
    }

    #[test]
    fn a_name_that_might_not_fit_into_a_packet_is_refused_at_once() {
        let mut config = Config::lan(member(1), 1);
        config.me.name = "x".repeat(129).into();
        let fault = config.checked().unwrap_err().to_string();
        assert_eq!(fault, "me.name is 129; it must be 1 to 128 bytes");
    }

    #[test]
    fn packets_too_small_for_the_longest_member_are_refused() {
        let mut config = Config::lan(member(1), 1);
        config.packet_size = 511;
        assert!(config.checked().is_err());
    }
}
