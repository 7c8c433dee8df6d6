//! The same node as in production, in a virtual world: clock, disk, targets, uplink, process.
//!
//! A run is a pure function of its seed: [`Plan::draw`] draws the fleet and the faults,
//! [`run`] lets them happen and checks the [`Promise`]s after every step, and
//! [`shrink`] cuts the list of faults down to those that a broken promise needs.
//! Start reading at [`run`]. Does not know sockets, real time or how a probe is made.

mod clock;
pub mod cluster;
mod disk;
mod faults;
pub mod fleet;
pub mod membership;
mod promises;
mod reference;
mod shrink;
pub mod spec_trace;
pub mod store;
pub mod strangers;
mod subject;
mod target;
mod trace;
mod world;

pub use faults::{Fault, Plan};
pub use promises::{Broken, Promise};
pub use shrink::shrink;
pub use subject::Mutant;
pub use target::{Mood, Server};
pub use trace::Trace;
pub use world::{Report, run};
