//! What a lab is to do: workload, load, network, faults.

use std::fmt;

use base::{Duration, Rng};
use clap::ValueEnum;
use thiserror::Error;

/// What the clients ask for, by Maelstrom's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// The same text comes back.
    Echo,
    /// Ids that never repeat.
    UniqueIds,
    /// Messages reach every node.
    Broadcast,
    /// A set that only grows.
    GSet,
    /// A counter that only grows.
    GCounter,
    /// A counter that goes both ways.
    PnCounter,
}

impl Workload {
    /// All six, in the order of the class.
    pub const ALL: [Self; 6] = [
        Self::Echo,
        Self::UniqueIds,
        Self::Broadcast,
        Self::GSet,
        Self::GCounter,
        Self::PnCounter,
    ];

    /// Whether its reads give a set.
    #[must_use]
    pub const fn is_set(self) -> bool {
        matches!(self, Self::Broadcast | Self::GSet)
    }

    /// Whether its reads give a sum.
    #[must_use]
    pub const fn is_counter(self) -> bool {
        matches!(self, Self::GCounter | Self::PnCounter)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Echo => "echo",
            Self::UniqueIds => "unique-ids",
            Self::Broadcast => "broadcast",
            Self::GSet => "g-set",
            Self::GCounter => "g-counter",
            Self::PnCounter => "pn-counter",
        })
    }
}

/// How delays are spread around their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Always the mean.
    #[default]
    Constant,
    /// Evenly from nothing to twice the mean.
    Uniform,
    /// Mostly short, sometimes very long.
    Exponential,
}

/// How long a message between nodes is under way. Messages of clients take no time, as in Maelstrom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// On average.
    pub mean: Duration,
    /// Around it.
    pub shape: Shape,
}

impl Latency {
    pub(crate) fn draw(self, rng: &mut Rng) -> Duration {
        match self.shape {
            Shape::Constant => self.mean,
            Shape::Uniform => self.mean.mul_f64(2.0 * unit(rng)),
            Shape::Exponential => self.mean.mul_f64(-(1.0 - unit(rng)).ln()),
        }
    }
}

/// A number from 0 to below 1.
pub(crate) fn unit(rng: &mut Rng) -> f64 {
    const STEPS: u32 = 1 << 30;
    let step = u32::try_from(rng.below(u64::from(STEPS))).expect("below 2^30");
    f64::from(step) / f64::from(STEPS)
}

/// A whole lab. Start from [`Plan::new`] and change what you need.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What the clients ask for.
    pub workload: Workload,
    /// How many nodes, `n0` and up; 1 to 1,000. Each has one client. Default 5.
    pub nodes: usize,
    /// Operations a second, of all clients together; above 0, at most 100,000. Default 10.
    pub rate: f64,
    /// How long operations are started. Default 10 s.
    pub time_limit: Duration,
    /// Between nodes. Default none.
    pub latency: Latency,
    /// How many of a hundred messages between nodes are lost. Default 0; Maelstrom has no such switch.
    pub loss_percent: u64,
    /// If set, the network is cut and healed in turns, this far apart on average.
    pub partition_every: Option<Duration>,
    /// The pause between healing and the final reads. Default 10 s, as in Maelstrom.
    pub recovery: Duration,
    /// A client waits this long for an answer. Default 5 s.
    pub timeout: Duration,
    /// If set, an observer reads every node this often, to see when elements become visible; its
    /// reads are no operations.
    pub watch_every: Option<Duration>,
    /// The share of operations that must be answered in time and without an error. Default 1.
    pub availability: f64,
    /// Where delays, cuts and operations come from.
    pub seed: u64,
}

/// A plan that can't be carried out. Nothing was started.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum PlanError {
    /// A value out of its bounds.
    #[error("{name} is {value}; it must be {bounds}")]
    OutOfBounds {
        /// Which.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        bounds: &'static str,
    },
}

impl Plan {
    /// A short lab on a fast and whole network.
    #[must_use]
    pub fn new(workload: Workload) -> Self {
        Self {
            workload,
            nodes: 5,
            rate: 10.0,
            time_limit: Duration::from_secs(10),
            latency: Latency::default(),
            loss_percent: 0,
            partition_every: None,
            recovery: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            watch_every: None,
            availability: 1.0,
            seed: 0,
        }
    }

    pub(crate) fn checked(self) -> Result<Self, PlanError> {
        let out = |name, value: String, bounds| {
            Err(PlanError::OutOfBounds {
                name,
                value,
                bounds,
            })
        };
        if !(1..=1_000).contains(&self.nodes) {
            return out("nodes", self.nodes.to_string(), "1 to 1000");
        }
        if !(self.rate > 0.0 && self.rate <= 100_000.0) {
            return out("rate", self.rate.to_string(), "above 0, at most 100000");
        }
        if self.loss_percent > 100 {
            return out("loss", self.loss_percent.to_string(), "0 to 100 percent");
        }
        if !(0.0..=1.0).contains(&self.availability) {
            return out("availability", self.availability.to_string(), "0 to 1");
        }
        for (name, span) in [
            ("partition interval", self.partition_every),
            ("watch interval", self.watch_every),
        ] {
            if span.is_some_and(|s| s < Duration::from_millis(1)) {
                return out(name, format!("{span:?}"), "1 ms or more");
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_delay_keeps_its_mean() {
        let mean = Duration::from_millis(100);
        for shape in [Shape::Constant, Shape::Uniform, Shape::Exponential] {
            let mut rng = Rng::new(1);
            let sum: Duration = (0..10_000)
                .map(|_| Latency { mean, shape }.draw(&mut rng))
                .sum();
            let got = sum / 10_000;
            assert!(got.abs_diff(mean) < mean / 20, "{shape:?}: {got:?}");
        }
    }

    #[test]
    fn a_plan_that_cannot_work_names_the_value_and_its_bounds() {
        let no_nodes = Plan {
            nodes: 0,
            ..Plan::new(Workload::Echo)
        };
        let said = no_nodes.checked().unwrap_err().to_string();
        assert_eq!(said, "nodes is 0; it must be 1 to 1000");
        let no_rate = Plan {
            rate: f64::NAN,
            ..Plan::new(Workload::Echo)
        };
        assert!(no_rate.checked().is_err());
    }
}
