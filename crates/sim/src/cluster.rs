//! A world of many hosts: the wires between them, their disks, their clocks, and what goes wrong.
//!
//! Works for any pure core that is driven by the four verbs: say what it is in a [`Node`] and put
//! [`World::step`] in a loop; check promises after every step, not at the end. A fault plan is
//! drawn from the seed ([`Plan::draw`]), and a failing one is cut down by [`cut_down`]. The shape
//! is that of FoundationDB's and TigerBeetle's simulators: everything is a function of the seed.
//! Does not know what a node is for.

mod disk;
mod faults;
mod network;
mod shrink;
mod world;

pub use disk::{Disk, Write};
pub use faults::{DiskAfter, Fault, Mix, Place, Plan};
pub use network::{Arrival, Bytes, Link, Network};
pub use shrink::cut_down;
pub use world::{Boot, EPOCH_MS, Effect, Happened, Node, Step, World};

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A machine of the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(pub u32);

impl Host {
    /// The host as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Where its cluster port is after it has moved to fresh addresses `moves` times.
    #[must_use]
    pub fn address(self, moves: u8) -> SocketAddr {
        let [_, a, b, c] = self.0.to_be_bytes();
        let first = 10_u8.checked_add(moves).expect("a host moves a few times");
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(first, a, b, c)), 7718)
    }
}
