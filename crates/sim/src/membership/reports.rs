//! Figures of the membership core alone, each a pure function of seeds.
//!
//! Every measurement is a world on LAN delays (0.2 to 2 ms), watched through the words of its
//! nodes: what a table says, not what a core has inside. Times are the world's.
//! Does not know any goal: `membership_sim` in `bench` prints them beside each other.

mod crowd;
mod measures;

pub use crowd::{Crowd, Spans};
pub use measures::{
    Idle, Stalls, crash_known_to_all, description_spread, heals_after, idle, joined_by_all, stalls,
};
