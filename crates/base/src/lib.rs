//! What every room needs and nobody decides on: time, ids, randomness, bytes.
//!
//! Plain values without verbs. Start reading anywhere; each file stands alone.
//! Does not know what a target, a node or a packet is for.

mod hash;
mod id;
mod rng;
mod time;
mod way;
pub mod wire;

pub use hash::{hash64, hash64_of};
pub use id::{NodeId, Origin, Slot, Ticket, Version};
pub use rng::Rng;
pub use time::{Duration, Time, Wall};
pub use way::Way;
