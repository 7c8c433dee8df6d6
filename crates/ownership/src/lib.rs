//! Which member checks which target: members and targets in, owners in priority order out.
//!
//! Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights after Schindelhauer and
//! Schomaker 2005): every member draws a number for every target, and the best number owns it.
//! Nobody elects and nobody stores who owns what: whoever knows the members knows the owners.
//! [`order()`] computes one target's whole order; [`Ownership`] keeps the first three of many
//! targets and re-scores, when a member comes or goes, only what it must. Pure: no clock, no
//! sockets, no floats. Does not know what a target is or how a member was found.

mod incremental;
mod order;
mod score;
#[cfg(test)]
mod tests;

pub use incremental::{Change, Input, MEMBERS_MAX, Output, Ownership, TOP};
pub use order::order;
pub use score::{KeyHash, WEIGHT_MAX};

use std::sync::Arc;

/// Whether a member takes work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Takes work.
    #[default]
    Usable,
    /// Takes work only if nobody else can.
    Draining,
}

/// Somebody who can own targets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Unique among the members. What a member draws comes from its name, never from an address or
    /// an id: who comes back under its name gets its targets back.
    pub name: Arc<str>,
    /// Where it stands; empty is a zone like any other.
    pub zone: Arc<str>,
    /// Its share of the targets relative to others; 1 to [`WEIGHT_MAX`], clamped into it.
    pub weight: u32,
    /// Whether it takes work.
    pub standing: Standing,
}

impl Member {
    /// A usable member of weight 1 without a zone.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            zone: "".into(),
            weight: 1,
            standing: Standing::Usable,
        }
    }
}
