//! Three processes as one key-value store: the membership and store rooms, by themselves.
//!
//! Everything that decides lives in the two rooms; this is the shell around them, small enough to
//! be read whole. Start at [`Node::run`]: one loop, one queue in, both rooms.
//! Does not know what makes a member suspect, nor how two copies become one.

mod client;
mod clock;
mod disk;
mod node;
mod sockets;
mod writes;

pub use client::{Held, MemberRow, Reply, Request, Sibling, ask};
pub use clock::Clock;
pub use disk::Disk;
pub use node::{Event, Node, Setup};
pub use sockets::{Arrival, Room, Sockets};
